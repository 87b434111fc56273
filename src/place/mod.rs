//! Where a node keeps what it has: a data directory, a shelf of its host, or memory.

#[cfg(not(target_family = "wasm"))]
mod directory;
mod shelf;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rejoin_core::SpaceId;
use rejoin_core::store::{MemoryStore, StoreError};
use rejoin_net::replica::{Committer, Storage};
#[cfg(not(target_family = "wasm"))]
use rejoin_net::store::Writer;

#[cfg(not(target_family = "wasm"))]
pub(crate) use directory::Directory;
pub(crate) use shelf::Shelved;
pub use shelf::{Kept, Shelf};

/// There are no directories here.
#[cfg(target_family = "wasm")]
pub(crate) enum Directory {}

#[cfg(target_family = "wasm")]
impl Directory {
    pub(crate) const fn file(&self, _: &rejoin_core::SpaceId) -> std::path::PathBuf {
        match *self {}
    }
}

/// The store of one space, and what is kept beside it.
pub(crate) struct Opened {
    pub(crate) storage: Storage,
    pub(crate) committer: Committer,
    pub(crate) facts: Facts,
    pub(crate) lineage: [u8; 16],
    /// Whether the file had been closed: otherwise it has to be checked before it is believed.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) was_closed: bool,
    /// Whether what is kept beside the data was found to fit it, or was not looked at.
    pub(crate) derived_is_sound: bool,
}

/// What a device knows of a space beside its data.
pub(crate) enum Facts {
    #[cfg(not(target_family = "wasm"))]
    Disk(Writer),
    Memory(Mutex<BTreeMap<&'static str, Vec<u8>>>),
    Shelf(Mutex<BTreeMap<String, Vec<u8>>>, Arc<dyn Shelf>, SpaceId),
}

impl Opened {
    /// A space that is gone when the node closes.
    pub(crate) fn in_memory() -> Self {
        Self {
            storage: Storage::Memory(Box::new(MemoryStore::new())),
            committer: Committer::Memory,
            facts: Facts::Memory(Mutex::default()),
            lineage: [0; 16],
            #[cfg(not(target_family = "wasm"))]
            was_closed: true,
            derived_is_sound: true,
        }
    }
}

impl Facts {
    pub(crate) fn get(&self, name: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Disk(writer) => writer.host(name.as_bytes()),
            Self::Memory(facts) => {
                Ok(facts.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
            }
            Self::Shelf(facts, ..) => {
                Ok(facts.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
            }
        }
    }

    pub(crate) fn remove(&self, name: &'static str) -> Result<(), StoreError> {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Disk(writer) => writer.set_host(name.as_bytes(), None),
            Self::Memory(facts) => {
                facts.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                Ok(())
            }
            Self::Shelf(facts, shelf, space) => {
                facts.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                shelf.keep(space, name, None);
                Ok(())
            }
        }
    }

    pub(crate) fn set(&self, name: &'static str, value: &[u8]) -> Result<(), StoreError> {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Disk(writer) => writer.set_host(name.as_bytes(), Some(value)),
            Self::Memory(facts) => {
                facts.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value.to_vec());
                Ok(())
            }
            Self::Shelf(facts, shelf, space) => {
                let mut facts = facts.lock().unwrap_or_else(PoisonError::into_inner);
                facts.insert(name.to_owned(), value.to_vec());
                shelf.keep(space, name, Some(value));
                Ok(())
            }
        }
    }
}
