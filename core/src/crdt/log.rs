//! The append-only log.
//!
//! Problem: a record of what happened, written by many whose lines must not overwrite each other: event sourcing, chat,
//! audit trails.
//!
//! Idea: a row for each entry, whose element is its *place*: when it was written, by whom, and a number that its author
//! gives once. No two appends write the same row, so none overwrites another, and rows lie in the order of time: ranges
//! and the tail are read without the rest. The order is that of (timestamp, author, number), which refines the order in
//! which writers saw each other's entries, whatever the clocks say.
//!
//! | bytes of the element | meaning |
//! |---|---|
//! | 8, big endian | hybrid timestamp |
//! | 16 | replica id of the author |
//! | 8, big endian | a seq of the author |
//!
//! An entry that was written offline comes in between others when it arrives, not behind them. Who needs the order of
//! arrival watches the changes of the space.
//!
//! Concurrent cases: *append and append*, both, by time. *Append and trim*: a trim removes what its writer saw, so an entry
//! that it had not seen stays, also one that is older. *A clone of a store appends under the id that it was copied with*:
//! two entries may share a place; both are shown.
//!
//! This view neither changes an entry nor removes one but by a trim. That is a promise of the view, not of the space:
//! whoever may write can put into any row, or remove it, and merging does as it is told.
//!
//! An entry says by itself who wrote it and when ([`LogEntry::author`], [`LogEntry::time`]); the place is what its writer
//! says of that, and a place that lies is a writer that lies.

use alloc::vec::Vec;
use core::fmt;
use core::ops::ControlFlow;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use super::view as rows_of;
use super::{Standalone, view::view};
use crate::clock::{Timestamp, VersionVector};
use crate::error::CodecError;
use crate::id::{Dot, ReplicaId, parse_hex, write_hex};
use crate::row::{DataError, Entry, ReadRows, RowKey, WriteRows};
use crate::value::Value;

view!(
    /// An append-only log. See the [module page](crate::crdt).
    LogView, LOG
);

/// A [`LogView`] that stands alone.
pub type Log = Standalone<LogView>;

/// Bytes of a place.
const PLACE: usize = 32;

/// Where an entry stands in a log: places compare as entries are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    time: Timestamp,
    name: Dot,
}

impl Place {
    /// Behind all entries.
    pub const END: Self =
        Self { time: Timestamp(u64::MAX), name: Dot::new(ReplicaId::from_u128(u128::MAX), u64::MAX) };

    /// Before all that was written at `time` or later.
    pub const fn at(time: Timestamp) -> Self {
        Self { time, name: Dot::new(ReplicaId::from_u128(0), 0) }
    }

    /// 32 bytes that compare as places do.
    pub fn to_bytes(self) -> [u8; PLACE] {
        let mut bytes = [0; PLACE];
        bytes[..8].copy_from_slice(&self.time.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.name.to_bytes());
        bytes
    }

    /// Reads [`Place::to_bytes`] back.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (time, name) = bytes.split_first_chunk()?;
        Some(Self { time: Timestamp(u64::from_be_bytes(*time)), name: Dot::from_bytes(name)? })
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.to_bytes())
    }
}

impl FromStr for Place {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        parse_hex::<PLACE>(text).and_then(|bytes| Self::from_bytes(&bytes)).ok_or(CodecError::Malformed)
    }
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// Where it stands.
    pub place: Place,
    /// Who wrote it.
    pub author: ReplicaId,
    /// When, by the author's hybrid clock.
    pub time: Timestamp,
    /// What it says.
    pub value: Value,
}

/// The entries of a row: one, unless two stores wrote under one id.
fn entries<'a>(key: &RowKey, live: &'a [Entry]) -> impl DoubleEndedIterator<Item = LogEntry> + 'a {
    let place = Place::from_bytes(key.element());
    live.iter().filter_map(move |entry| {
        let value = Value::decode(&entry.payload).ok()?;
        Some(LogEntry { place: place?, author: entry.dot.replica, time: entry.timestamp(), value })
    })
}

