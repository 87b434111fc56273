//! Every change of a space as it becomes durable here, wherever it was made.

use std::collections::VecDeque;

use rejoin_core::clock::Timestamp;
use rejoin_core::crdt::{ListView, Place};
use rejoin_core::row::{Entry, Kind, ReadRows, RowKey};
use rejoin_core::value::decode_element;
use rejoin_core::{ReplicaId, Value};
use rejoin_net::replica::{News, Replica};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::Result;

/// One change.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// A row was written or removed.
    Row {
        /// The kind of its object.
        kind: Kind,
        /// The path of its object.
        path: String,
        /// The key of a map, the element of a set, the name of a list's item, the place in a log; `None` for objects of
        /// one row, and for counters.
        key: Option<Value>,
        /// What is there now: the value; for a set, a counter or a document, and for the new place of an item, whether
        /// anything is.
        /// `None` when it was removed.
        value: Option<Value>,
        /// Who wrote what is there now.
        author: Option<ReplicaId>,
        /// When, by the author's clock.
        time: Option<Timestamp>,
    },
    /// So many reports are not told row by row: this reader was too slow for them, or a sync brought too many rows at
    /// once. Read what you need again, and go on.
    Missed {
        /// How many.
        reports: u64,
    },
}

/// A reader of changes, from when it was made.
pub struct Changes {
    replica: Replica,
    news: broadcast::Receiver<News>,
    waiting: VecDeque<Change>,
}

impl Changes {
    pub(crate) fn new(replica: &Replica) -> Self {
        Self { replica: replica.clone(), news: replica.news(), waiting: VecDeque::new() }
    }

    /// The next change; `None` when the node is closed. Several writes of one row may be told as one.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return Some(change);
            }
            match self.news.recv().await {
                Ok(News::Changed { rows, more }) => {
                    let changes = rows.iter().map(|row| describe(&self.replica, row));
                    self.waiting.extend(changes.collect::<Result<Vec<_>>>().ok()?);
                    self.waiting.extend(more.then_some(Change::Missed { reports: 1 }));
                }
                Ok(News::Closed) => return None,
                Ok(_) => {}
                Err(RecvError::Lagged(reports)) => return Some(Change::Missed { reports }),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// What tells a row from the others of its object, as people see it.
pub(crate) fn key_of(row: &RowKey) -> Option<Value> {
    match row.kind() {
        Kind::OR_SET | Kind::LWW_MAP => decode_element(row.element()).ok(),
        Kind::LIST => ListView::item_of(row).map(|id| Value::from(id.to_string())),
        Kind::LOG => Place::from_bytes(row.element()).map(|place| Value::from(place.to_string())),
        _ => None,
    }
}

/// What an entry says in an object of this kind.
pub(crate) fn value_of(row: &RowKey, entry: &Entry) -> Value {
    match row.kind() {
        Kind::OR_SET | Kind::PN_COUNTER | Kind::G_COUNTER | Kind::BOUNDED_COUNTER | Kind::DOCUMENT => {
            Value::Bool(true)
        }
        Kind::LIST => ListView::value_of(entry).unwrap_or(Value::Bool(true)),
        _ => Value::decode(entry.payload.value()).unwrap_or(Value::Null),
    }
}

fn describe(replica: &Replica, row: &RowKey) -> Result<Change> {
    let entries = replica.read(|rows| rows.entries(row).map_err(crate::Error::from))?;
    let newest = entries.iter().max_by_key(|entry| entry.rank());
    let kind = row.kind();
    let key = key_of(row);
    let value = newest.map(|entry| value_of(row, entry));
    let (author, time) = (newest.map(|entry| entry.dot.replica), newest.map(|entry| entry.timestamp()));
    Ok(Change::Row { kind, path: row.path().to_owned(), key, value, author, time })
}
