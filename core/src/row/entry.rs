//! Entries: one write of one row, named by its dot, vouched for by its own hash.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::codec::BoundedBytes;
use crate::error::CodecError;
use crate::id::{ContentHash, Dot, cut, domain, hash};
use crate::limits::PAYLOAD_BYTES;
use crate::row::RowKey;
use crate::row::stored::{self, StoredEntries, StoredEntry};

/// What a row holds: bytes that only its view understands. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// A payload of these bytes; `None` beyond [`PAYLOAD_BYTES`].
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() <= PAYLOAD_BYTES).then_some(Self(bytes))
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BoundedBytes::<PAYLOAD_BYTES>::deserialize(deserializer).map(|bytes| Self(bytes.into_vec().into()))
    }
}

/// One live write of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The act that wrote it.
    pub dot: Dot,
    /// When, by the writer's hybrid clock. Breaks ties among concurrent entries of a row.
    #[serde(with = "postcard::fixint::le")]
    timestamp: u64,
    /// What it says.
    pub payload: Payload,
    /// Hash over the row key and all of the above; what the tree is made of.
    pub hash: ContentHash,
}

impl Entry {
    /// The entry that `dot` wrote into row `key`.
    pub fn new(key: &RowKey, dot: Dot, timestamp: Timestamp, payload: Payload) -> Self {
        let hash = content_hash(key, &dot, timestamp, &payload);
        Self { dot, timestamp: timestamp.0, payload, hash }
    }

    /// When it was written, by the writer's hybrid clock.
    pub const fn timestamp(&self) -> Timestamp {
        Timestamp(self.timestamp)
    }

    /// The order that decides among concurrent entries of one row: the largest wins.
    pub const fn rank(&self) -> (Timestamp, Dot) {
        (self.timestamp(), self.dot)
    }

    /// Whether it is what its hash says, as an entry of row `key`. False for damaged storage.
    pub fn is_intact(&self, key: &RowKey) -> bool {
        self.hash == content_hash(key, &self.dot, self.timestamp(), &self.payload)
    }

    /// The stored form of a row: its live entries, in dot order.
    pub(crate) fn encode_row(entries: &[Self]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(stored::row_bytes(entries));
        stored::write_row(entries, &mut bytes);
        bytes
    }

    /// Reads back a stored row and checks every entry against its hash.
    pub(crate) fn decode_row(key: &RowKey, bytes: &[u8]) -> Result<Vec<Self>, CodecError> {
        let read = StoredEntries::of(bytes)?;
        let mut entries = Vec::with_capacity(read.room());
        for entry in read {
            let StoredEntry { dot, timestamp, payload, hash, .. } = entry?;
            if hash != content_hash(key, &dot, Timestamp(timestamp), payload) {
                return Err(CodecError::Malformed);
            }
            entries.push(Self { dot, timestamp, payload: Payload(payload.into()), hash });
        }
        Ok(entries)
    }
}

fn content_hash(key: &RowKey, dot: &Dot, timestamp: Timestamp, payload: &[u8]) -> ContentHash {
    let key = key.as_bytes();
    let key_len = (key.len() as u64).to_le_bytes();
    let parts: [&[u8]; 5] = [&dot.to_bytes(), &timestamp.0.to_le_bytes(), &key_len, key, payload];
    ContentHash(cut(&hash(domain::CONTENT, &parts)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ReplicaId;
    use crate::row::{Kind, Object};

    #[test]
    fn a_stored_row_is_checked_against_its_hashes() {
        let key = Object::new(Kind::OR_SET, "a").unwrap().row(b"x").unwrap();
        let other = Object::new(Kind::OR_SET, "a").unwrap().row(b"y").unwrap();
        let payload = Payload::new(&b"hello"[..]).unwrap();
        let entry = Entry::new(&key, Dot::new(ReplicaId::from_u128(7), 3), Timestamp(9), payload);
        let bytes = Entry::encode_row(core::slice::from_ref(&entry));
        assert_eq!(Entry::decode_row(&key, &bytes).unwrap(), [entry]);
        assert!(Entry::decode_row(&other, &bytes).is_err(), "an entry belongs to one row");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Entry::decode_row(&key, &damaged).is_err(), "bit {bit} flipped unnoticed");
        }
    }
}
