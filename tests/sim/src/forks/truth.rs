//! What was really written, and what came of it. No rule reads this; a rule only sees chains and puts as opaque names.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use super::store::{Entry, Store};

/// A replica id.
pub(crate) type Replica = u32;
/// A place in the history of a replica id: the end of a delta. 0 is the beginning of every history.
pub(crate) type Chain = u32;
/// The content of an entry; no two puts are the same.
pub(crate) type Put = u32;
/// A transaction.
pub(crate) type Mutation = u32;

/// Where a chain stands.
#[derive(Clone, Copy, Debug)]
struct Link {
    parent: Chain,
    /// The last seq of its delta.
    last: u64,
}

/// A transaction as it was made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// The id that it was first written under.
    pub(crate) replica: Replica,
    puts: Vec<Put>,
    /// Puts that it killed, by its author's own view.
    kills: Vec<Put>,
    /// Its author signs two deltas for one seq: what becomes of its data is its own affair.
    hostile: bool,
    /// Nobody else held it when its author first met another history of its id.
    pub(crate) unpublished: bool,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Truth {
    links: Vec<Link>,
    pub(crate) made: Vec<Made>,
    puts: Put,
    replicas: Replica,
    children: BTreeSet<(Replica, Chain)>,
    forked: BTreeSet<Replica>,
}

impl Truth {
    /// Nothing was written.
    pub(crate) fn new() -> Self {
        Self {
            links: vec![Link { parent: 0, last: 0 }],
            made: Vec::new(),
            puts: 0,
            replicas: 0,
            children: BTreeSet::new(),
            forked: BTreeSet::new(),
        }
    }

    /// An id that nobody ever had.
    pub(crate) fn mint(&mut self) -> Replica {
        self.replicas += 1;
        self.replicas
    }

    /// A content that nobody ever wrote.
    pub(crate) fn put(&mut self) -> Put {
        self.puts += 1;
        self.puts
    }

    /// Continues a history. Two continuations of one place are a fork.
    pub(crate) fn link(&mut self, replica: Replica, parent: Chain, last: u64) -> Chain {
        if !self.children.insert((replica, parent)) {
            self.forked.insert(replica);
        }
        self.links.push(Link { parent, last });
        Chain::try_from(self.links.len() - 1).expect("a schedule is short")
    }

    /// Enters a transaction.
    pub(crate) fn make(
        &mut self,
        replica: Replica,
        puts: Vec<Put>,
        kills: Vec<Put>,
        hostile: bool,
    ) -> Mutation {
        self.made.push(Made { replica, puts, kills, hostile, unpublished: false });
        Mutation::try_from(self.made.len() - 1).expect("a schedule is short")
    }

    /// The last seq at a place.
    pub(crate) fn seq(&self, chain: Chain) -> u64 {
        self.links[chain as usize].last
    }

    /// The seq that a history had `deltas` deltas before a place.
    pub(crate) fn back(&self, mut chain: Chain, deltas: usize) -> u64 {
        for _ in 0..deltas {
            chain = self.links[chain as usize].parent;
        }
        self.seq(chain)
    }

    /// The place where two histories of one id part.
    pub(crate) fn common(&self, mut a: Chain, mut b: Chain) -> Chain {
        while a != b {
            // The later one cannot be part of the earlier one; numbers rise along a history.
            if a > b {
                a = self.links[a as usize].parent;
            } else {
                b = self.links[b as usize].parent;
            }
        }
        a
    }

    /// Whether `early` lies on the history that ends at `late`.
    pub(crate) fn is_within(&self, early: Chain, late: Chain) -> bool {
        self.common(early, late) == early
    }

    /// Whether two histories were ever written under an id.
    pub(crate) fn is_forked(&self, replica: Replica) -> bool {
        self.forked.contains(&replica)
    }

    /// Whether there was any fork.
    pub(crate) fn any_fork(&self) -> bool {
        !self.forked.is_empty()
    }

