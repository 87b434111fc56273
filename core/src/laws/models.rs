//! What the updates of core's own views mean, in the plainest words that say it.
//!
//! Every model looks at a record of updates and at the updates that each had seen. None looks at rows.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::ControlFlow;

use quickcheck::{Arbitrary, Gen};

use super::{Lawful, Record, Write};
use crate::crdt::{
    FlagView, GCounterView, Keys, LwwMapView, LwwRegisterView, MvRegisterView, OrSetView, PnCounterView, View,
};
use crate::id::ReplicaId;
use crate::row::{Rows, WriteRows};
use crate::value::Value;

/// The path of the object that the updates of core's own views are about.
pub const PATH: &str = "under/test";
/// How many different keys and elements there are.
const KEYS: u8 = 3;
/// Reads and writes in memory fail only for keys that are too long.
const SHORT: &str = "the path and the keys are short";

/// The object under test.
fn tested<V: View>() -> V {
    V::at(PATH).expect(SHORT)
}

fn key(g: &mut Gen) -> u8 {
    u8::arbitrary(g) % KEYS
}

fn one_in(g: &mut Gen, n: u8) -> bool {
    u8::arbitrary(g) % n == 0
}

fn int(number: u8) -> Value {
    Value::Int(number.into())
}

/// An update of a [`GCounterView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GCounterUpdate {
    /// Adds a number.
    Add(u8),
    /// Removes what is seen.
    Clear,
}

impl Arbitrary for GCounterUpdate {
    fn arbitrary(g: &mut Gen) -> Self {
        if one_in(g, 7) { Self::Clear } else { Self::Add(1 + u8::arbitrary(g) % 5) }
    }
}

/// Each replica's running total, from its first update after a clear that it had seen. A clear takes a total away only if
/// it had seen the newest part of it.
impl Lawful for GCounterView {
    type Update = GCounterUpdate;
    type Read = u64;

    fn update<W: WriteRows>(rows: &mut W, update: &GCounterUpdate) -> Result<(), W::Error> {
        match update {
            GCounterUpdate::Add(n) => tested::<Self>().add(rows, (*n).into()),
            GCounterUpdate::Clear => tested::<Self>().clear(rows),
        }
    }

    fn read(rows: &Rows) -> u64 {
        tested::<Self>().value(rows).expect(SHORT)
    }

    fn expected(record: &Record<'_, GCounterUpdate>) -> u64 {
        let writers: BTreeSet<ReplicaId> = record.iter().map(|write| write.replica).collect();
        writers.into_iter().map(|writer| running_total(record, writer)).sum()
    }
}

fn running_total(record: &Record<'_, GCounterUpdate>, writer: ReplicaId) -> u64 {
    let own = record.iter().rev().filter(|write| write.replica == writer);
    let last = own.filter_map(|write| match write.update {
        GCounterUpdate::Add(n) => Some((write, u64::from(n))),
        GCounterUpdate::Clear => None,
    });
    match last.into_iter().next() {
        Some((write, n)) if !record.is_seen_by(write, |update| *update == GCounterUpdate::Clear) => {
            n + running_total(&record.before(write), writer)
        }
        _ => 0,
    }
}

/// An update of a [`PnCounterView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PnCounterUpdate {
    /// Adds a number.
    Add(i8),
    /// Takes away what is seen.
    Reset,
}

impl Arbitrary for PnCounterUpdate {
    fn arbitrary(g: &mut Gen) -> Self {
        if one_in(g, 4) { Self::Reset } else { Self::Add(i8::arbitrary(g) % 5) }
    }
}

/// The sum of the changes that no reset had seen.
impl Lawful for PnCounterView {
    type Update = PnCounterUpdate;
    type Read = i64;

    fn update<W: WriteRows>(rows: &mut W, update: &PnCounterUpdate) -> Result<(), W::Error> {
        match update {
            PnCounterUpdate::Add(n) => tested::<Self>().add(rows, (*n).into()),
            PnCounterUpdate::Reset => tested::<Self>().reset(rows),
        }
    }

    fn read(rows: &Rows) -> i64 {
        tested::<Self>().value(rows).expect(SHORT)
    }

