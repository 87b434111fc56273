//! Engines with one rule left out, each of which the checks must catch: an oracle that was never seen to fail proves
//! nothing.

use rejoin_core::planted::{Planted, Rule};

use crate::run::{Options, run};

/// How one broken rule was caught.
#[derive(Clone, Debug)]
pub struct Catch {
    /// The rule.
    pub rule: Rule,
    /// Schedules run until the first violation, its seed, and what was violated; `None` when it survived.
    pub caught: Option<(u64, u64, String)>,
}

/// Runs the general schedules, with no tests of their own, against one rule.
pub fn hunt(rule: Rule, base: u64, schedules: u64, threads: usize) -> Catch {
    let failed =
        run(Options { base, schedules, threads, planted: Planted::without(rule), keep_going: false }).failed;
    let caught = failed.and_then(|(index, plan, outcome)| {
        Some((index + 1, plan.seed, outcome.failure?.violation.to_string()))
    });
    Catch { rule, caught }
}
