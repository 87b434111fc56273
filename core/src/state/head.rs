//! What is kept for each replica that ever wrote, and for this one.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, VersionVector};
use crate::codec;
use crate::error::CodecError;
use crate::id::{
    Chain, DeviceKey, Dot, Nonce, ReplicaId, Signature, SpaceId, VectorDigest, cut, domain, hash,
};
use crate::identity::{Identity, signed_head};
use crate::row::{Deps, chain_start};
use crate::state::tags::{ChainTag, Tags};
pub(crate) use crate::store::STORE_FORMAT;

/// The first version with a tree.
pub(crate) const FIRST_WITH_TREE: u32 = 2;

/// Keys of [`crate::store::Table::Meta`].
pub(crate) mod meta_key {
    pub(crate) const FORMAT: &[u8] = b"format";
    pub(crate) const SPACE: &[u8] = b"space";
    pub(crate) const OWN: &[u8] = b"own";
    pub(crate) const FEED: &[u8] = b"feed";
    pub(crate) const INDEXES: &[u8] = b"indexes";
    pub(crate) const UNDO: &[u8] = b"undo";
}

/// One replica, as far as it is known here: about 350 bytes, kept for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// How many of its dots are known.
    pub(crate) seq: u64,
    /// Its chain at `seq`.
    pub(crate) chain: Chain,
    /// The device that vouches for it.
    pub(crate) device: DeviceKey,
    /// With the device and the space it makes the replica id.
    pub(crate) nonce: Nonce,
    /// The device's signature on `chain` at `seq`.
    pub(crate) signature: Signature,
    /// The log is complete for it above this seq.
    pub(crate) floor: u64,
    /// Two histories were seen under this id: it is retired, and exchanged by bulk only.
    pub(crate) forked: bool,
    /// The chains at the ends of the last deltas before `seq`.
    pub(crate) tags: Tags,
}

/// A head as stores of format 2 have it.
#[derive(Serialize, Deserialize)]
struct HeadWithoutTags {
    seq: u64,
    chain: Chain,
    device: DeviceKey,
    nonce: Nonce,
    signature: Signature,
    floor: u64,
    forked: bool,
}

fn seal(replica: &ReplicaId, head: &[u8]) -> [u8; 8] {
    cut(&hash(domain::STORED_HEAD, &[replica.as_bytes(), head]))
}

impl Head {
    /// The head of a replica that has written nothing yet.
    pub(crate) fn start(space: &SpaceId, replica: &ReplicaId, device: DeviceKey, nonce: Nonce) -> Self {
        Self {
            seq: 0,
            chain: chain_start(space, replica),
            device,
            nonce,
            signature: Signature([0; 64]),
            floor: 0,
            forked: false,
            tags: Tags::default(),
        }
    }

    /// What is stored: the head and its seal. The signature covers seq and chain; if a bit of the tags flipped, the history
    /// that is known here would seem to be another one.
    pub(crate) fn encode(&self, replica: &ReplicaId) -> Vec<u8> {
        let mut bytes = codec::encode(self);
        let seal = seal(replica, &bytes);
        bytes.extend_from_slice(&seal);
        bytes
    }

    /// Reads a stored head. Those that were not written since a store had format 2 have neither tags nor a seal.
    pub(crate) fn decode(replica: &ReplicaId, bytes: &[u8]) -> Result<Self, CodecError> {
        let sealed = bytes.split_last_chunk().filter(|(head, end)| seal(replica, head) == **end);
        if let Some((head, _)) = sealed {
            return codec::decode(head);
        }
        let HeadWithoutTags { seq, chain, device, nonce, signature, floor, forked } = codec::decode(bytes)?;
        Ok(Self { seq, chain, device, nonce, signature, floor, forked, tags: Tags::default() })
    }

    /// Its chain, cut.
    pub(crate) fn tag(&self) -> ChainTag {
        cut(&self.chain.0)
    }

    /// Moves on to the end of the next delta.
    pub(crate) fn advance(&mut self, seq: u64, chain: Chain, before: u64) {
        if before > 0 {
            self.tags.push(before, &self.chain);
        }
        (self.seq, self.chain) = (seq, chain);
    }

    /// Whether this history passes through a place, as far as the head and its tags tell.
    pub(crate) fn passes(&self, seq: u64, tag: &ChainTag) -> Option<bool> {
        match seq.cmp(&self.seq) {
            core::cmp::Ordering::Less => self.tags.pass(seq, tag),
            core::cmp::Ordering::Equal => Some(self.tag() == *tag),
            core::cmp::Ordering::Greater => None,
        }
    }

