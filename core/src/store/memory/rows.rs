//! The table of rows, packed: one allocation a row, found by its number or by its key.
//!
//! | bytes of a record | meaning |
//! |---|---|
//! | 2, little endian, n | the key |
//! | varint | how many entries |
//! | for each: varint | which replica its dot is of |
//! | n | the rest of the entry as it is stored |
//!
//! Numbers of records lie in blocks in the order of their keys, as in the leaves of a B-tree (Bayer and McCreight, 1972).
//! A number costs four bytes where a key in a map of its own costs its bytes and two words.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::id::{ContentHash, Dot, ReplicaId};
use crate::row::stored::{StoredEntries, push_varint, take_tail, take_varint};

/// Most numbers in a block. Larger ones are moved more slowly, smaller ones are more to look through.
const BLOCK: usize = 512;
/// Records that lie side by side: growing never copies more, and leaves no more room empty.
const SHELF: usize = 256;
const PACKED: &str = "a record is what was packed here";

/// See the module page.
#[derive(Clone, Default)]
pub(super) struct Rows {
    shelves: Vec<Vec<Box<[u8]>>>,
    free: Vec<u32>,
    /// In the order of their keys.
    blocks: Vec<Block>,
    replicas: Vec<ReplicaId>,
    numbers: BTreeMap<ReplicaId, u32>,
    scratch: Vec<u8>,
}

/// Numbers of rows in the order of their keys.
#[derive(Clone)]
struct Block {
    /// Above the keys of the blocks before, and not above those in this one.
    bound: Box<[u8]>,
    numbers: Vec<u32>,
}

/// An entry in a record.
pub(super) struct Packed {
    pub(super) dot: Dot,
    pub(super) hash: ContentHash,
}

