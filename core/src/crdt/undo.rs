//! What it means to take a transaction back, by type.
//!
//! Problem: an undo must not take away what others did meanwhile, and what that means differs from type to type.
//!
//! Idea: most types lay what they hold in rows that are replaced whole. There the rule is one: **a row that is exactly as the
//! transaction left it is written back as it was; any other row is left alone.** Totals are the exception: a counter is
//! turned back by the opposite amount, whoever else has counted.
//!
//! | rows | taken back |
//! |---|---|
//! | map, register, flag, set, list, unknown kinds | what was shown there is written again, or the row goes if nothing was |
//! | list: insert, move, edit, removal | the item goes, is where it was, has its value, is there again |
//! | log: append | the entry goes, as by a trim; one that comes back has its old place, and whoever brought it back as author |
//! | counter: add | the opposite is added to the writer's totals, without what a reset has taken away since |
//! | counter: reset | its notes go, where no other reset has seen as much: what it took away counts again |
//! | counter: clear | what was cleared is in the writer's total again, also what others had counted and no reset had taken away |
//! | counter: add under a key | 0 under that key, as after a reset: another try of the same act does not count either |
//! | grow-only counter: add | never: it cannot go down. A clear of one is taken back, and not done again |
//! | bounded counter: add, take | taken again as far as the writer has rights, else not at all; given back always |
//! | bounded counter: transfer | never: the rights are the receiver's |
//! | keys of acts that are done once | a key stays: the act was done. One that was forgotten is there again |
//! | document | never: its changes build on one another |
//!
//! Of several values that had been live at once (a register that keeps all, a conflict of a map) the newest is written back.
//!
//! Concurrent cases, both apart: *undo and edit of the same row*: two writes that have not seen each other, like any others of
//! the type: of a map the newest shows, the undo of an insertion loses against an edit. *Undo here and undo there* of two
//! transactions: each takes back its own. *Undo of a clear, and a change that had not seen the clear*: the change brings
//! back its writer's whole total, and the undo has added it as well. Clears of counters are for getting rid of them.

use alloc::vec::Vec;

use super::Counters;
use super::counter::{Totals, noted, own_total, payload, reset_row, total_row};
use super::{BoundedCounterView, OnceKey, once};
use crate::codec;
use crate::id::ReplicaId;
use crate::row::{Act, Carry, Did, Entry, Kind, Named, Payload, RowKey, Undone, WriteRows, expiry};
use crate::value::Value;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Back,
    Left,
    Fixed,
}

/// Takes back what a transaction did, as far as it can be.
pub(crate) fn take_back<W: WriteRows>(rows: &mut W, act: &Act) -> Result<Undone, W::Error> {
    let mut undone = Undone { fixed: act.kept, ..Undone::default() };
    let total_of = |did: &Did| Counters.named(&did.key).filter(|(_, named)| *named == Named::Total);
    // What a total comes to depends on the notes of resets, so those come first; then the own one, to which others are added.
    let author = rows.author();
    let mut sorted: Vec<&Did> = act.rows.iter().collect();
    sorted.sort_by_key(|did| total_of(did).map(|(replica, _)| replica != author));
    for did in sorted {
        let fate = match total_of(did) {
            Some((replica, _)) => turn_total(rows, did, replica)?,
            None => write_back(rows, did)?,
        };
        match fate {
            Fate::Back => undone.rows += 1,
            Fate::Left => undone.left += 1,
            Fate::Fixed => undone.fixed += 1,
        }
    }
    Ok(undone)
}

/// The rule for rows that are replaced whole.
fn write_back<W: WriteRows>(rows: &mut W, did: &Did) -> Result<Fate, W::Error> {
    let key = did.key.clone();
    if key.kind() == Kind::ONCE && did.wrote.is_some() {
        return Ok(Fate::Fixed);
    }
    let live = rows.entries(&key)?;
    // A key that was cleared and added under again: what the undo of that has left there means nothing.
    let is_nothing = |entry: &Entry| entry.dot.replica == rows.author() && entry.payload == once::payload(0);
    let is_empty = did.wrote.is_none() && is_keyed(&key) && live.len() == 1 && is_nothing(&live[0]);
    if !is_empty && !did.is_untouched(&live) {
        return Ok(Fate::Left);
    }
    match shown(did, rows.wall_ms()) {
        Some(payload) => rows.put(key, payload)?,
        None if is_keyed(&key) => rows.put(key, once::payload(0))?,
        None => rows.remove(key)?,
    }
    Ok(Fate::Back)
}

fn is_keyed(key: &RowKey) -> bool {
    key.kind() == Kind::PN_COUNTER && OnceKey::names(key)
}

/// What a row showed before, as one payload; nothing that has expired since.
fn shown(did: &Did, now: u64) -> Option<Payload> {
    let payloads = || did.before.iter().map(|was| &was.payload);
    let is_on = |payload: &&Payload| Value::decode(payload) == Ok(Value::Bool(true));
    let kind = did.key.kind();
    let is_note = Counters.named(&did.key).is_some_and(|(_, named)| named == Named::Note);
    let found = match kind {
        Kind::FLAG => payloads().find(is_on),
        Kind::PN_COUNTER if is_keyed(&did.key) => payloads().find(|payload| **payload == once::payload(0)),
        Kind::PN_COUNTER if is_note && did.before.len() > 1 => {
            let notes = payloads().filter_map(|payload| codec::decode::<Totals>(payload).ok());
            return Some(payload(&notes.fold(Totals::default(), Totals::max)));
        }
        kind if kind.may_expire() => {
            let lasts = |payload: &&Payload| expiry(kind, payload).is_none_or(|millis| millis > now);
            return payloads().find(lasts).cloned();
        }
        _ => None,
    };
    found.or_else(|| payloads().next()).cloned()
}

