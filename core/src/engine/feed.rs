//! The change feed, for whoever folds it into something of their own: see [`crate::feed`].

use core::ops::ControlFlow;

use crate::engine::Engine;
use crate::feed::{Cursor, Record, Retention};
use crate::state::Snapshot;
use crate::store::{Store, StoreError};

impl<S: Store> Engine<S> {
    /// From the next commit on a change feed is kept, or no more when `retention` is `None`. That lasts, like the store does.
    pub fn keep_feed(&mut self, retention: Option<Retention>) {
        self.space.keep_feed(retention);
    }

    /// How much of the feed is kept, as far as that is durable.
    pub fn feed_retention(&self) -> Option<Retention> {
        self.space.feed_retention()
    }

    /// The place behind all that is durable; `None` while no feed is kept.
    pub fn feed_end(&self) -> Option<Cursor> {
        self.space.feed_end()
    }

    /// Visits what was made durable behind a place, oldest first, until `visit` breaks; the place behind what was visited.
    /// `None` when there is a gap: what came next is not there any more, or the place is one of another history, or no feed
    /// is kept. Whoever finds one begins anew from a [durable snapshot](Self::durable_snapshot).
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn read_feed(
        &self,
        after: &Cursor,
        visit: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<Option<Cursor>, StoreError> {
        self.space.read_feed(after, visit)
    }

    /// The state that is durable at this moment, and the place in the feed that belongs to it, if one is kept. Costs a handle
    /// on the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn durable_snapshot(&self) -> Result<(Snapshot<S>, Option<Cursor>), StoreError>
    where
        S: Clone,
    {
        Ok((self.space.durable_snapshot()?, self.space.feed_end()))
    }
}
