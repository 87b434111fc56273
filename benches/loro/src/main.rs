//! loro: keeps the history of all edits beside the state.

use std::collections::BTreeMap;
use std::process::ExitCode;

use loro::{ExportMode, LoroCounter, LoroDoc, LoroMap, LoroText, LoroValue, ValueOrContainer, VersionVector};
use rejoin_benches::peer::{CounterReplica, MapReplica, SetReplica, TextReplica, Traffic};
use rejoin_benches::program::{self, Task};
use rejoin_benches::rows::{Content, Row, mix};
use rejoin_benches::trace::Edit;
use rejoin_benches::workload;

const SOUND: &str = "a document of this same program";

/// A document with one map and one counter.
struct Replica {
    doc: LoroDoc,
    map: LoroMap,
    counter: LoroCounter,
}

fn to_value(value: &Content) -> LoroValue {
    match value {
        Content::Text(text) => LoroValue::from(text.as_str()),
        Content::Bytes(bytes) => LoroValue::from(bytes.clone()),
    }
}

fn to_content(value: ValueOrContainer) -> Option<Content> {
    match value.into_value().ok()? {
        LoroValue::String(text) => Some(Content::Text(text.to_string())),
        LoroValue::Binary(bytes) => Some(Content::Bytes(bytes.to_vec())),
        _ => None,
    }
}

impl Replica {
    fn of(doc: LoroDoc, id: u64) -> Self {
        // The largest number is reserved.
        doc.set_peer_id(mix(id) >> 1).expect("nothing is being written");
        let (map, counter) = (doc.get_map("m"), doc.get_counter("n"));
        Self { doc, map, counter }
    }

    fn begin(id: u64) -> Self {
        Self::of(LoroDoc::new(), id)
    }

    fn image(&self) -> Vec<u8> {
        self.doc.export(ExportMode::Snapshot).expect(SOUND)
    }

    fn lacking(&self, vector: &[u8]) -> Vec<u8> {
        let vector = VersionVector::decode(vector).expect(SOUND);
        self.doc.export(ExportMode::updates(&vector)).expect(SOUND)
    }

    fn apply(&self, update: &[u8]) {
        self.doc.import(update).expect(SOUND);
    }
}

impl MapReplica for Replica {
    fn new(id: u64) -> Self {
        Self::begin(id)
    }

    fn put(&mut self, rows: &[Row]) {
        for row in rows {
            self.map.insert(&row.key, to_value(&row.value)).expect(SOUND);
        }
        self.doc.commit();
    }

    fn get(&mut self, key: &str) -> Option<Content> {
        self.map.get(key).and_then(to_content)
    }

    fn contents(&mut self) -> BTreeMap<String, Content> {
        let mut all = BTreeMap::new();
        self.map.for_each(|key, value| all.extend(to_content(value).map(|value| (key.to_owned(), value))));
        all
    }

    fn save(&mut self) -> Option<Vec<u8>> {
        Some(self.image())
    }

    fn load(bytes: &[u8], id: u64) -> Self {
        Self::of(LoroDoc::from_snapshot(bytes).expect(SOUND), id)
    }

    /// Both send their vectors at once, and answer with what the other lacks.
    fn sync(&mut self, other: &mut Self) -> Traffic {
        let (mine, theirs) = (self.doc.oplog_vv().encode(), other.doc.oplog_vv().encode());
        let covers = |more: &Self, vector: &[u8]| {
            VersionVector::decode(vector).expect(SOUND).includes_vv(&more.doc.oplog_vv())
        };
        let mut traffic =
            Traffic { bytes: mine.len() + theirs.len(), messages: 2, half_trips: 1, data_trips: None };
        let to_them = (!covers(self, &theirs)).then(|| self.lacking(&theirs));
        let to_me = (!covers(other, &mine)).then(|| other.lacking(&mine));
        for update in [&to_them, &to_me].into_iter().flatten() {
            traffic.bytes += update.len();
            traffic.messages += 1;
            traffic.half_trips = 2;
        }
        to_me.iter().for_each(|update| self.apply(update));
        to_them.iter().for_each(|update| other.apply(update));
        traffic
    }

    fn absorb(&mut self, other: &mut Self) {
        self.apply(&other.lacking(&self.doc.oplog_vv().encode()));
    }
}

/// loro has no sets: the keys of a map.
impl SetReplica for Replica {
    fn new(id: u64) -> Self {
        Self::begin(id)
    }

    fn add(&mut self, element: &str) {
        self.map.insert(element, true).expect(SOUND);
        self.doc.commit();
    }

    fn remove(&mut self, element: &str) {
        self.map.delete(element).expect(SOUND);
        self.doc.commit();
    }

    fn count(&mut self) -> usize {
        self.map.len()
    }

    fn saved(&mut self) -> usize {
        self.image().len()
    }
}

impl CounterReplica for Replica {
    fn new(id: u64) -> Self {
        Self::begin(id)
    }

    fn increment(&mut self) {
        self.counter.increment(1.0).expect(SOUND);
        self.doc.commit();
    }

    fn absorb(&mut self, other: &mut Self) {
        MapReplica::absorb(self, other);
    }

    fn value(&mut self) -> u64 {
        self.counter.get() as u64
    }

    fn saved(&mut self) -> usize {
        self.image().len()
    }
}

/// A document with one text.
struct Text {
    doc: LoroDoc,
    text: LoroText,
}

impl TextReplica for Text {
    fn new(id: u64) -> Self {
        let doc = LoroDoc::new();
        doc.set_peer_id(mix(id) >> 1).expect("nothing is being written");
        let text = doc.get_text("t");
        Self { doc, text }
    }

    fn edit(&mut self, edits: &[Edit], letters: &str) {
        let mut rest = letters;
        for edit in edits {
            let (insert, left) = rest.split_at(edit.insert);
            rest = left;
            if edit.delete > 0 {
                self.text.delete(edit.at, edit.delete).expect(SOUND);
            }
            if !insert.is_empty() {
                self.text.insert(edit.at, insert).expect(SOUND);
            }
        }
        self.doc.commit();
    }

    fn length(&mut self) -> usize {
        self.text.len_unicode()
    }

    fn save(&mut self) -> Vec<u8> {
        self.doc.export(ExportMode::Snapshot).expect(SOUND)
    }

    fn load(bytes: &[u8]) -> Self {
        let text = Self::new(2);
        text.doc.import(bytes).expect(SOUND);
        text
    }
}

fn main() -> ExitCode {
    program::main(|task: &Task| match task.workload.as_str() {
        "W2" => Some(workload::set::<Replica>(task)),
        "W3" => Some(workload::counter::<Replica>(task)),
        "W9" => Some(workload::text::<Text>(task)),
        _ => workload::map::<Replica>(task),
    })
}
