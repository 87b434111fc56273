//! Makes a failing schedule small: fewer machines, then fewer steps (delta debugging, Zeller and Hildebrandt 2002).
//!
//! A step draws from a stream of its own, so leaving it out leaves the others what they were. What counts is that the
//! same rule is broken; the words may differ.

use crate::simulation::{Outcome, Plan, Simulation};

/// Most schedules run to shrink one.
const TRIES: usize = 3000;

/// The smallest plan found that breaks the same rule.
pub fn shrink(plan: &Plan, outcome: &Outcome) -> Plan {
    let Some(failure) = &outcome.failure else { return plan.clone() };
    let mut search = Search { rule: failure.violation.rule, best: plan.clone(), tries: 0 };
    // What was not reached cannot matter.
    let mut cut = plan.clone();
    cut.skipped.extend(failure.step + 1..outcome.steps);
    search.accept(cut);
    search.fewer_machines(outcome.replicas);
    search.fewer_steps(outcome.steps);
    search.fewer_machines(outcome.replicas);
    search.best
}

struct Search {
    rule: &'static str,
    best: Plan,
    tries: usize,
}

impl Search {
    /// Keeps a plan if it still fails.
    fn accept(&mut self, plan: Plan) -> bool {
        self.tries += 1;
        let outcome = Simulation::new(plan.clone()).run();
        let same = outcome.failure.is_some_and(|failure| failure.violation.rule == self.rule);
        if same {
            self.best = plan;
        }
        same
    }

    fn fewer_machines(&mut self, drawn: usize) {
        let now = self.best.replicas.unwrap_or(drawn);
        for replicas in 2..now {
            if self.accept(Plan { replicas: Some(replicas), ..self.best.clone() }) {
                break;
            }
        }
    }

    /// Leaves out ever smaller stretches of what is left, until no single step can go.
    fn fewer_steps(&mut self, steps: u64) {
        let kept = |plan: &Plan| (0..steps).filter(|step| !plan.skips(*step)).collect::<Vec<_>>();
        let mut size = kept(&self.best).len().div_ceil(2).max(1);
        while self.tries < TRIES {
            let before = kept(&self.best);
            let mut shorter = false;
            for stretch in before.chunks(size) {
                let mut plan = self.best.clone();
                plan.skipped.extend(stretch);
                shorter |= self.accept(plan);
            }
            if !shorter && size == 1 {
                break;
            }
            if !shorter {
                size = size.div_ceil(2);
            }
        }
    }
}