    /// Compares what is live at the end with what should be. `known` are the transactions that somebody still knows.
    pub(crate) fn judge(&self, stores: &[&Store], known: &BTreeSet<Mutation>) -> Counts {
        let mut counts = Counts { schedules: 1, forked: u64::from(self.any_fork()), ..Counts::default() };
        let live: BTreeSet<Put> = stores.iter().flat_map(|store| store.live.keys()).map(|e| e.put).collect();
        let kept: BTreeSet<Put> = stores.iter().flat_map(|store| store.forks.iter().copied()).collect();
        let made = |number: &Mutation| &self.made[*number as usize];
        let killed: BTreeSet<Put> = known.iter().flat_map(|number| made(number).kills.clone()).collect();
        for made in known.iter().map(made) {
            for put in &made.puts {
                match (live.contains(put), killed.contains(put)) {
                    (false, false) => self.count_lost(&mut counts, made, kept.contains(put)),
                    (true, true) => counts.zombies += 1,
                    (false, true) => counts.kept_dead += u64::from(kept.contains(put)),
                    (true, false) => {}
                }
            }
        }
        let mut places: BTreeMap<Put, BTreeSet<&Entry>> = BTreeMap::new();
        for entry in stores.iter().flat_map(|store| store.live.keys()) {
            places.entry(entry.put).or_default().insert(entry);
        }
        counts.puts = known.iter().map(|number| made(number).puts.len() as u64).sum();
        counts.duplicates = places.values().filter(|dots| dots.len() > 1).count() as u64;
        let differ = stores.windows(2).any(|pair| !pair[0].equals(pair[1]));
        counts.diverged = u64::from(differ);
        counts.harmed = u64::from(counts.lost() > 0);
        counts
    }

    fn count_lost(&self, counts: &mut Counts, made: &Made, kept: bool) {
        let place = if !self.is_forked(made.replica) {
            &mut counts.bystanders
        } else if made.hostile {
            &mut counts.hostile
        } else if made.unpublished {
            &mut counts.unpublished
        } else {
            &mut counts.published
        };
        if kept {
            place.kept += 1;
        } else {
            place.gone += 1;
        }
    }
}

/// Puts that are live nowhere though nothing killed them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Some store's table of forks has them.
    pub kept: u64,
    /// Nobody has them.
    pub gone: u64,
}

impl AddAssign for Lost {
    fn add_assign(&mut self, other: Self) {
        self.kept += other.kept;
        self.gone += other.gone;
    }
}

/// What came of schedules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many schedules.
    pub schedules: u64,
    /// Schedules in which two histories were written under one id.
    pub forked: u64,
    /// Puts that somebody knows at the end.
    pub puts: u64,
    /// Lost by forks whose suffix nobody else held when its author met the other history.
    pub unpublished: Lost,
    /// Lost by forks of which both histories had spread.
    pub published: Lost,
    /// Lost by whoever signed two histories on purpose.
    pub hostile: Lost,
    /// Lost by replicas that never forked.
    pub bystanders: Lost,
    /// Puts live at the end though somebody killed them.
    pub zombies: u64,
    /// Puts live under two dots at the end.
    pub duplicates: u64,
    /// Schedules that did not end with equal states everywhere.
    pub diverged: u64,
    /// Schedules that lost a put of an honest replica.
    pub harmed: u64,
    /// Puts kept in a table of forks though they were killed in order.
    pub kept_dead: u64,
    /// Suffixes renamed by their owners, and branches split.
    pub renames: u64,
    /// Entries written again.
    pub reputs: u64,
}

impl Counts {
    /// Lost puts of honest replicas.
    pub const fn lost(&self) -> u64 {
        let Self { unpublished: u, published: p, bystanders: b, .. } = self;
        u.kept + u.gone + p.kept + p.gone + b.kept + b.gone
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.forked += other.forked;
        self.puts += other.puts;
        self.unpublished += other.unpublished;
        self.published += other.published;
        self.hostile += other.hostile;
        self.bystanders += other.bystanders;
        self.zombies += other.zombies;
        self.duplicates += other.duplicates;
        self.diverged += other.diverged;
        self.harmed += other.harmed;
        self.kept_dead += other.kept_dead;
        self.renames += other.renames;
        self.reputs += other.reputs;
    }
}
