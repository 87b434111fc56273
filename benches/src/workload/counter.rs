//! A counter that many replicas count up.

use crate::measure::{Measures, cpu};
use crate::peer::CounterReplica;
use crate::program::Task;

/// W3: counting, and joining what all have counted.
pub fn counter<C: CounterReplica>(task: &Task) -> Measures {
    let mut replicas: Vec<C> = (0..task.replicas).map(|index| C::new(1 + index as u64)).collect();
    let each = task.writes / task.replicas;
    let ((), seconds) = cpu(|| {
        for replica in &mut replicas {
            (0..each).for_each(|_| replica.increment());
            replica.settle();
        }
    });
    let (first, others) = replicas.split_first_mut().expect("there are replicas");
    let ((), merging) = cpu(|| others.iter_mut().for_each(|other| first.absorb(other)));
    let all = (each * task.replicas) as u64;
    assert_eq!(first.value(), all, "increments were lost or counted twice");
    let saved = first.saved() as f64 / task.replicas as f64;
    Measures::default()
        .with("increments/s", all as f64 / seconds)
        .with("merge ms", merging * 1e3)
        .with("saved", saved)
}
