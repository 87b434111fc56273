//! Aligned ranges of seqs: what the nodes of a live tree cover.

use alloc::vec::Vec;

use super::{BLOCK_BITS, NODE};
use crate::id::ReplicaId;
use crate::tree::{self, RADIX_BITS};

/// A range of one replica's seqs: those whose upper bits are `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    pub(crate) replica: ReplicaId,
    pub(crate) bits: u32,
    pub(crate) index: u64,
}

impl Range {
    pub(crate) const fn top(replica: ReplicaId, seq: u64) -> Self {
        Self { replica, bits: tree::top_bits(seq), index: 0 }
    }

    /// A range that exists: aligned, and within what seqs there are.
    pub(crate) fn new(replica: ReplicaId, bits: u32, index: u64) -> Option<Self> {
        let whole = bits == u64::BITS && index == 0;
        let part = bits < u64::BITS && bits.is_multiple_of(RADIX_BITS) && index <= u64::MAX >> bits;
        (whole || part).then_some(Self { replica, bits, index })
    }

    pub(crate) const fn first(&self) -> u64 {
        if self.bits == u64::BITS { 0 } else { self.index << self.bits }
    }

    pub(crate) const fn last(&self) -> u64 {
        if self.bits == u64::BITS { u64::MAX } else { self.first() | ((1 << self.bits) - 1) }
    }

    pub(crate) fn children(self) -> impl Iterator<Item = (u8, Self)> {
        (0..1_u8 << RADIX_BITS).map(move |child| (child, self.child(child)))
    }

    /// One of its sixteen parts. A single seq has none.
    pub(crate) fn child(&self, child: u8) -> Self {
        Self { bits: self.bits - RADIX_BITS, index: self.index << RADIX_BITS | u64::from(child), ..*self }
    }

    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(26);
        key.push(NODE);
        key.extend_from_slice(self.replica.as_bytes());
        key.push(self.bits.to_be_bytes()[3]);
        key.extend_from_slice(&self.index.to_be_bytes());
        key
    }

    /// The blocks among `blocks` that it overlaps.
    pub(super) fn within<'a>(&self, blocks: &'a [u64]) -> &'a [u64] {
        let start = blocks.partition_point(|block| *block < self.first() >> BLOCK_BITS);
        let end = blocks.partition_point(|block| *block <= self.last() >> BLOCK_BITS);
        &blocks[start..end]
    }
}
