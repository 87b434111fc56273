//! The messages of a bulk: what is on offer, what is compared, what is told.

use serde::{Deserialize, Serialize};

use crate::codec::{BoundedBytes, BoundedVec};
use crate::id::{ContentHash, Dot, ReplicaId};
use crate::limits::{CHUNK_ENTRIES, CHUNK_RUNS, COMPARE_PARTS, COMPARED_PARTS, FRAME_REPLICAS, LEAF_BYTES};
use crate::row::{DotRuns, Runs};
use crate::state::BulkHead;
use crate::sync::frame::{BulkEntry, Table};
use crate::sync::message::Tag;
use crate::tree::LEAF_DOTS;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BulkAsk {
    /// Counts the bulks asked for on this stream.
    pub(crate) round: u32,
    /// What is staged here.
    pub(crate) staged: DotRuns,
    /// Vectors are equal and roots are not: send every live entry, known or not.
    pub(crate) deep: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BulkChunk {
    pub(crate) round: u32,
    pub(crate) replica: ReplicaId,
    /// The chunk tells of every seq after the chunk before, up to and with this one.
    pub(crate) upto: u64,
    /// The live ones of them.
    pub(crate) live: Runs,
    /// Contents of live dots that the receiver has staged, by rising seq.
    pub(crate) staged: BoundedVec<ContentHash, CHUNK_ENTRIES>,
    /// Entries that the receiver lacks, and all live ones of a replica that forked.
    pub(crate) entries: Table<BulkEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BulkHeads {
    pub(crate) round: u32,
    /// Replicas that the receiver knows as far as the sender.
    pub(crate) known: BoundedVec<Dot, FRAME_REPLICAS>,
    /// The others, with what vouches for them.
    pub(crate) heads: BoundedVec<BulkHead, FRAME_REPLICAS>,
    pub(crate) frontier: BoundedVec<Dot, FRAME_REPLICAS>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BulkEnd {
    pub(crate) round: u32,
    /// Chunks, heads and parts of the tail that there were. What a lost chunk told would pass for dead.
    pub(crate) frames: u64,
}

/// A bulk on offer. The vector is fixed here, before anything under it is compared or read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offer {
    /// Counts the offers of this side on this stream.
    pub(crate) number: u32,
    pub(crate) replicas: BoundedVec<Offered, FRAME_REPLICAS>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offered {
    pub(crate) replica: Tag,
    pub(crate) seq: u64,
    /// How much of it the receiver has seen, as far as is known; what lies above will be told.
    pub(crate) seen: u64,
    /// The live root of the dots up to there.
    pub(crate) live: Tag,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accept {
    /// Which offer.
    pub(crate) number: u32,
    /// Counts the bulks asked for on this stream.
    pub(crate) round: u32,
    /// What is staged here.
    pub(crate) staged: DotRuns,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Compare {
    pub(crate) round: u32,
    /// None: everything was compared.
    pub(crate) parts: BoundedVec<Part, COMPARE_PARTS>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Compared {
    pub(crate) round: u32,
    pub(crate) children: BoundedVec<Part, COMPARED_PARTS>,
    pub(crate) leaves: BoundedVec<Leaf, COMPARED_PARTS>,
    /// That was all that was asked for.
    pub(crate) last: bool,
}

/// Names a node of a replica's live tree: the seqs whose bits above `bits` are `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Which replica, by its place in the offer.
    pub(crate) at: u32,
    pub(crate) bits: u8,
    pub(crate) index: u64,
}

/// A node with the hashes of its children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) place: Place,
    /// Which children are not empty, the first in the lowest bit. None: it is a leaf.
    pub(crate) mask: u16,
    /// Their hashes.
    pub(crate) tags: BoundedVec<Tag, 16>,
}

/// A node with the dots that are live below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leaf {
    pub(crate) place: Place,
    pub(crate) live: LiveSet,
}

/// Live seqs, less the first one of their range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LiveSet {
    Runs(BoundedVec<(u64, u64), LEAF_DOTS>),
    /// What lies between each and the one before.
    Gaps(BoundedVec<u64, LEAF_DOTS>),
    Bitmap(BoundedBytes<LEAF_BYTES>),
}

const _: () = assert!(CHUNK_RUNS >= CHUNK_ENTRIES, "a chunk's live dots fit in its runs");
