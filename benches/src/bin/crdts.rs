//! crdts (rust-crdt): state-based data types without a protocol, a format or a log. What it sends is the whole state; what
//! it saves is that in postcard, the smallest of serde's usual formats.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crdts::{CmRDT, CvRDT, MVReg, Map, Orswot, PNCounter};
use rejoin_benches::peer::{CounterReplica, MapReplica, SetReplica, Traffic};
use rejoin_benches::program::{self, Task};
use rejoin_benches::rows::{Content, Kind, Row, mix};
use rejoin_benches::workload;

const SOUND: &str = "a state of this same program";

type Rows = Map<String, MVReg<String, u64>, u64>;

struct MapOf {
    rows: Rows,
    id: u64,
}

fn text(value: &Content) -> String {
    match value {
        Content::Text(text) => text.clone(),
        Content::Bytes(_) => unreachable!("tasks with random bytes are refused"),
    }
}

impl MapReplica for MapOf {
    fn new(id: u64) -> Self {
        Self { rows: Map::new(), id: mix(id) }
    }

    /// There are no transactions: each write is one.
    fn put(&mut self, rows: &[Row]) {
        for row in rows {
            let context = self.rows.read_ctx().derive_add_ctx(self.id);
            let value = text(&row.value);
            let write = self
                .rows
                .update(row.key.as_str(), context, |register, context| register.write(value, context));
            self.rows.apply(write);
        }
    }

    fn get(&mut self, key: &str) -> Option<Content> {
        let register = self.rows.get(&key.to_owned()).val?;
        register.read().val.into_iter().max().map(Content::Text)
    }

    fn contents(&mut self) -> BTreeMap<String, Content> {
        let pairs = self.rows.iter().map(|pair| pair.val);
        let newest = pairs.filter_map(|(key, register)| {
            let value = register.read().val.into_iter().max()?;
            Some((key.clone(), Content::Text(value)))
        });
        newest.collect()
    }

    fn save(&mut self) -> Option<Vec<u8>> {
        Some(postcard::to_stdvec(&self.rows).expect(SOUND))
    }

    fn load(bytes: &[u8], id: u64) -> Self {
        Self { rows: postcard::from_bytes(bytes).expect(SOUND), id: mix(id) }
    }

    fn sync(&mut self, other: &mut Self) -> Traffic {
        let images = [self.save().unwrap_or_default(), other.save().unwrap_or_default()];
        self.rows.merge(postcard::from_bytes(&images[1]).expect(SOUND));
        other.rows.merge(postcard::from_bytes(&images[0]).expect(SOUND));
        Traffic { bytes: images.iter().map(Vec::len).sum(), messages: 2, half_trips: 1, data_trips: None }
    }

    fn merge(&mut self, other: &mut Self) {
        let before = self.rows.clone();
        self.rows.merge(other.rows.clone());
        other.rows.merge(before);
    }

    fn absorb(&mut self, other: &mut Self) {
        self.rows.merge(other.rows.clone());
    }
}

struct SetOf {
    elements: Orswot<String, u64>,
    id: u64,
}

impl SetReplica for SetOf {
    fn new(id: u64) -> Self {
        Self { elements: Orswot::new(), id: mix(id) }
    }

    fn add(&mut self, element: &str) {
        let context = self.elements.read_ctx().derive_add_ctx(self.id);
        self.elements.apply(self.elements.add(element.to_owned(), context));
    }

    fn remove(&mut self, element: &str) {
        let element = element.to_owned();
        let context = self.elements.contains(&element).derive_rm_ctx();
        self.elements.apply(self.elements.rm(element, context));
    }

    fn count(&mut self) -> usize {
        self.elements.iter().count()
    }

    fn saved(&mut self) -> usize {
        postcard::to_stdvec(&self.elements).expect(SOUND).len()
    }
}

struct CounterOf {
    counter: PNCounter<u64>,
    id: u64,
}

impl CounterReplica for CounterOf {
    fn new(id: u64) -> Self {
        Self { counter: PNCounter::new(), id: mix(id) }
    }

    fn increment(&mut self) {
        self.counter.apply(self.counter.inc(self.id));
    }

    fn absorb(&mut self, other: &mut Self) {
        self.counter.merge(other.counter.clone());
    }

    fn value(&mut self) -> u64 {
        self.counter.read().try_into().expect("it counts up")
    }

    fn saved(&mut self) -> usize {
        postcard::to_stdvec(&self.counter).expect(SOUND).len()
    }
}

fn main() -> ExitCode {
    program::main(|task: &Task| match task.workload.as_str() {
        _ if task.values == Kind::Random => None,
        "W2" => Some(workload::set::<SetOf>(task)),
        "W3" => Some(workload::counter::<CounterOf>(task)),
        _ => workload::map::<MapOf>(task),
    })
}
