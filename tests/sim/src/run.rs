//! Many schedules on a few threads. The result does not depend on how many threads there are.

use std::collections::BTreeMap;
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
    /// How often each rule was violated (with and without a fork), and the first seed that did; more than one only when a run goes on.
    pub violations: BTreeMap<(&'static str, bool), (u64, u64, u64)>,
}

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// From which the seeds of all schedules follow.
    pub base: u64,
    /// How many schedules.
    pub schedules: u64,
    /// How many at a time.
    pub threads: usize,
    /// A rule that the engines leave out.
    pub planted: Planted,
    /// Go on after a violation.
    pub keep_going: bool,
}

/// The seed of a run's schedule number `index`.
pub const fn seed_of(base: u64, index: u64) -> u64 {
    // Short enough to be read aloud and typed.
    mix(base.wrapping_add(mix(index))) >> 16
}

/// Whether a schedule whose engines leave a rule out fails with the rule in force, too.
fn fails_anyway(plan: &Plan) -> bool {
    let sound = Plan { planted: Planted::default(), ..plan.clone() };
    plan.planted != sound.planted && Simulation::new(sound).run().failure.is_some()
}

/// Runs schedules until one fails, or all of them.
pub fn run(options: Options) -> Run {
    let Options { base, schedules, threads, planted, keep_going } = options;
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
            if let Some(failure) = &outcome.failure
                && !fails_anyway(&plan)
            {
                if !keep_going {
                    // Schedules before this one still run: the first by number is the one that is told.
                    end.fetch_min(index, Ordering::Relaxed);
                }
                let mut total = total.lock().expect("no thread panics while it holds this");
                let entry = total
                    .violations
                    .entry((failure.violation.rule, failure.forked))
                    .or_insert((0, index, plan.seed));
                *entry = (entry.0 + 1, entry.1.min(index), if index < entry.1 { plan.seed } else { entry.2 });
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
