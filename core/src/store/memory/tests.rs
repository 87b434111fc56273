//! However bytes are kept: they are those that were put.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;
use crate::clock::Timestamp;
use crate::id::ReplicaId;
use crate::row::{Entry, Kind, Object, Payload, RowKey};

type Model = [BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()];

fn row_key(row: u8) -> RowKey {
    Object::new(Kind::OR_SET, "s").unwrap().row(&[row]).unwrap()
}

fn entry(row: u8, replica: u8, seq: u64, say: u8) -> Entry {
    // The last replica has all its bits set: its dots end the table.
    let replica = if replica % 4 == 3 { u128::MAX } else { u128::from(replica % 4) << 64 };
    let dot = Dot::new(ReplicaId::from_u128(replica), seq);
    Entry::new(&row_key(row), dot, Timestamp(u64::from(say)), Payload::new(vec![say; 3]).unwrap())
}

/// What happens to a store.
#[derive(Clone, Debug)]
enum Act {
    Row { row: u8, entries: Vec<(u8, u64, u8)> },
    Dot { row: u8, replica: u8, seq: u64, say: u8 },
    Bytes { table: u8, key: Vec<u8>, value: Option<Vec<u8>> },
    RemoveRow(u8),
    RemoveDot(u8, u64),
}

/// Few seqs, and some far apart.
fn seq(g: &mut Gen) -> u64 {
    let near = u64::from(u8::arbitrary(g) % 6);
    *g.choose(&[near, near, near, near, near + 65_534, near + (1 << 40), u64::MAX - near]).unwrap()
}

