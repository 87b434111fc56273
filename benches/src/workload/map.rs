//! One replica of a map: writing, keeping, overwriting.

use crate::measure::{Measures, cpu, heap};
use crate::peer::MapReplica;
use crate::program::Task;
use crate::rows::{Row, rows, values};

/// Our id in workloads with one replica.
const ME: u64 = 1;

/// Writes rows in transactions of `batch`, until they could be told to others.
fn fill<M: MapReplica>(replica: &mut M, all: &[Row], batch: usize) {
    all.chunks(batch.max(1)).for_each(|chunk| replica.put(chunk));
    replica.settle();
}

fn check<M: MapReplica>(replica: &mut M, all: &[Row]) {
    for row in all.iter().step_by((all.len() / 100).max(1)) {
        assert_eq!(replica.get(&row.key).as_ref(), Some(&row.value), "a row is not there");
    }
}

/// W1: rows per second.
pub(super) fn write<M: MapReplica>(task: &Task) -> Measures {
    let all = rows(task.rows, task.values);
    let (mut replica, seconds) = cpu(|| {
        let mut replica = M::new(ME);
        fill(&mut replica, &all, task.batch);
        replica
    });
    check(&mut replica, &all);
    Measures::default().with("rows/s", task.rows as f64 / seconds)
}

/// W7: what a map costs to hold, to save and to load.
pub(super) fn keep<M: MapReplica>(task: &Task) -> Measures {
    let count = task.rows as f64;
    let all = rows(task.rows, task.values);
    let before = heap();
    let mut replica = M::new(ME);
    fill(&mut replica, &all, task.batch);
    let mut measures = Measures::default().with("heap", (heap() - before) / count);
    let (saved, seconds) = cpu(|| replica.save());
    check(&mut replica, &all);
    if let Some(bytes) = saved {
        measures.add("saved", bytes.len() as f64 / count);
        measures.add("save ms", seconds * 1e3);
        drop(replica);
        let key = &all[all.len() / 2].key;
        let ((mut loaded, found), seconds) = cpu(|| {
            let mut loaded = M::load(&bytes, ME + 1);
            let found = loaded.get(key);
            (loaded, found)
        });
        assert_eq!(found.as_ref(), Some(&all[all.len() / 2].value), "what was loaded is not what was saved");
        check(&mut loaded, &all);
        measures.add("load ms", seconds * 1e3);
    } else {
        measures.0.extend(replica.extra().0.into_iter().map(|(name, value)| (name, value / count)));
    }
    measures
}

/// W8: many writes to few keys, in transactions that write each key once.
pub(super) fn overwrite<M: MapReplica>(task: &Task) -> Measures {
    let keys = rows(task.rows, task.values);
    let before = heap();
    let mut replica = M::new(ME);
    let (mut seconds, mut last) = (0.0, Vec::new());
    for round in 0..task.writes / task.rows {
        let fresh = values(task.rows, 100 + round as u64, task.values);
        last = keys.iter().zip(fresh).map(|(row, value)| Row { key: row.key.clone(), value }).collect();
        seconds += cpu(|| replica.put(&last)).1;
    }
    seconds += cpu(|| replica.settle()).1;
    let of_data = last.iter().map(|row| row.key.capacity() + 32 + size_of::<Row>()).sum::<usize>();
    let live = task.rows as f64;
    let mut measures = Measures::default()
        .with("writes/s", task.writes as f64 / seconds)
        .with("heap", (heap() - before - of_data as f64) / live);
    assert_eq!(replica.contents().len(), task.rows);
    check(&mut replica, &last);
    match replica.save() {
        Some(bytes) => measures.add("saved", bytes.len() as f64 / live),
        None => measures.0.extend(replica.extra().0.into_iter().map(|(name, value)| (name, value / live))),
    }
    measures
}
