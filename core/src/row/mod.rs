//! Rows and the one merge rule.
//!
//! The state of a space is a flat set of *entries*, each live in one row, each named by the dot that wrote it. A
//! transaction makes one *delta*: puts (entries, one dot each) and kills (exactly the dots that were live, at the author,
//! in the rows that it replaced or removed). **An entry is live until some delta kills its dot**, and that serves every
//! data type: see [`merge`] for the rule and why it needs no tombstones.
//!
//! The framework is that of delta-state CRDTs with a causal context (Almeida, Shoker, Baquero, arXiv 1603.01529) over
//! flat elements, as in Riak's bigsets (arXiv 1605.06424).

mod access;
mod act;
mod carry;
mod delta;
mod dot_set;
mod entry;
pub(crate) mod expiry;
mod key;
mod memory;
pub mod merge;
mod runs;
pub(crate) mod stored;

pub(crate) use access::scan_under;
pub use access::{DataError, ReadRows, VisitRows, WriteRows, Writes};
pub use act::Undone;
pub(crate) use act::{Act, Did, Name, Wrote};
pub use carry::{Carry, Named};
pub(crate) use delta::chain_start;
pub use delta::{Delta, DeltaError, Deps, Put};
pub use dot_set::DotSet;
pub use entry::{Entry, Payload};
pub use expiry::expiry;
pub use key::{Kind, Object, RowKey};
pub use memory::{Gap, Rows, RowsDelta};
pub use runs::{DotRuns, Runs};
