//! Acts that count once, however often they are repeated, also by replicas that have not met.
//!
//! Problem: a device commits a change and dies before it can say so. Whoever asked asks again, there or elsewhere, and the
//! change is to count once. Two replicas that are apart cannot know of each other's try.
//!
//! Idea: the act has a *key*, chosen by whoever asks and the same at each try. A record says that it was done: whoever sees
//! the record does nothing. And what it writes lies in rows whose names follow from the key, so that two tries apart are two
//! entries of one row, and a row is read once. Most types need nothing for that: a map, a set, a register, a flag name their
//! rows by what is written. A counter gets a row for each key; a list takes the name of the item from the key.
//!
//! | row | element | payload |
//! |---|---|---|
//! | record: kind 12, path `once` | 20 bytes: hash of the key | none |
//! | counter | 20 bytes: hash of the key and a number | what was added (canonical varint, zigzag); 0 once a reset has seen it |
//!
//! Concurrent cases of a counter. *Try and try*: they count once; if they differ, the newest. *Try and reset*: a reset leaves
//! a 0 in each row that it saw, and a row with a 0 counts for nothing: what it took away stays away, also when a try that it
//! had not seen arrives later. *Try and clear*: a try that the clear had not seen counts.
//!
//! **Keys are forgotten** after a time that the app chooses ([`OnceView::forget`], [`PnCounterView::forget_once`]); a try
//! that comes or arrives later counts again, as with every record of keys. What an own try has counted goes into the own
//! running total then. Only who wrote the try that counts does so: two that did it apart would count it twice. So the rows of
//! a device that is gone stay, some 100 bytes each, until the counter is reset and what the reset left is forgotten. A reset
//! that is concurrent to the forgetting does not take away what was forgotten.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::PnCounterView;
use super::view::view;
use crate::clock::Timestamp;
use crate::codec;
use crate::error::KeyError;
use crate::id::{domain, hash};
use crate::row::{DataError, Entry, Object, Payload, ReadRows, RowKey, WriteRows};

view!(
    /// Which keys were used. See the [module page](crate::crdt).
    OnceView, ONCE
);

/// Bytes of a hash in an element: no other element of a counter has so many.
const HASH: usize = 20;

/// Names what an act writes: the same at each try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OnceKey([u8; 32]);

impl OnceKey {
    /// The key with this text.
    pub fn new(key: &str) -> Self {
        Self(hash(domain::ONCE, &[key.as_bytes()]))
    }

    /// For the act number `number` of several under one key.
    #[must_use]
    pub fn act(&self, number: u64) -> Self {
        Self(hash(domain::ONCE, &[&self.0, &number.to_be_bytes()]))
    }

    /// Whether a row of a counter is that of a key.
    pub fn names(row: &RowKey) -> bool {
        row.element().len() == HASH
    }

    /// The beginning of its hash.
    pub(super) fn cut<const N: usize>(&self) -> [u8; N] {
        crate::id::cut(&self.0)
    }

    fn row(&self, object: &Object) -> Result<RowKey, DataError> {
        Ok(object.row(&self.cut::<HASH>())?)
    }
}

impl OnceView {
    /// Where the records of a space lie.
    pub fn of_space() -> Result<Self, KeyError> {
        Self::at("once")
    }

    /// Records that the act of a key is done; `false` if it is recorded already.
    pub fn begin<W: WriteRows>(&self, rows: &mut W, key: &OnceKey) -> Result<bool, W::Error> {
        let row = key.row(&self.0)?;
        let is_first = rows.entries(&row)?.is_empty();
        if is_first {
            rows.put(row, Payload::default())?;
        }
        Ok(is_first)
    }

