//! Who has seen what, for apps that move between devices.

use alloc::vec::Vec;

use crate::clock::{Causality, Token, VersionVector};
use crate::engine::Engine;
use crate::id::Dot;
use crate::store::{Store, StoreError};

impl<S: Store> Engine<S> {
    /// What memory has seen: whoever has seen this token has seen all that [`Engine::reader`] shows.
    ///
    /// It may name own writes that are not durable yet. One whose commit fails is gone, and its dot is given again; so a
    /// token is worth something when the write is durable. An own write that [gets another
    /// name](crate::boundary::Event::Renamed) is known here by both until the store is closed, and elsewhere by the new one
    /// only.
    pub fn token(&self) -> Token {
        self.space.token()
    }

    /// Whether memory has seen all of a token.
    pub fn has_seen(&self, token: &Token) -> bool {
        self.space.missing(token).is_empty()
    }

    /// The dots of a token that were not seen.
    pub fn missing(&self, token: &Token) -> Vec<Dot> {
        self.space.missing(token)
    }

    /// All that lies in the past of a token, itself included. `None` when it was not seen here, or the log does not reach back
    /// far enough to tell. Reads the whole log.
    pub fn version_at(&mut self, token: &Token) -> Result<Option<VersionVector>, StoreError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.space.version_at(token),
        }
    }

    /// How the history of one token relates to that of the other. `None` when it cannot be told from here: neither was seen,
    /// or what came between them is in the log no longer. Reads the whole log.
    pub fn compare(&mut self, a: &Token, b: &Token) -> Result<Option<Causality>, StoreError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.space.compare(a, b),
        }
    }
}
