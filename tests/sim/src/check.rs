//! The checks after every step: what an engine shows against what the oracle says that it must.

use std::collections::BTreeMap;

use rejoin_core::Dot;
use rejoin_core::row::RowKey;

use crate::counters::Sometimes;
use crate::oracle::{Issued, Mutation, Number, Vector, Violation, broken, check_row, check_winner};
use crate::views::is_view;
use crate::workload::{Done, number as payload_number};
use crate::world::World;

impl World {
    /// After any input: the vector only grew, it covers nothing that its author could lose, and the rows that changed
    /// with it are right.
    pub(crate) fn look_at(&mut self, number: usize) -> Result<(), Violation> {
        self.maybe_read_feed(number)?;
        let seen = self.machines[number].engine().version_vector();
        if seen != self.machines[number].seen {
            let vector = self.plain(number, &seen)?;
            self.machines[number].seen = seen;
            self.check_durable_first(number, &vector)?;
            if !self.oracle.exact {
                let before = core::mem::replace(&mut self.machines[number].view.vector, vector);
                let renamed = self.machines[number].has_renamed();
                if !renamed && !self.machines[number].view.vector.covers(&before) && !self.hostile {
                    return broken("I3", "the vector went back");
                }
                return Ok(());
            }
            let touched = self.machines[number].view.advance(&self.oracle.record, &vector)?;
            for key in touched {
                self.check_key(number, key)?;
            }
        }
        match self.look.below(256) {
            0 => self.check_all(number),
            1..6 => self.check_rows(number),
            _ => Ok(()),
        }
    }

    /// An engine's vector in numbers.
    pub(crate) fn plain(
        &mut self,
        number: usize,
        seen: &rejoin_core::VersionVector,
    ) -> Result<Vector, Violation> {
        let mut vector = Vector::default();
        for (replica, seq) in seen.iter() {
            let author = match self.oracle.record.author(&replica) {
                Some(author) => author,
                None if self.oracle.exact => {
                    return broken("I3", format!("{replica:?} is in a vector and never wrote"));
                }
                None => self.oracle.record.enter(replica, number),
            };
            vector.set(author, seq);
        }
        Ok(vector)
    }

    fn check_durable_first(&self, number: usize, vector: &Vector) -> Result<(), Violation> {
        if !self.oracle.exact {
            return Ok(());
        }
        for (author, seq) in vector.iter() {
            let author = &self.oracle.record.authors[author];
            if author.owner != number && seq > author.durable {
                let what =
                    format!("{:?}:{seq} is seen, its author is safe up to {}", author.id, author.durable);
                return broken("durable first", what);
            }
        }
        Ok(())
    }

    fn check_key(&self, number: usize, key: usize) -> Result<(), Violation> {
        let machine = &self.machines[number];
        let record = &self.oracle.record;
        match machine.row(&record.keys[key]) {
            Ok(entries) => check_row(record, &machine.view, key, &entries),
            Err(error) => broken("store", error),
        }
    }

    /// Everything about one machine: all its rows, and what the engine says about itself.
    pub(crate) fn check_all(&self, number: usize) -> Result<(), Violation> {
        if let Err(error) = self.machines[number].engine().check() {
            return broken("I5", format!("machine {number}: {error}"));
        }
        self.check_receipts(number)?;
        self.check_views(number)?;
        self.check_rows(number)
    }

    /// Nobody is believed to hold durably what is not on its disk. A disk that went back in time is excused: it did.
    fn check_receipts(&self, number: usize) -> Result<(), Violation> {
        let engine = self.machines[number].engine();
        for (session, peer) in self.network.sessions_of(number) {
            // What a peer says of itself is as sound as its stream, both ways.
            let sound = self.oracle.exact && !self.network.is_broken(session);
            let Some(held) = engine.held_by(session).filter(|_| sound) else { continue };
            let disk = self.machines[peer].disk.vector();
            if self.machines[peer].went_back {
                continue;
            }
            for (replica, seq) in held.iter() {
                let author = self.oracle.record.author(&replica);
                let there = author.map_or(0, |author| disk.seq(author));
                if seq > there {
                    let what =
                        format!("{replica:?}:{seq} is believed to be on disk {peer}, which has {there}");
                    return broken("receipts", what);
                }
            }
        }
        Ok(())
    }

