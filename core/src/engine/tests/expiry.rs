//! Rows with a time to live: hidden from their time on, told once, removed later by who may.

use core::time::Duration;

use super::*;
use crate::crdt::{LwwMapView, LwwRegisterView, OrSetView};
use crate::row::RowKey;
use crate::state::Moment;
use crate::value::Value;

const HOUR: u64 = 60 * 60 * 1000;

fn at(later_ms: u64) -> Now {
    Now { mono_ms: NOW.mono_ms + later_ms, wall_ms: NOW.wall_ms + later_ms }
}

fn map() -> LwwMapView {
    LwwMapView::at("m").unwrap()
}

fn row(key: &str) -> RowKey {
    map().object().row(&crate::value::encode_element(&key.into()).unwrap()).unwrap()
}

/// Writes a key that lives for so many milliseconds, or for ever.
fn put(engine: &mut Engine<MemoryStore>, now: Now, key: &str, value: i64, lives: Option<u64>) {
    let written = engine.write(now, |tx| -> Result<(), WriteError> {
        match lives {
            Some(millis) => map().put_for(tx, key, value, Duration::from_millis(millis)),
            None => map().put(tx, key, value),
        }
    });
    assert!(written.unwrap().1.is_some());
}

fn shown(engine: &Engine<MemoryStore>, now: Now) -> Vec<(Value, i64)> {
    let mut pairs = Vec::new();
    let reader = engine.reader_at(now);
    let visited = map().visit(&reader, &crate::crdt::Keys::All, |key, value| {
        assert_eq!(map().get(&reader, key.clone()), Ok(Some(value.clone())));
        pairs.push((key, crate::value::from_value(value).unwrap()));
        core::ops::ControlFlow::Continue(())
    });
    visited.unwrap();
    pairs
}

fn sound(engine: &mut Engine<MemoryStore>) {
    engine.check().unwrap();
    engine.moment().unwrap().check_derived().unwrap();
}

/// What the engine tells at a time.
fn told(pair: &mut Pair, number: usize, now: Now) -> Vec<RowKey> {
    pair.events[number].clear();
    pair.engines[number].handle(now, Input::Tick);
    pair.save();
    let rows = pair.events[number].iter().flat_map(|event| match event {
        Event::Changed { rows, .. } => rows.clone(),
        _ => Vec::new(),
    });
    rows.collect()
}

#[test]
fn what_has_expired_is_not_shown_and_is_part_of_the_root_all_the_same() {
    let mut pair = apart(1 << 20);
    let a = &mut pair.engines[0];
    put(a, NOW, "short", 1, Some(1000));
    put(a, NOW, "long", 2, Some(2000));
    put(a, NOW, "always", 3, None);
    let set = OrSetView::at("s").unwrap();
    let register = LwwRegisterView::at("r").unwrap();
    let written = a.write(NOW, |tx| -> Result<(), WriteError> {
        set.insert_for(tx, "x", Duration::from_secs(1))?;
        assert_eq!(set.contains(tx, "x"), Ok(true), "a transaction sees it too");
        register.put_for(tx, 7, Duration::from_secs(1))?;
        map().put_for(tx, "never", 4, Duration::ZERO)?;
        assert_eq!(map().get(tx, "never"), Ok(None));
        assert_eq!(map().len(tx), Ok(3));
        Ok(())
    });
    written.unwrap();
    let expires =
        |key: &str, engine: &Engine<MemoryStore>| map().expires(&engine.reader_at(NOW), key).unwrap();
    assert_eq!((expires("short", a), expires("always", a)), (Some(NOW.wall_ms + 1000), None));
    pair.save();
    pair.meet(1, |_, _| {});
    pair.check_same();
    let keys = |engine: &Engine<MemoryStore>, later| shown(engine, at(later)).len();
    for engine in &pair.engines {
        assert_eq!([0, 999, 1000, 1999, 2000].map(|later| keys(engine, later)), [3, 3, 2, 2, 1]);
        let there = |later| {
            let reader = engine.reader_at(at(later));
            (set.contains(&reader, "x").unwrap(), set.len(&reader).unwrap(), register.get(&reader).unwrap())
        };
        assert_eq!((there(999), there(1000)), ((true, 1, Some(7.into())), (false, 0, None)));
    }
    // Who looks later than another still has the same data.
    pair.engines[0].handle(at(5000), Input::Tick);
    pair.check_same();
    pair.engines.iter_mut().for_each(sound);
}

