//! The live dots of a leaf on the wire, in the shortest of three forms: runs, gaps, bitmap.
//!
//! Which one is shortest depends on how the leaf came to be: runs where little was removed, a bitmap where every other row
//! was, gaps where little is left. None of them is hashed.

use alloc::vec::Vec;

use crate::codec::{self, BoundedBytes, BoundedVec};
use crate::limits::LEAF_BYTES;
use crate::row::Runs;
use crate::sync::message::LiveSet;

impl LiveSet {
    /// The rising seqs of a range that begins at `first`; at most as many as a leaf has.
    pub(crate) fn new(first: u64, seqs: &[u64]) -> Self {
        let offsets = || seqs.iter().map(|seq| seq - first);
        let runs: Runs = offsets().collect();
        let mut next = 0;
        let pairs = runs.iter().map(|(from, to)| {
            let pair = (from - next, to - from);
            next = to.saturating_add(1);
            pair
        });
        let mut next = 0;
        let gaps = offsets().map(|offset| {
            let gap = offset - next;
            next = offset.saturating_add(1);
            gap
        });
        let leaf = "a leaf has so many dots at most";
        let runs = Self::Runs(BoundedVec::new(pairs.collect()).expect(leaf));
        let gaps = Self::Gaps(BoundedVec::new(gaps.collect()).expect(leaf));
        let forms = [Some(runs), Some(gaps), bitmap(offsets())];
        let size = |form: &Self| codec::encode(form).len();
        forms.into_iter().flatten().min_by_key(size).expect("three forms")
    }

    /// The seqs, or nothing when they do not lie within `first..=last`.
    pub(crate) fn seqs(&self, first: u64, last: u64) -> Option<Runs> {
        let mut set = Runs::default();
        let mut next = first;
        let mut add = |gap: u64, extra: u64| {
            let from = next.checked_add(gap)?;
            let to = from.checked_add(extra).filter(|to| *to <= last)?;
            set.insert_range(from, to);
            next = to.checked_add(1)?;
            Some(())
        };
        match self {
            Self::Runs(runs) => runs.iter().try_for_each(|(gap, extra)| add(*gap, *extra))?,
            Self::Gaps(gaps) => gaps.iter().try_for_each(|gap| add(*gap, 0))?,
            Self::Bitmap(bytes) => {
                for (at, byte) in (0_u64..).zip(bytes.iter()) {
                    for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
                        let seq = first.checked_add(at * 8 + bit).filter(|seq| *seq <= last)?;
                        set.insert(seq);
                    }
                }
            }
        }
        Some(set)
    }
}

fn bitmap(offsets: impl DoubleEndedIterator<Item = u64> + Clone) -> Option<LiveSet> {
    let last = offsets.clone().next_back()?;
    let len = usize::try_from(last / 8).ok().filter(|len| *len < LEAF_BYTES)? + 1;
    let mut bytes: Vec<u8> = alloc::vec![0; len];
    for offset in offsets {
        bytes[usize::try_from(offset / 8).ok()?] |= 1 << (offset % 8);
    }
    BoundedBytes::new(bytes).map(LiveSet::Bitmap)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use quickcheck::quickcheck;

    use super::*;
    use crate::codec::{decode, encode};

    quickcheck! {
        fn a_set_is_read_back(seqs: BTreeSet<u16>, first: u32) -> bool {
            let first = u64::from(first);
            let seqs: Vec<u64> = seqs.into_iter().take(256).map(|seq| first + u64::from(seq)).collect();
            let set = LiveSet::new(first, &seqs);
            let read = decode::<LiveSet>(&encode(&set)).unwrap().seqs(first, first + 65_535);
            read == Some(seqs.into_iter().collect())
        }
    }

    #[test]
    fn the_shortest_form_is_chosen() {
        let all: Vec<u64> = (0..256).collect();
        assert!(matches!(LiveSet::new(0, &all), LiveSet::Runs(_)));
        let half: Vec<u64> = (0..256).filter(|seq| seq * 7 % 13 < 7).collect();
        assert!(matches!(LiveSet::new(0, &half), LiveSet::Bitmap(_)));
        assert!(matches!(LiveSet::new(0, &[3, 90_000, 200_000]), LiveSet::Gaps(_)));
    }

    #[test]
    fn seqs_outside_of_the_range_are_refused() {
        let set = LiveSet::new(16, &[16, 31]);
        assert!(set.seqs(16, 31).is_some());
        assert_eq!(set.seqs(16, 30), None);
        let far = LiveSet::Gaps(BoundedVec::new(alloc::vec![u64::MAX]).unwrap());
        assert_eq!(far.seqs(16, u64::MAX), None);
        let bits = LiveSet::Bitmap(BoundedBytes::new(alloc::vec![0, 1]).unwrap());
        assert_eq!(bits.seqs(0, 7), None);
    }
}