impl LogView {
    /// Visits, in order, the entries that a version had seen, as far as they were not trimmed since.
    pub fn visit_at<R: ReadRows>(
        &self,
        rows: &R,
        version: &VersionVector,
        mut visitor: impl FnMut(LogEntry) -> ControlFlow<()>,
    ) -> Result<(), R::Error> {
        rows.scan(&self.0, &[], &mut |key, live| {
            let seen: Vec<Entry> =
                live.iter().filter(|entry| version.contains(&entry.dot)).cloned().collect();
            entries(key, &seen).try_for_each(&mut visitor)
        })
    }

    /// Adds an entry at the end, as its writer sees it; says where.
    pub fn append<W: WriteRows>(&self, rows: &mut W, value: impl Into<Value>) -> Result<Place, W::Error> {
        let payload = rows_of::payload_of(&value.into())?;
        let place = Place { time: rows.time(), name: rows.fresh() };
        let key = self.0.row(&place.to_bytes()).map_err(DataError::from)?;
        rows.put(key, payload)?;
        Ok(place)
    }

    /// Visits entries from a place on, or all, in order, until the visitor breaks.
    pub fn visit<R: ReadRows>(
        &self,
        rows: &R,
        from: Option<&Place>,
        mut visitor: impl FnMut(LogEntry) -> ControlFlow<()>,
    ) -> Result<(), R::Error> {
        let from = from.map_or_else(Vec::new, |place| place.to_bytes().to_vec());
        rows.scan(&self.0, &from, &mut |key, live| entries(key, live).try_for_each(&mut visitor))
    }

    /// Visits entries before a place, or all, the last one first, until the visitor breaks.
    pub fn visit_back<R: ReadRows>(
        &self,
        rows: &R,
        before: Option<&Place>,
        mut visitor: impl FnMut(LogEntry) -> ControlFlow<()>,
    ) -> Result<(), R::Error> {
        let end = before.map(|place| place.to_bytes());
        let end = end.as_ref().map(<[u8; PLACE]>::as_slice);
        rows.scan_back(&self.0, end, &mut |key, live| entries(key, live).rev().try_for_each(&mut visitor))
    }