    /// Whether the key, the nonce and the signature vouch for `replica` at this seq and chain.
    pub(crate) fn is_vouched_for(
        &self,
        space: &SpaceId,
        replica: &ReplicaId,
        identity: &dyn Identity,
    ) -> bool {
        ReplicaId::derive(&self.device, space, &self.nonce) == *replica
            && identity.verify(
                &self.device,
                &signed_head(space, replica, self.seq, &self.chain),
                &self.signature,
            )
    }
}

/// A head with its author's signature on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignedHead {
    pub(crate) replica: ReplicaId,
    pub(crate) seq: u64,
    pub(crate) chain: Chain,
    pub(crate) signature: Signature,
}

impl SignedHead {
    pub(crate) fn of(replica: &ReplicaId, head: &Head) -> Self {
        let Head { seq, chain, signature, .. } = *head;
        Self { replica: *replica, seq, chain, signature }
    }

    /// Its chain, cut.
    pub(crate) fn tag(&self) -> ChainTag {
        cut(&self.chain.0)
    }
}

/// Every known replica.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads(pub(crate) BTreeMap<ReplicaId, Head>);

impl Heads {
    pub(crate) fn get(&self, replica: &ReplicaId) -> Option<&Head> {
        self.0.get(replica)
    }

    pub(crate) fn seq(&self, replica: &ReplicaId) -> u64 {
        self.0.get(replica).map_or(0, |head| head.seq)
    }

    pub(crate) fn contains(&self, dot: &Dot) -> bool {
        dot.seq != 0 && dot.seq <= self.seq(&dot.replica)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ReplicaId, &Head)> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn vector(&self) -> VersionVector {
        self.0.iter().map(|(replica, head)| (*replica, head.seq)).collect()
    }

    pub(crate) fn digest(&self) -> VectorDigest {
        crate::clock::digest_of(self.0.iter().map(|(replica, head)| (*replica, head.seq)))
    }

    /// Whether everything that a delta depends on is known. `replay` says that it comes from a log replay, whose
    /// arrival order proves a digest.
    pub(crate) fn meets(&self, deps: &Deps, replay: bool) -> bool {
        match deps {
            Deps::Dots(dots) => dots.iter().all(|dot| self.contains(dot)),
            Deps::Digest(digest) => replay || *digest == self.digest(),
        }
    }
}

/// The id that this store writes under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Incarnation {
    pub(crate) replica: ReplicaId,
    pub(crate) nonce: Nonce,
}

/// The store's own state, rewritten with each commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Own {
    /// Where the store was when this was written.
    pub(crate) lineage: [u8; 16],
    /// The id that it writes under; none before the first write, and none after that id was retired.
    pub(crate) incarnation: Option<Incarnation>,
    #[serde(with = "postcard::fixint::le")]
    pub(crate) clock: u64,
    /// The maximal dots.
    pub(crate) frontier: Vec<Dot>,
    pub(crate) log: LogBounds,
}

impl Own {
    pub(crate) const fn clock(&self) -> Timestamp {
        Timestamp(self.clock)
    }
}

/// Which arrival numbers the log holds, and how many bytes of deltas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogBounds {
    /// The oldest number held, or `next` when none is.
    pub(crate) first: u64,
    /// The number of the next delta.
    pub(crate) next: u64,
    /// Bytes of the deltas held.
    pub(crate) bytes: u64,
}

/// Replicas whose heads changed since the last commit left.
pub(crate) type ChangedHeads = BTreeSet<ReplicaId>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_of_a_stored_head_is_believed() {
        let (space, replica) = (SpaceId([1; 32]), ReplicaId::from_u128(1));
        let mut head = Head::start(&space, &replica, DeviceKey([2; 32]), Nonce([3; 16]));
        head.advance(4, Chain([4; 32]), 0);
        head.advance(9, Chain([5; 32]), 4);
        let bytes = head.encode(&replica);
        assert_eq!(Head::decode(&replica, &bytes), Ok(head));
        assert!(Head::decode(&ReplicaId::from_u128(2), &bytes).is_err(), "another one's");
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Head::decode(&replica, &bytes).is_err(), "bit {bit}");
        }
    }
}
