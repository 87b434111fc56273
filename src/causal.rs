//! Who has seen what: tokens that an app carries from device to device, and how they relate.

use std::time::Duration;

use rejoin_core::{Causality, Token, VersionVector};

use crate::{Error, Result, Space};

impl Space {
    /// What this device shows has seen, in a text of 34 bytes or a few times that. Whoever
    /// [has seen](Space::read_after) it shows all that this device shows now, or what became of it since.
    ///
    /// It covers own writes that are not on this disk yet: hand it over after they are awaited, since a write that is
    /// [lost](Error::Lost) is seen by nobody. See also [`Commit::token`](crate::Commit::token).
    pub fn token(&self) -> Result<Token> {
        Ok(self.replica().token()?)
    }

    /// Whether this device shows all that a token has seen.
    pub fn has_seen(&self, token: &Token) -> Result<bool> {
        Ok(self.replica().has_seen(token)?)
    }

    /// Waits until this device shows all that a token has seen, so that what is read afterwards is no older: one's own
    /// writes of another device, or what was read there. At most `within`, and not at all on a node that is offline: nothing
    /// could arrive.
    ///
    /// # Errors
    /// [`Error::NotSeen`] says what is missing, and how many of the devices that were met have it.
    pub async fn read_after(&self, token: &Token, within: Duration) -> Result<()> {
        let within = if self.0.network.is_some() { within } else { Duration::ZERO };
        if self.replica().seen(token, within).await? {
            return Ok(());
        }
        let missing = self.replica().missing(token)?;
        // It may have arrived just now.
        if missing.is_empty() { Ok(()) } else { Err(Error::NotSeen { missing, after: within }) }
    }

    /// How what one token has seen relates to what the other has: `Before` if the other has seen all of it and more,
    /// `Concurrent` if each has seen something that the other has not. No clock is asked.
    ///
    /// `None` when this device cannot tell: it has seen neither, or what came between them is further back than its log of
    /// recent changes reaches. Versions as a whole always compare: [`Space::version`] and [`VersionVector::compare`]. Reads
    /// the log, a few megabytes at most.
    pub fn compare(&self, a: &Token, b: &Token) -> Result<Option<Causality>> {
        Ok(self.replica().compare(a, b)?)
    }

    /// All that a token has seen, replica by replica: for [`Log::at`](crate::Log::at). `None` when this device has not seen it, or
    /// its log of recent changes does not reach back far enough to tell; who wants to ask for more later keeps the
    /// [version](Space::version) instead.
    pub fn version_at(&self, token: &Token) -> Result<Option<VersionVector>> {
        Ok(self.replica().version_at(token)?)
    }

    /// What this device shows has seen, replica by replica: 24 bytes for each that ever wrote. Two of them always compare.
    pub fn version(&self) -> Result<VersionVector> {
        Ok(self.replica().version_vector()?)
    }
}