    /// The last entries, in order; reads no others.
    pub fn tail<R: ReadRows>(&self, rows: &R, most: usize) -> Result<Vec<LogEntry>, R::Error> {
        let mut tail = Vec::new();
        if most > 0 {
            self.visit_back(rows, None, |entry| {
                tail.push(entry);
                if tail.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        tail.reverse();
        Ok(tail)
    }

    /// What all entries come to, in order.
    pub fn fold<R: ReadRows, T>(
        &self,
        rows: &R,
        start: T,
        mut step: impl FnMut(T, LogEntry) -> T,
    ) -> Result<T, R::Error> {
        let mut sum = Some(start);
        self.visit(rows, None, |entry| {
            sum = sum.take().map(|sum| step(sum, entry));
            ControlFlow::Continue(())
        })?;
        Ok(sum.expect("each step gives it back"))
    }

    /// How many entries there are. Reads all of them.
    pub fn len<R: ReadRows>(&self, rows: &R) -> Result<usize, R::Error> {
        self.fold(rows, 0, |count, _| count + 1)
    }

    /// Whether there is none.
    pub fn is_empty<R: ReadRows>(&self, rows: &R) -> Result<bool, R::Error> {
        Ok(self.tail(rows, 1)?.is_empty())
    }

    /// Removes entries before a place, the oldest first and at most so many, as far as the writer sees them: retention.
    /// Says how many rows went; a transaction has room for some thousands, so do it again until there is nothing left.
    pub fn trim<W: WriteRows>(&self, rows: &mut W, before: &Place, most: usize) -> Result<usize, W::Error> {
        let (end, mut old) = (before.to_bytes(), Vec::new());
        if most > 0 {
            rows.scan(&self.0, &[], &mut |key, _| {
                if key.element() >= end.as_slice() {
                    return ControlFlow::Break(());
                }
                old.push(key.clone());
                if old.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        let count = old.len();
        old.into_iter().try_for_each(|key| rows.remove(key))?;
        Ok(count)
    }
}

impl Log {
    /// Adds an entry; see [`LogView::append`].
    pub fn append(&mut self, value: impl Into<Value>) -> Result<Place, DataError> {
        self.write(|view, rows| view.append(rows, value))
    }

    /// All entries, in order.
    pub fn entries(&self) -> Vec<LogEntry> {
        self.tail(usize::MAX)
    }

    /// The last entries, in order.
    pub fn tail(&self, most: usize) -> Vec<LogEntry> {
        self.view().tail(self.rows(), most).expect("a whole log can be read")
    }

    /// Removes entries before a place; see [`LogView::trim`].
    pub fn trim(&mut self, before: &Place, most: usize) -> Result<usize, DataError> {
        self.write(|view, rows| view.trim(rows, before, most))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.view().len(self.rows()).expect("a whole log can be read")
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.view().is_empty(self.rows()).expect("a whole log can be read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ReplicaId = ReplicaId::from_u128(1);
    const B: ReplicaId = ReplicaId::from_u128(2);

    fn texts(entries: &[LogEntry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.value.as_str().unwrap()).collect()
    }

    #[test]
    fn entries_stand_in_the_order_in_which_they_were_seen_with_who_and_when() {
        let mut a = Log::new(A);
        a.append("one").unwrap();
        let mut b = a.fork(B);
        b.append("two").unwrap();
        a.merge(&b);
        let place = a.append("three").unwrap();
        // Several in one transaction, in their order.
        a.write(|view, rows| {
            view.append(rows, "four")?;
            view.append(rows, "five").map(drop)
        })
        .unwrap();
        b.merge(&a);
        assert_eq!(texts(&b.entries()), ["one", "two", "three", "four", "five"]);
        assert_eq!(texts(&b.tail(2)), ["four", "five"]);
        assert_eq!((b.len(), b.tail(0).len()), (5, 0));
        let authors: Vec<ReplicaId> = b.entries().iter().map(|entry| entry.author).collect();
        assert_eq!(authors, [A, B, A, A, A]);
        assert!(b.entries().iter().all(|entry| entry.time == entry.place.time));
        assert!(b.entries().is_sorted_by(|one, other| one.place < other.place));
        let mut from = Vec::new();
        b.view()
            .visit(b.rows(), Some(&place), |entry| {
                from.push(entry);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(texts(&from), ["three", "four", "five"]);
        let before = b.view().fold(b.rows(), 0, |bytes, entry| bytes + entry.value.as_str().unwrap().len());
        assert_eq!(before.unwrap(), 19);
    }

    #[test]
    fn a_trim_takes_the_oldest_that_its_writer_saw() {
        let mut a = Log::new(A);
        for text in ["1", "2", "3"] {
            a.append(text).unwrap();
        }
        let mut b = a.fork(B);
        let late = b.append("unseen").unwrap();
        assert_eq!(a.trim(&late, 2), Ok(2));
        assert_eq!(texts(&a.entries()), ["3"]);
        assert_eq!(a.trim(&Place::END, usize::MAX), Ok(1));
        assert_eq!(a.trim(&late, 9), Ok(0));
        a.merge(&b);
        assert_eq!(texts(&a.entries()), ["unseen"]);
    }

    #[test]
    fn a_name_is_given_once_also_when_what_it_named_was_dropped() {
        let mut a = Log::new(A);
        let places = a.write(|view, rows| {
            let dropped = view.append(rows, "dropped")?;
            let kept = view.append(rows, "kept")?;
            rows.remove(view.object().row(&dropped.to_bytes())?)?;
            Ok([dropped, kept])
        });
        let next = a.append("next").unwrap();
        assert!(!places.unwrap().contains(&next));
        assert!(a.version_vector().seq(&A) >= 3);
        assert_eq!(texts(&a.entries()), ["kept", "next"]);
    }

    #[test]
    fn places_compare_as_their_bytes() {
        let place = |time, replica, seq| Place {
            time: Timestamp(time),
            name: Dot::new(ReplicaId::from_u128(replica), seq),
        };
        let places = [place(1, 9, 9), place(2, 1, 300), place(2, 2, 1), place(256, 0, 0)];
        assert!(places.is_sorted() && places.map(Place::to_bytes).is_sorted());
        assert!(places.iter().all(|place| Place::from_bytes(&place.to_bytes()) == Some(*place)));
        assert_eq!(Place::from_bytes(&[0; 31]), None);
    }
}
