//! Counters.
//!
//! Problem: a number that several replicas change at once, where every change must count exactly once, however often
//! and in whatever order states are exchanged.
//!
//! Idea: a row for each replica, written by that replica alone, with the running total of its own changes; the counter
//! is the sum. A change continues from the writer's own live entry and kills it, so a row holds one entry, and space
//! follows the number of replicas and not of changes. An entry that lies in another replica's row than its writer's
//! counts for nothing. A new incarnation of a device is a new replica: it never touches the old row.
//!
//! | element | payload (canonical varints) |
//! |---|---|
//! | 16 bytes: replica id | its running total (grow only), or its totals up and down |
//! | 17 bytes: replica id, 0 | what resets have seen of its totals up and down; written by whoever resets |
//! | 20 bytes: hash of a key | what was added under the key, by anybody: see once.rs |
//!
//! Concurrent cases:
//! * *Change and change*: different rows, both count.
//! * *Change and [`PnCounterView::reset`]*: a reset notes for each replica the totals that it saw, and the sum leaves
//!   out what any reset has noted. So exactly the changes that no reset had seen count, also when two replicas reset at
//!   once. Noting the opposite of the sum in a single row would be simpler, and two resets at once would then take the
//!   same changes away twice (riak_dt pull request 53 reports that as an open question). The price is a row for each
//!   replica that has counted.
//! * *Change and `clear`*: the change brings back its writer's whole running total, because one entry holds all of it.
//!   This is the anomaly of embedded counters (Baquero, Almeida, Lerche, The problem with embedded CRDT counters and a
//!   solution, PaPoC 2016). A replica that has seen the clear starts again from nothing.
//! * *`reset` and `clear`*: the reset's note survives the clear, so changes that come after the clear and do not know of
//!   the note are hidden up to the amount noted. To set a counter to zero, reset it; clear it to get rid of it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::view::view;
use super::{Keys, Standalone, once, view as rows_of};
use crate::codec;
use crate::id::ReplicaId;
use crate::row::{DataError, Entry, Object, Payload, ReadRows, RowKey, WriteRows};

view!(
    /// A counter that only grows. See the [module page](crate::crdt).
    GCounterView, G_COUNTER
);
view!(
    /// A counter that goes up and down, and back to zero. See the [module page](crate::crdt).
    PnCounterView, PN_COUNTER
);

/// A [`GCounterView`] that stands alone.
pub type GCounter = Standalone<GCounterView>;
/// A [`PnCounterView`] that stands alone.
pub type PnCounter = Standalone<PnCounterView>;

impl GCounterView {
    /// Adds `n`. Nothing is written for 0. Fails with [`DataError::CounterFull`] when the writer's own total would pass
    /// 2^64 - 1.
    pub fn add<W: WriteRows>(&self, rows: &mut W, n: u64) -> Result<(), W::Error> {
        if n == 0 {
            return Ok(());
        }
        let key = total_row(&self.0, &rows.author())?;
        let own: u64 = own_total(&rows.entries(&key)?, &rows.author()).unwrap_or(0);
        let total = own.checked_add(n).ok_or(DataError::CounterFull)?;
        rows.put(key, payload(&total))
    }

    /// The sum of all that was added; a sum beyond 2^64 - 1 reads as that.
    pub fn value<R: ReadRows>(&self, rows: &R) -> Result<u64, R::Error> {
        let mut sum = 0_u64;
        rows_of::scan(&self.0, rows, &Keys::All, |element, entries| {
            let own = replica_of(element).and_then(|replica| own_total(entries, &replica));
            sum = sum.saturating_add(own.unwrap_or(0));
            ControlFlow::Continue(())
        })?;
        Ok(sum)
    }
}

/// What went up and what went down, each on its own: both only grow, so the larger of two is the later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) up: u64,
    pub(super) down: u64,
}

impl Totals {
    pub(super) fn max(self, other: Self) -> Self {
        Self { up: self.up.max(other.up), down: self.down.max(other.down) }
    }
}

/// One replica's part of a counter.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    total: Totals,
    /// What resets have seen of it.
    reset: Totals,
}

impl Part {
    fn value(&self) -> i128 {
        let up = self.total.up.saturating_sub(self.reset.up);
        let down = self.total.down.saturating_sub(self.reset.down);
        i128::from(up) - i128::from(down)
    }
}

