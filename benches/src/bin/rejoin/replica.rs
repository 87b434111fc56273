//! Map, set and counter on an engine.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rejoin_benches::host::Host;
use rejoin_benches::peer::{self, Traffic};
use rejoin_benches::rows::{Content, Row};
use rejoin_core::Value;
use rejoin_core::crdt::{Keys, LwwMapView, OrSetView, PnCounterView};
use rejoin_core::engine::Push;

const READS: &str = "a store in memory can be read";
const PATH: &str = "the path is sound";

pub(crate) fn to_value(content: &Content) -> Value {
    match content {
        Content::Text(text) => Value::from(text.as_str()),
        Content::Bytes(bytes) => Value::from(bytes.as_slice()),
    }
}

pub(crate) fn to_content(value: Value) -> Option<Content> {
    match value {
        Value::Text(text) => Some(Content::Text(text)),
        Value::Bytes(bytes) => Some(Content::Bytes(bytes)),
        _ => None,
    }
}

pub(crate) struct MapReplica {
    host: Host,
    map: LwwMapView,
}

impl MapReplica {
    fn over(host: Host) -> Self {
        Self { host, map: LwwMapView::at("m").expect(PATH) }
    }
}

impl peer::MapReplica for MapReplica {
    fn new(id: u64) -> Self {
        Self::over(Host::new(id, Push::Off))
    }

    fn writer(id: u64) -> Self {
        Self::over(Host::publishing(id))
    }

    fn put(&mut self, rows: &[Row]) {
        let map = &self.map;
        self.host.write(rows.len(), |tx| {
            rows.iter().try_for_each(|row| map.put(tx, row.key.as_str(), to_value(&row.value)))
        });
    }

    fn remove(&mut self, keys: &[String]) -> bool {
        let map = &self.map;
        self.host.write(keys.len(), |tx| keys.iter().try_for_each(|key| map.remove(tx, key.as_str())));
        true
    }

    fn commit(&mut self) {
        self.host.commit();
    }

    fn settle(&mut self) {
        self.host.settle();
    }

    fn get(&mut self, key: &str) -> Option<Content> {
        self.map.get(&self.host.engine.reader(), key).expect(READS).and_then(to_content)
    }

    fn contents(&mut self) -> BTreeMap<String, Content> {
        let mut all = BTreeMap::new();
        let read = self.map.visit(&self.host.engine.reader(), &Keys::All, |key, value| {
            if let Value::Text(key) = key {
                all.extend(to_content(value).map(|value| (key, value)));
            }
            ControlFlow::Continue(())
        });
        read.expect(READS);
        all
    }

    fn save(&mut self) -> Option<Vec<u8>> {
        Some(self.host.image())
    }

    fn load(bytes: &[u8], id: u64) -> Self {
        Self::over(Host::from_image(bytes, id, Push::Off))
    }

    fn fork(&mut self, id: u64) -> Self {
        let mut fork: Self = peer::MapReplica::new(id);
        self.host.sync(&mut fork.host);
        fork
    }

    fn sync(&mut self, other: &mut Self) -> Traffic {
        self.host.sync(&mut other.host)
    }

    fn absorb(&mut self, other: &mut Self) {
        self.host.hear(&mut other.host);
    }
}

pub(crate) struct SetReplica {
    host: Host,
    set: OrSetView,
}

impl peer::SetReplica for SetReplica {
    fn new(id: u64) -> Self {
        Self { host: Host::new(id, Push::Off), set: OrSetView::at("s").expect(PATH) }
    }

    fn add(&mut self, element: &str) {
        let set = &self.set;
        self.host.write(1, |tx| set.insert(tx, element));
    }

    fn remove(&mut self, element: &str) {
        let set = &self.set;
        self.host.write(1, |tx| set.remove(tx, element));
    }

    fn settle(&mut self) {
        self.host.settle();
    }

    fn count(&mut self) -> usize {
        self.set.len(&self.host.engine.reader()).expect(READS)
    }

    fn saved(&mut self) -> usize {
        self.host.image().len()
    }
}

pub(crate) struct CounterReplica {
    host: Host,
    counter: PnCounterView,
}

impl peer::CounterReplica for CounterReplica {
    fn new(id: u64) -> Self {
        Self { host: Host::publishing(id), counter: PnCounterView::at("c").expect(PATH) }
    }

    fn increment(&mut self) {
        let counter = &self.counter;
        self.host.write(1, |tx| counter.add(tx, 1));
    }

    fn settle(&mut self) {
        self.host.settle();
    }

    /// What the other one has published: deltas that were folded into one for each commit.
    fn absorb(&mut self, other: &mut Self) {
        self.host.hear(&mut other.host);
    }

    fn value(&mut self) -> u64 {
        let value = self.counter.value(&self.host.engine.reader()).expect(READS);
        value.try_into().expect("it counts up")
    }

    fn saved(&mut self) -> usize {
        self.host.image().len()
    }
}
