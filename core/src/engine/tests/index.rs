//! Secondary indexes: in step with the rows, whoever changes them.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::{Bound, ControlFlow};

use super::*;
use crate::crdt::LwwMapView;
use crate::index::IndexSpec;
use crate::value::{Span, Value};

fn by(fields: &[&str]) -> IndexSpec {
    IndexSpec::new(Kind::LWW_MAP, "tasks", fields).unwrap()
}

fn task(owner: &str, due: i64) -> Value {
    Value::Map([("owner".into(), owner.into()), ("due".into(), due.into())].into())
}

fn put(engine: &mut Engine<MemoryStore>, key: &str, value: Option<Value>) {
    let map = LwwMapView::at("tasks").unwrap();
    let written = engine.write(NOW, |tx| -> Result<(), WriteError> {
        match value {
            Some(value) => map.put(tx, key, value),
            None => map.remove(tx, key),
        }
    });
    written.unwrap();
}

/// The keys that an index lists, in its order.
fn listed(engine: &Engine<MemoryStore>, index: &IndexSpec, span: &Span, back: bool) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    let reader = engine.reader();
    let is_there = reader.scan_index(index, span, back, &mut |row, _| {
        keys.push(crate::value::decode_element(row.element()).unwrap().as_str().unwrap().to_string());
        ControlFlow::Continue(())
    });
    is_there.unwrap().then_some(keys)
}

fn all(engine: &Engine<MemoryStore>, index: &IndexSpec) -> Vec<String> {
    listed(engine, index, &Span::equal(&[]), false).expect("it is there")
}

fn build(engine: &mut Engine<MemoryStore>, index: &IndexSpec) {
    while !engine.build_index(index).unwrap() {}
}

#[test]
fn rows_are_listed_by_what_they_hold_as_they_change() {
    let mut pair = apart(0);
    let index = by(&["owner", "due"]);
    let a = &mut pair.engines[0];
    put(a, "t1", Some(task("bo", 2)));
    assert_eq!(listed(a, &index, &Span::equal(&[]), false), None, "nobody asked for it yet");
    build(a, &index);
    put(a, "t2", Some(task("ada", 7)));
    put(a, "t3", Some(task("bo", -1)));
    put(a, "t4", Some("no map".into()));
    assert_eq!(all(a, &index), ["t4", "t2", "t3", "t1"]);
    assert_eq!(listed(a, &index, &Span::equal(&[]), true).unwrap(), ["t1", "t3", "t2", "t4"]);
    assert_eq!(listed(a, &index, &Span::equal(&["bo".into()]), false).unwrap(), ["t3", "t1"]);
    let due = Span::between(&["bo".into()], Bound::Excluded(&Value::Int(-1)), Bound::Unbounded);
    assert_eq!(listed(a, &index, &due, false).unwrap(), ["t1"]);
    assert_eq!(listed(a, &index, &Span::starting(&[], "a"), false).unwrap(), ["t2"]);
    put(a, "t3", Some(task("zoe", 0)));
    put(a, "t4", None);
    assert_eq!(all(a, &index), ["t2", "t1", "t3"]);
    pair.save();
    // What a bulk brings, and what it takes away.
    put(&mut pair.engines[1], "t9", Some(task("moe", 1)));
    pair.save();
    pair.meet(1, |_, _| {});
    assert_eq!(all(&pair.engines[0], &index), ["t2", "t1", "t9", "t3"]);
    put(&mut pair.engines[1], "t1", None);
    pair.save();
    pair.meet(2, |_, _| {});
    assert_eq!(all(&pair.engines[0], &index), ["t2", "t9", "t3"]);
    pair.check_same();
    // It lies in the store.
    let store = pair.engines[0].store_mut().clone();
    let again = engine(1, 7, 0, store);
    assert_eq!((all(&again, &index), again.indexes()), (all(&pair.engines[0], &index), alloc::vec![index]));
}