    fn expected(record: &Record<'_, PnCounterUpdate>) -> i64 {
        let counting = record.iter().filter_map(|write| match write.update {
            PnCounterUpdate::Add(n) => Some((write, i64::from(n))),
            PnCounterUpdate::Reset => None,
        });
        let unseen = |write| !record.is_seen_by(write, |update| *update == PnCounterUpdate::Reset);
        counting.filter(|(write, _)| unseen(write)).map(|(_, n)| n).sum()
    }
}

/// An update of an [`OrSetView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetUpdate {
    /// Adds an element.
    Insert(u8),
    /// Removes an element.
    Remove(u8),
}

impl Arbitrary for SetUpdate {
    fn arbitrary(g: &mut Gen) -> Self {
        if one_in(g, 3) { Self::Remove(key(g)) } else { Self::Insert(key(g)) }
    }
}

/// The elements with an insertion that no removal had seen; twice, as visited and as asked for.
impl Lawful for OrSetView {
    type Update = SetUpdate;
    type Read = [Vec<Value>; 2];

    fn update<W: WriteRows>(rows: &mut W, update: &SetUpdate) -> Result<(), W::Error> {
        match update {
            SetUpdate::Insert(element) => tested::<Self>().insert(rows, int(*element)),
            SetUpdate::Remove(element) => tested::<Self>().remove(rows, int(*element)),
        }
    }

    fn read(rows: &Rows) -> Self::Read {
        let view: Self = tested();
        let mut visited = Vec::new();
        let all = view.visit(rows, &Keys::All, |element| {
            visited.push(element);
            ControlFlow::Continue(())
        });
        all.expect(SHORT);
        let there = |element: &Value| view.contains(rows, element.clone()).expect(SHORT);
        [visited, (0..KEYS).map(int).filter(there).collect()]
    }

    fn expected(record: &Record<'_, SetUpdate>) -> Self::Read {
        let there = |element: &u8| {
            let mut inserts = record.iter().filter(|write| write.update == SetUpdate::Insert(*element));
            inserts.any(|write| !record.is_seen_by(write, |update| *update == SetUpdate::Remove(*element)))
        };
        let elements: Vec<_> = (0..KEYS).filter(there).map(int).collect();
        [elements.clone(), elements]
    }

    fn about(update: &SetUpdate) -> Value {
        let (SetUpdate::Insert(element) | SetUpdate::Remove(element)) = update;
        int(*element)
    }
}

/// An update of a [`LwwMapView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapUpdate {
    /// Sets a key to a value.
    Put(u8, u8),
    /// Removes a key.
    Remove(u8),
}

impl Arbitrary for MapUpdate {
    fn arbitrary(g: &mut Gen) -> Self {
        if one_in(g, 3) { Self::Remove(key(g)) } else { Self::Put(key(g), u8::arbitrary(g)) }
    }
}

/// For each key the values that no later update of the key had seen, by rank; and the first of each, as visited.
impl Lawful for LwwMapView {
    type Update = MapUpdate;
    type Read = (BTreeMap<Value, Vec<Value>>, Vec<(Value, Value)>);

    fn update<W: WriteRows>(rows: &mut W, update: &MapUpdate) -> Result<(), W::Error> {
        match update {
            MapUpdate::Put(key, value) => tested::<Self>().put(rows, int(*key), int(*value)),
            MapUpdate::Remove(key) => tested::<Self>().remove(rows, int(*key)),
        }
    }

    fn read(rows: &Rows) -> Self::Read {
        let view: Self = tested();
        let mut visited = Vec::new();
        let all = view.visit(rows, &Keys::All, |key, value| {
            visited.push((key, value));
            ControlFlow::Continue(())
        });
        all.expect(SHORT);
        let values = (0..KEYS).filter_map(|key| {
            let newest = view.get(rows, int(key)).expect(SHORT)?;
            let rest = view.conflicts(rows, int(key)).expect(SHORT);
            Some((int(key), core::iter::once(newest).chain(rest).collect()))
        });
        (values.collect(), visited)
    }

    fn expected(record: &Record<'_, MapUpdate>) -> Self::Read {
        let values_of = |key: u8| {
            let put = |write: &Write<MapUpdate>| match write.update {
                MapUpdate::Put(k, value) if k == key => Some(value),
                _ => None,
            };
            values(record, put, |update| Self::about(update) == int(key))
        };
        let all = (0..KEYS).map(|key| (int(key), values_of(key)));
        let shown: BTreeMap<_, _> = all.filter(|(_, values)| !values.is_empty()).collect();
        let newest = shown.iter().map(|(key, values)| (key.clone(), values[0].clone())).collect();
        (shown, newest)
    }

