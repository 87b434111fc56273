//! A store in memory: for tests, for the simulator's disks, for nodes that keep nothing.
//!
//! It holds whatever bytes it is given. What has the form that the engine gives to rows and dots is kept packed: a row
//! as one record ([`rows`]), a dot as the number of the record that its value repeats ([`dots`]). Everything else, also a
//! dot that says something else than the rows do, lies in plain sorted maps.

mod dots;
mod order;
mod records;
mod rows;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::ops::Bound;

use crate::id::{ContentHash, Dot};
use crate::store::{Change, Changes, Commit, Merged, Store, StoreError, Table, Visit, WriteStore};
use dots::Dots;
use records::key_and_entries;
use rows::Rows;

/// Rows that a scan of dots fetches at once: a processor waits for about as many at one time, and for no more.
const FETCHED: usize = 32;

/// Sorted tables. Cloning it takes an image of a disk.
#[derive(Clone, Default)]
pub struct MemoryStore {
    rows: Rows,
    dots: Dots,
    /// All other tables, and what of those two has any other form.
    plain: [BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()],
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies a commit, all of it or, on an error, nothing. Only a merge over tables that are damaged can fail.
    pub fn apply(&mut self, commit: &Commit) -> Result<Merged, StoreError> {
        if commit.merge.is_none() {
            self.apply_listed(&commit.changes);
            return Ok(Merged::default());
        }
        let mut undoing = Undoing { store: self, before: Vec::new() };
        let result = commit.write(&mut undoing);
        if result.is_err() {
            undoing.undo();
        }
        result
    }

    /// What a commit would change, its merge included, each key once; and what that did. Nothing is changed.
    pub fn changes_of(&mut self, commit: &Commit) -> Result<(Changes, Merged), StoreError> {
        if commit.merge.is_none() {
            return Ok((commit.changes.clone(), Merged::default()));
        }
        let mut undoing = Undoing { store: self, before: Vec::new() };
        let merged = commit.write(&mut undoing);
        let keys: BTreeSet<(Table, Vec<u8>)> =
            undoing.before.iter().map(|(table, key, _)| (*table, key.clone())).collect();
        let mut changes = Changes::default();
        for (table, key) in keys {
            changes.push(table, &key, undoing.get(table, &key)?.as_deref());
        }
        undoing.undo();
        Ok((changes, merged?))
    }

    /// Each key occurs once, so the order is free. Dots go before their rows and come after them: otherwise they would be
    /// plain for a moment.
    fn apply_listed(&mut self, changes: &Changes) {
        for (table, key, value) in changes.iter() {
            if table == Table::Dots && value.is_none() {
                self.remove_dot(key);
            }
        }
        let mut put = Vec::new();
        for (table, key, value) in changes.iter().filter(|(table, ..)| *table != Table::Dots) {
            let row = self.change(table, key, value);
            put.extend(row.into_iter().flat_map(|row| self.rows.dots(row).map(move |dot| (dot, row))));
        }
        // Seqs compare faster than replica ids, and most of these have one replica.
        let order = |dot: &Dot| (dot.seq, dot.replica);
        put.sort_unstable_by_key(|(dot, _)| order(dot));
        for (table, key, value) in changes.iter() {
            if let (Table::Dots, Some(value)) = (table, value) {
                let dot = Dot::from_bytes(key);
                let row =
                    dot.and_then(|dot| put.binary_search_by_key(&order(&dot), |(dot, _)| order(dot)).ok());
                self.put_dot(key, value, row.map(|at| put[at].1));
            }
        }
    }

