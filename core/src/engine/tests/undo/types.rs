//! What an undo makes of counters, flags, lists, keys and documents, against others.

use super::*;
use crate::crdt::{BoundedCounterView, FlagView, GCounterView, ListView, OnceKey, OnceView};

#[test]
fn a_counter_is_turned_back_by_what_no_reset_took_away() {
    let mut pair = met();
    let add = |engine: &mut _, n| act(engine, |tx| counter().add(tx, n));
    add(&mut pair.engines[0], 10);
    add(&mut pair.engines[0], 5);
    add(&mut pair.engines[1], 100);
    pair.meet(2, |_, _| {});
    assert_eq!((undo(&mut pair.engines[0]), count(&pair.engines[0])), (Some([1, 0, 0]), 110));
    assert_eq!((redo(&mut pair.engines[0]), count(&pair.engines[0])), (Some([1, 0, 0]), 115));
    // A reset that has seen the 10 and not the 5 leaves the 5 to be taken back.
    undo(&mut pair.engines[0]);
    undo(&mut pair.engines[0]);
    assert_eq!(count(&pair.engines[0]), 100);
    (0..2).for_each(|_| assert_eq!(redo(&mut pair.engines[0]), Some([1, 0, 0])));
    act(&mut pair.engines[1], |tx| counter().reset(tx));
    pair.meet(3, |_, _| {});
    assert_eq!(count(&pair.engines[0]), 0, "what the other has seen of it is gone");
    add(&mut pair.engines[0], 3);
    act(&mut pair.engines[1], |tx| counter().reset(tx));
    pair.meet(4, |_, _| {});
    assert_eq!(count(&pair.engines[0]), 3);
    assert_eq!((undo(&mut pair.engines[0]), count(&pair.engines[0])), (Some([1, 0, 0]), 0));
    assert_eq!(
        (undo(&mut pair.engines[0]), count(&pair.engines[0])),
        (Some([0, 1, 0]), 0),
        "reset meanwhile"
    );
}

#[test]
fn a_reset_is_taken_back_where_no_other_has_seen_as_much() {
    let mut pair = met();
    act(&mut pair.engines[1], |tx| counter().add(tx, 7));
    pair.meet(2, |_, _| {});
    act(&mut pair.engines[0], |tx| counter().reset(tx));
    act(&mut pair.engines[1], |tx| counter().add(tx, 1));
    pair.meet(3, |_, _| {});
    assert_eq!((undo(&mut pair.engines[0]), count(&pair.engines[0])), (Some([1, 0, 0]), 8));
    assert_eq!((redo(&mut pair.engines[0]), count(&pair.engines[0])), (Some([1, 0, 0]), 1));
    pair.meet(4, |_, _| {});
    act(&mut pair.engines[1], |tx| counter().reset(tx));
    pair.meet(5, |_, _| {});
    assert_eq!((undo(&mut pair.engines[0]), count(&pair.engines[0])), (Some([0, 1, 0]), 0));
}

#[test]
fn what_a_clear_took_from_all_comes_back_to_the_writer() {
    let mut pair = met();
    act(&mut pair.engines[0], |tx| counter().add(tx, 4));
    act(&mut pair.engines[1], |tx| counter().add(tx, -9));
    pair.meet(2, |_, _| {});
    act(&mut pair.engines[0], |tx| counter().clear(tx));
    assert_eq!(count(&pair.engines[0]), 0);
    assert_eq!((undo(&mut pair.engines[0]), count(&pair.engines[0])), (Some([2, 0, 0]), -5));
    pair.meet(3, |_, _| {});
    act(&mut pair.engines[1], |tx| counter().add(tx, -1));
    pair.meet(4, |_, _| {});
    assert_eq!((count(&pair.engines[0]), count(&pair.engines[1])), (-6, -6));
    let grow = GCounterView::at("g").unwrap();
    act(&mut pair.engines[0], |tx| grow.add(tx, 5));
    assert_eq!(undo(&mut pair.engines[0]), Some([0, 0, 1]), "it cannot go down");
    act(&mut pair.engines[0], |tx| grow.clear(tx));
    assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0]));
    assert_eq!(grow.value(&pair.engines[0].reader()).unwrap(), 5);
}

