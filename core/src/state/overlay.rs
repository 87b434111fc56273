//! Memory over disk: what the engine has changed and not yet seen persisted, over what the store shows.
//!
//! Local reads see the overlay, sessions see the store below it. Changes gather until the one before is durable, and then
//! leave together as one commit: that is the group commit. When a commit is persisted its changes leave the overlay; when
//! it fails the whole overlay is dropped, and nobody has heard of anything in it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::{Bound, ControlFlow};

use crate::codec;
use crate::error::CodecError;
use crate::id::{ContentHash, Dot, ReplicaId, cut};
use crate::row::merge::{Holder, Loss};
use crate::row::{Entry, Object, RowKey};
use crate::state::bulk;
use crate::store::{Change, Commit, Store, StoreError, Table, Visit};

#[derive(Clone)]
struct Slot {
    value: Option<Vec<u8>>,
    /// The commit that will write it.
    commit: u64,
}

/// A store with changes on top.
#[derive(Clone)]
pub(crate) struct Overlay<S> {
    store: S,
    /// By table: what the commit in flight and the one that is being gathered change.
    slots: [BTreeMap<Vec<u8>, Slot>; Table::ALL.len()],
    /// How many keys the commit that is being gathered changes, at most how many bytes that is, and its number.
    dirty: usize,
    dirty_bytes: usize,
    next: u64,
}

impl<S: Store> Overlay<S> {
    pub(crate) fn new(store: S) -> Self {
        Self { store, slots: Default::default(), dirty: 0, dirty_bytes: 0, next: 1 }
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

    /// Keys of a table that the commit being gathered changes.
    pub(crate) fn dirty_keys(&self, table: Table) -> impl Iterator<Item = &[u8]> {
        let slots = self.slots[table as usize].iter();
        slots.filter(|(_, slot)| slot.commit == self.next).map(|(key, _)| key.as_slice())
    }

    /// Keys of a table that were deleted and not persisted yet.
    pub(crate) fn deleted_keys(&self, table: Table) -> Vec<Vec<u8>> {
        let slots = self.slots[table as usize].iter();
        slots.filter(|(_, slot)| slot.value.is_none()).map(|(key, _)| key.clone()).collect()
    }

    pub(crate) const fn is_dirty(&self) -> bool {
        self.dirty > 0
    }

    /// How many keys the commit being gathered changes.
    pub(crate) const fn dirty_count(&self) -> usize {
        self.dirty
    }

    /// At most how many bytes that is.
    pub(crate) const fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    pub(crate) fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.change(table, key, Some(value));
    }

