//! A store on disk with its writer, for a host that waits for each commit.

use std::path::Path;

use rejoin_benches::host;
use rejoin_core::store::{Commit, Merged, Store, StoreError, Table, Visit};
use rejoin_net::store::{OpenOptions, RedbStore, Writer};

pub(crate) const WORKS: &str = "the disk works";

pub(crate) struct Disk {
    store: RedbStore,
    writer: Writer,
}

impl Disk {
    /// The store at a path, or a new one.
    pub(crate) fn open(path: &Path) -> Self {
        let (store, writer) = RedbStore::open(path, &OpenOptions::default()).expect(WORKS);
        Self { store, writer }
    }

    pub(crate) fn close(self) {
        self.store.close().expect(WORKS);
    }
}

impl host::Disk for Disk {
    fn commit(&mut self, commit: &Commit) -> Result<Merged, StoreError> {
        let merged = self.writer.commit(commit)?;
        self.store.show()?;
        Ok(merged)
    }
}

impl Store for Disk {
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
