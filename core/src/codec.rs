//! Bounded, canonical bytes.
//!
//! Everything that crosses a trust boundary is postcard behind types that know their bound, because plain postcard is
//! generous: five bytes can claim 10^10 empty items, a varint may be padded, trailing bytes are ignored. Two rules close
//! that: a sequence is refused by its *claimed* length before anything is allocated, and bytes are accepted only if
//! encoding what they decode to gives the same bytes. So one meaning has one encoding, and hashes of bytes are hashes of
//! meanings. No wire type is recursive.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

use postcard::ser_flavors::Flavor;
use serde::de::{self, DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::CodecError;

/// Encodes a value of ours. Our own types always encode; a failure is a bug here, so it panics.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    // postcard pushes byte by byte: most values fit without growing.
    let room = Vec::with_capacity(ROOM);
    postcard::to_extend(value, room).expect("types of this crate encode into memory")
}

const ROOM: usize = 128;

/// Decodes bytes that somebody else may have written: all of them, canonical, within bounds.
pub fn decode<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes).map_err(|_| CodecError::Malformed)?;
    if !rest.is_empty() || !encodes_to(&value, bytes) {
        return Err(CodecError::NotCanonical);
    }
    Ok(value)
}

/// Whether a value encodes to exactly these bytes, found out without encoding it into memory.
fn encodes_to<T: Serialize>(value: &T, bytes: &[u8]) -> bool {
    postcard::serialize_with_flavor(value, Expected(bytes)) == Ok(true)
}

/// Takes bytes as long as they are those that are left.
struct Expected<'a>(&'a [u8]);

impl Flavor for Expected<'_> {
    type Output = bool;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0 = self.0.strip_prefix(bytes).ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    fn finalize(self) -> postcard::Result<bool> {
        Ok(self.0.is_empty())
    }
}

/// A vector of at most `MAX` items. The bound is checked on the claimed length, before allocating.
#[derive(Clone, PartialEq, Eq)]
pub struct BoundedVec<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> BoundedVec<T, MAX> {
    /// Wraps items; `None` when there are more than `MAX`.
    pub fn new(items: Vec<T>) -> Option<Self> {
        (items.len() <= MAX).then_some(Self(items))
    }

    /// The items.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for BoundedVec<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for BoundedVec<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: fmt::Debug, const MAX: usize> fmt::Debug for BoundedVec<T, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize, const MAX: usize> Serialize for BoundedVec<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for BoundedVec<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let claimed = seq.size_hint().unwrap_or(0);
                if claimed > MAX {
                    return Err(de::Error::invalid_length(claimed, &self));
                }
                // A short frame may still claim MAX items: grow with what really arrives.
                let mut items = Vec::with_capacity(claimed.min(64));
                while let Some(item) = seq.next_element()? {
                    if items.len() == MAX {
                        return Err(de::Error::invalid_length(MAX + 1, &self));
                    }
                    items.push(item);
                }
                Ok(items)
            }
        }
        deserializer.deserialize_seq(Items::<T, MAX>(PhantomData)).map(Self)
    }
}

/// A byte string of at most `MAX` bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct BoundedBytes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> BoundedBytes<MAX> {
    /// Wraps bytes; `None` when there are more than `MAX`.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= MAX).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> Deref for BoundedBytes<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for BoundedBytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<const MAX: usize> Serialize for BoundedBytes<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for BoundedBytes<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes<const MAX: usize>;
        impl<'de, const MAX: usize> Visitor<'de> for Bytes<MAX> {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX} bytes")
            }

            // postcard lends the bytes from its input, so nothing is allocated before the bound is checked.
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                if bytes.len() > MAX {
                    return Err(E::invalid_length(bytes.len(), &self));
                }
                Ok(bytes.to_vec())
            }

            // JSON has no bytes: there they are a list of numbers.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    if bytes.len() == MAX {
                        return Err(de::Error::invalid_length(MAX + 1, &self));
                    }
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }
        deserializer.deserialize_bytes(Bytes::<MAX>).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    type Few = BoundedVec<u64, 4>;

    #[test]
    fn a_claimed_length_over_the_bound_is_refused_before_allocating() {
        // 2^40 items claimed in six bytes.
        assert!(decode::<Few>(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x20]).is_err());
        assert!(decode::<BoundedVec<u64, { usize::MAX }>>(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x20]).is_err());
        assert!(decode::<BoundedBytes<3>>(&[4, 1, 2, 3, 4]).is_err());
        assert_eq!(decode::<BoundedBytes<4>>(&[4, 1, 2, 3, 4]).unwrap().into_vec(), vec![1, 2, 3, 4]);
    }

    #[test]
    fn bytes_come_back_from_json_within_their_bound() {
        let bytes = BoundedBytes::<3>::new(vec![0, 128, 255]).unwrap();
        let json = serde_json::to_string(&bytes).unwrap();
        assert_eq!(serde_json::from_str::<BoundedBytes<3>>(&json).unwrap(), bytes);
        assert!(serde_json::from_str::<BoundedBytes<2>>(&json).is_err());
    }

    #[test]
    fn one_meaning_has_one_encoding() {
        assert_eq!(decode::<u64>(&[5]), Ok(5));
        // The same 5 as a padded varint, and 5 with a byte behind it.
        assert_eq!(decode::<u64>(&[0x85, 0x80, 0x00]), Err(CodecError::NotCanonical));
        assert_eq!(decode::<u64>(&[5, 0]), Err(CodecError::NotCanonical));
        assert_eq!(decode::<u64>(&[]), Err(CodecError::Malformed));
    }
}
