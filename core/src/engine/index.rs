//! Secondary indexes: see [`crate::index`].

use alloc::vec::Vec;

use crate::engine::Engine;
use crate::index::IndexSpec;
use crate::store::{Store, StoreError};

impl<S: Store> Engine<S> {
    /// Goes one step, of some two thousand rows, towards having an index; `true` once it lists every row, in memory: it is kept
    /// from the next commit on. Changes that are made between steps are entered by themselves.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn build_index(&mut self, index: &IndexSpec) -> Result<bool, StoreError> {
        self.space.build_index(index)
    }

    /// Goes one step towards not having an index; `true` once nothing of it is left, in memory. It is not used any more from the
    /// first step on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn drop_index(&mut self, index: &IndexSpec) -> Result<bool, StoreError> {
        self.space.drop_index(index)
    }

    /// Gives up all that is kept beside the data, because it was found wrong: the feed's readers find a gap, and an index that is
    /// built again is built from the rows.
    pub fn give_up_derived(&mut self) {
        self.space.give_up_feed();
        self.space.give_up_indexes();
    }

    /// Which indexes there are.
    pub fn indexes(&self) -> Vec<IndexSpec> {
        self.space.indexes()
    }
}
