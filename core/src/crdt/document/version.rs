//! Versions of a document, and who made them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use automerge::{Automerge, ChangeHash};

use super::wrong;
use crate::error::CodecError;
use crate::id::{ReplicaId, parse_hex, write_hex};
use crate::row::DataError;

/// Bytes of an actor that is a replica and a time.
const ACTOR: usize = 24;
/// Most changes that a version is named by.
const HEADS: usize = 256;

/// A state of a document: everything up to some changes of which none stands on another. It means the same on every
/// device that has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Vec<ChangeHash>);

/// Hexadecimal digits, 64 for each change, joined by dots. An empty document's version is `0`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0");
        }
        for (index, hash) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "." })?;
            write_hex(f, &hash.0)?;
        }
        Ok(())
    }
}

impl FromStr for Version {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        if text == "0" {
            return Ok(Self::default());
        }
        let hashes = text.split('.').take(HEADS + 1).map(|part| parse_hex::<32>(part).map(ChangeHash));
        let mut hashes: Vec<ChangeHash> = hashes.collect::<Option<_>>().ok_or(CodecError::Malformed)?;
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.len() > HEADS { Err(CodecError::Malformed) } else { Ok(Self(hashes)) }
    }
}

/// A change of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The document with it, and with what its author had seen.
    pub version: Version,
    /// Who made it; `None` for a container that everybody makes alike, and for what Automerge itself made.
    pub author: Option<ReplicaId>,
    /// When, by the author's clock, in seconds since 1970.
    pub seconds: i64,
    /// How many operations it has: characters, puts, removals.
    pub operations: u64,
    /// What its author said of it.
    pub message: Option<String>,
}

/// The version that a document is.
pub fn version(doc: &Automerge) -> Version {
    Version(doc.get_heads())
}

/// A document at a version of it, to be read. A version that was made of changes that are not here is an error.
pub fn at(doc: &Automerge, version: &Version) -> Result<Automerge, DataError> {
    if let Some(missing) = version.0.iter().find(|hash| doc.get_change_meta_by_hash(hash).is_none()) {
        return Err(wrong(std::format!(
            "change {missing} of this version is not on this device: it may not have arrived yet"
        )));
    }
    if version.0.is_empty() { Ok(super::empty()) } else { Ok(doc.fork_at(&version.0)?) }
}

/// Every change of a document, those first that others stand on.
pub fn history(doc: &Automerge) -> Vec<Edit> {
    let mut changes = doc.get_changes_meta(&[]);
    // Operations are numbered beyond all that their author had seen.
    changes.sort_by_key(|change| (change.start_op, change.hash));
    changes
        .into_iter()
        .map(|change| Edit {
            version: Version(alloc::vec![change.hash]),
            author: author((*change.actor).as_ref()),
            seconds: change.timestamp,
            operations: (change.max_op + 1).saturating_sub(change.start_op),
            message: change.message.map(|text| text.to_string()),
        })
        .collect()
}

/// The replica that an actor is.
fn author(actor: &[u8]) -> Option<ReplicaId> {
    let (replica, _) = actor.split_first_chunk()?;
    (actor.len() == ACTOR).then(|| ReplicaId::from_bytes(*replica))
}
