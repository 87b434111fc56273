//! Logs.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

use rejoin_core::ReplicaId;
use rejoin_core::clock::Timestamp;
use rejoin_core::crdt::{LogEntry, LogView, Place};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{At, typed, value_of};
use crate::{Commit, Result, Watch};

/// An append-only log: entries are never changed, and stand in the order of time, which is one in which nobody answers
/// before being asked, whatever the clocks say. What a device wrote offline comes in between when it arrives.
#[derive(Debug)]
pub struct Log<T>(pub(crate) At<LogView>, pub(crate) PhantomData<fn() -> T>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

/// An entry of a [`Log`].
#[derive(Clone, Debug, PartialEq)]
pub struct Line<T> {
    /// Where it stands; places compare as entries are read.
    pub place: Place,
    /// Who wrote it.
    pub author: ReplicaId,
    /// When, by the author's clock.
    pub time: Timestamp,
    /// What it says.
    pub value: T,
}

/// Rows that one transaction of [`Log::trim`] removes: fewer than a transaction has room for.
const TRIMMED: usize = 4096;

pub(super) fn line<T: DeserializeOwned>(entry: LogEntry) -> Result<Line<T>> {
    let LogEntry { place, author, time, value } = entry;
    Ok(Line { place, author, time, value: typed(value)? })
}

impl<T: Serialize + DeserializeOwned + 'static> Log<T> {
    /// Adds an entry at the end, as far as this device sees it; says where.
    pub fn append(&self, value: T) -> Commit<Place> {
        self.0.write(|view, tx| view.append(tx, value_of(&value)?))
    }

    /// The last entries, in order; reads no others. An entry that is no `T` is an error.
    pub fn tail(&self, most: usize) -> Result<Vec<Line<T>>> {
        self.0.read(|view, rows| view.tail(rows, most))?.into_iter().map(line).collect()
    }

    /// The first `most` entries from a place on; [`Place::at`] makes one of a time.
    pub fn range(&self, from: &Place, most: usize) -> Result<Vec<Line<T>>> {
        let mut lines = Vec::new();
        self.0.read(|view, rows| {
            view.visit(rows, Some(from), |entry| {
                if lines.len() == most {
                    return ControlFlow::Break(());
                }
                lines.push(entry);
                ControlFlow::Continue(())
            })
        })?;
        lines.into_iter().map(line).collect()
    }

    /// What all entries come to, in order, without holding them. The first one that is no `T` ends it with an error.
    pub fn fold<S>(&self, start: S, mut step: impl FnMut(S, Line<T>) -> S) -> Result<S> {
        let (mut sum, mut failed) = (Some(start), None);
        self.0.read(|view, rows| {
            view.visit(rows, None, |entry| match line(entry) {
                Ok(line) => {
                    sum = sum.take().map(|sum| step(sum, line));
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            })
        })?;
        failed.map_or_else(|| Ok(sum.expect("each step gives it back")), Err)
    }

    /// How many entries there are. Reads all of them.
    pub fn len(&self) -> Result<usize> {
        self.0.read(|view, rows| view.len(rows))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool> {
        self.0.read(|view, rows| view.is_empty(rows))
    }

    /// Removes the entries before a place that this device sees, for everybody: begun when it is awaited, and says how
    /// many went. Some thousands go in one transaction, so others may see a part of it gone before the rest.
    pub fn trim(&self, before: &Place) -> Trim<T> {
        Trim { log: self.clone(), before: *before }
    }

    /// The last entries whenever there may be others, first as they are.
    pub fn watch(&self, most: usize) -> Watch<Vec<Line<T>>> {
        self.0.watch(move |at| Self(at.clone(), PhantomData).tail(most))
    }
}

/// Retention under way: see [`Log::trim`].
///
/// * `.await`: it is on this disk.
/// * [`Trim::confirmed`]: other devices have it on theirs.
#[must_use = "nothing is removed before it is awaited"]
#[derive(Debug)]
pub struct Trim<T> {
    log: Log<T>,
    before: Place,
}

impl<T: Serialize + DeserializeOwned + 'static> Trim<T> {
    /// The same as [`Commit::confirmed`], for all of it. When too few have it in time all of it is removed here all the
    /// same.
    pub async fn confirmed(self, others: usize, within: Duration) -> Result<usize> {
        let (removed, last) = self.run().await?;
        last.confirmed(others, within).await.map(|_| removed)
    }

    /// Removes all of it; how much that is, and the last transaction, which is saved no sooner than the others.
    async fn run(self) -> Result<(usize, Commit<usize>)> {
        let (mut removed, mut last) = (0, None);
        loop {
            let commit = self.log.0.write(|view, tx| view.trim(tx, &self.before, TRIMMED));
            let Some(&gone) = commit.value() else { return Ok((removed, commit)) };
            removed += gone;
            if gone < TRIMMED {
                // One that removed nothing is nothing to wait for.
                return Ok((removed, last.filter(|_| gone == 0).unwrap_or(commit)));
            }
            // One waits for the disk while the next is made.
            if let Some(before) = last.replace(commit) {
                before.await?;
            }
        }
    }
}

impl<T: Serialize + DeserializeOwned + 'static> IntoFuture for Trim<T> {
    type Output = Result<usize>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<usize>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (removed, last) = self.run().await?;
            last.await.map(|_| removed)
        })
    }
}
