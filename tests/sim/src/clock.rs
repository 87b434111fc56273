//! The clocks of one machine: one that only runs forward, and one that shows anything at all.

use rejoin_core::engine::Now;

use crate::draw::Draw;

/// Milliseconds of a year.
const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;
/// Where honest wall clocks start: some day in 2026.
const START_MS: i64 = 56 * YEAR_MS;

/// Both clocks, as functions of simulated time in microseconds.
#[derive(Clone, Debug)]
pub struct Clock {
    /// How far the forward clock is ahead of simulated time, in milliseconds. It only grows: sleep counts, too.
    mono_ahead_ms: u64,
    wall_ahead_ms: i64,
    /// The wall clock stands still here.
    frozen_wall_ms: Option<u64>,
}

impl Clock {
    /// The clocks of a machine that was just switched on. With `wrong`, its wall clock is off by up to 70 years.
    pub fn new(draw: &mut Draw, wrong: bool) -> Self {
        let mut clock =
            Self { mono_ahead_ms: draw.magnitude(0, 1 << 40), wall_ahead_ms: START_MS, frozen_wall_ms: None };
        if wrong && draw.chance(600) {
            clock.jump(draw);
        }
        clock
    }

    /// What both clocks show.
    pub fn now(&self, at_us: u64) -> Now {
        Now { mono_ms: self.mono_ms(at_us), wall_ms: self.frozen_wall_ms.unwrap_or(self.running(at_us)) }
    }

    /// What the forward clock shows.
    pub const fn mono_ms(&self, at_us: u64) -> u64 {
        at_us / 1000 + self.mono_ahead_ms
    }

    /// When, in simulated time, the forward clock shows `mono_ms`; the past becomes 0.
    pub const fn at_us(&self, mono_ms: u64) -> u64 {
        mono_ms.saturating_sub(self.mono_ahead_ms).saturating_mul(1000)
    }

    /// The wall clock jumps, forwards or backwards, by anything from a second to 70 years.
    pub fn jump(&mut self, draw: &mut Draw) {
        self.frozen_wall_ms = None;
        let by = draw.magnitude(1000, 70 * YEAR_MS.unsigned_abs()).cast_signed();
        self.wall_ahead_ms = if draw.chance(500) { START_MS + by } else { START_MS - by };
    }

    /// The wall clock stops.
    pub fn freeze(&mut self, at_us: u64) {
        self.frozen_wall_ms = Some(self.running(at_us));
    }

    /// The machine sleeps: its forward clock has moved on when it wakes up.
    pub const fn sleep(&mut self, ms: u64) {
        self.mono_ahead_ms += ms;
    }

    fn running(&self, at_us: u64) -> u64 {
        u64::try_from(self.wall_ahead_ms + (at_us / 1000).cast_signed()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forward_clock_never_runs_backwards() {
        let mut draw = Draw::new(3, 0);
        let mut clock = Clock::new(&mut draw, true);
        let mut last = 0;
        for at in (0..100_000).step_by(500) {
            if draw.chance(50) {
                clock.jump(&mut draw);
                clock.sleep(draw.magnitude(0, 1 << 30));
            }
            let now = clock.now(at);
            assert!(now.mono_ms >= last);
            assert!(clock.mono_ms(clock.at_us(now.mono_ms)) == now.mono_ms);
            last = now.mono_ms;
        }
    }
}
