//! The two clocks of this machine, read in one place.

use std::time::Duration;

use rejoin_core::engine::Now;

use crate::host::{Instant, SystemTime};

/// Reads both clocks; the monotonic one counts from when this was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono_ms: millis(self.0.elapsed()), wall_ms: wall_ms() }
    }

    /// When the monotonic clock will show `mono_ms`; `None` when that is beyond what the system can count.
    pub(crate) fn at(&self, mono_ms: u64) -> Option<Instant> {
        self.0.checked_add(Duration::from_millis(mono_ms))
    }
}

/// Milliseconds since 1970; 0 for a clock before that.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_never_comes_is_far_away_or_none() {
        let clock = Clock::new();
        let soon = clock.at(1).expect("in a millisecond");
        assert!(clock.at(u64::MAX).is_none_or(|never| never > soon));
    }
}
