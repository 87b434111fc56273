//! Machines, images of them, and meetings.

use std::collections::BTreeSet;

use super::merge;
use super::rebase::{self, Heed};
use super::rule::Rule;
use super::store::{Key, Store};
use super::truth::{Counts, Mutation, Truth};

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) store: Store,
    /// What its store took in, by the truth; an image has what was known when it was taken.
    pub(crate) known: BTreeSet<Mutation>,
    /// It signs two histories on purpose, and keeps to no rule of owners.
    hostile: bool,
}

/// Where a meeting breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// After the hellos.
    Hello,
    /// After everything was sent, before anything was committed.
    Sent,
    /// One side committed.
    Half,
    /// It does not.
    Never,
}

/// How images are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Images {
    /// Of machines that are off: the original is opened after it as its copies are.
    Stopped,
    /// Of the disks of machines that run on: copies are opened, the original notices nothing.
    #[default]
    Disk,
    /// Of running machines, memory included: nobody is opened.
    Memory,
}

impl Images {
    /// The kind of a name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "stopped" => Some(Self::Stopped),
            "disk" => Some(Self::Disk),
            "memory" => Some(Self::Memory),
            _ => None,
        }
    }
}

/// All machines under one rule.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) truth: Truth,
    pub(crate) machines: Vec<Machine>,
    /// Of which machine, and what.
    pub(crate) images: Vec<(usize, Machine)>,
    rule: Rule,
    kind: Images,
    spent: Counts,
}

impl World {
    /// Empty machines whose logs keep so many deltas each.
    pub(crate) fn new(rule: Rule, images: Images, logs: &[usize]) -> Self {
        let machine = |capacity: &usize| Machine {
            store: Store::new(*capacity),
            known: BTreeSet::new(),
            hostile: false,
        };
        Self {
            truth: Truth::new(),
            machines: logs.iter().map(machine).collect(),
            images: Vec::new(),
            rule,
            kind: images,
            spent: Counts::default(),
        }
    }

    /// A transaction: each row is put or removed.
    pub(crate) fn write(&mut self, number: usize, writes: &[(Key, bool)]) {
        let machine = &mut self.machines[number];
        let nothing = |(key, put): &(Key, bool)| !put && machine.store.row(*key).is_empty();
        if writes.iter().all(nothing) {
            return;
        }
        let (puts, kills) = machine.store.write(&mut self.truth, writes);
        let replica = machine.store.own.expect("it wrote").replica;
        let made = self.truth.make(replica, puts, kills, machine.hostile);
        machine.known.insert(made);
    }

    /// Takes an image.
    pub(crate) fn image(&mut self, number: usize) {
        if self.kind == Images::Stopped {
            self.machines[number] = self.woken(&self.machines[number]);
        }
        self.images.push((number, self.machines[number].clone()));
    }

    fn woken(&self, machine: &Machine) -> Machine {
        let mut machine = machine.clone();
        if self.kind != Images::Memory {
            machine.store.open(!self.rule.bold);
            if self.rule.fresh {
                machine.store.own = None;
            }
        }
        machine
    }

    /// The machine goes back to an image of itself.
    pub(crate) fn restore(&mut self, image: usize) {
        let (number, machine) = &self.images[image];
        self.machines[*number] = self.woken(machine);
    }

    /// An image comes up as one more machine.
    pub(crate) fn clone_image(&mut self, image: usize) {
        let machine = self.woken(&self.images[image].1);
        self.machines.push(machine);
    }

    /// From now on the machine signs two histories.
    pub(crate) fn equivocate(&mut self, number: usize) {
        self.machines[number].hostile = true;
        self.machines[number].store.mine.clear();
        self.machines.push(self.machines[number].clone());
    }

    /// Two machines sync.
    pub(crate) fn meet(&mut self, a: usize, b: usize, stop: Stop) {
        self.note_unpublished(a, b);
        self.note_unpublished(b, a);
        // Both hellos are on their way before either is read.
        let heeds = [(a, b), (b, a)].map(|(owner, peer)| {
            let (owner, peer) = (&self.machines[owner], &self.machines[peer]);
            rebase::heed(&self.truth, &owner.store, &peer.store, &self.rule)
        });
        for (number, heed) in [a, b].into_iter().zip(heeds) {
            self.act(number, heed);
        }
        if stop == Stop::Hello {
            return;
        }
        self.machines[a].store.tell();
        self.machines[b].store.tell();
        if stop == Stop::Sent {
            return;
        }
        self.pull(a, b);
        if stop != Stop::Half {
            self.pull(b, a);
        }
    }

    fn act(&mut self, number: usize, heed: Heed) {
        let machine = &mut self.machines[number];
        let hostile = Rule { rebase: false, reput: false, ..self.rule };
        let rule = if machine.hostile { hostile } else { self.rule };
        let done = rebase::act(&mut self.truth, &mut machine.store, heed, &rule);
        self.spent.renames += u64::from(done.renamed);
        self.spent.reputs += done.reputs;
    }

    fn pull(&mut self, into: usize, from: usize) {
        let Ok([into, from]) = self.machines.get_disjoint_mut([into, from]) else { return };
        self.spent.renames += merge::pull(&self.truth, &mut into.store, &mut from.store, &self.rule);
        from.store.retire_if_foreign();
        into.known.extend(&from.known);
    }

    /// An author meets another history of its id for the first time: what does nobody else hold?
    fn note_unpublished(&mut self, author: usize, peer: usize) {
        let Some(own) = self.machines[author].store.own else { return };
        let truth = &self.truth;
        let other = |chain| !truth.is_within(chain, own.chain) && !truth.is_within(own.chain, chain);
        let heads = self.machines[peer].store.heads_of(own.replica);
        if !heads.iter().any(|head| head.mixed || other(head.chain)) {
            return;
        }
        let alone = |made: &Mutation| {
            let machines = self.machines.iter().enumerate().filter(|(number, _)| *number != author);
            machines.map(|(_, machine)| machine).all(|machine| !machine.known.contains(made))
        };
        let known = &self.machines[author].known;
        let mine = |made: &Mutation| truth.made[*made as usize].replica == own.replica;
        let held: Vec<Mutation> = known.iter().copied().filter(|made| mine(made) && alone(made)).collect();
        for made in held {
            self.truth.made[made as usize].unpublished = true;
        }
    }

    /// Whether all stores are equal.
    pub(crate) fn is_settled(&self) -> bool {
        self.machines.windows(2).all(|pair| pair[0].store.equals(&pair[1].store))
    }

    /// Everybody meets everybody until nothing changes, for a bounded number of rounds.
    pub(crate) fn settle(&mut self) {
        let most = 4 * self.machines.len() + 8;
        for _ in 0..most {
            for a in 0..self.machines.len() {
                for b in a + 1..self.machines.len() {
                    self.meet(a, b, Stop::Never);
                }
            }
            if self.is_settled() {
                break;
            }
        }
    }

    /// What came of it, after settling.
    pub(crate) fn judge(&self) -> Counts {
        let stores: Vec<&Store> = self.machines.iter().map(|machine| &machine.store).collect();
        let known = self.machines.iter().flat_map(|machine| machine.known.iter().copied()).collect();
        let mut counts = self.truth.judge(&stores, &known);
        counts += self.spent;
        counts
    }
}
