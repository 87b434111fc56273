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
//! | key | value |
//! |---|---|
//! | number of the index, 4 bytes big endian, then its fields as in [`encode_order`], then the element of the row | nothing |

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::{CodecError, KeyError};
use crate::id::{domain, hash};
use crate::row::{Entry, Kind, Object, RowKey, VisitRows};
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
    fn object(&self) -> Option<Object> {
        Object::new(Kind(self.spec.kind), &self.spec.path).ok()
    }

    /// Whether changes of a row are entered by whoever makes them.
    fn covers(&self, key: &RowKey) -> bool {
        let reached = match &self.reach {
            Reach::All => true,
            Reach::UpTo(last) => key.as_bytes() <= last.as_slice(),
            Reach::Dropped => false,
        };
        reached && key.kind().0 == self.spec.kind && key.path() == self.spec.path
    }

    /// Where a row with these entries is listed, if it is there.
    fn place(&self, key: &RowKey, entries: &[Entry]) -> Option<Vec<u8>> {
        let newest = entries.iter().max_by_key(|entry| entry.rank())?;
        // What is no value is listed all the same, among those that have nothing.
        let value = Value::decode(&newest.payload).unwrap_or(Value::Null);
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
        // They say nothing of rows: a list that does not read back is none, and is found by whoever checks.
        self.indexes = read(self.get(Table::Meta, meta_key::INDEXES)?).unwrap_or_default();
        Ok(())
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
            let (old, new) = (index.place(key, before), index.place(key, after));
            if old == new {
                continue;
            }
            if let Some(old) = old {
                self.delete(Table::Index, old);
            }
            if let Some(new) = new {
                self.put(Table::Index, new, Vec::new());
            }
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
        let Some(object) = index.object() else { return Ok(false) };
        let from = match &index.reach {
            Reach::UpTo(last) if !last.is_empty() => [last.as_slice(), &[0]].concat(),
            _ => object.prefix().to_vec(),
        };
        let (mut places, mut last) = (Vec::new(), None);
        self.overlay.scan_rows(object.prefix(), &from, &mut |key, entries| {
            places.extend(index.place(key, entries));
            last = Some(key.as_bytes().to_vec());
            if places.len() < STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let is_all = places.len() < STEP;
        places.into_iter().for_each(|place| self.overlay.put(Table::Index, place, Vec::new()));
        indexes[at].reach = last.filter(|_| !is_all).map_or(Reach::All, Reach::UpTo);
        self.overlay.set_indexes(indexes);
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
        there.map(|index| index.spec.clone()).collect()
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
        let Some(object) = index.object() else { return Err("an index names no object".into()) };
        let (mut sum, mut failed) = (0_u128, None);
        let rows = store.scan(Table::Rows, object.prefix(), &mut |key, value| {
            if !key.starts_with(object.prefix()) {
                return ControlFlow::Break(());
            }
            match super::overlay::decode_row(key, value) {
                Ok((key, entries)) if index.covers(&key) => {
                    let place = index.place(&key, &entries);
                    sum = sum.wrapping_add(place.map_or(0, |place| sum_of(&place)));
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
            return Err(format!("the index of {path} by {fields:?} does not list what its rows hold"));
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
