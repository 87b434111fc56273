//! Columns: what is alike lies together, so that it is short before deflate and vanishes in it.
//!
//! | column | bytes |
//! |---|---|
//! | numbers | one varint each (LEB128, none longer than it has to be); how many is known from what was read before |
//! | times | a column of milliseconds, as zigzag differences to the one before, and one of counters: the difference to the one before where the millisecond is the same, else as it is |
//! | texts | for each but the first how many bytes it shares with the one before; how many it has beyond; those bytes |
//!
//! A column is not copied to be read: it is looked through once, to find its end and its sum, and then walked. Texts are
//! all that can grow in reading, so they are counted against a budget before they are put together.

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::Deref;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::FRAME_BYTES;

/// Things that are written as columns.
pub(crate) trait Columnar: Sized {
    /// All of them as bytes.
    fn write(items: &[Self]) -> Vec<u8>;

    /// Reads them back; `None` when they are none.
    fn read(columns: Columns<'_>) -> Option<Vec<Self>>;
}

/// A list that a message holds as columns: a byte string on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table<T>(pub(crate) Vec<T>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Table<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Columnar> Serialize for Table<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&T::write(&self.0))
    }
}

impl<'de, T: Columnar> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes<T>(PhantomData<T>);
        impl<T: Columnar> Visitor<'_> for Bytes<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("columns")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<T>, E> {
                T::read(Columns(bytes)).ok_or_else(|| E::custom("columns that do not fit together"))
            }
        }
        deserializer.deserialize_bytes(Bytes::<T>(PhantomData)).map(Self)
    }
}

/// Appends a number.
pub(crate) fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(0x80 | (number & 0x7f).to_le_bytes()[0]);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Takes a number off the front; `None` when there is none, or it is longer than it has to be.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        number |= bits << shift;
        if byte & 0x80 == 0 {
            let is_short = shift == 0 || bits > 0;
            return (is_short && (shift < 63 || bits < 2)).then_some(number);
        }
    }
    None
}

/// How far `to` is from `from`, small when they are near, whichever is larger.
pub(crate) const fn difference(from: u64, to: u64) -> u64 {
    let by = to.wrapping_sub(from);
    (by << 1) ^ (0_u64.wrapping_sub(by >> 63))
}

/// What is so far from `from`.
pub(crate) const fn apart(from: u64, difference: u64) -> u64 {
    from.wrapping_add((difference >> 1) ^ 0_u64.wrapping_sub(difference & 1))
}

/// Columns that are not read yet.
pub(crate) struct Columns<'a>(pub(crate) &'a [u8]);

impl<'a> Columns<'a> {
    /// A number by itself.
    pub(crate) fn number(&mut self) -> Option<u64> {
        take(&mut self.0)
    }

    /// A count of at most `most`.
    pub(crate) fn count(&mut self, most: usize) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= most)
    }

    /// The next `count` numbers.
    pub(crate) fn numbers(&mut self, count: usize) -> Option<Numbers<'a>> {
        // Each has a byte at least: a claim beyond that ends here.
        let (start, mut rest) = ((count <= self.0.len()).then_some(self.0)?, self.0);
        (0..count).try_for_each(|_| take(&mut rest).map(drop))?;
        self.0 = rest;
        Some(Numbers(&start[..start.len() - rest.len()]))
    }

    /// The next `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next `count` times.
    pub(crate) fn times(&mut self, count: usize) -> Option<TimesRead<'a>> {
        Some(TimesRead { millis: self.numbers(count)?, counters: self.numbers(count)?, last: 0 })
    }

    /// The next `count` texts, each of at most `most` bytes.
    pub(crate) fn texts(&mut self, count: usize, most: usize) -> Option<TextsRead<'a>> {
        let shared = self.numbers(count.saturating_sub(1))?;
        let own = self.numbers(count)?;
        let bytes = self.bytes(own.total(FRAME_BYTES)?)?;
        Some(TextsRead { shared, own, bytes, last: Vec::new(), most, is_first: true })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A column of numbers, walked once. What it gives was looked at before.
#[derive(Clone)]
pub(crate) struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    /// Their sum, unless it is more than `most`.
    pub(crate) fn total(&self, most: usize) -> Option<usize> {
        let mut sum = 0_u64;
        for number in self.clone() {
            sum = sum.checked_add(number)?;
        }
        usize::try_from(sum).ok().filter(|sum| *sum <= most)
    }

    /// The next one, as an index or a count.
    pub(crate) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.next()?).ok()
    }
}

impl Iterator for Numbers<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        take(&mut self.0)
    }
}

/// Timestamps being written.
#[derive(Default)]
pub(crate) struct Times {
    millis: Vec<u8>,
    counters: Vec<u8>,
    last: u64,
}

const COUNTER_BITS: u32 = 16;
const COUNTER: u64 = (1 << COUNTER_BITS) - 1;

impl Times {
    pub(crate) fn push(&mut self, time: u64) {
        let (before, now) = (self.last >> COUNTER_BITS, time >> COUNTER_BITS);
        push(&mut self.millis, difference(before, now));
        let from = if before == now { self.last & COUNTER } else { 0 };
        push(&mut self.counters, difference(from, time & COUNTER));
        self.last = time;
    }

    pub(crate) fn end(self, into: &mut Vec<u8>) {
        into.extend([self.millis, self.counters].concat());
    }
}

/// Timestamps being read.
pub(crate) struct TimesRead<'a> {
    millis: Numbers<'a>,
    counters: Numbers<'a>,
    last: u64,
}

