//! The dots that a delta kills, numbered in the order in which its frame lists them: replica by replica, by rising seq.
//!
//! A delta may kill thousands of dots in as many runs and name each of its rows by one of them, so neither direction walks
//! the runs for each.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use crate::row::Runs;

/// See the module page. Replicas are indices of the frame.
pub(crate) struct Killed {
    runs: Vec<Numbered>,
    /// Which runs are of which replica.
    of: BTreeMap<u32, Range<usize>>,
}

struct Numbered {
    /// How many dots come before this run.
    before: u64,
    name: u32,
    first: u64,
    last: u64,
}

impl Killed {
    pub(crate) fn new(kills: &[(u32, Runs)]) -> Self {
        let (mut runs, mut of, mut before) = (Vec::new(), BTreeMap::new(), 0_u64);
        for (name, set) in kills {
            let start = runs.len();
            for (first, last) in set.iter() {
                runs.push(Numbered { before, name: *name, first, last });
                before = before.saturating_add(last - first).saturating_add(1);
            }
            of.insert(*name, start..runs.len());
        }
        Self { runs, of }
    }

    /// The dot with this number.
    pub(crate) fn nth(&self, number: u32) -> Option<(u32, u64)> {
        let number = u64::from(number);
        let at = self.runs.partition_point(|run| run.before <= number).checked_sub(1)?;
        let run = &self.runs[at];
        let seq = run.first.checked_add(number - run.before).filter(|seq| *seq <= run.last)?;
        Some((run.name, seq))
    }

    /// The number of a dot, if it is one of them and the number is small.
    pub(crate) fn number(&self, name: u32, seq: u64) -> Option<u32> {
        let runs = &self.runs[self.of.get(&name)?.clone()];
        let run = runs.get(runs.partition_point(|run| run.last < seq)).filter(|run| run.first <= seq)?;
        u32::try_from(run.before.saturating_add(seq - run.first)).ok()
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn each_dot_has_the_number_of_its_place(sets: Vec<Vec<u8>>) -> bool {
            let sets = sets.iter().filter(|seqs| !seqs.is_empty());
            let kills: Vec<(u32, Runs)> = (0..)
                .map(|name: u32| name * 3)
                .zip(sets.map(|seqs| seqs.iter().map(|seq| u64::from(*seq)).collect()))
                .collect();
            let walk = |(name, runs): &(u32, Runs)| {
                let name = *name;
                runs.iter().flat_map(|(first, last)| first..=last).map(move |seq| (name, seq)).collect::<Vec<_>>()
            };
            let dots: Vec<(u32, u64)> = kills.iter().flat_map(walk).collect();
            let killed = Killed::new(&kills);
            (0..).zip(&dots).all(|(number, dot)| {
                killed.nth(number) == Some(*dot) && killed.number(dot.0, dot.1) == Some(number)
            }) && killed.nth(u32::try_from(dots.len()).unwrap()).is_none()
                && killed.number(1, 1).is_none()
                && kills.iter().all(|(name, _)| killed.number(*name, 300).is_none())
        }
    }

    #[test]
    fn runs_longer_than_numbers_reach_are_no_harm() {
        let all = Runs::from_range(1, u64::MAX - 1);
        let killed = Killed::new(&[(0, all.clone()), (1, all)]);
        assert_eq!(killed.nth(u32::MAX), Some((0, u64::from(u32::MAX) + 1)));
        assert_eq!((killed.number(0, 7), killed.number(1, 7)), (Some(6), None));
    }
}
