//! The table of rows, packed: one allocation a row, found by its number or by its key.
//!
//! | bytes of a record | meaning |
//! |---|---|
//! | 2, little endian, n | the key |
//! | varint | how many entries |
//! | for each: varint | which replica its dot is of |
//! | n | the rest of the entry as it is stored |
//!
//! Records lie by number ([`Records`]), their numbers in the order of their keys ([`Order`]).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::id::{ContentHash, Dot, ReplicaId};
use crate::row::stored::{StoredEntries, push_varint, take_tail, take_varint};
use crate::store::memory::order::Order;
use crate::store::memory::records::{Records, key_and_entries};

const PACKED: &str = "a record is what was packed here";

/// See the module page.
#[derive(Clone, Default)]
pub(super) struct Rows {
    records: Records,
    order: Order,
    replicas: Vec<ReplicaId>,
    numbers: BTreeMap<ReplicaId, u32>,
    scratch: Vec<u8>,
}

/// An entry in a record.
pub(super) struct Packed {
    pub(super) dot: Dot,
    pub(super) hash: ContentHash,
}

impl Rows {
    /// The number of a row.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        self.order.find(key, &self.records).ok().map(|place| self.order.number(place))
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
        match self.order.find(key, &self.records) {
            Ok(place) => {
                let number = self.order.number(place);
                Some((number, Some(self.records.replace(number, record))))
            }
            Err(place) => {
                let number = self.records.add(record);
                self.order.insert(place, number, &self.records);
                Some((number, None))
            }
        }
    }

    /// Removes a row: the number that it had, and its record.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<(u32, Box<[u8]>)> {
        let place = self.order.find(key, &self.records).ok()?;
        let number = self.order.remove(place);
        Some((number, self.records.remove(number)))
    }

    /// Numbers from a key on, ascending.
    pub(super) fn from(&self, first: &[u8]) -> impl Iterator<Item = u32> {
        self.order.from(first, &self.records)
    }

    /// Numbers below a key, descending.
    pub(super) fn below(&self, end: &[u8]) -> impl Iterator<Item = u32> {
        self.order.below(end, &self.records)
    }

    pub(super) fn key(&self, number: u32) -> &[u8] {
        self.records.key(number)
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

    /// What the table of dots says of a dot that this row is known to have an entry of. Trees ask it of whole blocks of
    /// dots, so as little as can be is read of each row: the hash of its only entry is its end.
    pub(super) fn write_dot(&self, number: u32, dot: &Dot, out: &mut Vec<u8>) {
        let record = self.record(number);
        let (key, entries) = key_and_entries(record);
        let hash = match (entries, record.last_chunk::<16>()) {
            ([1, ..], Some(hash)) => *hash,
            _ => self.hash_of(number, dot).expect("a packed dot is that of an entry of its row").0,
        };
        out.extend_from_slice(&hash);
        out.extend_from_slice(key);
    }

    /// Reads both ends of some records, so that they are at hand. They lie anywhere in memory: one after the other each
    /// would have to be waited for, and all of them at once take hardly longer than one.
    pub(super) fn fetch(&self, numbers: impl Iterator<Item = u32>) {
        let ends = |number| {
            let record = self.record(number);
            record.first().zip(record.last()).map_or(0, |(first, last)| first ^ last)
        };
        core::hint::black_box(numbers.fold(0, |all, number| all ^ ends(number)));
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
        self.records.record(number)
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