impl Rows {
    /// The number of a row.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let Block { numbers, .. } = &self.blocks[self.block_of(key)?];
        numbers.binary_search_by(|number| self.key(*number).cmp(key)).ok().map(|at| numbers[at])
    }

    /// The block in which a key lies, if it is there.
    fn block_of(&self, key: &[u8]) -> Option<usize> {
        self.blocks.partition_point(|block| *block.bound <= *key).checked_sub(1)
    }

    /// Whether a value of the table of dots says of a dot what this row does.
    pub(super) fn names(&self, number: u32, dot: &Dot, value: &[u8]) -> bool {
        let hash = self.hash_of(number, dot);
        let said = value.split_first_chunk::<16>();
        said.is_some_and(|(said, key)| hash == Some(ContentHash(*said)) && self.key(number) == key)
    }

    /// Sets a row: its number, and the record that was there before. `None` for a value of any other form than a row's;
    /// then nothing was changed.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Option<(u32, Option<Box<[u8]>>)> {
        let record = self.pack(key, value)?;
        let Some(place) = self.block_of(key) else {
            let number = store(&mut self.shelves, &mut self.free, record);
            self.blocks.insert(0, Block { bound: Box::default(), numbers: alloc::vec![number] });
            return Some((number, None));
        };
        let block = &mut self.blocks[place].numbers;
        let at = match block.binary_search_by(|number| key_of(&self.shelves, *number).cmp(key)) {
            Ok(at) => {
                let number = block[at];
                let before = core::mem::replace(slot(&mut self.shelves, number), record);
                return Some((number, Some(before)));
            }
            Err(at) => at,
        };
        let number = store(&mut self.shelves, &mut self.free, record);
        if block.len() < BLOCK {
            block.insert(at, number);
        } else if at == BLOCK {
            // Keys that rise leave full blocks behind.
            self.blocks.insert(place + 1, Block { bound: key.into(), numbers: alloc::vec![number] });
        } else {
            let mut right = block.split_off(BLOCK / 2);
            if at <= BLOCK / 2 {
                block.insert(at, number);
            } else {
                right.insert(at - BLOCK / 2, number);
            }
            let bound = key_of(&self.shelves, right[0]).into();
            self.blocks.insert(place + 1, Block { bound, numbers: right });
        }
        Some((number, None))
    }

    /// Removes a row: the number that it had, and its record.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<(u32, Box<[u8]>)> {
        let place = self.block_of(key)?;
        let block = &mut self.blocks[place].numbers;
        let at = block.binary_search_by(|number| key_of(&self.shelves, *number).cmp(key)).ok()?;
        let number = block.remove(at);
        if block.is_empty() {
            self.blocks.remove(place);
        }
        self.free.push(number);
        Some((number, core::mem::take(slot(&mut self.shelves, number))))
    }

    /// Numbers from a key on, ascending.
    pub(super) fn from(&self, first: &[u8]) -> impl Iterator<Item = u32> {
        let blocks = &self.blocks[self.block_of(first).unwrap_or(0)..];
        let first = Vec::from(first);
        blocks.iter().flat_map(move |Block { numbers, .. }| {
            let at = numbers.partition_point(|number| self.key(*number) < first.as_slice());
            numbers[at..].iter().copied()
        })
    }

    /// Numbers below a key, descending.
    pub(super) fn below(&self, end: &[u8]) -> impl Iterator<Item = u32> {
        let blocks = &self.blocks[..self.block_of(end).map_or(0, |last| last + 1)];
        let end = Vec::from(end);
        blocks.iter().rev().flat_map(move |Block { numbers, .. }| {
            let at = numbers.partition_point(|number| self.key(*number) < end.as_slice());
            numbers[..at].iter().rev().copied()
        })
    }

    pub(super) fn key(&self, number: u32) -> &[u8] {
        key_of(&self.shelves, number)
    }

    /// The entries of a record.
    pub(super) fn entries<'a>(&'a self, record: &'a [u8]) -> impl Iterator<Item = Packed> + 'a {
        let (_, entries) = key_and_entries(record);
        self.unpack(entries).map(|(dot, hash, _)| Packed { dot, hash })
    }

    /// The dots of a row.
    pub(super) fn dots(&self, number: u32) -> impl Iterator<Item = Dot> {
        self.entries(self.record(number)).map(|entry| entry.dot)
    }

    /// The hash of an entry, if the row is there and has one of this dot.
    pub(super) fn hash_of(&self, number: u32, dot: &Dot) -> Option<ContentHash> {
        let record = self.record(number);
        if record.is_empty() {
            return None;
        }
        self.entries(record).find(|entry| entry.dot == *dot).map(|entry| entry.hash)
    }

    pub(super) fn record(&self, number: u32) -> &[u8] {
        &self.shelves[number as usize / SHELF][number as usize % SHELF]
    }

    /// Writes the value of a row as it was put.
    pub(super) fn write(&self, number: u32, out: &mut Vec<u8>) {
        let (_, entries) = key_and_entries(self.record(number));
        let mut counted = entries;
        push_varint(take_varint(&mut counted).expect(PACKED), out);
        for (dot, _, tail) in self.unpack(entries) {
            out.extend_from_slice(dot.replica.as_bytes());
            out.extend_from_slice(tail);
        }
    }

    fn unpack<'a>(
        &'a self,
        mut entries: &'a [u8],
    ) -> impl Iterator<Item = (Dot, ContentHash, &'a [u8])> + 'a {
        let count = take_varint(&mut entries).expect(PACKED);
        (0..count).map(move |_| {
            let replica = usize::try_from(take_varint(&mut entries).expect(PACKED)).expect(PACKED);
            let entry = take_tail(self.replicas[replica], &mut entries).expect(PACKED);
            (entry.dot, entry.hash, entry.tail)
        })
    }

    /// The record of a row, if its value is that of a row.
    fn pack(&mut self, key: &[u8], value: &[u8]) -> Option<Box<[u8]>> {
        let mut record = core::mem::take(&mut self.scratch);
        record.clear();
        let packed = self.pack_into(key, value, &mut record);
        let packed = packed.map(|()| record.as_slice().into());
        self.scratch = record;
        packed
    }

    fn pack_into(&mut self, key: &[u8], value: &[u8], record: &mut Vec<u8>) -> Option<()> {
        record.extend_from_slice(&u16::try_from(key.len()).ok()?.to_le_bytes());
        record.extend_from_slice(key);
        let mut counted = value;
        push_varint(take_varint(&mut counted).ok()?, record);
        let mut last = None;
        for entry in StoredEntries::of(value).ok()? {
            let entry = entry.ok()?;
            // A row names each dot once.
            if last.replace(entry.dot).is_some_and(|last| last >= entry.dot) {
                return None;
            }
            push_varint(self.number_of(entry.dot.replica).into(), record);
            record.extend_from_slice(entry.tail);
        }
        Some(())
    }

    /// Replicas are few and are never forgotten.
    fn number_of(&mut self, replica: ReplicaId) -> u32 {
        let next = u32::try_from(self.replicas.len()).expect("a store knows fewer replicas than 2^32");
        *self.numbers.entry(replica).or_insert_with(|| {
            self.replicas.push(replica);
            next
        })
    }
}

/// The key of a record, and its entries.
pub(super) fn key_and_entries(record: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = record.split_first_chunk().expect(PACKED);
    rest.split_at(u16::from_le_bytes(*length).into())
}

fn key_of(shelves: &[Vec<Box<[u8]>>], number: u32) -> &[u8] {
    key_and_entries(&shelves[number as usize / SHELF][number as usize % SHELF]).0
}

fn slot(shelves: &mut [Vec<Box<[u8]>>], number: u32) -> &mut Box<[u8]> {
    &mut shelves[number as usize / SHELF][number as usize % SHELF]
}

fn store(shelves: &mut Vec<Vec<Box<[u8]>>>, free: &mut Vec<u32>, record: Box<[u8]>) -> u32 {
    if let Some(number) = free.pop() {
        *slot(shelves, number) = record;
        return number;
    }
    if shelves.last().is_none_or(|shelf| shelf.len() == SHELF) {
        shelves.push(Vec::new());
    }
    let before = (shelves.len() - 1) * SHELF;
    let shelf = shelves.last_mut().expect("there is one with room");
    let number = u32::try_from(before + shelf.len()).expect("fewer rows than 2^32 fit in memory");
    shelf.push(record);
    number
}
