//! Names: spaces, devices, replicas, dots, and the hashes that vouch for them.
//!
//! A replica id is derived from a device key, a space and a nonce, so nobody can write under another's id and a device
//! can take a new one (a new *incarnation*) whenever reuse of a sequence number is possible.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::error::CodecError;

/// Domain strings of every BLAKE3 hash: two hashes of different meaning never collide.
pub(crate) mod domain {
    pub(crate) const REPLICA: &[u8] = b"rejoin/1/replica";
    pub(crate) const CONTENT: &[u8] = b"rejoin/1/content";
    pub(crate) const CHAIN: &[u8] = b"rejoin/1/chain";
    pub(crate) const CHAIN_START: &[u8] = b"rejoin/1/chain-start";
    pub(crate) const VECTOR: &[u8] = b"rejoin/1/vector";
    pub(crate) const TREE: &[u8] = b"rejoin/1/tree";
    pub(crate) const SESSION: &[u8] = b"rejoin/1/session";
    pub(crate) const SIGNED_HEAD: &[u8] = b"rejoin/1/signed-head";
    pub(crate) const STORED_HEAD: &[u8] = b"rejoin/1/stored-head";
    pub(crate) const GENESIS: &[u8] = b"rejoin/1/genesis";
    pub(crate) const ENTROPY: &[u8] = b"rejoin/1/entropy";
    pub(crate) const IMAGE: &[u8] = b"rejoin/1/image";
    pub(crate) const LIST_RUN: &[u8] = b"rejoin/1/list-run";
    pub(crate) const LIST_ITEM: &[u8] = b"rejoin/1/list-item";
    #[cfg(feature = "document")]
    pub(crate) const DOCUMENT_CONTAINER: &[u8] = b"rejoin/1/document-container";
    pub(crate) const FEED: &[u8] = b"rejoin/1/feed";
    pub(crate) const ONCE: &[u8] = b"rejoin/1/once";
    pub(crate) const PRESENCE: &[u8] = b"rejoin/1/presence";
    pub(crate) const STORED_ACT: &[u8] = b"rejoin/1/stored-act";
}

/// BLAKE3 over a domain and parts. The domain is length-prefixed; callers make their parts self-delimiting.
pub(crate) fn hash(domain: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    #[allow(clippy::cast_possible_truncation, reason = "domains are short constants")]
    let length = [domain.len() as u8];
    // Most of what is hashed is short, and one call over one piece costs half of many over parts.
    let mut whole = [0; SHORT];
    let mut filled = 0;
    for part in [&length, domain].into_iter().chain(parts.iter().copied()) {
        let Some(room) = whole.get_mut(filled..filled + part.len()) else {
            return hash_parts(&length, domain, parts);
        };
        room.copy_from_slice(part);
        filled += part.len();
    }
    *blake3::hash(&whole[..filled]).as_bytes()
}

const SHORT: usize = 256;

fn hash_parts(length: &[u8], domain: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(length);
    hasher.update(domain);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// The same hash over what `write` appends, `room` bytes or so. What is long and has to be put together first is put
/// together behind its domain: only chunks that are there at once are hashed side by side.
pub(crate) fn hash_written(domain: &[u8], room: usize, write: impl FnOnce(&mut Vec<u8>)) -> [u8; 32] {
    let mut whole = Vec::with_capacity(1 + domain.len() + room);
    whole.push(u8::try_from(domain.len()).expect("domains are short constants"));
    whole.extend_from_slice(domain);
    write(&mut whole);
    *blake3::hash(&whole).as_bytes()
}

/// The first `N` bytes of a hash.
pub(crate) fn cut<const N: usize>(hash: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&hash[..N]);
    out
}

/// Writes the impls of a fixed-size byte name: hex `Debug` and `Display`, serde as exactly `N` bytes without a length
/// in binary formats and as hex in readable ones.
macro_rules! bytes_name {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0[..self.0.len().min(4)])
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serialize_bytes(&self.0, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_bytes(deserializer).map(Self)
            }
        }
    };
}

bytes_name!(
    /// A space: the unit of sharing, access and sync. BLAKE3 of its genesis.
    SpaceId, 32
);
bytes_name!(
    /// The public Ed25519 key of a device: the member that vouches for what its replicas write.
    DeviceKey, 32
);
bytes_name!(
    /// An Ed25519 signature.
    Signature, 64
);
bytes_name!(
    /// Head of a replica's hash chain after some delta.
    Chain, 32
);
bytes_name!(
    /// Hash of one entry: replica, seq, timestamp, row key and payload.
    ContentHash, 16
);
bytes_name!(
    /// Root of the canonical tree over a whole state. Equal roots mean equal data.
    Root, 32
);
bytes_name!(
    /// Hash of a whole version vector.
    VectorDigest, 16
);
bytes_name!(
    /// The random part of a replica id.
    Nonce, 16
);

/// One replica of a space: a uuid (version 8) made from a device key, the space and a nonce.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(Uuid);

