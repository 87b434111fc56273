//! Many schedules on a few threads. The result does not depend on how many threads there are.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rejoin_core::planted::Planted;

use crate::counters::Counters;
use crate::draw::mix;
use crate::simulation::{Outcome, Plan, Simulation};

/// What came of many schedules.
#[derive(Debug, Default)]
pub struct Run {
    /// What they met.
    pub counters: Counters,
    /// The first one that failed, by its place in the run.
    pub failed: Option<(u64, Plan, Outcome)>,
}

/// The seed of a run's schedule number `index`.
pub const fn seed_of(base: u64, index: u64) -> u64 {
    // Short enough to be read aloud and typed.
    mix(base.wrapping_add(mix(index))) >> 16
}

/// Runs schedules until one fails.
pub fn run(base: u64, schedules: u64, threads: usize, planted: Planted) -> Run {
    let next = AtomicU64::new(0);
    let end = AtomicU64::new(schedules);
    let total = Mutex::new(Run::default());
    let work = || {
        let mut counters = Counters::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= end.load(Ordering::Relaxed) {
                break;
            }
            let plan = Plan { planted, ..Plan::new(seed_of(base, index)) };
            let outcome = Simulation::new(plan.clone()).run();
            counters.merge(&outcome.counters);
            if outcome.failure.is_some() {
                // Schedules before this one still run: the first by number is the one that is told.
                end.fetch_min(index, Ordering::Relaxed);
                let mut total = total.lock().expect("no thread panics while it holds this");
                if total.failed.as_ref().is_none_or(|(first, ..)| index < *first) {
                    total.failed = Some((index, plan, outcome));
                }
            }
        }
        total.lock().expect("no thread panics while it holds this").counters.merge(&counters);
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    total.into_inner().expect("no thread panics while it holds this")
}
