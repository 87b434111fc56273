//! Counters.

use rejoin_core::crdt::PnCounterView;

use super::At;
use crate::{Commit, Result, Watch};

/// A number that everybody adds to, up and down. The sum of what anybody added, that nobody has reset.
#[derive(Clone, Debug)]
pub struct Counter(pub(crate) At<PnCounterView>);

impl Counter {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) -> Commit<()> {
        self.0.write(|view, tx| view.add(tx, n))
    }

    /// Takes away what this device sees now. What others add at the same time stays.
    pub fn reset(&self) -> Commit<()> {
        self.0.write(|view, tx| view.reset(tx))
    }

    /// The number.
    pub fn get(&self) -> Result<i64> {
        self.0.read(|view, rows| view.value(rows))
    }

    /// The number whenever it may have changed, first as it is.
    pub fn watch(&self) -> Watch<i64> {
        self.0.watch(|at| at.read(|view, rows| view.value(rows)))
    }
}