#[test]
fn a_bounded_counter_is_turned_back_as_far_as_the_rights_go() {
    let mut pair = met();
    let bounded = BoundedCounterView::at("b").unwrap();
    act(&mut pair.engines[0], |tx| bounded.increment(tx, 5));
    act(&mut pair.engines[0], |tx| bounded.decrement(tx, 2));
    assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0]));
    let other = pair.engines[1].replica().unwrap();
    act(&mut pair.engines[0], |tx| bounded.transfer(tx, &other, 1));
    assert_eq!(undo(&mut pair.engines[0]), Some([0, 0, 1]), "the rights are the receiver's");
    assert_eq!(undo(&mut pair.engines[0]), Some([0, 0, 1]), "4 of the 5 are left");
    assert_eq!(bounded.value(&pair.engines[0].reader()).unwrap(), 5);
    act(&mut pair.engines[0], |tx| bounded.increment(tx, 3));
    assert_eq!(
        (undo(&mut pair.engines[0]), bounded.value(&pair.engines[0].reader()).unwrap()),
        (Some([1, 0, 0]), 5)
    );
}

#[test]
fn keys_stay_used_and_documents_stay_as_they_are() {
    let mut pair = alone();
    let (once, key) = (OnceView::of_space().unwrap(), OnceKey::new("order-17"));
    let pay = |engine: &mut Engine<MemoryStore>| {
        act(engine, |tx| {
            let is_first = once.begin(tx, &key)?;
            counter().add_once(tx, &key.act(1), 5)?;
            Ok(is_first)
        })
    };
    assert!(pay(&mut pair.engines[0]));
    assert_eq!((undo(&mut pair.engines[0]), count(&pair.engines[0])), (Some([1, 0, 1]), 0));
    assert!(!pay(&mut pair.engines[0]), "it was done, and taken back");
    assert_eq!(count(&pair.engines[0]), 0);
    assert_eq!((redo(&mut pair.engines[0]), count(&pair.engines[0])), (Some([1, 0, 0]), 5));
    let change = Object::new(Kind::DOCUMENT, "d").unwrap().row(&[7; 32]).unwrap();
    act(&mut pair.engines[0], |tx| tx.put(change.clone(), Payload::new(*b"a change").unwrap()));
    assert_eq!(undo(&mut pair.engines[0]), Some([0, 0, 1]));
    assert_eq!(pair.engines[0].reader().entries(&change).unwrap().len(), 1);
}

#[test]
fn of_what_was_live_at_once_the_flag_that_was_on_comes_back() {
    let mut pair = met();
    let flag = FlagView::at("f").unwrap();
    act(&mut pair.engines[0], |tx| flag.enable(tx));
    act(&mut pair.engines[1], |tx| flag.enable(tx));
    act(&mut pair.engines[1], |tx| flag.disable(tx));
    pair.meet(2, |_, _| {});
    act(&mut pair.engines[0], |tx| flag.disable(tx));
    assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0]));
    assert!(flag.is_enabled(&pair.engines[0].reader()).unwrap());
    // What was written back stands for two: the first transaction is not alone in it.
    assert_eq!(undo(&mut pair.engines[0]), Some([0, 1, 0]));
}

#[test]
fn an_item_goes_though_it_was_moved_and_stays_where_it_was_edited() {
    let mut pair = met();
    let list = ListView::at("l").unwrap();
    let first = act(&mut pair.engines[0], |tx| list.push(tx, "a"));
    let second = act(&mut pair.engines[0], |tx| list.push(tx, "b"));
    pair.meet(2, |_, _| {});
    act(&mut pair.engines[1], |tx| list.move_to(tx, second, 0));
    act(&mut pair.engines[1], |tx| list.set(tx, first, "A"));
    pair.meet(3, |_, _| {});
    assert_eq!((undo(&mut pair.engines[0]), undo(&mut pair.engines[0])), (Some([1, 0, 0]), Some([0, 1, 0])));
    assert_eq!(list.items(&pair.engines[0].reader()).unwrap()[0].value, crate::Value::from("A"));
    assert_eq!(list.len(&pair.engines[0].reader()).unwrap(), 1);
}
