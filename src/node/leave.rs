//! Parting with a space: keep what is here and sync no more, or give it away altogether.

use super::Node;
use crate::space::fact;
use crate::{Error, Result, Space};

impl Node {
    /// Syncs a space no more: what is here stays, to be read, and may be written too. Others keep what they have. Joining it
    /// again with a ticket undoes it. Older handles of the space return errors from here on; the new one is returned.
    pub async fn leave(&self, space: &Space) -> Result<Space> {
        if self.0.directory.is_none() {
            return Err(Error::InMemory);
        }
        space.0.facts.set(fact::LEFT, b"1")?;
        self.reopen(space).await
    }

    /// Opens a space anew, for what is known of it beside its data has changed.
    pub(super) async fn reopen(&self, space: &Space) -> Result<Space> {
        let id = space.id();
        space.close().await?;
        self.spaces_lock().remove(&id);
        let space = self.open_space(id, &[], None)?;
        self.keep(&space)?;
        Ok(space)
    }

    /// Deletes a space from this device. Others keep what they have, and are told nothing; with a ticket it can be joined again.
    ///
    /// # Errors
    /// [`Error::OnlyHere`] while changes of this device are on no other one as far as is known, unless `even_so`. Nothing
    /// was changed then.
    pub async fn forget(&self, space: &Space, even_so: bool) -> Result<()> {
        let changes = space.status()?.unsynced;
        if changes > 0 && !even_so {
            return Err(Error::OnlyHere { name: space.name().to_owned(), changes });
        }
        let id = space.id();
        space.close().await?;
        self.spaces_lock().remove(&id);
        if let Some(shelf) = &self.0.settings.shelf {
            shelf.forget(&id);
        }
        let Some(path) = self.file(&id) else { return Ok(()) };
        std::fs::remove_file(&path).map_err(|error| Error::Io { path, error })
    }
}