    /// How many keys are recorded. Reads all of them.
    pub fn len<R: ReadRows>(&self, rows: &R) -> Result<usize, R::Error> {
        let mut count = 0;
        rows.scan(&self.0, &[], &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// Whether none is. Reads all of them.
    pub fn is_empty<R: ReadRows>(&self, rows: &R) -> Result<bool, R::Error> {
        Ok(self.len(rows)? == 0)
    }

    /// Forgets at most so many keys that were used before a time. Says how many.
    pub fn forget<W: WriteRows>(
        &self,
        rows: &mut W,
        before: Timestamp,
        most: usize,
    ) -> Result<usize, W::Error> {
        let old = old_rows(&self.0, rows, before, most, |_, _| true)?;
        let count = old.len();
        old.into_iter().try_for_each(|(row, _)| rows.remove(row))?;
        Ok(count)
    }
}

/// Rows all of whose entries are older than a time, and that are `wanted`.
fn old_rows<R: ReadRows>(
    object: &Object,
    rows: &R,
    before: Timestamp,
    most: usize,
    wanted: impl Fn(&[u8], &[Entry]) -> bool,
) -> Result<Vec<(RowKey, i64)>, R::Error> {
    let mut old = Vec::new();
    rows.scan(object, &[], &mut |row, entries| {
        if old.len() == most {
            return ControlFlow::Break(());
        }
        let is_old = entries.iter().all(|entry| entry.timestamp() < before);
        if is_old && wanted(row.element(), entries) {
            old.push((row.clone(), amount(entries).unwrap_or(0)));
        }
        ControlFlow::Continue(())
    })?;
    Ok(old)
}

/// The try that counts: the newest that can be read.
fn counting(entries: &[Entry]) -> Option<(&Entry, i64)> {
    let readable = entries.iter().filter_map(|entry| Some((entry, codec::decode(&entry.payload).ok()?)));
    readable.max_by_key(|(entry, _)| entry.rank())
}

/// What a key adds: nothing once a reset has seen it.
fn amount(entries: &[Entry]) -> Option<i64> {
    let is_reset = |entry: &Entry| codec::decode(&entry.payload) == Ok(0_i64);
    if entries.iter().any(is_reset) { Some(0) } else { counting(entries).map(|(_, amount)| amount) }
}

/// What a row of a counter adds, if it is that of a key.
pub(super) fn keyed(element: &[u8], entries: &[Entry]) -> Option<i64> {
    if element.len() == HASH { amount(entries) } else { None }
}

pub(super) fn payload(amount: i64) -> Payload {
    Payload::new(codec::encode(&amount)).expect("a varint is within the limit of a payload")
}

impl PnCounterView {
    /// Adds `n` under a key: at most once, whoever adds under it. Says whether it is added now; `false` when this key has
    /// been used as far as the writer sees, and for 0.
    pub fn add_once<W: WriteRows>(&self, rows: &mut W, key: &OnceKey, n: i64) -> Result<bool, W::Error> {
        let row = key.row(self.object())?;
        if n == 0 || amount(&rows.entries(&row)?).is_some() {
            return Ok(false);
        }
        rows.put(row, payload(n))?;
        Ok(true)
    }

    /// Takes away what was added under keys, as far as the writer sees.
    pub(super) fn reset_once<W: WriteRows>(&self, rows: &mut W) -> Result<(), W::Error> {
        let mut counting = Vec::new();
        rows.scan(self.object(), &[], &mut |row, entries| {
            if keyed(row.element(), entries).is_some_and(|amount| amount != 0) {
                counting.push(row.clone());
            }
            ControlFlow::Continue(())
        })?;
        counting.into_iter().try_for_each(|row| rows.put(row, payload(0)))
    }

    /// Forgets at most so many keys that were used before a time, and keeps what they have counted: those whose counting
    /// try the writer has written, and those that a reset took away. Says how many.
    pub fn forget_once<W: WriteRows>(
        &self,
        rows: &mut W,
        before: Timestamp,
        most: usize,
    ) -> Result<usize, W::Error> {
        let author = rows.author();
        let is_mine = |element: &[u8], entries: &[Entry]| {
            let own = || counting(entries).is_some_and(|(entry, _)| entry.dot.replica == author);
            keyed(element, entries).is_some_and(|amount| amount == 0 || own())
        };
        let old = old_rows(self.object(), rows, before, most, is_mine)?;
        let count = old.len();
        for (row, amount) in old {
            rows.remove(row)?;
            self.add(rows, amount)?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crdt::PnCounter;
    use crate::id::ReplicaId;
    use crate::row::DataError;

    const A: ReplicaId = ReplicaId::from_u128(1);
    const B: ReplicaId = ReplicaId::from_u128(2);
    const LATER: Timestamp = Timestamp(u64::MAX);

    fn add(counter: &mut PnCounter, key: &str, n: i64) -> bool {
        counter.write(|view, rows| view.add_once(rows, &OnceKey::new(key), n)).unwrap()
    }

    fn forget(counter: &mut PnCounter, before: Timestamp) -> usize {
        counter.write(|view, rows| view.forget_once(rows, before, usize::MAX)).unwrap()
    }

    #[test]
    fn tries_that_have_not_met_count_once_and_the_newest_decides() {
        let mut a = PnCounter::new(A);
        a.add(1).unwrap();
        let mut b = a.fork(B);
        assert!(add(&mut a, "order-17", 5) && !add(&mut a, "order-17", 5));
        assert!(add(&mut b, "order-17", 5) && add(&mut b, "order-18", -2));
        a.merge(&b);
        b.merge(&a);
        assert_eq!((a.value(), b.value()), (4, 4));
        assert!(!add(&mut a, "order-18", -2));
        // Two that say different things under one key: the later one, everywhere.
        assert!(add(&mut a, "odd", 100) && add(&mut b, "odd", 1000));
        a.merge(&b);
        b.merge(&a);
        assert_eq!((a.value(), b.value()), (1004, 1004));
        assert!(!add(&mut a, "nothing", 0));
    }

    #[test]
    fn what_a_reset_took_away_stays_away_when_another_try_arrives() {
        let mut a = PnCounter::new(A);
        let mut b = a.fork(B);
        add(&mut a, "order-17", 5);
        add(&mut b, "order-17", 5);
        add(&mut b, "order-18", 7);
        a.reset().unwrap();
        assert_eq!(a.value(), 0);
        a.merge(&b);
        assert_eq!(a.value(), 7, "the reset had seen one of the keys");
        assert!(!add(&mut a, "order-17", 5));
        a.reset().unwrap();
        b.merge(&a);
        assert_eq!((a.value(), b.value()), (0, 0));
        assert_eq!(forget(&mut b, LATER), 2, "what resets left is anybody's to forget");
        a.merge(&b);
        assert_eq!((a.value(), a.rows().iter().count()), (0, 0));
    }

    #[test]
    fn who_wrote_the_try_that_counts_forgets_it_and_the_number_stays() {
        let mut a = PnCounter::new(A);
        add(&mut a, "order-17", 5);
        add(&mut a, "order-18", -7);
        a.add(1).unwrap();
        let mut b = a.fork(B);
        add(&mut b, "order-19", 3);
        assert_eq!(forget(&mut b, Timestamp(1)), 0, "nothing is that old");
        assert_eq!(forget(&mut b, LATER), 1);
        assert_eq!(forget(&mut a, LATER), 2);
        a.merge(&b);
        b.merge(&a);
        assert_eq!((a.value(), b.value(), a.rows().iter().count()), (2, 2, 2));
        // Forgotten is forgotten: this one counts again.
        assert!(add(&mut a, "order-17", 5));
        assert_eq!(a.value(), 7);
        a.reset().unwrap();
        assert_eq!(a.value(), 0, "what went into a total is reset like the rest of it");
    }

    #[test]
    fn the_records_of_a_space_are_kept_until_they_are_forgotten() {
        let mut done = super::super::Standalone::<OnceView>::new(A);
        let key = OnceKey::new("order-17");
        let begin = |done: &mut super::super::Standalone<OnceView>| {
            done.write(|view, rows| view.begin(rows, &key)).unwrap()
        };
        assert!(begin(&mut done) && !begin(&mut done));
        let forget = |done: &mut super::super::Standalone<OnceView>, before| {
            done.write(|view, rows| view.forget(rows, before, 9)).unwrap()
        };
        assert_eq!((forget(&mut done, Timestamp(1)), forget(&mut done, LATER)), (0, 1));
        assert!(done.view().is_empty(done.rows()).unwrap() && begin(&mut done));
        assert_ne!(key, OnceKey::new("order-18"));
        assert!(key != key.act(0) && key.act(0) != key.act(1));
    }

    #[test]
    fn garbage_under_a_key_adds_nothing_and_is_replaced() {
        let view = PnCounterView::at("n").unwrap();
        let mut rows = crate::row::Rows::new();
        let key = OnceKey::new("order-17");
        let row = key.row(view.object()).unwrap();
        rows.write(B, Timestamp(9), row, Payload::new(&[0xff; 40][..]));
        assert_eq!(view.value(&rows), Ok::<i64, DataError>(0));
        let mut draft = crate::crdt::Draft::new(&rows, crate::id::Dot::new(A, 1), Timestamp(10));
        assert_eq!(view.add_once(&mut draft, &key, 5), Ok(true));
        assert_eq!(view.value(&draft), Ok(5));
    }
}
