//! Deltas: what one transaction did, as one unit of causality, transport and visibility.
//!
//! Canonical bytes (postcard; hashed into the chain, stored in the log, never sent in another form that cannot be turned
//! back into exactly these):
//!
//! | field | bytes |
//! |---|---|
//! | replica | 16 |
//! | first_seq, len | varints, both at least 1 |
//! | timestamp | 8, little endian |
//! | deps | 0 and up to 16 sorted dots, or 1 and the 16-byte digest of the author's vector |
//! | puts | count, then (offset, row key, payload), by rising offset |
//! | kills | count, then (replica, runs), by rising replica |
//!
//! Every transaction burns at least one dot, removals too: else two replicas could have equal vectors and different data
//! (Yjs issue 374 is that mistake).

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::Timestamp;
use crate::codec::{self, BoundedVec};
use crate::error::CodecError;
use crate::id::{Chain, Dot, ReplicaId, SpaceId, VectorDigest, domain, hash};
use crate::limits::{DELTA_BYTES, DELTA_DOTS, DELTA_KILL_RUNS, DELTA_PUTS, DEPS};
use crate::row::{DotRuns, Entry, Payload, RowKey};

/// One put of a delta: the entry with dot `first_seq + offset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Which of the delta's dots, from 0.
    pub offset: u32,
    /// The row.
    pub key: RowKey,
    /// What the row holds from now on.
    pub payload: Payload,
}

/// What a delta depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deps {
    /// The author's frontier, sorted.
    Dots(BoundedVec<Dot, DEPS>),
    /// The digest of the author's whole vector, when its frontier is wider than 16 dots.
    Digest(VectorDigest),
}

impl Deps {
    /// The named dots; none for a digest.
    pub fn dots(&self) -> &[Dot] {
        match self {
            Self::Dots(dots) => dots,
            Self::Digest(_) => &[],
        }
    }
}

/// One transaction of one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The author.
    pub replica: ReplicaId,
    /// Its first dot.
    pub first_seq: u64,
    /// How many dots it burns.
    pub len: u64,
    #[serde(with = "postcard::fixint::le")]
    timestamp: u64,
    /// The author's past.
    pub deps: Deps,
    /// New live entries.
    pub puts: BoundedVec<Put, DELTA_PUTS>,
    /// Dots that die.
    pub kills: DotRuns,
}

/// Why a delta is not one. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DeltaError {
    /// More puts, kills or bytes than [`crate::limits`] allows.
    #[error("the transaction is too large: at most {DELTA_PUTS} rows and {DELTA_BYTES} bytes; split it")]
    TooLarge,
    /// Numbers that cannot be: no dots, offsets out of order, a dependency on its own future.
    #[error("the delta contradicts itself")]
    Contradiction,
    /// The bytes are no canonical delta.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl Delta {
    /// Puts a delta together and checks it.
    pub fn new(
        first: Dot,
        len: u64,
        timestamp: Timestamp,
        deps: Deps,
        puts: Vec<Put>,
        kills: DotRuns,
    ) -> Result<Self, DeltaError> {
        let puts = BoundedVec::new(puts).ok_or(DeltaError::TooLarge)?;
        let Dot { replica, seq: first_seq } = first;
        let delta = Self { replica, first_seq, len, timestamp: timestamp.0, deps, puts, kills };
        delta.check()?;
        Ok(delta)
    }

    /// Reads canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DeltaError> {
        if bytes.len() > DELTA_BYTES {
            return Err(DeltaError::TooLarge);
        }
        let delta: Self = codec::decode(bytes)?;
        delta.check()?;
        Ok(delta)
    }

    /// Its canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The dot that names it: its last.
    pub const fn last(&self) -> Dot {
        Dot::new(self.replica, self.last_seq())
    }

    /// The seq of its last dot.
    pub const fn last_seq(&self) -> u64 {
        self.first_seq + (self.len - 1)
    }

    /// The author's hybrid time; all its entries carry it.
    pub const fn timestamp(&self) -> Timestamp {
        Timestamp(self.timestamp)
    }

    /// Its puts as entries.
    pub fn entries(&self) -> impl Iterator<Item = (&RowKey, Entry)> {
        self.puts.iter().map(|put| {
            let dot = Dot::new(self.replica, self.first_seq + u64::from(put.offset));
            (&put.key, Entry::new(&put.key, dot, self.timestamp(), put.payload.clone()))
        })
    }

    /// The rows that it puts something into, with the dots of that.
    pub(crate) fn put_rows(&self) -> impl Iterator<Item = (Dot, &RowKey)> {
        self.puts.iter().map(|put| (Dot::new(self.replica, self.first_seq + u64::from(put.offset)), &put.key))
    }

    /// The head of the author's chain after this delta. `bytes` are its canonical bytes.
    pub fn chain(&self, space: &SpaceId, previous: &Chain, bytes: &[u8]) -> Chain {
        Chain(hash(domain::CHAIN, &[&space.0, self.replica.as_bytes(), &previous.0, bytes]))
    }

    /// What a delta may mean, whoever sent it.
    fn check(&self) -> Result<(), DeltaError> {
        if self.len > DELTA_DOTS || self.kills.run_count() > DELTA_KILL_RUNS {
            return Err(DeltaError::TooLarge);
        }
        let sound = self.first_seq >= 1
            && self.len >= 1
            && self.first_seq.checked_add(self.len).is_some_and(|end| end < u64::MAX)
            && self.puts.windows(2).all(|pair| pair[0].offset < pair[1].offset)
            && self.puts.last().is_none_or(|put| u64::from(put.offset) < self.len)
            && self.deps.dots().windows(2).all(|pair| pair[0].replica < pair[1].replica)
            && self.deps.dots().iter().all(|dot| dot.seq >= 1 && self.is_past(dot.replica, dot.seq))
            && self.kills.iter().all(|(replica, runs)| {
                runs.first().is_some_and(|seq| seq >= 1)
                    && runs.last().is_some_and(|seq| self.is_past(*replica, seq))
            });
        if sound { Ok(()) } else { Err(DeltaError::Contradiction) }
    }

    /// Whether a dot can lie in this delta's past: it is another's, or an earlier one of its author.
    fn is_past(&self, replica: ReplicaId, seq: u64) -> bool {
        replica != self.replica || seq < self.first_seq
    }
}

