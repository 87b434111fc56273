//! The change feed: what became of each row, commit by commit, kept for readers that go on where they were.
//!
//! Problem: an app keeps a read model of its own (a table in SQLite, a search index), and must neither miss a change nor
//! take one twice, whatever crashes in between. Events in memory end with the process, the log drops what is old and has no
//! bulk in it, and neither says what was there before.
//!
//! Idea: change data capture, as databases do it for theirs. Each commit notes for each row that it changes what the row
//! held before and what it holds after, in the same transaction. A reader keeps its place, a [`Cursor`], in the transaction
//! in which it applies what it read; exactly once in effect needs no more than that. The feed is as long as it was asked to
//! be ([`Retention`]), and a reader that comes too late is told so: there is a *gap*, and it begins anew from the rows
//! themselves, at the place that [`crate::engine::Engine::durable_snapshot`] gives with them. One commit with more than the
//! feed may hold is a gap for everybody, since keeping a part of it would help nobody.
//!
//! *A cursor names a history.* Every record has a tag that is the hash of the one before and of what it says. A store that
//! went back in time and took another way holds other tags at the same positions, and its readers find a gap there instead
//! of folding two histories into one. A bit that flipped is a gap as well.
//!
//! What is kept for days is an archive of what was removed and overwritten, too. It is nobody's state: neither in the root
//! nor synced, nor in a backup.
//!
//! | key | value |
//! |---|---|
//! | position, 8 bytes big endian | tag (8), milliseconds since 1970 (8 LE), then commit, origin, row key, and the row before and after |

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::ControlFlow;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::codec::{self, BoundedBytes};
use crate::error::CodecError;
use crate::id::{ReplicaId, cut, domain, hash, parse_hex, write_hex};
use crate::planted::Rule;
use crate::row::{Entry, RowKey};
use crate::state::Space;
use crate::state::head::meta_key;
use crate::store::{Store, StoreError, Table};

/// Records that one commit drops at most.
const DROPS: usize = 4096;

/// How much of the feed is kept: what is beyond either bound is dropped, oldest first, as commits come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Bytes of records. A record holds its row twice, as it was and as it is.
    pub bytes: u64,
    /// Milliseconds, by this device's clock.
    pub millis: u64,
}

type Tag = [u8; 8];

/// The place of a reader: behind a change, and all that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    position: u64,
    tag: Tag,
}

impl Cursor {
    /// How many changes this feed had noted up to here, since it was begun.
    pub const fn position(&self) -> u64 {
        self.position
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.position)?;
        write_hex(f, &self.tag)
    }
}

impl FromStr for Cursor {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        let cursor = text.split_once('.').and_then(|(position, tag)| {
            Some(Self { position: position.parse().ok()?, tag: parse_hex(tag)? })
        });
        // As it is printed, with neither a sign nor zeros before the number.
        cursor.filter(|cursor| format!("{cursor}") == text).ok_or(CodecError::Malformed)
    }
}

/// Who made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The replica that wrote or removed.
    pub author: ReplicaId,
    /// It was done in this store.
    pub local: bool,
}

/// What a commit made of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The place behind it.
    pub cursor: Cursor,
    /// The position of the first record of its commit: those with the same one became visible together.
    pub commit: u64,
    /// Milliseconds since 1970 by this device's clock, when it was committed here.
    pub millis: u64,
    /// Whose transaction it was, the last one if there were several; `None` if a bulk brought it.
    pub origin: Option<Origin>,
    /// The row.
    pub key: RowKey,
    /// Its live entries before, by rising dot.
    pub before: Vec<Entry>,
    /// And after. Never the same as before.
    pub after: Vec<Entry>,
}

/// What a record says, as it is stored.
#[derive(Serialize, Deserialize)]
struct Body {
    commit: u64,
    origin: Option<Origin>,
    key: RowKey,
    /// Rows as in the table of rows; nothing for one that is not there.
    before: BoundedBytes<{ usize::MAX }>,
    after: BoundedBytes<{ usize::MAX }>,
}

