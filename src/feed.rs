//! The change feed: every change of a space, in order, for readers that go on where they were.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use rejoin_core::clock::Timestamp;
use rejoin_core::feed::{Cursor, Origin, Record, Retention};
use rejoin_core::row::{Entry, Kind, RowKey};
use rejoin_core::{ReplicaId, Value};
use rejoin_net::replica::{News, Replica};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use serde::de::DeserializeOwned;

use crate::changes::{key_of, value_of};
use crate::handles::typed;
use crate::{Error, Result, Snapshot, Space};

/// Changes in one page, at most.
const PAGE: usize = 1024;

/// How much of a feed [`Space::feed`] keeps when nobody has said.
const DEFAULT_BYTES: u64 = 16 * 1024 * 1024;

/// Which changes a reader wants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// All of the space.
    Space,
    /// Those of one object.
    Object(Kind, String),
    /// Those of objects whose path begins so: with `todo/` those of `todo/home` and of `todo/work`.
    Under(String),
}

impl Scope {
    fn covers(&self, row: &RowKey) -> bool {
        match self {
            Self::Space => true,
            Self::Object(kind, path) => row.kind() == *kind && row.path() == path,
            Self::Under(prefix) => row.path().starts_with(prefix.as_str()),
        }
    }
}

/// What a row showed, before a change or after it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Shown {
    /// The value that won; for sets, counters, documents and the places of items: that it was there.
    pub value: Value,
    /// Values that were written at the same time and did not win.
    pub others: Vec<Value>,
    /// Who wrote what won.
    pub author: ReplicaId,
    /// When, by the author's clock.
    pub time: Timestamp,
}

/// What a commit made of a row. As rows, sets, maps, registers, flags and logs are told in full. Of counters, lists and
/// documents it says that they have changed: read them when it does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Changed {
    /// The kind of its object.
    pub kind: Kind,
    /// The path of its object.
    pub path: String,
    /// The key of a map, the element of a set, the name of a list's item, the place in a log; `None` for objects of one
    /// row, and for counters.
    pub key: Option<Value>,
    /// What was there before.
    pub before: Option<Shown>,
    /// What is there after it.
    pub after: Option<Shown>,
    /// Whose transaction it was, and whether it was made on this device. `None` for what a sync with a device that was long
    /// away brought as a whole, and for rows as they were found at the start.
    pub origin: Option<Origin>,
    /// Changes with the same number became visible together.
    pub commit: u64,
}

impl Shown {
    /// The value as typed data.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        typed(self.value.clone())
    }
}

impl Changed {
    /// The key as typed data.
    pub fn read_key<K: DeserializeOwned>(&self) -> Result<Option<K>> {
        self.key.clone().map(typed).transpose()
    }
}

/// What a feed says next.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// What has changed since.
    Changes(Page),
    /// What came before cannot be told change by change: this is where the reader begins, or it was away for longer than the
    /// feed reaches back, or its place is one of another history. It begins anew from what is there.
    Anew(Box<Anew>),
}

/// Changes that follow each other.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// Oldest first. A large commit may need several pages; a page may be empty when none was wanted.
    pub changes: Vec<Changed>,
    /// The place behind them, to be kept together with what was made of them.
    pub cursor: Cursor,
}

/// What is there, and where the feed goes on from it.
#[non_exhaustive]
pub struct Anew {
    /// Everything, as it was at that place.
    pub snapshot: Snapshot,
    /// The place behind it.
    pub cursor: Cursor,
    scope: Scope,
}

impl fmt::Debug for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anew({})", self.cursor)
    }
}

impl Anew {
    /// Visits what is there as if it had just been written, a thousand rows at a time, until `visit` fails.
    pub fn visit<E: From<Error>>(&self, visit: &mut dyn FnMut(&[Changed]) -> Result<(), E>) -> Result<(), E> {
        let mut from = Vec::new();
        loop {
            let (mut page, mut next) = (Vec::new(), None);
            let rows = self.snapshot.0.visit_rows(&from, &mut |row, entries| {
                if page.len() == PAGE {
                    next = Some(row.as_bytes().to_vec());
                    return ControlFlow::Break(());
                }
                if self.scope.covers(row) {
                    page.push(changed(row, &[], entries, None, self.cursor.position()));
                }
                ControlFlow::Continue(())
            });
            rows.map_err(Error::from)?;
            visit(&page)?;
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }
}

/// A reader of a feed. See [`Space::feed`].
pub struct Feed {
    replica: Replica,
    news: broadcast::Receiver<News>,
    scope: Scope,
    place: Option<Cursor>,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Feed({:?} after {:?})", self.scope, self.place)
    }
}

