//! What two histories of one device lost.
//!
//! A device that was restored or cloned unnoticed has written twice under the same names. What nobody had heard of gets new
//! names by itself; of what both sides had told already one is kept in the space, the same everywhere, and the other is set
//! aside on the devices that saw it go.

use rejoin_core::ReplicaId;
use rejoin_core::Value;
use rejoin_core::clock::Timestamp;
use rejoin_core::row::{Entry, Kind};

use crate::changes::{key_of, value_of};
use crate::{Result, Space};

/// An entry that is not in the space any more because its author's id has two histories.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// The kind of its object.
    pub kind: Kind,
    /// The path of its object.
    pub path: String,
    /// The key of a map or the element of a set; `None` for objects of one row, and for counters.
    pub key: Option<Value>,
    /// What it said: the value of a map or a register; for a set or a counter only that there was something.
    pub value: Value,
    /// Under which id it was written.
    pub author: ReplicaId,
    /// When, by the author's clock.
    pub time: Timestamp,
    entry: Entry,
}

impl Space {
    /// What two histories of one device lost, as far as this device held it: at most 16 MiB, the oldest. Some of it was
    /// removed by somebody in the ordinary way, which nothing can tell apart: look before you write it again.
    pub fn lost(&self) -> Result<Vec<Lost>> {
        let mut lost = Vec::new();
        self.replica().visit_forks(&mut |key, entry| {
            lost.push(Lost {
                kind: key.kind(),
                path: key.path().to_owned(),
                key: key_of(key),
                value: value_of(key, entry),
                author: entry.dot.replica,
                time: entry.timestamp(),
                entry: entry.clone(),
            });
        })?;
        Ok(lost)
    }

    /// Lets go of one of them for good; whether it was there.
    pub fn forget_lost(&self, lost: &Lost) -> Result<bool> {
        Ok(self.replica().forget_fork(&lost.entry)?)
    }
}
