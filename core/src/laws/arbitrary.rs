//! Random core types for property tests. They come from small universes, so that they meet.

use alloc::boxed::Box;
use alloc::vec::Vec;

use quickcheck::{Arbitrary, Gen};

use crate::clock::{Timestamp, VersionVector};
use crate::id::{DeviceKey, Dot, ReplicaId, SpaceId};
use crate::row::{DotRuns, Kind, Object, Payload, RowKey, Runs};
use crate::value::{Value, encode_element};

/// One of four spaces.
impl Arbitrary for SpaceId {
    fn arbitrary(g: &mut Gen) -> Self {
        Self([u8::arbitrary(g) % 4; 32])
    }
}

/// One of four devices.
impl Arbitrary for DeviceKey {
    fn arbitrary(g: &mut Gen) -> Self {
        Self([u8::arbitrary(g) % 4; 32])
    }
}

/// One of four replicas.
impl Arbitrary for ReplicaId {
    fn arbitrary(g: &mut Gen) -> Self {
        Self::from_u128(1 + u128::arbitrary(g) % 4)
    }
}

/// One of the first dots of a replica, rarely one of its last.
impl Arbitrary for Dot {
    fn arbitrary(g: &mut Gen) -> Self {
        let seq = match u64::arbitrary(g) % 20 {
            0 => u64::MAX - 2 - u64::arbitrary(g) % 8,
            small => small,
        };
        Self::new(ReplicaId::arbitrary(g), seq)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let replica = self.replica;
        Box::new(self.seq.shrink().filter(|seq| *seq > 0).map(move |seq| Self::new(replica, seq)))
    }
}

/// Times that often coincide.
impl Arbitrary for Timestamp {
    fn arbitrary(g: &mut Gen) -> Self {
        Self(u64::arbitrary(g) % 8)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}

/// What a few replicas have done.
impl Arbitrary for VersionVector {
    fn arbitrary(g: &mut Gen) -> Self {
        Vec::<Dot>::arbitrary(g).into_iter().map(|dot| (dot.replica, dot.seq)).collect()
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let entries: Vec<_> = self.iter().collect();
        Box::new(entries.shrink().map(|entries| entries.into_iter().collect()))
    }
}

/// Sets of seqs with gaps.
impl Arbitrary for Runs {
    fn arbitrary(g: &mut Gen) -> Self {
        Vec::<Dot>::arbitrary(g).into_iter().map(|dot| dot.seq).collect()
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let runs: Vec<_> = self.iter().collect();
        let sound = |runs: &Vec<(u64, u64)>| runs.iter().all(|(first, last)| 1 <= *first && first <= last);
        Box::new(runs.shrink().filter(sound).map(|runs| {
            let mut set = Self::default();
            runs.into_iter().for_each(|(first, last)| set.insert_range(first, last));
            set
        }))
    }
}

/// Sets of dots with gaps.
impl Arbitrary for DotRuns {
    fn arbitrary(g: &mut Gen) -> Self {
        Vec::<Dot>::arbitrary(g).into_iter().collect()
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let runs: Vec<_> = self.iter().map(|(replica, runs)| (*replica, runs.clone())).collect();
        Box::new(runs.shrink().map(|runs| {
            let mut set = Self::default();
            runs.iter().for_each(|(replica, runs)| set.insert_runs(*replica, runs));
            set
        }))
    }
}

/// Rows of a few objects, of known kinds and of one that no version knows.
impl Arbitrary for RowKey {
    fn arbitrary(g: &mut Gen) -> Self {
        let kind = Kind(*g.choose(&[1, 2, 3, 4, 5, 6, 7, 0xee]).expect("there are some"));
        let path = *g.choose(&["a", "a/b", "b", "ä"]).expect("there are some");
        let element = if bool::arbitrary(g) { Value::Bool(bool::arbitrary(g)) } else { Value::arbitrary(g) };
        let object = Object::new(kind, path).expect("the paths are sound");
        // A random value may be too long for a key.
        let element = encode_element(&element).unwrap_or_default();
        object.row(&element).or_else(|_| object.row(&[])).expect("the paths are short")
    }
}

/// A few bytes.
impl Arbitrary for Payload {
    fn arbitrary(g: &mut Gen) -> Self {
        Self::new(Vec::<u8>::arbitrary(g)).expect("a random vector is short")
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.to_vec().shrink().filter_map(Self::new))
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;
    use crate::codec::{decode, encode};
    use crate::row::Entry;

    quickcheck! {
        fn everything_decodes_to_what_was_encoded(
            vector: VersionVector, dots: DotRuns, key: RowKey, payload: Payload, dot: Dot, timestamp: Timestamp
        ) -> bool {
            let entry = Entry::new(&key, dot, timestamp, payload);
            decode(&encode(&vector)) == Ok(vector)
                && decode(&encode(&dots)) == Ok(dots)
                && decode(&encode(&key)) == Ok(key.clone())
                && RowKey::from_bytes(key.as_bytes()) == Ok(key.clone())
                && Dot::from_bytes(&dot.to_bytes()) == Some(dot)
                && decode(&encode(&entry)) == Ok(entry.clone())
                && entry.is_intact(&key)
        }

        fn what_shrinks_stays_sound(dots: DotRuns, vector: VersionVector) -> bool {
            dots.shrink().take(50).all(|dots| decode(&encode(&dots)) == Ok(dots))
                && vector.shrink().take(50).all(|vector| decode(&encode(&vector)) == Ok(vector))
        }
    }
}
