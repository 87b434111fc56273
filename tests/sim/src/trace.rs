//! One hash over everything that happened: two runs of a seed must agree on it. And, when asked, the same as text.

use std::fmt;

/// A running hash, and whether to print.
pub struct Trace {
    hash: blake3::Hasher,
    print: bool,
}

impl Trace {
    /// Nothing happened yet.
    pub fn new(print: bool) -> Self {
        Self { hash: blake3::Hasher::new(), print }
    }

    /// Adds something that happened to a machine. `bytes` says it in full; `line` is for people.
    pub fn note(&mut self, at_us: u64, machine: usize, bytes: &[u8], line: fmt::Arguments<'_>) {
        let mut head = [0; 17];
        head[..8].copy_from_slice(&at_us.to_le_bytes());
        head[8] = u8::try_from(machine).unwrap_or(u8::MAX);
        head[9..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.hash.update(&head);
        self.hash.update(bytes);
        if self.print {
            println!("{:>14} ms  {machine}  {line}", Millis(at_us));
        }
    }

    /// Adds bytes that are not worth a line.
    pub fn hash_only(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    /// The hash so far.
    pub fn hash(&self) -> [u8; 32] {
        *self.hash.finalize().as_bytes()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("print", &self.print).finish_non_exhaustive()
    }
}

/// Microseconds, shown as milliseconds without floating point.
struct Millis(u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:03}", self.0 / 1000, self.0 % 1000))
    }
}
