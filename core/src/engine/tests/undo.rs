//! Own transactions taken back and done again: alone, against others, and when the store fails, moves, or is written under
//! two hands.

mod laws;
mod types;

use super::*;
use crate::crdt::{LwwMapView, OrSetView, PnCounterView};
use crate::limits::UNDO_BYTES;
use crate::state::Transaction;

type Tx<'a> = Transaction<'a, MemoryStore>;

fn act<T>(engine: &mut Engine<MemoryStore>, write: impl FnOnce(&mut Tx<'_>) -> Result<T, WriteError>) -> T {
    engine.write(NOW, write).unwrap().0
}

fn undo(engine: &mut Engine<MemoryStore>) -> Option<[u64; 3]> {
    engine.undo(NOW).unwrap().0.map(|undone| [undone.rows, undone.left, undone.fixed])
}

fn redo(engine: &mut Engine<MemoryStore>) -> Option<[u64; 3]> {
    engine.redo(NOW).unwrap().0.map(|undone| [undone.rows, undone.left, undone.fixed])
}

/// One engine that keeps what it does.
fn alone() -> Pair {
    let mut pair = Pair::new([1, 2].map(|device| engine(device, device, 1 << 20, MemoryStore::new())));
    pair.engines[0].keep_undo(100).unwrap();
    pair
}

/// Two that have met; the first one keeps what it does.
fn met() -> Pair {
    let mut pair = alone();
    write(&mut pair.engines[0], 0, "old");
    write(&mut pair.engines[1], 1, "old too");
    pair.save();
    pair.meet(1, |_, _| {});
    pair
}

fn reopen(pair: &mut Pair, seed: u8) {
    pair.save();
    let store = pair.engines[0].store_mut().clone();
    pair.engines[0] = engine(1, seed, 1 << 20, store);
}

fn counter() -> PnCounterView {
    PnCounterView::at("n").unwrap()
}

fn count(engine: &Engine<MemoryStore>) -> i64 {
    counter().value(&engine.reader()).unwrap()
}

#[test]
fn nothing_is_kept_unless_it_is_asked_for() {
    let mut pair = alone();
    assert_eq!(pair.engines[1].undo_limit(), 0);
    write(&mut pair.engines[1], 1, "a");
    assert_eq!((undo(&mut pair.engines[1]), redo(&mut pair.engines[1])), (None, None));
    pair.save();
    let kept = |pair: &mut Pair| {
        let mut count = 0;
        let store = pair.engines[0].store_mut();
        store
            .scan(store::Table::Undo, &[], &mut |_, _| {
                count += 1;
                core::ops::ControlFlow::Continue(())
            })
            .unwrap();
        (count, store.get(store::Table::Meta, b"undo").unwrap().is_some())
    };
    write(&mut pair.engines[0], 1, "a");
    pair.save();
    assert_eq!(kept(&mut pair), (1, true));
    pair.engines[0].keep_undo(0).unwrap();
    pair.save();
    assert_eq!((kept(&mut pair), undo(&mut pair.engines[0])), ((0, false), None));
}

#[test]
fn a_new_transaction_makes_an_end_of_what_could_be_done_again() {
    let mut pair = alone();
    for value in ["a", "b", "c"] {
        write(&mut pair.engines[0], 1, value);
    }
    assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0]));
    assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0]));
    assert_eq!(
        (values(&pair.engines[0], 1), pair.engines[0].undo_depth()),
        (alloc::vec![b"a".to_vec()], (1, 2))
    );
    write(&mut pair.engines[0], 2, "new");
    assert_eq!((redo(&mut pair.engines[0]), pair.engines[0].undo_depth()), (None, (2, 0)));
    assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0]));
    // What stands there was written by an undo, and stands for what the first one wrote.
    assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0]));
    assert!(values(&pair.engines[0], 1).is_empty() && undo(&mut pair.engines[0]).is_none());
}