    pub(crate) fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.change(table, key, None);
    }

    pub(crate) fn change(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        let commit = self.next;
        self.dirty_bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        let before = self.slots[table as usize].insert(key, Slot { value, commit });
        self.dirty += usize::from(before.is_none_or(|before| before.commit < commit));
    }

    /// The number of the commit that is being gathered.
    pub(crate) const fn gathering(&self) -> u64 {
        self.next
    }

    /// Takes what has gathered as one commit. The changes stay visible here.
    pub(crate) fn take_commit(&mut self) -> Commit {
        let id = self.next;
        let mut changes: Vec<Change> = Vec::with_capacity(self.dirty);
        for (table, slots) in Table::ALL.into_iter().zip(&self.slots) {
            let dirty = slots.iter().filter(|(_, slot)| slot.commit == id);
            changes.extend(dirty.map(|(key, slot)| (table, key.clone(), slot.value.clone())));
        }
        self.next += 1;
        (self.dirty, self.dirty_bytes) = (0, 0);
        Commit::new(id, changes)
    }

    /// The store shows the commit now: its changes need no place here any more.
    pub(crate) fn persisted(&mut self, id: u64) {
        // The commit that is being gathered may have changed a key again.
        self.slots.iter_mut().for_each(|slots| slots.retain(|_, slot| slot.commit > id));
    }

    /// Forgets everything that is not durable.
    pub(crate) fn clear(&mut self) {
        self.slots = Default::default();
        (self.dirty, self.dirty_bytes) = (0, 0);
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.slots[table as usize].get(key) {
            Some(slot) => Ok(slot.value.clone()),
            None => self.store.get(table, key),
        }
    }

    /// Visits keys from `first` on, ascending, memory before disk.
    pub(crate) fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let from = (Bound::Included(first), Bound::Unbounded);
        let mut above = self.slots[table as usize].range::<[u8], _>(from).peekable();
        let mut stopped = false;
        self.store.scan(table, first, &mut |key, value| {
            while let Some((k, slot)) = above.next_if(|(k, _)| k.as_slice() <= key) {
                if let Some(value) = &slot.value
                    && visit(k, value).is_break()
                {
                    stopped = true;
                    return ControlFlow::Break(());
                }
                if k.as_slice() == key {
                    return ControlFlow::Continue(());
                }
            }
            let flow = visit(key, value);
            stopped = flow.is_break();
            flow
        })?;
        while !stopped && let Some((key, slot)) = above.next() {
            if let Some(value) = &slot.value {
                stopped = visit(key, value).is_break();
            }
        }
        Ok(())
    }

    /// The live entries of a row, checked against their hashes.
    pub(crate) fn row(&self, key: &RowKey) -> Result<Vec<Entry>, StoreError> {
        match self.get(Table::Rows, key.as_bytes())? {
            Some(bytes) => Entry::decode_row(key, &bytes).map_err(damaged),
            None => Ok(Vec::new()),
        }
    }

    /// The live entry of a dot, with its row.
    pub(crate) fn entry(&self, dot: &Dot) -> Result<Option<(RowKey, Entry)>, StoreError> {
        let bytes = dot.to_bytes();
        let Some(value) = self.get(Table::Dots, &bytes)? else { return Ok(None) };
        let (_, _, key) = decode_dot(&bytes, &value)?;
        let entry = self.row(&key)?.into_iter().find(|entry| entry.dot == *dot);
        Ok(entry.map(|entry| (key, entry)))
    }

    /// Visits the rows of an object from element `from` on.
    pub(crate) fn scan_rows(
        &self,
        object: &Object,
        from: &RowKey,
        visit: &mut dyn FnMut(&RowKey, &[Entry]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut failed = None;
        self.scan(Table::Rows, from.as_bytes(), &mut |key, value| {
            if !key.starts_with(object.prefix()) {
                return ControlFlow::Break(());
            }
            match decode_row(key, value) {
                Ok((key, entries)) => visit(&key, &entries),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    fn put_row(&mut self, key: &RowKey, entries: &[Entry]) {
        let bytes = key.as_bytes().to_vec();
        if entries.is_empty() {
            self.delete(Table::Rows, bytes);
        } else {
            self.put(Table::Rows, bytes, Entry::encode_row(entries));
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
        let end = Dot::new(*replica, last).to_bytes();
        self.scan(Table::Dots, &Dot::new(*replica, first).to_bytes(), &mut |key, _| {
            if key > end.as_slice() {
                return ControlFlow::Break(());
            }
            seqs.extend(Dot::from_bytes(key).map(|dot| dot.seq));
            if seqs.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(seqs)
    }

    pub(crate) fn insert_entry(&mut self, key: &RowKey, entry: Entry) -> Result<(), StoreError> {
        let mut row = self.row(key)?;
        if let Err(at) = row.binary_search_by_key(&entry.dot, |held| held.dot) {
            self.put(Table::Dots, entry.dot.to_bytes().to_vec(), dot_value(&entry, key));
            row.insert(at, entry);
            self.put_row(key, &row);
        }
        Ok(())
    }

    /// What a local write does: `live` is all that a row holds, and `entry`, if any, takes its place.
    pub(crate) fn replace_row(&mut self, key: &RowKey, live: &[Entry], entry: Option<Entry>) {
        for dead in live {
            self.delete(Table::Dots, dead.dot.to_bytes().to_vec());
        }
        if let Some(entry) = &entry {
            self.put(Table::Dots, entry.dot.to_bytes().to_vec(), dot_value(entry, key));
        }
        self.put_row(key, entry.as_slice());
    }

    pub(crate) fn remove_dot(&mut self, dot: &Dot) -> Result<Option<(RowKey, Entry)>, StoreError> {
        let bytes = dot.to_bytes();
        let Some(value) = self.get(Table::Dots, &bytes)? else { return Ok(None) };
        let (_, _, key) = decode_dot(&bytes, &value)?;
        self.delete(Table::Dots, bytes.to_vec());
        let mut row = self.row(&key)?;
        let at = row.iter().position(|entry| entry.dot == *dot);
        let removed = at.map(|at| row.remove(at));
        self.put_row(&key, &row);
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