#[test]
fn the_newest_of_concurrent_values_counts() {
    let mut pair = apart(1 << 20);
    pair.meet(1, |_, _| {});
    let index = by(&["owner"]);
    build(&mut pair.engines[1], &index);
    put(&mut pair.engines[0], "t", Some(task("ada", 1)));
    put(&mut pair.engines[1], "t", Some(task("bo", 1)));
    pair.save();
    pair.meet(2, |_, _| {});
    let map = LwwMapView::at("tasks").unwrap();
    let shown = map.get(&pair.engines[1].reader(), "t").unwrap().unwrap();
    let owner = crate::value::field(&shown, "owner").clone();
    let span = Span::equal(&[owner]);
    assert_eq!(listed(&pair.engines[1], &index, &span, false).unwrap(), ["t"]);
    assert_eq!(all(&pair.engines[1], &index), ["t"], "once");
    pair.check_same();
}

#[test]
fn one_on_many_rows_is_built_in_steps_while_they_change_and_dropped_in_steps() {
    let mut pair = apart(0);
    let index = by(&["due"]);
    let mut rows = BTreeMap::new();
    let map = LwwMapView::at("tasks").unwrap();
    for batch in 0..5_i64 {
        let numbers = batch * 1000..(batch + 1) * 1000;
        let written = pair.engines[0].write(NOW, |tx| -> Result<(), WriteError> {
            numbers.clone().try_for_each(|n| map.put(tx, alloc::format!("t{n:05}"), task("ada", n % 10)))
        });
        written.unwrap();
        rows.extend(numbers.map(|n| (alloc::format!("t{n:05}"), n % 10)));
        pair.save();
    }
    let mut steps = 0;
    let mut change = |pair: &mut Pair, key: String, due: Option<i64>| {
        put(&mut pair.engines[0], &key, due.map(|due| task("bo", due)));
        match due {
            Some(due) => rows.insert(key, due),
            None => rows.remove(&key),
        };
    };
    while !pair.engines[0].build_index(&index).unwrap() {
        // Before the place that is reached, and behind it.
        for (at, due) in
            [(100 + steps, Some(11)), (4900 - steps, Some(12)), (200 + steps, None), (4800 - steps, None)]
        {
            change(&mut pair, alloc::format!("t{at:05}"), due);
        }
        if steps == 1 {
            // A step that is lost, and everything else of its commit with it.
            pair.save();
            pair.engines[0].build_index(&index).unwrap();
            while let Some(output) = pair.engines[0].poll_output() {
                if let Output::Persist(commit) = output {
                    let result = Err(StoreError::Full("no room".into()));
                    pair.engines[0].handle(NOW, Input::Persisted { commit: commit.id, result });
                }
            }
        }
        pair.save();
        pair.engines[0].check().unwrap();
        steps += 1;
    }
    assert!(steps >= 2, "{steps}");
    pair.save();
    pair.engines[0].check().unwrap();
    let mut wanted: Vec<_> = rows.iter().map(|(key, due)| (*due, key.clone())).collect();
    wanted.sort();
    assert_eq!(all(&pair.engines[0], &index), wanted.into_iter().map(|(_, key)| key).collect::<Vec<_>>());

    let mut steps = 0;
    while !pair.engines[0].drop_index(&index).unwrap() {
        assert_eq!(listed(&pair.engines[0], &index, &Span::equal(&[]), false), None, "it is not complete");
        put(&mut pair.engines[0], "t00000", Some(task("zoe", steps)));
        pair.save();
        pair.engines[0].check().unwrap();
        steps += 1;
    }
    pair.save();
    assert_eq!((steps, pair.engines[0].indexes()), (2, alloc::vec![]));
    let left =
        pair.engines[0].store_mut().scan(store::Table::Index, &[], &mut |_, _| panic!("something is left"));
    left.unwrap();
    pair.engines[0].check().unwrap();
}

