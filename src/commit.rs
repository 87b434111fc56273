//! What a write returns: it has happened in memory; wait for more if you need more.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use rejoin_core::Token;
use rejoin_net::replica::{Replica, Written};

use crate::{Error, Result};

/// A change that reads show already.
///
/// * Not awaited ([`Commit::detach`]): it reaches the disk soon, and others after that.
/// * `.await`: it is on this disk.
/// * [`Commit::confirmed`]: other devices have it on theirs.
#[must_use = "await it to know that the change is on disk, or call .detach()"]
#[derive(Debug)]
pub struct Commit<T> {
    outcome: Result<(T, Option<Written>)>,
    replica: Replica,
}

impl<T> Commit<T> {
    pub(crate) fn new(replica: &Replica, outcome: Result<(T, Option<Written>)>) -> Self {
        Self { outcome, replica: replica.clone() }
    }

    /// What was written gave, if it could be made.
    pub(crate) fn value(&self) -> Option<&T> {
        self.outcome.as_ref().ok().map(|(value, _)| value)
    }

    /// Whether the change could be made: it shows, and there is something to wait for.
    pub fn is_made(&self) -> bool {
        self.outcome.is_ok()
    }

    /// Names the change, and all that this device had seen when it made it: whoever [has seen](crate::Space::read_after) the
    /// token shows it. `None` when nothing was changed, or could be. Worth something once the change is on this disk.
    pub fn token(&self) -> Option<Token> {
        let (_, written) = self.outcome.as_ref().ok()?;
        written.as_ref().map(|written| Token::of_write(written.dot))
    }

    /// Does not wait. The error is that of a change that could not be made at all.
    pub fn detach(self) -> Result<T> {
        self.outcome.map(|(value, _)| value)
    }

    /// Waits until the change is on this disk and `others` more devices have said that it is on theirs. When that takes
    /// longer than `within`, [`Error::NotConfirmed`] says how many have it; the change is kept and goes on syncing.
    pub async fn confirmed(self, others: usize, within: Duration) -> Result<T> {
        let (value, written) = self.outcome?;
        let Some(written) = written else { return Ok(value) };
        let dot = written.dot;
        written.saved().await?;
        match self.replica.confirmed(dot, others, within).await {
            Ok(()) => Ok(value),
            Err(got) => Err(Error::NotConfirmed { got, wanted: others, after: within }),
        }
    }
}

impl<T: Send + 'static> IntoFuture for Commit<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (value, written) = self.outcome?;
            if let Some(written) = written {
                written.saved().await?;
            }
            Ok(value)
        })
    }
}
