//! Two replicas of a map that were apart.

use std::collections::BTreeMap;

use crate::measure::{Measures, cpu};
use crate::peer::{MapReplica, Traffic};
use crate::program::Task;
use crate::rows::{Content, Row, rows, values};

/// Rows in a transaction while a map is filled that is only the setting of a workload.
const FILL: usize = 100;
/// The streams of new values on the two sides.
const LEFT: u64 = 11;
const RIGHT: u64 = 12;

fn fill<M: MapReplica>(replica: &mut M, all: &[Row]) {
    all.chunks(FILL).for_each(|chunk| replica.put(chunk));
    replica.settle();
}

/// Both hold exactly `wanted`.
fn prove<M: MapReplica>(left: &mut M, right: &mut M, wanted: &BTreeMap<String, Content>) {
    assert!(left.contents() == *wanted, "the left side does not hold what it must");
    assert!(right.contents() == *wanted, "the right side does not hold what it must");
}

fn as_map(all: &[Row]) -> BTreeMap<String, Content> {
    all.iter().map(|row| (row.key.clone(), row.value.clone())).collect()
}

/// W4: two replicas that have written half of the rows each become one.
pub(super) fn merge<M: MapReplica>(task: &Task) -> Measures {
    let all = rows(task.rows, task.values);
    let (first, second) = all.split_at(all.len() / 2);
    let (mut left, mut right) = (M::new(1), M::new(2));
    fill(&mut left, first);
    fill(&mut right, second);
    let ((), seconds) = cpu(|| left.merge(&mut right));
    prove(&mut left, &mut right, &as_map(&all));
    Measures::default().with("rows/s", task.rows as f64 / seconds)
}

/// Changes rows at `offset` among every so many, each in a transaction of its own, as people do.
fn change<M: MapReplica>(
    replica: &mut M,
    all: &[Row],
    wanted: &mut BTreeMap<String, Content>,
    (changed, offset, stream): (usize, usize, u64),
    kind: crate::rows::Kind,
) {
    let step = all.len() / changed.max(1);
    for (index, value) in values(changed, stream, kind).into_iter().enumerate() {
        let key = all[index * step + offset].key.clone();
        wanted.insert(key.clone(), value.clone());
        replica.put(&[Row { key, value }]);
        replica.commit();
    }
}

fn compare<M: MapReplica>(left: &mut M, right: &mut M, all: &[Row], task: &Task) -> Measures {
    let mut wanted = as_map(all);
    change(left, all, &mut wanted, (task.changed, 0, LEFT), task.values);
    change(right, all, &mut wanted, (task.changed, 1, RIGHT), task.values);
    let (traffic, seconds) = cpu(|| left.sync(right));
    let Traffic { bytes, messages, half_trips, data_trips } = traffic;
    prove(left, right, &wanted);
    let mut measures = Measures::default()
        .with("bytes", bytes as f64)
        .with("messages", messages as f64)
        .with("half trips", half_trips as f64)
        .with("cpu ms", seconds * 1e3);
    if let Some(trips) = data_trips {
        measures.add("data trips", f64::from(trips));
    }
    measures
}

/// W5: two writers hold the same rows, change some each, and meet.
pub(super) fn few_writers<M: MapReplica>(task: &Task) -> Measures {
    let all = rows(task.rows, task.values);
    let mut left = M::new(1);
    fill(&mut left, &all);
    let mut right = left.fork(2);
    right.settle();
    compare(&mut left, &mut right, &all, task)
}

/// W11: the same where many replicas have written the rows.
pub(super) fn many_writers<M: MapReplica>(task: &Task) -> Measures {
    let all = rows(task.rows, task.values);
    let mut left = M::new(1);
    for (index, part) in all.chunks(task.rows / task.replicas).enumerate() {
        let mut writer = M::writer(1000 + index as u64);
        writer.put(part);
        writer.settle();
        left.absorb(&mut writer);
    }
    left.settle();
    let mut right = left.fork(2);
    right.settle();
    compare(&mut left, &mut right, &all, task)
}

/// Rows of one transaction when much is changed at once.
const LARGE: usize = 1000;

/// Some rows, spread over all of them, each once.
fn scattered(all: &[Row], changed: usize) -> Vec<usize> {
    // A step that shares no factor with the number of rows visits each row once.
    let step = (1..).map(|more| all.len() * 61 / 100 + more).find(|step| gcd(*step, all.len()) == 1);
    let step = step.expect("there are primes");
    (0..changed).map(|index| index * step % all.len()).collect()
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// So many bytes at least name which of the rows differ: log2 of the number of subsets.
fn limit(rows: usize, changed: usize) -> f64 {
    let bits = (0..changed).map(|index| ((rows - index) as f64 / (index + 1) as f64).log2());
    bits.sum::<f64>() / 8.0
}

/// One side changes rows, and nobody remembers how: only the states are left to compare.
fn reconcile<M: MapReplica>(
    task: &Task,
    act: impl Fn(&mut M, &mut BTreeMap<String, Content>, Vec<Row>) -> bool,
) -> Option<Measures> {
    let all = rows(task.rows, task.values);
    let (mut left, mut wanted) = (M::new(1), as_map(&all));
    fill(&mut left, &all);
    let mut right = left.fork(2);
    right.settle();
    let fresh = values(task.changed, LEFT, task.values);
    let changed = scattered(&all, task.changed).into_iter().zip(fresh);
    let changed: Vec<Row> = changed.map(|(at, value)| Row { key: all[at].key.clone(), value }).collect();
    for some in changed.chunks(LARGE) {
        if !act(&mut left, &mut wanted, some.to_vec()) {
            return None;
        }
    }
    left.settle();
    let (traffic, seconds) = cpu(|| left.sync(&mut right));
    prove(&mut left, &mut right, &wanted);
    let mut measures = Measures::default()
        .with("bytes", traffic.bytes as f64)
        .with("limit", limit(task.rows, task.changed))
        .with("cpu ms", seconds * 1e3);
    if let Some(trips) = traffic.data_trips {
        measures.add("data trips", f64::from(trips));
    }
    Some(measures)
}

/// Old removals: only which rows are gone has to be told.
pub(super) fn old_removals<M: MapReplica>(task: &Task) -> Option<Measures> {
    reconcile::<M>(task, |replica, wanted, rows| {
        let keys: Vec<String> = rows.into_iter().map(|row| row.key).collect();
        keys.iter().for_each(|key| drop(wanted.remove(key)));
        replica.remove(&keys)
    })
}

/// Old puts: which rows, and what they hold now.
pub(super) fn old_puts<M: MapReplica>(task: &Task) -> Measures {
    let done = reconcile::<M>(task, |replica, wanted, rows| {
        wanted.extend(rows.iter().map(|row| (row.key.clone(), row.value.clone())));
        replica.put(&rows);
        true
    });
    done.expect("everybody can put")
}
