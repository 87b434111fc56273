//! Which faults a schedule has, and how often: swarm testing (Groce et al., ISSTA 2012).
//!
//! A test that can do everything at any time does little of anything. So each seed first draws which faults exist at all
//! and at what rates, how many replicas and rows there are, and how large buffers are.

use rejoin_core::SpaceId;
use rejoin_core::engine::{Config, Push};

use crate::draw::{Draw, stream};
use crate::network::Latency;

/// Something that the schedule does to the world in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[allow(missing_docs, reason = "the names say it; actions.rs does it")]
pub enum Action {
    Write,
    Burst,
    Abandon,
    Connect,
    Cut,
    Block,
    Heal,
    Crash,
    Restart,
    Restore,
    Clone,
    ClockJump,
    ClockFreeze,
    Sleep,
    Stall,
    FailCommit,
    Wait,
}

impl Action {
    /// All of them, in order.
    pub const ALL: [Self; 17] = [
        Self::Write,
        Self::Burst,
        Self::Abandon,
        Self::Connect,
        Self::Cut,
        Self::Block,
        Self::Heal,
        Self::Crash,
        Self::Restart,
        Self::Restore,
        Self::Clone,
        Self::ClockJump,
        Self::ClockFreeze,
        Self::Sleep,
        Self::Stall,
        Self::FailCommit,
        Self::Wait,
    ];
}

/// The draw.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How many machines there are at first.
    pub replicas: usize,
    /// How many clones there may be on top.
    pub clones: usize,
    /// How many rows most writes choose from.
    pub rows: usize,
    /// How many steps.
    pub steps: u64,
    /// How likely each action is in a step.
    pub weights: [u32; Action::ALL.len()],
    /// The longest usual pause between two steps, in microseconds.
    pub pause_us: u64,
    /// The network's latencies.
    pub latency: Latency,
    /// The longest that a commit takes, in microseconds.
    pub disk_us: u64,
    /// Gossip that is lost, in thousandths.
    pub gossip_loss: u32,
    /// Gossip that comes again, in thousandths.
    pub gossip_double: u32,
    /// Gossip that is late by up to most of the schedule, in thousandths.
    pub gossip_late: u32,
    /// Gossip with a flipped bit, in thousandths.
    pub gossip_damage: u32,
    /// Frames on streams with a flipped bit, in thousandths.
    pub frame_damage: u32,
    /// Frames of a bulk with a flipped bit, in thousandths, on top.
    pub chunk_damage: u32,
    /// Commits that fail, in thousandths.
    pub commit_failure: u32,
    /// Wall clocks may show anything.
    pub wrong_clocks: bool,
    /// Restored stores come back with the lineage that they had, as a restored machine image does, in thousandths.
    pub unnoticed: u32,
    /// Milliseconds between hellos.
    pub anti_entropy_ms: u64,
    /// Many small chunks, small windows and short logs: a bulk takes so long that much happens meanwhile.
    pub long_bulks: bool,
    /// Writes at machines that are busy with a bulk, in thousandths.
    pub busy: u32,
}

