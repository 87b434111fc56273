//! What happens while the end of a bulk sync is on its way to the disk.

use alloc::vec::Vec;

use super::{NOW, Pair, apart, engine, write};
use crate::boundary::{Event, Input, Output, SessionId};
use crate::row::{Kind, Object, ReadRows};
use crate::store::{Commit, MemoryStore, Store, StoreError, Table};
use crate::sync::frame;
use crate::sync::message::{Message, YouWere};

/// B has taken in all that A holds, and its disk has the commit that ends it.
pub(super) fn merging() -> (Pair, Commit) {
    let mut pair = apart(0);
    write(&mut pair.engines[1], 8, "b, before");
    pair.save();
    pair.held = Some(Vec::new());
    pair.connect(1);
    loop {
        pair.carry(1, |_, _| {});
        let commit = pair.held.as_mut().unwrap().pop().expect("a bulk ends in a commit");
        if commit.merge.is_some() {
            return (pair, commit);
        }
        pair.persist(1, &commit);
        pair.drain(1);
    }
}

/// The payloads of a row at B.
fn row(pair: &Pair, row: u8) -> Vec<Vec<u8>> {
    let key = Object::new(Kind(200), "t").unwrap().row(&[row]).unwrap();
    let entries = pair.engines[1].reader().entries(&key).unwrap();
    entries.iter().map(|entry| entry.payload.to_vec()).collect()
}

#[test]
fn writes_made_meanwhile_are_seen_at_once_and_are_there_afterwards() {
    let (mut pair, commit) = merging();
    assert!(row(&pair, 0).is_empty(), "not yet");
    // One that a second one of the same delta replaces, one in a row that the merge brings, one that removes nothing of it.
    write(&mut pair.engines[1], 8, "b, replaced");
    write(&mut pair.engines[1], 8, "b, meanwhile");
    write(&mut pair.engines[1], 0, "b, meanwhile");
    pair.drain(1);
    assert_eq!(row(&pair, 0), [b"b, meanwhile"]);
    pair.persist(1, &commit);
    pair.held = None;
    pair.drain(1);
    assert_eq!(row(&pair, 8), [b"b, meanwhile"]);
    let mut both = row(&pair, 0);
    both.sort_unstable();
    assert_eq!(both, [b"a".to_vec(), b"b, meanwhile".to_vec()], "they did not see each other");
    assert_eq!(row(&pair, 4), [b"a"]);
    let changed = |event: &Event| matches!(event, Event::Changed { rows, more: false } if rows.len() >= 5);
    assert!(pair.events[1].iter().any(changed), "whoever watches is told of the rows");
    pair.carry(1, |_, _| {});
    pair.check_same();
}

#[test]
fn a_merge_that_fails_changes_nothing_and_is_made_again() {
    let (mut pair, commit) = merging();
    write(&mut pair.engines[1], 8, "b, meanwhile");
    let result = Err(StoreError::Full("planted".into()));
    pair.engines[1].handle(NOW, Input::Persisted { commit: commit.id, result });
    pair.held = None;
    pair.drain(1);
    assert_eq!(row(&pair, 8), [b"b, before"]);
    assert!(row(&pair, 0).is_empty());
    assert!(pair.events[1].iter().any(|event| matches!(event, Event::Lost { .. })));
    pair.engines.iter().for_each(|engine| engine.check().unwrap());
    pair.carry(1, |_, _| {});
    pair.meet(2, |_, _| {});
    assert_eq!(row(&pair, 0), [b"a"]);
    pair.check_same();
}

#[test]
fn a_crash_before_the_report_keeps_the_merge_and_not_what_came_after_it() {
    let (mut pair, commit) = merging();
    write(&mut pair.engines[1], 8, "b, never on the disk");
    let store = core::mem::take(pair.engines[1].store_mut());
    let mut store: MemoryStore = store;
    store.apply(&commit).unwrap();
    pair.engines[1] = engine(2, 9, 0, store);
    pair.held = None;
    pair.engines[1].check().unwrap();
    assert_eq!(row(&pair, 0), [b"a"]);
    assert_eq!(row(&pair, 8), [b"b, before"]);
}

#[test]
fn an_entry_that_is_missing_ends_the_merge_before_anything_is_written() {
    let (pair, commit) = merging();
    let [_, engine] = pair.engines;
    let mut store = engine.into_store();
    let mut staged = Vec::new();
    let read = store.scan(Table::Stage, &[], &mut |key, _| {
        staged.push(key.to_vec());
        core::ops::ControlFlow::Continue(())
    });
    read.unwrap();
    let last = staged.pop().expect("it was staged");
    store.apply(&Commit::new(0, alloc::vec![(Table::Stage, last, None)])).unwrap();
    let before = store.clone();
    assert!(matches!(store.apply(&commit), Err(StoreError::Damaged(_))));
    assert_eq!(store, before);
}

/// Evidence of another history of the own id, while memory is not yet what the merge makes of it.
#[test]
fn what_was_never_told_is_renamed_once_the_merge_has_arrived() {
    for fails in [false, true] {
        let (mut pair, commit) = merging();
        let own = pair.engines[1].replica().unwrap();
        let mut copy = engine(2, 9, 0, pair.engines[1].store_mut().clone());
        write(&mut copy, 7, "copy");
        while let Some(output) = copy.poll_output() {
            if let Output::Persist(commit) = output {
                let result = copy.store_mut().apply(&commit);
                copy.handle(NOW, Input::Persisted { commit: commit.id, result });
            }
        }
        write(&mut pair.engines[1], 8, "b, meanwhile");
        let evidence = Message::YouWere(YouWere::of(&own, copy.space.durable.heads.get(&own).unwrap()));
        let frame = frame::seal(&evidence);
        pair.engines[1].handle(NOW, Input::Received { session: SessionId(1), frame });
        pair.drain(1);
        assert_eq!((pair.engines[1].replica(), pair.engines[1].stats().renames), (Some(own), 0), "it waits");
        assert!(pair.engines[1].space.is_parting(), "and nothing is told");
        if fails {
            let result = Err(StoreError::Full("planted".into()));
            pair.engines[1].handle(NOW, Input::Persisted { commit: commit.id, result });
        } else {
            pair.persist(1, &commit);
        }
        pair.held = None;
        pair.drain(1);
        assert!(pair.events[1].contains(&Event::NewIncarnation { old: own }));
        assert_ne!(pair.engines[1].replica(), Some(own));
        // Where the write was lost nothing was left to rename.
        assert_eq!(pair.engines[1].stats().renames, u64::from(!fails));
        assert_eq!(row(&pair, 8), [if fails { b"b, before".to_vec() } else { b"b, meanwhile".to_vec() }]);
        assert!(!pair.engines[1].space.is_parting());
        pair.carry(1, |_, _| {});
        pair.meet(2, |_, _| {});
        assert_eq!(row(&pair, 0), [b"a"]);
        pair.check_same();
    }
}
