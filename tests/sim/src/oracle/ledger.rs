//! What is owed at the end, also when dots mean two things: by payloads, which no two puts share, and not by dots.
//!
//! The record says what a vector means, and once an id has two histories a vector means nothing exact any more. The ledger
//! keeps who made each transaction, what it put and killed as its author saw it, and which disks still hold it. At the
//! end, when all stores are equal, what some disk has held without a break since its author made it is *sure*:
//!
//! * no payload is live twice;
//! * what a sure transaction killed is dead;
//! * a sure put that no transaction ever killed is live, under whatever name, if its id has one history; if it has two, it
//!   is live, or some table of forks has had it.
//!
//! What is not held to that, and why:
//! * *imaged*: an image of a running machine (or one from before a rename) was told by somebody else than its owner, who
//!   takes what it never told for its secret and renames it. So it is there twice, or once after somebody removed it.
//! * *too long*: an id with more transactions since its histories part than a head has tags. Nobody can see then that a merge
//!   is one of two histories, so it kills what it does not know and sets nothing aside.

use std::collections::{BTreeMap, BTreeSet};

use rejoin_core::limits::HEAD_TAGS;

use super::{Vector, Violation, broken};

/// The number that each payload begins with.
pub type Number = u64;

/// The name of a transaction: author, first and last seq.
type Name = (usize, u64, u64);

#[derive(Clone, Debug)]
struct Made {
    machine: usize,
    name: Name,
    puts: Vec<Number>,
    kills: Vec<Number>,
}

/// See the module page.
#[derive(Debug, Default)]
pub struct Ledger {
    made: Vec<Made>,
    /// By machine: the transactions that its disk has held since they were made, and their names there, oldest first.
    held: Vec<BTreeMap<usize, Vec<Name>>>,
    /// By machine: the first transaction since it was opened.
    opened: Vec<usize>,
    imaged: BTreeSet<Number>,
    /// Puts that were ever seen in a table of forks. A table that goes back with its store is not what is judged here.
    pub kept: BTreeSet<Number>,
}

/// What came of a schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Puts that a table of forks has.
    pub kept: u64,
    /// Puts that are gone, and nobody could have known.
    pub gone: u64,
}

fn covers(vector: &Vector, name: &Name) -> bool {
    vector.seq(name.0) >= name.2
}

impl Ledger {
    fn reach(&mut self, machine: usize) {
        let len = self.held.len().max(machine + 1);
        self.held.resize_with(len, BTreeMap::new);
        self.opened.resize(len, 0);
    }

    /// A machine made a transaction.
    pub fn wrote(&mut self, machine: usize, name: Name, puts: Vec<Number>, kills: Vec<Number>) {
        self.reach(machine);
        self.held[machine].insert(self.made.len(), vec![name]);
        self.made.push(Made { machine, name, puts, kills });
    }

    /// A machine is opened: all that it holds counts as told from here on.
    pub fn opened(&mut self, machine: usize) {
        self.reach(machine);
        self.opened[machine] = self.made.len();
    }

    /// A machine has no more than what its disk holds.
    pub fn falls_back(&mut self, machine: usize, disk: &Vector, reopened: bool) {
        self.reach(machine);
        let Self { held, made, imaged, .. } = self;
        held[machine].retain(|number, names| {
            let known = names.iter().any(|name| covers(disk, name));
            if reopened && known {
                let before = names.len();
                while names.last().is_some_and(|name| !covers(disk, name)) {
                    names.pop();
                }
                // Its new name is known elsewhere, and here it has its old one again.
                if names.len() < before {
                    imaged.extend(&made[*number].puts);
                }
            }
            known
        });
    }

    /// A machine's disk is copied.
    pub fn copied(&mut self, machine: usize, copy: usize, running: bool) {
        self.reach(machine.max(copy));
        self.held[copy] = self.held[machine].clone();
        if running {
            let since = self.made.iter().skip(self.opened[machine]).filter(|made| made.machine == machine);
            self.imaged.extend(since.flat_map(|made| &made.puts));
        }
    }

    /// A machine renamed what it had not told of an author.
    pub fn renamed(&mut self, machine: usize, old: usize, after: u64, new: usize) {
        self.reach(machine);
        for names in self.held[machine].values_mut() {
            if let Some((author, first, last)) = names.last().copied()
                && author == old
                && first > after
            {
                names.push((new, first - after, last - after));
            }
        }
    }

    /// By author: the names that transactions have now, and where the histories part, if there are two.
    fn histories(&self) -> BTreeMap<usize, (BTreeSet<(Name, usize)>, Option<u64>)> {
        let mut by_author: BTreeMap<usize, (BTreeSet<(Name, usize)>, Option<u64>)> = BTreeMap::new();
        let mut named: BTreeSet<usize> = BTreeSet::new();
        let mut enter = |name: Name, number: usize| {
            by_author.entry(name.0).or_default().0.insert((name, number));
        };
        for (number, names) in self.held.iter().flatten() {
            named.insert(*number);
            names.last().iter().for_each(|name| enter(**name, *number));
        }
        for (number, made) in self.made.iter().enumerate().filter(|(number, _)| !named.contains(number)) {
            enter(made.name, number);
        }
        for (names, parted) in by_author.values_mut() {
            let mut end = 0;
            for ((_, first, last), _) in names.iter() {
                if *first <= end {
                    *parted = Some(parted.map_or(*first, |at| at.min(*first)));
                }
                end = end.max(*last);
            }
        }
        by_author
    }

    /// Judges what is live at the end, everywhere the same.
    pub fn judge(&self, live: &[Number]) -> Result<Verdict, Violation> {
        let histories = self.histories();
        let parted = |author: usize| histories.get(&author).and_then(|(_, parted)| *parted);
        let too_long = |author: usize| {
            let Some((names, Some(parted))) = histories.get(&author) else { return false };
            names.iter().filter(|((_, _, last), _)| last >= parted).count() > HEAD_TAGS
        };
        let sure: BTreeMap<usize, Name> =
            self.held.iter().flatten().filter_map(|(number, names)| Some((*number, *names.last()?))).collect();
        let mut seen = BTreeSet::new();
        for put in live {
            if !seen.insert(*put) && !self.imaged.contains(put) {
                return broken("forks", format!("put {put} is live twice"));
            }
        }
        let blind = sure.values().any(|name| too_long(name.0));
        for (number, name) in &sure {
            let zombie = self.made[*number].kills.iter().find(|put| seen.contains(put));
            if let Some(put) = zombie.filter(|put| !self.imaged.contains(put) && !blind) {
                return broken("forks", format!("put {put} was killed by {name:?} and is live"));
            }
        }
        let killed: BTreeSet<Number> = self.made.iter().flat_map(|made| made.kills.iter().copied()).collect();
        let mut verdict = Verdict::default();
        for (number, name) in &sure {
            let lost = |put: &&Number| !seen.contains(put) && !killed.contains(put) && !self.imaged.contains(put);
            for put in self.made[*number].puts.iter().filter(lost) {
                if self.kept.contains(put) && parted(name.0).is_some() {
                    verdict.kept += 1;
                } else if blind {
                    verdict.gone += 1;
                } else if parted(name.0).is_none() {
                    return broken("I1", format!("put {put} of {name:?}, which never forked, is gone"));
                } else {
                    return broken("forks", format!("put {put} of {name:?} is gone without trace"));
                }
            }
        }
        Ok(verdict)
    }
}
