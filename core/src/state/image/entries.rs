//! A block of entries, as columns.
//!
//! Entries come by rising row key and dot, so a key shares its beginning with the one before. Who wrote them and when is
//! told in the order of their dots instead, where seqs and times rise by little; each entry has its place in that order.
//!
//! The block is: count, then these columns, each as in [`super::column`]. Numbers in a column are varints; *zigzag* n is
//! 2n, or -2n - 1 below zero.
//!
//! | column | for each | what |
//! |---|---|---|
//! | shared | entry | bytes of the row key that are those of the one before; all of them in another entry of one row |
//! | rest length, rest | entry | the other bytes of the key |
//! | payload length | entry | |
//! | payload begin | entry | at most 2 bytes of it: in most views they say the same for all |
//! | payload | entry | the others |
//! | place, low and high | entry | its place among the dots, a byte each |
//! | authors | replica in order | index among the heads, how many of the entries it wrote |
//! | seqs | dot in order | less the one before of the same replica, or less 0 |
//! | times | dot in order | milliseconds less those before of the same replica, or less 0: zigzag |
//! | counters | dot in order | the timestamp's low 16 bits; where the milliseconds are the same, less those before: zigzag |

use alloc::vec::Vec;

use super::column::{low_byte, pack, put_number, take_length, take_number, unpack};
use super::{BLOCK_ENTRIES, RAW_BYTES};
use crate::clock::Timestamp;
use crate::limits::{KEY_BYTES, PAYLOAD_BYTES};
use crate::row::Entry;

/// The beginning of a payload that has a column of its own: a tag, and a length where there is one.
const BEGIN: usize = 2;
const COUNTER_BITS: u32 = 16;

/// What a block says of one entry; the author by its index among the heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) key: Vec<u8>,
    pub(super) author: usize,
    pub(super) seq: u64,
    pub(super) timestamp: Timestamp,
    pub(super) payload: Vec<u8>,
}

/// Author, seq, timestamp.
type Written = (usize, u64, Timestamp);

/// Gathers entries.
#[derive(Default)]
pub(super) struct Gathered {
    last: Vec<u8>,
    shared: Vec<u8>,
    rest_length: Vec<u8>,
    rest: Vec<u8>,
    payload_length: Vec<u8>,
    begin: Vec<u8>,
    payload: Vec<u8>,
    written: Vec<Written>,
}

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// Whether the next entry belongs into another block.
    pub(super) fn is_full(&self) -> bool {
        let bytes = self.rest.len() + self.payload.len();
        self.written.len() == BLOCK_ENTRIES || bytes >= RAW_BYTES / 4
    }

    pub(super) fn add(&mut self, key: &[u8], author: usize, entry: &Entry) {
        let shared = self.last.iter().zip(key).take_while(|(a, b)| a == b).count();
        put_number(shared as u64, &mut self.shared);
        put_number((key.len() - shared) as u64, &mut self.rest_length);
        self.rest.extend_from_slice(&key[shared..]);
        self.last.clear();
        self.last.extend_from_slice(key);
        put_number(entry.payload.len() as u64, &mut self.payload_length);
        let (begin, payload) = entry.payload.split_at(entry.payload.len().min(BEGIN));
        self.begin.extend_from_slice(begin);
        self.payload.extend_from_slice(payload);
        self.written.push((author, entry.dot.seq, entry.timestamp()));
    }

    /// The bytes of the block.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut order: Vec<usize> = (0..self.written.len()).collect();
        order.sort_unstable_by_key(|entry| (self.written[*entry], *entry));
        let mut low = alloc::vec![0; order.len()];
        let mut high = low.clone();
        for (place, entry) in order.iter().enumerate() {
            low[*entry] = low_byte(place as u64);
            high[*entry] = low_byte(place as u64 >> 8);
        }
        let sorted: Vec<Written> = order.iter().map(|entry| self.written[*entry]).collect();
        let [authors, seqs, times, counters] = encode_written(&sorted);
        let mut out = Vec::new();
        put_number(sorted.len() as u64, &mut out);
        for column in [
            &self.shared,
            &self.rest_length,
            &self.rest,
            &self.payload_length,
            &self.begin,
            &self.payload,
            &low,
            &high,
            &authors,
            &seqs,
            &times,
            &counters,
        ] {
            pack(column, &mut out);
        }
        out
    }
}

