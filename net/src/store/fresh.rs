//! A store in the making: filled under another name, and put in its place when it is complete.

use std::fmt;
use std::path::{Path, PathBuf};

use rejoin_core::store::StoreError;

use super::error::{OpenError, io_error};
use super::writer::Shared;
use super::{OpenOptions, RedbStore, Writer, open, place};

/// A new store that nobody finds yet. Dropped, it leaves nothing behind.
pub struct FreshStore {
    /// Gone once it is in its place.
    store: Option<(RedbStore, Writer)>,
    fresh: PathBuf,
    path: PathBuf,
}

impl FreshStore {
    /// Begins one beside the path where it is to lie.
    ///
    /// # Errors
    /// The system refuses, or somebody else makes one there at this moment.
    pub fn begin(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        let (fresh, disk) = open::fresh(path)?;
        let mut begun = Self { store: None, fresh, path: path.to_owned() };
        let place = path.display().to_string();
        begun.store = Some(RedbStore::on(Shared::open(disk, options, &place)?, &place)?);
        Ok(begun)
    }

    /// Makes changes durable, and shows them.
    pub fn store(&mut self) -> (&mut RedbStore, &Writer) {
        let (store, writer) = self.store.as_mut().expect("it is there until it is in its place");
        (store, writer)
    }

    /// Closes it, and puts it in its place, where it takes the place of what lies there.
    ///
    /// # Errors
    /// Nothing was put there; what lay there is still there.
    pub fn put_in_place(mut self) -> Result<(), StoreError> {
        if let Some((store, _)) = self.store.take() {
            store.close()?;
        }
        place::put_in_place(&self.fresh, &self.path).map_err(|error| io_error(&error))
    }
}

impl fmt::Debug for FreshStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FreshStore").field(&self.fresh).finish()
    }
}

impl Drop for FreshStore {
    fn drop(&mut self) {
        self.store = None;
        // Gone when it was put in its place; else the next one made here removes it at the latest.
        let _ = std::fs::remove_file(&self.fresh);
    }
}
