//! The change feed: what readers are told, and when they are told that they came too late.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::*;
use crate::feed::{Cursor, Record, Retention};

const ALL: Retention = Retention { bytes: u64::MAX, millis: u64::MAX };

fn with_feed(device: u8, retention: Retention) -> Engine<MemoryStore> {
    let mut engine = engine(device, device, 0, MemoryStore::new());
    engine.keep_feed(Some(retention));
    engine
}

fn pair(retention: Retention) -> Pair {
    let mut pair = Pair::new([with_feed(1, retention), engine(2, 2, 0, MemoryStore::new())]);
    pair.save();
    pair
}

fn read(engine: &Engine<MemoryStore>, after: &Cursor) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    let end = engine.read_feed(after, &mut |record| {
        records.push(record);
        ControlFlow::Continue(())
    });
    end.unwrap().map(|_| records)
}

fn payloads(entries: &[Entry]) -> Vec<&[u8]> {
    entries.iter().map(|entry| &*entry.payload).collect()
}

#[test]
fn it_says_what_was_there_and_what_is_commit_by_commit_wherever_it_was_written() {
    let mut pair = pair(ALL);
    let begin = pair.engines[0].feed_end().unwrap();
    write(&mut pair.engines[0], 1, "one");
    write(&mut pair.engines[0], 2, "two");
    pair.save();
    write(&mut pair.engines[0], 1, "uno");
    pair.save();
    // A bulk: neither side keeps a log.
    write(&mut pair.engines[1], 1, "eins");
    write(&mut pair.engines[1], 3, "drei");
    pair.save();
    pair.meet(1, |_, _| {});
    let records = read(&pair.engines[0], &begin).unwrap();
    let told: Vec<_> = records
        .iter()
        .map(|record| {
            let local = record.origin.map(|origin| origin.local);
            (record.key.element()[0], payloads(&record.before), payloads(&record.after), local, record.commit)
        })
        .collect();
    let mut both: [&[u8]; 2] = [b"uno", b"eins"];
    both.sort_by_key(|payload| told[3].2[0] != *payload);
    let none: Vec<&[u8]> = Vec::new();
    assert_eq!(
        told,
        [
            (1, none.clone(), alloc::vec![b"one".as_slice()], Some(true), 1),
            (2, none.clone(), alloc::vec![b"two".as_slice()], Some(true), 1),
            (1, alloc::vec![b"one".as_slice()], alloc::vec![b"uno".as_slice()], Some(true), 3),
            (1, alloc::vec![b"uno".as_slice()], both.to_vec(), None, 4),
            (3, none, alloc::vec![b"drei".as_slice()], None, 4),
        ]
    );
    assert_eq!(read(&pair.engines[0], &records[2].cursor).unwrap(), records[3..], "from any place on");
    assert_eq!(read(&pair.engines[0], &pair.engines[0].feed_end().unwrap()).unwrap(), []);
    pair.engines[0].check().unwrap();
}

#[test]
fn it_is_as_long_as_it_was_asked_to_be_and_says_when_a_reader_is_too_late() {
    let mut pair = pair(Retention { bytes: 1000, millis: u64::MAX });
    let begin = pair.engines[0].feed_end().unwrap();
    for n in 0..40 {
        write(&mut pair.engines[0], n % 5, "some text");
        pair.save();
    }
    assert_eq!(read(&pair.engines[0], &begin), None, "a gap");
    let end = pair.engines[0].feed_end().unwrap();
    let kept = (1..=40).filter(|back| {
        let records = pair.engines[0].store_mut().get(store::Table::Feed, &(41_u64 - back).to_be_bytes());
        records.unwrap().is_some()
    });
    assert!((2..12).contains(&kept.count()), "about a thousand bytes");
    pair.engines[0].check().unwrap();
    // One commit of more than that is a gap for everybody, and what comes after it is not.
    (0..100).for_each(|n| write(&mut pair.engines[0], n, "much at once"));
    pair.save();
    assert_eq!(read(&pair.engines[0], &end), None);
    let end = pair.engines[0].feed_end().unwrap();
    write(&mut pair.engines[0], 1, "more");
    pair.save();
    assert_eq!(read(&pair.engines[0], &end).unwrap().len(), 1);
    pair.engines[0].check().unwrap();
}

#[test]
fn what_is_older_than_asked_for_goes_by_the_clock() {
    let mut engine = with_feed(1, Retention { bytes: u64::MAX, millis: 1000 });
    let save = |engine: &mut Engine<MemoryStore>, wall_ms: u64, value: &str| {
        let key = Object::new(Kind(200), "t").unwrap().row(&[1]).unwrap();
        let now = Now { mono_ms: 1, wall_ms };
        let payload = Payload::new(value.as_bytes()).unwrap();
        let _ = engine.write(now, |tx| tx.put(key, payload)).map_err(|error: WriteError| panic!("{error}"));
        while let Some(output) = engine.poll_output() {
            if let Output::Persist(commit) = output {
                let result = engine.store_mut().apply(&commit);
                engine.handle(now, Input::Persisted { commit: commit.id, result });
            }
        }
        engine.feed_end().unwrap()
    };
    let first = save(&mut engine, 10_000, "a");
    save(&mut engine, 10_500, "b");
    assert_eq!(read(&engine, &first).unwrap().len(), 1);
    save(&mut engine, 11_100, "c");
    assert_eq!(read(&engine, &first).unwrap().len(), 2, "the first one is gone, and was read");
    save(&mut engine, 12_000, "d");
    assert_eq!(read(&engine, &first), None);
    engine.check().unwrap();
}

