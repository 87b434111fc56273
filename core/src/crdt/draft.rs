//! A transaction being written, over rows that stay as they are until it is committed.

use alloc::collections::BTreeMap;
use core::cmp::Ordering;
use core::ops::Bound;

use crate::clock::Timestamp;
use crate::id::{Dot, ReplicaId};
use crate::row::{
    DataError, Entry, Object, Payload, ReadRows, RowKey, VisitRows, WriteRows, Writes, scan_under,
};

/// Writes held back until they are committed as one act. Reads see them.
#[derive(Debug)]
pub struct Draft<'a, R> {
    below: &'a R,
    next: Dot,
    timestamp: Timestamp,
    /// The new entry of a row, or none for a row that goes.
    rows: BTreeMap<RowKey, Option<Entry>>,
    /// How many fresh names were given.
    names: u64,
}

impl<'a, R> Draft<'a, R> {
    /// An empty transaction over `below`. `next` is the author's next dot; entries that this draft shows carry it for
    /// now, and the commit gives each its own.
    pub const fn new(below: &'a R, next: Dot, timestamp: Timestamp) -> Self {
        Self { below, next, timestamp, rows: BTreeMap::new(), names: 0 }
    }

    /// What was written; see [`crate::row::Rows::commit`].
    pub fn into_writes(self) -> Writes {
        let payloads = self.rows.into_iter().map(|(key, entry)| (key, entry.map(|entry| entry.payload)));
        Writes { rows: payloads.collect(), names: self.names }
    }
}

impl<R: ReadRows> ReadRows for Draft<'_, R> {
    type Error = R::Error;

    fn entries(&self, key: &RowKey) -> Result<alloc::vec::Vec<Entry>, R::Error> {
        match self.rows.get(key) {
            Some(entry) => Ok(entry.iter().cloned().collect()),
            None => self.below.entries(key),
        }
    }

    fn scan(&self, object: &Object, from: &[u8], visit: VisitRows<'_>) -> Result<(), R::Error> {
        let first = object.row(from).map_err(DataError::from)?;
        let range = (Bound::Included(first.as_bytes()), Bound::Excluded(&object.end()[..]));
        let drafted = self.rows.range::<[u8], _>(range).map(|(key, entry)| (key, entry.clone()));
        scan_under(|visit| self.below.scan(object, from, visit), drafted, Ordering::Greater, visit)
    }

    fn scan_back(&self, object: &Object, end: Option<&[u8]>, visit: VisitRows<'_>) -> Result<(), R::Error> {
        let above = object.bytes_below(end).map_err(DataError::from)?;
        let range = (Bound::Included(object.prefix()), Bound::Excluded(&above[..]));
        let drafted = self.rows.range::<[u8], _>(range).rev().map(|(key, entry)| (key, entry.clone()));
        scan_under(|visit| self.below.scan_back(object, end, visit), drafted, Ordering::Less, visit)
    }
}

impl<R: ReadRows> WriteRows for Draft<'_, R> {
    fn author(&self) -> ReplicaId {
        self.next.replica
    }

    fn time(&self) -> Timestamp {
        self.timestamp
    }

    fn fresh(&mut self) -> Dot {
        self.names += 1;
        Dot::new(self.next.replica, self.next.seq + self.names - 1)
    }

    fn put(&mut self, key: RowKey, payload: Payload) -> Result<(), R::Error> {
        let entry = Entry::new(&key, self.next, self.timestamp, payload);
        self.rows.insert(key, Some(entry));
        Ok(())
    }

    fn remove(&mut self, key: RowKey) -> Result<(), R::Error> {
        if self.below.entries(&key)?.is_empty() {
            self.rows.remove(&key);
        } else {
            self.rows.insert(key, None);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::ops::ControlFlow;

    use quickcheck::quickcheck;

    use super::*;
    use crate::row::{Kind, Rows};

    const AUTHOR: ReplicaId = ReplicaId::from_u128(1);

    fn dot(rows: &Rows) -> Dot {
        Dot::new(AUTHOR, rows.version_vector().seq(&AUTHOR) + 1)
    }

    /// Rows from an element on, and below it.
    fn seen(rows: &impl ReadRows<Error = DataError>, from: u8, stop: usize) -> [Vec<(u8, u8)>; 2] {
        let object = Object::new(Kind(9), "o").unwrap();
        let mut out = [Vec::new(), Vec::new()];
        let visit = |out: &mut Vec<_>, key: &RowKey, entries: &[Entry]| {
            out.push((key.element()[0], entries[0].payload[0]));
            if out.len() == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let [above, below] = &mut out;
        rows.scan(&object, &[from], &mut |key, entries| visit(above, key, entries)).unwrap();
        rows.scan_back(&object, Some(&[from]), &mut |key, entries| visit(below, key, entries)).unwrap();
        out
    }

    quickcheck! {
        fn a_draft_shows_what_its_commit_will(old: Vec<(u8, u8)>, new: Vec<(u8, Option<u8>)>, from: u8, stop: u8) -> bool {
            let object = |path| Object::new(Kind(9), path).unwrap();
            let mut rows = Rows::new();
            for (element, value) in old {
                let payload = Payload::new(&[value][..]);
                rows.write(AUTHOR, Timestamp(1), object("o").row(&[element % 16]).unwrap(), payload);
            }
            // A neighbour on each side: scans stay within their object.
            for path in ["n", "p"] {
                rows.write(AUTHOR, Timestamp(1), object(path).row(&[0]).unwrap(), Payload::new(&[0][..]));
            }
            let mut draft = Draft::new(&rows, dot(&rows), Timestamp(2));
            for (element, value) in new {
                let key = object("o").row(&[element % 16]).unwrap();
                match value {
                    Some(value) => draft.put(key, Payload::new(&[value][..]).unwrap()).unwrap(),
                    None => draft.remove(key).unwrap(),
                }
            }
            let (from, stop) = (from % 17, usize::from(stop % 8));
            let shown = (seen(&draft, from, stop), seen(&draft, 0, 0));
            let writes = draft.into_writes();
            let mut committed = rows.clone();
            if !writes.rows.is_empty() {
                committed.commit(AUTHOR, Timestamp(2), writes).unwrap();
            }
            committed.check();
            shown == (seen(&committed, from, stop), seen(&committed, 0, 0))
        }
    }
}
