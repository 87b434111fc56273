//! Rows that name their writer, when the writer gets a new id.

use crate::id::ReplicaId;
use crate::row::{Payload, RowKey};

/// What a row says of the replica that its element names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// All that the replica has counted.
    Total,
    /// So much of that is taken back.
    Note,
}

/// What a data type whose rows name replicas does when own writes that nobody has seen get a new id: what others know
/// stays in the old row, and the new row holds what came after.
pub trait Carry: Sync {
    /// Whom a row names, and as what.
    fn named(&self, key: &RowKey) -> Option<(ReplicaId, Named)>;

    /// The row that says this of another replica.
    fn row_of(&self, key: &RowKey, replica: &ReplicaId, named: Named) -> Option<RowKey>;

    /// A total without the largest of what stays behind.
    fn less(&self, key: &RowKey, total: &Payload, stays: &[Payload]) -> Option<Payload>;

    /// A note of no more than a total.
    fn at_most(&self, key: &RowKey, note: &Payload, total: &Payload) -> Option<Payload>;
}