    /// Sets or removes a key. The number of the row, where one was put.
    fn change(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Option<u32> {
        match (table, value) {
            (Table::Rows, Some(value)) => return self.put_row(key, value),
            (Table::Rows, None) => self.remove_row(key),
            (Table::Dots, Some(value)) => self.put_dot(key, value, None),
            (Table::Dots, None) => self.remove_dot(key),
            (_, Some(value)) => self.put_plain(table, key, value),
            (_, None) => self.remove_plain(table, key),
        }
        None
    }

    fn put_plain(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.plain[table as usize].insert(key.to_vec(), value.to_vec());
    }

    fn remove_plain(&mut self, table: Table, key: &[u8]) {
        self.plain[table as usize].remove(key);
    }

    fn put_row(&mut self, key: &[u8], value: &[u8]) -> Option<u32> {
        let Some((row, before)) = self.rows.put(key, value) else {
            self.remove_row(key);
            self.put_plain(Table::Rows, key, value);
            return None;
        };
        self.remove_plain(Table::Rows, key);
        if let Some(before) = before {
            self.let_dots_go(row, &before);
        }
        self.take_dots_in(row);
        Some(row)
    }

    fn remove_row(&mut self, key: &[u8]) {
        self.remove_plain(Table::Rows, key);
        if let Some((row, before)) = self.rows.remove(key) {
            self.let_dots_go(row, &before);
        }
    }

    /// A row is no longer what it was: what its dots say is kept beside it, unless it still says the same.
    fn let_dots_go(&mut self, row: u32, before: &[u8]) {
        let (key, _) = key_and_entries(before);
        for entry in self.rows.entries(before) {
            let held = self.dots.row(&entry.dot) == Some(row);
            if held && self.rows.hash_of(row, &entry.dot) != Some(entry.hash) {
                self.dots.remove(&entry.dot);
                let value = dot_value(&entry.hash, key);
                self.plain[Table::Dots as usize].insert(entry.dot.to_bytes().to_vec(), value);
            }
        }
    }

    /// A row may say by now what plain dots do.
    fn take_dots_in(&mut self, row: u32) {
        let plain = &mut self.plain[Table::Dots as usize];
        if plain.is_empty() {
            return;
        }
        let key = self.rows.key(row);
        for entry in self.rows.entries(self.rows.record(row)) {
            let name = entry.dot.to_bytes();
            if plain.get(name.as_slice()).is_some_and(|value| *value == dot_value(&entry.hash, key)) {
                plain.remove(name.as_slice());
                self.dots.put(entry.dot, row);
            }
        }
    }

    /// `likely` is the row that most likely has the entry of this dot.
    fn put_dot(&mut self, key: &[u8], value: &[u8], likely: Option<u32>) {
        let dot = Dot::from_bytes(key);
        let likely = likely.filter(|row| dot.is_some_and(|dot| self.rows.names(*row, &dot, value)));
        let row = likely.or_else(|| {
            let row = self.rows.find(value.get(16..)?)?;
            self.rows.names(row, &dot?, value).then_some(row)
        });
        if let Some((dot, row)) = dot.zip(row) {
            self.remove_plain(Table::Dots, key);
            return self.dots.put(dot, row);
        }
        if let Some(dot) = dot {
            self.dots.remove(&dot);
        }
        self.put_plain(Table::Dots, key, value);
    }

    fn remove_dot(&mut self, key: &[u8]) {
        let packed = Dot::from_bytes(key).and_then(|dot| self.dots.remove(&dot));
        if packed.is_none() {
            self.remove_plain(Table::Dots, key);
        }
    }

    /// The same dots, their rows fetched some at a time: a few at first, since most scans end soon.
    fn fetched(&self, mut dots: impl Iterator<Item = (Dot, u32)>) -> impl Iterator<Item = (Dot, u32)> {
        let (mut some, mut at, mut window) = (Vec::new(), 0, 1);
        core::iter::from_fn(move || {
            if at == some.len() {
                some.clear();
                some.extend(dots.by_ref().take(window));
                self.rows.fetch(some.iter().map(|(_, row)| *row));
                (at, window) = (0, (window * 2).min(FETCHED));
            }
            at += 1;
            some.get(at - 1).copied()
        })
    }

    /// All of a table, for comparing and showing.
    fn listed(&self, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        let read = self.scan(table, &[], &mut |key, value| {
            all.push((key.to_vec(), value.to_vec()));
            core::ops::ControlFlow::Continue(())
        });
        read.expect("memory can be read");
        all
    }
}

/// A value of the table of dots.
fn dot_value(hash: &ContentHash, key: &[u8]) -> Vec<u8> {
    [&hash.0, key].concat()
}

/// The same bytes, however they are kept.
impl PartialEq for MemoryStore {
    fn eq(&self, other: &Self) -> bool {
        Table::ALL.into_iter().all(|table| self.listed(table) == other.listed(table))
    }
}

impl Eq for MemoryStore {}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Table::ALL.map(|table| (table, self.listed(table)))).finish()
    }
}

/// A transaction: it remembers what was there before.
struct Undoing<'a> {
    store: &'a mut MemoryStore,
    before: Vec<Change>,
}

