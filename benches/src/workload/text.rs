//! Text that one person writes, and many documents that hardly change.

use crate::measure::{Measures, cpu, heap};
use crate::peer::{MapReplica, TextReplica};
use crate::program::Task;
use crate::rows::{Row, rows};
use crate::trace::{END, edits, letters};

/// W9: a paper is written, `batch` edits a transaction; then it is saved, and read again.
pub fn write<T: TextReplica>(task: &Task) -> Measures {
    let edits = edits();
    let parts: Vec<_> = edits.chunks(task.batch).map(|part| (part, letters(part))).collect();
    let before = heap();
    let mut text = T::new(1);
    let ((), seconds) = cpu(|| {
        parts.iter().for_each(|(part, letters)| text.edit(part, letters));
        text.settle();
    });
    let held = heap() - before;
    assert_eq!(text.length(), END);
    let saved = text.save();
    let (mut again, loading) = cpu(|| T::load(&saved));
    assert_eq!(again.length(), END);
    Measures::default()
        .with("edits/s", edits.len() as f64 / seconds)
        .with("ms", seconds * 1e3)
        .with("saved", saved.len() as f64)
        .with("load ms", loading * 1e3)
        .with("heap", held)
}

/// W6: so many documents, each a replica of its own, held on both sides; some change on each side, and all sync.
pub(super) fn documents<M: MapReplica>(task: &Task) -> Measures {
    let titles = rows(3, task.values);
    let before = heap();
    let mut left: Vec<M> = (0..task.rows).map(|index| first(index, &titles)).collect();
    let held = heap() - before;
    let mut right: Vec<M> = left
        .iter_mut()
        .enumerate()
        .map(|(index, document)| document.fork(1_000_000 + index as u64))
        .collect();
    let step = task.rows / task.changed.max(1);
    for (side, offset) in [(&mut left, 0), (&mut right, 1)] {
        for index in (0..task.changed).map(|index| index * step + offset) {
            side[index].put(&[title(&titles[1 + offset])]);
            side[index].settle();
        }
    }
    let (traffic, seconds) = cpu(|| {
        let pairs = left.iter_mut().zip(&mut right);
        pairs
            .map(|(left, right)| left.sync(right))
            .fold((0, 0), |sum, traffic| (sum.0 + traffic.bytes, sum.1 + traffic.messages))
    });
    for (left, right) in left.iter_mut().zip(&mut right) {
        assert_eq!(left.contents(), right.contents(), "a change is missing");
    }
    Measures::default()
        .with("bytes", traffic.0 as f64)
        .with("messages", traffic.1 as f64)
        .with("cpu ms", seconds * 1e3)
        .with("heap", held / task.rows as f64)
}

fn title(row: &Row) -> Row {
    Row { key: "title".into(), ..row.clone() }
}

/// A document with a title.
fn first<M: MapReplica>(index: usize, titles: &[Row]) -> M {
    let mut document = M::new(index as u64 + 1);
    document.put(&[title(&titles[0])]);
    document.settle();
    document
}
