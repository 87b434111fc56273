//! Memory over disk: what the engine has changed and not yet seen persisted, over what the store shows.
//!
//! Local reads see the overlay, sessions see the store below it. Changes gather until the one before is durable, and then
//! leave together as one commit: that is the group commit. When a commit is persisted its changes leave the overlay; when
//! it fails the whole overlay is dropped, and nobody has heard of anything in it.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::{Bound, ControlFlow};

use crate::codec;
use crate::error::CodecError;
use crate::id::{ContentHash, Dot, ReplicaId, cut};
use crate::row::merge::{Holder, Loss};
use crate::row::stored::write_row;
use crate::row::{Entry, RowKey, VisitRows};
use crate::state::bulk;
use crate::state::feed::Origin;
use crate::state::index::Indexes;
use crate::state::layer::{Found, Layer, Place, Row, both, scan_under};
use crate::store::{Commit, Store, StoreError, Table, Visit};

/// A store with changes on top.
#[derive(Clone)]
pub(crate) struct Overlay<S> {
    store: S,
    /// What the commit in flight changes, if one is.
    leaving: Layer,
    /// What the commit that is being gathered changes, and its number.
    gathered: Layer,
    next: u64,
    /// How often rows have changed.
    changes: u64,
    /// Whose transaction is being applied; nobody's within a merge.
    pub(super) acting: Option<Origin>,
    /// Whether it is noted for each row that changes.
    pub(super) notes_origins: bool,
    /// Lists of rows by what they hold.
    pub(super) indexes: Indexes,
    /// How often the list of what expires has changed.
    pub(super) expiries: u64,
}

impl<S: Store> Overlay<S> {
    pub(crate) fn new(store: S) -> Self {
        let (leaving, gathered) = Default::default();
        Self {
            store,
            leaving,
            gathered,
            next: 1,
            changes: 0,
            acting: None,
            notes_origins: false,
            indexes: Indexes::default(),
            expiries: 0,
        }
    }

    /// What is durable.
    pub(crate) fn store(&self) -> &S {
        &self.store
    }

    pub(crate) fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    pub(crate) fn into_store(self) -> S {
        self.store
    }

    /// Dots that the commit being gathered changes.
    pub(crate) fn dirty_dots(&self) -> impl Iterator<Item = Dot> {
        self.gathered.dots.iter().map(|(dot, _)| dot)
    }

    /// Keys of a table that were deleted and not persisted yet.
    pub(crate) fn deleted_keys(&self, table: Table) -> Vec<Vec<u8>> {
        self.changed_keys(table).filter(|(_, value)| value.is_none()).map(|(key, _)| key).collect()
    }

    /// What was changed of a table, but for rows and dots, and not persisted yet.
    pub(crate) fn changed_keys(&self, table: Table) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> + '_ {
        let [gathered, leaving] = [&self.gathered, &self.leaving].map(|layer| &layer.plain[table as usize]);
        let all = both(gathered.iter(), leaving.iter(), Ordering::Greater);
        all.map(|(key, value)| (key.clone(), value.clone()))
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// How many keys the commit being gathered changes.
    pub(crate) fn dirty_count(&self) -> usize {
        self.gathered.len()
    }

    /// At most how many bytes that is.
    pub(crate) const fn dirty_bytes(&self) -> usize {
        self.gathered.bytes
    }

