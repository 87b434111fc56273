//! Records by number: one allocation each, which begins with its key.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Records that lie side by side: growing never copies more, and leaves no more room empty.
const SHELF: usize = 256;
const PACKED: &str = "a record begins with its key";

/// See the module page.
#[derive(Clone, Default)]
pub(super) struct Records {
    shelves: Vec<Vec<Box<[u8]>>>,
    free: Vec<u32>,
}

impl Records {
    /// All of a record; empty where there is none any more.
    pub(super) fn record(&self, number: u32) -> &[u8] {
        &self.shelves[number as usize / SHELF][number as usize % SHELF]
    }

    pub(super) fn key(&self, number: u32) -> &[u8] {
        key_and_entries(self.record(number)).0
    }

    /// Keeps a record under a number that none has.
    pub(super) fn add(&mut self, record: Box<[u8]>) -> u32 {
        if let Some(number) = self.free.pop() {
            self.replace(number, record);
            return number;
        }
        if self.shelves.last().is_none_or(|shelf| shelf.len() == SHELF) {
            self.shelves.push(Vec::new());
        }
        let before = (self.shelves.len() - 1) * SHELF;
        let shelf = self.shelves.last_mut().expect("there is one with room");
        let number = u32::try_from(before + shelf.len()).expect("fewer rows than 2^32 fit in memory");
        shelf.push(record);
        number
    }

    /// Puts another record under a number, and gives back the one that was there.
    pub(super) fn replace(&mut self, number: u32, record: Box<[u8]>) -> Box<[u8]> {
        core::mem::replace(&mut self.shelves[number as usize / SHELF][number as usize % SHELF], record)
    }

    /// Takes a record out; its number is free.
    pub(super) fn remove(&mut self, number: u32) -> Box<[u8]> {
        self.free.push(number);
        self.replace(number, Box::default())
    }
}

/// The key of a record, and what comes after it.
pub(super) fn key_and_entries(record: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = record.split_first_chunk().expect(PACKED);
    rest.split_at(u16::from_le_bytes(*length).into())
}
