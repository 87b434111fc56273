//! Bounded counters: each concurrent case, the ends of the numbers, and writers that lie.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::clock::Timestamp;
use crate::row::{Payload, Rows};

const A: ReplicaId = ReplicaId::from_u128(1);
const B: ReplicaId = ReplicaId::from_u128(2);
const C: ReplicaId = ReplicaId::from_u128(3);

fn refused(wanted: u64, here: i64, value: i64) -> Result<(), DataError> {
    Err(DataError::NoRights { wanted, here, value })
}

/// A stock of 10 of which `a` and `b` may take 6 and 4.
fn divided() -> (BoundedCounter, BoundedCounter) {
    let mut a = BoundedCounter::new(A);
    a.increment(10).unwrap();
    a.transfer(&B, 4).unwrap();
    let b = a.fork(B);
    (a, b)
}

#[test]
fn each_takes_what_it_has_and_no_more_while_the_others_are_away() {
    let (mut a, mut b) = divided();
    assert_eq!((a.value(), a.rights(), a.rights_of(&B)), (10, 6, 4));
    a.decrement(6).unwrap();
    assert_eq!(a.decrement(1), refused(1, 0, 4), "what is left is for the other to take");
    b.decrement(3).unwrap();
    assert_eq!(b.decrement(2), refused(2, 1, 7));
    b.decrement(1).unwrap();
    a.merge(&b);
    b.merge(&a);
    assert_eq!((a.value(), b.value()), (0, 0));
    assert!(a == b);
}

#[test]
fn a_refusal_says_what_there_is_where_and_what_to_do() {
    let (mut a, _) = divided();
    let words = a.decrement(7).unwrap_err().to_string();
    assert_eq!(
        words,
        "the counter stands at 10, and this device may take or give 6 of that, not 7: sync, and ask whoever has the others \
         for a transfer"
    );
    assert_eq!(a.transfer(&B, 7), refused(7, 6, 10));
    assert_eq!((a.value(), a.rights()), (10, 6), "nothing was changed");
    let mut alone = BoundedCounter::new(A);
    alone.increment(2).unwrap();
    let words = alone.decrement(3).unwrap_err().to_string();
    assert_eq!(words, "the counter stands at 2, all of it on this device: 3 is more than there is");
}

#[test]
fn additions_made_apart_all_count_and_are_their_writers_to_take() {
    let (mut a, mut b) = divided();
    a.increment(5).unwrap();
    b.increment(7).unwrap();
    b.decrement(11).unwrap();
    a.merge(&b);
    assert_eq!((a.value(), a.rights(), a.rights_of(&B)), (11, 11, 0));
}

#[test]
fn a_gift_counts_for_its_receiver_once_it_arrives_and_can_be_passed_on() {
    let (mut a, mut b) = divided();
    a.transfer(&B, 2).unwrap();
    assert_eq!(b.decrement(5), refused(5, 4, 10), "it has not arrived");
    assert_eq!(a.rights(), 4, "and is gone from where it came");
    b.merge(&a);
    b.transfer(&C, 6).unwrap();
    let mut c = BoundedCounter::new(C);
    c.merge(&b);
    c.decrement(6).unwrap();
    // Back and forth: each direction has a total of its own.
    b.merge(&c);
    a.transfer(&C, 1).unwrap();
    c.merge(&a);
    c.transfer(&A, 1).unwrap();
    a.merge(&c);
    assert_eq!((a.value(), a.rights(), a.rights_of(&B), a.rights_of(&C)), (4, 4, 0, 0));
}

#[test]
fn gifts_made_apart_to_one_receiver_add_up() {
    let (mut a, mut b) = divided();
    a.transfer(&C, 5).unwrap();
    b.transfer(&C, 3).unwrap();
    let mut c = a.fork(C);
    assert_eq!(c.rights(), 5);
    c.merge(&b);
    assert_eq!((c.rights(), c.value()), (8, 10));
    c.decrement(8).unwrap();
    assert_eq!(c.value(), 2);
}

#[test]
fn every_state_on_the_way_stays_above_the_bound() {
    let (mut a, mut b) = divided();
    a.decrement(6).unwrap();
    b.decrement(4).unwrap();
    a.increment(1).unwrap();
    a.transfer(&B, 1).unwrap();
    b.merge(&a);
    b.decrement(1).unwrap();
    // Whoever has heard a part of it, in any order that causes come before effects, sees no less than nothing.
    for replica in [&a, &b] {
        for since in [&a, &b] {
            let mut seen = BoundedCounter::new(C);
            seen.merge(since);
            assert!(seen.value() >= 0);
            seen.merge(replica);
            assert!(seen.value() >= 0);
        }
    }
    assert_eq!(b.value(), 0);
}

#[test]
fn rows_follow_replicas_and_pairs_and_nothing_is_written_for_nothing() {
    let mut a = BoundedCounter::new(A);
    a.increment(0).unwrap();
    a.decrement(0).unwrap();
    a.transfer(&B, 0).unwrap();
    assert!(a.version_vector().is_empty());
    for _ in 0..10 {
        a.increment(4).unwrap();
        a.transfer(&B, 2).unwrap();
        a.decrement(1).unwrap();
        a.transfer(&A, 1).unwrap();
    }
    assert_eq!((a.value(), a.rights(), a.rows().iter().count()), (30, 10, 2));
}

#[test]
fn a_transaction_counts_with_what_it_wrote_itself_and_is_refused_as_a_whole() {
    let (mut a, _) = divided();
    let spent = a.write(|view, rows| {
        view.increment(rows, 1)?;
        view.decrement(rows, 7)?;
        view.decrement(rows, 1)
    });
    assert_eq!(spent, refused(1, 0, 4));
    assert_eq!((a.value(), a.rights()), (10, 6));
    a.write(|view, rows| view.decrement(rows, 4).and_then(|()| view.transfer(rows, &B, 2))).unwrap();
    assert_eq!((a.value(), a.rights(), a.rights_of(&B)), (6, 0, 6));
}