#[test]
fn the_oldest_go_first_and_one_too_large_empties_the_line() {
    let mut pair = alone();
    pair.engines[0].keep_undo(2).unwrap();
    for (row, value) in [(1, "a"), (2, "b"), (3, "c")] {
        write(&mut pair.engines[0], row, value);
    }
    reopen(&mut pair, 9);
    assert_eq!(pair.engines[0].undo_depth(), (2, 0));
    (0..2).for_each(|_| assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0])));
    assert_eq!((undo(&mut pair.engines[0]), values(&pair.engines[0], 1)), (None, alloc::vec![b"a".to_vec()]));
    // By bytes: each of these replaces a quarter of what there is room for.
    pair.engines[0].keep_undo(100).unwrap();
    let large = "x".repeat(UNDO_BYTES / 4);
    (0..9).for_each(|_| write(&mut pair.engines[0], 1, &large));
    assert_eq!(pair.engines[0].undo_depth(), (3, 0));
    (0..2).for_each(|_| assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0])));
    assert_eq!(pair.engines[0].undo_depth(), (1, 2));
    (0..4).for_each(|row| write(&mut pair.engines[0], row, &large));
    let object = Object::new(Kind(200), "t").unwrap();
    act(&mut pair.engines[0], |tx| (0..4).try_for_each(|row| tx.remove(object.row(&[row]).unwrap())));
    assert_eq!((pair.engines[0].undo_depth(), undo(&mut pair.engines[0])), ((0, 0), None));
    write(&mut pair.engines[0], 1, "small");
    assert_eq!(pair.engines[0].undo_depth(), (1, 0));
}

/// What was done again must fit in one transaction too: what does not cannot be done again, and all else goes on.
#[test]
fn what_cannot_be_kept_the_other_way_is_taken_back_all_the_same() {
    let mut pair = alone();
    let object = Object::new(Kind(200), "t").unwrap();
    write(&mut pair.engines[0], 9, "first");
    let large = "x".repeat(UNDO_BYTES / 5);
    act(&mut pair.engines[0], |tx| {
        (0..4)
            .try_for_each(|row| tx.put(object.row(&[row]).unwrap(), Payload::new(large.as_bytes()).unwrap()))
    });
    pair.engines[0].keep_undo(1).unwrap();
    assert_eq!(pair.engines[0].undo_depth(), (1, 0));
    assert_eq!((undo(&mut pair.engines[0]), pair.engines[0].undo_depth()), (Some([4, 0, 0]), (0, 1)));
    assert_eq!(redo(&mut pair.engines[0]), Some([4, 0, 0]));
    assert_eq!(values(&pair.engines[0], 3), [large.as_bytes()]);
}

/// Taking back a large value keeps it for the redo. Who goes on undoing needs what is still to be undone.
#[test]
fn what_was_undone_first_makes_room_for_what_is_still_to_be_undone() {
    let mut pair = alone();
    let large = "x".repeat(UNDO_BYTES / 4);
    (0..6).for_each(|row| write(&mut pair.engines[0], row, &large));
    (0..5).for_each(|_| assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0])));
    assert_eq!(pair.engines[0].undo_depth(), (1, 3));
    assert_eq!((undo(&mut pair.engines[0]), values(&pair.engines[0], 0).len()), (Some([1, 0, 0]), 0));
    reopen(&mut pair, 9);
    (0..3).for_each(|_| assert_eq!(redo(&mut pair.engines[0]), Some([1, 0, 0])));
    assert_eq!((redo(&mut pair.engines[0]), values(&pair.engines[0], 2).len()), (None, 1));
}

#[test]
fn what_somebody_else_has_written_since_is_left_alone() {
    let mut pair = met();
    write(&mut pair.engines[0], 1, "mine");
    write(&mut pair.engines[0], 2, "mine");
    pair.meet(2, |_, _| {});
    write(&mut pair.engines[1], 1, "theirs");
    pair.meet(3, |_, _| {});
    assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0]));
    assert_eq!(undo(&mut pair.engines[0]), Some([0, 1, 0]), "nothing to do, and done with");
    assert_eq!(values(&pair.engines[0], 1), [b"theirs"]);
    assert_eq!((redo(&mut pair.engines[0]), redo(&mut pair.engines[0])), (Some([0, 0, 0]), Some([1, 0, 0])));
    // What comes in beside it, unseen, is somebody's too.
    write(&mut pair.engines[0], 3, "mine");
    write(&mut pair.engines[1], 3, "theirs");
    pair.meet(4, |_, _| {});
    assert_eq!((undo(&mut pair.engines[0]), values(&pair.engines[0], 3).len()), (Some([0, 1, 0]), 2));
    // The same value written by somebody else is not what was written here.
    write(&mut pair.engines[0], 4, "same");
    pair.meet(5, |_, _| {});
    write(&mut pair.engines[1], 4, "same");
    pair.meet(6, |_, _| {});
    write(&mut pair.engines[0], 4, "later");
    assert_eq!((undo(&mut pair.engines[0]), undo(&mut pair.engines[0])), (Some([1, 0, 0]), Some([0, 1, 0])));
    assert_eq!(values(&pair.engines[0], 4), [b"same"]);
    // What was removed comes back only where nothing took its place.
    let rows = Object::new(Kind(200), "t").unwrap();
    act(&mut pair.engines[0], |tx| (1..5).try_for_each(|row| tx.remove(rows.row(&[row]).unwrap())));
    pair.meet(7, |_, _| {});
    write(&mut pair.engines[1], 3, "again");
    pair.meet(8, |_, _| {});
    assert_eq!(undo(&mut pair.engines[0]), Some([3, 1, 0]));
    pair.meet(9, |_, _| {});
    pair.check_same();
    assert_eq!(
        (values(&pair.engines[1], 1), values(&pair.engines[1], 3).len()),
        (alloc::vec![b"theirs".to_vec()], 1)
    );
}

