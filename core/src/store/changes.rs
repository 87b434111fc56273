//! The changes of a commit, side by side in one buffer: what is written once and read once needs no allocation of its own.

use alloc::vec::Vec;
use core::fmt;

use crate::store::{Change, Table};

/// Changes in the order in which they were pushed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys and values.
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
}

/// Where one of them ends.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Piece {
    table: Table,
    removes: bool,
    key: usize,
    value: usize,
}

impl Changes {
    /// Room for so many changes of so many bytes.
    pub fn with_capacity(changes: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), pieces: Vec::with_capacity(changes) }
    }

    /// Adds one: the new value, or `None` to remove the key.
    pub fn push(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => self.put(table, key, |out| out.extend_from_slice(value)),
            None => self.end(table, key, true, |_| {}),
        }
    }

    /// Adds one whose value is written in place, behind what the buffer holds.
    pub(crate) fn put(&mut self, table: Table, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        self.end(table, key, false, write);
    }

    fn end(&mut self, table: Table, key: &[u8], removes: bool, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.extend_from_slice(key);
        let key = self.bytes.len();
        write(&mut self.bytes);
        self.pieces.push(Piece { table, removes, key, value: self.bytes.len() });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Tables, keys and new values.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        let mut start = 0;
        self.pieces.iter().map(move |piece| {
            let (key, value) = (&self.bytes[start..piece.key], &self.bytes[piece.key..piece.value]);
            start = piece.value;
            (piece.table, key, (!piece.removes).then_some(value))
        })
    }
}

impl FromIterator<Change> for Changes {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        let mut all = Self::default();
        changes.into_iter().for_each(|(table, key, value)| all.push(table, &key, value.as_deref()));
        all
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn what_is_pushed_comes_back_in_order_and_nothing_is_not_no_value() {
        let given: Vec<Change> = vec![
            (Table::Rows, vec![1, 2], Some(vec![3])),
            (Table::Dots, vec![], Some(vec![])),
            (Table::Dots, vec![4], None),
            (Table::Meta, vec![5], Some(vec![6, 7])),
        ];
        let changes: Changes = given.iter().cloned().collect();
        let back = changes.iter().map(|(table, key, value)| (table, key.to_vec(), value.map(<[u8]>::to_vec)));
        assert!(back.eq(given));
        assert_eq!((changes.len(), changes.is_empty()), (4, false));
    }
}
