//! Rows in memory: a whole state that needs no engine. The values of [`crate::crdt`] that stand alone live on it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ops::Bound;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::clock::{Timestamp, VersionVector};
use crate::codec::BoundedVec;
use crate::id::{Dot, ReplicaId};
use crate::limits::CHUNK_RUNS;
use crate::planted::Planted;
use crate::row::access::DataError;
use crate::row::merge::{self, Holder, Snapshot};
use crate::row::{
    Delta, DeltaError, Deps, DotRuns, Entry, Object, Payload, Put, ReadRows, RowKey, Runs, VisitRows, Writes,
};

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
#[serde(try_from = "Parts")]
pub struct RowsDelta {
    since: VersionVector,
    vv: VersionVector,
    #[serde(with = "in_chunks")]
    live: DotRuns,
    entries: Vec<(RowKey, Entry)>,
}

/// What may be a delta.
#[derive(Deserialize)]
struct Parts {
    since: VersionVector,
    vv: VersionVector,
    #[serde(with = "in_chunks")]
    live: DotRuns,
    entries: Vec<(RowKey, Entry)>,
}

impl TryFrom<Parts> for RowsDelta {
    type Error = &'static str;

    /// Exactly the live entries beyond `since`, each once: one dot in two rows would outlive its kill in one of them.
    fn try_from(parts: Parts) -> Result<Self, &'static str> {
        let Parts { since, vv, live, entries } = parts;
        let dots: BTreeSet<Dot> = entries.iter().map(|(_, entry)| entry.dot).collect();
        let runs = live.iter().flat_map(|(replica, runs)| runs.iter().map(move |run| (replica, run)));
        let new = runs.map(|(replica, (first, last))| {
            let first = first.max(since.seq(replica).saturating_add(1));
            last.checked_sub(first).map_or(0, |more| more.saturating_add(1))
        });
        let beyond = new.fold(0, u64::saturating_add);
        let sound = dots.len() == entries.len()
            && dots.iter().all(|dot| vv.contains(dot) && live.contains(dot) && !since.contains(dot))
            && beyond == dots.len() as u64
            && entries.iter().all(|(key, entry)| entry.is_intact(key));
        if sound { Ok(Self { since, vv, live, entries }) } else { Err("the delta contradicts itself") }
    }
}

/// Runs decode only up to a bound that suits a frame. A state may have more of them: here one replica may have several
/// sets of runs, each within the bound.
mod in_chunks {
    use super::{CHUNK_RUNS, Deserialize, Deserializer, DotRuns, ReplicaId, Runs, Serializer, Vec};

    pub(super) fn serialize<S: Serializer>(dots: &DotRuns, serializer: S) -> Result<S::Ok, S::Error> {
        let mut chunks: Vec<(ReplicaId, Runs)> = Vec::new();
        for (replica, runs) in dots.iter() {
            for (index, (first, last)) in runs.iter().enumerate() {
                if index % CHUNK_RUNS == 0 {
                    chunks.push((*replica, Runs::default()));
                }
                if let Some((_, chunk)) = chunks.last_mut() {
                    chunk.insert_range(first, last);
                }
            }
        }
        serializer.collect_seq(chunks)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DotRuns, D::Error> {
        let chunks = Vec::<(ReplicaId, Runs)>::deserialize(deserializer)?;
        let mut dots = DotRuns::default();
        chunks.iter().for_each(|(replica, runs)| dots.insert_runs(*replica, runs));
        Ok(dots)
    }
}

impl RowsDelta {
    /// The newest timestamp among the entries that it carries.
    pub fn timestamp(&self) -> Timestamp {
        self.entries.iter().map(|(_, entry)| entry.timestamp()).max().unwrap_or_default()
    }
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
        let rows = BTreeMap::from([(key, payload)]);
        self.commit(author, timestamp, rows).expect("one row fits in a delta").last()
    }