#[test]
fn a_store_that_took_another_way_tells_readers_of_the_first_that_there_is_a_gap() {
    let mut pair = pair(ALL);
    write(&mut pair.engines[0], 1, "before");
    pair.save();
    let (image, shared) = (pair.engines[0].store_mut().clone(), pair.engines[0].feed_end().unwrap());
    write(&mut pair.engines[0], 1, "the first way");
    pair.save();
    let first = pair.engines[0].feed_end().unwrap();
    pair.engines[0] = engine(1, 9, 0, image);
    write(&mut pair.engines[0], 1, "another way");
    pair.save();
    assert_eq!(pair.engines[0].feed_end().unwrap().position(), first.position());
    assert_eq!(read(&pair.engines[0], &first), None, "same number, other history");
    assert_eq!(read(&pair.engines[0], &shared).unwrap().len(), 1, "up to there it is one");
}

#[test]
fn switched_off_it_forgets_and_switched_on_again_it_begins_anew() {
    let mut pair = pair(ALL);
    let begin = pair.engines[0].feed_end().unwrap();
    write(&mut pair.engines[0], 1, "noted");
    pair.save();
    pair.engines[0].keep_feed(None);
    pair.save();
    assert_eq!((pair.engines[0].feed_end(), pair.engines[0].feed_retention()), (None, None));
    let mut left = 0;
    let count = pair.engines[0].store_mut().scan(store::Table::Feed, &[], &mut |_, _| {
        left += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((count.is_ok(), left), (true, 0));
    write(&mut pair.engines[0], 1, "not noted");
    pair.save();
    pair.engines[0].keep_feed(Some(ALL));
    pair.save();
    assert_eq!(read(&pair.engines[0], &begin), None);
    assert_eq!(pair.engines[0].feed_retention(), Some(ALL));
    // The same store, opened again, goes on.
    let end = pair.engines[0].feed_end().unwrap();
    let store = pair.engines[0].store_mut().clone();
    pair.engines[0] = engine(1, 5, 0, store);
    write(&mut pair.engines[0], 1, "noted again");
    pair.save();
    let records = read(&pair.engines[0], &end).unwrap();
    assert_eq!((records.len(), payloads(&records[0].before)), (1, alloc::vec![b"not noted".as_slice()]));
}

#[test]
fn a_commit_that_fails_leaves_nothing_in_it() {
    let mut pair = pair(ALL);
    let begin = pair.engines[0].feed_end().unwrap();
    write(&mut pair.engines[0], 1, "lost");
    while let Some(output) = pair.engines[0].poll_output() {
        if let Output::Persist(commit) = output {
            let result = Err(StoreError::Full("no room".into()));
            pair.engines[0].handle(NOW, Input::Persisted { commit: commit.id, result });
        }
    }
    write(&mut pair.engines[0], 2, "kept");
    pair.save();
    let records = read(&pair.engines[0], &begin).unwrap();
    assert_eq!((records.len(), records[0].key.element()), (1, [2].as_slice()));
}

#[test]
fn no_flipped_bit_of_a_record_is_believed() {
    let mut pair = pair(ALL);
    let begin = pair.engines[0].feed_end().unwrap();
    write(&mut pair.engines[0], 1, "a");
    pair.save();
    let first = pair.engines[0].feed_end().unwrap();
    write(&mut pair.engines[0], 2, "b");
    pair.save();
    let (sound, key) = (pair.engines[0].store_mut().clone(), 2_u64.to_be_bytes());
    let value = sound.get(store::Table::Feed, &key).unwrap().unwrap();
    for bit in 0..value.len() * 8 {
        let (mut store, mut value) = (sound.clone(), value.clone());
        value[bit / 8] ^= 1 << (bit % 8);
        store.apply(&Commit::new(0, alloc::vec![(store::Table::Feed, key.to_vec(), Some(value))])).unwrap();
        let damaged = engine(1, 1, 0, store);
        assert_eq!(
            read(&damaged, &begin).map(|records| records.len()),
            Some(1),
            "what lies before it is sound"
        );
        assert_eq!(read(&damaged, &first), None, "bit {bit}");
        assert!(damaged.check().unwrap_err().contains("feed"));
    }
}

#[test]
fn a_cursor_comes_back_from_its_text_and_nothing_else_does() {
    let cursor = pair(ALL).engines[0].feed_end().unwrap();
    let text = cursor.to_string();
    assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
    for bad in ["", "1", "1.", ".00", "01.0011223344556677", "1.0011223344556677.", "+1.0011223344556677"] {
        assert!(bad.parse::<Cursor>().is_err(), "{bad}");
    }
}