impl PnCounterView {
    /// Adds `n`, which may be negative. Nothing is written for 0. Fails with [`DataError::CounterFull`] when all that the
    /// writer ever added, or all that it ever took away, would pass 2^64 - 1.
    pub fn add<W: WriteRows>(&self, rows: &mut W, n: i64) -> Result<(), W::Error> {
        if n == 0 {
            return Ok(());
        }
        let author = rows.author();
        let key = total_row(&self.0, &author)?;
        let own = own_total(&rows.entries(&key)?, &author).unwrap_or_default();
        // After a clear the own total may be gone and a reset's note still there: what is counted from here on must show.
        let mut total = noted(&rows.entries(&reset_row(&self.0, &author)?)?).max(own);
        let side = if n > 0 { &mut total.up } else { &mut total.down };
        *side = side.checked_add(n.unsigned_abs()).ok_or(DataError::CounterFull)?;
        rows.put(key, payload(&total))
    }

    /// The sum of all changes that no reset had seen. A sum outside of `i64` reads as the nearest `i64`.
    pub fn value<R: ReadRows>(&self, rows: &R) -> Result<i64, R::Error> {
        let (parts, keyed) = self.parts(rows)?;
        let sum = parts.values().map(Part::value).fold(keyed, i128::saturating_add);
        let bounded = sum.clamp(i64::MIN.into(), i64::MAX.into());
        Ok(i64::try_from(bounded).expect("clamped"))
    }

    /// Takes away what the writer sees: the value is 0 then, and a change that the writer did not see yet will count
    /// once it arrives. Writes a row for each replica, and for each key, that has counted since the last reset.
    pub fn reset<W: WriteRows>(&self, rows: &mut W) -> Result<(), W::Error> {
        for (replica, part) in self.parts(rows)?.0 {
            let seen = part.total.max(part.reset);
            if seen != part.reset {
                rows.put(reset_row(&self.0, &replica)?, payload(&seen))?;
            }
        }
        self.reset_once(rows)
    }

    /// The part of each replica, and what was added under keys.
    fn parts<R: ReadRows>(&self, rows: &R) -> Result<(BTreeMap<ReplicaId, Part>, i128), R::Error> {
        let (mut parts, mut keyed) = (BTreeMap::<ReplicaId, Part>::new(), 0_i128);
        rows_of::scan(&self.0, rows, &Keys::All, |element, entries| {
            if let Some(replica) = replica_of(element) {
                parts.entry(replica).or_default().total = own_total(entries, &replica).unwrap_or_default();
            } else if let Some(replica) = element.strip_suffix(&[0]).and_then(replica_of) {
                parts.entry(replica).or_default().reset = noted(entries);
            } else if let Some(amount) = once::keyed(element, entries) {
                keyed = keyed.saturating_add(amount.into());
            }
            ControlFlow::Continue(())
        })?;
        Ok((parts, keyed))
    }
}

impl GCounter {
    /// Adds `n`; see [`GCounterView::add`].
    pub fn add(&mut self, n: u64) -> Result<(), DataError> {
        self.write(|view, rows| view.add(rows, n))
    }

    /// The sum of all that was added.
    pub fn value(&self) -> u64 {
        self.view().value(self.rows()).expect("a counter reads no keys that could be refused")
    }
}

impl PnCounter {
    /// Adds `n`, which may be negative; see [`PnCounterView::add`].
    pub fn add(&mut self, n: i64) -> Result<(), DataError> {
        self.write(|view, rows| view.add(rows, n))
    }

    /// Takes away what is here now; see [`PnCounterView::reset`].
    pub fn reset(&mut self) -> Result<(), DataError> {
        self.write(|view, rows| view.reset(rows))
    }

    /// The sum of all changes that no reset had seen.
    pub fn value(&self) -> i64 {
        self.view().value(self.rows()).expect("a counter reads no keys that could be refused")
    }
}

pub(super) fn total_row(object: &Object, replica: &ReplicaId) -> Result<RowKey, DataError> {
    Ok(object.row(replica.as_bytes())?)
}

pub(super) fn reset_row(object: &Object, replica: &ReplicaId) -> Result<RowKey, DataError> {
    let mut element = Vec::from(*replica.as_bytes());
    element.push(0);
    Ok(object.row(&element)?)
}

