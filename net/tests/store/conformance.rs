//! Both stores answer alike, a snapshot shows what was shown, and everything is there after opening again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use quickcheck::{QuickCheck, TestResult};
use rejoin_core::store::{Commit, MemoryStore, Store, StoreError, Table};
use rejoin_net::store::{OpenOptions, RedbStore, Writer};

use crate::disk::TestDisk;
use crate::script::{commits, contents, models};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;
/// A table, a key, a value if it is not to be removed.
type Step = (u8, Vec<u8>, Option<Vec<u8>>);
/// A table, a key, how many entries to scan.
type Probe = (u8, Vec<u8>, u8);

pub(crate) fn open(disk: &TestDisk) -> (RedbStore, Writer) {
    RedbStore::open_with_backend(disk.clone(), &OpenOptions::default()).unwrap()
}

fn is_send<T: Send>(_: &T) {}

/// Up to `limit` entries of a scan in one direction.
fn scanned(store: &impl Store, table: Table, key: &[u8], back: bool, limit: usize) -> Entries {
    let mut found = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    if back { store.scan_back(table, key, &mut visit) } else { store.scan(table, key, &mut visit) }.unwrap();
    found
}

fn narrow(key: &[u8]) -> Vec<u8> {
    key.iter().take(3).map(|byte| byte % 4).collect()
}

fn answers_alike(script: Vec<Vec<Step>>, probes: Vec<Probe>) -> TestResult {
    let (mut store, writer) = open(&TestDisk::new(Vec::new()));
    let mut model = MemoryStore::new();
    for (id, steps) in script.iter().enumerate() {
        let changes: BTreeMap<_, _> = steps
            .iter()
            .map(|(table, key, value)| {
                ((Table::ALL[usize::from(*table) % Table::ALL.len()], narrow(key)), value.clone())
            })
            .collect();
        let changes = changes.into_iter().map(|((table, key), value)| (table, key, value)).collect();
        let commit = Commit::new(id as u64, changes);
        writer.commit(&commit).unwrap();
        model.apply(&commit).unwrap();
        store.show().unwrap();
        for (table, key, limit) in &probes {
            let (table, key) = (Table::ALL[usize::from(*table) % Table::ALL.len()], narrow(key));
            let limit = usize::from(limit % 5) + 1;
            let alike = store.get(table, &key).unwrap() == model.get(table, &key).unwrap()
                && [false, true].into_iter().all(|back| {
                    scanned(&store, table, &key, back, limit) == scanned(&model, table, &key, back, limit)
                });
            if !alike {
                return TestResult::error(format!("{table:?} at {key:?}"));
            }
        }
        if contents(&store).unwrap() != model {
            return TestResult::error("the contents differ");
        }
    }
    TestResult::passed()
}

#[test]
fn both_stores_answer_alike() {
    let property: fn(Vec<Vec<Step>>, Vec<Probe>) -> TestResult = answers_alike;
    QuickCheck::new().tests(60).rng(quickcheck::Gen::from_size_and_seed(12, 1)).quickcheck(property);
}

#[test]
fn a_commit_is_invisible_until_it_is_shown() {
    let (mut store, writer) = open(&TestDisk::new(Vec::new()));
    is_send(&store);
    is_send(&writer);
    let script = commits(30, 1);
    let models = models(&script);
    for (commit, pair) in script.iter().zip(models.windows(2)) {
        writer.commit(commit).unwrap();
        assert!(contents(&store).unwrap() == pair[0], "before it is shown");
        store.show().unwrap();
        assert!(contents(&store).unwrap() == pair[1], "once it is shown");
    }
    for table in Table::ALL {
        let entries = scanned(&models[30], table, &[], false, usize::MAX);
        assert_eq!(store.count(table).unwrap(), entries.len() as u64, "{table:?}");
    }
}

/// A node that took in 5 GB made a list of what was staged whenever it was asked how it was, and died of it.
#[test]
fn counting_reads_no_entries() {
    let disk = TestDisk::new(Vec::new());
    let (store, writer) = open(&disk);
    let entries = (0..5000_u16).map(|n| (Table::Stage, n.to_be_bytes().to_vec(), Some(vec![7; 300])));
    writer.commit(&Commit::new(1, entries.collect())).unwrap();
    drop((store, writer));
    let options = OpenOptions { cache_bytes: 1 << 20, verify_bytes: 0 };
    let (store, _writer) = RedbStore::open_with_backend(disk.clone(), &options).unwrap();
    let before = disk.state().reads;
    assert_eq!(store.count(Table::Stage).unwrap(), 5000);
    let counted = disk.state().reads;
    assert!(counted - before <= 4, "{} pages read to count", counted - before);
    assert_eq!(scanned(&store, Table::Stage, &[], false, usize::MAX).len(), 5000);
    assert!(disk.state().reads - counted > 100, "reading all is another matter");
}

#[test]
fn a_snapshot_outlives_many_commits() {
    let (mut store, writer) = open(&TestDisk::new(Vec::new()));
    let script = commits(60, 2);
    let models = models(&script);
    writer.commit(&script[0]).unwrap();
    store.show().unwrap();
    // Only one commit is ever in flight, but the host's facts are written at any time.
    for commit in &script[1..] {
        writer.commit(commit).unwrap();
        writer.set_host(b"acked", Some(&commit.id.to_le_bytes())).unwrap();
    }
    assert!(contents(&store).unwrap() == models[1], "what was shown");
    store.show().unwrap();
    assert!(contents(&store).unwrap() == models[60], "the newest");
}

#[test]
fn everything_is_there_after_opening_again() {
    let disk = TestDisk::new(Vec::new());
    let script = commits(40, 3);
    let models = models(&script);
    for (commit, model) in script.iter().zip(&models[1..]) {
        let (mut store, writer) = open(&disk);
        writer.commit(commit).unwrap();
        store.show().unwrap();
        if commit.id % 2 == 0 {
            store.close().unwrap();
            assert!(matches!(writer.commit(commit), Err(StoreError::Io(_))), "it is closed");
        } else {
            drop((store, writer));
        }
        assert!(contents(&open(&disk).0).unwrap() == *model, "after commit {}", commit.id);
    }
}

#[test]
fn facts_of_the_host_are_kept_with_a_commit_and_without() {
    let disk = TestDisk::new(Vec::new());
    let (store, writer) = open(&disk);
    let script = commits(1, 4);
    writer.set_host(b"name", Some(b"tasks")).unwrap();
    writer.set_host(b"gone", Some(b"soon")).unwrap();
    let acked = (b"acked".to_vec(), Some(vec![7]));
    writer.commit_with(&script[0], &[acked, (b"gone".to_vec(), None)]).unwrap();
    drop((store, writer));
    let (store, writer) = open(&disk);
    assert_eq!(contents(&store).unwrap(), models(&script)[1]);
    let facts = [b"name".as_slice(), b"acked", b"gone"].map(|key| writer.host(key).unwrap());
    assert_eq!(facts, [Some(b"tasks".to_vec()), Some(vec![7]), None]);
}
