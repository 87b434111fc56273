//! The stored form of a row, read in place and written by hand.
//!
//! It is postcard's form of a list of entries, byte for byte (see [`Entry`] and docs/format.md). Rows are read and
//! written more often than anything else, and going through serde costs ten times what the bytes do.

use alloc::vec::Vec;

use crate::error::CodecError;
use crate::id::{ContentHash, Dot, ReplicaId, cut};
use crate::limits::PAYLOAD_BYTES;
use crate::row::Entry;

/// One entry as it lies in a stored row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredEntry<'a> {
    pub(crate) dot: Dot,
    pub(crate) timestamp: u64,
    pub(crate) payload: &'a [u8],
    pub(crate) hash: ContentHash,
    /// All of it but the replica of its dot, which comes first.
    pub(crate) tail: &'a [u8],
}

/// The entries of a stored row, one by one. Ends after the first error; bytes behind the last entry are one.
#[derive(Clone, Debug)]
pub(crate) struct StoredEntries<'a> {
    left: u64,
    rest: &'a [u8],
}

impl<'a> StoredEntries<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let mut rest = bytes;
        let left = take_varint(&mut rest)?;
        if left == 0 && !rest.is_empty() {
            return Err(CodecError::NotCanonical);
        }
        Ok(Self { left, rest })
    }

    /// How many are to come, if the bytes can hold them.
    pub(crate) fn room(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(self.rest.len() / LEAST_BYTES)
    }

    fn take(&mut self) -> Result<StoredEntry<'a>, CodecError> {
        let replica = take_array(&mut self.rest)?;
        let start = self.rest;
        let entry = take_tail(ReplicaId::from_bytes(replica), &mut self.rest)?;
        let tail = &start[..start.len() - self.rest.len()];
        self.left -= 1;
        if self.left == 0 && !self.rest.is_empty() {
            return Err(CodecError::NotCanonical);
        }
        Ok(StoredEntry { tail, ..entry })
    }
}

/// A replica id, a seq, a time, no payload, and a hash.
const LEAST_BYTES: usize = 16 + 1 + 8 + 1 + 16;

impl<'a> Iterator for StoredEntries<'a> {
    type Item = Result<StoredEntry<'a>, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let entry = self.take();
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

/// Reads an entry of which the replica is known.
pub(crate) fn take_tail<'a>(replica: ReplicaId, rest: &mut &'a [u8]) -> Result<StoredEntry<'a>, CodecError> {
    let start = *rest;
    let seq = take_varint(rest)?;
    let timestamp = u64::from_le_bytes(take_array(rest)?);
    let length = usize::try_from(take_varint(rest)?).map_err(|_| CodecError::Malformed)?;
    if length > PAYLOAD_BYTES {
        return Err(CodecError::Malformed);
    }
    let payload = take(rest, length)?;
    let hash = ContentHash(take_array(rest)?);
    let tail = &start[..start.len() - rest.len()];
    Ok(StoredEntry { dot: Dot::new(replica, seq), timestamp, payload, hash, tail })
}

/// Writes a row: its live entries, in dot order.
pub(crate) fn write_row(entries: &[Entry], out: &mut Vec<u8>) {
    push_varint(entries.len() as u64, out);
    for entry in entries {
        out.extend_from_slice(entry.dot.replica.as_bytes());
        push_varint(entry.dot.seq, out);
        out.extend_from_slice(&entry.timestamp().0.to_le_bytes());
        push_varint(entry.payload.len() as u64, out);
        out.extend_from_slice(&entry.payload);
        out.extend_from_slice(&entry.hash.0);
    }
}

/// At least so many bytes are needed for a row of these entries.
pub(crate) fn row_bytes(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.payload.len() + 56).sum::<usize>() + 2
}