impl Arbitrary for Act {
    fn arbitrary(g: &mut Gen) -> Self {
        let row = u8::arbitrary(g) % 6;
        match u8::arbitrary(g) % 8 {
            0..3 => {
                let count = u8::arbitrary(g) % 3;
                let one = |g: &mut Gen| (u8::arbitrary(g), seq(g), u8::arbitrary(g) % 3);
                Self::Row { row, entries: (0..count).map(|_| one(g)).collect() }
            }
            3 | 4 => Self::Dot { row, replica: u8::arbitrary(g), seq: seq(g), say: u8::arbitrary(g) % 3 },
            5 => {
                let key = match u8::arbitrary(g) % 3 {
                    0 => row_key(row).as_bytes().to_vec(),
                    1 => entry(0, u8::arbitrary(g), seq(g), 0).dot.to_bytes().to_vec(),
                    _ => Vec::arbitrary(g).into_iter().take(26).collect(),
                };
                Self::Bytes { table: u8::arbitrary(g), key, value: Option::arbitrary(g) }
            }
            6 => Self::RemoveRow(row),
            _ => Self::RemoveDot(u8::arbitrary(g), seq(g)),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(core::iter::empty())
    }
}

fn change(act: &Act) -> Change {
    match act {
        Act::Row { row, entries } => {
            let entries: Vec<Entry> =
                entries.iter().map(|(replica, seq, say)| entry(*row, *replica, *seq, *say)).collect();
            (Table::Rows, row_key(*row).as_bytes().to_vec(), Some(Entry::encode_row(&entries)))
        }
        Act::Dot { row, replica, seq, say } => {
            let entry = entry(*row, *replica, *seq, *say);
            let value = dot_value(&entry.hash, row_key(*row).as_bytes());
            (Table::Dots, entry.dot.to_bytes().to_vec(), Some(value))
        }
        Act::Bytes { table, key, value } => {
            (Table::ALL[usize::from(*table) % Table::ALL.len()], key.clone(), value.clone())
        }
        Act::RemoveRow(row) => (Table::Rows, row_key(*row).as_bytes().to_vec(), None),
        Act::RemoveDot(replica, seq) => {
            (Table::Dots, entry(0, *replica, *seq, 0).dot.to_bytes().to_vec(), None)
        }
    }
}

fn seen(store: &MemoryStore, table: Table, key: &[u8], back: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        all.push((key.to_vec(), value.to_vec()));
        if all.len() < 7 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    if back { store.scan_back(table, key, &mut visit) } else { store.scan(table, key, &mut visit) }.unwrap();
    all
}

/// Whether all reads around a key say what plain maps say.
fn alike(store: &MemoryStore, model: &Model, key: &[u8]) -> bool {
    let longer = [key, &[0]].concat();
    let keys = [key, &key[..key.len() / 2], &longer, &[], &[255; 30]];
    Table::ALL.into_iter().all(|table| {
        let map = &model[table as usize];
        keys.iter().all(|key| {
            let from = map.range(key.to_vec()..).take(7).map(|(key, value)| (key.clone(), value.clone()));
            let below =
                map.range(..key.to_vec()).rev().take(7).map(|(key, value)| (key.clone(), value.clone()));
            store.get(table, key).unwrap() == map.get(*key).cloned()
                && from.eq(seen(store, table, key, false))
                && below.eq(seen(store, table, key, true))
        })
    })
}

fn apply_to(model: &mut Model, (table, key, value): Change) {
    match value {
        Some(value) => model[table as usize].insert(key, value),
        None => model[table as usize].remove(&key),
    };
}

quickcheck! {
    fn it_is_sorted_maps_of_bytes(commits: Vec<Vec<Act>>) -> bool {
        let (mut store, mut model) = (MemoryStore::new(), Model::default());
        commits.into_iter().all(|acts| {
            // Each key occurs once in a commit.
            let changes: BTreeMap<_, _> = acts.iter().map(change).map(|(t, k, v)| ((t, k), v)).collect();
            let changes: Vec<Change> = changes.into_iter().map(|((t, k), v)| (t, k, v)).collect();
            store.apply(&Commit::new(0, changes.clone())).unwrap();
            changes.into_iter().all(|change| {
                let key = change.1.clone();
                apply_to(&mut model, change);
                key.len() < 1000
            }) && acts.iter().map(change).all(|(_, key, _)| alike(&store, &model, &key))
        })
    }

    fn a_transaction_that_is_undone_leaves_what_was_there(before: Vec<Act>, after: Vec<Act>) -> bool {
        let mut store = MemoryStore::new();
        before.iter().map(change).for_each(|(table, key, value)| {
            store.change(table, &key, value.as_deref());
        });
        let image = store.clone();
        let mut undoing = Undoing { store: &mut store, before: Vec::new() };
        after.iter().map(change).for_each(|(table, key, value)| {
            undoing.change(table, &key, value.as_deref()).unwrap();
        });
        undoing.undo();
        store == image
    }
}

#[test]
fn many_rows_in_any_order_are_found_and_few_bytes_are_plain() {
    for step in [1_u32, 7919, 9999] {
        let (mut store, mut model) = (MemoryStore::new(), Model::default());
        let numbers = (0..10_000_u32).map(|at| at * step % 10_000);
        let changes = |number: u32, gone: bool| {
            let key = Object::new(Kind::LWW_MAP, "m").unwrap().row(&number.to_be_bytes()).unwrap();
            let dot = Dot::new(ReplicaId::from_u128(1), u64::from(number * step % 10_000 + 1));
            let entry = Entry::new(&key, dot, Timestamp(5), Payload::new(vec![7]).unwrap());
            let value = |value| Some(value).filter(|_| !gone);
            let dot = (Table::Dots, dot.to_bytes().to_vec(), value(dot_value(&entry.hash, key.as_bytes())));
            [(Table::Rows, key.as_bytes().to_vec(), value(Entry::encode_row(&[entry]))), dot]
        };
        for number in numbers.clone() {
            store.apply(&Commit::new(0, changes(number, false).into())).unwrap();
            changes(number, false).into_iter().for_each(|change| apply_to(&mut model, change));
        }
        for number in numbers.take(5000) {
            store.apply(&Commit::new(0, changes(number, true).into())).unwrap();
            changes(number, true).into_iter().for_each(|change| apply_to(&mut model, change));
        }
        for table in [Table::Rows, Table::Dots] {
            assert!(store.listed(table).into_iter().eq(model[table as usize].clone()), "step {step}");
            assert!(store.plain[table as usize].is_empty(), "step {step}");
        }
    }
}
