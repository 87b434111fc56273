//! What one commit changes, as what it means: rows and dots as such, all else as bytes.
//!
//! What was written here is known to be what its hashes say. So it is neither encoded before the commit leaves nor
//! checked when it is read.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::{ControlFlow, Deref};

use crate::id::{ContentHash, Dot, ReplicaId};
use crate::row::stored::{row_bytes, write_row};
use crate::row::{Entry, RowKey};
use crate::state::feed::Origin;
use crate::store::{Changes, StoreError, Table, Visit};

/// The live entries of a row, in dot order. Nearly every row has one.
#[derive(Clone, Debug)]
pub(super) enum Row {
    Gone,
    One(Entry),
    Many(Vec<Entry>),
}

impl Row {
    pub(super) fn of(mut entries: Vec<Entry>) -> Self {
        match entries.len() {
            0 | 1 => entries.pop().into(),
            _ => Self::Many(entries),
        }
    }
}

impl From<Option<Entry>> for Row {
    fn from(entry: Option<Entry>) -> Self {
        entry.map_or(Self::Gone, Self::One)
    }
}

impl Deref for Row {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        match self {
            Self::Gone => &[],
            Self::One(entry) => core::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }
}

/// What the table of dots says of a live one.
pub(super) type Place = (ContentHash, RowKey);

/// Dots that changed, by replica: seqs compare faster than dots. `None` for those that died.
#[derive(Clone, Default)]
pub(super) struct Dots {
    replicas: BTreeMap<ReplicaId, BTreeMap<u64, Option<Place>>>,
    len: usize,
}

impl Dots {
    pub(super) fn get(&self, dot: &Dot) -> Option<&Option<Place>> {
        self.replicas.get(&dot.replica)?.get(&dot.seq)
    }

    fn insert(&mut self, dot: Dot, place: Option<Place>) {
        let before = self.replicas.entry(dot.replica).or_default().insert(dot.seq, place);
        self.len += usize::from(before.is_none());
    }

    /// From a dot on, ascending.
    pub(super) fn from(&self, first: Dot) -> impl Iterator<Item = (Dot, &Option<Place>)> {
        self.replicas.range(first.replica..).flat_map(move |(replica, seqs)| {
            let from = if *replica == first.replica { first.seq } else { 0 };
            seqs.range(from..).map(|(seq, place)| (Dot::new(*replica, *seq), place))
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Dot, &Option<Place>)> {
        self.from(Dot::new(ReplicaId::from_u128(0), 0))
    }
}

/// See the module page.
#[derive(Clone, Default)]
pub(super) struct Layer {
    pub(super) rows: BTreeMap<RowKey, Row>,
    /// Whose transaction changed a row last, where that is wanted.
    pub(super) origins: BTreeMap<RowKey, Option<Origin>>,
    pub(super) dots: Dots,
    /// The other tables by number: new values, or `None` for keys that are removed.
    pub(super) plain: [BTreeMap<Vec<u8>, Option<Vec<u8>>>; Table::ALL.len()],
    /// At most how many bytes all changes had.
    pub(super) bytes: usize,
}

impl Layer {
    /// How many keys it changes.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.dots.len + self.plain.iter().map(BTreeMap::len).sum::<usize>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.dots.len == 0 && self.plain.iter().all(BTreeMap::is_empty)
    }

    pub(super) fn put_row(&mut self, key: RowKey, row: Row) {
        self.bytes += key.as_bytes().len() + row_bytes(&row);
        self.rows.insert(key, row);
    }

    pub(super) fn put_dot(&mut self, dot: Dot, place: Option<Place>) {
        self.bytes += DOT_BYTES + place.as_ref().map_or(0, |(_, key)| key.as_bytes().len());
        self.dots.insert(dot, place);
    }

    pub(super) fn change(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        debug_assert!(!matches!(table, Table::Rows | Table::Dots), "they have maps of their own");
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.plain[table as usize].insert(key, value);
    }

    /// All of it as it is stored, by table and key.
    pub(super) fn changes(&self) -> Changes {
        let mut changes = Changes::with_capacity(self.len(), self.bytes);
        for table in Table::ALL {
            match table {
                Table::Rows => {
                    for (key, row) in &self.rows {
                        match row {
                            Row::Gone => changes.push(table, key.as_bytes(), None),
                            row => changes.put(table, key.as_bytes(), |out| write_row(row, out)),
                        }
                    }
                }
                Table::Dots => {
                    for (dot, place) in self.dots.iter() {
                        match place {
                            None => changes.push(table, &dot.to_bytes(), None),
                            Some((hash, key)) => changes.put(table, &dot.to_bytes(), |out| {
                                out.extend_from_slice(&hash.0);
                                out.extend_from_slice(key.as_bytes());
                            }),
                        }
                    }
                }
                _ => {
                    for (key, value) in &self.plain[table as usize] {
                        changes.push(table, key, value.as_deref());
                    }
                }
            }
        }
        changes
    }
}

/// A dot and a content hash.
const DOT_BYTES: usize = 24 + 16;

/// What two maps say by key: the upper one covers the lower one. `later` is how a key compares with those before it.
pub(super) fn both<K: Ord, V>(
    upper: impl Iterator<Item = (K, V)>,
    lower: impl Iterator<Item = (K, V)>,
    later: Ordering,
) -> impl Iterator<Item = (K, V)> {
    let (mut upper, mut lower) = (upper.peekable(), lower.peekable());
    core::iter::from_fn(move || {
        let order = match (upper.peek(), lower.peek()) {
            (Some((upper, _)), Some((lower, _))) if later.is_gt() => upper.cmp(lower),
            (Some((upper, _)), Some((lower, _))) => lower.cmp(upper),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        if order.is_eq() {
            lower.next();
        }
        if order.is_le() { upper.next() } else { lower.next() }
    })
}

/// Something in memory, or in the store below it.
pub(super) enum Found<'a, K, V> {
    Memory(K, V),
    Stored(&'a [u8], &'a [u8]),
}

/// Visits what a scan of the store visits, under what memory says of the same range in the same order. `compare` tells
/// whether a key in memory comes before a stored one.
pub(super) fn scan_under<K, V>(
    scan: impl FnOnce(Visit<'_>) -> Result<(), StoreError>,
    memory: impl Iterator<Item = (K, V)>,
    compare: impl Fn(&K, &[u8]) -> Ordering,
    visit: &mut dyn FnMut(Found<'_, K, V>) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut memory = memory.peekable();
    let mut stopped = false;
    scan(&mut |stored, bytes| {
        let mut covered = false;
        while let Some((key, value)) = memory.next_if(|(key, _)| compare(key, stored).is_le()) {
            covered = compare(&key, stored).is_eq();
            if visit(Found::Memory(key, value)).is_break() {
                stopped = true;
                return ControlFlow::Break(());
            }
        }
        if covered {
            return ControlFlow::Continue(());
        }
        let flow = visit(Found::Stored(stored, bytes));
        stopped = flow.is_break();
        flow
    })?;
    while !stopped && let Some((key, value)) = memory.next() {
        stopped = visit(Found::Memory(key, value)).is_break();
    }
    Ok(())
}
