//! What a transaction did to rows, kept so that it can be taken back.
//!
//! An act names what it wrote and says what was there before. What it wrote is named by dot and time: the dot alone may come
//! to mean another write where two stores write under one id.

use alloc::vec::Vec;
use core::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::Dot;
use crate::row::{Entry, Payload, RowKey};

/// Which entry of a row: its dot, and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) dot: Dot,
    time: u64,
}

impl Name {
    pub(crate) const fn new(dot: Dot, time: Timestamp) -> Self {
        Self { dot, time: time.0 }
    }

    pub(crate) const fn of(entry: &Entry) -> Self {
        Self { dot: entry.dot, time: entry.timestamp().0 }
    }
}

/// An entry that a transaction killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Was {
    pub(crate) name: Name,
    pub(crate) payload: Payload,
}

/// An entry that it wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wrote {
    pub(crate) name: Name,
    /// What it says, where that is a running total: the difference is what is taken back then.
    pub(crate) total: Option<Payload>,
}

/// What a transaction did to one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Did {
    pub(crate) key: RowKey,
    /// What was live there, the newest first.
    pub(crate) before: Vec<Was>,
    /// Nothing when it removed the row.
    pub(crate) wrote: Option<Wrote>,
}

impl Did {
    pub(crate) fn new(key: &RowKey, live: &[Entry], wrote: Option<Wrote>) -> Self {
        let mut sorted: Vec<&Entry> = live.iter().collect();
        sorted.sort_unstable_by_key(|entry| Reverse(entry.rank()));
        let was = |entry: &Entry| Was { name: Name::of(entry), payload: entry.payload.clone() };
        Self { key: key.clone(), before: sorted.into_iter().map(was).collect(), wrote }
    }

    /// Whether a row that holds `live` is as the transaction left it.
    pub(crate) fn is_untouched(&self, live: &[Entry]) -> bool {
        match &self.wrote {
            Some(wrote) => live.len() == 1 && Name::of(&live[0]) == wrote.name,
            None => live.is_empty(),
        }
    }
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Act {
    /// Its last dot.
    pub(crate) dot: Dot,
    pub(crate) rows: Vec<Did>,
    /// Rows that it changed and that are not listed, since nothing takes them back.
    pub(crate) kept: u64,
}

/// What became of a transaction that was to be taken back, or done again: its rows, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// Rows that are as they were before, and counters that were turned back.
    pub rows: u64,
    /// Rows that were left alone since somebody has written there.
    pub left: u64,
    /// Rows that are not taken back: changes of a document, keys of acts that are done once, what a grow-only counter
    /// has counted, rights that were given away or are spent.
    pub fixed: u64,
}