impl TimesRead<'_> {
    pub(crate) fn next(&mut self) -> Option<u64> {
        let before = self.last >> COUNTER_BITS;
        let now = apart(before, self.millis.next()?);
        let from = if before == now { self.last & COUNTER } else { 0 };
        let counter = apart(from, self.counters.next()?);
        if now >> (64 - COUNTER_BITS) != 0 || counter > COUNTER {
            return None;
        }
        self.last = now << COUNTER_BITS | counter;
        Some(self.last)
    }
}

/// Texts being written.
#[derive(Default)]
pub(crate) struct Texts {
    shared: Vec<u8>,
    own: Vec<u8>,
    bytes: Vec<u8>,
    last: Option<Vec<u8>>,
}

impl Texts {
    pub(crate) fn push(&mut self, text: &[u8]) {
        let shared = self.last.as_ref().map_or(0, |last| shared(last, text));
        if self.last.is_some() {
            push(&mut self.shared, shared as u64);
        }
        push(&mut self.own, (text.len() - shared) as u64);
        self.bytes.extend_from_slice(&text[shared..]);
        self.last = Some(text.to_vec());
    }

    pub(crate) fn end(self, into: &mut Vec<u8>) {
        into.extend([self.shared, self.own, self.bytes].concat());
    }
}

fn shared(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Texts being read.
pub(crate) struct TextsRead<'a> {
    shared: Numbers<'a>,
    own: Numbers<'a>,
    bytes: &'a [u8],
    last: Vec<u8>,
    most: usize,
    is_first: bool,
}

impl TextsRead<'_> {
    /// The next one. What is put together is taken from `budget` first.
    pub(crate) fn next(&mut self, budget: &mut usize) -> Option<&[u8]> {
        let shared = if core::mem::take(&mut self.is_first) { 0 } else { self.shared.small()? as usize };
        let own = self.own.small()? as usize;
        let length = shared.checked_add(own).filter(|length| *length <= self.most)?;
        *budget = budget.checked_sub(length)?;
        let (bytes, rest) = self.bytes.split_at_checked(own)?;
        self.bytes = rest;
        // Less would have two meanings: what is shared is said to be.
        let is_whole = self.last.get(shared).is_none_or(|byte| bytes.first() != Some(byte));
        if shared > self.last.len() || !is_whole {
            return None;
        }
        self.last.truncate(shared);
        self.last.extend_from_slice(bytes);
        Some(&self.last)
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn numbers_are_read_back(numbers: Vec<u64>) -> bool {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| push(&mut bytes, *number));
            let mut columns = Columns(&bytes);
            let read = columns.numbers(numbers.len()).unwrap();
            columns.is_empty() && read.eq(numbers)
        }

        fn differences_are_undone(from: u64, to: u64) -> bool {
            apart(from, difference(from, to)) == to
        }

        fn times_are_read_back(times: Vec<u64>) -> bool {
            let (mut written, mut bytes) = (Times::default(), Vec::new());
            times.iter().for_each(|time| written.push(*time));
            written.end(&mut bytes);
            let mut read = Columns(&bytes).times(times.len()).unwrap();
            times.into_iter().all(|time| read.next() == Some(time))
        }

        fn texts_are_read_back(texts: Vec<(u8, Vec<u8>)>) -> bool {
            // Such that some share their beginning.
            let texts: Vec<Vec<u8>> =
                texts.into_iter().map(|(same, rest)| [alloc::vec![7; usize::from(same % 4)], rest].concat()).collect();
            let (mut written, mut bytes) = (Texts::default(), Vec::new());
            texts.iter().for_each(|text| written.push(text));
            written.end(&mut bytes);
            let mut read = Columns(&bytes).texts(texts.len(), 1000).unwrap();
            let mut budget = texts.iter().map(Vec::len).sum();
            texts.iter().all(|text| read.next(&mut budget) == Some(text)) && budget == 0
        }
    }

    #[test]
    fn near_is_short_in_both_directions() {
        assert_eq!([difference(5, 5), difference(5, 4), difference(5, 6)], [0, 1, 2]);
        assert_eq!(difference(u64::MAX, 0), 2);
    }

    #[test]
    fn what_is_longer_than_it_has_to_be_is_refused() {
        assert_eq!(take(&mut [0x85, 0].as_slice()), None);
        assert_eq!(take(&mut [0xff; 10].as_slice()), None);
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(take(&mut most.as_slice()), Some(u64::MAX));
        assert_eq!(take(&mut [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2].as_slice()), None);
        // Two texts `ab`, the second of which says that it shares one byte and brings the other.
        let bytes = [1, 2, 1, b'a', b'b', b'b'];
        let mut texts = Columns(&bytes).texts(2, 10).unwrap();
        assert!(texts.next(&mut 10).is_some());
        assert_eq!(texts.next(&mut 10), None);
    }

    #[test]
    fn claims_beyond_what_is_there_or_allowed_are_refused() {
        assert!(Columns(&[0; 9]).numbers(10).is_none());
        assert!(Columns(&[0; 9]).numbers(usize::MAX).is_none());
        // A text of a thousand bytes, then texts that are the same.
        let mut bytes = alloc::vec![0xe8, 7, 0xe8, 7, 0xe8, 7, 0, 0];
        bytes.extend([b'x'; 1000]);
        let read = |most: usize, mut budget: usize| {
            let mut texts = Columns(&bytes).texts(3, most).unwrap();
            (0..3).take_while(|_| texts.next(&mut budget).is_some()).count()
        };
        assert_eq!((read(1000, 3000), read(1000, 2999), read(999, 3000)), (3, 2, 0));
    }
}