impl ReplicaId {
    /// The id that `device` has in `space` under `nonce`. Version and variant bits are part of the id, so they are set
    /// before any comparison.
    pub fn derive(device: &DeviceKey, space: &SpaceId, nonce: &Nonce) -> Self {
        let hash = hash(domain::REPLICA, &[&device.0, &space.0, &nonce.0]);
        Self(Uuid::new_v8(cut(&hash)))
    }

    /// A replica id for values that stand alone, without a device: any number that is unique among the replicas.
    pub const fn from_u128(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }

    /// The id with exactly these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The raw bytes, in comparison order.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// As it is printed.
impl FromStr for ReplicaId {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        Uuid::try_parse(text).map(Self).map_err(|_| CodecError::Malformed)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.as_bytes()[12..])
    }
}

impl Serialize for ReplicaId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(self.as_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for ReplicaId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_bytes(deserializer).map(Self::from_bytes)
    }
}

/// One act of one replica: its `seq`-th dot, counted from 1 without gaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// Who acted.
    pub replica: ReplicaId,
    /// Which of its acts, from 1.
    pub seq: u64,
}

impl Dot {
    /// The dot `seq` of `replica`.
    pub const fn new(replica: ReplicaId, seq: u64) -> Self {
        Self { replica, seq }
    }

    /// 24 bytes in comparison order: replica, then seq as big endian.
    pub fn to_bytes(self) -> [u8; 24] {
        let mut out = [0; 24];
        out[..16].copy_from_slice(self.replica.as_bytes());
        out[16..].copy_from_slice(&self.seq.to_be_bytes());
        out
    }

    /// The dot of these bytes; `None` unless there are exactly 24.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (replica, seq) = bytes.split_at_checked(16)?;
        let seq = u64::from_be_bytes(seq.try_into().ok()?);
        Some(Self::new(ReplicaId::from_bytes(cut(replica)), seq))
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.replica, self.seq)
    }
}

pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn serialize_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        struct Hex<'a>(&'a [u8]);
        impl fmt::Display for Hex<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, self.0)
            }
        }
        return serializer.collect_str(&Hex(bytes));
    }
    let mut tuple = serializer.serialize_tuple(bytes.len())?;
    for byte in bytes {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

fn deserialize_bytes<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    struct Bytes<const N: usize>;
    impl<'de, const N: usize> Visitor<'de> for Bytes<N> {
        type Value = [u8; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{N} bytes, or {} hex digits", 2 * N)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
            let mut out = [0; N];
            for (index, byte) in out.iter_mut().enumerate() {
                *byte = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(index, &self))?;
            }
            Ok(out)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<[u8; N], E> {
            parse_hex(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Bytes)
    } else {
        deserializer.deserialize_tuple(N, Bytes)
    }
}

/// Exactly `2 N` lower-case hex digits as `N` bytes.
pub fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if bytes.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (pair, byte) in bytes.chunks_exact(2).zip(&mut out) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_replica_id_is_a_version_8_uuid_bound_to_device_space_and_nonce() {
        let id = |device, space, nonce| {
            ReplicaId::derive(&DeviceKey([device; 32]), &SpaceId([space; 32]), &Nonce([nonce; 16]))
        };
        assert_eq!(id(1, 2, 3).0.get_version_num(), 8);
        let all = [id(1, 2, 3), id(9, 2, 3), id(1, 9, 3), id(1, 2, 9)];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn what_is_written_is_hashed_as_its_parts_are() {
        for length in [0, 1, 255, 1024, 6145] {
            let bytes = alloc::vec![7; length];
            let written = hash_written(domain::TREE, length, |out| out.extend_from_slice(&bytes));
            assert_eq!(written, hash(domain::TREE, &[&bytes]));
        }
    }

    #[test]
    fn a_replica_id_is_read_as_it_is_printed() {
        let id = ReplicaId::from_u128(0x1234_5678_9abc_8000_8000_0000_0000_0001);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "12", "1234567g-9abc-8000-8000-000000000001"] {
            assert_eq!(text.parse::<ReplicaId>(), Err(CodecError::Malformed));
        }
    }

    #[test]
    fn dot_bytes_sort_as_dots_do() {
        let dots = [(1, 1), (1, 255), (1, 256), (2, 1)].map(|(r, s)| Dot::new(ReplicaId::from_u128(r), s));
        for pair in dots.windows(2) {
            assert!(pair[0] < pair[1] && pair[0].to_bytes() < pair[1].to_bytes());
            assert_eq!(Dot::from_bytes(&pair[0].to_bytes()), Some(pair[0]));
        }
        assert_eq!(Dot::from_bytes(&[0; 23]), None);
    }

    #[test]
    fn names_are_hex_in_json_and_bare_bytes_in_postcard() {
        let chain = Chain([0xab; 32]);
        let json = serde_json::to_string(&chain).unwrap();
        assert_eq!(json.len(), 66);
        assert_eq!(serde_json::from_str::<Chain>(&json).unwrap(), chain);
        assert_eq!(postcard::to_allocvec(&chain).unwrap(), [0xab; 32]);
        assert!(serde_json::from_str::<Chain>("\"ABab\"").is_err());
    }
}