/// What is known of the feed, stored with each commit that adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Feed {
    retention: Retention,
    /// The oldest record that is there; below `first` they wait to be dropped.
    oldest: u64,
    /// The oldest that is read.
    first: u64,
    next: u64,
    /// Bytes of those from `first` on.
    bytes: u64,
    /// The tags before `first` and before `next`.
    start: Tag,
    end: Tag,
}

fn tag(before: &Tag, position: u64, rest: &[u8]) -> Tag {
    cut(&hash(domain::FEED, &[before, &position.to_le_bytes(), rest]))
}

fn tag_of(value: &[u8]) -> Option<Tag> {
    value.first_chunk().copied()
}

fn millis_of(value: &[u8]) -> Option<u64> {
    value.get(8..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn size_of_record(value: &[u8]) -> u64 {
    8 + value.len() as u64
}

impl Feed {
    const fn begin(retention: Retention, start: Tag) -> Self {
        Self { retention, oldest: 1, first: 1, next: 1, bytes: 0, start, end: start }
    }

    const fn is_on(&self) -> bool {
        self.retention.bytes > 0
    }

    /// Whether its numbers can be those of a feed, with room for more than any store will ever see.
    const fn is_possible(&self) -> bool {
        const MOST: u64 = 1 << 62;
        let rising = 1 <= self.oldest && self.oldest <= self.first && self.first <= self.next;
        rising && self.next < MOST && self.bytes < MOST
    }

    const fn cursor(&self) -> Cursor {
        Cursor { position: self.next - 1, tag: self.end }
    }

    /// From here on it goes on, and from nowhere before: whatever was noted is dropped.
    fn break_off(&mut self) {
        self.end = tag(&self.end, self.next, &[]);
        self.next += 1;
        (self.first, self.start, self.bytes) = (self.next, self.end, 0);
    }

    /// Whether something waits to be dropped.
    pub(super) const fn is_over(&self) -> bool {
        self.oldest < self.first || self.bytes > self.retention.bytes
    }

    fn note(&mut self, millis: u64, body: &Body) -> (Vec<u8>, Vec<u8>) {
        let mut rest = millis.to_le_bytes().to_vec();
        rest.extend(codec::encode(body));
        let tag = tag(&self.end, self.next, &rest);
        let mut value = tag.to_vec();
        value.extend(rest);
        let key = self.next.to_be_bytes().to_vec();
        self.bytes += size_of_record(&value);
        self.next += 1;
        self.end = tag;
        (key, value)
    }
}

/// Reads the record behind a tag; `None` when it is not the one that was written there.
fn decode(before: &Tag, key: &[u8], value: &[u8]) -> Option<Record> {
    let position = u64::from_be_bytes(key.try_into().ok()?);
    let (stored, rest) = value.split_first_chunk::<8>()?;
    if tag(before, position, rest) != *stored {
        return None;
    }
    let (millis, body) = rest.split_first_chunk::<8>()?;
    let Body { commit, origin, key, before, after } = codec::decode(body).ok()?;
    let row = |bytes: &[u8]| {
        if bytes.is_empty() { Some(Vec::new()) } else { Entry::decode_row(&key, bytes).ok() }
    };
    let (before, after) = (row(&before)?, row(&after)?);
    let (cursor, millis) = (Cursor { position, tag: *stored }, u64::from_le_bytes(*millis));
    Some(Record { cursor, commit, millis, origin, key, before, after })
}

pub(super) fn read<S: Store>(store: &S) -> Result<Option<Feed>, StoreError> {
    let stored = store.get(Table::Meta, meta_key::FEED)?;
    // It says nothing of rows: one that does not read back is none, and its readers find a gap.
    Ok(stored.and_then(|bytes| codec::decode(&bytes).ok()).filter(Feed::is_possible))
}

/// Whether what a store says of its feed holds together; a contradiction in words.
pub(super) fn check<S: Store>(store: &S) -> Result<(), String> {
    let words = |error: &dyn fmt::Display| format!("the change feed: {error}");
    let bounds = store.get(Table::Meta, meta_key::FEED).map_err(|error| words(&error))?;
    let Some(bounds) = bounds else { return Ok(()) };
    let feed: Feed = codec::decode(&bounds).map_err(|error| words(&error))?;
    if !feed.is_possible() {
        return Err(words(&"its bounds cross"));
    }
    let (mut at, mut bytes, mut end, mut sound) = (feed.first, 0, feed.start, true);
    let scanned = store.scan(Table::Feed, &feed.first.to_be_bytes(), &mut |key, value| {
        let record = decode(&end, key, value).filter(|record| record.cursor.position == at);
        sound = record.is_some();
        let Some(record) = record else { return ControlFlow::Break(()) };
        (at, bytes, end) = (at + 1, bytes + size_of_record(value), record.cursor.tag);
        ControlFlow::Continue(())
    });
    scanned.map_err(|error| words(&error))?;
    let is_whole = sound && (at, bytes, end) == (feed.next, feed.bytes, feed.end);
    if is_whole { Ok(()) } else { Err(format!("the change feed breaks off before change {at}")) }
}

impl<S: Store> Space<S> {
    /// From the next commit on the feed is kept, or kept otherwise, or no more.
    pub(crate) fn keep_feed(&mut self, retention: Option<Retention>) {
        if self.feed_wish.is_none() && self.feed_retention() == retention {
            return;
        }
        let retention = retention.unwrap_or(Retention { bytes: 0, millis: 0 });
        let now = self.feed.map_or(0, |feed| feed.retention.bytes);
        if now > 0 || retention.bytes > 0 || self.feed_wish.is_some() {
            self.feed_wish = Some(retention);
            self.overlay.notes_origins = retention.bytes > 0;
        }
    }

    /// It was found wrong: nobody is served from it any more, and what it says of itself goes with the next commit.
    pub(crate) const fn give_up_feed(&mut self) {
        self.feed_wish = Some(Retention { bytes: 0, millis: 0 });
    }

    /// How much is kept, once that is durable.
    pub(crate) fn feed_retention(&self) -> Option<Retention> {
        self.feed.filter(Feed::is_on).map(|feed| feed.retention)
    }

    /// All that is noted from here on is one commit.
    pub(super) fn begin_feed_commit(&mut self, wall_ms: u64) {
        self.wall_ms = wall_ms;
        self.feed_commit = self.feed.map(|feed| feed.next);
        self.feed_full = !self.planted.keeps(Rule::FeedOfBulk);
    }

    /// Whether a commit is needed for the feed alone.
    pub(super) fn feed_waits(&self) -> bool {
        self.feed_wish.is_some() || self.feed.is_some_and(|feed| feed.is_over())
    }

    /// Notes what the commit that is being gathered changes. What is known of the feed once it is durable.
    pub(super) fn gather_feed(&mut self) -> Result<Option<Feed>, StoreError> {
        let Some(mut feed) = self.wished_feed() else { return Ok(None) };
        if feed.is_on() && !self.feed_full {
            self.note_rows(&mut feed)?;
        }
        self.drop_old(&mut feed)?;
        if feed.is_on() || feed.oldest < feed.next {
            self.overlay.put(Table::Meta, meta_key::FEED.to_vec(), codec::encode(&feed));
            return Ok(Some(feed));
        }
        self.overlay.delete(Table::Meta, meta_key::FEED.to_vec());
        Ok(None)
    }

    /// The feed as it was asked for.
    fn wished_feed(&mut self) -> Option<Feed> {
        let Some(retention) = self.feed_wish else { return self.feed };
        let Some(mut feed) = self.feed else { return Some(Feed::begin(retention, self.entropy.draw())) };
        // What happens while it is off is not noted, and what was noted before leads nowhere.
        if !feed.is_on() || retention.bytes == 0 {
            feed.break_off();
        }
        feed.retention = retention;
        Some(feed)
    }

    fn note_rows(&mut self, feed: &mut Feed) -> Result<(), StoreError> {
        let (millis, commit, limit) =
            (self.wall_ms, self.feed_commit.unwrap_or(feed.next), feed.retention.bytes);
        let (mut full, before) = (false, feed.bytes);
        self.overlay.note_rows(|key, origin, before_row, after_row| {
            full |= feed.bytes - before > limit;
            if full {
                return None;
            }
            let bytes = |row: Vec<u8>| BoundedBytes::new(row).expect("any row fits");
            let (before, after) = (bytes(before_row), bytes(after_row.to_vec()));
            Some(feed.note(millis, &Body { commit, origin, key: key.clone(), before, after }))
        })?;
        if full || feed.bytes - before > limit {
            feed.break_off();
            // The rest of a merge belongs to the same commit.
            self.feed_full = self.feed_commit.is_some();
        }
        Ok(())
    }

    fn drop_old(&mut self, feed: &mut Feed) -> Result<(), StoreError> {
        let mut drops = 0;
        while drops < DROPS {
            if feed.oldest < feed.first {
                self.overlay.delete(Table::Feed, feed.oldest.to_be_bytes().to_vec());
                feed.oldest += 1;
                drops += 1;
                continue;
            }
            let (first, is_large) = (feed.first, feed.bytes > feed.retention.bytes);
            if first == feed.next || (!is_large && feed.retention.millis == u64::MAX) {
                break;
            }
            let value = self.overlay.get(Table::Feed, &first.to_be_bytes())?;
            let known =
                value.and_then(|value| Some((tag_of(&value)?, millis_of(&value)?, value.len() as u64)));
            let Some((tag, millis, size)) = known else {
                // It was damaged: nobody can be served from it.
                feed.break_off();
                continue;
            };
            let is_old = millis.saturating_add(feed.retention.millis) < self.wall_ms;
            if !is_large && !is_old {
                break;
            }
            (feed.start, feed.first) = (tag, first + 1);
            feed.bytes = feed.bytes.saturating_sub(8 + size);
        }
        Ok(())
    }

    /// The place behind all that is durable; `None` while no feed is kept.
    pub(crate) fn feed_end(&self) -> Option<Cursor> {
        self.feed.filter(Feed::is_on).map(|feed| feed.cursor())
    }

    /// Visits what was made durable behind a place, oldest first, until `visit` breaks; the place behind what was visited.
    /// `None` when there is a gap: what came next is not there any more, or the place is one of another history.
    pub(crate) fn read_feed(
        &self,
        after: &Cursor,
        visit: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<Option<Cursor>, StoreError> {
        let Some(feed) = self.feed.filter(Feed::is_on) else { return Ok(None) };
        if after.position >= feed.next || after.position + 1 < feed.first {
            return Ok(None);
        }
        let store = self.overlay.store();
        let tag = if after.position + 1 == feed.first {
            Some(feed.start)
        } else {
            store.get(Table::Feed, &after.position.to_be_bytes())?.and_then(|value| tag_of(&value))
        };
        if tag != Some(after.tag) && self.planted.keeps(Rule::FeedTag) {
            return Ok(None);
        }
        let (mut cursor, mut sound) = (Cursor { tag: tag.unwrap_or(after.tag), ..*after }, true);
        let begin = cursor;
        store.scan(Table::Feed, &(after.position + 1).to_be_bytes(), &mut |key, value| {
            if key >= feed.next.to_be_bytes().as_slice() {
                return ControlFlow::Break(());
            }
            let record = decode(&cursor.tag, key, value);
            let next = record.filter(|record| record.cursor.position == cursor.position + 1);
            sound = next.is_some();
            let Some(record) = next else { return ControlFlow::Break(()) };
            cursor = record.cursor;
            visit(record)
        })?;
        // What lies before a damaged record is read first.
        Ok((sound || cursor != begin).then_some(cursor))
    }
}