    /// All rows of one machine.
    fn check_rows(&self, number: usize) -> Result<(), Violation> {
        if !self.oracle.exact {
            return Ok(());
        }
        let machine = &self.machines[number];
        let record = &self.oracle.record;
        let rows = machine.rows().or_else(|error| broken("store", format!("{error}")))?;
        for (key, entries) in &rows {
            let Some(key) = record.known_key(key) else {
                return broken("I4", format!("nobody ever wrote {key:?}"));
            };
            check_row(record, &machine.view, key, entries)?;
            check_winner(record, &machine.view.vector, key, entries)?;
        }
        if rows.len() != machine.view.len() {
            return broken("I1", format!("{} rows are live of {}", rows.len(), machine.view.len()));
        }
        Ok(())
    }

    /// After a bulk commit nothing is staged that is known.
    pub(crate) fn check_stage(&self, number: usize) -> Result<(), Violation> {
        let engine = self.machines[number].engine();
        let staged = engine.staged().or_else(|error| broken("store", format!("{error}")))?;
        let seen = engine.version_vector();
        match staged.iter().find(|dot| seen.contains(dot)) {
            Some(dot) => broken("F", format!("{dot:?} is staged and in the vector after a bulk commit")),
            None => Ok(()),
        }
    }

    /// A store was opened, or fell back to what is durable: it shows what its disk holds, no less and no more.
    pub(crate) fn opened(&mut self, number: usize) -> Result<(), Violation> {
        let seen = self.machines[number].engine().version_vector();
        let vector = self.plain(number, &seen)?;
        self.machines[number].seen = seen;
        let durable = self.machines[number].disk.vector();
        let shown = self.machines[number].engine().durable_version_vector();
        let shown = self.plain(number, &shown)?;
        // A rename whose commit failed is made again at once, in memory.
        let again = self.machines[number].renames > 0;
        if (shown != durable || (vector != durable && !again)) && !self.hostile {
            return broken(
                "G1",
                format!("machine {number} comes back with {vector:?} instead of {durable:?}"),
            );
        }
        if self.oracle.exact {
            self.machines[number].view.reset(&self.oracle.record, &vector)?;
        } else {
            self.machines[number].view.vector = vector;
        }
        self.check_all(number)?;
        self.carry_out(number)?;
        self.machines[number].set_alarm(self.now);
        Ok(())
    }

    /// A commit was reported: the engine knows exactly that it is durable.
    pub(crate) fn persisted(&mut self, number: usize, vector: &Vector) -> Result<(), Violation> {
        let durable = self.machines[number].engine().durable_version_vector();
        let durable = self.plain(number, &durable)?;
        if durable != *vector && !self.hostile {
            return broken("durable", format!("{vector:?} was committed, the engine says {durable:?}"));
        }
        if self.look.chance(100) { self.check_root(number) } else { Ok(()) }
    }

    /// I6 for the durable state of one machine.
    pub(crate) fn check_root(&mut self, number: usize) -> Result<(), Violation> {
        let root = self.machines[number].engine_mut().root();
        let root = root.or_else(|error| broken("store", format!("{error}")))?;
        let durable = self.machines[number].engine().durable_version_vector();
        let durable = self.plain(number, &durable)?;
        self.oracle.check_root(root, &durable)
    }

    /// A disk holds more now.
    pub(crate) fn made_durable(&mut self, number: usize) {
        let vector = self.machines[number].disk.vector();
        for (author, seq) in vector.iter() {
            let entry = &mut self.oracle.record.authors[author];
            if entry.owner == number {
                entry.durable = entry.durable.max(seq);
            }
        }
    }

    /// What a machine had not made durable is lost, and nobody knew it.
    pub(crate) fn withdraw(&mut self, number: usize) {
        let disk = self.machines[number].disk.vector();
        let down = !self.machines[number].is_up();
        self.oracle.ledger.falls_back(number, &disk, down);
        if !self.oracle.exact {
            return;
        }
        for author in 0..self.oracle.record.authors.len() {
            let entry = &self.oracle.record.authors[author];
            if entry.owner == number {
                let durable = entry.durable;
                self.oracle.record.withdraw(author, durable);
                self.lost_words(author, durable + 1);
            }
        }
    }

