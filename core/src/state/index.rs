//! Secondary indexes: rows of a map in the order of what their values hold.
//!
//! Problem: "the fifty tasks that are due next" must not read a million rows, and an index that is not in step with the rows
//! gives answers that never were. A replica cannot rebuild one at each merge.
//!
//! Idea: an index is rows of its own in a table of its own, changed by whoever changes a row, in the same layer of memory and
//! so in the same commit: by own transactions, deltas, and the merge of a bulk alike, since all of them put rows through the
//! overlay of memory. It is nobody's state: neither in the root nor synced, nor in a backup, and each device has those that its apps
//! asked for.
//!
//! Where concurrent writes left several entries in a row, the newest counts, as for readers. A value that has no such field
//! counts as `Null`, so an index holds every row of its object.
//!
//! An index on rows that are there already is built in steps, a commit each, in key order; a row that lies behind the place
//! reached is entered when that comes by. So everything goes on meanwhile, and a crash loses one step.
//!
//! One index is everybody's: when rows [expire](crate::row::expiry()).
//!
//! | key | value |
//! |---|---|
//! | number of the index, 4 bytes big endian, then its fields as in [`encode_order`], then the element of the row | nothing |
//! | the same number, then milliseconds since 1970, 8 bytes big endian, then the row: for what expires | nothing |

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::{CodecError, KeyError};
use crate::id::{domain, hash};
use crate::row::expiry::MARK;
use crate::row::{Entry, Kind, Object, RowKey, VisitRows, expiry};
use crate::state::head::meta_key;
use crate::state::overlay::damaged;
use crate::state::{Overlay, Space};
use crate::store::{Store, StoreError, Table};
use crate::value::{Span, Value, encode_order, field, order_length};

/// Rows that one step of building or dropping an index takes.
const STEP: usize = 2048;

/// What an index is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSpec {
    kind: u8,
    path: String,
    fields: Vec<String>,
}

impl IndexSpec {
    /// Of all objects of a space, by when their rows expire: every store has it. No object is at an empty path.
    pub(crate) const fn expiry() -> Self {
        Self { kind: 0, path: String::new(), fields: Vec::new() }
    }

    const fn is_expiry(&self) -> bool {
        self.path.is_empty()
    }

    /// An index of the object at `path` by fields of its values: names of nested maps joined by `/`, or an empty text for
    /// the value itself.
    ///
    /// # Errors
    /// No object can be there.
    pub fn new(kind: Kind, path: &str, fields: &[&str]) -> Result<Self, KeyError> {
        Object::new(kind, path)?;
        let fields = fields.iter().map(ToString::to_string).collect();
        Ok(Self { kind: kind.0, path: path.to_string(), fields })
    }
}

/// How far an index is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reach {
    /// Rows up to this key are in it.
    UpTo(Vec<u8>),
    All,
    /// Its entries are being dropped.
    Dropped,
}

/// An index as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    number: u32,
    spec: IndexSpec,
    reach: Reach,
}

/// All of a space, as overlays share them.
pub(super) type Indexes = Arc<[Index]>;

impl IndexSpec {
    /// Where a row with this value stands among the others, as bytes that a [`Span`] can begin or end with.
    pub fn place(&self, value: &Value, element: &[u8]) -> Vec<u8> {
        let fields = self.fields.iter();
        let values = fields.map(|path| if path.is_empty() { value } else { field(value, path) });
        let mut place = encode_order(values);
        place.extend(element);
        place
    }
}

impl Index {
    /// Of a store without rows.
    fn first() -> Self {
        Self { number: 0, spec: IndexSpec::expiry(), reach: Reach::All }
    }

    fn object(&self) -> Option<Object> {
        Object::new(Kind(self.spec.kind), &self.spec.path).ok()
    }

    /// What the keys of its rows begin with.
    fn prefix(&self) -> Option<Vec<u8>> {
        if self.spec.is_expiry() {
            return Some(Vec::new());
        }
        self.object().map(|object| object.prefix().to_vec())
    }

    /// Whether changes of a row are entered by whoever makes them.
    fn covers(&self, key: &RowKey) -> bool {
        let reached = match &self.reach {
            Reach::All => true,
            Reach::UpTo(last) => key.as_bytes() <= last.as_slice(),
            Reach::Dropped => false,
        };
        let is_of = || key.kind().0 == self.spec.kind && key.path() == self.spec.path;
        reached && (self.spec.is_expiry() || is_of())
    }

