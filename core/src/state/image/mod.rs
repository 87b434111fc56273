//! Images: one space, or several, in one compact file, to be kept elsewhere and to come back from.
//!
//! Problem: a backup has to be consistent while its node writes, small, and worth more than hope: damage in it must be
//! found before anything rests on it, and what comes back from it must be right among replicas that went on meanwhile.
//!
//! Idea: an image holds what a store cannot recompute, in the order of a scan. Content hashes, the index of dots, the tree
//! and its root follow from rows and heads, so they are recomputed at loading and compared. The log stays behind: a loaded
//! store says so by its floors, and peers serve it or are served by bulk. So does the stage. Rows come from one snapshot of
//! durable commits, with the root that the engine named for it, and the writer holds the index of dots and that root
//! against the rows: a damaged store does not become a good-looking image. A loaded store lies nowhere that it was
//! written in, so opening it gives up its id before the first write (rule H6).
//!
//! An image begins with `rejoinim` and its version (1 byte: 1). Blocks follow: kind (1), length (4, little endian), bytes,
//! and 8 bytes of hash("rejoin/1/image", number of the block (8 LE), kind, bytes). Blocks come in this order, those from
//! `space` to `close` once for each space:
//!
//! | kind | bytes |
//! |---|---|
//! | 1 space | space id, format of a store that has these records, time in ms, root (32), rows (a forecast), clock (fix8), option of (replica id, nonce), facts of the host: count, then name and value (bytes) |
//! | 2 heads | count, then replica id and head (bytes, as in a store), by rising id over all such blocks |
//! | 3 frontier | count, then dots |
//! | 4 forks | count, then key and value (bytes, as in a store), by rising key |
//! | 5 entries | see `entries.rs`, by rising row key and dot |
//! | 6 close | rows, entries, sum of the content hashes modulo 2^128 (16, LE) |
//! | 7 end | spaces, BLAKE3 (32) of every byte before this block |
//!
//! Limits: [`BLOCK_BYTES`] for a block, [`BLOCK_ENTRIES`] and [`RAW_BYTES`] for what entries of one block unfold to.

mod column;
mod entries;
mod frame;
mod read;
#[cfg(test)]
mod tests;
mod write;

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{BoundedBytes, BoundedVec};
use crate::id::{ReplicaId, Root, SpaceId};
use crate::state::head::Incarnation;

pub use frame::{ImageSink, ImageSource, looks_like_image};
pub use read::{ImageReader, Part, completed};
pub use write::ImageWriter;

/// The newest format of an image that is read here, and the one that is written.
pub const IMAGE_FORMAT: u8 = 1;
/// Largest block: what [`RAW_BYTES`] can take up when nothing of it gets smaller.
pub const BLOCK_BYTES: usize = 2 * 1024 * 1024;
/// Most entries in one block: their places in it are two bytes.
pub const BLOCK_ENTRIES: usize = 4096;
/// Most bytes that the columns of one block unfold to: a block is full beyond a quarter of it, and the largest entry takes
/// another.
pub const RAW_BYTES: usize = 1024 * 1024;
/// Most heads, dots or forks in one block.
const LISTED: usize = 1024;
/// Largest head, and largest entry of the table of forks, as stored.
const RECORD_BYTES: usize = 512 * 1024;
/// Most facts of the host.
const FACTS: usize = 16;
/// Largest of them: a list of addresses.
const FACT_BYTES: usize = 64 * 1024;

/// The lineage of a store that was loaded from an image: no file lies there, so wherever it is opened, it is elsewhere.
pub(super) const NOWHERE: [u8; 16] = [0xff; 16];

/// An image that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// Something else.
    #[error("it is not a backup of rejoin")]
    NotAnImage,
    /// Written by a later version of rejoin.
    #[error("it has format {found}, this version reads up to {known}: update rejoin")]
    Newer {
        /// Its format.
        found: u8,
        /// The newest that is known here.
        known: u8,
    },
    /// The bytes are not what was written, or nobody's honest image.
    #[error("it is damaged before byte {at}: {why}")]
    Damaged {
        /// How far it was read.
        at: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// Reading failed.
    #[error("it cannot be read: {0}")]
    Source(String),
}

/// A fact of the host that goes with a space, such as its name: what it is called, and its bytes.
pub type Fact = (String, Vec<u8>);

/// What an image says about a space before its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The space.
    pub space: SpaceId,
    /// When the image was made, in milliseconds since 1970 by the clock of whoever made it.
    pub made_ms: u64,
    /// The root of what follows.
    pub root: Root,
    /// How many rows are to come, as far as their host knew; [`Contents`] has what came.
    pub rows: u64,
    /// The id that its store wrote under, if it had one. A store that is made of the image gives it up.
    pub replica: Option<ReplicaId>,
    /// What its host keeps beside it.
    pub facts: Vec<Fact>,
}

/// What an image holds of one space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Live rows.
    pub rows: u64,
    /// Live entries: more than rows only after concurrent writes.
    pub entries: u64,
    /// Replicas that ever wrote.
    pub replicas: u64,
}

/// The block `space`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Opening {
    space: SpaceId,
    format: u32,
    made_ms: u64,
    root: Root,
    rows: u64,
    #[serde(with = "postcard::fixint::le")]
    clock: u64,
    incarnation: Option<Incarnation>,
    facts: BoundedVec<(BoundedBytes<64>, BoundedBytes<FACT_BYTES>), FACTS>,
}

/// The blocks `heads` and `forks`.
type Records<K> = BoundedVec<(K, BoundedBytes<RECORD_BYTES>), LISTED>;
type ForkKey = BoundedBytes<64>;

/// The block `close`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Closing {
    rows: u64,
    entries: u64,
    sum: [u8; 16],
}

impl Closing {
    /// Adds an entry, in whatever order they come. Finds what chance does; hashes and root stand against the rest.
    fn add(&mut self, hash: &crate::id::ContentHash) {
        self.entries += 1;
        let sum = u128::from_le_bytes(self.sum).wrapping_add(u128::from_le_bytes(hash.0));
        self.sum = sum.to_le_bytes();
    }
}
