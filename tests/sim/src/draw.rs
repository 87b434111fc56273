//! Random draws. One `u64` seed and a stream number name a whole sequence of them, on every platform.
//!
//! Each step of a schedule draws from a stream of its own, so that a step can be left out and the others still draw what
//! they drew before: that is what makes a failing schedule shrink.

use rand_core::Rng;
use rand_pcg::Pcg64Mcg;

/// Streams that are not steps.
pub mod stream {
    /// Which faults are on, how large everything is.
    pub const FAULTS: u64 = 1 << 32;
    /// How one machine is configured; the machine's number is added.
    pub const MACHINE: u64 = 2 << 32;
    /// The phase after the faults.
    pub const SETTLE: u64 = 3 << 32;
    /// What is looked at more closely.
    pub const LOOK: u64 = 4 << 32;
    /// What engines get as their random seed; the machine and its life are added.
    pub const ENTROPY: u64 = 5 << 32;
    /// Whether there is a change feed, and how much of it; one more: when its readers read.
    pub const FEED: u64 = 7 << 32;
    /// The shape of the tree, the same for all.
    pub const TREE: u64 = 6 << 32;
}

/// A sequence of draws.
#[derive(Clone, Debug)]
pub struct Draw(Pcg64Mcg);

impl Draw {
    /// The sequence number `stream` under `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        let high = mix(seed ^ mix(stream));
        let low = mix(high ^ seed.rotate_left(32));
        Self(Pcg64Mcg::new(u128::from(high) << 64 | u128::from(low)))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        debug_assert!(end > 0);
        // The bias is below 2^-32 for everything drawn here.
        #[allow(clippy::cast_possible_truncation, reason = "the high half of a product is below `end`")]
        let drawn = ((u128::from(self.number()) * u128::from(end)) >> 64) as u64;
        drawn
    }

    /// An index below `len`, which is not 0.
    #[allow(clippy::cast_possible_truncation, reason = "below a usize")]
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number in `low..=high`.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A number in `low..=high` whose magnitude is uniform: small ones are as likely as large ones.
    pub fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        let bits = |n: u64| u64::from(u64::BITS - n.leading_zeros());
        let bits = self.range(bits(low), bits(high));
        let top = if bits == 0 { 0 } else { 1_u64 << (bits - 1) };
        self.range(top, top.saturating_mul(2).saturating_sub(1).max(top)).clamp(low, high)
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { Some(&items[self.index(items.len())]) }
    }

    /// The index of one of these weights, each as likely as it weighs; `None` when all are 0.
    pub fn weighted(&mut self, weights: &[u32]) -> Option<usize> {
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        if total == 0 {
            return None;
        }
        let mut at = self.below(total);
        weights.iter().position(|weight| {
            let weight = u64::from(*weight);
            let here = at < weight;
            at = at.wrapping_sub(weight);
            here
        })
    }

    /// 32 random bytes.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }
}

/// The finaliser of splitmix64: neighbouring numbers become unrelated ones.
pub const fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_bounds() {
        let mut draw = Draw::new(7, 1);
        for _ in 0..2000 {
            assert!((3..=9).contains(&draw.range(3, 9)));
            assert!((64..=65_536).contains(&draw.magnitude(64, 65_536)));
            assert!(draw.magnitude(0, 0) == 0);
            assert_eq!(draw.weighted(&[0, 4, 0]), Some(1));
        }
        assert_eq!(draw.weighted(&[0, 0]), None);
        assert!(draw.chance(1000) && !draw.chance(0));
    }

    #[test]
    fn streams_of_one_seed_are_unrelated_and_repeatable() {
        assert_ne!(Draw::new(1, 1).number(), Draw::new(1, 2).number());
        assert_ne!(Draw::new(1, 1).number(), Draw::new(2, 1).number());
        assert_eq!(Draw::new(1, 1).number(), Draw::new(1, 1).number());
    }
}
