//! Sets of dots as runs of consecutive seqs: kills of a delta, live dots of a snapshot, staged dots.
//!
//! | field | meaning |
//! |---|---|
//! | gap | seqs left out since the previous run; at least 1 except before the first run |
//! | len - 1 | seqs in the run, less one |
//!
//! Both are varints, so a dense set costs about two bytes a run. A run is never walked seq by seq on a peer's word: it
//! may claim 2^63 of them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::codec::BoundedVec;
use crate::id::{Dot, ReplicaId};
use crate::limits::CHUNK_RUNS;

/// A set of seqs of one replica, as sorted runs `(first, last)` that neither touch nor overlap.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct Runs(Vec<(u64, u64)>);

impl Runs {
    /// The run `first..=last`.
    pub fn from_range(first: u64, last: u64) -> Self {
        if first <= last { Self(alloc::vec![(first, last)]) } else { Self::default() }
    }

    /// Adds a seq. Cheap at the end, where ordered input goes.
    pub fn insert(&mut self, seq: u64) {
        self.insert_range(seq, seq);
    }

    /// Adds `first..=last`, joining the runs that it touches.
    pub fn insert_range(&mut self, mut first: u64, mut last: u64) {
        // The runs from `start` to `end` touch the new one and melt into it.
        let start = self.0.partition_point(|run| run.1 < first.saturating_sub(1));
        let end = self.0.partition_point(|run| run.0 <= last.saturating_add(1));
        if start < end {
            first = first.min(self.0[start].0);
            last = last.max(self.0[end - 1].1);
        }
        self.0.splice(start..end, [(first, last)]);
    }

    /// Whether it holds `seq`.
    pub fn contains(&self, seq: u64) -> bool {
        let at = self.0.partition_point(|run| run.1 < seq);
        self.0.get(at).is_some_and(|run| run.0 <= seq)
    }

    /// The runs as `(first, last)`, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// The largest seq.
    pub fn last(&self) -> Option<u64> {
        self.0.last().map(|run| run.1)
    }

    /// The smallest seq.
    pub fn first(&self) -> Option<u64> {
        self.0.first().map(|run| run.0)
    }

    /// How many runs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is the empty set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u64> for Runs {
    fn from_iter<I: IntoIterator<Item = u64>>(seqs: I) -> Self {
        let mut runs = Self::default();
        seqs.into_iter().for_each(|seq| runs.insert(seq));
        runs
    }
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|run| run.0..=run.1)).finish()
    }
}

impl Serialize for Runs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut next = 0;
        let pairs = self.0.iter().map(|(first, last)| {
            let pair = (first - next, last - first);
            next = last.saturating_add(1);
            pair
        });
        serializer.collect_seq(pairs)
    }
}

impl<'de> Deserialize<'de> for Runs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = BoundedVec::<(u64, u64), CHUNK_RUNS>::deserialize(deserializer)?;
        let mut runs = Vec::with_capacity(pairs.len());
        let mut next = 0_u64;
        for (index, (gap, extra)) in pairs.iter().copied().enumerate() {
            if index > 0 && gap == 0 {
                return Err(de::Error::custom("runs that touch"));
            }
            let first = next.checked_add(gap);
            let last = first.and_then(|first| first.checked_add(extra));
            let (Some(first), Some(last)) = (first, last.filter(|last| *last < u64::MAX)) else {
                return Err(de::Error::custom("a run past the last seq"));
            };
            runs.push((first, last));
            next = last + 1;
        }
        Ok(Self(runs))
    }
}

/// A set of dots, by replica. No replica is listed without a dot.
#[derive(Clone, Debug, PartialEq, Eq, Default, Hash, Serialize)]
#[serde(transparent)]
pub struct DotRuns(BTreeMap<ReplicaId, Runs>);

impl DotRuns {
    /// Adds a dot.
    pub fn insert(&mut self, dot: Dot) {
        self.0.entry(dot.replica).or_default().insert(dot.seq);
    }

    /// Adds all of `runs` of `replica`.
    pub fn insert_runs(&mut self, replica: ReplicaId, runs: &Runs) {
        for (first, last) in runs.iter() {
            self.0.entry(replica).or_default().insert_range(first, last);
        }
    }

    /// Whether it holds the dot.
    pub fn contains(&self, dot: &Dot) -> bool {
        self.0.get(&dot.replica).is_some_and(|runs| runs.contains(dot.seq))
    }

    /// The seqs of one replica, if it has any here.
    pub fn runs(&self, replica: &ReplicaId) -> Option<&Runs> {
        self.0.get(replica)
    }

    /// Replicas and their seqs, in id order.
    pub fn iter(&self) -> impl Iterator<Item = (&ReplicaId, &Runs)> {
        self.0.iter()
    }

    /// How many runs over all replicas.
    pub fn run_count(&self) -> usize {
        self.0.values().map(Runs::len).sum()
    }

    /// Whether it is the empty set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Dot> for DotRuns {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut set = Self::default();
        dots.into_iter().for_each(|dot| set.insert(dot));
        set
    }
}

impl<'de> Deserialize<'de> for DotRuns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<ReplicaId, Runs>::deserialize(deserializer)?;
        if map.values().any(Runs::is_empty) {
            return Err(de::Error::custom("a replica without a dot"));
        }
        Ok(Self(map))
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use quickcheck::quickcheck;

    use super::*;
    use crate::codec::{decode, encode};

    quickcheck! {
        fn runs_are_the_set_and_round_trip(seqs: Vec<u8>) -> bool {
            let runs: Runs = seqs.iter().map(|seq| u64::from(*seq)).collect();
            let set: BTreeSet<u64> = seqs.iter().map(|seq| u64::from(*seq)).collect();
            let apart = runs.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0);
            apart && (0..300).all(|seq| runs.contains(seq) == set.contains(&seq))
                && decode::<Runs>(&encode(&runs)) == Ok(runs)
        }

        fn ranges_join_what_they_touch(ranges: Vec<(u8, u8)>) -> bool {
            let mut runs = Runs::default();
            let mut set = BTreeSet::new();
            for (first, len) in ranges {
                let (first, last) = (u64::from(first), u64::from(first) + u64::from(len % 8));
                runs.insert_range(first, last);
                set.extend(first..=last);
            }
            runs == set.into_iter().collect()
        }
    }

    #[test]
    fn hostile_runs_are_refused() {
        // Two runs that touch; a run past the end; a replica with no dots.
        assert!(decode::<Runs>(&encode(&alloc::vec![(1_u64, 0_u64), (0, 0)])).is_err());
        assert!(decode::<Runs>(&encode(&alloc::vec![(1_u64, u64::MAX)])).is_err());
        assert!(decode::<Runs>(&encode(&alloc::vec![(u64::MAX, 0_u64)])).is_err());
        let empty = BTreeMap::from([(ReplicaId::from_u128(1), Runs::default())]);
        assert!(decode::<DotRuns>(&encode(&empty)).is_err());
    }
}
