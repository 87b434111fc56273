//! Hybrid logical clock (Kulkarni, Demirbas, Madappa, Avva, Leone 2014), 64 bits.
//!
//! | bits | meaning |
//! |---|---|
//! | 63..16 | milliseconds since 1970, as far as the clock has been told |
//! | 15..0 | counter, carrying into the milliseconds |
//!
//! A local event takes max(wall clock, last + 1), so its own history is ordered even while the wall clock stands still
//! or runs backwards. A remote timestamp pulls the clock forward by at most [`CLOCK_AHEAD_MS`] beyond the local wall
//! clock: a peer that claims the year 2099 is believed about its data and not about the time. Beyond that clamp
//! timestamps do not order causally; version vectors do.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::CLOCK_AHEAD_MS;

const COUNTER_BITS: u32 = 16;
/// Largest millisecond value that fits: the year 10889.
const MAX_MS: u64 = u64::MAX >> COUNTER_BITS;

/// A point of hybrid time. Compare as a whole; ties are broken by dot.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The first timestamp of a millisecond.
    pub const fn from_millis(ms: u64) -> Self {
        Self(if ms > MAX_MS { MAX_MS << COUNTER_BITS } else { ms << COUNTER_BITS })
    }

    /// Milliseconds since 1970, as claimed by the writer's clock.
    pub const fn millis(self) -> u64 {
        self.0 >> COUNTER_BITS
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms+{}", self.millis(), self.0 & ((1 << COUNTER_BITS) - 1))
    }
}

/// A hybrid logical clock. The wall clock is an argument: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HybridClock(Timestamp);

impl HybridClock {
    /// A clock that has given or heard of `last`.
    pub const fn new(last: Timestamp) -> Self {
        Self(last)
    }

    /// The newest timestamp given or accepted. Persist it with each commit.
    pub const fn last(self) -> Timestamp {
        self.0
    }

    /// The timestamp of a local event, larger than every one before it.
    ///
    /// Only a clock that was already told the last millisecond of the format stays there; ties then fall to dots.
    pub fn tick(&mut self, wall_ms: u64) -> Timestamp {
        self.0 = Timestamp(self.0.0.saturating_add(1)).max(Timestamp::from_millis(wall_ms));
        self.0
    }

    /// Hears of a remote timestamp. Returns whether it was too far ahead of the wall clock to be believed.
    pub fn observe(&mut self, remote: Timestamp, wall_ms: u64) -> bool {
        let bound = Timestamp::from_millis(wall_ms.saturating_add(CLOCK_AHEAD_MS));
        self.0 = self.0.max(remote.min(bound));
        remote > bound
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn local_events_are_ordered_whatever_the_wall_clock_does(walls: alloc::vec::Vec<u32>) -> bool {
            let mut clock = HybridClock::default();
            let stamps: alloc::vec::Vec<_> = walls.iter().map(|w| clock.tick(u64::from(*w))).collect();
            stamps.windows(2).all(|pair| pair[0] < pair[1])
        }

        fn hearing_orders_what_follows_up_to_the_clamp(wall: u32, remote: u64) -> bool {
            let (wall, remote) = (u64::from(wall), Timestamp(remote));
            let mut clock = HybridClock::default();
            let suspect = clock.observe(remote, wall);
            let next = clock.tick(wall);
            next > remote || (suspect && next.millis() <= wall + CLOCK_AHEAD_MS + 1)
        }
    }

    #[test]
    fn a_liar_moves_the_clock_by_a_minute_at_most() {
        let mut clock = HybridClock::default();
        assert!(clock.observe(Timestamp(u64::MAX), 1_000));
        assert_eq!(clock.last(), Timestamp::from_millis(61_000));
        assert!(!clock.observe(Timestamp::from_millis(61_000), 1_000));
    }

    #[test]
    fn the_counter_carries_and_the_end_of_time_does_not_overflow() {
        let mut clock = HybridClock::new(Timestamp((5 << 16) | 0xffff));
        assert_eq!(clock.tick(0), Timestamp::from_millis(6));
        let mut last = HybridClock::new(Timestamp(u64::MAX));
        assert_eq!(last.tick(u64::MAX), Timestamp(u64::MAX));
    }
}
