//! A store on disk, driven by hand: how large its file is, how soon it is of use after it was closed, and what it costs to
//! fill an empty one from another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rejoin_benches::host::{self, Host};
use rejoin_benches::measure::{Measures, cpu, heap};
use rejoin_benches::program::Task;
use rejoin_benches::rows::{Row, rows, values};
use rejoin_core::Value;
use rejoin_core::crdt::LwwMapView;
use rejoin_core::engine::Push;

use crate::disk::{Disk, WORKS};
use crate::text;

/// Rows in one commit.
const GROUP: usize = 1000;

fn map() -> LwwMapView {
    LwwMapView::at("m").expect("the path is sound")
}

fn put(host: &mut Host<Disk>, rows: &[Row]) {
    let map = map();
    host.write(rows.len(), |tx| rows.iter().try_for_each(|row| map.put(tx, row.key.as_str(), text(row))));
}

/// W7 on disk: bytes of the file, opening it, and the first value read.
pub(crate) fn keep(task: &Task) -> Measures {
    let all = rows(task.rows, task.values);
    let folder = tempfile::tempdir().expect(WORKS);
    let path = folder.path().join("space.redb");
    let mut host = Host::over(1, Push::Off, Disk::open(&path));
    let ((), saving) = cpu(|| {
        all.chunks(task.batch).for_each(|rows| put(&mut host, rows));
        host.commit();
    });
    host.engine.into_store().close();
    let bytes = std::fs::metadata(&path).expect(WORKS).len();
    let row = &all[all.len() / 2];
    let before = heap();
    let ((host, found), seconds) = cpu(|| {
        let host = Host::over(1, Push::Off, Disk::open(&path));
        let found = map().get(&host.engine.reader(), row.key.as_str()).expect(WORKS);
        (host, found)
    });
    assert_eq!(found, Some(Value::from(text(row))), "what was read is not what was written");
    let held = heap() - before;
    drop(host);
    let count = task.rows as f64;
    Measures::default()
        .with("file", bytes as f64 / count)
        .with("save ms", saving * 1e3)
        .with("load ms", seconds * 1e3)
        .with("heap after opening", held / count)
}

/// A store is filled from another one, both on disk, without a log that reaches back: bulk sync. Rows are made as they are
/// written, so that what is held is what the engines hold. Keys ascend.
pub(crate) fn bulk(task: &Task) -> Measures {
    host::keep_log(false);
    let folder = tempfile::tempdir().expect(WORKS);
    let open = |id, name| Host::over(id, Push::Off, Disk::open(&folder.path().join(name)));
    let (mut full, mut empty) = (open(1, "full.redb"), open(2, "empty.redb"));
    for start in (0..task.rows).step_by(GROUP) {
        let fresh = values(GROUP.min(task.rows - start), start as u64, task.values);
        let keys = (start..).map(|number| format!("{number:016x}"));
        put(&mut full, &keys.zip(fresh).map(|(key, value)| Row { key, value }).collect::<Vec<_>>());
    }
    full.settle();
    let ((traffic, peak), seconds) = cpu(|| peak_heap(|| full.sync(&mut empty)));
    let sum = |host: &Host<Disk>| map().len(&host.engine.reader()).expect(WORKS);
    assert_eq!(sum(&empty), task.rows, "rows are missing");
    Measures::default()
        .with("rows/s", task.rows as f64 / seconds)
        .with("bytes", traffic.bytes as f64 / task.rows as f64)
        .with("peak heap", peak / f64::from(1 << 20))
}

/// Runs something and says how much heap the process had at most meanwhile, looked at once a millisecond.
fn peak_heap<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = heap();
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
                peak = peak.max(heap());
            }
            peak
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, watch.join().expect("it only looks"))
    })
}
