//! Lamport's clock (Time, Clocks, and the Ordering of Events in a Distributed System, CACM 1978).
//!
//! A counter that is larger than every counter it has heard of: if a happened before b then C(a) < C(b), never the other
//! way round. [`super::HybridClock`] is the same clock with milliseconds in its upper bits.

use serde::{Deserialize, Serialize};

/// A Lamport clock. Starts at 0; the first event is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lamport(u64);

impl Lamport {
    /// A clock at `count`.
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// The newest count given or heard of.
    pub const fn now(self) -> u64 {
        self.0
    }

    /// Counts a local event and returns its time.
    ///
    /// # Panics
    /// After 2^64 - 1 events.
    pub fn tick(&mut self) -> u64 {
        self.0 = self.0.checked_add(1).expect("a Lamport clock holds 2^64 events");
        self.0
    }

    /// Hears of a time; the next event will be later.
    pub fn observe(&mut self, remote: u64) {
        self.0 = self.0.max(remote);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_later_than_everything_heard() {
        let mut clock = Lamport::default();
        assert_eq!(clock.tick(), 1);
        clock.observe(7);
        clock.observe(3);
        assert_eq!((clock.tick(), clock.now()), (8, 8));
    }
}
