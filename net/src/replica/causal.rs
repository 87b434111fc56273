//! Who has seen what: tokens, and reads that wait for them.

use std::fmt;
use std::time::Duration;

use rejoin_core::store::StoreError;
use rejoin_core::{Causality, Dot, Token, VersionVector};

use super::Replica;
use super::shared::closed;
use crate::host::timeout;

/// A part of a token that was not seen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What is asked for: this change, and all that its writer had seen.
    pub dot: Dot,
    /// How many changes of that writer are here.
    pub here: u64,
    /// How many of the peers that were met said that they have it.
    pub holders: usize,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dot, here, holders } = self;
        write!(f, "change {} of {}, of whose changes {here} are here; ", dot.seq, dot.replica)?;
        match holders {
            0 => f.write_str("no device that was met has said that it has it"),
            1 => f.write_str("1 device that was met has it"),
            more => write!(f, "{more} devices that were met have it"),
        }
    }
}

impl Replica {
    /// What this replica shows has seen: see [`rejoin_core::engine::Engine::token`].
    pub fn token(&self) -> Result<Token, StoreError> {
        Ok(self.shared.state().engine()?.token())
    }

    /// Whether reads show all that a token has seen.
    pub fn has_seen(&self, token: &Token) -> Result<bool, StoreError> {
        Ok(self.shared.state().engine()?.has_seen(token))
    }

    /// What of a token was not seen.
    pub fn missing(&self, token: &Token) -> Result<Vec<Missing>, StoreError> {
        let mut state = self.shared.state();
        state.hear_all();
        let engine = state.engine()?;
        let vector = engine.version_vector();
        let missing = |dot: Dot| {
            let (here, holders) = (vector.seq(&dot.replica), state.waiting.holders(&dot));
            Missing { dot, here, holders }
        };
        Ok(engine.missing(token).into_iter().map(missing).collect())
    }

    /// Waits until reads show all that a token has seen; says whether that was in time.
    pub async fn seen(&self, token: &Token, within: Duration) -> Result<bool, StoreError> {
        let wait = {
            let mut state = self.shared.state();
            if state.engine()?.has_seen(token) {
                return Ok(true);
            }
            state.waiting.for_token(token.clone())
        };
        match timeout(within, wait).await {
            Ok(Ok(())) => Ok(true),
            // Nobody is left to answer.
            Ok(Err(_)) => Err(closed()),
            Err(_) => self.has_seen(token),
        }
    }

    /// How two tokens relate: see [`rejoin_core::engine::Engine::compare`].
    pub fn compare(&self, a: &Token, b: &Token) -> Result<Option<Causality>, StoreError> {
        let compared = self.shared.state().engine_to_write()?.compare(a, b);
        // What waited for company is sealed now.
        self.shared.wake.notify_one();
        compared
    }

    /// All that lies in the past of a token: see [`rejoin_core::engine::Engine::version_at`].
    pub fn version_at(&self, token: &Token) -> Result<Option<VersionVector>, StoreError> {
        let version = self.shared.state().engine_to_write()?.version_at(token);
        self.shared.wake.notify_one();
        version
    }
}
