//! Sets of dots that may be large and full of holes: what is live at a peer in a bulk, what is dead there.
//!
//! Problem: of ten million dots every second one may be dead. As runs that is 16 bytes for each that is alive, or 80 MB.
//! Idea: seqs that stand close together but not in a row go into compressed bitmaps (Chambi, Lemire, Kaser and Godin, *Better
//! bitmap performance with Roaring bitmaps*, 2016), at most 8 KiB for 65,536 seqs. Long runs stay runs: they are small for
//! what they hold, and a peer may claim one of 2^63 seqs, which no bitmap takes.

use alloc::collections::BTreeMap;

use roaring::RoaringTreemap;

use crate::id::{Dot, ReplicaId};
use crate::row::{DotRuns, Runs};

/// From so many seqs on a run is long: 16 bytes for it are less than the bits of a bitmap.
const LONG: u64 = 256;

/// See the module page. What is inserted must not be in it yet.
#[derive(Clone, Debug, Default)]
pub struct DotSet(BTreeMap<ReplicaId, Seqs>);

#[derive(Clone, Debug, Default)]
struct Seqs {
    long: Runs,
    short: RoaringTreemap,
}

impl Seqs {
    fn insert_range(&mut self, first: u64, last: u64) {
        if last - first >= LONG {
            self.long.insert_range(first, last);
        } else {
            self.short.insert_range(first..=last);
        }
    }
}

impl DotSet {
    /// Adds a dot.
    pub fn insert(&mut self, dot: Dot) {
        self.0.entry(dot.replica).or_default().short.insert(dot.seq);
    }

    /// Adds all of `runs` of `replica`.
    pub fn insert_runs(&mut self, replica: ReplicaId, runs: &Runs) {
        for (first, last) in runs.iter() {
            self.0.entry(replica).or_default().insert_range(first, last);
        }
    }

    /// Whether it holds the dot.
    pub fn contains(&self, dot: &Dot) -> bool {
        let seqs = self.0.get(&dot.replica);
        seqs.is_some_and(|seqs| seqs.short.contains(dot.seq) || seqs.long.contains(dot.seq))
    }

    /// How many dots it holds, of each replica those above a seq.
    pub fn len_above(&self, seq: impl Fn(&ReplicaId) -> u64) -> u64 {
        let above = |(replica, seqs): (&ReplicaId, &Seqs)| {
            let known = seq(replica);
            let of_run = |(first, last): (u64, u64)| last.saturating_sub(first.max(known + 1) - 1);
            let long = seqs.long.iter().map(of_run).fold(0, u64::saturating_add);
            long.saturating_add(seqs.short.len() - seqs.short.rank(known))
        };
        self.0.iter().map(above).fold(0, u64::saturating_add)
    }

    /// All of it as `(replica, first, last)`: by replica the long runs, then the others, each ascending.
    pub fn runs(&self) -> impl Iterator<Item = (ReplicaId, u64, u64)> + '_ {
        self.0.iter().flat_map(|(replica, seqs)| {
            let runs = seqs.long.iter().chain(short_runs(&seqs.short));
            runs.map(|(first, last)| (*replica, first, last))
        })
    }
}

/// The runs of a bitmap.
fn short_runs(bits: &RoaringTreemap) -> impl Iterator<Item = (u64, u64)> + '_ {
    let mut seqs = bits.iter().peekable();
    core::iter::from_fn(move || {
        let first = seqs.next()?;
        let mut last = first;
        while let Some(next) = seqs.next_if_eq(&(last + 1)) {
            last = next;
        }
        Some((first, last))
    })
}

impl From<&DotRuns> for DotSet {
    fn from(runs: &DotRuns) -> Self {
        let mut set = Self::default();
        runs.iter().for_each(|(replica, runs)| set.insert_runs(*replica, runs));
        set
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use quickcheck::quickcheck;

    use super::*;

    const REPLICA: ReplicaId = ReplicaId::from_u128(1);

    quickcheck! {
        /// Gaps and lengths on both sides of what is long.
        fn it_is_the_set_of_its_dots(parts: Vec<(u8, u16)>, known: u16) -> bool {
            let (mut set, mut dots, mut next) = (DotSet::default(), BTreeSet::new(), 1);
            for (gap, len) in parts {
                let first = next + u64::from(gap);
                let last = first + u64::from(len % 600);
                set.insert_runs(REPLICA, &Runs::from_range(first, last));
                dots.extend(first..=last);
                next = last + 2;
            }
            let listed: BTreeSet<u64> = set.runs().flat_map(|(_, first, last)| first..=last).collect();
            let above = dots.iter().filter(|seq| **seq > u64::from(known)).count() as u64;
            let same = |seq: u64| set.contains(&Dot::new(REPLICA, seq)) == dots.contains(&seq);
            listed == dots && set.len_above(|_| known.into()) == above && (1..=next).all(same)
        }
    }

    #[test]
    fn a_run_of_any_length_costs_nothing() {
        let mut set = DotSet::default();
        set.insert_runs(REPLICA, &Runs::from_range(1, u64::MAX - 1));
        assert!(set.contains(&Dot::new(REPLICA, 1 << 60)));
        assert_eq!(set.len_above(|_| 10), u64::MAX - 11);
        assert_eq!(set.runs().collect::<Vec<_>>(), [(REPLICA, 1, u64::MAX - 1)]);
    }
}
