//! Histories: what replicas do, and two ways to run it.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use quickcheck::{Arbitrary, Gen};

use super::Lawful;
use super::check::{Broken, MEANING};
use crate::clock::{Timestamp, VersionVector};
use crate::id::ReplicaId;
use crate::row::{Delta, Rows};

/// What a few replicas do, one step after another.
#[derive(Clone, Debug)]
pub struct History<U> {
    /// How many replicas there are: 3 to 5 when generated.
    pub replicas: u8,
    /// What they do.
    pub steps: Vec<Step<U>>,
}

/// One step of one replica. Replicas count round: `by: 7` of five is the third.
#[derive(Clone, Debug)]
pub enum Step<U> {
    /// It makes a transaction.
    Act {
        /// Who.
        by: u8,
        /// When, by its clock, which goes where it likes.
        clock: u8,
        /// What, in this order.
        updates: Vec<U>,
    },
    /// It receives a state that another one was in, possibly long ago.
    Receive {
        /// Who.
        by: u8,
        /// Whose state.
        from: u8,
        /// How many states ago; 0 is the present one.
        age: u8,
    },
}

/// One update of the plain record.
#[derive(Clone, Debug)]
pub struct Write<U> {
    /// Its place among all updates. Of two updates of one replica the later has the larger one.
    pub id: usize,
    /// Who wrote it.
    pub replica: ReplicaId,
    /// When, by the writer's clock.
    pub clock: Timestamp,
    /// Which updates its writer had made or received before, those of the same transaction included.
    pub seen: BTreeSet<usize>,
    /// What was written.
    pub update: U,
}

impl<U> Write<U> {
    /// The order that decides among updates that have not seen each other: the largest wins.
    pub fn rank(&self) -> (Timestamp, ReplicaId, usize) {
        (self.clock, self.replica, self.id)
    }
}

/// The updates that one replica has made or received. With an update it holds all that the update had seen.
#[derive(Debug)]
pub struct Record<'a, U>(Vec<&'a Write<U>>);

impl<'a, U> Record<'a, U> {
    /// The updates, by id.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a Write<U>> {
        self.0.iter().copied()
    }

    /// Whether an update for which `matters` holds had seen `write`.
    pub fn is_seen_by(&self, write: &Write<U>, matters: impl Fn(&U) -> bool) -> bool {
        self.iter().any(|later| later.seen.contains(&write.id) && matters(&later.update))
    }

    /// What was known to the writer of `write`.
    pub fn before(&self, write: &Write<U>) -> Self {
        Self(self.iter().filter(|earlier| write.seen.contains(&earlier.id)).collect())
    }
}

/// A state of a replica, and the updates that it has received by then.
pub(super) struct Version {
    pub(super) rows: Rows,
    pub(super) seen: BTreeSet<usize>,
}

/// A transaction, its first update, and all that its author had received just after it.
pub(super) struct Act {
    pub(super) delta: Delta,
    pub(super) first: usize,
    pub(super) past: VersionVector,
}

/// A history that has been run.
pub(super) struct Universe<V: Lawful> {
    /// For each replica all its states, the first one empty.
    pub(super) replicas: Vec<Vec<Version>>,
    pub(super) acts: Vec<Act>,
    writes: Vec<Write<V::Update>>,
    /// Updates of transactions that changed nothing.
    idle: BTreeSet<usize>,
}

impl<V: Lawful> Universe<V> {
    pub(super) fn run(history: &History<V::Update>) -> Result<Self, Broken> {
        let nothing = || alloc::vec![Version { rows: Rows::new(), seen: BTreeSet::new() }];
        let replicas = (0..history.replicas.max(1)).map(|_| nothing()).collect();
        let mut universe = Self { replicas, acts: Vec::new(), writes: Vec::new(), idle: BTreeSet::new() };
        for step in &history.steps {
            match step {
                Step::Act { by, clock, updates } => universe.act(*by, *clock, updates)?,
                Step::Receive { by, from, age } => universe.receive(*by, *from, *age),
            }
        }
        Ok(universe)
    }