#[test]
fn an_undo_that_others_have_not_seen_is_a_write_like_any_other() {
    let mut pair = met();
    let (map, set) = (LwwMapView::at("m").unwrap(), OrSetView::at("s").unwrap());
    act(&mut pair.engines[0], |tx| map.put(tx, 1, "old"));
    act(&mut pair.engines[0], |tx| map.put(tx, 1, "new").and_then(|()| set.insert(tx, 1)));
    pair.meet(2, |_, _| {});
    assert_eq!(undo(&mut pair.engines[0]), Some([2, 0, 0]));
    act(&mut pair.engines[1], |tx| set.insert(tx, 1));
    act(&mut pair.engines[1], |tx| map.put(tx, 1, "theirs"));
    pair.meet(3, |_, _| {});
    pair.check_same();
    let rows = pair.engines[0].reader();
    assert!(set.contains(&rows, 1).unwrap(), "an addition that had not seen the undo stays");
    assert_eq!(map.conflicts(&rows, 1).unwrap().len(), 1);
}

/// The commit of two transactions and of an undo fails: the line is what it was before, and so are the rows.
#[test]
fn what_is_lost_cannot_be_taken_back() {
    let mut pair = alone();
    write(&mut pair.engines[0], 1, "saved");
    write(&mut pair.engines[0], 1, "saved too");
    pair.save();
    write(&mut pair.engines[0], 1, "lost");
    undo(&mut pair.engines[0]);
    undo(&mut pair.engines[0]);
    write(&mut pair.engines[0], 2, "lost");
    undo(&mut pair.engines[0]);
    pair.engines[0].keep_undo(50).unwrap();
    assert_eq!(pair.engines[0].undo_depth(), (1, 1));
    let Some(Output::Persist(commit)) = pair.engines[0].poll_output() else { panic!("a commit") };
    let result = Err(StoreError::Full("test".into()));
    pair.engines[0].handle(NOW, Input::Persisted { commit: commit.id, result });
    pair.save();
    assert_eq!((pair.engines[0].undo_depth(), pair.engines[0].undo_limit()), ((2, 0), 50));
    assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0]));
    assert_eq!(values(&pair.engines[0], 1), [b"saved"]);
    reopen(&mut pair, 9);
    assert_eq!((pair.engines[0].undo_depth(), pair.engines[0].undo_limit()), ((1, 1), 50));
}

/// Two copies of a store write, and neither has told it: both go on under new ids, and each takes back its own.
#[test]
fn what_was_renamed_is_taken_back_under_its_new_name() {
    let mut pair = alone();
    write(&mut pair.engines[0], 1, "both");
    act(&mut pair.engines[0], |tx| counter().add(tx, 10));
    pair.save();
    let store = pair.engines[0].store_mut().clone();
    pair.engines[0] = engine(1, 5, 1 << 20, store.clone());
    pair.engines[1] = engine(1, 6, 1 << 20, store);
    for (number, n) in [(0, 1), (1, 2)] {
        write(&mut pair.engines[number], 2, "each");
        act(&mut pair.engines[number], |tx| counter().add(tx, n));
        act(&mut pair.engines[number], |tx| counter().add(tx, 10 * n));
        undo(&mut pair.engines[number]);
    }
    pair.save();
    (1..4).for_each(|session| pair.meet(session, |_, _| {}));
    assert_eq!(pair.engines.each_ref().map(|engine| engine.stats().renames), [1, 1]);
    pair.check_same();
    assert_eq!(count(&pair.engines[0]), 13);
    assert_eq!(pair.engines.each_ref().map(Engine::undo_depth), [(2, 1); 2], "not what both had");
    assert_eq!(redo(&mut pair.engines[0]), Some([1, 0, 0]));
    assert_eq!(count(&pair.engines[0]), 23);
    (0..2).for_each(|_| assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0])));
    assert_eq!((undo(&mut pair.engines[1]), count(&pair.engines[1])), (Some([1, 0, 0]), 11));
    // Row 2 holds what each of them wrote.
    assert_eq!(undo(&mut pair.engines[0]), Some([0, 1, 0]));
    (4..6).for_each(|session| pair.meet(session, |_, _| {}));
    pair.check_same();
    assert_eq!((count(&pair.engines[0]), values(&pair.engines[0], 2).len()), (10, 2));
}

