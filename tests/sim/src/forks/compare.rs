//! Many schedules under each rule, and the table.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::rule::Rule;
use super::schedule;
use super::truth::{Counts, Lost};
pub use super::world::Images;
use crate::run::seed_of;

/// How to compare.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// From which the seeds of all schedules follow.
    pub base: u64,
    /// How many schedules for each rule.
    pub schedules: u64,
    /// How many at a time.
    pub threads: usize,
    /// How images are taken.
    pub images: Images,
}

/// Runs the schedules under one rule. The sum does not depend on how many threads there are.
pub fn run(rule: Rule, options: Options) -> Counts {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Counts::default());
    let work = || {
        let mut counts = Counts::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= options.schedules {
                break;
            }
            counts += schedule::run(seed_of(options.base, index), rule, options.images);
        }
        *total.lock().expect("no thread panics while it holds this") += counts;
    };
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(work);
        }
    });
    total.into_inner().expect("no thread panics while it holds this")
}

/// The head of the table.
#[derive(Clone, Copy, Debug)]
pub struct Header;

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "lost: kept in a table of forks + gone without trace")?;
        write!(
            f,
            "{:<11} {:>15} {:>15} {:>13} {:>13} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}",
            "rule",
            "unpublished",
            "published",
            "bystanders",
            "hostile",
            "harmed",
            "zombies",
            "doubled",
            "diverged",
            "renames",
            "kept dead"
        )
    }
}

/// One rule's row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row(pub Rule, pub Counts);

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = |lost: Lost| format!("{} + {}", lost.kept, lost.gone);
        let counts = &self.1;
        write!(
            f,
            "{:<11} {:>15} {:>15} {:>13} {:>13} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}",
            self.0.name,
            lost(counts.unpublished),
            lost(counts.published),
            lost(counts.bystanders),
            lost(counts.hostile),
            counts.harmed,
            counts.zombies,
            counts.duplicates,
            counts.diverged,
            counts.renames,
            counts.kept_dead
        )
    }
}
