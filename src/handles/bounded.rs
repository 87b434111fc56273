//! Bounded counters.

use std::collections::BTreeMap;

use rejoin_core::ReplicaId;
use rejoin_core::crdt::BoundedCounterView;

use super::At;
use crate::{Commit, Result, Watch};

/// A number that does not fall below zero, also while devices take from it that cannot reach each other: each takes what it
/// has added or was given, and no more. A refusal is [`DataError::NoRights`](rejoin_core::row::DataError::NoRights).
///
/// A device that was restored from a backup or copied has no rights until somebody gives it some.
#[derive(Clone, Debug)]
pub struct BoundedCounter(pub(crate) At<BoundedCounterView>);

impl BoundedCounter {
    /// Adds `n`, which are then this device's to take or to give.
    pub fn increment(&self, n: u64) -> Commit<()> {
        self.0.write(|view, tx| view.increment(tx, n))
    }

    /// Takes `n`. Fails when this device may not take so much, even if others may. Hand out what was taken when this is on
    /// the disk, as with anything that must not happen twice.
    pub fn decrement(&self, n: u64) -> Commit<()> {
        self.0.write(|view, tx| view.decrement(tx, n))
    }

    /// Gives `n` of this device's rights to another replica, which names itself by [`Space::author`](crate::Space::author).
    /// Rights of a device that is gone for good are out of reach, so a device that leaves gives its own away first.
    pub fn transfer(&self, to: &ReplicaId, n: u64) -> Commit<()> {
        self.0.write(|view, tx| view.transfer(tx, to, n))
    }

    /// The number. Below zero only after a device was put back or copied unnoticed and took twice what it had once.
    pub fn value(&self) -> Result<i64> {
        self.0.read(|view, rows| view.value(rows))
    }

    /// How much this device may take or give.
    pub fn rights(&self) -> Result<i64> {
        match self.0.space.author()? {
            Some(own) => self.rights_of(&own),
            None => Ok(0),
        }
    }

    /// How much a replica may take or give, as far as is known here.
    pub fn rights_of(&self, replica: &ReplicaId) -> Result<i64> {
        self.0.read(|view, rows| view.rights_of(rows, replica))
    }

    /// The same of every replica that ever had any.
    pub fn all_rights(&self) -> Result<BTreeMap<ReplicaId, i64>> {
        self.0.read(|view, rows| view.rights(rows))
    }

    /// The number whenever it may have changed, first as it is.
    pub fn watch(&self) -> Watch<i64> {
        self.0.watch(|at| at.read(|view, rows| view.value(rows)))
    }
}
