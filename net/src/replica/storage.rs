//! Where a space lies: in a file, or in memory for nodes that keep nothing.

use std::ops::ControlFlow;
use std::sync::Arc;

use rejoin_core::store::{Changes, Commit, MemoryStore, Merged, Store, StoreError, Table, Visit};

use super::journal::Journal;
#[cfg(not(target_family = "wasm"))]
use crate::store::{RedbStore, Writer};

/// The store of one space, as its engine reads it.
#[derive(Clone)]
pub enum Storage {
    /// In one file.
    #[cfg(not(target_family = "wasm"))]
    Disk(RedbStore),
    /// Gone when the node closes.
    Memory(Box<MemoryStore>),
}

/// The other half of a [`Storage`]: makes commits durable.
#[derive(Clone)]
pub enum Committer {
    /// To the file.
    #[cfg(not(target_family = "wasm"))]
    Disk(Writer),
    /// Nothing is ever durable, and nothing is ever lost before the node closes.
    Memory,
    /// As records that the host keeps, for a space that lies in memory.
    Journal(Arc<dyn Journal>),
    /// As a test wants it: late, or not at all.
    #[cfg(all(feature = "faults", not(target_family = "wasm")))]
    Scripted(Script),
}

/// What a disk does with a commit.
#[cfg(feature = "faults")]
pub type Script = std::sync::Arc<dyn Fn(&Commit) -> Result<(), StoreError> + Send + Sync>;

impl Storage {
    /// Lets reads see a commit that is durable. Says what its merge did, which the disk knew when it wrote.
    pub(super) fn show(&mut self, commit: &Commit, merged: Merged) -> Result<Merged, StoreError> {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Disk(store) => store.show().map(|()| merged),
            // A merge that was carried out before is in the list of changes.
            Self::Memory(store) => {
                store.apply(commit).map(|own| if commit.merge.is_some() { own } else { merged })
            }
        }
    }

    /// What a commit would change, its merge included; a store that is in memory knows.
    pub(super) fn changes_of(&mut self, commit: &Commit) -> Result<(Changes, Merged), StoreError> {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Disk(_) => Err(StoreError::Io("a space in a file is not kept as a journal".into())),
            Self::Memory(store) => store.changes_of(commit),
        }
    }

    /// Records for its journal; a store in a file has none.
    pub(super) fn image(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Disk(_) => Err(StoreError::Io("a space in a file is not kept as a journal".into())),
            Self::Memory(store) => super::journal::image(store),
        }
    }

    /// How many keys a table has, as far as it is durable: live rows, or staged entries. Nothing is read for it: there may
    /// be millions, and all else waits.
    pub(super) fn count(&self, table: Table) -> Result<u64, StoreError> {
        match self {
            #[cfg(not(target_family = "wasm"))]
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
        #[cfg(not(target_family = "wasm"))]
        if let Self::Disk(store) = self {
            store.leave_open();
        }
    }

    /// Lets go of the file, for the writers too.
    pub(super) fn close(self) -> Result<(), StoreError> {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Disk(store) => store.close(),
            Self::Memory(_) => Ok(()),
        }
    }
}

#[cfg(not(target_family = "wasm"))]
impl Committer {
    /// Makes a commit durable; blocks while the disk works.
    pub(super) fn commit(&self, commit: &Commit) -> Result<Merged, StoreError> {
        match self {
            Self::Disk(writer) => writer.commit(commit),
            Self::Memory | Self::Journal(_) => Ok(Merged::default()),
            #[cfg(feature = "faults")]
            Self::Scripted(script) => script(commit).map(|()| Merged::default()),
        }
    }
}

impl Store for Storage {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Disk(store) => store.get(table, key),
            Self::Memory(store) => store.get(table, key),
        }
    }

    fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Disk(store) => store.scan(table, first, visit),
            Self::Memory(store) => store.scan(table, first, visit),
        }
    }

    fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Disk(store) => store.scan_back(table, end, visit),
            Self::Memory(store) => store.scan_back(table, end, visit),
        }
    }
}
