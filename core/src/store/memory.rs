//! A store in memory: for tests, for the simulator's disks, for nodes that keep nothing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::store::{Commit, Store, StoreError, Table, Visit};

/// Sorted maps. Cloning it takes an image of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    tables: [BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()],
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies a commit.
    pub fn apply(&mut self, commit: &Commit) {
        for (table, key, value) in &commit.changes {
            let table = &mut self.tables[*table as usize];
            match value {
                Some(value) => table.insert(key.clone(), value.clone()),
                None => table.remove(key),
            };
        }
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.tables[table as usize].get(key).cloned())
    }

    fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let range = (Bound::Included(first), Bound::Unbounded);
        for (key, value) in self.tables[table as usize].range::<[u8], _>(range) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let range = (Bound::Unbounded, Bound::Excluded(end));
        for (key, value) in self.tables[table as usize].range::<[u8], _>(range).rev() {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}