/// The head of a replica's chain before its first delta.
pub(crate) fn chain_start(space: &SpaceId, replica: &ReplicaId) -> Chain {
    Chain(hash(domain::CHAIN_START, &[&space.0, replica.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Kind, Object, Runs};

    fn dot(replica: u128, seq: u64) -> Dot {
        Dot::new(ReplicaId::from_u128(replica), seq)
    }

    fn put(offset: u32) -> Put {
        let key = Object::new(Kind::OR_SET, "s").unwrap().row(&offset.to_be_bytes()).unwrap();
        Put { offset, key, payload: Payload::default() }
    }

    fn delta(
        first: u64,
        len: u64,
        offsets: &[u32],
        deps: &[Dot],
        kills: &[Dot],
    ) -> Result<Delta, DeltaError> {
        let deps = Deps::Dots(BoundedVec::new(deps.to_vec()).unwrap());
        let puts = offsets.iter().map(|offset| put(*offset)).collect();
        Delta::new(dot(1, first), len, Timestamp(5), deps, puts, kills.iter().copied().collect())
    }

    #[test]
    fn a_delta_round_trips_and_every_bit_counts_in_its_chain() {
        let delta = delta(4, 2, &[0, 1], &[dot(1, 3), dot(2, 8)], &[dot(1, 2), dot(2, 1)]).unwrap();
        let bytes = delta.encode();
        assert_eq!(Delta::decode(&bytes).unwrap(), delta);
        let space = SpaceId([7; 32]);
        let start = chain_start(&space, &delta.replica);
        let head = delta.chain(&space, &start, &bytes);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = Delta::decode(&flipped) {
                assert_eq!(other.encode(), flipped, "bit {bit}: one meaning, one encoding");
                assert_ne!(other.chain(&space, &start, &flipped), head);
            }
        }
    }

    #[test]
    fn absurd_deltas_are_refused() {
        use DeltaError::{Contradiction, TooLarge};
        assert_eq!(delta(1, 0, &[], &[], &[]), Err(Contradiction), "burns no dot");
        assert_eq!(delta(0, 1, &[], &[], &[]), Err(Contradiction), "seq 0");
        assert_eq!(delta(u64::MAX, 1, &[], &[], &[]), Err(Contradiction), "past the last seq");
        assert_eq!(delta(1, 1, &[1], &[], &[]), Err(Contradiction), "offset beyond its dots");
        assert_eq!(delta(1, 2, &[1, 0], &[], &[]), Err(Contradiction), "offsets out of order");
        assert_eq!(delta(5, 1, &[], &[dot(1, 5)], &[]), Err(Contradiction), "depends on itself");
        assert_eq!(delta(5, 1, &[], &[dot(2, 1), dot(2, 2)], &[]), Err(Contradiction), "deps not a frontier");
        assert_eq!(delta(5, 1, &[], &[], &[dot(1, 5)]), Err(Contradiction), "kills itself");
        assert_eq!(delta(1, DELTA_DOTS + 1, &[], &[], &[]), Err(TooLarge));
        let mut kills = DotRuns::default();
        kills.insert_runs(ReplicaId::from_u128(2), &Runs::from_range(0, 3));
        let deps = Deps::Dots(BoundedVec::default());
        let zero = Delta::new(dot(1, 1), 1, Timestamp(0), deps, Vec::new(), kills);
        assert_eq!(zero, Err(Contradiction), "kills seq 0");
    }
}
