//! Chains at the ends of a replica's last deltas, cut: enough to compare two histories where no log reaches.
//!
//! A head says where a history stands, its tags say how it came there. With them a replica that was away can be told from
//! one whose store went back in time, and the place where two histories part can be named. Nobody signs tags; whoever
//! ships false ones can make two signed heads look as if they contradicted each other. That decides what is exchanged,
//! never who loses an id: an owner compares with the tags that it made itself.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::BoundedVec;
use crate::id::{Chain, cut};
use crate::limits::HEAD_TAGS;

/// The first eight bytes of a chain.
pub(crate) type ChainTag = [u8; 8];

/// Seqs at which deltas end, rising, with the chain there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tags(BoundedVec<(u64, ChainTag), HEAD_TAGS>);

impl Tags {
    /// Of ends in order: the last ones.
    pub(crate) fn of(mut ends: Vec<(u64, ChainTag)>) -> Self {
        ends.drain(..ends.len().saturating_sub(HEAD_TAGS));
        Self(BoundedVec::new(ends).expect("cut to the bound"))
    }

    /// Adds the end of a delta; the oldest one gives way.
    pub(crate) fn push(&mut self, seq: u64, chain: &Chain) {
        let mut ends = core::mem::take(&mut self.0).into_vec();
        ends.push((seq, cut(&chain.0)));
        *self = Self::of(ends);
    }

    /// The ends, oldest first.
    pub(crate) fn ends(&self) -> impl DoubleEndedIterator<Item = (u64, ChainTag)> + '_ {
        self.0.iter().copied()
    }

    /// Whether these can be tags of a head at `seq`.
    pub(crate) fn precede(&self, seq: u64) -> bool {
        let rising = self.0.windows(2).all(|pair| pair[0].0 < pair[1].0);
        rising
            && self.0.first().is_none_or(|(first, _)| *first > 0)
            && self.0.last().is_none_or(|(last, _)| *last < seq)
    }

    /// Whether the history passes through a place before its head; nothing where they do not reach back to it.
    pub(crate) fn pass(&self, seq: u64, tag: &ChainTag) -> Option<bool> {
        let (first, _) = self.0.first()?;
        (*first <= seq).then(|| self.0.contains(&(seq, *tag)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ends_are_kept_and_tell_histories_apart() {
        let mut tags = Tags::default();
        assert_eq!(tags.pass(1, &[1; 8]), None, "nothing is known");
        for seq in 1..=20_u8 {
            tags.push(u64::from(seq) * 2, &Chain([seq; 32]));
        }
        assert_eq!(tags.ends().count(), HEAD_TAGS);
        assert!(tags.precede(41) && !tags.precede(40));
        assert_eq!(tags.pass(8, &[4; 8]), None, "too long ago");
        assert_eq!(tags.pass(10, &[5; 8]), Some(true));
        assert_eq!(tags.pass(10, &[6; 8]), Some(false), "another chain");
        assert_eq!(tags.pass(11, &[5; 8]), Some(false), "no delta ends there");
    }
}
