//! How views read and write rows, wherever the rows lie: in memory, in an engine, in a transaction being written.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use thiserror::Error;

use crate::error::KeyError;
use crate::id::ReplicaId;
use crate::row::{DeltaError, Entry, Object, Payload, RowKey};
use crate::value::ValueError;

/// A write that cannot be made, or a read that cannot be asked for. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum DataError {
    /// The path or element cannot be a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The value cannot be stored.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A counter would pass the largest total that it can hold.
    #[error("the counter cannot go that far: a replica's own total ends at 2^64 - 1")]
    CounterFull,
    /// The transaction is too large.
    #[error(transparent)]
    Delta(#[from] DeltaError),
}

/// Live entries, by row. Reads that one borrow makes see one state.
pub trait ReadRows {
    /// What can go wrong: nothing but [`DataError`] in memory, the store's errors elsewhere.
    type Error: From<DataError>;

    /// The live entries of a row in dot order; more than one only after concurrent writes.
    fn entries(&self, key: &RowKey) -> Result<Vec<Entry>, Self::Error>;

    /// Visits the live rows of an object from element `from` on, in key order, until the visitor breaks.
    fn scan(
        &self,
        object: &Object,
        from: &[u8],
        visit: &mut dyn FnMut(&RowKey, &[Entry]) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;
}

/// A transaction: rows replaced or removed whole. Reads see its own writes.
pub trait WriteRows: ReadRows {
    /// The replica that writes.
    fn author(&self) -> ReplicaId;

    /// Replaces the row: kills what is live in it and puts `payload`.
    fn put(&mut self, key: RowKey, payload: Payload) -> Result<(), Self::Error>;

    /// Kills what is live in the row. Nothing happens when nothing is.
    fn remove(&mut self, key: RowKey) -> Result<(), Self::Error>;
}
