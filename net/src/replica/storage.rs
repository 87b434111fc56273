//! Where a space lies: in a file, or in memory for nodes that keep nothing.

use std::ops::ControlFlow;

use rejoin_core::store::{Commit, MemoryStore, Merged, Store, StoreError, Table, Visit};

use crate::store::{RedbStore, Writer};

/// The store of one space, as its engine reads it.
#[derive(Clone)]
pub enum Storage {
    /// In one file.
    Disk(RedbStore),
    /// Gone when the node closes.
    Memory(Box<MemoryStore>),
}

/// The other half of a [`Storage`]: makes commits durable.
#[derive(Clone)]
pub enum Committer {
    /// To the file.
    Disk(Writer),
    /// Nothing is ever durable, and nothing is ever lost before the node closes.
    Memory,
    /// As a test wants it: late, or not at all.
    #[cfg(feature = "faults")]
    Scripted(Script),
}

/// What a disk does with a commit.
#[cfg(feature = "faults")]
pub type Script = std::sync::Arc<dyn Fn(&Commit) -> Result<(), StoreError> + Send + Sync>;

impl Storage {
    /// Lets reads see a commit that is durable. Says what its merge did, which the disk knew when it wrote.
    pub(super) fn show(&mut self, commit: &Commit, merged: Merged) -> Result<Merged, StoreError> {
        match self {
            Self::Disk(store) => store.show().map(|()| merged),
            Self::Memory(store) => store.apply(commit),
        }
    }

    /// How many keys a table has, as far as it is durable: live rows, or staged entries. Nothing is read for it: there may
    /// be millions, and all else waits.
    pub(super) fn count(&self, table: Table) -> Result<u64, StoreError> {
        match self {
            Self::Disk(store) => store.count(table),
            Self::Memory(store) => {
                let mut count = 0;
                store.scan(table, &[], &mut |_, _| {
                    count += 1;
                    ControlFlow::Continue(())
                })?;
                Ok(count)
            }
        }
    }

    /// Lets go of the file so that the next opening checks it before it believes it.
    pub fn leave_open(self) {
        if let Self::Disk(store) = self {
            store.leave_open();
        }
    }

    /// Lets go of the file, for the writers too.
    pub(super) fn close(self) -> Result<(), StoreError> {
        match self {
            Self::Disk(store) => store.close(),
            Self::Memory(_) => Ok(()),
        }
    }
}

impl Committer {
    /// Makes a commit durable; blocks while the disk works.
    pub(super) fn commit(&self, commit: &Commit) -> Result<Merged, StoreError> {
        match self {
            Self::Disk(writer) => writer.commit(commit),
            Self::Memory => Ok(Merged::default()),
            #[cfg(feature = "faults")]
            Self::Scripted(script) => script(commit).map(|()| Merged::default()),
        }
    }
}

impl Store for Storage {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Disk(store) => store.get(table, key),
            Self::Memory(store) => store.get(table, key),
        }
    }

    fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        match self {
            Self::Disk(store) => store.scan(table, first, visit),
            Self::Memory(store) => store.scan(table, first, visit),
        }
    }

    fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        match self {
            Self::Disk(store) => store.scan_back(table, end, visit),
            Self::Memory(store) => store.scan_back(table, end, visit),
        }
    }
}