#[test]
fn an_index_that_does_not_fit_its_rows_is_found() {
    let mut pair = apart(0);
    let index = by(&["due"]);
    put(&mut pair.engines[0], "t1", Some(task("ada", 1)));
    put(&mut pair.engines[0], "t2", Some(task("ada", 2)));
    build(&mut pair.engines[0], &index);
    pair.save();
    let sound = pair.engines[0].store_mut().clone();
    let mut places = Vec::new();
    let scan = sound.scan(store::Table::Index, &[], &mut |place, _| {
        places.push(place.to_vec());
        ControlFlow::Continue(())
    });
    scan.unwrap();
    assert_eq!(places.len(), 2);
    let damaged = |change: (Vec<u8>, Option<Vec<u8>>)| {
        let mut store = sound.clone();
        store.apply(&Commit::new(0, alloc::vec![(store::Table::Index, change.0, change.1)])).unwrap();
        engine(1, 3, 0, store)
    };
    assert!(damaged((places[0].clone(), None)).check().unwrap_err().contains("index of tasks"));
    let mut anew = damaged((places[0].clone(), None));
    anew.give_up_derived();
    assert_eq!(listed(&anew, &index, &Span::equal(&[]), false), None);
    build(&mut anew, &index);
    assert_eq!(all(&anew, &index), ["t1", "t2"]);
    // The list of them is gone, and what they listed is still there.
    let mut store = sound.clone();
    let change = (store::Table::Meta, b"indexes".to_vec(), Some(alloc::vec![255]));
    store.apply(&Commit::new(0, alloc::vec![change])).unwrap();
    let mut lost = engine(1, 3, 0, store);
    assert!(lost.check().is_err() && lost.indexes().is_empty());
    build(&mut lost, &index);
    assert_eq!(all(&lost, &index), ["t1", "t2"]);
    for bit in 0..places[1].len() * 8 {
        let mut place = places[1].clone();
        place[bit / 8] ^= 1 << (bit % 8);
        let wrong = damaged((place, Some(Vec::new())));
        assert!(wrong.check().is_err(), "bit {bit}");
        // Whoever reads it gets what is right, or an error.
        let mut keys = 0;
        let read = wrong.reader().scan_index(&index, &Span::equal(&[]), false, &mut |_, _| {
            keys += 1;
            ControlFlow::Continue(())
        });
        assert!(read.is_err() || keys == 2, "bit {bit}");
    }
}

/// A store that counts what is read of it.
#[derive(Clone)]
struct Counting(MemoryStore, alloc::rc::Rc<core::cell::Cell<u64>>);

impl Counting {
    fn count(&self) {
        self.1.set(self.1.get() + 1);
    }
}

impl Store for Counting {
    fn get(&self, table: store::Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.count();
        self.0.get(table, key)
    }

    fn scan(&self, table: store::Table, first: &[u8], visit: store::Visit<'_>) -> Result<(), StoreError> {
        self.0.scan(table, first, &mut |key, value| {
            self.count();
            visit(key, value)
        })
    }

    fn scan_back(&self, table: store::Table, end: &[u8], visit: store::Visit<'_>) -> Result<(), StoreError> {
        self.0.scan_back(table, end, &mut |key, value| {
            self.count();
            visit(key, value)
        })
    }
}

#[test]
fn the_first_fifty_cost_the_same_of_many_rows_as_of_few() {
    let reads = |rows: i64| {
        let store = Counting(MemoryStore::new(), alloc::rc::Rc::default());
        let counted = store.1.clone();
        let config = Config { push: Push::Streams, ..Config::new(SpaceId([7; 32])) };
        let mut engine = Engine::open(config, Box::new(Ed25519::from_seed([1; 32])), store, [1; 32]).unwrap();
        let map = LwwMapView::at("tasks").unwrap();
        let index = by(&["due"]);
        engine.build_index(&index).unwrap();
        for batch in 0..rows / 250 {
            let numbers = batch * 250..(batch + 1) * 250;
            let put = |n: i64, tx: &mut Transaction<'_, Counting>| {
                map.put(tx, alloc::format!("t{n}"), task("ada", n * 7919 % rows))
            };
            engine
                .write(NOW, |tx| -> Result<(), WriteError> { numbers.clone().try_for_each(|n| put(n, tx)) })
                .unwrap();
            while let Some(output) = engine.poll_output() {
                if let Output::Persist(commit) = output {
                    let result = engine.store_mut().0.apply(&commit);
                    engine.handle(NOW, Input::Persisted { commit: commit.id, result });
                }
            }
        }
        let (mut found, before) = (0, counted.get());
        let read = engine.reader().scan_index(&index, &Span::equal(&[]), true, &mut |_, entries| {
            found += entries.len();
            if found < 50 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!((read.unwrap(), found), (true, 50));
        counted.get() - before
    };
    let (few, many) = (reads(250), reads(5000));
    assert_eq!(few, many);
    assert!(many <= 101, "an entry of the index and a row for each, and not {many}");
}