fn encode_written(sorted: &[Written]) -> [Vec<u8>; 4] {
    let [mut authors, mut seqs, mut times, mut counters] = [const { Vec::new() }; 4];
    for of_one in sorted.chunk_by(|a, b| a.0 == b.0) {
        put_number(of_one[0].0 as u64, &mut authors);
        put_number(of_one.len() as u64, &mut authors);
        let (mut last_seq, mut last_ms, mut last_counter) = (0, 0, 0);
        for (_, seq, Timestamp(time)) in of_one {
            let (ms, counter) = (time >> COUNTER_BITS, time & 0xffff);
            put_number(seq - last_seq, &mut seqs);
            put_number(zigzag(ms, last_ms), &mut times);
            put_number(if ms == last_ms { zigzag(counter, last_counter) } else { counter }, &mut counters);
            (last_seq, last_ms, last_counter) = (*seq, ms, counter);
        }
    }
    [authors, seqs, times, counters]
}

/// `number - before`; both are below 2^62.
fn zigzag(number: u64, before: u64) -> u64 {
    if number >= before { (number - before) * 2 } else { (before - number) * 2 - 1 }
}

fn from_zigzag(told: u64, before: u64) -> Option<u64> {
    if told.is_multiple_of(2) { before.checked_add(told / 2) } else { before.checked_sub(told / 2 + 1) }
}

/// Reads a block; nothing unless it is one. `authors` is how many heads there are.
pub(super) fn decode(mut bytes: &[u8], authors: usize) -> Option<Vec<Told>> {
    let count = take_length(&mut bytes).filter(|count| (1..=BLOCK_ENTRIES).contains(count))?;
    let mut room = RAW_BYTES;
    let mut column = || {
        let column = unpack(&mut bytes, room)?;
        room -= column.len();
        Some(column)
    };
    let (shared, rest_length, rest) = (column()?, column()?, column()?);
    let (payload_length, begin, payload) = (column()?, column()?, column()?);
    let (low, high) = (column()?, column()?);
    let sorted = decode_written([column()?, column()?, column()?, column()?], count, authors)?;
    if !bytes.is_empty() || low.len() != count || high.len() != count {
        return None;
    }
    let (mut shared, mut rest_length, mut rest) = (&*shared, &*rest_length, &*rest);
    let (mut payload_length, mut begin, mut payload) = (&*payload_length, &*begin, &*payload);
    let mut taken = alloc::vec![false; count];
    let mut told: Vec<Told> = Vec::with_capacity(count);
    for (low, high) in low.into_iter().zip(high) {
        let before = told.last().map(|told| &*told.key).unwrap_or_default();
        let mut key = before.get(..take_length(&mut shared)?)?.to_vec();
        key.extend_from_slice(take(&mut rest, take_length(&mut rest_length)?)?);
        let length = take_length(&mut payload_length).filter(|length| *length <= PAYLOAD_BYTES)?;
        let mut whole = take(&mut begin, length.min(BEGIN))?.to_vec();
        whole.extend_from_slice(take(&mut payload, length - length.min(BEGIN))?);
        let place = usize::from(low) | usize::from(high) << 8;
        let (author, seq, timestamp) = *sorted.get(place)?;
        if key.len() > KEY_BYTES || core::mem::replace(taken.get_mut(place)?, true) {
            return None;
        }
        told.push(Told { key, author, seq, timestamp, payload: whole });
    }
    let is_used_up =
        [shared, rest_length, rest, payload_length, begin, payload].iter().all(|rest| rest.is_empty());
    is_used_up.then_some(told)
}

fn decode_written(columns: [Vec<u8>; 4], count: usize, authors: usize) -> Option<Vec<Written>> {
    let [mut runs, mut seqs, mut times, mut counters] = columns.each_ref().map(Vec::as_slice);
    let mut sorted = Vec::with_capacity(count);
    let mut next = 0;
    while !runs.is_empty() {
        let author = take_length(&mut runs).filter(|author| (next..authors).contains(author))?;
        let length = take_length(&mut runs).filter(|length| (1..=count - sorted.len()).contains(length))?;
        next = author + 1;
        let (mut seq, mut ms, mut counter) = (0_u64, 0, 0);
        for _ in 0..length {
            seq = seq.checked_add(take_number(&mut seqs).filter(|more| *more > 0)?)?;
            let last_ms = ms;
            ms = from_zigzag(take_number(&mut times)?, last_ms)?;
            let told = take_number(&mut counters)?;
            counter = if ms == last_ms { from_zigzag(told, counter)? } else { told };
            if ms >> (u64::BITS - COUNTER_BITS) != 0 || counter >> COUNTER_BITS != 0 {
                return None;
            }
            sorted.push((author, seq, Timestamp(ms << COUNTER_BITS | counter)));
        }
    }
    let is_used_up = seqs.is_empty() && times.is_empty() && counters.is_empty();
    (sorted.len() == count && is_used_up).then_some(sorted)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}
