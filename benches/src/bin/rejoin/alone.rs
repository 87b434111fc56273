//! The types without an engine: values that an app merges by hand. No log, no signatures, no roots, no store.

use std::collections::BTreeMap;

use rejoin_benches::peer::{self, Traffic};
use rejoin_benches::rows::{Content, Row, mix};
use rejoin_core::codec;
use rejoin_core::crdt::{LwwMap, OrSet, PnCounter};
use rejoin_core::{ReplicaId, Value};

use crate::replica::{to_content, to_value};

const SOUND: &str = "rows of this size can be written";
const BYTES: &str = "bytes of this same program";

fn replica(id: u64) -> ReplicaId {
    ReplicaId::from_u128(u128::from(mix(id)) << 64 | u128::from(mix(!id)))
}

pub(crate) struct MapAlone(LwwMap);

impl peer::MapReplica for MapAlone {
    fn new(id: u64) -> Self {
        Self(LwwMap::new(replica(id)))
    }

    fn put(&mut self, rows: &[Row]) {
        let write = self.0.write(|map, tx| {
            rows.iter().try_for_each(|row| map.put(tx, row.key.as_str(), to_value(&row.value)))
        });
        write.expect(SOUND);
    }

    fn get(&mut self, key: &str) -> Option<Content> {
        self.0.get(key).and_then(to_content)
    }

    fn contents(&mut self) -> BTreeMap<String, Content> {
        let pair = |(key, value)| match key {
            Value::Text(key) => Some((key, to_content(value)?)),
            _ => None,
        };
        self.0.entries().into_iter().filter_map(pair).collect()
    }

    fn save(&mut self) -> Option<Vec<u8>> {
        Some(codec::encode(&self.0))
    }

    fn load(bytes: &[u8], id: u64) -> Self {
        let loaded: LwwMap = codec::decode(bytes).expect(BYTES);
        Self(loaded.fork(replica(id)))
    }

    /// Vectors at once, then what the other lacks; a delta names everything that is live, so it grows with the map.
    fn sync(&mut self, other: &mut Self) -> Traffic {
        let (mine, theirs) =
            (self.0.delta_since(other.0.version_vector()), other.0.delta_since(self.0.version_vector()));
        let vectors = [codec::encode(self.0.version_vector()), codec::encode(other.0.version_vector())];
        let deltas = [codec::encode(&mine), codec::encode(&theirs)];
        self.0.merge_delta(&codec::decode(&deltas[1]).expect(BYTES)).expect("it was made for this value");
        other.0.merge_delta(&codec::decode(&deltas[0]).expect(BYTES)).expect("it was made for this value");
        let bytes = vectors.iter().chain(&deltas).map(Vec::len).sum();
        Traffic { bytes, messages: 4, half_trips: 2, data_trips: None }
    }

    fn merge(&mut self, other: &mut Self) {
        self.0.merge(&other.0);
        other.0.merge(&self.0);
    }

    fn absorb(&mut self, other: &mut Self) {
        self.0.merge(&other.0);
    }
}

pub(crate) struct SetAlone(OrSet);

impl peer::SetReplica for SetAlone {
    fn new(id: u64) -> Self {
        Self(OrSet::new(replica(id)))
    }

    fn add(&mut self, element: &str) {
        self.0.insert(element).expect(SOUND);
    }

    fn remove(&mut self, element: &str) {
        self.0.remove(element).expect(SOUND);
    }

    fn count(&mut self) -> usize {
        self.0.len()
    }

    fn saved(&mut self) -> usize {
        codec::encode(&self.0).len()
    }
}

pub(crate) struct CounterAlone(PnCounter);

impl peer::CounterReplica for CounterAlone {
    fn new(id: u64) -> Self {
        Self(PnCounter::new(replica(id)))
    }

    fn increment(&mut self) {
        self.0.add(1).expect(SOUND);
    }

    fn absorb(&mut self, other: &mut Self) {
        self.0.merge(&other.0);
    }

    fn value(&mut self) -> u64 {
        self.0.value().try_into().expect("it counts up")
    }

    fn saved(&mut self) -> usize {
        codec::encode(&self.0).len()
    }
}
