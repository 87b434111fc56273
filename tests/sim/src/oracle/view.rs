//! What one replica must show, kept up to date as its vector moves.

use rejoin_core::row::Entry;

use super::{Record, Vector, Violation, broken};

/// The rows that follow from the record and one vector.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// What the replica has seen, in memory.
    pub vector: Vector,
    /// Live puts, by row number.
    rows: Vec<Vec<usize>>,
}

impl View {
    /// The puts that must be live in a row.
    pub fn row(&self, key: usize) -> &[usize] {
        self.rows.get(key).map_or(&[], Vec::as_slice)
    }

    /// How many rows are not empty.
    pub fn len(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_empty()).count()
    }

    /// Whether no row holds anything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves on to a vector that covers the one before. Returns the rows that may look different now.
    pub fn advance(&mut self, record: &Record, to: &Vector) -> Result<Vec<usize>, Violation> {
        if !to.covers(&self.vector) {
            return broken("I3", format!("the vector went back from {:?} to {to:?}", self.vector));
        }
        let mut touched = Vec::new();
        let before = core::mem::replace(&mut self.vector, to.clone());
        self.rows.resize_with(record.keys.len(), Vec::new);
        for (author, seq) in to.iter().filter(|(author, seq)| *seq > before.seq(*author)) {
            if !record.is_whole(author, seq) {
                let id = record.authors[author].id;
                return broken("I8", format!("{id:?}:{seq} ends no transaction that was issued"));
            }
            for number in record.between(author, before.seq(author), seq) {
                self.learn(record, *number, &mut touched)?;
            }
        }
        touched.sort_unstable();
        touched.dedup();
        Ok(touched)
    }

    /// Starts over at any vector. All rows may look different.
    pub fn reset(&mut self, record: &Record, to: &Vector) -> Result<(), Violation> {
        *self = Self::default();
        self.advance(record, to).map(|_| ())
    }

    fn learn(&mut self, record: &Record, number: usize, touched: &mut Vec<usize>) -> Result<(), Violation> {
        let mutation = &record.mutations[number];
        if !self.vector.covers(&mutation.past) {
            let id = record.authors[mutation.author].id;
            let what = format!(
                "{id:?}:{} was written after {:?} and is known at {:?}",
                mutation.last, mutation.past, self.vector
            );
            return broken("I8", what);
        }
        for put in &mutation.puts {
            let key = record.puts[*put].key;
            let known = |killer: &usize| {
                let killer = &record.mutations[*killer];
                killer.last <= self.vector.seq(killer.author)
            };
            touched.push(key);
            if !record.puts[*put].killers.iter().any(known) {
                self.rows[key].push(*put);
            }
        }
        for put in &mutation.kills {
            let key = record.puts[*put].key;
            touched.push(key);
            self.rows[key].retain(|live| live != put);
        }
        Ok(())
    }
}

/// Compares a row of the engine with what must be there: I1, I2, I3 and I4.
pub fn check_row(record: &Record, view: &View, key: usize, entries: &[Entry]) -> Result<(), Violation> {
    let expected = view.row(key);
    let name = &record.keys[key];
    if !entries.windows(2).all(|pair| pair[0].dot < pair[1].dot) {
        return broken("I3", format!("the entries of {name:?} are not in the order of their dots"));
    }
    for entry in entries {
        let dot = entry.dot;
        let author = record.author(&dot.replica);
        let Some(put) = author.and_then(|author| record.put_at(author, dot.seq)) else {
            return broken("I4", format!("{dot:?} in {name:?} was put by nobody, or was lost"));
        };
        let issued = &record.puts[put];
        if issued.key != key || issued.payload != entry.payload || issued.timestamp != entry.timestamp() {
            return broken("I4", format!("{dot:?} in {name:?} does not say what its author wrote"));
        }
        if !expected.contains(&put) {
            if issued.seq > view.vector.seq(issued.author) {
                return broken("I3", format!("{dot:?} in {name:?} is live and not in the vector"));
            }
            return broken("I2", format!("{dot:?} in {name:?} is live, and who killed it is in the vector"));
        }
    }
    if entries.len() == expected.len() {
        return Ok(());
    }
    let missing = expected.iter().map(|put| &record.puts[*put]).find(|put| {
        let id = record.authors[put.author].id;
        !entries.iter().any(|entry| entry.dot.replica == id && entry.dot.seq == put.seq)
    });
    let missing = missing.map(|put| (record.authors[put.author].id, put.seq));
    broken("I1", format!("{missing:?} of {name:?} is known, nobody killed it, and it is gone"))
}