    /// Where a row with these entries is listed: once for each time at which one of them expires, or once by what it holds.
    fn places(&self, key: &RowKey, entries: &[Entry]) -> BTreeSet<Vec<u8>> {
        if self.spec.is_expiry() {
            let times = entries.iter().filter_map(|entry| expiry(key.kind(), &entry.payload));
            return times
                .map(|at| [&begins(self.number), &at.to_be_bytes()[..], key.as_bytes()].concat())
                .collect();
        }
        self.place(key, entries).into_iter().collect()
    }

    fn place(&self, key: &RowKey, entries: &[Entry]) -> Option<Vec<u8>> {
        let newest = entries.iter().max_by_key(|entry| entry.rank())?;
        // What is no value is listed all the same, among those that have nothing.
        let value = Value::decode(newest.payload.value()).unwrap_or(Value::Null);
        let mut place = begins(self.number).to_vec();
        place.extend(self.spec.place(&value, key.element()));
        Some(place)
    }

    /// The row that is listed at a place.
    fn row(&self, object: &Object, place: &[u8]) -> Option<RowKey> {
        let fields = place.get(4..)?;
        let element = fields.get(order_length(fields, self.spec.fields.len())?..)?;
        object.row(element).ok()
    }
}

fn read(bytes: Option<Vec<u8>>) -> Result<Indexes, StoreError> {
    let indexes: Option<Vec<Index>> =
        bytes.map(|bytes| codec::decode(&bytes).map_err(damaged)).transpose()?;
    Ok(indexes.unwrap_or_default().into())
}