    /// The record of the updates that a state has received.
    pub(super) fn record(&self, seen: &BTreeSet<usize>) -> Record<'_, V::Update> {
        Record(self.writes.iter().filter(|write| seen.contains(&write.id)).collect())
    }

    /// Whether two updates about one thing had not seen each other, both in transactions that changed something.
    pub(super) fn is_concurrent(&self) -> bool {
        let writes = || self.writes.iter().filter(|write| !self.idle.contains(&write.id));
        let concurrent = |a: &Write<V::Update>, b: &Write<V::Update>| {
            // An earlier update never has seen a later one.
            a.id < b.id && !b.seen.contains(&a.id) && V::about(&a.update) == V::about(&b.update)
        };
        writes().any(|b| writes().any(|a| concurrent(a, b)))
    }

    fn act(&mut self, by: u8, clock: u8, updates: &[V::Update]) -> Result<(), Broken> {
        let by = usize::from(by) % self.replicas.len();
        let (replica, clock) = (ReplicaId::from_u128(1 + by as u128), Timestamp(clock.into()));
        let first = self.writes.len();
        let Version { rows, seen } = self.latest(by);
        let (mut rows, mut seen) = (rows.clone(), seen.clone());
        let delta = V::transact(&mut rows, replica, clock, updates);
        let refused = |error| Broken::new(MEANING, format!("the updates {updates:?} were refused: {error}"));
        let delta = delta.map_err(refused)?;
        for update in updates {
            let id = self.writes.len();
            self.writes.push(Write { id, replica, clock, seen: seen.clone(), update: update.clone() });
            seen.insert(id);
        }
        let past = rows.version_vector().clone();
        if delta.is_none() {
            self.idle.extend(first..self.writes.len());
        }
        self.acts.extend(delta.map(|delta| Act { delta, first, past }));
        self.replicas[by].push(Version { rows, seen });
        Ok(())
    }

    fn receive(&mut self, by: u8, from: u8, age: u8) {
        let (by, from) = (usize::from(by) % self.replicas.len(), usize::from(from) % self.replicas.len());
        let versions = &self.replicas[from];
        let message = &versions[versions.len() - 1 - usize::from(age).min(versions.len() - 1)];
        let Version { rows, seen } = self.latest(by);
        let (mut rows, seen) = (rows.clone(), seen | &message.seen);
        V::merge(&mut rows, &message.rows);
        self.replicas[by].push(Version { rows, seen });
    }

    fn latest(&self, by: usize) -> &Version {
        self.replicas[by].last().expect("a replica begins with a state")
    }
}

impl<U: Arbitrary> Arbitrary for History<U> {
    fn arbitrary(g: &mut Gen) -> Self {
        let replicas = 3 + u8::arbitrary(g) % 3;
        let steps = 4 + u8::arbitrary(g) % 16;
        Self { replicas, steps: (0..steps).map(|_| Step::arbitrary(g)).collect() }
    }

    /// Fewer steps, then smaller ones.
    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let replicas = self.replicas;
        Box::new(self.steps.shrink().map(move |steps| Self { replicas, steps }))
    }
}

impl<U: Arbitrary> Arbitrary for Step<U> {
    fn arbitrary(g: &mut Gen) -> Self {
        let by = u8::arbitrary(g) % 5;
        if u8::arbitrary(g) % 5 < 3 {
            // Most transactions are one update; three are enough to overwrite and to remove within one.
            let updates = (0..=u8::arbitrary(g) % 5 / 2).map(|_| U::arbitrary(g)).collect();
            Self::Act { by, clock: u8::arbitrary(g) % 4, updates }
        } else {
            let age = u8::arbitrary(g) % 8;
            Self::Receive { by, from: u8::arbitrary(g) % 5, age: age.saturating_sub(4) }
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        match self.clone() {
            Self::Act { by, clock, updates } => {
                let slower = clock.shrink().map({
                    let updates = updates.clone();
                    move |clock| Self::Act { by, clock, updates: updates.clone() }
                });
                let fewer = updates.shrink().filter(|updates| !updates.is_empty());
                Box::new(fewer.map(move |updates| Self::Act { by, clock, updates }).chain(slower))
            }
            Self::Receive { by, from, age } => {
                Box::new(age.shrink().map(move |age| Self::Receive { by, from, age }))
            }
        }
    }
}
