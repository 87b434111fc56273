//! automerge: keeps every change for ever, in compressed columns.

use std::collections::BTreeMap;
use std::process::ExitCode;

use automerge::sync::{Message, State, SyncDoc};
use automerge::transaction::Transactable;
use automerge::{ActorId, AutoCommit, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value};
use rejoin_benches::peer::{CounterReplica, MapReplica, SetReplica, TextReplica, Traffic};
use rejoin_benches::program::{self, Task};
use rejoin_benches::rows::{Content, Row, mix};
use rejoin_benches::trace::Edit;
use rejoin_benches::workload;

const SOUND: &str = "a document of this same program";
/// The key of the one counter.
const COUNTER: &str = "n";
/// Who made the counter that all replicas begin with.
const MAKER: u64 = 0;

struct Replica(AutoCommit);

fn actor(id: u64) -> ActorId {
    let bytes = [mix(id).to_le_bytes(), mix(!id).to_le_bytes()].concat();
    ActorId::from(bytes.as_slice())
}

fn to_scalar(value: &Content) -> ScalarValue {
    match value {
        Content::Text(text) => ScalarValue::Str(text.as_str().into()),
        Content::Bytes(bytes) => ScalarValue::Bytes(bytes.clone()),
    }
}

fn to_content(value: &Value<'_>) -> Option<Content> {
    match value.as_scalar()? {
        ScalarValue::Str(text) => Some(Content::Text(text.to_string())),
        ScalarValue::Bytes(bytes) => Some(Content::Bytes(bytes.clone())),
        _ => None,
    }
}

impl Replica {
    fn begin(id: u64) -> Self {
        Self(AutoCommit::new().with_actor(actor(id)))
    }
}

/// One turn of a sync: what `from` has to say, taken in by `to`.
fn say(
    from: &mut AutoCommit,
    said: &mut State,
    to: &mut AutoCommit,
    heard: &mut State,
    traffic: &mut Traffic,
) -> bool {
    let Some(message) = from.sync().generate_sync_message(said) else { return false };
    let bytes = message.encode();
    traffic.count(bytes.len());
    let message = Message::decode(&bytes).expect(SOUND);
    to.sync().receive_sync_message(heard, message).expect(SOUND);
    true
}

impl MapReplica for Replica {
    fn new(id: u64) -> Self {
        Self::begin(id)
    }

    fn put(&mut self, rows: &[Row]) {
        for row in rows {
            self.0.put(ROOT, row.key.as_str(), to_scalar(&row.value)).expect(SOUND);
        }
        self.0.commit();
    }

    fn get(&mut self, key: &str) -> Option<Content> {
        self.0.get(ROOT, key).expect(SOUND).and_then(|(value, _)| to_content(&value))
    }

    fn contents(&mut self) -> BTreeMap<String, Content> {
        let keys: Vec<String> = self.0.keys(ROOT).collect();
        keys.into_iter().filter_map(|key| self.get(&key).map(|value| (key, value))).collect()
    }

    fn save(&mut self) -> Option<Vec<u8>> {
        Some(self.0.save())
    }

    fn load(bytes: &[u8], id: u64) -> Self {
        Self(AutoCommit::load(bytes).expect(SOUND).with_actor(actor(id)))
    }

    fn sync(&mut self, other: &mut Self) -> Traffic {
        let (mut mine, mut theirs, mut traffic) = (State::new(), State::new(), Traffic::default());
        loop {
            let there = say(&mut self.0, &mut mine, &mut other.0, &mut theirs, &mut traffic);
            let back = say(&mut other.0, &mut theirs, &mut self.0, &mut mine, &mut traffic);
            if !there && !back {
                return traffic;
            }
        }
    }

    fn merge(&mut self, other: &mut Self) {
        self.0.merge(&mut other.0).expect(SOUND);
        other.0.merge(&mut self.0).expect(SOUND);
    }

    fn absorb(&mut self, other: &mut Self) {
        self.0.merge(&mut other.0).expect(SOUND);
    }
}

/// automerge has no sets: the keys of a map.
impl SetReplica for Replica {
    fn new(id: u64) -> Self {
        Self::begin(id)
    }

    fn add(&mut self, element: &str) {
        self.0.put(ROOT, element, true).expect(SOUND);
        self.0.commit();
    }

    fn remove(&mut self, element: &str) {
        self.0.delete(ROOT, element).expect(SOUND);
        self.0.commit();
    }

    fn count(&mut self) -> usize {
        self.0.length(ROOT)
    }

    fn saved(&mut self) -> usize {
        self.0.save().len()
    }
}

impl CounterReplica for Replica {
    /// A counter is made once, and all replicas begin with it.
    fn new(id: u64) -> Self {
        let mut made = Self::begin(MAKER);
        made.0.put(ROOT, COUNTER, ScalarValue::counter(0)).expect(SOUND);
        made.0.commit();
        Self(made.0.fork().with_actor(actor(id)))
    }

    fn increment(&mut self) {
        self.0.increment(ROOT, COUNTER, 1).expect(SOUND);
        self.0.commit();
    }

    fn absorb(&mut self, other: &mut Self) {
        MapReplica::absorb(self, other);
    }

    fn value(&mut self) -> u64 {
        let (value, _) = self.0.get(ROOT, COUNTER).expect(SOUND).expect("it was made");
        value.as_i64().and_then(|total| u64::try_from(total).ok()).expect("it counts up")
    }

    fn saved(&mut self) -> usize {
        self.0.save().len()
    }
}

/// A text at a key of a document.
struct Text {
    doc: AutoCommit,
    text: ObjId,
}

const TEXT: &str = "text";

impl TextReplica for Text {
    fn new(id: u64) -> Self {
        let mut doc = AutoCommit::new().with_actor(actor(id));
        let text = doc.put_object(ROOT, TEXT, ObjType::Text).expect(SOUND);
        doc.commit();
        Self { doc, text }
    }

    fn edit(&mut self, edits: &[Edit], letters: &str) {
        let mut rest = letters;
        for edit in edits {
            let (insert, left) = rest.split_at(edit.insert);
            rest = left;
            let delete = isize::try_from(edit.delete).expect(SOUND);
            self.doc.splice_text(&self.text, edit.at, delete, insert).expect(SOUND);
        }
        self.doc.commit();
    }

    fn length(&mut self) -> usize {
        self.doc.text(&self.text).expect(SOUND).len()
    }

    fn save(&mut self) -> Vec<u8> {
        self.doc.save()
    }

    fn load(bytes: &[u8]) -> Self {
        let doc = AutoCommit::load(bytes).expect(SOUND);
        let (_, text) = doc.get(ROOT, TEXT).expect(SOUND).expect(SOUND);
        Self { doc, text }
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
