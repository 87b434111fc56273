//! One hash over everything that happened: two runs of a seed must agree on it. And, when asked, the same as text.

use std::fmt;

use crate::draw::mix;

/// A running hash, and whether to print. The hash is fast, not secure: nobody chooses what is hashed.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    print: bool,
}

impl Trace {
    /// Nothing happened yet.
    pub const fn new(print: bool) -> Self {
        Self { hash: 0, print }
    }

    /// Adds something that happened to a machine. `bytes` says it in full; `line` is for people.
    pub fn note(&mut self, at_us: u64, machine: usize, bytes: &[u8], line: fmt::Arguments<'_>) {
        self.hash = mix(self.hash ^ at_us ^ (machine as u64) << 56);
        self.add(bytes);
        if self.print {
            println!("{:>14} ms  {machine}  {line}", Millis(at_us));
        }
    }

    /// Adds bytes that are not worth a line.
    pub fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut hash = self.hash ^ bytes.len() as u64;
        for word in words {
            hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.hash = mix(hash ^ u64::from_le_bytes(last));
    }

    /// The hash so far.
    pub const fn hash(&self) -> u64 {
        self.hash
    }
}

/// Microseconds, shown as milliseconds without floating point.
struct Millis(u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:03}", self.0 / 1000, self.0 % 1000))
    }
}
