//! One store: heads, live entries, a bounded log, and the id that it writes under.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::truth::{Chain, Put, Replica, Truth};

/// A row.
pub(crate) type Key = u8;

/// A live entry. By rules that know no branches there is at most one for each dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) replica: Replica,
    pub(crate) seq: u64,
    pub(crate) put: Put,
}

/// Where an entry lies, and the end of the delta that put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: Key,
    pub(crate) chain: Chain,
}

/// How much of one history is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) chain: Chain,
    /// The log is complete for it above this seq.
    pub(crate) floor: u64,
    /// The chain at the end of each delta is known from this seq on.
    pub(crate) window: u64,
    /// Two histories were merged by dot under this id.
    pub(crate) mixed: bool,
}

/// What a transaction becomes.
#[derive(Clone, Debug)]
pub(crate) struct Delta {
    pub(crate) replica: Replica,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) previous: Chain,
    pub(crate) chain: Chain,
    pub(crate) puts: Vec<(Entry, Key)>,
    pub(crate) kills: Vec<Entry>,
}

/// The id that a store writes under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) replica: Replica,
    /// The end of its own newest delta.
    pub(crate) chain: Chain,
    /// Up to here its own deltas may be known to others. Always the end of a delta.
    pub(crate) told: Chain,
    /// Where its history stood when the store was opened.
    pub(crate) opened: Chain,
}

/// All of a store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    /// Usually one head for each id; one for each branch where branches are replicas of their own.
    pub(crate) heads: BTreeMap<Replica, Vec<Head>>,
    pub(crate) live: BTreeMap<Entry, Place>,
    pub(crate) log: VecDeque<Rc<Delta>>,
    /// The log keeps so many deltas.
    pub(crate) capacity: usize,
    pub(crate) own: Option<Own>,
    /// Ids that it ever wrote under and signs for.
    pub(crate) mine: BTreeSet<Replica>,
    /// The table of forks.
    pub(crate) forks: BTreeSet<Put>,
}

impl Store {
    /// An empty store.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// The heads of an id.
    pub(crate) fn heads_of(&self, replica: Replica) -> &[Head] {
        self.heads.get(&replica).map_or(&[], Vec::as_slice)
    }

    /// The head of an id that has one history here.
    pub(crate) fn head(&self, replica: Replica) -> Option<Head> {
        match self.heads_of(replica) {
            [head] => Some(*head),
            _ => None,
        }
    }

    /// How many dots of an id are known.
    pub(crate) fn seq(&self, replica: Replica) -> u64 {
        self.heads_of(replica).iter().map(|head| head.seq).max().unwrap_or(0)
    }

    /// Whether rules that merge by dot have merged two histories of an id here.
    pub(crate) fn is_mixed(&self, replica: Replica) -> bool {
        self.heads_of(replica).iter().any(|head| head.mixed)
    }

    /// The live entries of an id with seqs in a range.
    pub(crate) fn entries(&self, replica: Replica, first: u64, last: u64) -> Vec<(Entry, Place)> {
        let from = Entry { replica, seq: first, put: 0 };
        let to = Entry { replica, seq: last, put: Put::MAX };
        if first > last {
            return Vec::new();
        }
        self.live.range(from..=to).map(|(entry, place)| (*entry, *place)).collect()
    }

    /// What is live under a dot.
    pub(crate) fn at(&self, replica: Replica, seq: u64) -> Vec<(Entry, Place)> {
        self.entries(replica, seq, seq)
    }

    /// The live entries of a row.
    pub(crate) fn row(&self, key: Key) -> Vec<Entry> {
        self.live.iter().filter(|(_, place)| place.key == key).map(|(entry, _)| *entry).collect()
    }

