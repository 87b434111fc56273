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
//! * *named*: somebody who had seen one history killed a dot of it, and that delta came where only the other one was known.
//!   A delta names dots, so the other content dies; until the histories meet nobody can know that there are two.

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
    /// By machine and author: how far its own transactions may be known to others.
    told: Vec<BTreeMap<usize, u64>>,
    /// By machine: transactions that it never told of an author that it gave up, until they have another name.
    owed: Vec<Vec<(usize, usize)>>,
    /// Puts that were ever seen in a table of forks. A table that goes back with its store is not what is judged here.
    pub kept: BTreeSet<Number>,
}

/// Transactions by name, and the seq at which two histories of them part.
type History = (BTreeSet<(Name, usize)>, Option<u64>);

fn covers(vector: &Vector, name: &Name) -> bool {
    vector.seq(name.0) >= name.2
}

impl Ledger {
    fn reach(&mut self, machine: usize) {
        let len = self.held.len().max(machine + 1);
        self.held.resize_with(len, BTreeMap::new);
        self.opened.resize(len, 0);
        self.told.resize_with(len, BTreeMap::new);
        self.owed.resize_with(len, Vec::new);
    }

    /// A machine made a transaction.
    pub fn wrote(&mut self, machine: usize, name: Name, puts: Vec<Number>, kills: Vec<Number>) {
        self.reach(machine);
        self.held[machine].insert(self.made.len(), vec![name]);
        self.made.push(Made { machine, name, puts, kills });
    }

    /// A machine is opened: all that it holds counts as told from here on.
    pub fn opened(&mut self, machine: usize, disk: &Vector) {
        self.reach(machine);
        self.told[machine] = disk.iter().collect();
        self.owed[machine].clear();
        self.opened[machine] = self.made.len();
    }

    /// Own transactions of an author leave a machine, up to a seq.
    pub fn tell(&mut self, machine: usize, author: usize, seq: u64) {
        self.reach(machine);
        let told = self.told[machine].entry(author).or_default();
        *told = seq.max(*told);
    }

    /// A machine gives an author up: what it never told of it needs another name.
    pub fn gave_up(&mut self, machine: usize, author: usize) {
        self.reach(machine);
        let told = self.told[machine].get(&author).copied().unwrap_or(0);
        for (number, names) in &self.held[machine] {
            let made = &self.made[*number];
            let mut numbers = made.puts.iter().chain(&made.kills).peekable();
            // What has no numbers, as data types have none, may lie in an image and nobody could tell.
            let imaged = numbers.peek().is_none() || numbers.any(|put| self.imaged.contains(put));
            let untold = names.last().is_some_and(|(of, first, _)| *of == author && *first > told);
            if untold && made.machine == machine && !imaged && !self.is_repeat(*number) {
                self.owed[machine].push((*number, author));
            }
        }
    }

    /// A store went back and removed the same entries again: under a clock that a faster one has pushed ahead that is
    /// the same delta, byte for byte, and one name is right for it.
    fn is_repeat(&self, number: usize) -> bool {
        let made = &self.made[number];
        let same =
            |other: &Made| other.name == made.name && other.puts == made.puts && other.kills == made.kills;
        made.puts.is_empty() && self.made.iter().filter(|other| same(other)).count() > 1
    }

    /// All that an engine had to say about that is heard.
    pub fn check_owed(&mut self, machine: usize) -> Result<(), Violation> {
        self.reach(machine);
        for (number, author) in core::mem::take(&mut self.owed[machine]) {
            let name = self.held[machine].get(&number).and_then(|names| names.last());
            if let Some(name) = name.filter(|name| name.0 == author) {
                return broken(
                    "untold",
                    format!("{name:?} was never told, and keeps the name of a retired id"),
                );
            }
        }
        Ok(())
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
            self.imaged.extend(since.flat_map(|made| made.puts.iter().chain(&made.kills)));
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
    fn histories(&self) -> BTreeMap<usize, History> {
        let mut by_author: BTreeMap<usize, History> = BTreeMap::new();
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

    /// Whether somebody killed a put of another transaction under a dot that a transaction has too.
    fn is_named(number: usize, name: &Name, killed: &[(usize, Name)]) -> bool {
        let mut same = killed.iter().filter(|(other, of)| *other != number && of.0 == name.0);
        same.any(|(_, of)| of.1 <= name.2 && name.1 <= of.2)
    }

    /// The transactions of which somebody killed a put.
    fn killed_names(&self) -> Vec<(usize, Name)> {
        let made = self.made.iter().enumerate();
        let by_put: BTreeMap<Number, usize> =
            made.flat_map(|(number, made)| made.puts.iter().map(move |put| (*put, number))).collect();
        let killed = self.made.iter().flat_map(|made| &made.kills).filter_map(|put| by_put.get(put));
        killed.map(|number| (*number, self.made[*number].name)).collect()
    }

    /// Judges what is live at the end, everywhere the same. Says how many puts are only in a table of forks.
    pub fn judge(&self, live: &[Number]) -> Result<u64, Violation> {
        let histories = self.histories();
        let parted = |author: usize| histories.get(&author).and_then(|(_, parted)| *parted);
        let too_long = |author: usize| {
            let Some((names, Some(parted))) = histories.get(&author) else { return false };
            names.iter().filter(|((_, _, last), _)| last >= parted).count() > HEAD_TAGS
        };
        let sure: BTreeMap<usize, Name> = self
            .held
            .iter()
            .flatten()
            .filter_map(|(number, names)| Some((*number, *names.last()?)))
            .collect();
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
        let named = self.killed_names();
        let mut kept = 0;
        for (number, name) in &sure {
            let lost =
                |put: &&Number| !seen.contains(put) && !killed.contains(put) && !self.imaged.contains(put);
            for put in self.made[*number].puts.iter().filter(lost) {
                let forked = parted(name.0).is_some();
                if self.kept.contains(put) && forked {
                    kept += 1;
                } else if blind || (forked && Self::is_named(*number, name, &named)) {
                    continue;
                } else if !forked {
                    return broken("I1", format!("put {put} of {name:?}, which never forked, is gone"));
                } else {
                    return broken("forks", format!("put {put} of {name:?} is gone without trace"));
                }
            }
        }
        Ok(kept)
    }
}
