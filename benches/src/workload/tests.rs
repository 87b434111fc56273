//! The proofs of the workloads, on a peer that is honest and on one that loses something.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use super::map;
use crate::measure::Measures;
use crate::peer::{MapReplica, Traffic};
use crate::program::Task;
use crate::rows::{Content, Row};

/// A map where the later write of a key wins. With `LOSES` a sync leaves out the first row of what is new.
struct Toy<const LOSES: bool> {
    rows: BTreeMap<String, (u64, Content)>,
    clock: u64,
}

impl<const LOSES: bool> Toy<LOSES> {
    fn take(&mut self, other: &Self) {
        let mut to_lose = LOSES;
        for (key, row) in &other.rows {
            self.clock = self.clock.max(row.0);
            let is_news = self.rows.get(key).is_none_or(|held| held < row);
            if is_news && !std::mem::take(&mut to_lose) {
                self.rows.insert(key.clone(), row.clone());
            }
        }
    }
}

impl<const LOSES: bool> MapReplica for Toy<LOSES> {
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
        Self { rows: self.rows.clone(), clock: self.clock }
    }

    fn sync(&mut self, other: &mut Self) -> Traffic {
        self.take(other);
        other.take(self);
        Traffic::default()
    }
}

fn task(workload: &str) -> Task {
    let (rows, writes) = (200, 1000);
    Task { workload: workload.into(), rows, batch: 10, changed: 3, writes, replicas: 20, ..Task::default() }
}

fn figure(measures: &Measures, name: &str) -> f64 {
    measures.0.iter().find(|pair| pair.0 == name).expect("it was measured").1
}

#[test]
fn an_honest_peer_passes_every_workload() {
    for workload in ["W1", "W4", "W5", "W7", "W8", "W11"] {
        let measures = map::<Toy<false>>(&task(workload)).expect("a workload on maps");
        assert!(!measures.0.is_empty(), "{workload} measured nothing");
    }
    assert_eq!(map::<Toy<false>>(&task("W2")), None, "sets are another trait's");
    let written = map::<Toy<false>>(&task("W1")).expect("a workload on maps");
    assert!(figure(&written, "rows/s") > 0.0);
}

#[test]
fn a_peer_that_loses_a_row_is_caught() {
    for workload in ["W4", "W5", "W11"] {
        assert!(catch_unwind(|| map::<Toy<true>>(&task(workload))).is_err(), "{workload} noticed nothing");
    }
}