    /// Enters what a transaction did into the record.
    pub(crate) fn record(
        &mut self,
        number: usize,
        done: &Done,
        dot: Option<Dot>,
        held: Option<BTreeMap<RowKey, Vec<Number>>>,
    ) -> Result<(), Violation> {
        let past = self.machines[number].view.vector.clone();
        let keys: Vec<usize> = done.iter().map(|(key, _)| self.oracle.record.key(key)).collect();
        let view = &self.machines[number].view;
        let kills: Vec<usize> = keys.iter().flat_map(|key| view.row(*key).iter().copied()).collect();
        let is_plain = |key: &RowKey| !is_view(key);
        let dead = match held {
            Some(held) => {
                done.iter().flat_map(|(key, _)| held.get(key).cloned().unwrap_or_default()).collect()
            }
            None => kills.iter().map(|put| payload_number(&self.oracle.record.puts[*put].payload)).collect(),
        };
        let plain = done.iter().filter(|(key, _)| is_plain(key));
        let new: Vec<Number> = plain
            .filter_map(|(_, payload)| payload.as_ref().map(|payload| payload_number(payload)))
            .collect();
        let puts = done.iter().filter(|(_, payload)| payload.is_some()).count();
        let Some(dot) = dot else {
            // After a fork the record no longer says what is live.
            let changed = puts > 0 || (self.oracle.exact && !kills.is_empty());
            return if changed { broken("H4", "a transaction burnt no dot") } else { Ok(()) };
        };
        let author = self.oracle.record.enter(dot.replica, number);
        if author < self.machines[number].own_from {
            return broken("H6", format!("{:?} is used again by a copied or restored store", dot.replica));
        }
        let first = past.seq(author) + 1;
        if dot.seq < first {
            return broken("H4", "a transaction burnt no dot");
        }
        if !self.oracle.record.between(author, first - 1, u64::MAX).is_empty() {
            self.reuse(number, author, first);
        }
        self.oracle.ledger.wrote(number, (author, first, dot.seq), new, dead);
        if !self.oracle.exact {
            return Ok(());
        }
        if puts == 0 {
            self.counters.saw(Sometimes::RemovalOnly);
        }
        let issued = self.read_back(number, done, author, first..=dot.seq)?;
        let mutation = Mutation { author, first, last: dot.seq, puts: Vec::new(), kills, keys, past };
        if !self.oracle.record.issue(mutation, issued, number) {
            return broken("clock", "an author's timestamps run backwards");
        }
        Ok(())
    }

    /// Read your writes: right after a transaction memory shows it, under the dots that it burnt.
    fn read_back(
        &self,
        number: usize,
        done: &Done,
        author: usize,
        dots: core::ops::RangeInclusive<u64>,
    ) -> Result<Vec<Issued>, Violation> {
        let mut issued = Vec::new();
        let id = self.oracle.record.authors[author].id;
        for (name, payload) in done {
            let Some(payload) = payload else { continue };
            let key = self.oracle.record.known_key(name).expect("it was entered");
            let entries = self.machines[number].row(name).or_else(|error| broken("store", error))?;
            let [entry] = entries.as_slice() else {
                return broken("own writes", format!("{name:?} has {} entries after a put", entries.len()));
            };
            let own = entry.dot.replica == id && dots.contains(&entry.dot.seq);
            let new = issued.iter().all(|other: &Issued| other.seq != entry.dot.seq);
            if entry.payload != *payload || !own || !new {
                return broken("own writes", format!("{name:?} does not show what was just put"));
            }
            let (seq, timestamp) = (entry.dot.seq, entry.timestamp());
            issued.push(Issued { seq, key, payload: payload.clone(), timestamp });
        }
        Ok(issued)
    }

    /// A dot is issued again. Harmless if nobody ever heard of its first use.
    fn reuse(&mut self, number: usize, author: usize, first: u64) {
        let others = self.machines.iter().enumerate().filter(|(other, _)| *other != number);
        let durable = others.clone().any(|(_, other)| other.disk.vector().seq(author) >= first);
        let memory = others.clone().any(|(_, other)| other.view.vector.seq(author) >= first);
        self.oracle.forget_roots();
        self.lost_words(author, first);
        let entry = &mut self.oracle.record.authors[author];
        if !durable && !memory && entry.told < first {
            entry.durable = entry.durable.min(first - 1);
            entry.saved = entry.saved.min(first - 1);
            self.oracle.record.withdraw(author, first - 1);
            return;
        }
        self.counters.saw(Sometimes::DotReused);
        self.oracle.exact = false;
    }
}
