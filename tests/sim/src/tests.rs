//! The simulator's own tests: a few hundred schedules, the kept ones, and that a seed says it all.

use crate::draw::mix;
use crate::run::{run, seed_of};
use crate::{Plan, Simulation, seeds};

#[test]
fn three_hundred_schedules_pass() {
    let done = run(1, 300, 2, Default::default());
    let failed = done.failed.and_then(|(_, plan, outcome)| Some((plan.seed, outcome.failure?)));
    assert_eq!(failed, None);
}

#[test]
fn a_seed_says_it_all() {
    for index in 0..10 {
        let plan = Plan::new(seed_of(mix(2), index));
        let [a, b] = [0, 1].map(|_| Simulation::new(plan.clone()).run());
        assert_eq!((a.trace, a.counters), (b.trace, b.counters), "seed {}", plan.seed);
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let [one, two] = [1, 2].map(|threads| run(3, 20, threads, Default::default()).counters);
    assert_eq!(one, two);
}

#[test]
fn kept_seeds_pass() {
    for (name, plan) in seeds::kept().unwrap() {
        assert_eq!(Simulation::new(plan).run().failure, None, "{name}");
    }
}