impl Feed {
    /// What comes next, when it comes; `None` once the node is closed. Everything that it tells is on this disk.
    pub async fn next(&mut self) -> Result<Option<Step>> {
        loop {
            if let Some(step) = self.ready()? {
                return Ok(Some(step));
            }
            match self.news.recv().await {
                Ok(News::Closed) | Err(RecvError::Closed) => return Ok(None),
                // Whatever it was, and however much of it was missed: the feed has it.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
            }
        }
    }

    /// What comes next if it is there now; `None` when this reader has caught up.
    pub fn ready(&mut self) -> Result<Option<Step>> {
        let Some(place) = self.place else { return self.anew().map(Some) };
        let Some((records, cursor)) = self.replica.read_feed(&place, PAGE)? else {
            return self.anew().map(Some);
        };
        if records.is_empty() {
            return Ok(None);
        }
        self.place = Some(cursor);
        let wanted = records.iter().filter(|record| self.scope.covers(&record.key));
        let changes = wanted.map(|record| {
            let Record { key, before, after, origin, commit, .. } = record;
            changed(key, before, after, *origin, *commit)
        });
        Ok(Some(Step::Changes(Page { changes: changes.collect(), cursor })))
    }

    /// Behind what it has told.
    pub const fn cursor(&self) -> Option<Cursor> {
        self.place
    }

    fn anew(&mut self) -> Result<Step> {
        let (snapshot, cursor) = self.replica.durable_snapshot()?;
        let cursor = cursor.ok_or(Error::NoFeed)?;
        self.place = Some(cursor);
        let anew = Anew { snapshot: Snapshot(snapshot), cursor, scope: self.scope.clone() };
        Ok(Step::Anew(Box::new(anew)))
    }
}

impl Space {
    /// Every change of this space that `scope` wants, in order, from the place of a reader on; without one, and after a
    /// [gap](Step::Anew), from what is there now.
    ///
    /// ```no_run
    /// # async fn read(space: rejoin::Space, kept: Option<rejoin::Cursor>) -> rejoin::Result<()> {
    /// use rejoin::{Scope, Step};
    ///
    /// let mut feed = space.feed(Scope::Under("todo/".into()), kept).await?;
    /// while let Some(step) = feed.next().await? {
    ///     match step {
    ///         Step::Changes(page) => println!("{} changes up to {}", page.changes.len(), page.cursor),
    ///         Step::Anew(anew) => println!("begin anew at {}", anew.cursor),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A reader may stop at any place and go on there in another process, a month later: the feed lies in the store. It is told
    /// each change at least once; if it keeps the cursor in the transaction that takes the changes in, as a
    /// [`Projection`](crate::Projection) does, exactly once in effect.
    ///
    /// The feed costs each change a second write of its row, as it was and as it is. It is kept from the first call of this on,
    /// 16 MiB of it, or as [`Space::keep_feed`] says. One that is too short for a reader makes it begin anew, nothing worse.
    pub async fn feed(&self, scope: Scope, after: Option<Cursor>) -> Result<Feed> {
        // Before anything is looked at: what comes in between is told twice rather than not at all.
        let news = self.replica().news();
        if self.replica().feed_retention()?.is_none() {
            self.keep_feed(DEFAULT_BYTES, None).await?;
        }
        Ok(Feed { replica: self.replica().clone(), news, scope, place: after })
    }

    /// Keeps the feed from now on: up to so many bytes, and no older than `age`. Old changes go as new ones come. With days
    /// instead of a few megabytes it is an archive of what was removed and overwritten.
    pub async fn keep_feed(&self, bytes: u64, age: Option<Duration>) -> Result<()> {
        let millis = age.and_then(|age| u64::try_from(age.as_millis()).ok()).unwrap_or(u64::MAX);
        self.set_feed(Some(Retention { bytes: bytes.max(1), millis })).await
    }

    /// Keeps no feed any more, and drops what there is of it. Its readers will begin anew.
    pub async fn drop_feed(&self) -> Result<()> {
        self.set_feed(None).await
    }

    async fn set_feed(&self, retention: Option<Retention>) -> Result<()> {
        Ok(self.replica().keep_feed(retention).await??)
    }
}

fn changed(row: &RowKey, before: &[Entry], after: &[Entry], origin: Option<Origin>, commit: u64) -> Changed {
    let (kind, path, key) = (row.kind(), row.path().to_owned(), key_of(row));
    let [before, after] = [before, after].map(|entries| shown(row, entries));
    Changed { kind, path, key, before, after, origin, commit }
}

fn shown(row: &RowKey, entries: &[Entry]) -> Option<Shown> {
    let newest = entries.iter().max_by_key(|entry| entry.rank())?;
    let others = entries.iter().filter(|entry| entry.dot != newest.dot).map(|entry| value_of(row, entry));
    Some(Shown {
        value: value_of(row, newest),
        others: others.collect(),
        author: newest.dot.replica,
        time: newest.timestamp(),
    })
}
