//! negentropy: range-based set reconciliation. It finds out which items of two sets differ, and nothing else; here it is
//! given just enough around it to sync a map of rows, where the newest write of a key wins.

use std::collections::BTreeMap;
use std::process::ExitCode;

use negentropy::{Id, Negentropy, NegentropyStorageVector};
use rejoin_benches::peer::{MapReplica, Traffic};
use rejoin_benches::program::{self, Task};
use rejoin_benches::rows::{Content, Row};
use rejoin_benches::workload;

const SOUND: &str = "messages of this same program";
/// A row on the wire: its time, key and value.
const ROW_BYTES: usize = 8 + 16 + 32;

#[derive(Clone)]
struct Replica {
    rows: BTreeMap<String, (u64, Content)>,
    clock: u64,
}

fn id(key: &str, time: u64, value: &Content) -> Id {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.as_bytes()).update(&time.to_le_bytes());
    match value {
        Content::Text(text) => hasher.update(text.as_bytes()),
        Content::Bytes(bytes) => hasher.update(bytes),
    };
    Id::from_byte_array(*hasher.finalize().as_bytes())
}

impl Replica {
    /// The set, and where its items come from. Its storage cannot remove an item, so it is made anew.
    fn items(&self) -> (NegentropyStorageVector, BTreeMap<[u8; 32], String>) {
        let mut storage = NegentropyStorageVector::with_capacity(self.rows.len());
        let mut keys = BTreeMap::new();
        for (key, (time, value)) in &self.rows {
            let id = id(key, *time, value);
            storage.insert(*time, id).expect(SOUND);
            keys.insert(id.to_bytes(), key.clone());
        }
        storage.seal().expect(SOUND);
        (storage, keys)
    }

    fn take(&mut self, key: &str, row: &(u64, Content)) {
        self.clock = self.clock.max(row.0);
        if self.rows.get(key).is_none_or(|held| held < row) {
            self.rows.insert(key.to_owned(), row.clone());
        }
    }
}

/// The rows of some items.
fn named(replica: &Replica, keys: &BTreeMap<[u8; 32], String>, ids: &[Id]) -> Vec<(String, (u64, Content))> {
    ids.iter().map(|id| &keys[&id.to_bytes()]).map(|key| (key.clone(), replica.rows[key].clone())).collect()
}

impl MapReplica for Replica {
    fn new(_: u64) -> Self {
        Self { rows: BTreeMap::new(), clock: 0 }
    }

    fn put(&mut self, rows: &[Row]) {
        for row in rows {
            self.clock += 1;
            self.rows.insert(row.key.clone(), (self.clock, row.value.clone()));
        }
    }

    fn get(&mut self, key: &str) -> Option<Content> {
        self.rows.get(key).map(|(_, value)| value.clone())
    }

    fn contents(&mut self) -> BTreeMap<String, Content> {
        self.rows.iter().map(|(key, (_, value))| (key.clone(), value.clone())).collect()
    }

    fn save(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn load(_: &[u8], id: u64) -> Self {
        Self::new(id)
    }

    fn fork(&mut self, _: u64) -> Self {
        self.clone()
    }

    /// Reconciles, then sends rows in one message each way; asking for some is one more.
    fn sync(&mut self, other: &mut Self) -> Traffic {
        let (mine, my_keys) = self.items();
        let (theirs, their_keys) = other.items();
        let mut asks = Negentropy::owned(mine, 0).expect(SOUND);
        let mut answers = Negentropy::owned(theirs, 0).expect(SOUND);
        let (mut have, mut need, mut traffic) = (Vec::new(), Vec::new(), Traffic::default());
        let mut next = Some(asks.initiate().expect(SOUND));
        while let Some(question) = next {
            traffic.count(question.len());
            let answer = answers.reconcile(&question).expect(SOUND);
            traffic.count(answer.len());
            next = asks.reconcile_with_ids(&answer, &mut have, &mut need).expect(SOUND);
        }
        let (to_them, to_me) = (named(self, &my_keys, &have), named(other, &their_keys, &need));
        if !(have.is_empty() && need.is_empty()) {
            traffic.count(need.len() * 32 + have.len() * ROW_BYTES);
            traffic.count(need.len() * ROW_BYTES);
        }
        to_me.iter().for_each(|(key, row)| self.take(key, row));
        to_them.iter().for_each(|(key, row)| other.take(key, row));
        traffic
    }

    fn absorb(&mut self, other: &mut Self) {
        other.rows.iter().for_each(|(key, row)| self.take(key, row));
    }
}

fn main() -> ExitCode {
    program::main(|task: &Task| match task.workload.as_str() {
        "W5" | "W11" | "old-puts" => workload::map::<Replica>(task),
        _ => None,
    })
}