impl Faults {
    /// Draws a schedule's faults. `replicas` overrides how many there are.
    pub fn draw(seed: u64, replicas: Option<usize>) -> Self {
        let mut draw = Draw::new(seed, stream::FAULTS);
        let some = |draw: &mut Draw, share: u32, most: u64| -> u32 {
            let rate = draw.magnitude(1, most);
            if draw.chance(share) { u32::try_from(rate).unwrap_or(u32::MAX) } else { 0 }
        };
        let drawn = draw.range(2, 4) + if draw.chance(250) { draw.range(0, 3) } else { 0 };
        let restore = some(&mut draw, 220, 4);
        let clone = some(&mut draw, 60, 2);
        let crash = some(&mut draw, 500, 6);
        let crash = if restore > 0 { crash.max(1) } else { crash };
        let clocks = draw.chance(400);
        let weights = [
            draw.range(12, 40).try_into().unwrap_or(30),      // Write
            some(&mut draw, 500, 8),                          // Burst
            some(&mut draw, 200, 2),                          // Abandon
            draw.range(6, 20).try_into().unwrap_or(10),       // Connect
            some(&mut draw, 700, 12),                         // Cut
            some(&mut draw, 400, 6),                          // Block
            draw.range(1, 6).try_into().unwrap_or(3),         // Heal
            crash,                                            // Crash
            draw.range(1, 8).try_into().unwrap_or(4),         // Restart
            restore,                                          // Restore
            clone,                                            // Clone
            if clocks { some(&mut draw, 700, 4) } else { 0 }, // ClockJump
            if clocks { some(&mut draw, 400, 3) } else { 0 }, // ClockFreeze
            some(&mut draw, 200, 3),                          // Sleep
            some(&mut draw, 300, 4),                          // Stall
            some(&mut draw, 250, 4),                          // FailCommit
            draw.range(1, 6).try_into().unwrap_or(3),         // Wait
        ];
        let long_bulks = draw.chance(200);
        let pause_us = draw.magnitude(100, 60_000);
        let usual_us = draw.magnitude(50, 200_000);
        Self {
            replicas: replicas.unwrap_or(usize::try_from(drawn).unwrap_or(3)),
            clones: if clone > 0 { 2 } else { 0 },
            rows: if long_bulks { 64 } else { draw.index(57) + 8 },
            steps: draw.range(36, 80),
            weights,
            pause_us,
            latency: Latency {
                usual_us: if long_bulks { usual_us.max(pause_us * 3) } else { usual_us },
                slow_per_mille: some(&mut draw, 500, 60),
            },
            disk_us: draw.magnitude(10, 100_000),
            gossip_loss: some(&mut draw, 600, 400),
            gossip_double: some(&mut draw, 500, 300),
            gossip_late: some(&mut draw, 500, 300),
            gossip_damage: some(&mut draw, 150, 40),
            frame_damage: some(&mut draw, 80, 8),
            chunk_damage: some(&mut draw, 80, 60),
            commit_failure: some(&mut draw, 200, 60),
            wrong_clocks: clocks,
            unnoticed: if draw.chance(350) { 1000 } else { 0 },
            anti_entropy_ms: draw.magnitude(100, 30_000),
            long_bulks,
            busy: if draw.chance(300) { u32::try_from(draw.range(200, 900)).unwrap_or(500) } else { 0 },
        }
    }

    /// Draws how one machine is configured.
    pub fn config(&self, seed: u64, machine: usize) -> Config {
        let mut draw = Draw::new(seed, stream::MACHINE + machine as u64);
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let mut config = Config::new(SpaceId([7; 32]));
        let small = self.long_bulks;
        // A log that reaches back over a bulk, and not over an absence, is what its tail needs.
        config.log_bytes = match draw.below(4) {
            0 => 0,
            _ => draw.magnitude(256, if small { 4096 } else { 8 << 20 }),
        };
        config.chunk_bytes = size(if small { draw.range(1, 64) } else { draw.magnitude(1, 64 << 10) });
        config.window_bytes = size(if small { draw.range(1, 64) } else { draw.magnitude(1, 1 << 20) });
        config.early_bytes = size(draw.magnitude(64, 256 << 10));
        config.push = match draw.below(4) {
            0 => Push::Streams,
            1 => Push::Gossip,
            2 => Push::Auto(2),
            _ => Push::Off,
        };
        config.anti_entropy_ms = self.anti_entropy_ms;
        config.sweep_after_ms = draw.magnitude(1, 30_000);
        config.hub = draw.chance(300);
        // Small leaves: else no schedule has so many rows that the tree has more than one.
        let leaf = Draw::new(seed, stream::TREE).magnitude(1, 256);
        config.leaf_dots = size(leaf);
        config
    }
}
