//! A store in memory: for tests, for the simulator's disks, for nodes that keep nothing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::store::{Change, Commit, Merged, Store, StoreError, Table, Visit, WriteStore};

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

    /// Applies a commit, all of it or, on an error, nothing. Only a merge over tables that are damaged can fail.
    pub fn apply(&mut self, commit: &Commit) -> Result<Merged, StoreError> {
        if commit.merge.is_none() {
            for (table, key, value) in &commit.changes {
                self.change(*table, key, value.clone());
            }
            return Ok(Merged::default());
        }
        let mut undoing = Undoing { store: self, before: Vec::new() };
        let result = commit.write(&mut undoing);
        if result.is_err() {
            undoing.undo();
        }
        result
    }

    fn change(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let table = &mut self.tables[table as usize];
        match value {
            Some(value) => table.insert(key.to_vec(), value),
            None => table.remove(key),
        }
    }
}

/// A transaction: it remembers what was there before.
struct Undoing<'a> {
    store: &'a mut MemoryStore,
    before: Vec<Change>,
}

impl Undoing<'_> {
    fn change(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) {
        let before = self.store.change(table, key, value);
        self.before.push((table, key.to_vec(), before));
    }

    fn undo(&mut self) {
        for (table, key, value) in core::mem::take(&mut self.before).into_iter().rev() {
            self.store.change(table, &key, value);
        }
    }
}

impl Store for Undoing<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.store.scan(table, first, visit)
    }

    fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.store.scan_back(table, end, visit)
    }
}

impl WriteStore for Undoing<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.change(table, key, Some(value.to_vec()));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.change(table, key, None);
        Ok(())
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
