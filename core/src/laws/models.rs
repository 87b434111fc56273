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
    FlagView, GCounterView, Keys, ListView, LogView, LwwMapView, LwwRegisterView, MvRegisterView, OnceKey,
    OrSetView, Place, PnCounterView, View,
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
pub(super) fn tested<V: View>() -> V {
    V::at(PATH).expect(SHORT)
}

pub(super) fn key(g: &mut Gen) -> u8 {
    u8::arbitrary(g) % KEYS
}

pub(super) fn one_in(g: &mut Gen, n: u8) -> bool {
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
    /// Adds the second number, which is not 0, under a key.
    AddOnce(u8, i8),
    /// Takes away what is seen.
    Reset,
}

impl Arbitrary for PnCounterUpdate {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 8 {
            0 | 1 => Self::Reset,
            2..5 => Self::AddOnce(key(g), 1 + i8::arbitrary(g).rem_euclid(100)),
            _ => Self::Add(i8::arbitrary(g) % 5),
        }
    }
}

/// The sum of the changes that no reset had seen. Of those under one key the newest counts that had seen no other, and none
/// of them if a reset had seen any.
impl Lawful for PnCounterView {
    type Update = PnCounterUpdate;
    type Read = i64;

    fn update<W: WriteRows>(rows: &mut W, update: &PnCounterUpdate) -> Result<(), W::Error> {
        match update {
            PnCounterUpdate::Add(n) => tested::<Self>().add(rows, (*n).into()),
            PnCounterUpdate::AddOnce(key, n) => {
                tested::<Self>().add_once(rows, &once(*key), (*n).into()).map(drop)
            }
            PnCounterUpdate::Reset => tested::<Self>().reset(rows),
        }
    }

    fn read(rows: &Rows) -> i64 {
        tested::<Self>().value(rows).expect(SHORT)
    }

    fn expected(record: &Record<'_, PnCounterUpdate>) -> i64 {
        let counting = record.iter().filter_map(|write| match write.update {
            PnCounterUpdate::Add(n) => Some((write, i64::from(n))),
            PnCounterUpdate::AddOnce(..) | PnCounterUpdate::Reset => None,
        });
        let unseen = |write| !record.is_seen_by(write, |update| *update == PnCounterUpdate::Reset);
        let plain: i64 = counting.filter(|(write, _)| unseen(write)).map(|(_, n)| n).sum();
        plain + (0..KEYS).map(|key| counted_once(record, key)).sum::<i64>()
    }
}

fn once(key: u8) -> OnceKey {
    OnceKey::new(if key == 0 { "one" } else { "another" }).act(key.into())
}

fn counted_once(record: &Record<'_, PnCounterUpdate>, key: u8) -> i64 {
    let tries = record.iter().filter_map(|write| match write.update {
        PnCounterUpdate::AddOnce(other, n) if other == key => Some((write, i64::from(n))),
        _ => None,
    });
    let tries: Vec<_> = tries.collect();
    let is_reset = |write| record.is_seen_by(write, |update| *update == PnCounterUpdate::Reset);
    if tries.iter().any(|(write, _)| is_reset(write)) {
        return 0;
    }
    let is_first = |write: &Write<_>| !tries.iter().any(|(other, _)| write.seen.contains(&other.id));
    let first = tries.iter().filter(|(write, _)| is_first(write));
    first.max_by_key(|(write, _)| write.rank()).map_or(0, |(_, n)| *n)
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

/// An update of a [`LogView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogUpdate {
    /// Adds an entry.
    Append(u8),
    /// Removes all entries that are seen.
    Trim,
}

impl Arbitrary for LogUpdate {
    fn arbitrary(g: &mut Gen) -> Self {
        if one_in(g, 5) { Self::Trim } else { Self::Append(u8::arbitrary(g)) }
    }
}

/// The entries that no trim had seen, by rank: forwards, and backwards.
impl Lawful for LogView {
    type Update = LogUpdate;
    type Read = [Vec<Value>; 2];

    fn update<W: WriteRows>(rows: &mut W, update: &LogUpdate) -> Result<(), W::Error> {
        match update {
            LogUpdate::Append(value) => tested::<Self>().append(rows, int(*value)).map(drop),
            LogUpdate::Trim => tested::<Self>().trim(rows, &Place::END, usize::MAX).map(drop),
        }
    }

    fn read(rows: &Rows) -> Self::Read {
        let view: Self = tested();
        let (mut forwards, mut backwards) = (Vec::new(), Vec::new());
        let read = view.visit(rows, None, |entry| {
            forwards.push(entry.value);
            ControlFlow::Continue(())
        });
        let back = view.visit_back(rows, None, |entry| {
            backwards.push(entry.value);
            ControlFlow::Continue(())
        });
        read.and(back).expect(SHORT);
        [forwards, backwards]
    }

