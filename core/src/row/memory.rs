//! Rows in memory: a whole state that needs no engine. The values of [`crate::crdt`] that stand alone live on it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ops::{Bound, ControlFlow};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::clock::{Timestamp, VersionVector};
use crate::codec::BoundedVec;
use crate::id::{Dot, ReplicaId};
use crate::planted::Planted;
use crate::row::access::DataError;
use crate::row::merge::{self, Holder, Snapshot};
use crate::row::{Delta, Deps, DotRuns, Entry, Object, Payload, Put, ReadRows, RowKey};

/// Live entries and the vector that covers them.
///
/// [`Rows::merge`] is commutative, associative and idempotent, and [`Rows::delta_since`] carries exactly what the
/// receiver lacks: merging the delta gives the same state as merging the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    vv: VersionVector,
    rows: BTreeMap<RowKey, Vec<Entry>>,
    dots: BTreeMap<Dot, RowKey>,
}

/// The part of a state that somebody at `since` lacks: entries that it has not seen, and what is still live of all that
/// it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsDelta {
    since: VersionVector,
    vv: VersionVector,
    live: DotRuns,
    entries: Vec<(RowKey, Entry)>,
}

/// The delta starts beyond what is known here; applying it would leave a hole, and holes work as deletes. Nothing was
/// changed: ask for a delta since [`Rows::version_vector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the delta starts beyond what is known here: ask for one since this replica's version vector")]
pub struct Gap;

impl Rows {
    /// No rows, nothing seen.
    pub const fn new() -> Self {
        Self { vv: VersionVector::new(), rows: BTreeMap::new(), dots: BTreeMap::new() }
    }

    /// What was seen.
    pub const fn version_vector(&self) -> &VersionVector {
        &self.vv
    }

    /// Every live entry, by row.
    pub fn iter(&self) -> impl Iterator<Item = (&RowKey, &[Entry])> {
        self.rows.iter().map(|(key, entries)| (key, entries.as_slice()))
    }

    /// Replaces row `key` (or removes it, without a payload) as `author`: one act, one dot.
    pub fn write(
        &mut self,
        author: ReplicaId,
        timestamp: Timestamp,
        key: RowKey,
        payload: Option<Payload>,
    ) -> Dot {
        let kills = self.row(&key).iter().map(|entry| entry.dot).collect();
        let dot = Dot::new(author, self.vv.seq(&author) + 1);
        let puts = payload.map(|payload| Put { offset: 0, key, payload }).into_iter().collect();
        let deps = Deps::Dots(BoundedVec::default());
        let delta = Delta::new(dot, 1, timestamp, deps, puts, kills).expect("one row fits in a delta");
        let Ok(()) = merge::apply(self, &delta);
        self.vv.tick(author)
    }

    /// Joins another state.
    pub fn merge(&mut self, other: &Self) {
        self.merge_delta(&other.delta_since(&self.vv)).expect("the delta was made for this state");
    }

    /// What somebody who has seen `since` lacks.
    pub fn delta_since(&self, since: &VersionVector) -> RowsDelta {
        let lacking = self.rows.iter().flat_map(|(key, row)| row.iter().map(move |entry| (key, entry)));
        RowsDelta {
            since: since.clone(),
            vv: self.vv.clone(),
            live: self.dots.keys().copied().collect(),
            entries: lacking
                .filter(|(_, entry)| !since.contains(&entry.dot))
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect(),
        }
    }

    /// Joins what another state has over some vector that this one covers.
    pub fn merge_delta(&mut self, delta: &RowsDelta) -> Result<(), Gap> {
        // Only the part of `since` that the other side had itself can hide entries from us.
        let had = delta.since.iter().all(|(r, seq)| self.vv.seq(&r) >= seq.min(delta.vv.seq(&r)));
        if !had {
            return Err(Gap);
        }
        let theirs = Snapshot { vv: delta.vv.clone(), live: delta.live.clone(), ..Snapshot::default() };
        let Ok(()) = merge::join(self, &theirs, delta.entries.iter().cloned(), Planted::default());
        self.vv.merge(&delta.vv);
        Ok(())
    }

    /// The live entries of a row, in dot order.
    pub fn row(&self, key: &RowKey) -> &[Entry] {
        self.rows.get(key).map_or(&[], Vec::as_slice)
    }

    /// Asserts what must hold of every state: rows and dots agree, live dots are seen, contents match their hashes.
    pub fn check(&self) {
        assert_eq!(
            self.dots.len(),
            self.rows.values().map(Vec::len).sum::<usize>(),
            "one row for each live dot"
        );
        for (key, row) in &self.rows {
            assert!(!row.is_empty() && row.windows(2).all(|pair| pair[0].dot < pair[1].dot));
            for entry in row {
                assert!(self.vv.contains(&entry.dot) && self.dots.get(&entry.dot) == Some(key));
                assert!(entry.is_intact(key), "an entry of {key:?} is damaged");
            }
        }
    }
}

impl Holder for Rows {
    type Error = Infallible;

    fn seen(&self, dot: &Dot) -> bool {
        self.vv.contains(dot)
    }

    fn live_within(&self, replica: &ReplicaId, first: u64, last: u64) -> Result<Vec<u64>, Infallible> {
        if first > last {
            return Ok(Vec::new());
        }
        let range = self.dots.range(Dot::new(*replica, first)..=Dot::new(*replica, last));
        Ok(range.map(|(dot, _)| dot.seq).collect())
    }

    fn insert(&mut self, key: &RowKey, entry: Entry) -> Result<(), Infallible> {
        let row = self.rows.entry(key.clone()).or_default();
        if let Err(at) = row.binary_search_by_key(&entry.dot, |held| held.dot) {
            self.dots.insert(entry.dot, key.clone());
            row.insert(at, entry);
        }
        Ok(())
    }

    fn remove(&mut self, dot: &Dot) -> Result<(), Infallible> {
        if let Some(key) = self.dots.remove(dot)
            && let Some(row) = self.rows.get_mut(&key)
        {
            row.retain(|entry| entry.dot != *dot);
            if row.is_empty() {
                self.rows.remove(&key);
            }
        }
        Ok(())
    }
}

impl ReadRows for Rows {
    type Error = DataError;

    fn entries(&self, key: &RowKey) -> Result<Vec<Entry>, DataError> {
        Ok(self.row(key).to_vec())
    }

    fn scan(
        &self,
        object: &Object,
        from: &[u8],
        visit: &mut dyn FnMut(&RowKey, &[Entry]) -> ControlFlow<()>,
    ) -> Result<(), DataError> {
        let first = object.row(from)?;
        let of_object = |key: &RowKey| key.as_bytes().starts_with(object.prefix());
        let rows = self.rows.range((Bound::Included(first), Bound::Unbounded));
        for (key, row) in rows.take_while(|(key, _)| of_object(key)) {
            if visit(key, row).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.delta_since(&VersionVector::new()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rows {
    /// A stored state is a delta since nothing. One that contradicts itself is refused.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let delta = RowsDelta::deserialize(deserializer)?;
        let sound = delta.since.is_empty()
            && delta.entries.iter().all(|(key, entry)| delta.vv.contains(&entry.dot) && entry.is_intact(key));
        let mut rows = Self::new();
        rows.merge_delta(&delta).map_err(de::Error::custom)?;
        let whole = rows.dots.keys().copied().collect::<DotRuns>() == delta.live;
        if sound && whole { Ok(rows) } else { Err(de::Error::custom("the stored state contradicts itself")) }
    }
}