/// Transactions that wait for one commit have one time; what they write lives from when they were made.
#[test]
fn time_to_live_counts_from_the_transaction_and_not_from_its_delta() {
    let mut one = engine(1, 1, 0, MemoryStore::new());
    put(&mut one, NOW, "first", 1, Some(1000));
    put(&mut one, at(5000), "second", 2, Some(1000));
    assert_eq!(map().expires(&one.reader(), "second"), Ok(Some(NOW.wall_ms + 6000)));
    // Undone, an older value shows again for as long as it has left.
    one.keep_undo(5).unwrap();
    put(&mut one, at(5500), "second", 3, Some(100));
    assert!(one.undo(at(5599)).unwrap().0.is_some_and(|undone| (undone.rows, undone.left) == (1, 0)));
    assert_eq!((shown(&one, at(5999)).len(), shown(&one, at(6000)).len()), (1, 0));
    put(&mut one, at(7000), "third", 3, Some(100));
    assert!(
        one.undo(at(7100)).unwrap().0.is_some_and(|undone| (undone.rows, undone.left) == (0, 1)),
        "it is gone"
    );
}

#[test]
fn each_is_told_once_when_its_time_comes() {
    let mut pair = apart(0);
    for (key, lives) in [("a", Some(1000)), ("b", Some(1000)), ("c", Some(3000)), ("d", None)] {
        put(&mut pair.engines[0], NOW, key, 1, lives);
    }
    pair.save();
    let due = |pair: &Pair, number: usize| pair.engines[number].poll_timeout();
    assert_eq!(due(&pair, 0), Some(NOW.mono_ms + 1000));
    assert_eq!(told(&mut pair, 0, at(999)), []);
    assert_eq!(told(&mut pair, 0, at(1000)), [row("a"), row("b")]);
    assert_eq!(told(&mut pair, 0, at(1001)), []);
    assert_eq!(due(&pair, 0), Some(NOW.mono_ms + 3000));
    // What a bulk brings is listed as well, and what expired before that needs no telling.
    pair.meet(1, |_, _| {});
    pair.engines.iter_mut().for_each(sound);
    let _ = told(&mut pair, 1, at(1500));
    assert_eq!(told(&mut pair, 1, at(9000)), [row("c")]);
    assert_eq!(due(&pair, 1), None);
    // A clock that is put back shows it again, until its time comes again.
    assert_eq!(told(&mut pair, 1, at(2000)), []);
    assert_eq!(shown(&pair.engines[1], at(2000)).len(), 2);
    assert_eq!(told(&mut pair, 1, at(3000)), [row("c")]);
    // One that is put anew is not told at its old time, nor one that is gone.
    for (key, lives) in [("e", Some(20_000)), ("f", Some(20_000)), ("e", Some(40_000))] {
        put(&mut pair.engines[1], at(4000), key, 1, lives);
    }
    pair.engines[1].write(at(4000), |tx| map().remove(tx, "f")).unwrap();
    pair.save();
    // The report of a commit comes with the first time again.
    assert_eq!(told(&mut pair, 1, at(4000)), [row("a"), row("b"), row("c")]);
    assert_eq!(told(&mut pair, 1, at(30_000)), []);
    assert_eq!(told(&mut pair, 1, at(50_000)), [row("e")]);
    sound(&mut pair.engines[1]);
}

#[test]
fn an_hour_later_its_author_or_a_hub_removes_it() {
    let mut pair = apart(1 << 20);
    pair.meet(1, |_, _| {});
    put(&mut pair.engines[0], NOW, "mine", 1, Some(1000));
    put(&mut pair.engines[1], NOW, "theirs", 2, Some(1000));
    put(&mut pair.engines[0], NOW, "both", 3, Some(1000));
    put(&mut pair.engines[1], NOW, "both", 4, None);
    // Both go, at different times: two places in the list, one row.
    put(&mut pair.engines[0], NOW, "twice", 3, Some(1000));
    put(&mut pair.engines[1], NOW, "twice", 4, Some(2000));
    put(&mut pair.engines[0], NOW, "anew", 5, Some(1000));
    pair.save();
    pair.meet(2, |_, _| {});
    put(&mut pair.engines[1], NOW, "anew", 6, None);
    pair.save();
    pair.meet(3, |_, _| {});
    pair.engines[0].keep_undo(5).unwrap();
    let sweep = |pair: &mut Pair, number: usize, later| pair.engines[number].sweep(at(later)).unwrap();
    assert_eq!(sweep(&mut pair, 0, HOUR + 999), Swept::default(), "clocks differ");
    assert!(shown(&pair.engines[0], at(HOUR)).len() == 2);
    let swept = sweep(&mut pair, 0, HOUR + 1000);
    assert_eq!((&*swept.rows, swept.dot.is_some(), swept.more), (&[row("mine")][..], true, false));
    assert_eq!(pair.engines[0].undo_depth(), (0, 0), "nobody did it who would want it back");
    assert_eq!(sweep(&mut pair, 0, HOUR + 1000), Swept::default());
    pair.save();
    pair.meet(4, |_, _| {});
    pair.check_same();
    // A hub takes what its author leaves.
    pair.engines[0].config.hub = true;
    assert_eq!(sweep(&mut pair, 0, 2 * HOUR).rows, [row("theirs"), row("twice")]);
    pair.save();
    pair.meet(5, |_, _| {});
    pair.check_same();
    pair.engines.iter_mut().for_each(sound);
    let left = [("anew".into(), 6), ("both".into(), 4)];
    pair.engines.iter().for_each(|engine| assert_eq!(shown(engine, at(2 * HOUR)), left));
}

