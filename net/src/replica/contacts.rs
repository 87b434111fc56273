//! Whom to open a stream to, and when: one stream per peer, opened by whoever dialled, sooner or later by the other.
//!
//! A peer that does not hold the space closes the stream without a word; asking again costs little and is done ever more
//! rarely, with jitter, until either side opens the space and asks by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

use crate::swarm::{Connected, backoff};

/// First pause after a stream that failed, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long whoever was dialled leaves it to the dialler to open the stream.
const COURTESY: Duration = Duration::from_millis(1500);

struct Contact {
    /// A stream is open, or being opened.
    busy: bool,
    failures: u32,
    next: Instant,
}

/// The connected peers, and what is to be done about each.
#[derive(Default)]
pub(super) struct Contacts(BTreeMap<PeerId, Contact>);

impl Contacts {
    /// Takes note of who is connected now.
    pub(super) fn update(&mut self, connected: &BTreeMap<PeerId, Connected>) {
        self.0.retain(|peer, _| connected.contains_key(peer));
        for (peer, connection) in connected {
            self.0.entry(*peer).or_insert_with(|| {
                let wait = if connection.dialled { Duration::ZERO } else { COURTESY };
                Contact { busy: false, failures: 0, next: Instant::now() + wait }
            });
        }
    }

    /// When the next stream is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().filter(|contact| !contact.busy).map(|contact| contact.next).min()
    }

    /// The peers to open a stream to now; each counts as busy from here on.
    pub(super) fn take_due(&mut self) -> Vec<PeerId> {
        let now = Instant::now();
        let due = self.0.iter_mut().filter(|(_, contact)| !contact.busy && contact.next <= now);
        due.map(|(peer, contact)| {
            contact.busy = true;
            *peer
        })
        .collect()
    }

    /// A stream with this peer is up, whoever opened it.
    pub(super) fn on_open(&mut self, peer: &PeerId) {
        if let Some(contact) = self.0.get_mut(peer) {
            contact.busy = true;
        }
    }

    /// The peer holds the space: a stream with it that ends is worth opening again soon.
    pub(super) fn on_success(&mut self, peer: &PeerId) {
        if let Some(contact) = self.0.get_mut(peer) {
            contact.failures = 0;
        }
    }

    /// The last stream with this peer has ended, or could not be opened.
    pub(super) fn on_end(&mut self, peer: &PeerId) {
        if let Some(contact) = self.0.get_mut(peer) {
            contact.busy = false;
            contact.next = Instant::now() + backoff(FIRST_PAUSE, LONGEST_PAUSE, contact.failures);
            contact.failures = contact.failures.saturating_add(1);
        }
    }
}
