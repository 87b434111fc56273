//! Folds of a log that go on where they were.
//!
//! Problem: what a million entries come to is not to be computed from the first one each time that another arrives; and an
//! entry that was written offline comes in *between* others, so the last result is no beginning for the next.
//!
//! Idea: keep a few results on the way, at places that get closer towards the end. What has come since is found by its dots,
//! without reading the log: the first place among it says which of the results still hold, and the fold goes on from the last
//! of those. Nothing new costs a look for each replica, an entry at the end costs itself, and one from long ago what follows it.

use std::ops::ControlFlow;

use rejoin_core::VersionVector;
use rejoin_core::crdt::{LogView, Place};
use rejoin_core::engine::Reader;
use rejoin_net::replica::Storage;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::log::line;
use crate::{Line, Log, Result};

/// Entries between two results that are kept.
const EVERY: usize = 512;
/// Results that are kept at most.
const MOST: usize = 24;

/// Results of a fold on the way, to go on from: see [`Log::fold_on`]. An app may keep them with serde.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints<S> {
    start: S,
    /// By rising place: what all entries up to it, that one included, come to.
    marks: Vec<(Place, S)>,
    seen: VersionVector,
}

impl<S: Clone> Checkpoints<S> {
    /// Of nothing yet.
    pub fn new(start: S) -> Self {
        Self { start, marks: Vec::new(), seen: VersionVector::new() }
    }

    /// What the entries came to when they were folded last.
    pub fn result(&self) -> &S {
        self.marks.last().map_or(&self.start, |(_, result)| result)
    }

    /// How many results it keeps.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether nothing was folded yet.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Lets go of results that something has come in before; the place to go on behind.
    fn forget_from(&mut self, place: &Place) {
        self.marks.truncate(self.marks.partition_point(|(mark, _)| mark < place));
    }

    /// Every second one of the older half goes, so that those that are left lie further apart the older they are.
    fn thin(&mut self) {
        if self.marks.len() <= MOST {
            return;
        }
        let old = self.marks.len() / 2;
        let mut at = 0;
        self.marks.retain(|_| {
            at += 1;
            at > old || at % 2 == 0
        });
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Log<T> {
    /// The same as [`Log::fold`], from where `checkpoints` were; they are brought up to date. Give the same `step` each time.
    ///
    /// Entries that were [trimmed](Log::trim) since stay in the result: fold, keep the checkpoints, then trim, and the log is
    /// as short as its readers allow.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> rejoin::Result<()> {
    /// # let board = rejoin::Node::memory().await?.create("board").await?;
    /// let account = board.log::<i64>("account");
    /// let mut balance = rejoin::Checkpoints::new(0);
    /// account.append(100).await?;
    /// account.append(-30).await?;
    /// assert_eq!(account.fold_on(&mut balance, |sum, line| sum + line.value)?, 70);
    /// account.append(5).await?;
    /// assert_eq!(account.fold_on(&mut balance, |sum, line| sum + line.value)?, 75);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fold_on<S: Clone>(
        &self,
        checkpoints: &mut Checkpoints<S>,
        step: impl FnMut(S, Line<T>) -> S,
    ) -> Result<S> {
        let view = self.0.view()?;
        let mut next = checkpoints.clone();
        // On an error what was there stays.
        self.0.space.replica().read(|reader| fold_on(reader, view, &mut next, step))?;
        *checkpoints = next;
        Ok(checkpoints.result().clone())
    }

    /// The entries that a version had seen, in order, as far as they were not trimmed since: the log as it was.
    /// [`Space::version`](crate::Space::version) takes one, [`Space::version_at`](crate::Space::version_at) makes one of a token.
    pub fn at(&self, version: &VersionVector) -> Result<Vec<Line<T>>> {
        let mut lines = Vec::new();
        self.0.read(|view, rows| {
            view.visit_at(rows, version, |entry| {
                lines.push(entry);
                ControlFlow::Continue(())
            })
        })?;
        lines.into_iter().map(line).collect()
    }
}

fn fold_on<T: DeserializeOwned, S: Clone>(
    reader: &Reader<'_, Storage>,
    view: &LogView,
    checkpoints: &mut Checkpoints<S>,
    mut step: impl FnMut(S, Line<T>) -> S,
) -> Result<()> {
    let (mut first, mut seen) = (None::<Place>, checkpoints.seen.clone());
    reader.visit_since(&checkpoints.seen, &mut |row, dot| {
        seen.observe(dot.replica, dot.seq);
        if row.as_bytes().starts_with(view.object().prefix()) {
            first = first.into_iter().chain(Place::from_bytes(row.element())).min();
        }
    })?;
    checkpoints.seen = seen;
    let Some(first) = first else { return Ok(()) };
    checkpoints.forget_from(&first);
    let behind = checkpoints.marks.last().map(|(place, _)| *place);
    let (mut result, mut last, mut failed) = (Some(checkpoints.result().clone()), None, None);
    let mut since = 0;
    view.visit(reader, behind.as_ref(), |entry| {
        if behind == Some(entry.place) {
            return ControlFlow::Continue(());
        }
        match line(entry) {
            Ok(line) => {
                let place = line.place;
                // Two stores under one id may have written at one place: a result is of all entries there, or none.
                if since >= EVERY && last != Some(place) {
                    checkpoints.marks.extend(last.zip(result.clone()));
                    checkpoints.thin();
                    since = 0;
                }
                result = result.take().map(|result| step(result, line));
                (last, since) = (Some(place), since + 1);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    checkpoints.marks.extend(last.zip(result));
    checkpoints.thin();
    Ok(())
}