    /// Equal vectors, chains and rows: what equal roots stand for.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        let vector = |store: &Self| -> Vec<(Replica, u64, Chain)> {
            let of = |(replica, heads): (&Replica, &Vec<Head>)| {
                let mut heads: Vec<_> = heads.iter().map(|h| (*replica, h.seq, h.chain)).collect();
                heads.sort_unstable();
                heads
            };
            store.heads.iter().flat_map(of).collect()
        };
        self.live == other.live && vector(self) == vector(other)
    }

    /// Whether both have seen the same dots.
    pub(crate) fn same_vector(&self, other: &Self) -> bool {
        let seqs = |store: &Self| -> Vec<(Replica, u64)> {
            store.heads.keys().map(|replica| (*replica, store.seq(*replica))).collect()
        };
        seqs(self) == seqs(other)
    }

    /// The store is opened: whoever took its image may have told all that it holds. `tells` counts it as told.
    pub(crate) fn open(&mut self, tells: bool) {
        if let Some(own) = &mut self.own {
            own.opened = own.chain;
            if tells {
                own.told = own.chain;
            }
        }
    }

    /// Own deltas leave now.
    pub(crate) fn tell(&mut self) {
        if let Some(own) = &mut self.own {
            own.told = own.chain;
        }
    }

    /// Gives up the own id if its history here is not the one that this store wrote.
    pub(crate) fn retire_if_foreign(&mut self) {
        let Some(own) = self.own else { return };
        let sound = match self.heads_of(own.replica) {
            [] => own.chain == 0,
            [head] => head.chain == own.chain && !head.mixed,
            _ => false,
        };
        if !sound {
            self.own = None;
        }
    }

    /// Takes a delta in that fits.
    pub(crate) fn apply(&mut self, delta: &Rc<Delta>) {
        for kill in &delta.kills {
            // A delta names the dot alone, so of two contents whatever lies here dies; unless branches are replicas here.
            let exact = self.heads_of(kill.replica).len() > 1;
            for (entry, _) in self.at(kill.replica, kill.seq) {
                if !exact || entry == *kill {
                    self.live.remove(&entry);
                }
            }
        }
        for (entry, key) in &delta.puts {
            self.live.insert(*entry, Place { key: *key, chain: delta.chain });
        }
        let heads = self.heads.entry(delta.replica).or_default();
        match heads.first_mut() {
            Some(head) => {
                head.seq = delta.last;
                head.chain = delta.chain;
                if head.mixed {
                    head.floor = head.seq;
                }
            }
            None => {
                heads.push(Head { seq: delta.last, chain: delta.chain, floor: 0, window: 0, mixed: false })
            }
        }
        self.log.push_back(Rc::clone(delta));
        self.prune();
    }

    fn prune(&mut self) {
        while self.log.len() > self.capacity {
            let Some(gone) = self.log.pop_front() else { return };
            let Some(heads) = self.heads.get_mut(&gone.replica) else { continue };
            let single = heads.len() == 1;
            for head in heads {
                head.floor = head.floor.max(gone.last.min(head.seq));
                // Where branches are kept apart, the chains since they parted are kept as well.
                if single {
                    head.window = head.window.max(head.floor);
                }
            }
        }
    }

    /// Writes a transaction under the own id: puts go over what is live in their rows, removals leave nothing.
    pub(crate) fn write(&mut self, truth: &mut Truth, writes: &[(Key, bool)]) -> (Vec<Put>, Vec<Put>) {
        let own = self.own.unwrap_or_else(|| Own { replica: truth.mint(), chain: 0, told: 0, opened: 0 });
        let first = truth.seq(own.chain) + 1;
        let kills: Vec<Entry> = writes.iter().flat_map(|(key, _)| self.row(*key)).collect();
        let keys: Vec<Key> = writes.iter().filter(|(_, put)| *put).map(|(key, _)| *key).collect();
        let new: Vec<Put> = keys.iter().map(|_| truth.put()).collect();
        let last = first + (keys.len().max(1) - 1) as u64;
        let chain = truth.link(own.replica, own.chain, last);
        let entry = |seq, put: &Put| Entry { replica: own.replica, seq, put: *put };
        let puts = (first..).zip(&new).map(|(seq, put)| entry(seq, put)).zip(keys).collect();
        let dead = kills.iter().map(|entry| entry.put).collect();
        let replica = own.replica;
        self.apply(&Rc::new(Delta { replica, first, last, previous: own.chain, chain, puts, kills }));
        self.own = Some(Own { chain, ..own });
        self.mine.insert(own.replica);
        (new, dead)
    }
}