#[test]
fn totals_have_an_end_and_sums_do_not_wrap() {
    let mut a = BoundedCounter::new(A);
    a.increment(u64::MAX).unwrap();
    assert_eq!(a.increment(1), Err(DataError::CounterFull));
    let mut b = a.fork(B);
    b.increment(u64::MAX).unwrap();
    assert_eq!((b.value(), b.rights()), (i64::MAX, i64::MAX));
    // More than an i64 shows can be spent all the same.
    b.transfer(&A, u64::MAX).unwrap();
    assert_eq!(b.decrement(1), refused(1, 0, i64::MAX));
    a.merge(&b);
    a.decrement(u64::MAX).unwrap();
    assert_eq!((a.value(), a.rights()), (i64::MAX, i64::MAX));
    assert_eq!(a.decrement(1), Err(DataError::CounterFull), "it has the rights, and its total ends");
    a.transfer(&C, u64::MAX).unwrap();
    assert_eq!(a.rights(), 0);
}

/// Writes a row as `author`, whatever it may hold.
fn forge(rows: &mut Rows, author: ReplicaId, element: &[u8], payload: Payload) {
    let view = BoundedCounterView::at("stock").unwrap();
    rows.write(author, Timestamp(1), view.object().row(element).unwrap(), Some(payload));
}

#[test]
fn nobody_counts_or_gives_for_another_and_garbage_counts_for_nothing() {
    let view = BoundedCounterView::at("stock").unwrap();
    let pair = |from: &ReplicaId, to: &ReplicaId| [*from.as_bytes(), *to.as_bytes()].concat();
    let garbage = || Payload::new(&[0x80, 0xff][..]).unwrap();
    let mut rows = Rows::new();
    forge(&mut rows, B, A.as_bytes(), payload(&Totals { up: 100, down: 0 }));
    forge(&mut rows, C, A.as_bytes(), payload(&Totals { up: 0, down: 100 }));
    forge(&mut rows, B, &pair(&A, &B), payload(&100_u64));
    forge(&mut rows, B, B.as_bytes(), garbage());
    forge(&mut rows, B, &pair(&B, &A), garbage());
    forge(&mut rows, B, &pair(&B, &B), payload(&100_u64));
    forge(&mut rows, B, b"short", payload(&100_u64));
    forge(&mut rows, B, &[7; 33], payload(&100_u64));
    forge(&mut rows, B, &[], garbage());
    assert_eq!(view.value(&rows), Ok(0));
    assert!(view.rights(&rows).unwrap().values().all(|rights| *rights == 0));
}

/// A writer that spends what it has not got is seen to, and takes nothing from the others.
#[test]
fn who_spends_without_rights_is_seen() {
    let view = BoundedCounterView::at("stock").unwrap();
    let mut rows = Rows::new();
    forge(&mut rows, A, A.as_bytes(), payload(&Totals { up: 5, down: 0 }));
    forge(&mut rows, B, B.as_bytes(), payload(&Totals { up: 0, down: u64::MAX }));
    forge(&mut rows, C, &[*C.as_bytes(), *A.as_bytes()].concat(), payload(&u64::MAX));
    assert_eq!(view.value(&rows), Ok(i64::MIN));
    assert_eq!(view.rights_of(&rows, &B), Ok(i64::MIN));
    assert!(view.rights_of(&rows, &A).unwrap() > 0);
}

/// Two histories under one id leave several entries in one row. The largest of each total is what both cannot deny.
#[test]
fn of_two_histories_the_larger_totals_count() {
    let view = BoundedCounterView::at("stock").unwrap();
    let key = total_row(view.object(), &A).unwrap();
    let entry = |seq, up, down| {
        let payload = payload(&Totals { up, down });
        Entry::new(&key, crate::id::Dot::new(A, seq), Timestamp(1), payload)
    };
    let totals: Vec<Totals> = own(&[entry(1, 10, 7), entry(2, 12, 4)], &A).collect();
    assert_eq!(totals.into_iter().fold(Totals::default(), Totals::max), Totals { up: 12, down: 7 });
}

/// Why there is no `clear`: rows that are removed while their owners go on leave what was taken without what was added.
#[test]
fn rows_removed_by_hand_show_a_value_below_the_bound_and_no_panic() {
    let (mut a, mut b) = divided();
    b.decrement(3).unwrap();
    a.merge(&b);
    let object = a.view().object().clone();
    a.write(|_, rows| rows_of::clear(&object, rows)).unwrap();
    assert_eq!((a.value(), a.rights()), (0, 0));
    b.decrement(1).unwrap();
    a.merge(&b);
    assert_eq!((a.value(), a.rights_of(&B)), (-4, -4));
    assert_eq!(a.decrement(1), refused(1, 0, -4));
    // Adding goes on, and whoever owes takes no more before it has made up for it.
    b.merge(&a);
    b.increment(5).unwrap();
    assert_eq!(b.decrement(2), refused(2, 1, 1));
    b.decrement(1).unwrap();
}

#[test]
fn what_happened_under_another_id_is_counted_with_or_without_rights() {
    let (a, _) = divided();
    let mut c = a.fork(C);
    c.write(|view, rows| view.recount(rows, 2, 5)).unwrap();
    assert_eq!((c.value(), c.rights()), (7, -3));
    c.write(|view, rows| view.recount(rows, 0, 0)).unwrap();
    assert_eq!(c.increment(3).and_then(|()| c.decrement(1)), refused(1, 0, 10));
}
