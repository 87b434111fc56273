//! Version vectors (Parker et al., Detection of Mutual Inconsistency in Distributed Systems, 1983).
//!
//! Sequence numbers of a replica have no gaps here, ever: an entry `r -> n` means that every dot `r:1..=n` was received.
//! "I have seen that dot and do not hold it" then means that it was killed, and no tombstone is needed.

use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{Dot, ReplicaId, VectorDigest, cut, domain, hash};

/// How two histories relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Causality {
    /// The left one is part of the right one's past.
    Before,
    /// The right one is part of the left one's past.
    After,
    /// The same history.
    Equal,
    /// Each has something that the other has not.
    Concurrent,
}

/// What a replica has received: for each replica the number of its dots, without gaps.
///
/// A replica that is not listed counts as 0, and 0 is never stored, so equal vectors are equal maps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionVector(BTreeMap<ReplicaId, u64>);

impl VersionVector {
    /// The empty vector: nothing seen.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// How many dots of `replica` are known; 0 when it is unknown.
    pub fn seq(&self, replica: &ReplicaId) -> u64 {
        self.0.get(replica).copied().unwrap_or(0)
    }

    /// Whether the dot was received. Dots count from 1: seq 0 is no dot.
    pub fn contains(&self, dot: &Dot) -> bool {
        dot.seq != 0 && dot.seq <= self.seq(&dot.replica)
    }

    /// Makes and counts the next dot of `replica`.
    pub fn tick(&mut self, replica: ReplicaId) -> Dot {
        let seq = self.0.entry(replica).or_insert(0);
        *seq = seq.checked_add(1).expect("a replica makes fewer than 2^64 dots");
        Dot::new(replica, *seq)
    }

    /// Counts every dot of `replica` up to `seq` as received. Never goes back.
    pub fn observe(&mut self, replica: ReplicaId, seq: u64) {
        if seq > self.seq(&replica) {
            self.0.insert(replica, seq);
        }
    }

    /// The least vector that covers both.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(replica, seq)| self.observe(replica, seq));
    }

    /// Whether everything in `other` is known here.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|(replica, seq)| self.seq(&replica) >= seq)
    }

    /// How the history of `self` relates to that of `other`.
    pub fn compare(&self, other: &Self) -> Causality {
        match (self.covers(other), other.covers(self)) {
            (true, true) => Causality::Equal,
            (true, false) => Causality::After,
            (false, true) => Causality::Before,
            (false, false) => Causality::Concurrent,
        }
    }

    /// Replicas and their counts, in id order.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, u64)> + '_ {
        self.0.iter().map(|(replica, seq)| (*replica, *seq))
    }

    /// How many replicas ever wrote, as far as known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A hash that names this vector.
    pub fn digest(&self) -> VectorDigest {
        digest_of(self.iter())
    }
}

/// The digest of the vector with these entries, given in id order.
pub(crate) fn digest_of(entries: impl Iterator<Item = (ReplicaId, u64)>) -> VectorDigest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&hash(domain::VECTOR, &[]));
    for (replica, seq) in entries {
        hasher.update(&Dot::new(replica, seq).to_bytes());
    }
    VectorDigest(cut(hasher.finalize().as_bytes()))
}

impl FromIterator<(ReplicaId, u64)> for VersionVector {
    fn from_iter<I: IntoIterator<Item = (ReplicaId, u64)>>(entries: I) -> Self {
        let mut vector = Self::new();
        entries.into_iter().for_each(|(replica, seq)| vector.observe(replica, seq));
        vector
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn vector(counts: &[u8]) -> VersionVector {
        counts.iter().zip(1..).map(|(n, r)| (ReplicaId::from_u128(r), u64::from(n % 4))).collect()
    }

    quickcheck! {
        fn merge_is_the_least_upper_bound(a: (u8, u8, u8), b: (u8, u8, u8)) -> bool {
            let (a, b) = (vector(&[a.0, a.1, a.2]), vector(&[b.0, b.1, b.2]));
            let (mut ab, mut ba) = (a.clone(), b.clone());
            ab.merge(&b);
            ba.merge(&a);
            let tight = ab.iter().all(|(r, n)| n == a.seq(&r).max(b.seq(&r)));
            ab == ba && ab.digest() == ba.digest() && ab.covers(&a) && ab.covers(&b) && tight
        }

        fn compare_is_what_covers_says(a: (u8, u8), b: (u8, u8)) -> bool {
            let (a, b) = (vector(&[a.0, a.1]), vector(&[b.0, b.1]));
            let mirrored = match a.compare(&b) {
                Causality::Before => Causality::After,
                Causality::After => Causality::Before,
                same => same,
            };
            b.compare(&a) == mirrored && (a.compare(&b) == Causality::Equal) == (a == b)
        }
    }

    #[test]
    fn a_dot_is_known_from_one_up_to_the_count() {
        let mut vv = VersionVector::new();
        let r = ReplicaId::from_u128(1);
        assert_eq!(vv.tick(r), Dot::new(r, 1));
        assert!(vv.contains(&Dot::new(r, 1)));
        assert!(!vv.contains(&Dot::new(r, 2)) && !vv.contains(&Dot::new(r, 0)));
    }
}
