//! Undo and redo of what this device wrote.

use rejoin_core::engine::Undone;

use crate::{Commit, Error, Result, Space};

impl Space {
    /// Keeps so many of the transactions that this device writes from now on, so that [`Space::undo`] can take them back: also
    /// after the node was closed, at most 1 MiB, the oldest go first. 0, as at first, keeps none, and forgets those that are
    /// kept. Remembered with the space; on this disk with the next change, or when the node is closed.
    ///
    /// ```no_run
    /// # async fn edit(space: rejoin::Space) -> rejoin::Result<()> {
    /// space.keep_undo(100).await?;
    /// let title = space.register::<String>("title");
    /// title.put("Board".into()).await?;
    /// title.put("Boart".into()).await?;
    /// if let Some(undone) = space.undo().await? {
    ///     println!("{} rows as before, {} left alone: somebody has written there since", undone.rows, undone.left);
    /// }
    /// assert_eq!(title.get()?.as_deref(), Some("Board"));
    /// space.redo().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What is taken back of each type is written in docs/undo.md.
    pub async fn keep_undo(&self, limit: u32) -> Result<()> {
        Ok(self.replica().keep_undo(limit).await??)
    }

    /// How many transactions are kept at most, how many can be taken back now, and how many of those done again.
    pub fn undo_depth(&self) -> Result<(u32, usize, usize)> {
        Ok(self.replica().undo_depth()?)
    }

    /// Takes back the newest transaction of this device that is kept and was not taken back: a transaction like any other.
    /// `None` when there is none. Rows in which anybody has written since are left alone; counters are turned back by the
    /// opposite amount. One of which nothing can be taken back is done with all the same, and the next undo looks at the one
    /// before it.
    ///
    /// # Errors
    /// [`Error::UndoOff`] when none are kept.
    pub fn undo(&self) -> Commit<Option<Undone>> {
        let outcome = self.keeps_undo().and_then(|()| Ok(self.replica().undo()?));
        Commit::new(self.replica(), outcome)
    }

    /// Does again what the last undo took back, by the same rule. `None` when there is nothing: any other transaction of this
    /// device makes an end of it.
    ///
    /// # Errors
    /// [`Error::UndoOff`] when none are kept.
    pub fn redo(&self) -> Commit<Option<Undone>> {
        let outcome = self.keeps_undo().and_then(|()| Ok(self.replica().redo()?));
        Commit::new(self.replica(), outcome)
    }

    fn keeps_undo(&self) -> Result<()> {
        let (limit, ..) = self.undo_depth()?;
        if limit == 0 { Err(Error::UndoOff) } else { Ok(()) }
    }
}
