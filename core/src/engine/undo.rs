//! Own transactions taken back, and done again.
//!
//! Which ones are kept, and what becomes of them, says the module `state::undo`; what is written back, `crdt::undo`.

use crate::boundary::Now;
use crate::crdt::take_back;
use crate::engine::{Engine, Undone, WriteError};
use crate::id::Dot;
use crate::state::Way;
use crate::store::{Store, StoreError};

impl<S: Store> Engine<S> {
    /// Keeps so many own transactions from now on, to be taken back: also after the store was closed. 0, as at first,
    /// keeps none and forgets those that are kept. They are at most [`crate::limits::UNDO_BYTES`]; the oldest go first.
    /// Durable with the next commit.
    pub fn keep_undo(&mut self, limit: u32) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.space.keep_undo(limit);
        Ok(())
    }

    /// How many own transactions are kept at most.
    pub const fn undo_limit(&self) -> u32 {
        self.space.undo_limit()
    }

    /// How many own transactions can be taken back, and how many of those done again.
    pub fn undo_depth(&self) -> (usize, usize) {
        self.space.undo_depth()
    }

    /// Takes back the newest own transaction that was not taken back: an own transaction like any other, but that it can be
    /// taken back only by [`Engine::redo`]. `None` when none is kept. One of which nothing could be taken back is done with all
    /// the same: [`Undone::rows`] is 0 then, and the next undo looks at the one before it.
    pub fn undo(&mut self, now: Now) -> Result<(Option<Undone>, Option<Dot>), WriteError> {
        self.turn(now, Way::Back)
    }

    /// Does again what the last [`Engine::undo`] took back, by the same rule: where nobody has written since. Any other own
    /// transaction makes an end of that.
    pub fn redo(&mut self, now: Now) -> Result<(Option<Undone>, Option<Dot>), WriteError> {
        self.turn(now, Way::Again)
    }

    fn turn(&mut self, now: Now, way: Way) -> Result<(Option<Undone>, Option<Dot>), WriteError> {
        self.now = now;
        if let Some(error) = &self.failed {
            return Err(WriteError::Store(error.clone()));
        }
        self.space.turn(now, way, |transaction, act| take_back(transaction, act))
    }
}
