//! yrs: the Rust port of Yjs. Keeps the structure of all edits, and what was deleted as ranges.

use std::collections::BTreeMap;
use std::process::ExitCode;

use rejoin_benches::peer::{CounterReplica, MapReplica, SetReplica, TextReplica, Traffic};
use rejoin_benches::program::{self, Task};
use rejoin_benches::rows::{Content, Row, mix};
use rejoin_benches::trace::Edit;
use rejoin_benches::workload;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Any, Doc, Map, MapRef, Out, ReadTxn, StateVector, Text as _, TextRef, Transact, Update};

const SOUND: &str = "an update of this same program";

/// A document with one map.
struct Replica {
    doc: Doc,
    map: MapRef,
    name: String,
}

fn to_any(value: &Content) -> Any {
    match value {
        Content::Text(text) => Any::from(text.as_str()),
        Content::Bytes(bytes) => Any::Buffer(bytes.as_slice().into()),
    }
}

fn to_content(value: Out) -> Option<Content> {
    match value {
        Out::Any(Any::String(text)) => Some(Content::Text(text.to_string())),
        Out::Any(Any::Buffer(bytes)) => Some(Content::Bytes(bytes.to_vec())),
        _ => None,
    }
}

fn to_total(value: Out) -> Option<i64> {
    match value {
        Out::Any(Any::Number(total)) => total.as_i64(),
        _ => None,
    }
}

impl Replica {
    /// Client ids are random numbers of 53 bits in real documents; small ones would travel in a byte.
    fn begin(id: u64) -> Self {
        let doc = Doc::with_client_id(mix(id) >> 11);
        let map = doc.get_or_insert_map("m");
        Self { doc, map, name: id.to_string() }
    }

    fn vector(&self) -> Vec<u8> {
        self.doc.transact().state_vector().encode_v1()
    }

    fn lacking(&self, vector: &[u8]) -> Vec<u8> {
        let vector = StateVector::decode_v1(vector).expect("a vector of this same program");
        self.doc.transact().encode_diff_v1(&vector)
    }

    fn apply(&self, update: &[u8]) {
        let update = Update::decode_v1(update).expect(SOUND);
        self.doc.transact_mut().apply_update(update).expect(SOUND);
    }

    fn image(&self) -> Vec<u8> {
        self.lacking(&StateVector::default().encode_v1())
    }
}

impl MapReplica for Replica {
    fn new(id: u64) -> Self {
        Self::begin(id)
    }

    fn put(&mut self, rows: &[Row]) {
        let mut transaction = self.doc.transact_mut();
        for row in rows {
            self.map.insert(&mut transaction, row.key.as_str(), to_any(&row.value));
        }
    }

    fn get(&mut self, key: &str) -> Option<Content> {
        self.map.get(&self.doc.transact(), key).and_then(to_content)
    }

    fn contents(&mut self) -> BTreeMap<String, Content> {
        let transaction = self.doc.transact();
        let pairs = self.map.iter(&transaction);
        pairs.filter_map(|(key, value)| Some((key.to_owned(), to_content(value)?))).collect()
    }

    fn save(&mut self) -> Option<Vec<u8>> {
        Some(self.image())
    }

    fn load(bytes: &[u8], id: u64) -> Self {
        let replica = Self::begin(id);
        replica.apply(bytes);
        replica
    }

    /// y-sync: both send their vectors at once, and answer with what the other lacks.
    fn sync(&mut self, other: &mut Self) -> Traffic {
        let (mine, theirs) = (self.vector(), other.vector());
        let (to_them, to_me) = (self.lacking(&theirs), other.lacking(&mine));
        self.apply(&to_me);
        other.apply(&to_them);
        let sizes = [&mine, &theirs, &to_them, &to_me].map(Vec::len);
        Traffic { bytes: sizes.iter().sum(), messages: sizes.len(), half_trips: 2, data_trips: None }
    }

    fn absorb(&mut self, other: &mut Self) {
        self.apply(&other.lacking(&self.vector()));
    }
}

/// yrs has no sets: the keys of a map.
impl SetReplica for Replica {
    fn new(id: u64) -> Self {
        Self::begin(id)
    }

    fn add(&mut self, element: &str) {
        self.map.insert(&mut self.doc.transact_mut(), element, true);
    }

    fn remove(&mut self, element: &str) {
        self.map.remove(&mut self.doc.transact_mut(), element);
    }

    fn count(&mut self) -> usize {
        self.map.len(&self.doc.transact()) as usize
    }

    fn saved(&mut self) -> usize {
        self.image().len()
    }
}

/// yrs has no counters: a map from each writer to its own total.
impl CounterReplica for Replica {
    fn new(id: u64) -> Self {
        Self::begin(id)
    }

    fn increment(&mut self) {
        let mut transaction = self.doc.transact_mut();
        let total = self.map.get(&transaction, &self.name).and_then(to_total).unwrap_or(0);
        self.map.insert(&mut transaction, self.name.as_str(), total + 1);
    }

    fn absorb(&mut self, other: &mut Self) {
        MapReplica::absorb(self, other);
    }

    fn value(&mut self) -> u64 {
        let transaction = self.doc.transact();
        let totals = self.map.iter(&transaction).filter_map(|(_, total)| to_total(total));
        u64::try_from(totals.sum::<i64>()).expect("it counts up")
    }

    fn saved(&mut self) -> usize {
        self.image().len()
    }
}

/// A document with one text.
struct Text {
    doc: Doc,
    text: TextRef,
}

impl TextReplica for Text {
    fn new(id: u64) -> Self {
        let doc = Doc::with_client_id(mix(id) >> 11);
        let text = doc.get_or_insert_text("t");
        Self { doc, text }
    }

    fn edit(&mut self, edits: &[Edit], letters: &str) {
        let place = |number: usize| u32::try_from(number).expect(SOUND);
        let mut transaction = self.doc.transact_mut();
        let mut rest = letters;
        for edit in edits {
            let (insert, left) = rest.split_at(edit.insert);
            rest = left;
            if edit.delete > 0 {
                self.text.remove_range(&mut transaction, place(edit.at), place(edit.delete));
            }
            if !insert.is_empty() {
                self.text.insert(&mut transaction, place(edit.at), insert);
            }
        }
    }

    fn length(&mut self) -> usize {
        self.text.len(&self.doc.transact()) as usize
    }

    fn save(&mut self) -> Vec<u8> {
        self.doc.transact().encode_diff_v1(&StateVector::default())
    }

    fn load(bytes: &[u8]) -> Self {
        let text = Self::new(2);
        let update = Update::decode_v1(bytes).expect(SOUND);
        text.doc.transact_mut().apply_update(update).expect(SOUND);
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
