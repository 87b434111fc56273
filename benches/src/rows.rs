//! The data: pseudo-random rows, the same for every engine and on every day.
//!
//! A row is a key of 16 characters and a value of 32, both hexadecimal digits: 48 bytes raw with 24 bytes of entropy, so
//! that compression has something to find. Where that would flatter, values are 32 random bytes instead.

use std::fmt::Write;

/// What a row holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Hexadecimal digits.
    Text(String),
    /// Random bytes, which nothing compresses.
    Bytes(Vec<u8>),
}

/// A key and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// 16 hexadecimal digits.
    pub key: String,
    /// 32 characters or bytes.
    pub value: Content,
}

/// Which values a workload writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Content::Text`].
    Hex,
    /// [`Content::Bytes`].
    Random,
}

/// A sequence of numbers that looks random: splitmix64 (Steele, Lea, Flood, Fast splittable pseudorandom number
/// generators, OOPSLA 2014). Two streams share no prefix.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of this name.
    pub fn stream(name: u64) -> Self {
        Self(mix(name ^ 0x5851_f42d_4c95_7f2d))
    }
}

impl Iterator for Numbers {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Some(mix(self.0))
    }
}

/// A number that looks random and follows from `number`.
pub const fn mix(number: u64) -> u64 {
    let mut bits = number;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// `count` rows with keys of their own.
pub fn rows(count: usize, kind: Kind) -> Vec<Row> {
    let keys = Numbers::stream(1).take(count).map(|number| format!("{number:016x}"));
    keys.zip(values(count, 2, kind)).map(|(key, value)| Row { key, value }).collect()
}

/// `count` values; each stream has others.
pub fn values(count: usize, stream: u64, kind: Kind) -> Vec<Content> {
    let mut numbers = Numbers::stream(stream);
    let mut draw = || numbers.next().unwrap_or_default();
    let one = || match kind {
        Kind::Hex => {
            let mut text = String::with_capacity(32);
            for _ in 0..2 {
                let _ = write!(text, "{:016x}", draw());
            }
            Content::Text(text)
        }
        Kind::Random => Content::Bytes((0..4).flat_map(|_| draw().to_le_bytes()).collect()),
    };
    std::iter::repeat_with(one).take(count).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_have_the_size_that_the_goals_name_and_keys_of_their_own() {
        for kind in [Kind::Hex, Kind::Random] {
            let rows = rows(1000, kind);
            let keys: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
            assert_eq!(keys.len(), 1000);
            for row in &rows {
                let length = match &row.value {
                    Content::Text(text) => text.len(),
                    Content::Bytes(bytes) => bytes.len(),
                };
                assert_eq!((row.key.len(), length), (16, 32));
            }
        }
        assert_ne!(values(2, 2, Kind::Hex), values(2, 3, Kind::Hex));
    }
}