#[test]
fn many_are_removed_in_parts_and_what_others_wrote_is_not_looked_at_for_ever() {
    let mut pair = apart(0);
    pair.meet(1, |_, _| {});
    let fill = |engine: &mut Engine<MemoryStore>, name: char| {
        for part in 0..3 {
            let written = engine.write(NOW, |tx| {
                let mut keys = 0..500;
                keys.try_for_each(|n| {
                    map().put_for(tx, alloc::format!("{name}{part}-{n}"), 1, Duration::from_secs(1))
                })
            });
            let _: ((), _) = written.map_err(|error: WriteError| error).unwrap();
        }
    };
    fill(&mut pair.engines[1], 'b');
    pair.save();
    pair.meet(2, |_, _| {});
    fill(&mut pair.engines[0], 'c');
    pair.save();
    let (mut removed, mut calls) = (0, 0);
    loop {
        let swept = pair.engines[0].sweep(at(2 * HOUR)).unwrap();
        assert!(swept.rows.len() <= 256);
        removed += swept.rows.len();
        calls += 1;
        pair.save();
        if !swept.more {
            break;
        }
    }
    // 1,500 places of the other, a thousand and some a look, and then 256 a look.
    assert_eq!((removed, calls), (1500, 7));
    sound(&mut pair.engines[0]);
}

/// A store of an older version, or made of an image, has no list of what expires; one that is damaged loses it.
#[test]
fn a_store_that_comes_without_its_list_builds_it() {
    let mut pair = apart(0);
    for n in 0..5000 {
        put(&mut pair.engines[0], NOW, &alloc::format!("{n:05}"), n, (n % 10 == 0).then_some(1000));
    }
    pair.save();
    let sound_store = pair.engines[0].store_mut().clone();
    let mut places = Vec::new();
    let scan = sound_store.scan(store::Table::Index, &[], &mut |place, _| {
        places.push(place.to_vec());
        core::ops::ControlFlow::Continue(())
    });
    scan.unwrap();
    assert_eq!(places.len(), 500);
    let meta = (store::Table::Meta, b"indexes".to_vec(), None);
    let gone = |places: &[Vec<u8>]| {
        let places = places.iter().map(|place| (store::Table::Index, place.clone(), None));
        let mut store = sound_store.clone();
        store.apply(&Commit::new(0, places.chain([meta.clone()]).collect())).unwrap();
        store
    };
    // Without the list and its places; with some of them left behind.
    for store in [gone(&places), gone(&places[1..])] {
        pair.engines[0] = engine(1, 5, 0, store);
        pair.engines[0].handle(NOW, Input::Tick);
        pair.save();
        sound(&mut pair.engines[0]);
        assert_eq!(told(&mut pair, 0, at(1000)).len(), 500);
        assert_eq!(pair.engines[0].indexes(), [], "it is nobody's to drop");
    }
    // A place that is missing, and one too many, are found.
    let lost = (store::Table::Index, places[3].clone(), None);
    let more = (store::Table::Index, [&places[3][..], b"x"].concat(), Some(Vec::new()));
    for change in [lost, more] {
        let mut store = sound_store.clone();
        store.apply(&Commit::new(0, alloc::vec![change])).unwrap();
        let wrong = Moment::of(SpaceId([7; 32]), store).unwrap().check_derived();
        assert!(wrong.unwrap_err().contains("what expires"));
    }
}
