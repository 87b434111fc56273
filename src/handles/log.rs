//! Logs.

use std::marker::PhantomData;
use std::ops::ControlFlow;

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

fn line<T: DeserializeOwned>(entry: LogEntry) -> Result<Line<T>> {
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

    /// Removes the entries before a place that this device sees, for everybody; some thousands a transaction. Says how many.
    pub async fn trim(&self, before: &Place) -> Result<usize> {
        let mut removed = 0;
        loop {
            let gone = self.0.write(|view, tx| view.trim(tx, before, TRIMMED)).await?;
            removed += gone;
            if gone < TRIMMED {
                return Ok(removed);
            }
        }
    }

    /// The last entries whenever there may be others, first as they are.
    pub fn watch(&self, most: usize) -> Watch<Vec<Line<T>>> {
        self.0.watch(move |at| Self(at.clone(), PhantomData).tail(most))
    }
}
