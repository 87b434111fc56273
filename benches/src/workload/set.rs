//! A set that grows, and is emptied again.

use crate::measure::{Measures, cpu, heap};
use crate::peer::SetReplica;
use crate::program::Task;
use crate::rows::rows;

/// W2: adding, what a live element costs, and what a removed one leaves behind.
pub fn set<S: SetReplica>(task: &Task) -> Measures {
    let elements: Vec<String> = rows(task.rows, task.values).into_iter().map(|row| row.key).collect();
    let count = elements.len() as f64;
    let before = heap();
    let mut replica = S::new(1);
    let empty = replica.saved();
    let ((), seconds) = cpu(|| {
        elements.iter().for_each(|element| replica.add(element));
        replica.settle();
    });
    let held = heap() - before;
    assert_eq!(replica.count(), elements.len());
    let saved = replica.saved();
    let ((), removing) = cpu(|| {
        elements.iter().for_each(|element| replica.remove(element));
        replica.settle();
    });
    assert_eq!(replica.count(), 0);
    let left = replica.saved().saturating_sub(empty);
    Measures::default()
        .with("adds/s", count / seconds)
        .with("heap", held / count)
        .with("saved", saved as f64 / count)
        .with("removes/s", count / removing)
        .with("left", left as f64 / count)
}
