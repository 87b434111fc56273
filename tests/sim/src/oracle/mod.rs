//! The oracle: a plain record of what was issued, and what follows from it.
//!
//! It knows one thing about the engine's data: *a put is live wherever it is known and no mutation that killed it is*.
//! From the record and a replica's vector, taken as plain numbers, that gives the rows that the replica must show. None of
//! the engine's merge, vector or tree code is used here; replicas, rows, puts and mutations are small numbers.

mod happened;
mod ledger;
mod record;
mod view;

use std::collections::BTreeMap;
use std::fmt;

use rejoin_core::id::Root;

pub use happened::check_winner;
pub use ledger::{Ledger, Number};
pub use record::{Author, Issued, Mutation, Put, Record};
pub use view::{View, check_row};

/// What an invariant check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule, by its name in DESIGN.md where it has one.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Makes a violation.
pub fn broken<T>(rule: &'static str, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { rule, what: what.into() })
}

/// What a replica has seen: by author number, how many of its dots.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vector(Vec<u64>);

impl Vector {
    /// How many dots of an author.
    pub fn seq(&self, author: usize) -> u64 {
        self.0.get(author).copied().unwrap_or(0)
    }

    /// Counts dots of an author. Zeros are not kept at the end, so that equal vectors are equal.
    pub fn set(&mut self, author: usize, seq: u64) {
        if self.0.len() <= author {
            if seq == 0 {
                return;
            }
            self.0.resize(author + 1, 0);
        }
        self.0[author] = seq;
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    /// Whether all of `other` is known here.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|(author, seq)| seq <= self.seq(author))
    }

    /// Authors and their counts.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.0.iter().copied().enumerate()
    }
}

/// Everything that the checks remember.
#[derive(Debug)]
pub struct Oracle {
    /// What was issued.
    pub record: Record,
    /// What is owed at the end whatever dots mean.
    pub ledger: Ledger,
    /// Whether rows must be exactly what the record says. False once a dot may mean two things.
    pub exact: bool,
    /// Some engine reported a fork.
    pub fork_seen: bool,
    /// Stores went back in time or were cloned.
    pub went_back: bool,
    roots: BTreeMap<Root, Vector>,
    vectors: BTreeMap<Vector, Root>,
}

impl Oracle {
    /// Nothing was issued yet.
    pub fn new() -> Self {
        Self {
            record: Record::default(),
            ledger: Ledger::default(),
            exact: true,
            fork_seen: false,
            went_back: false,
            roots: BTreeMap::new(),
            vectors: BTreeMap::new(),
        }
    }

    /// A store went back in time: dots may come to mean something else, so old roots say nothing any more.
    pub fn forget_roots(&mut self) {
        self.went_back = true;
        self.roots.clear();
        self.vectors.clear();
    }

    /// I6: of all durable states ever looked at, equal roots have equal vectors, and the other way round.
    pub fn check_root(&mut self, root: Root, vector: &Vector) -> Result<(), Violation> {
        if !self.exact {
            return Ok(());
        }
        let before = self.roots.entry(root).or_insert_with(|| vector.clone());
        if before != vector {
            return broken("I6", format!("root {root:?} stands for {before:?} and for {vector:?}"));
        }
        let before = *self.vectors.entry(vector.clone()).or_insert(root);
        if before != root {
            return broken("I6", format!("{vector:?} has root {before:?} and root {root:?}"));
        }
        Ok(())
    }
}

impl Default for Oracle {
    fn default() -> Self {
        Self::new()
    }
}