/// Writes a number as postcard does.
pub(crate) fn push_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Reads a number that [`push_varint`] wrote, and no other form of it.
pub(crate) fn take_varint(rest: &mut &[u8]) -> Result<u64, CodecError> {
    match rest.split_first() {
        // Most numbers are short.
        Some((first, tail)) if *first < 0x80 => {
            *rest = tail;
            Ok(u64::from(*first))
        }
        _ => take_long_varint(rest),
    }
}

fn take_long_varint(rest: &mut &[u8]) -> Result<u64, CodecError> {
    let mut number = 0_u64;
    for at in 0..10_u32 {
        let (first, tail) = rest.split_first().ok_or(CodecError::Malformed)?;
        *rest = tail;
        let bits = u64::from(first & 0x7f);
        // The tenth byte has room for one bit.
        if at == 9 && bits > 1 {
            return Err(CodecError::Malformed);
        }
        number |= bits << (7 * at);
        if first & 0x80 == 0 {
            // A last byte of nothing is padding.
            return if *first == 0 && at > 0 { Err(CodecError::NotCanonical) } else { Ok(number) };
        }
    }
    Err(CodecError::Malformed)
}

pub(crate) fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], CodecError> {
    let (taken, tail) = rest.split_at_checked(length).ok_or(CodecError::Malformed)?;
    *rest = tail;
    Ok(taken)
}

pub(crate) fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CodecError> {
    take(rest, N).map(cut)
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;
    use crate::clock::Timestamp;
    use crate::codec;
    use crate::row::{Kind, Object, Payload};

    fn row(entries: Vec<(u8, u64, u64, Vec<u8>)>) -> Vec<Entry> {
        let key = Object::new(Kind::OR_SET, "a").unwrap().row(b"x").unwrap();
        let entry = |(replica, seq, time, payload): (u8, u64, u64, Vec<u8>)| {
            let dot = Dot::new(ReplicaId::from_u128(u128::from(replica) << 100), seq);
            Entry::new(&key, dot, Timestamp(time), Payload::new(payload).unwrap())
        };
        entries.into_iter().map(entry).collect()
    }

    quickcheck! {
        fn a_row_is_what_postcard_makes_of_it(entries: Vec<(u8, u64, u64, Vec<u8>)>) -> bool {
            let row = row(entries);
            let mut bytes = Vec::new();
            write_row(&row, &mut bytes);
            let read: Vec<_> = StoredEntries::of(&bytes).unwrap().map(Result::unwrap).collect();
            let same = read.iter().zip(&row).all(|(read, entry)| {
                read.dot == entry.dot
                    && read.timestamp == entry.timestamp().0
                    && *read.payload == *entry.payload
                    && read.hash == entry.hash
            });
            same && read.len() == row.len() && bytes == codec::encode(&row)
        }

        /// Whatever is done to the bytes: both readers take them, or both refuse them.
        fn what_postcard_refuses_is_refused(
            entries: Vec<(u8, u64, u64, Vec<u8>)>, at: usize, byte: u8, cut: bool
        ) -> bool {
            let mut bytes = codec::encode(&row(entries));
            let at = at % bytes.len();
            bytes[at] ^= byte;
            if cut {
                bytes.truncate(at);
            }
            let whole = StoredEntries::of(&bytes).and_then(|entries| {
                entries.map(|entry| entry.map(|entry| entry.dot)).collect::<Result<Vec<_>, _>>()
            });
            let postcard = codec::decode::<Vec<Entry>>(&bytes);
            postcard.ok().map(|row| row.iter().map(|entry| entry.dot).collect()) == whole.ok()
        }

        fn numbers_are_postcards(number: u64, byte: u8, at: usize) -> bool {
            let mut bytes = Vec::new();
            push_varint(number, &mut bytes);
            let same = bytes == codec::encode(&number) && take_varint(&mut &*bytes) == Ok(number);
            let at = at % bytes.len();
            bytes[at] ^= byte;
            let mut rest = &*bytes;
            let read = take_varint(&mut rest).ok().filter(|_| rest.is_empty());
            same && codec::decode::<u64>(&bytes).ok() == read
        }
    }
}