/// The rule for totals.
fn turn_total<W: WriteRows>(rows: &mut W, did: &Did, replica: ReplicaId) -> Result<Fate, W::Error> {
    let is_own = rows.author() == replica;
    if !is_own && (did.wrote.is_some() || !rows.entries(&did.key)?.is_empty()) {
        // Whoever counts there again goes on from what was cleared, or has seen the clear and does not want it back.
        return Ok(Fate::Left);
    }
    match did.key.kind() {
        Kind::PN_COUNTER => turn_counter(rows, did, replica),
        Kind::G_COUNTER => turn_grow_only(rows, did, replica),
        _ => turn_bounded(rows, did),
    }
}

/// What the row of a replica held before, and after.
fn totals_of(did: &Did, replica: &ReplicaId) -> [Totals; 2] {
    let before = did.before.iter().find(|was| was.name.dot.replica == *replica).map(|was| &was.payload);
    let after = did.wrote.as_ref().and_then(|wrote| wrote.total.as_ref());
    [before, after].map(|total| total.and_then(|total| codec::decode(total).ok()).unwrap_or_default())
}

impl Totals {
    fn plus(self, up: u64, down: u64) -> Option<Self> {
        Some(Self { up: self.up.checked_add(up)?, down: self.down.checked_add(down)? })
    }
}

/// How far one number lies above another.
const fn rise(from: u64, to: u64) -> u64 {
    to.saturating_sub(from)
}

fn turn_counter<W: WriteRows>(rows: &mut W, did: &Did, replica: ReplicaId) -> Result<Fate, W::Error> {
    let (object, author) = (did.key.object(), rows.author());
    let [before, after] = totals_of(did, &replica);
    if before == after {
        return Ok(Fate::Back);
    }
    let key = total_row(&object, &author)?;
    let own = own_total::<Totals>(&rows.entries(&key)?, &author).unwrap_or_default();
    let restarts = did.wrote.is_none() || rise(after.up, before.up) > 0 || rise(after.down, before.down) > 0;
    let total = if author == replica && restarts {
        // It was cleared, and counted from nothing since: notes that come back are about what was counted before, so that
        // comes first.
        own.plus(before.up, before.down).and_then(|total| total.plus(after.down, after.up))
    } else {
        let note = noted(&rows.entries(&reset_row(&object, &replica)?)?);
        let seen = |total: Totals| (rise(note.up, total.up), rise(note.down, total.down));
        let (before, after) = (seen(before), seen(after));
        if before == after {
            return Ok(Fate::Left);
        }
        let own = noted(&rows.entries(&reset_row(&object, &author)?)?).max(own);
        let added = own.plus(rise(before.1, after.1), rise(before.0, after.0));
        added.and_then(|total| total.plus(rise(after.0, before.0), rise(after.1, before.1)))
    };
    let Some(total) = total else { return Ok(Fate::Fixed) };
    rows.put(key, payload(&total))?;
    Ok(Fate::Back)
}

fn turn_grow_only<W: WriteRows>(rows: &mut W, did: &Did, replica: ReplicaId) -> Result<Fate, W::Error> {
    let (object, author) = (did.key.object(), rows.author());
    let cleared = did.before.iter().find(|was| was.name.dot.replica == replica);
    let cleared = cleared.and_then(|was| codec::decode::<u64>(&was.payload).ok());
    let Some(cleared) = cleared.filter(|_| did.wrote.is_none()) else { return Ok(Fate::Fixed) };
    let key = total_row(&object, &author)?;
    let own = own_total::<u64>(&rows.entries(&key)?, &author).unwrap_or(0);
    let Some(total) = own.checked_add(cleared) else { return Ok(Fate::Fixed) };
    rows.put(key, payload(&total))?;
    Ok(Fate::Back)
}

fn turn_bounded<W: WriteRows>(rows: &mut W, did: &Did) -> Result<Fate, W::Error> {
    let author = rows.author();
    let is_total = did.key == total_row(&did.key.object(), &author)?;
    if !is_total || did.wrote.is_none() {
        return Ok(Fate::Fixed);
    }
    let [before, after] = totals_of(did, &author);
    let (added, taken) = (rise(before.up, after.up), rise(before.down, after.down));
    let counter = BoundedCounterView::of(&did.key);
    if !counter.has_rights(rows, rise(taken, added))? || !has_room(&rows.entries(&did.key)?, added, taken) {
        return Ok(Fate::Fixed);
    }
    counter.recount(rows, taken, added)?;
    Ok(Fate::Back)
}

/// Whether both totals of a row can go so much further.
fn has_room(entries: &[Entry], added: u64, taken: u64) -> bool {
    let totals = entries.iter().filter_map(|entry| codec::decode::<Totals>(&entry.payload).ok());
    let most = totals.fold(Totals::default(), Totals::max);
    most.up.checked_add(taken).is_some() && most.down.checked_add(added).is_some()
}
