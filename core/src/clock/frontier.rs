//! The frontier: the maximal dots of a causally closed history.
//!
//! A delta names its past by the author's frontier, usually one or two dots. A delta is named by its last dot.

use alloc::collections::BTreeMap;

use crate::clock::VersionVector;
use crate::id::{Dot, ReplicaId};

/// The last dots of the deltas that no other known delta depends on; at most one for each replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier(BTreeMap<ReplicaId, u64>);

impl Frontier {
    /// A frontier of these dots.
    pub fn from_dots(dots: impl IntoIterator<Item = Dot>) -> Self {
        Self(dots.into_iter().map(|dot| (dot.replica, dot.seq)).collect())
    }

    /// The dots, in order.
    pub fn dots(&self) -> impl Iterator<Item = Dot> + '_ {
        self.0.iter().map(|(replica, seq)| Dot::new(*replica, *seq))
    }

    /// How many dots it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was received yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, dot: &Dot) -> bool {
        self.0.get(&dot.replica) == Some(&dot.seq)
    }

    /// Adds a delta's last dot and takes away what that delta depends on. `covers_all` says that it depends on all of it.
    pub fn advance(&mut self, last: Dot, previous: u64, deps: &[Dot], covers_all: bool) {
        if covers_all {
            self.0.clear();
        }
        for dep in deps {
            if self.contains(dep) {
                self.0.remove(&dep.replica);
            }
        }
        // The author's own previous delta is always in its past, named or not.
        if self.0.get(&last.replica).is_some_and(|seq| *seq <= previous) {
            self.0.remove(&last.replica);
        }
        self.0.insert(last.replica, last.seq);
    }

    /// A maximal dot has another name from now on.
    pub fn rename(&mut self, old: Dot, new: Dot) {
        if self.contains(&old) {
            self.0.remove(&old.replica);
            self.0.insert(new.replica, new.seq);
        }
    }

    /// The frontier of two joined histories, each given with its vector from *before* the join: a maximal dot of one
    /// side stays if the other side has not seen it, or holds it as maximal too.
    pub fn join(&self, mine: &VersionVector, theirs: &Self, their_vv: &VersionVector) -> Self {
        let keep = |dot: &Dot, other: &Self, other_vv: &VersionVector| {
            !other_vv.contains(dot) || other.contains(dot)
        };
        let own = self.dots().filter(|dot| keep(dot, theirs, their_vv));
        Self::from_dots(own.chain(theirs.dots().filter(|dot| keep(dot, self, mine))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(replica: u128, seq: u64) -> Dot {
        Dot::new(ReplicaId::from_u128(replica), seq)
    }

    #[test]
    fn a_delta_takes_the_place_of_what_it_saw() {
        let mut frontier = Frontier::default();
        frontier.advance(dot(1, 1), 0, &[], false);
        frontier.advance(dot(2, 3), 0, &[], false);
        assert_eq!(frontier.len(), 2);
        frontier.advance(dot(1, 2), 1, &[dot(1, 1), dot(2, 3)], false);
        assert_eq!(frontier, Frontier::from_dots([dot(1, 2)]));
    }

    #[test]
    fn a_join_drops_what_the_other_side_has_gone_beyond() {
        // Mine: 1:2. Theirs: 2:1, written after seeing 1:1 only.
        let mine = Frontier::from_dots([dot(1, 2)]);
        let my_vv = VersionVector::from_iter([(ReplicaId::from_u128(1), 2)]);
        let theirs = Frontier::from_dots([dot(2, 1)]);
        let their_vv = [(ReplicaId::from_u128(1), 1), (ReplicaId::from_u128(2), 1)].into_iter().collect();
        assert_eq!(mine.join(&my_vv, &theirs, &their_vv), Frontier::from_dots([dot(1, 2), dot(2, 1)]));
        // Mine: 1:1, which theirs has seen and built upon.
        let old = Frontier::from_dots([dot(1, 1)]);
        let old_vv = VersionVector::from_iter([(ReplicaId::from_u128(1), 1)]);
        assert_eq!(old.join(&old_vv, &theirs, &their_vv), theirs);
    }
}
