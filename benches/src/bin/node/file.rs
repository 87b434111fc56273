//! A store on disk, driven by hand: how large its file is, and how soon it is of use after it was closed.

use rejoin_benches::measure::{Measures, cpu, heap};
use rejoin_benches::program::Task;
use rejoin_benches::rows::{Row, rows};
use rejoin_core::crdt::LwwMapView;
use rejoin_core::engine::{Config, Engine, Input, Now, Output, WriteError};
use rejoin_core::identity::Ed25519;
use rejoin_core::{SpaceId, Value};
use rejoin_net::store::{OpenOptions, RedbStore, Writer};

use crate::text;

const NOW: Now = Now { mono_ms: 0, wall_ms: 1_700_000_000_000 };
/// Rows in one commit.
const GROUP: usize = 1000;
const DISK: &str = "the disk works";

fn open(store: RedbStore) -> Engine<RedbStore> {
    let seed = [1; 32];
    Engine::open(Config::new(SpaceId([7; 32])), Box::new(Ed25519::from_seed(seed)), store, seed).expect(DISK)
}

fn commit(engine: &mut Engine<RedbStore>, writer: &Writer) {
    while let Some(output) = engine.poll_output() {
        if let Output::Persist(commit) = output {
            let merged = writer.commit(&commit).expect(DISK);
            engine.store_mut().show().expect(DISK);
            engine.handle(NOW, Input::Persisted { commit: commit.id, result: Ok(merged) });
        }
    }
}

fn put(engine: &mut Engine<RedbStore>, map: &LwwMapView, rows: &[Row]) {
    let written = engine.write(NOW, |tx| -> Result<(), WriteError> {
        rows.iter().try_for_each(|row| map.put(tx, row.key.as_str(), text(row)))
    });
    written.expect("a transaction of this size fits");
}

/// W7 on disk: bytes of the file, opening it, and the first value read.
pub(crate) fn keep(task: &Task) -> Measures {
    let all = rows(task.rows, task.values);
    let folder = tempfile::tempdir().expect(DISK);
    let path = folder.path().join("space.redb");
    let map = LwwMapView::at("m").expect("the path is sound");
    let (store, writer) = RedbStore::open(&path, &OpenOptions::default()).expect(DISK);
    let mut engine = open(store);
    let ((), saving) = cpu(|| {
        for group in all.chunks(GROUP) {
            group.chunks(task.batch).for_each(|rows| put(&mut engine, &map, rows));
            commit(&mut engine, &writer);
        }
    });
    engine.into_store().close().expect(DISK);
    drop(writer);
    let bytes = std::fs::metadata(&path).expect(DISK).len();
    let row = &all[all.len() / 2];
    let before = heap();
    let ((engine, found, _writer), seconds) = cpu(|| {
        let (store, writer) = RedbStore::open(&path, &OpenOptions::default()).expect(DISK);
        let engine = open(store);
        let found = map.get(&engine.reader(), row.key.as_str()).expect(DISK);
        (engine, found, writer)
    });
    assert_eq!(found, Some(Value::from(text(row))), "what was read is not what was written");
    let held = heap() - before;
    drop(engine);
    let count = task.rows as f64;
    Measures::default()
        .with("file", bytes as f64 / count)
        .with("save ms", saving * 1e3)
        .with("load ms", seconds * 1e3)
        .with("heap after opening", held / count)
}
