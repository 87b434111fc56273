//! Logical time: who has seen what, and a total order for what nobody ordered.
//!
//! Causality is decided by version vectors alone; a write kills what it saw. The hybrid clock only breaks ties among
//! truly concurrent entries, so a wrong wall clock can never block, hide or reorder causally related writes.

mod frontier;
mod hybrid;
mod lamport;
mod token;
mod version_vector;

pub use frontier::Frontier;
pub use hybrid::{HybridClock, Timestamp};
pub use lamport::Lamport;
pub use token::Token;
pub(crate) use version_vector::digest_of;
pub use version_vector::{Causality, VersionVector};