    pub(crate) fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.change(table, key, Some(value));
    }

    pub(crate) fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.change(table, key, None);
    }

    /// Changes any table but rows and dots.
    pub(crate) fn change(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.gathered.change(table, key, value);
    }

    /// The number of the commit that is being gathered.
    pub(crate) const fn gathering(&self) -> u64 {
        self.next
    }

    /// Takes what has gathered as one commit. The changes stay visible here.
    pub(crate) fn take_commit(&mut self) -> Commit {
        assert!(self.leaving.is_empty(), "one commit is in flight at a time");
        self.leaving = core::mem::take(&mut self.gathered);
        let mut commit = Commit::new(self.next, Vec::new());
        commit.changes = self.leaving.changes();
        self.next += 1;
        commit
    }

    /// The store shows the commit in flight now: its changes need no place here any more. Which rows it changed, in
    /// order.
    pub(crate) fn persisted(&mut self) -> Vec<RowKey> {
        core::mem::take(&mut self.leaving).rows.into_keys().collect()
    }

    /// Forgets everything that is not durable.
    pub(crate) fn clear(&mut self) {
        (self.leaving, self.gathered) = Default::default();
        self.changes += 1;
    }

    /// The same for the list of what expires.
    pub(crate) const fn expiries(&self) -> u64 {
        self.expiries
    }

    /// A number for the rows as they are: while it stays, they do.
    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    /// The value of a key of any table but rows and dots.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let changed = |layer: &Layer| layer.plain[table as usize].get(key).cloned();
        match changed(&self.gathered).or_else(|| changed(&self.leaving)) {
            Some(value) => Ok(value),
            None => self.store.get(table, key),
        }
    }

    /// Visits keys of any table but rows and dots from `first` on, ascending, memory before disk.
    pub(crate) fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let from = (Bound::Included(first), Bound::Unbounded);
        let [gathered, leaving] =
            [&self.gathered, &self.leaving].map(|layer| layer.plain[table as usize].range::<[u8], _>(from));
        let memory = both(gathered, leaving, Ordering::Greater);
        let compare = |key: &&Vec<u8>, stored: &[u8]| key.as_slice().cmp(stored);
        let scan = |visit: Visit<'_>| self.store.scan(table, first, visit);
        scan_under(scan, memory, compare, &mut |found| show_plain(found, visit))
    }

    /// Visits keys of any table but rows and dots below `end`, descending, memory before disk.
    pub(super) fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let below = (Bound::Unbounded, Bound::Excluded(end));
        let [gathered, leaving] = [&self.gathered, &self.leaving]
            .map(|layer| layer.plain[table as usize].range::<[u8], _>(below).rev());
        let memory = both(gathered, leaving, Ordering::Less);
        let compare = |key: &&Vec<u8>, stored: &[u8]| key.as_slice().cmp(stored).reverse();
        let scan = |visit: Visit<'_>| self.store.scan_back(table, end, visit);
        scan_under(scan, memory, compare, &mut |found| show_plain(found, visit))
    }

    /// Notes in the feed, as `note` says, what the commit being gathered makes of rows: their keys, whose transaction that
    /// was, and rows as they are stored now and will be.
    pub(super) fn note_rows(
        &mut self,
        mut note: impl FnMut(&RowKey, Option<Origin>, Vec<u8>, &[u8]) -> Option<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let (rows, origins) =
            (core::mem::take(&mut self.gathered.rows), core::mem::take(&mut self.gathered.origins));
        let mut after = Vec::new();
        let noted = rows.iter().try_for_each(|(key, row)| {
            let before = self.store.get(Table::Rows, key.as_bytes())?.unwrap_or_default();
            after.clear();
            if !row.is_empty() {
                write_row(row, &mut after);
            }
            if before != after
                && let Some((key, value)) = note(key, origins.get(key).copied().flatten(), before, &after)
            {
                self.gathered.change(Table::Feed, key, Some(value));
            }
            Ok(())
        });
        self.gathered.rows = rows;
        noted
    }

    /// A row as memory has it.
    fn changed_row(&self, key: &RowKey) -> Option<&Row> {
        self.gathered.rows.get(key).or_else(|| self.leaving.rows.get(key))
    }

    /// Whether a row that was just changed has more than one live entry.
    pub(crate) fn is_concurrent(&self, changed: &RowKey) -> bool {
        self.changed_row(changed).is_some_and(|row| row.len() > 1)
    }

    /// The live entries of a row; what comes from the store is checked against its hashes.
    pub(crate) fn row(&self, key: &RowKey) -> Result<Vec<Entry>, StoreError> {
        if let Some(row) = self.changed_row(key) {
            return Ok(row.to_vec());
        }
        match self.store.get(Table::Rows, key.as_bytes())? {
            Some(bytes) => Entry::decode_row(key, &bytes).map_err(damaged),
            None => Ok(Vec::new()),
        }
    }

    /// The content hash and the row of a live dot.
    pub(crate) fn place(&self, dot: &Dot) -> Result<Option<Place>, StoreError> {
        if let Some(place) = self.gathered.dots.get(dot).or_else(|| self.leaving.dots.get(dot)) {
            return Ok(place.clone());
        }
        let bytes = dot.to_bytes();
        let Some(value) = self.store.get(Table::Dots, &bytes)? else { return Ok(None) };
        let (_, hash, key) = decode_dot(&bytes, &value)?;
        Ok(Some((hash, key)))
    }

    /// The live entry of a dot, with its row.
    pub(crate) fn entry(&self, dot: &Dot) -> Result<Option<(RowKey, Entry)>, StoreError> {
        let Some((_, key)) = self.place(dot)? else { return Ok(None) };
        let entry = self.row(&key)?.into_iter().find(|entry| entry.dot == *dot);
        Ok(entry.map(|entry| (key, entry)))
    }

    /// Visits live rows from a key on that begin with `prefix`, in key order.
    pub(crate) fn scan_rows(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: VisitRows<'_>,
    ) -> Result<(), StoreError> {
        let range = (Bound::Included(from), Bound::Unbounded);
        let [gathered, leaving] =
            [&self.gathered, &self.leaving].map(|layer| layer.rows.range::<[u8], _>(range));
        let scan = |visit: Visit<'_>| self.store.scan(Table::Rows, from, visit);
        visit_rows(scan, both(gathered, leaving, Ordering::Greater), Ordering::Greater, prefix, visit)
    }

    /// Visits live rows below a key that begin with `prefix`, in reverse key order.
    pub(crate) fn scan_rows_back(
        &self,
        prefix: &[u8],
        end: &[u8],
        visit: VisitRows<'_>,
    ) -> Result<(), StoreError> {
        let range = (Bound::Unbounded, Bound::Excluded(end));
        let [gathered, leaving] =
            [&self.gathered, &self.leaving].map(|layer| layer.rows.range::<[u8], _>(range).rev());
        let scan = |visit: Visit<'_>| self.store.scan_back(Table::Rows, end, visit);
        visit_rows(scan, both(gathered, leaving, Ordering::Less), Ordering::Less, prefix, visit)
    }

    /// Visits live dots from one on, with their places as they are stored or as memory has them.
    pub(crate) fn scan_dots(
        &self,
        first: &Dot,
        visit: &mut dyn FnMut(&Dot, Indexed<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let [gathered, leaving] = [&self.gathered, &self.leaving].map(|layer| layer.dots.from(*first));
        let compare = |dot: &Dot, stored: &[u8]| dot.to_bytes().as_slice().cmp(stored);
        let (memory, mut failed) = (both(gathered, leaving, Ordering::Greater), None);
        let scan = |visit: Visit<'_>| self.store.scan(Table::Dots, &first.to_bytes(), visit);
        scan_under(scan, memory, compare, &mut |found| match found {
            Found::Memory(dot, Some(place)) => visit(&dot, Indexed::Memory(place)),
            Found::Memory(_, None) => ControlFlow::Continue(()),
            Found::Stored(key, value) => match Dot::from_bytes(key) {
                Some(dot) => visit(&dot, Indexed::Stored(value)),
                None => {
                    failed = Some(damaged(CodecError::Malformed));
                    ControlFlow::Break(())
                }
            },
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// What a row holds, if anybody will ask what it held.
    fn to_compare(&self, row: &[Entry]) -> Vec<Entry> {
        if self.lists(row) { row.to_vec() } else { Vec::new() }
    }

    /// What becomes of a row that holds `before`.
    fn put_row(&mut self, key: &RowKey, before: &[Entry], row: Row) {
        if self.lists(before) || self.lists(&row) {
            self.enter(key, before, &row);
        }
        if self.notes_origins {
            self.gathered.origins.insert(key.clone(), self.acting);
        }
        self.gathered.put_row(key.clone(), row);
        self.changes += 1;
    }
}

/// Shows what a scan of a plain table found.
fn show_plain(found: Found<'_, &Vec<u8>, &Option<Vec<u8>>>, visit: Visit<'_>) -> ControlFlow<()> {
    match found {
        Found::Memory(key, Some(value)) => visit(key, value),
        Found::Memory(_, None) => ControlFlow::Continue(()),
        Found::Stored(key, value) => visit(key, value),
    }
}

/// Visits rows of the store under those in memory until one does not begin with `prefix`. `later` is how a key compares
/// with those before it.
fn visit_rows<'a>(
    scan: impl FnOnce(Visit<'_>) -> Result<(), StoreError>,
    memory: impl Iterator<Item = (&'a RowKey, &'a Row)>,
    later: Ordering,
    prefix: &[u8],
    visit: VisitRows<'_>,
) -> Result<(), StoreError> {
    let compare = |key: &&RowKey, stored: &[u8]| {
        let order = key.as_bytes().cmp(stored);
        if later.is_gt() { order } else { order.reverse() }
    };
    let mut failed = None;
    scan_under(scan, memory, compare, &mut |found| {
        let key = match &found {
            Found::Memory(key, _) => key.as_bytes(),
            Found::Stored(key, _) => key,
        };
        if !key.starts_with(prefix) {
            return ControlFlow::Break(());
        }
        match found {
            Found::Memory(_, Row::Gone) => ControlFlow::Continue(()),
            Found::Memory(key, row) => visit(key, row),
            Found::Stored(key, value) => match decode_row(key, value) {
                Ok((key, entries)) => visit(&key, &entries),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            },
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// What the table of dots says of a dot.
pub(crate) enum Indexed<'a> {
    Memory(&'a Place),
    Stored(&'a [u8]),
}

impl Indexed<'_> {
    /// It in full.
    pub(crate) fn place(&self, dot: &Dot) -> Result<Place, StoreError> {
        match self {
            Self::Memory(place) => Ok((*place).clone()),
            Self::Stored(value) => decode_dot(&dot.to_bytes(), value).map(|(_, hash, key)| (hash, key)),
        }
    }
}

/// Reads a stored row with its key.
pub(crate) fn decode_row(key: &[u8], value: &[u8]) -> Result<(RowKey, Vec<Entry>), StoreError> {
    let key = RowKey::from_bytes(key).map_err(|_| damaged(CodecError::Malformed))?;
    let entries = Entry::decode_row(&key, value).map_err(damaged)?;
    Ok((key, entries))
}

/// A value of the table of dots: the content hash of the live entry, then its row key.
pub(crate) fn dot_value(entry: &Entry, key: &RowKey) -> Vec<u8> {
    let mut value = Vec::with_capacity(16 + key.as_bytes().len());
    value.extend_from_slice(&entry.hash.0);
    value.extend_from_slice(key.as_bytes());
    value
}

/// Reads the content hash out of a value of the table of dots, and nothing else: trees need no more.
pub(crate) fn decode_dot_hash(key: &[u8], value: &[u8]) -> Result<(Dot, ContentHash), StoreError> {
    let hash = value.first_chunk::<16>().map(|hash| ContentHash(*hash));
    Dot::from_bytes(key).zip(hash).ok_or_else(|| damaged(CodecError::Malformed))
}

/// Reads a value of the table of dots.
pub(crate) fn decode_dot(key: &[u8], value: &[u8]) -> Result<(Dot, ContentHash, RowKey), StoreError> {
    let parts = || {
        let (hash, row) = value.split_at_checked(16)?;
        Some((Dot::from_bytes(key)?, ContentHash(cut(hash)), RowKey::from_bytes(row).ok()?))
    };
    parts().ok_or_else(|| damaged(CodecError::Malformed))
}

/// Reads a value of the stage or the table of forks, checked against its hash.
pub(crate) fn decode_staged(dot: &Dot, value: &[u8]) -> Result<(RowKey, Entry), StoreError> {
    let staged: bulk::Staged = codec::decode(value).map_err(damaged)?;
    let sound = staged.entry.dot == *dot && staged.entry.is_intact(&staged.key);
    if sound { Ok((staged.key, staged.entry)) } else { Err(damaged(CodecError::Malformed)) }
}

/// A stored thing that does not decode, or is not what its hash says.
pub(crate) fn damaged(error: CodecError) -> StoreError {
    StoreError::Damaged(alloc::format!("{error}"))
}

/// The merge rule over memory and disk. `seen` belongs to the heads, so [`super::Space`] wraps this.
impl<S: Store> Overlay<S> {
    pub(crate) fn live_within(
        &self,
        replica: &ReplicaId,
        first: u64,
        last: u64,
        most: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let mut seqs = Vec::new();
        if first > last || most == 0 {
            return Ok(seqs);
        }
        let end = Dot::new(*replica, last);
        self.scan_dots(&Dot::new(*replica, first), &mut |dot, _| {
            if *dot > end {
                return ControlFlow::Break(());
            }
            seqs.push(dot.seq);
            if seqs.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(seqs)
    }

    pub(crate) fn insert_entry(&mut self, key: &RowKey, entry: Entry) -> Result<(), StoreError> {
        let mut row = self.row(key)?;
        if let Err(at) = row.binary_search_by_key(&entry.dot, |held| held.dot) {
            self.gathered.put_dot(entry.dot, Some((entry.hash, key.clone())));
            if row.is_empty() {
                self.put_row(key, &[], Row::One(entry));
            } else {
                let before = self.to_compare(&row);
                row.insert(at, entry);
                self.put_row(key, &before, Row::of(row));
            }
        }
        Ok(())
    }

    /// What a local write does: `live` is all that a row holds, and `entry`, if any, takes its place.
    pub(crate) fn replace_row(&mut self, key: &RowKey, live: &[Entry], entry: Option<Entry>) {
        for dead in live {
            self.gathered.put_dot(dead.dot, None);
        }
        if let Some(entry) = &entry {
            self.gathered.put_dot(entry.dot, Some((entry.hash, key.clone())));
        }
        self.put_row(key, live, entry.into());
    }

    pub(crate) fn remove_dot(&mut self, dot: &Dot) -> Result<Option<(RowKey, Entry)>, StoreError> {
        let Some((_, key)) = self.place(dot)? else { return Ok(None) };
        self.gathered.put_dot(*dot, None);
        let mut row = self.row(&key)?;
        let at = row.iter().position(|entry| entry.dot == *dot);
        let before = self.to_compare(&row);
        let removed = at.map(|at| row.remove(at));
        self.put_row(&key, &before, Row::of(row));
        Ok(removed.map(|entry| (key, entry)))
    }
}

/// A holder over an overlay and the vector that goes with it.
pub(crate) struct Held<'a, S> {
    pub(crate) overlay: &'a mut Overlay<S>,
    pub(crate) seen: &'a dyn Fn(&Dot) -> bool,
    /// Rows that changed, for whoever watches.
    pub(crate) touched: &'a mut Vec<RowKey>,
    /// Replicas with two histories, and how many bytes of what such lost are kept.
    pub(crate) doubtful: &'a dyn Fn(&ReplicaId) -> bool,
    pub(crate) forks_bytes: &'a mut Option<usize>,
}

impl<S: Store> Holder for Held<'_, S> {
    type Error = StoreError;

    fn seen(&self, dot: &Dot) -> bool {
        (self.seen)(dot)
    }

    fn live_within(
        &self,
        replica: &ReplicaId,
        first: u64,
        last: u64,
        most: usize,
    ) -> Result<Vec<u64>, StoreError> {
        self.overlay.live_within(replica, first, last, most)
    }

    fn insert(&mut self, key: &RowKey, entry: Entry) -> Result<(), StoreError> {
        self.touched.push(key.clone());
        self.overlay.insert_entry(key, entry)
    }

    fn remove(&mut self, dot: &Dot) -> Result<(), StoreError> {
        if let Some((key, _)) = self.overlay.remove_dot(dot)? {
            self.touched.push(key);
        }
        Ok(())
    }

    fn lose(&mut self, dot: &Dot, how: Loss) -> Result<(), StoreError> {
        if let Some((key, entry)) = self.overlay.remove_dot(dot)? {
            if (self.doubtful)(&dot.replica) {
                self.overlay.keep_loser(&key, &entry, how, self.forks_bytes)?;
            }
            self.touched.push(key);
        }
        Ok(())
    }
}
