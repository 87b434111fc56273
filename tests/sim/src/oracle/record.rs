//! What was issued: mutations, their puts and kills, by whom and after having seen what.

use std::collections::BTreeMap;

use rejoin_core::row::{Payload, RowKey};
use rejoin_core::{ReplicaId, Timestamp};

use super::Vector;

/// One replica id.
#[derive(Clone, Debug)]
pub struct Author {
    /// The id.
    pub id: ReplicaId,
    /// The machine that wrote under it last.
    pub owner: usize,
    /// Its mutations that were not lost, oldest first.
    pub mutations: Vec<usize>,
    /// The largest seq that was ever on its owner's disk.
    pub durable: u64,
    /// The largest seq that anybody else may have heard of.
    pub told: u64,
    /// The largest seq that must not be lost: it was reported as saved.
    pub saved: u64,
    /// Puts by seq.
    puts: BTreeMap<u64, usize>,
    newest: Timestamp,
}

/// One transaction.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// Who.
    pub author: usize,
    /// Its first dot.
    pub first: u64,
    /// Its last dot.
    pub last: u64,
    /// What it left live.
    pub puts: Vec<usize>,
    /// Puts that were live in the rows that it replaced or removed.
    pub kills: Vec<usize>,
    /// Rows that it replaced or removed.
    pub keys: Vec<usize>,
    /// What its author had seen just before.
    pub past: Vector,
}

/// One put that outlived its transaction.
#[derive(Clone, Debug)]
pub struct Put {
    /// Who.
    pub author: usize,
    /// Its dot.
    pub seq: u64,
    /// Its row.
    pub key: usize,
    /// What it says; no two puts say the same.
    pub payload: Payload,
    /// When, by its author's clock.
    pub timestamp: Timestamp,
    /// Its transaction.
    pub mutation: usize,
    /// Mutations that killed it.
    pub killers: Vec<usize>,
}

/// A put as it was read back right after the write.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Its dot.
    pub seq: u64,
    /// Its row.
    pub key: usize,
    /// What it says.
    pub payload: Payload,
    /// When.
    pub timestamp: Timestamp,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Record {
    /// By author number.
    pub authors: Vec<Author>,
    /// By mutation number. Lost ones stay, but no author lists them.
    pub mutations: Vec<Mutation>,
    /// By put number.
    pub puts: Vec<Put>,
    /// By row number.
    pub keys: Vec<RowKey>,
    /// Mutations that touched a row, by row number.
    pub touches: Vec<Vec<usize>>,
    ids: BTreeMap<ReplicaId, usize>,
    key_numbers: BTreeMap<RowKey, usize>,
}

impl Record {
    /// The number of a replica id, if it ever wrote.
    pub fn author(&self, id: &ReplicaId) -> Option<usize> {
        self.ids.get(id).copied()
    }

    /// The number of a replica id, new ones included.
    pub fn enter(&mut self, id: ReplicaId, owner: usize) -> usize {
        let next = self.authors.len();
        let number = *self.ids.entry(id).or_insert(next);
        if number == next {
            let (mutations, puts) = Default::default();
            let newest = Timestamp::default();
            self.authors.push(Author { id, owner, mutations, durable: 0, told: 0, saved: 0, puts, newest });
        }
        number
    }

    /// The number of a row, new ones included.
    pub fn key(&mut self, key: &RowKey) -> usize {
        if let Some(number) = self.key_numbers.get(key) {
            return *number;
        }
        let number = self.keys.len();
        self.key_numbers.insert(key.clone(), number);
        self.keys.push(key.clone());
        self.touches.push(Vec::new());
        number
    }

    /// The number of a row that somebody wrote or could write.
    pub fn known_key(&self, key: &RowKey) -> Option<usize> {
        self.key_numbers.get(key).copied()
    }

    /// The put with a dot.
    pub fn put_at(&self, author: usize, seq: u64) -> Option<usize> {
        self.authors.get(author)?.puts.get(&seq).copied()
    }

    /// The mutations of an author with dots in `after + 1 ..= upto`.
    pub fn between(&self, author: usize, after: u64, upto: u64) -> &[usize] {
        let all = &self.authors[author].mutations;
        let start = all.partition_point(|number| self.mutations[*number].last <= after);
        let end = all.partition_point(|number| self.mutations[*number].last <= upto);
        &all[start..end.max(start)]
    }

    /// Whether the vector ends between two transactions of the author, and not beyond the last one.
    pub fn is_whole(&self, author: usize, seq: u64) -> bool {
        let all = &self.authors[author].mutations;
        seq == 0 || all.binary_search_by_key(&seq, |number| self.mutations[*number].last).is_ok()
    }

    /// Enters a transaction. Returns whether its time is in order with what its author wrote before.
    pub fn issue(&mut self, mutation: Mutation, puts: Vec<Issued>, owner: usize) -> bool {
        let number = self.mutations.len();
        let author = mutation.author;
        let mut in_order = true;
        for kill in &mutation.kills {
            self.puts[*kill].killers.push(number);
        }
        for key in &mutation.keys {
            self.touches[*key].push(number);
        }
        self.mutations.push(mutation);
        for Issued { seq, key, payload, timestamp } in puts {
            let put = self.puts.len();
            let killers = Vec::new();
            self.puts.push(Put { author, seq, key, payload, timestamp, mutation: number, killers });
            self.mutations[number].puts.push(put);
            let author = &mut self.authors[author];
            author.puts.insert(seq, put);
            in_order &= timestamp >= author.newest;
            author.newest = author.newest.max(timestamp);
        }
        let author = &mut self.authors[author];
        author.owner = owner;
        author.mutations.push(number);
        in_order
    }

    /// Strikes out what an author issued after `seq`: it was lost before anybody else could know it.
    pub fn withdraw(&mut self, author: usize, seq: u64) -> usize {
        let all = &self.authors[author].mutations;
        let keep = all.partition_point(|number| self.mutations[*number].last <= seq);
        let lost = self.authors[author].mutations.split_off(keep);
        for number in &lost {
            let Self { mutations, puts, touches, authors, .. } = self;
            let mutation = &mutations[*number];
            for kill in &mutation.kills {
                puts[*kill].killers.retain(|killer| killer != number);
            }
            for key in &mutation.keys {
                touches[*key].retain(|touch| touch != number);
            }
            for put in &mutation.puts {
                authors[author].puts.remove(&puts[*put].seq);
            }
        }
        // A clock that was not saved either may give the same times again.
        self.authors[author].newest = Timestamp::default();
        lost.len()
    }
}
