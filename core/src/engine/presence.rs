//! Presence: who is here, and what each of them is about: a cursor, a selection, "is typing".
//!
//! Problem: such things change many times a second and are worth nothing a moment later. As rows they would fill logs and
//! disks of devices that were not even there.
//!
//! Idea: each device says its own by gossip, signed, and again from time to time; whoever hears it shows it until the time to
//! live that came with it is over, by its own clock. Nothing is stored, nothing is part of the root, and what is lost is not
//! sent again: at most once. A device says its own in a row, numbered by its clock, so that what comes late or twice is not
//! shown. One that leaves says so; one that is gone is forgotten when its time is over.
//!
//! When somebody new is heard all others say theirs again soon, each a little later than the one before, so that the
//! newcomer need not wait.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::boundary::{Event, Now, Output, Verdict};
use crate::codec::{self, BoundedBytes};
use crate::engine::Engine;
use crate::id::{DeviceKey, SpaceId, domain, hash};
use crate::limits::{PRESENCE_BYTES, PRESENCE_LONGEST_MS, PRESENT};
use crate::store::Store;
use crate::sync::message::{Beat, Gossip};

/// Milliseconds between what one device says, at least: more often nobody can see.
const LEAST_MS: u64 = 50;
/// How often it is said within its time to live. Two of three may be lost.
const TIMES: u64 = 3;
/// Milliseconds that a link to a new peer is given before everything is said again: gossip needs a moment to use it.
const SETTLE_MS: u64 = 1200;

/// What one device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The key of the device.
    pub device: DeviceKey,
    /// What it says.
    pub value: Vec<u8>,
    /// Milliseconds since it was heard last.
    pub age_ms: u64,
}

/// What this device says, and what it has heard.
#[derive(Default)]
pub(super) struct Presence {
    own: Option<Own>,
    /// The number of what was said last, and when that was, by the monotonic clock.
    number: u64,
    said_at: Option<u64>,
    others: BTreeMap<DeviceKey, Heard>,
    changed: bool,
}

struct Own {
    /// None for a device that goes.
    value: Option<BoundedBytes<PRESENCE_BYTES>>,
    lives_ms: u32,
    /// When it is to be said next.
    due: u64,
}

struct Heard {
    number: u64,
    at: u64,
    until: u64,
    /// None of a device that said that it goes: until its time is over what it said before is not shown.
    value: Option<Vec<u8>>,
}

/// What is signed.
fn signed(space: &SpaceId, beat: &Beat) -> [u8; 32] {
    let value = codec::encode(&beat.value);
    let numbers = [beat.number.to_le_bytes(), u64::from(beat.lives_ms).to_le_bytes()].concat();
    hash(domain::PRESENCE, &[&space.0, &beat.device.0, &numbers, &value])
}

impl<S: Store> Engine<S> {
    /// Says to whoever is here what this device is about, until it is said otherwise: at most [`PRESENCE_BYTES`], shown for
    /// `lives_ms` milliseconds after it was heard last, at most [`PRESENCE_LONGEST_MS`]. `None` says that it goes. `false` when
    /// the value is too long: nothing has changed then.
    pub fn set_presence(&mut self, now: Now, value: Option<&[u8]>, lives_ms: u32) -> bool {
        self.tell_time(now);
        let value = match value.map(|bytes| BoundedBytes::new(bytes.to_vec())) {
            Some(None) => return false,
            Some(value) => value,
            None => None,
        };
        if value.is_none() && self.presence.own.is_none() {
            return true;
        }
        let lives_ms = lives_ms.min(PRESENCE_LONGEST_MS);
        // Who goes may have no time to wait.
        let said = self.presence.said_at.filter(|_| value.is_some());
        let due = said.map_or(now.mono_ms, |said| now.mono_ms.max(said + LEAST_MS));
        self.presence.own = Some(Own { value, lives_ms, due });
        true
    }

    /// What the others that are here say, by device. This one is not among them.
    pub fn present(&self, now: Now) -> Vec<Present> {
        let here = self.presence.others.iter().filter(|(_, heard)| heard.until > now.mono_ms);
        let shown = here.filter_map(|(device, heard)| {
            let value = heard.value.clone()?;
            Some(Present { device: *device, value, age_ms: now.mono_ms.saturating_sub(heard.at) })
        });
        shown.collect()
    }

    /// Says what is due, and forgets those whose time is over.
    pub(super) fn heed_presence(&mut self) {
        let now = self.now;
        if self.presence.own.as_ref().is_some_and(|own| own.due <= now.mono_ms) {
            let frame = self.beat();
            self.out.push_back(Output::Publish { frame });
        }
        let Presence { others, changed, .. } = &mut self.presence;
        others.retain(|_, heard| {
            let is_over = heard.until <= now.mono_ms;
            *changed |= is_over && heard.value.is_some();
            !is_over
        });
        if core::mem::take(changed) {
            self.out.push_back(Output::Event(Event::Presence));
        }
    }

    fn beat(&mut self) -> Vec<u8> {
        let (now, presence) = (self.now, &mut self.presence);
        let own = presence.own.as_mut().expect("it is due");
        presence.number = now.wall_ms.max(presence.number + 1);
        presence.said_at = Some(now.mono_ms);
        own.due = now.mono_ms + (u64::from(own.lives_ms) / TIMES).max(LEAST_MS);
        let mut beat = Beat {
            device: self.space.identity.device(),
            number: presence.number,
            lives_ms: own.lives_ms,
            value: own.value.clone(),
            signature: crate::id::Signature([0; 64]),
        };
        beat.signature = self.space.identity.sign(&signed(&self.space.id, &beat));
        // A goodbye is said once.
        presence.own.take_if(|own| own.value.is_none());
        codec::encode(&Gossip::Presence(beat))
    }

    /// Takes in what a device says of itself, and judges it.
    pub(super) fn heard_presence(&mut self, beat: Beat) -> Verdict {
        let own = self.space.identity.device();
        if beat.lives_ms > PRESENCE_LONGEST_MS
            || !self.space.identity.verify(&beat.device, &signed(&self.space.id, &beat), &beat.signature)
        {
            return Verdict::Reject;
        }
        let (now, presence) = (self.now.mono_ms, &mut self.presence);
        let known = presence.others.get(&beat.device);
        let is_old = known.is_some_and(|heard| heard.number >= beat.number);
        if is_old || beat.device == own || (known.is_none() && presence.others.len() >= PRESENT) {
            return Verdict::Ignore;
        }
        let was = known.and_then(|heard| heard.value.as_deref());
        let value = beat.value.map(BoundedBytes::into_vec);
        presence.changed |= was != value.as_deref();
        if was.is_none() && value.is_some() {
            say_soon(&mut presence.own, now + u64::from(own.0[0]) * 2);
        }
        let until = now + u64::from(beat.lives_ms);
        presence.others.insert(beat.device, Heard { number: beat.number, at: now, until, value });
        Verdict::Relay
    }

    /// A stream to a peer is up, who may be new.
    pub(super) fn greet_presence(&mut self) {
        say_soon(&mut self.presence.own, self.now.mono_ms + SETTLE_MS);
    }

    /// When something is to be said, or somebody's time is over.
    pub(super) fn presence_due(&self) -> Option<u64> {
        let over = self.presence.others.values().map(|heard| heard.until).min();
        self.presence.own.as_ref().map(|own| own.due).into_iter().chain(over).min()
    }
}

fn say_soon(own: &mut Option<Own>, at: u64) {
    if let Some(own) = own {
        own.due = own.due.min(at);
    }
}
