//! Spaces in memory whose changes a host keeps: what a page in a browser does, where no call may wait for a disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rejoin_core::SpaceId;
use rejoin_core::store::{MemoryStore, StoreError};
use rejoin_net::replica::journal::{Journal, replay};
use rejoin_net::replica::{Committer, Storage};

use super::{Facts, Opened};

/// Where a host keeps spaces. Nothing here may call the node again at once.
pub trait Shelf: Send + Sync {
    /// Where the changes of a space go.
    fn journal(&self, space: &SpaceId) -> Arc<dyn Journal>;

    /// Keeps a fact about a space beside it, or forgets it, after all that was asked before.
    fn keep(&self, space: &SpaceId, name: &str, value: Option<&[u8]>);

    /// Forgets a space, its facts included.
    fn forget(&self, space: &SpaceId);
}

/// A space as its host kept it.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// What was appended to its journal, in that order.
    pub records: Vec<Vec<u8>>,
    /// The facts about it.
    pub facts: BTreeMap<String, Vec<u8>>,
}

/// A shelf, and what was on it.
#[derive(Clone)]
pub(crate) struct Shelved {
    shelf: Arc<dyn Shelf>,
    /// Names the place where it lies: a copy of it in another place writes under another id.
    lineage: [u8; 16],
    kept: Arc<Mutex<BTreeMap<SpaceId, Kept>>>,
}

impl fmt::Debug for Shelved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shelved")
    }
}

impl Shelved {
    pub(crate) fn new(shelf: Arc<dyn Shelf>, lineage: [u8; 16], kept: BTreeMap<SpaceId, Kept>) -> Self {
        Self { shelf, lineage, kept: Arc::new(Mutex::new(kept)) }
    }

    /// The spaces that are kept and not open yet.
    pub(crate) fn spaces(&self) -> Vec<SpaceId> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    pub(crate) fn forget(&self, space: &SpaceId) {
        self.shelf.forget(space);
    }

    /// Opens a space, or begins it.
    pub(crate) fn open_space(&self, space: SpaceId) -> Result<Opened, StoreError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&space);
        let Kept { records, facts } = kept.unwrap_or_default();
        let mut store = MemoryStore::new();
        records.iter().try_for_each(|record| replay(&mut store, record))?;
        Ok(Opened {
            storage: Storage::Memory(Box::new(store)),
            committer: Committer::Journal(self.shelf.journal(&space)),
            facts: Facts::Shelf(Mutex::new(facts), self.shelf.clone(), space),
            lineage: self.lineage,
            // A record is there or it is not, and each was checked.
            #[cfg(not(target_family = "wasm"))]
            was_closed: true,
            derived_is_sound: true,
        })
    }
}
