//! iroh-docs: signed entries under range-based set reconciliation. An entry holds the hash of its value, and values travel
//! apart (iroh-blobs); here they lie in a map beside the store, and cost their 32 bytes when they are fetched.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;

use futures::executor::block_on;
use iroh_blobs::Hash;
use iroh_docs::store::{Query, Store};
use iroh_docs::{
    Author, ContentStatus, NamespaceId, NamespaceSecret, Replica as Document, SignedEntry, SyncOutcome,
};
use rejoin_benches::peer::{MapReplica, Traffic};
use rejoin_benches::program::{self, Task};
use rejoin_benches::rows::{Content, Row, mix};
use rejoin_benches::workload;

const SOUND: &str = "a store of this same program";

struct Replica {
    store: Store,
    space: NamespaceId,
    author: Author,
    blobs: HashMap<Hash, Content>,
}

fn bytes(value: &Content) -> &[u8] {
    match value {
        Content::Text(text) => text.as_bytes(),
        Content::Bytes(bytes) => bytes,
    }
}

impl Replica {
    fn document(&mut self) -> Document<'_> {
        self.store.open_replica(&self.space).expect(SOUND)
    }

    /// The newest entry of each key, whoever wrote it.
    fn newest(&mut self, query: Query) -> Vec<SignedEntry> {
        let entries = self.store.get_many(self.space, query).expect(SOUND);
        entries.map(|entry| entry.expect(SOUND)).collect()
    }

    /// Fetches the values that entries name and that are not here; returns how many bytes.
    fn fetch(&mut self, other: &Self) -> usize {
        let mut fetched = 0;
        for (hash, value) in &other.blobs {
            if !self.blobs.contains_key(hash) {
                self.blobs.insert(*hash, value.clone());
                fetched += bytes(value).len();
            }
        }
        fetched
    }
}

impl MapReplica for Replica {
    fn new(id: u64) -> Self {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&mix(id).to_le_bytes());
        let (mut store, author) = (Store::memory(), Author::from_bytes(&secret));
        let space = NamespaceSecret::from_bytes(&[7; 32]);
        let name = space.id();
        store.import_author(author.clone()).expect(SOUND);
        store.new_replica(space).expect(SOUND);
        Self { store, space: name, author, blobs: HashMap::new() }
    }

    fn put(&mut self, rows: &[Row]) {
        let author = self.author.clone();
        for row in rows {
            let value = bytes(&row.value);
            let hash = Hash::new(value);
            self.blobs.insert(hash, row.value.clone());
            let mut document = self.document();
            block_on(document.insert(&row.key, &author, hash, value.len() as u64)).expect(SOUND);
        }
    }

    fn get(&mut self, key: &str) -> Option<Content> {
        let newest = self.newest(Query::single_latest_per_key().key_exact(key).build());
        newest.first().and_then(|entry| self.blobs.get(&entry.content_hash()).cloned())
    }

    fn contents(&mut self) -> BTreeMap<String, Content> {
        let newest = self.newest(Query::single_latest_per_key().build());
        let pair = |entry: &SignedEntry| {
            let key = String::from_utf8(entry.key().to_vec()).ok()?;
            Some((key, self.blobs.get(&entry.content_hash())?.clone()))
        };
        newest.iter().filter_map(pair).collect()
    }

    fn save(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn load(_: &[u8], id: u64) -> Self {
        Self::new(id)
    }

    fn fork(&mut self, id: u64) -> Self {
        let mut fork = Self::new(id);
        fork.sync(self);
        fork
    }

    fn sync(&mut self, other: &mut Self) -> Traffic {
        let mut traffic = Traffic::default();
        let (mut mine, mut theirs) = (SyncOutcome::default(), SyncOutcome::default());
        let (me, them) = ([1; 32], [2; 32]);
        let mut next = Some(self.document().sync_initial_message().expect(SOUND));
        while let Some(question) = next {
            traffic.count(postcard::to_stdvec(&question).expect(SOUND).len());
            let answer =
                block_on(other.document().sync_process_message(question, me, &mut theirs)).expect(SOUND);
            let Some(answer) = answer else { break };
            traffic.count(postcard::to_stdvec(&answer).expect(SOUND).len());
            next = block_on(self.document().sync_process_message(answer, them, &mut mine)).expect(SOUND);
        }
        let fetched = [self.fetch(other), other.fetch(self)];
        for bytes in fetched.into_iter().filter(|bytes| *bytes > 0) {
            traffic.count(bytes);
        }
        traffic
    }

    fn absorb(&mut self, other: &mut Self) {
        let entries = other.newest(Query::all().build());
        for entry in entries {
            let mut document = self.document();
            block_on(document.insert_remote_entry(entry, [2; 32], ContentStatus::Complete)).expect(SOUND);
        }
        self.fetch(other);
    }
}

fn main() -> ExitCode {
    program::main(|task: &Task| workload::map::<Replica>(task))
}