#[test]
fn a_row_that_was_renamed_is_still_what_was_written() {
    let mut pair = alone();
    write(&mut pair.engines[0], 1, "both");
    pair.save();
    let store = pair.engines[0].store_mut().clone();
    pair.engines[0] = engine(1, 5, 1 << 20, store.clone());
    pair.engines[1] = engine(1, 6, 1 << 20, store);
    write(&mut pair.engines[0], 1, "mine");
    write(&mut pair.engines[0], 1, "mine too");
    write(&mut pair.engines[1], 2, "yours");
    pair.save();
    (1..4).for_each(|session| pair.meet(session, |_, _| {}));
    assert_eq!(pair.engines[0].stats().renames, 1);
    reopen(&mut pair, 9);
    (0..2).for_each(|_| assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0])));
    assert_eq!(
        (values(&pair.engines[0], 1), undo(&mut pair.engines[0])),
        (alloc::vec![b"both".to_vec()], None)
    );
}

/// A store that wakes up elsewhere is a copy: what its original may take back is not taken back here.
#[test]
fn a_copied_store_takes_back_only_what_it_wrote_itself() {
    let mut pair = alone();
    act(&mut pair.engines[0], |tx| counter().add(tx, 10));
    pair.save();
    let store = pair.engines[0].store_mut().clone();
    let config = Config { lineage: [9; 16], push: Push::Streams, ..Config::new(SpaceId([7; 32])) };
    pair.engines[1] = Engine::open(config, Box::new(Ed25519::from_seed([1; 32])), store, [8; 32]).unwrap();
    assert_eq!((undo(&mut pair.engines[1]), pair.engines[1].undo_limit()), (None, 100));
    act(&mut pair.engines[1], |tx| counter().add(tx, 1));
    assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0]));
    pair.save();
    pair.meet(1, |_, _| {});
    pair.check_same();
    assert_eq!((count(&pair.engines[1]), undo(&mut pair.engines[1])), (1, Some([1, 0, 0])));
    assert_eq!(count(&pair.engines[1]), 0);
}

/// A bulk is on its way to the disk: what is written and taken back meanwhile is on top of it afterwards.
#[test]
fn what_was_taken_back_while_a_bulk_arrived_can_be_done_again() {
    let (mut pair, commit) = merging::merging();
    pair.engines[1].keep_undo(9).unwrap();
    write(&mut pair.engines[1], 8, "b, meanwhile");
    write(&mut pair.engines[1], 9, "b, too");
    assert_eq!(undo(&mut pair.engines[1]), Some([1, 0, 0]));
    pair.drain(1);
    pair.persist(1, &commit);
    pair.held = None;
    pair.drain(1);
    pair.carry(1, |_, _| {});
    pair.check_same();
    assert_eq!(pair.engines[1].stats().bulk_committed, 1);
    let store = pair.engines[1].store_mut().clone();
    pair.engines[1] = engine(2, 9, 0, store);
    assert_eq!(pair.engines[1].undo_depth(), (1, 1));
    assert_eq!(
        (redo(&mut pair.engines[1]), values(&pair.engines[1], 9)),
        (Some([1, 0, 0]), alloc::vec![b"b, too".to_vec()])
    );
    (0..2).for_each(|_| assert_eq!(undo(&mut pair.engines[1]), Some([1, 0, 0])));
    assert_eq!(values(&pair.engines[1], 8), [b"b, before"]);
}

#[test]
fn a_record_that_does_not_read_back_is_passed_over() {
    let mut pair = alone();
    (0..3).for_each(|row| write(&mut pair.engines[0], row, "a"));
    pair.save();
    let mut store = pair.engines[0].store_mut().clone();
    let key = 2_u64.to_be_bytes().to_vec();
    let mut bytes = store.get(store::Table::Undo, &key).unwrap().unwrap();
    bytes[20] ^= 1;
    store.apply(&Commit::new(0, alloc::vec![(store::Table::Undo, key, Some(bytes))])).unwrap();
    pair.engines[0] = engine(1, 9, 1 << 20, store);
    assert_eq!(undo(&mut pair.engines[0]), Some([0, 0, 0]));
    assert_eq!(undo(&mut pair.engines[0]), Some([1, 0, 0]));
    assert!(values(&pair.engines[0], 1).is_empty() && !values(&pair.engines[0], 2).is_empty());
}