    fn expected(record: &Record<'_, LogUpdate>) -> Self::Read {
        let appended = record.iter().filter_map(|write| match write.update {
            LogUpdate::Append(value) => Some((write, int(value))),
            LogUpdate::Trim => None,
        });
        let unseen = |write| !record.is_seen_by(write, |update| *update == LogUpdate::Trim);
        let mut entries: Vec<_> = appended.filter(|(write, _)| unseen(write)).collect();
        entries.sort_by_key(|(write, _)| write.rank());
        let forwards: Vec<Value> = entries.into_iter().map(|(_, value)| value).collect();
        let backwards = forwards.iter().rev().cloned().collect();
        [forwards, backwards]
    }
}

/// An update of a [`ListView`]. Items are known by what they show, so that the model needs no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListUpdate {
    /// Inserts an item that shows the second number; the first one says where.
    Insert(u8, u8),
    /// All that show the first number show the second one.
    Set(u8, u8),
    /// Moves all that show a number; the second one says where to.
    Move(u8, u8),
    /// Removes all that show a number.
    Remove(u8),
}

impl Arbitrary for ListUpdate {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 7 {
            0..3 => Self::Insert(u8::arbitrary(g), key(g)),
            3 | 4 => Self::Set(key(g), key(g)),
            5 => Self::Move(key(g), u8::arbitrary(g)),
            _ => Self::Remove(key(g)),
        }
    }
}

/// What the items show, sorted: those of which an insertion or an edit was seen by no later edit or removal of the item,
/// with the newest such value. That they are in the right order is tested beside the view.
impl Lawful for ListView {
    type Update = ListUpdate;
    type Read = Vec<Value>;

    fn update<W: WriteRows>(rows: &mut W, update: &ListUpdate) -> Result<(), W::Error> {
        let view: Self = tested();
        let items = view.items(rows)?;
        let showing = |shown: u8| items.iter().filter(move |item| item.value == int(shown));
        match *update {
            ListUpdate::Insert(at, shown) => {
                view.insert(rows, usize::from(at) % (items.len() + 1), int(shown)).map(drop)
            }
            ListUpdate::Set(from, to) => showing(from).try_for_each(|item| view.set(rows, item.id, int(to))),
            ListUpdate::Move(shown, to) => {
                showing(shown).try_for_each(|item| view.move_to(rows, item.id, usize::from(to) % items.len()))
            }
            ListUpdate::Remove(shown) => showing(shown).try_for_each(|item| view.remove(rows, item.id)),
        }
    }

    fn read(rows: &Rows) -> Vec<Value> {
        let items = tested::<Self>().items(rows).expect(SHORT);
        let mut values: Vec<Value> = items.into_iter().map(|item| item.value).collect();
        values.sort();
        values
    }

    fn expected(record: &Record<'_, ListUpdate>) -> Vec<Value> {
        let mut aims = BTreeMap::new();
        for write in record.iter() {
            let shown = shown_items(&record.before(write), &aims);
            let aim = match write.update {
                ListUpdate::Insert(..) => BTreeSet::from([write.id]),
                ListUpdate::Set(from, _) | ListUpdate::Move(from, _) | ListUpdate::Remove(from) => {
                    shown.into_iter().filter(|(_, value)| *value == from).map(|(item, _)| item).collect()
                }
            };
            aims.insert(write.id, aim);
        }
        let mut values: Vec<Value> = shown_items(record, &aims).into_values().map(int).collect();
        values.sort();
        values
    }
}

/// The items that a record leaves, by the update that inserted them, and what they show. `aims` are the items that each
/// update was about.
fn shown_items(
    record: &Record<'_, ListUpdate>,
    aims: &BTreeMap<usize, BTreeSet<usize>>,
) -> BTreeMap<usize, u8> {
    let inserts = record.iter().filter(|write| matches!(write.update, ListUpdate::Insert(..)));
    let newest = |item: usize| {
        let about = |write: &Write<ListUpdate>| aims[&write.id].contains(&item);
        let writes_value =
            |write: &&Write<ListUpdate>| about(write) && !matches!(write.update, ListUpdate::Move(..));
        let values: Vec<_> = record.iter().filter(writes_value).collect();
        let unseen = values.iter().filter(|write| !values.iter().any(|later| later.seen.contains(&write.id)));
        let shown = unseen.filter_map(|write| match write.update {
            ListUpdate::Insert(_, shown) | ListUpdate::Set(_, shown) => Some((write.rank(), shown)),
            _ => None,
        });
        shown.max().map(|(_, shown)| (item, shown))
    };
    inserts.filter_map(|write| newest(write.id)).collect()
}