    /// Replaces rows (or removes them, without a payload) as one transaction of `author`: one delta, also when it only
    /// removes.
    pub fn commit(
        &mut self,
        author: ReplicaId,
        timestamp: Timestamp,
        writes: impl Into<Writes>,
    ) -> Result<Delta, DeltaError> {
        let Writes { rows, names } = writes.into();
        let kills = rows.keys().flat_map(|key| self.row(key)).map(|entry| entry.dot).collect();
        let put = rows.into_iter().filter_map(|(key, payload)| Some((key, payload?)));
        let puts: Vec<_> =
            put.zip(0..).map(|((key, payload), offset)| Put { offset, key, payload }).collect();
        // The whole vector is a past too, only a wordier one than its frontier.
        let past = self.vv.iter().map(|(replica, seq)| Dot::new(replica, seq)).collect();
        let deps = BoundedVec::new(past).map_or_else(|| Deps::Digest(self.vv.digest()), Deps::Dots);
        let first = Dot::new(author, self.vv.seq(&author).saturating_add(1));
        let burnt = names.max(puts.len() as u64).max(1);
        let delta = Delta::new(first, burnt, timestamp, deps, puts, kills)?;
        self.apply(&delta).expect("its past is this state");
        Ok(delta)
    }

    /// Applies a transaction of another state. Known ones change nothing; one whose past is not known here is refused.
    pub fn apply(&mut self, delta: &Delta) -> Result<(), Gap> {
        let known = self.vv.seq(&delta.replica);
        if delta.last_seq() <= known {
            return Ok(());
        }
        let deps_met = match &delta.deps {
            Deps::Dots(dots) => dots.iter().all(|dot| self.vv.contains(dot)),
            Deps::Digest(digest) => *digest == self.vv.digest(),
        };
        let kills_known = delta.kills.iter().all(|(replica, runs)| runs.last() <= Some(self.vv.seq(replica)));
        if delta.first_seq - 1 != known || !deps_met || !kills_known {
            return Err(Gap);
        }
        let Ok(()) = merge::apply(self, delta);
        self.vv.observe(delta.replica, delta.last_seq());
        Ok(())
    }

    /// The part of this state that lies under `vector`: what is live here of what `vector` covers. It is below this
    /// state in the order of joins. It is no earlier state: what was killed since is missing in it.
    pub fn restrict(&self, vector: &VersionVector) -> Self {
        let mut part = Self::new();
        for (key, row) in &self.rows {
            for entry in row.iter().filter(|entry| vector.contains(&entry.dot)) {
                let Ok(()) = part.insert(key, entry.clone());
            }
        }
        self.vv.iter().for_each(|(replica, seq)| part.vv.observe(replica, seq.min(vector.seq(&replica))));
        part
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
        #[allow(clippy::needless_update, reason = "the feature `planted` adds a field")]
        let theirs = Snapshot { vv: delta.vv.clone(), live: (&delta.live).into(), ..Snapshot::default() };
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

    fn live_within(
        &self,
        replica: &ReplicaId,
        first: u64,
        last: u64,
        most: usize,
    ) -> Result<Vec<u64>, Infallible> {
        if first > last {
            return Ok(Vec::new());
        }
        let range = self.dots.range(Dot::new(*replica, first)..=Dot::new(*replica, last));
        Ok(range.map(|(dot, _)| dot.seq).take(most).collect())
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

    fn scan(&self, object: &Object, from: &[u8], visit: VisitRows<'_>) -> Result<(), DataError> {
        let first = object.row(from)?;
        let range = (Bound::Included(first.as_bytes()), Bound::Excluded(&object.end()[..]));
        let _ = self.rows.range::<[u8], _>(range).try_for_each(|(key, row)| visit(key, row));
        Ok(())
    }

    fn scan_back(&self, object: &Object, end: Option<&[u8]>, visit: VisitRows<'_>) -> Result<(), DataError> {
        let end = object.bytes_below(end)?;
        let range = (Bound::Included(object.prefix()), Bound::Excluded(&end[..]));
        let _ = self.rows.range::<[u8], _>(range).rev().try_for_each(|(key, row)| visit(key, row));
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
        let mut rows = Self::new();
        rows.merge_delta(&delta).map_err(de::Error::custom)?;
        // Without a past to refer to, everything live is carried.
        if delta.since.is_empty() {
            Ok(rows)
        } else {
            Err(de::Error::custom("a part of a state is no state"))
        }
    }
}
