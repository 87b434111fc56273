//! Rows with a time to live: who is told that they are no longer shown, and who removes them. See [`crate::row::expiry()`].

use alloc::vec::Vec;

use crate::boundary::{Event, Now, Output};
use crate::engine::{Engine, WriteError};
use crate::id::Dot;
use crate::index::IndexSpec;
use crate::row::RowKey;
use crate::state::Due;
use crate::store::{Store, StoreError};

/// What is known of the rows that expire.
#[derive(Default)]
pub(super) struct Expiring {
    /// What expired up to this time was told; nothing before the first call.
    told: Option<u64>,
    /// When the next one does, as of this state of the list; and when to look, by the monotonic clock.
    next: Option<u64>,
    list: Option<u64>,
    wake: Option<u64>,
    /// How often in turn that was too early and the clock on the wall had not moved, and where it stood.
    stuck: (u32, u64),
    /// Where the next sweep goes on.
    sweep: Option<Due>,
    /// The list cannot be built: some row does not read back.
    gave_up: bool,
}

/// What one sweep has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The rows that were removed.
    pub rows: Vec<RowKey>,
    /// The last dot of that transaction; `None` when nothing was.
    pub dot: Option<Dot>,
    /// There is more to look at: call again.
    pub more: bool,
}

impl<S: Store> Engine<S> {
    /// Removes rows that expired at least [`crate::engine::Config::sweep_after_ms`] ago: those that this device wrote, and those of
    /// others if it [is a hub](crate::engine::Config::hub). An own transaction like any other, except that it cannot be taken
    /// back. A few hundred rows at a time.
    ///
    /// # Errors
    /// The store cannot be read. Nothing was removed.
    pub fn sweep(&mut self, now: Now) -> Result<Swept, WriteError> {
        self.tell_time(now);
        if let Some(error) = &self.failed {
            return Err(WriteError::Store(error.clone()));
        }
        let Some(until) = now.wall_ms.checked_sub(self.config.sweep_after_ms) else {
            return Ok(Swept::default());
        };
        let (rows, dot) = self.space.sweep(now, until, self.config.hub, &mut self.expiring.sweep)?;
        Ok(Swept { rows, dot, more: self.expiring.sweep.is_some() })
    }

    /// Says which rows have expired by now, as changes, once; and builds the list of them where a store came without one.
    pub(super) fn heed_expiry(&mut self) -> Result<(), StoreError> {
        let Some(list) = self.list_of_expiring() else { return Ok(()) };
        let now = self.now.wall_ms;
        let Expiring { told, next, list: known, wake, stuck, .. } = &mut self.expiring;
        // A clock that was put back shows again what it hid: it is told anew when its time comes.
        let since = told.filter(|told| *told <= now).unwrap_or(now);
        if *known != Some(list) || *told != Some(since) {
            *next = self.space.next_expiry(since)?;
            (*known, *told, *wake) = (Some(list), Some(since), None);
        }
        let mono = self.now.mono_ms;
        let Some(left) = next.map(|next| next.saturating_sub(now)).filter(|left| *left > 0) else {
            *wake = None;
            return if next.is_some() { self.tell_expired(since) } else { Ok(()) };
        };
        if wake.is_none_or(|wake| wake <= mono) {
            // A clock that stands still is asked less and less often.
            let times = if wake.is_some() && stuck.1 == now { stuck.0 + 1 } else { 0 };
            *stuck = (times, now);
            *wake = Some(mono.saturating_add(left.saturating_mul(1 << times.min(40))));
        }
        Ok(())
    }

    fn tell_expired(&mut self, since: u64) -> Result<(), StoreError> {
        let now = self.now.wall_ms;
        let (rows, more) = self.space.expired(since, now)?;
        // What is next is looked up in the next round.
        (self.expiring.told, self.expiring.list) = (Some(now), None);
        self.out.push_back(Output::Event(Event::Changed { rows, more }));
        Ok(())
    }

    /// Names the state of the list, once there is one.
    fn list_of_expiring(&mut self) -> Option<u64> {
        if self.space.lists_expiring() {
            return Some(self.space.overlay.expiries());
        }
        // A step each commit, and nothing else waits for it.
        if self.space.is_idle() && !self.expiring.gave_up {
            self.expiring.gave_up = self.space.build_index(&IndexSpec::expiry()).is_err();
        }
        None
    }

    /// When to look whether a row has expired, in milliseconds of the monotonic clock.
    pub(super) const fn expires_at(&self) -> Option<u64> {
        self.expiring.wake
    }
}