/// How the entries of an index begin.
const fn begins(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

impl<S: Store> Overlay<S> {
    /// Reads which indexes there are, as memory has them.
    pub(super) fn read_indexes(&mut self) -> Result<(), StoreError> {
        let kept = self.get(Table::Meta, meta_key::INDEXES)?;
        self.expiries += 1;
        self.indexes = if kept.is_none() && self.get(Table::Meta, meta_key::FORMAT)?.is_none() {
            Arc::new([Index::first()])
        } else {
            // They say nothing of rows: a list that does not read back is none, and is found by whoever checks.
            read(kept).unwrap_or_default()
        };
        Ok(())
    }

    /// Writes which there are with the commit being gathered, the first of a store.
    pub(super) fn begin_indexes(&mut self) {
        self.set_indexes(self.indexes.to_vec());
    }

    /// How the places of what expires begin, once all of that is listed.
    pub(super) fn expiry_index(&self) -> Option<[u8; 4]> {
        let mut indexes = self.indexes.iter();
        let index = indexes.find(|index| index.spec.is_expiry() && index.reach == Reach::All)?;
        Some(begins(index.number))
    }

    /// Whether an index may list a row that holds these.
    pub(super) fn lists(&self, entries: &[Entry]) -> bool {
        self.indexes.iter().any(|index| !index.spec.is_expiry())
            || entries.iter().any(|entry| entry.payload.first() == Some(&MARK))
    }

    fn set_indexes(&mut self, indexes: Vec<Index>) {
        let key = meta_key::INDEXES.to_vec();
        self.change(Table::Meta, key, (!indexes.is_empty()).then(|| codec::encode(&indexes)));
        self.indexes = indexes.into();
    }

    /// Enters what becomes of a row.
    pub(super) fn enter(&mut self, key: &RowKey, before: &[Entry], after: &[Entry]) {
        let indexes = Arc::clone(&self.indexes);
        for index in indexes.iter().filter(|index| index.covers(key)) {
            let (old, new) = (index.places(key, before), index.places(key, after));
            old.difference(&new).for_each(|place| self.delete(Table::Index, place.clone()));
            new.difference(&old).for_each(|place| self.put(Table::Index, place.clone(), Vec::new()));
            self.expiries += u64::from(index.spec.is_expiry() && old != new);
        }
    }

    fn has_places(&self, number: u32) -> Result<bool, StoreError> {
        let (begin, mut found) = (begins(number), false);
        self.scan(Table::Index, &begin, &mut |place, _| {
            found = place.starts_with(&begin);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    fn index(&self, spec: &IndexSpec) -> Option<(usize, &Index)> {
        let mut indexes = self.indexes.iter().enumerate();
        indexes.find(|(_, index)| index.spec == *spec && index.reach != Reach::Dropped)
    }

    /// Visits rows in the order of an index, the other way round if `back`, until the visitor breaks. `false` when there is
    /// no such index, or not yet.
    pub(super) fn scan_index(
        &self,
        spec: &IndexSpec,
        span: &Span,
        back: bool,
        visit: VisitRows<'_>,
    ) -> Result<bool, StoreError> {
        let Some((_, index)) = self.index(spec).filter(|(_, index)| index.reach == Reach::All) else {
            return Ok(false);
        };
        let Some(object) = index.object() else { return Ok(false) };
        let number = begins(index.number);
        let first = [&number, span.first.as_slice()].concat();
        let beyond = || {
            index.number.checked_add(1).map_or(alloc::vec![u8::MAX; 5], |next| next.to_be_bytes().to_vec())
        };
        let end = span.end.as_ref().map_or_else(beyond, |end| [&number, end.as_slice()].concat());
        let mut failed = None;
        let mut show = |place: &[u8]| match self.listed(index, &object, place) {
            Ok((key, entries)) => visit(&key, &entries),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        };
        if back {
            self.scan_back(Table::Index, &end, &mut |place, _| {
                if place < first.as_slice() { ControlFlow::Break(()) } else { show(place) }
            })?;
        } else {
            self.scan(Table::Index, &first, &mut |place, _| {
                if place >= end.as_slice() { ControlFlow::Break(()) } else { show(place) }
            })?;
        }
        failed.map_or(Ok(true), Err)
    }

    /// The row at a place, if it belongs there.
    fn listed(
        &self,
        index: &Index,
        object: &Object,
        place: &[u8],
    ) -> Result<(RowKey, Vec<Entry>), StoreError> {
        let key = index.row(object, place).ok_or_else(|| damaged(CodecError::Malformed))?;
        let entries = self.row(&key)?;
        if index.place(&key, &entries).as_deref() != Some(place) {
            return Err(StoreError::Damaged(format!("an index lists {key:?} where it does not belong")));
        }
        Ok((key, entries))
    }
}

impl<S: Store> Space<S> {
    /// Goes one step towards having an index; whether it is there, in memory.
    pub(crate) fn build_index(&mut self, spec: &IndexSpec) -> Result<bool, StoreError> {
        if let Some(at) = self.overlay.indexes.iter().position(|index| index.reach == Reach::Dropped) {
            self.drop_step(at)?;
            return Ok(false);
        }
        let mut indexes = self.overlay.indexes.to_vec();
        let at = match self.overlay.index(spec) {
            Some((_, index)) if index.reach == Reach::All => return Ok(true),
            Some((at, _)) => at,
            None => {
                let free = |number: &u32| indexes.iter().all(|index| index.number != *number);
                let number = (0..u32::MAX).find(free).unwrap_or(u32::MAX);
                // What a list that was lost has left behind goes first.
                let is_free = !self.overlay.has_places(number)?;
                let reach = if is_free { Reach::UpTo(Vec::new()) } else { Reach::Dropped };
                indexes.push(Index { number, spec: spec.clone(), reach });
                if !is_free {
                    self.overlay.set_indexes(indexes);
                    return Ok(false);
                }
                indexes.len() - 1
            }
        };
        let index = &indexes[at];
        let Some(prefix) = index.prefix() else { return Ok(false) };
        let from = match &index.reach {
            Reach::UpTo(last) if !last.is_empty() => [last.as_slice(), &[0]].concat(),
            _ => prefix.clone(),
        };
        let (mut places, mut rows, mut last) = (Vec::new(), 0, None);
        self.overlay.scan_rows(&prefix, &from, &mut |key, entries| {
            places.extend(index.places(key, entries));
            rows += 1;
            last = Some(key.as_bytes().to_vec());
            if rows < STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let is_all = rows < STEP;
        places.into_iter().for_each(|place| self.overlay.put(Table::Index, place, Vec::new()));
        indexes[at].reach = last.filter(|_| !is_all).map_or(Reach::All, Reach::UpTo);
        self.overlay.set_indexes(indexes);
        self.overlay.expiries += 1;
        Ok(is_all)
    }

    /// Goes one step towards not having an index; whether nothing of it is left, in memory.
    pub(crate) fn drop_index(&mut self, spec: &IndexSpec) -> Result<bool, StoreError> {
        if let Some(at) = self.overlay.indexes.iter().position(|index| index.spec == *spec) {
            self.drop_step(at)?;
        }
        Ok(!self.overlay.indexes.iter().any(|index| index.spec == *spec))
    }

    fn drop_step(&mut self, at: usize) -> Result<(), StoreError> {
        let mut indexes = self.overlay.indexes.to_vec();
        let number = begins(indexes[at].number);
        let mut places = Vec::new();
        self.overlay.scan(Table::Index, &number, &mut |place, _| {
            if !place.starts_with(&number) || places.len() == STEP {
                return ControlFlow::Break(());
            }
            places.push(place.to_vec());
            ControlFlow::Continue(())
        })?;
        if places.len() < STEP {
            indexes.remove(at);
        } else {
            indexes[at].reach = Reach::Dropped;
        }
        places.into_iter().for_each(|place| self.overlay.delete(Table::Index, place));
        self.overlay.set_indexes(indexes);
        Ok(())
    }

    /// Uses no index any more. What is left of them goes when one is built or dropped.
    pub(crate) fn give_up_indexes(&mut self) {
        let mut indexes = self.overlay.indexes.to_vec();
        indexes.iter_mut().for_each(|index| index.reach = Reach::Dropped);
        self.overlay.set_indexes(indexes);
    }

    /// Which indexes are there, as memory has them.
    pub(crate) fn indexes(&self) -> Vec<IndexSpec> {
        let there = self.overlay.indexes.iter().filter(|index| index.reach != Reach::Dropped);
        there.filter(|index| !index.spec.is_expiry()).map(|index| index.spec.clone()).collect()
    }
}

/// Whether the indexes of a store list its rows and nothing else; a contradiction in words. Compares sums, as
/// [`crate::state::Moment`] does for rows and dots.
pub(super) fn check<S: Store>(store: &S) -> Result<(), String> {
    let words = |error: StoreError| format!("the indexes: {error}");
    let indexes = read(store.get(Table::Meta, meta_key::INDEXES).map_err(words)?).map_err(words)?;
    let sum_of = |place: &[u8]| u128::from_le_bytes(crate::id::cut(&hash(domain::IMAGE, &[place])));
    let mut kept: alloc::collections::BTreeMap<[u8; 4], u128> = alloc::collections::BTreeMap::new();
    let listed = store.scan(Table::Index, &[], &mut |place, _| {
        let sum = kept.entry(place.first_chunk().copied().unwrap_or_default()).or_default();
        *sum = sum.wrapping_add(sum_of(place));
        ControlFlow::Continue(())
    });
    listed.map_err(words)?;
    for index in indexes.iter().filter(|index| index.reach != Reach::Dropped) {
        let Some(prefix) = index.prefix() else { return Err("an index names no object".into()) };
        let (mut sum, mut failed) = (0_u128, None);
        let rows = store.scan(Table::Rows, &prefix, &mut |key, value| {
            if !key.starts_with(&prefix) {
                return ControlFlow::Break(());
            }
            match super::overlay::decode_row(key, value) {
                Ok((key, entries)) if index.covers(&key) => {
                    let places = index.places(&key, &entries);
                    sum = places.iter().fold(sum, |sum, place| sum.wrapping_add(sum_of(place)));
                }
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        rows.map_err(words)?;
        failed.map_or(Ok(()), |error| Err(words(error)))?;
        if kept.remove(&begins(index.number)).unwrap_or(0) != sum {
            let IndexSpec { path, fields, .. } = &index.spec;
            return Err(match index.spec.is_expiry() {
                true => "the list of what expires is not that of its rows".into(),
                false => format!("the index of {path} by {fields:?} does not list what its rows hold"),
            });
        }
    }
    let dropped = |number: &[u8; 4]| {
        let mut dropped = indexes.iter().filter(|index| index.reach == Reach::Dropped);
        dropped.any(|index| begins(index.number) == *number)
    };
    match kept.keys().find(|number| !dropped(number)) {
        Some(_) => Err("there are entries of an index that is not there".into()),
        None => Ok(()),
    }
}
