//! What an app may ask when two stores turned out to write under one id.

use crate::engine::Engine;
use crate::id::{Dot, ReplicaId};
use crate::row::{Entry, RowKey};
use crate::store::{Store, StoreError};

impl<S: Store> Engine<S> {
    /// What an own dot is called now: [`Event::Renamed`](crate::boundary::Event::Renamed) gives those that nobody else had
    /// heard of another name.
    pub fn current(&self, dot: Dot) -> Dot {
        self.space.current(dot)
    }

    /// Visits entries of replicas with two histories that merging lost, with their rows, by rising dot. Many of them were
    /// killed in order; some are work that nothing else holds. There are at most [`crate::limits::FORKS_BYTES`].
    pub fn visit_forks(&self, visit: &mut dyn FnMut(&RowKey, &Entry)) -> Result<(), StoreError> {
        self.space.visit_forks(visit)
    }

    /// Forgets one of them; says whether it was there. Durable with the next commit.
    pub fn forget_fork(&mut self, entry: &Entry) -> Result<bool, StoreError> {
        self.space.forget_fork(entry)
    }

    /// Whether two histories were seen under this id.
    pub fn is_forked(&self, replica: &ReplicaId) -> bool {
        self.space.heads.get(replica).is_some_and(|head| head.forked)
    }
}