pub(super) fn replica_of(element: &[u8]) -> Option<ReplicaId> {
    element.try_into().ok().map(ReplicaId::from_bytes)
}

pub(super) fn payload<T: Serialize>(totals: &T) -> Payload {
    Payload::new(codec::encode(totals)).expect("two varints are within the limit of a payload")
}

/// The total that `replica` itself wrote last. More than one entry of its own means a fork; the newest is its total.
pub(super) fn own_total<T: Serialize + for<'de> Deserialize<'de>>(
    entries: &[Entry],
    replica: &ReplicaId,
) -> Option<T> {
    let own = entries.iter().filter(|entry| entry.dot.replica == *replica);
    let decoded = own.filter_map(|entry| Some((entry.rank(), codec::decode(&entry.payload).ok()?)));
    decoded.max_by_key(|(rank, _)| *rank).map(|(_, total)| total)
}

/// What resets have seen: the larger of each, since the one that saw more saw all that the other saw.
pub(super) fn noted(entries: &[Entry]) -> Totals {
    let decoded = entries.iter().filter_map(|entry| codec::decode::<Totals>(&entry.payload).ok());
    decoded.fold(Totals::default(), Totals::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::row::Rows;

    const ME: ReplicaId = ReplicaId::from_u128(1);
    const PEER: ReplicaId = ReplicaId::from_u128(2);

    #[test]
    fn a_counter_stops_at_its_end_and_says_so() {
        let mut grow = GCounter::new(ME);
        grow.add(u64::MAX).unwrap();
        assert_eq!(grow.add(1), Err(DataError::CounterFull));
        assert_eq!(grow.value(), u64::MAX, "nothing was changed");
        let mut other = grow.fork(PEER);
        other.add(9).unwrap();
        assert_eq!(other.value(), u64::MAX, "a sum beyond the end reads as the end");

        let mut counter = PnCounter::new(ME);
        counter.add(i64::MIN).unwrap();
        counter.add(i64::MIN).unwrap_err();
        assert_eq!(counter.value(), i64::MIN);
        counter.add(i64::MAX).unwrap();
        assert_eq!(counter.value(), -1, "up and down have an end each");
    }

    #[test]
    fn a_counter_holds_one_entry_for_each_replica_and_nothing_for_zero() {
        let mut counter = PnCounter::new(ME);
        counter.add(0).unwrap();
        assert!(counter.version_vector().is_empty());
        (0..10).for_each(|_| counter.add(3).unwrap());
        assert_eq!((counter.value(), counter.rows().iter().count()), (30, 1));
        counter.reset().unwrap();
        counter.reset().unwrap();
        assert_eq!((counter.value(), counter.rows().iter().count()), (0, 2));
        assert_eq!(counter.version_vector().seq(&ME), 11, "the second reset had nothing to note");
    }

    #[test]
    fn after_a_clear_a_counter_starts_again_even_beside_the_note_of_a_reset() {
        let mut a = PnCounter::new(ME);
        a.add(5).unwrap();
        let mut b = a.fork(PEER);
        b.reset().unwrap();
        a.write(|view, rows| view.clear(rows)).unwrap();
        a.merge(&b);
        assert_eq!(a.value(), 0);
        a.add(1).unwrap();
        assert_eq!(a.value(), 1);
    }

    #[test]
    fn nobody_counts_for_another_and_garbage_counts_for_nothing() {
        let view = GCounterView::at("visits").unwrap();
        let mut rows = Rows::new();
        for (author, element, payload) in [
            (PEER, &ME.as_bytes()[..], payload(&100_u64)),
            (PEER, &PEER.as_bytes()[..], Payload::new(&[0x80][..]).unwrap()),
            (PEER, b"short", payload(&100_u64)),
        ] {
            rows.write(author, Timestamp(1), view.object().row(element).unwrap(), Some(payload));
        }
        assert_eq!(view.value(&rows), Ok(0));
        let view = PnCounterView::at("visits").unwrap();
        let key = reset_row(view.object(), &ME).unwrap();
        rows.write(PEER, Timestamp(1), key, Payload::new(&[0xff; 40][..]));
        assert_eq!(view.value(&rows), Ok(0));
    }
}
