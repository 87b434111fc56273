//! Happened-before, from what each author had seen when it wrote: a second way to say which entries must be live.

use rejoin_core::row::Entry;

use super::{Record, Vector, Violation, broken};

/// I10: the live entries of a row are the puts among its maximal writes, and the largest (time, dot) of them wins.
pub fn check_winner(
    record: &Record,
    vector: &Vector,
    key: usize,
    entries: &[Entry],
) -> Result<(), Violation> {
    let known: Vec<usize> = record.touches[key]
        .iter()
        .copied()
        .filter(|number| {
            let mutation = &record.mutations[*number];
            mutation.last <= vector.seq(mutation.author)
        })
        .collect();
    let maximal = known.iter().filter(|one| !known.iter().any(|other| is_past(record, **one, *other)));
    let puts = maximal.flat_map(|number| &record.mutations[*number].puts);
    let puts: Vec<_> = puts.map(|put| &record.puts[*put]).filter(|put| put.key == key).collect();
    let winner = puts.iter().map(|put| (put.timestamp, record.authors[put.author].id, put.seq)).max();
    let shown = entries.iter().map(Entry::rank).max();
    let shown = shown.map(|(timestamp, dot)| (timestamp, dot.replica, dot.seq));
    if winner != shown || puts.len() != entries.len() {
        let name = &record.keys[key];
        return broken("I10", format!("{name:?} shows {shown:?}; its maximal writes say {winner:?}"));
    }
    Ok(())
}

/// Whether mutation `one` happened before mutation `other`.
fn is_past(record: &Record, one: usize, other: usize) -> bool {
    let one = &record.mutations[one];
    one.last <= record.mutations[other].past.seq(one.author)
}