impl Undoing<'_> {
    fn change(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        self.before.push((table, key.to_vec(), self.store.get(table, key)?));
        self.store.change(table, key, value);
        Ok(())
    }

    fn undo(&mut self) {
        for (table, key, value) in core::mem::take(&mut self.before).into_iter().rev() {
            self.store.change(table, &key, value.as_deref());
        }
    }
}

impl Store for Undoing<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.store.scan(table, first, visit)
    }

    fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.store.scan_back(table, end, visit)
    }
}

impl WriteStore for Undoing<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.change(table, key, Some(value))
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.change(table, key, None)
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut value = Vec::new();
        match table {
            Table::Rows => {
                if let Some(row) = self.rows.find(key) {
                    self.rows.write(row, &mut value);
                    return Ok(Some(value));
                }
            }
            Table::Dots => {
                let dot = Dot::from_bytes(key);
                if let Some((dot, row)) = dot.and_then(|dot| Some((dot, self.dots.row(&dot)?))) {
                    self.rows.write_dot(row, &dot, &mut value);
                    return Ok(Some(value));
                }
            }
            _ => {}
        }
        Ok(self.plain[table as usize].get(key).cloned())
    }

    fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let range = (Bound::Included(first), Bound::Unbounded);
        let plain = self.plain[table as usize].range::<[u8], _>(range);
        match table {
            Table::Rows => {
                let packed = self.rows.from(first).map(|row| (self.rows.key(row), row));
                merge(packed, plain, Ordering::Less, |row, out| self.rows.write(row, out), visit);
            }
            Table::Dots => {
                let (at, longer) = dot_at(first);
                let packed = self.dots.from(at).filter(|(dot, _)| !longer || *dot != at);
                let packed = self.fetched(packed).map(|(dot, row)| (dot.to_bytes(), (dot, row)));
                merge(
                    packed,
                    plain,
                    Ordering::Less,
                    |(dot, row), out| self.rows.write_dot(row, &dot, out),
                    visit,
                );
            }
            _ => merge(core::iter::empty::<([u8; 0], ())>(), plain, Ordering::Less, |(), _| {}, visit),
        }
        Ok(())
    }

    fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let range = (Bound::Unbounded, Bound::Excluded(end));
        let plain = self.plain[table as usize].range::<[u8], _>(range).rev();
        match table {
            Table::Rows => {
                let packed = self.rows.below(end).map(|row| (self.rows.key(row), row));
                merge(packed, plain, Ordering::Greater, |row, out| self.rows.write(row, out), visit);
            }
            Table::Dots => {
                let (at, longer) = dot_at(end);
                let last = self.dots.row(&at).filter(|_| longer).map(|row| (at, row));
                let packed = last.into_iter().chain(self.dots.below(at));
                let packed = packed.map(|(dot, row)| (dot.to_bytes(), (dot, row)));
                merge(
                    packed,
                    plain,
                    Ordering::Greater,
                    |(dot, row), out| self.rows.write_dot(row, &dot, out),
                    visit,
                );
            }
            _ => merge(core::iter::empty::<([u8; 0], ())>(), plain, Ordering::Greater, |(), _| {}, visit),
        }
        Ok(())
    }
}

/// The dot of the first 24 bytes, or of fewer and zeros behind them; and whether there are more.
fn dot_at(bytes: &[u8]) -> (Dot, bool) {
    let mut whole = [0; 24];
    let length = bytes.len().min(24);
    whole[..length].copy_from_slice(&bytes[..length]);
    (Dot::from_bytes(&whole).expect("24 bytes are a dot"), bytes.len() > 24)
}

/// Visits what is packed and what is plain in one order: `before` says how the keys to come compare to those visited.
fn merge<'a, K: AsRef<[u8]>, T>(
    packed: impl Iterator<Item = (K, T)>,
    plain: impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>,
    before: Ordering,
    write: impl Fn(T, &mut Vec<u8>),
    visit: Visit<'_>,
) {
    let mut plain = plain.peekable();
    let mut bytes = Vec::new();
    for (key, item) in packed {
        while let Some((plain_key, value)) =
            plain.next_if(|(plain, _)| plain.as_slice().cmp(key.as_ref()) == before)
        {
            if visit(plain_key, value).is_break() {
                return;
            }
        }
        bytes.clear();
        write(item, &mut bytes);
        if visit(key.as_ref(), &bytes).is_break() {
            return;
        }
    }
    for (key, value) in plain {
        if visit(key, value).is_break() {
            return;
        }
    }
}