    fn about(update: &MapUpdate) -> Value {
        let (MapUpdate::Put(key, _) | MapUpdate::Remove(key)) = update;
        int(*key)
    }
}

/// The values put by updates that no other update had seen of those that matter, the largest rank first.
fn values<U>(
    record: &Record<'_, U>,
    put: impl Fn(&Write<U>) -> Option<u8>,
    matters: impl Fn(&U) -> bool,
) -> Vec<Value> {
    let puts = record.iter().filter_map(|write| Some((write, put(write)?)));
    let mut unseen: Vec<_> = puts.filter(|(write, _)| !record.is_seen_by(write, &matters)).collect();
    unseen.sort_by_key(|(write, _)| Reverse(write.rank()));
    unseen.into_iter().map(|(_, value)| int(value)).collect()
}

/// An update of a [`LwwRegisterView`] or a [`MvRegisterView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterUpdate {
    /// Sets the value.
    Put(u8),
    /// Removes the value.
    Clear,
}

impl Arbitrary for RegisterUpdate {
    fn arbitrary(g: &mut Gen) -> Self {
        if one_in(g, 5) { Self::Clear } else { Self::Put(u8::arbitrary(g)) }
    }
}

fn register_values(record: &Record<'_, RegisterUpdate>) -> Vec<Value> {
    let put = |write: &Write<RegisterUpdate>| match write.update {
        RegisterUpdate::Put(value) => Some(value),
        RegisterUpdate::Clear => None,
    };
    values(record, put, |_| true)
}

/// The value of the largest rank among those that no other update had seen, and the other ones.
impl Lawful for LwwRegisterView {
    type Update = RegisterUpdate;
    type Read = (Option<Value>, Vec<Value>);

    fn update<W: WriteRows>(rows: &mut W, update: &RegisterUpdate) -> Result<(), W::Error> {
        match update {
            RegisterUpdate::Put(value) => tested::<Self>().put(rows, int(*value)),
            RegisterUpdate::Clear => tested::<Self>().clear(rows),
        }
    }

    fn read(rows: &Rows) -> Self::Read {
        let view: Self = tested();
        (view.get(rows).expect(SHORT), view.conflicts(rows).expect(SHORT))
    }

    fn expected(record: &Record<'_, RegisterUpdate>) -> Self::Read {
        let mut values = register_values(record).into_iter();
        (values.next(), values.collect())
    }
}

/// The values that no other update had seen, the largest rank first.
impl Lawful for MvRegisterView {
    type Update = RegisterUpdate;
    type Read = Vec<Value>;

    fn update<W: WriteRows>(rows: &mut W, update: &RegisterUpdate) -> Result<(), W::Error> {
        match update {
            RegisterUpdate::Put(value) => tested::<Self>().put(rows, int(*value)),
            RegisterUpdate::Clear => tested::<Self>().clear(rows),
        }
    }

    fn read(rows: &Rows) -> Vec<Value> {
        tested::<Self>().values(rows).expect(SHORT)
    }

    fn expected(record: &Record<'_, RegisterUpdate>) -> Vec<Value> {
        register_values(record)
    }
}

/// An update of a [`FlagView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagUpdate {
    /// Switches it on.
    Enable,
    /// Switches it off.
    Disable,
}

impl Arbitrary for FlagUpdate {
    fn arbitrary(g: &mut Gen) -> Self {
        if one_in(g, 2) { Self::Disable } else { Self::Enable }
    }
}

/// On if something switched it on that nothing which switches it off had seen.
impl Lawful for FlagView {
    type Update = FlagUpdate;
    type Read = bool;

    fn update<W: WriteRows>(rows: &mut W, update: &FlagUpdate) -> Result<(), W::Error> {
        match update {
            FlagUpdate::Enable => tested::<Self>().enable(rows),
            FlagUpdate::Disable => tested::<Self>().disable(rows),
        }
    }

    fn read(rows: &Rows) -> bool {
        tested::<Self>().is_enabled(rows).expect(SHORT)
    }

    fn expected(record: &Record<'_, FlagUpdate>) -> bool {
        let mut enabled = record.iter().filter(|write| write.update == FlagUpdate::Enable);
        enabled.any(|write| !record.is_seen_by(write, |update| *update == FlagUpdate::Disable))
    }
}
