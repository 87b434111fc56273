//! One schedule, from a seed to a verdict.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use rejoin_core::planted::Planted;

use crate::counters::Counters;
use crate::draw::{Draw, stream};
use crate::oracle::Violation;
use crate::world::World;

/// What to run: a seed, and what of its schedule to leave out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Run with this many machines instead of as many as the seed says.
    pub replicas: Option<usize>,
    /// Steps to leave out.
    pub skipped: BTreeSet<u64>,
    /// Whether machines keep a change feed; unless it is said the seed decides. One more commit now and then is another
    /// schedule, so what was kept without stays without.
    pub feed: Option<bool>,
    /// A rule that the engines leave out.
    pub planted: Planted,
    /// Print what happens.
    pub print: bool,
}

impl Plan {
    /// The whole schedule of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Whether machines keep a change feed.
    pub fn has_feed(&self) -> bool {
        self.feed.unwrap_or_else(|| Draw::new(self.seed, stream::FEED).chance(500))
    }

    pub(crate) fn skips(&self, step: u64) -> bool {
        self.skipped.contains(&step)
    }
}

/// A schedule, ready to run.
///
/// ```
/// let outcome = rejoin_sim::Simulation::new(rejoin_sim::Plan::new(1)).run();
/// assert_eq!(outcome.failure, None);
/// ```
#[derive(Debug)]
pub struct Simulation(Plan);

/// What came of a schedule.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What went wrong, if anything did.
    pub failure: Option<Failure>,
    /// What it met.
    pub counters: Counters,
    /// Hash over everything that happened.
    pub trace: u64,
    /// How many steps the seed has.
    pub steps: u64,
    /// How many machines it began with.
    pub replicas: usize,
}

/// A violation, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was violated.
    pub violation: Violation,
    /// Whether a dot was in use twice by then.
    pub forked: bool,
    /// In which step.
    pub step: u64,
    /// At what simulated time, in microseconds.
    pub at_us: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forked = if self.forked { " (after a fork)" } else { "" };
        write!(f, "step {}, {} ms{forked}: {}", self.step, self.at_us / 1000, self.violation)
    }
}

impl Simulation {
    /// A simulation of a plan.
    pub const fn new(plan: Plan) -> Self {
        Self(plan)
    }

    /// Runs it. A panic, in an engine or in a check, counts as a violation.
    pub fn run(self) -> Outcome {
        hush();
        let mut world = World::new(self.0);
        QUIET.set(true);
        let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
        QUIET.set(false);
        let result = ended.unwrap_or_else(|panic| {
            let what = MESSAGE.take().unwrap_or_else(|| text(panic.as_ref()));
            Err(Violation { rule: "panic", what })
        });
        world.counters.schedules = 1;
        world.counters.time_us = world.now;
        let forked = !world.oracle.exact;
        let failure =
            result.err().map(|violation| Failure { forked, violation, step: world.step, at_us: world.now });
        Outcome {
            failure,
            counters: core::mem::take(&mut world.counters),
            trace: world.trace.hash(),
            steps: world.faults.steps,
            replicas: world.faults.replicas,
        }
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps panics of simulated engines off the terminal; they are reported as violations, with their place.
fn hush() {
    static HUSH: Once = Once::new();
    HUSH.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if QUIET.get() {
                MESSAGE.set(Some(panic.to_string().replace('\n', " ")));
            } else {
                usual(panic);
            }
        }));
    });
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into())
}
