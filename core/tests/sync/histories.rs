//! Reconciliation over every history of three transactions: three writers, two rows, replacements, removals, and every
//! past that a transaction may have had.
//!
//! A history is a list of transactions; each says who wrote it, which earlier ones its writer had seen, and whether it
//! puts one of the rows or removes both. A *cut* is a set of transactions that holds the past of each of its members:
//! what a replica may know. Sides know any two cuts, and must know their union after one session. What a cut shows is
//! decided here by set arithmetic alone: a put is visible if no transaction of the cut that had seen it wrote its row.

use std::collections::BTreeMap;

use rejoin_core::engine::{Config, Push};
use rejoin_core::row::WriteRows;
use rejoin_core::store::MemoryStore;

use crate::hosts::{Host, Hosts, LARGE_LOG, Shown, config, payload, row};

const WRITERS: u8 = 3;
const ROWS: u8 = 2;
const TRANSACTIONS: usize = 3;

/// A set of transactions, a bit each.
type Set = u8;

#[derive(Clone, Copy, Debug)]
enum Act {
    Put(u8),
    /// Removes both rows.
    Clear,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    writer: u8,
    /// What its writer knew, its own earlier ones among it.
    seen: Set,
    act: Act,
}

type History = Vec<Step>;

const fn has(set: Set, number: usize) -> bool {
    set >> number & 1 == 1
}

/// Whether a set holds the past of each of its members.
fn is_cut(history: &[Step], set: Set) -> bool {
    (0..history.len()).filter(|number| has(set, *number)).all(|number| history[number].seen & !set == 0)
}

fn cuts(history: &[Step]) -> impl Iterator<Item = Set> + '_ {
    (0..1 << history.len()).filter(|set| is_cut(history, *set))
}

/// The puts that a cut shows.
fn live(history: &[Step], cut: Set) -> Set {
    let overwrites = |later: &Step, number: usize, put: u8| {
        has(later.seen, number)
            && match later.act {
                Act::Put(other) => other == put,
                Act::Clear => true,
            }
    };
    let mut live = 0;
    for (number, step) in history.iter().enumerate().filter(|(number, _)| has(cut, *number)) {
        let Act::Put(put) = step.act else { continue };
        let mut later = history.iter().enumerate().filter(|(later, _)| has(cut, *later));
        if !later.any(|(_, later)| overwrites(later, number, put)) {
            live |= 1 << number;
        }
    }
    live
}

fn text(number: usize) -> String {
    format!("transaction {number}")
}

fn shown(history: &[Step], cut: Set) -> Shown {
    let live = live(history, cut);
    let mut shown = Shown::new();
    for (number, step) in history.iter().enumerate().filter(|(number, _)| has(live, *number)) {
        let Act::Put(put) = step.act else { continue };
        shown.entry(put).or_default().push(text(number).into_bytes());
    }
    shown
}

/// Every history of so many transactions. One that clears nothing is no transaction. The first is the first writer's
/// put in the first row: histories that begin otherwise differ from these in names.
fn histories(transactions: usize) -> Vec<History> {
    if transactions == 1 {
        return vec![vec![Step { writer: 0, seen: 0, act: Act::Put(0) }]];
    }
    let shorter = transactions - 1;
    let mut longer = Vec::new();
    for history in histories(shorter) {
        for (writer, seen) in (0..WRITERS).flat_map(|writer| cuts(&history).map(move |seen| (writer, seen))) {
            let own = history.iter().enumerate().filter(|(_, step)| step.writer == writer);
            if !own.into_iter().all(|(number, _)| has(seen, number)) {
                continue;
            }
            for act in (0..ROWS).map(Act::Put).chain([Act::Clear]) {
                if matches!(act, Act::Clear) && live(&history, seen) == 0 {
                    continue;
                }
                longer.push([history.as_slice(), &[Step { writer, seen, act }]].concat());
            }
        }
    }
    longer
}

/// Runs a history among engines; one frame of gossip for each transaction.
fn published(history: &[Step]) -> Vec<Vec<u8>> {
    let config = Config { push: Push::Gossip, ..config(LARGE_LOG) };
    let mut authors: Vec<Host> =
        (0..WRITERS).map(|writer| Host::open_known(writer + 1, 0, config, MemoryStore::new())).collect();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for (number, step) in history.iter().enumerate() {
        let author = &mut authors[usize::from(step.writer)];
        frames
            .iter()
            .enumerate()
            .filter(|(seen, _)| has(step.seen, *seen))
            .for_each(|(_, f)| author.gossip(f));
        let text = text(number);
        let dot = author.write(|tx| match step.act {
            Act::Put(put) => tx.put(row(put), payload(&text)),
            Act::Clear => (0..ROWS).try_for_each(|number| tx.remove(row(number))),
        });
        assert!(dot.is_some());
        frames.push(author.published.remove(0));
    }
    frames
}

/// The store of a reader that knows a cut.
fn reader(frames: &[Vec<u8>], cut: Set, config: Config) -> MemoryStore {
    let mut host = Host::open(101, 0, config, MemoryStore::new());
    frames
        .iter()
        .enumerate()
        .filter(|(number, _)| has(cut, *number))
        .for_each(|(_, frame)| host.gossip(frame));
    host.engine.into_store()
}

/// Two readers that know these cuts.
fn pair(stores: &BTreeMap<Set, MemoryStore>, cuts: [Set; 2], config: Config) -> Hosts {
    let open = |device, cut: Set| Host::open(device, 1, config, stores[&cut].clone());
    Hosts::new(vec![open(101, cuts[0]), open(102, cuts[1])])
}

fn check(hosts: &mut Hosts, history: &[Step], union: Set) {
    for host in &hosts.hosts {
        assert_eq!(host.shown(), shown(history, union), "{union:b} of {history:?}");
    }
    hosts.check_same();
}

/// Every pair of cuts of a history meets, without and with an interruption after every frame; how many pairs, and how
/// many interruptions.
fn meet(history: &[Step], log_bytes: u64) -> [u64; 2] {
    let config = config(log_bytes);
    let frames = published(history);
    let stores: BTreeMap<Set, MemoryStore> =
        cuts(history).map(|cut| (cut, reader(&frames, cut, config))).collect();
    let [mut pairs, mut interruptions] = [0; 2];
    for (a, b) in stores.keys().flat_map(|a| stores.keys().map(move |b| (*a, *b))) {
        let mut hosts = pair(&stores, [a, b], config);
        let session = hosts.connect(0, 1);
        let sent = hosts.carry();
        hosts.settle();
        check(&mut hosts, history, a | b);
        for (to, [own, other]) in [(0, [a, b]), (1, [b, a])] {
            // A log holds what died since; a bulk what is live.
            let carried = other & !own & if log_bytes == 0 { live(history, other) } else { puts(history) };
            assert_eq!(hosts.traffic(to, session).rows_in, u64::from(carried.count_ones()));
        }
        pairs += 1;
        for delivered in 0..sent {
            let mut hosts = pair(&stores, [a, b], config);
            let session = hosts.connect(0, 1);
            assert!((0..delivered).all(|_| hosts.deliver()));
            hosts.cut(session);
            for (host, own) in hosts.hosts.iter().zip([a, b]) {
                let between = |cut: &Set| cut & own == own && cut & !(a | b) == 0;
                let whole = |cut: &Set| *cut == own || *cut == a | b;
                let seen = host.shown();
                let may = cuts(history).filter(between).filter(|cut| log_bytes > 0 || whole(cut));
                assert!(may.into_iter().any(|cut| shown(history, cut) == seen), "{seen:?} of {history:?}");
                host.engine.check().unwrap();
            }
            hosts.connect(0, 1);
            hosts.settle();
            check(&mut hosts, history, a | b);
            interruptions += 1;
        }
    }
    [pairs, interruptions]
}

fn puts(history: &[Step]) -> Set {
    let puts = history.iter().enumerate().filter(|(_, step)| matches!(step.act, Act::Put(_)));
    puts.map(|(number, _)| 1 << number).sum()
}

fn meet_all(log_bytes: u64) {
    let all = histories(TRANSACTIONS);
    let each: Vec<[u64; 2]> = all.iter().map(|history| meet(history, log_bytes)).collect();
    let [pairs, interruptions] = [0, 1].map(|what| each.iter().map(|counts| counts[what]).sum::<u64>());
    println!("{} histories, {pairs} pairs of cuts, {interruptions} interruptions", all.len());
    assert_eq!((all.len(), pairs), (HISTORIES, PAIRS));
    assert!(interruptions >= 2 * pairs);
}

/// The second transaction is the same writer's (3 acts), or another's that had seen nothing (2 writers, 2 acts), or
/// another's that had seen the first (2 writers, 3 acts). What follows has 16 or 19, 23, and 14 or 17 possibilities, the
/// smaller number after a removal, which leaves nothing to remove.
const HISTORIES: usize = (16 + 2 * 19) + 4 * 23 + 2 * (14 + 2 * 17);
/// By shape: 72 histories are a chain, with 4 cuts; 54 fork and 36 join, with 5; in 24 + 48 one transaction stands beside
/// a chain of two, with 6; in 8 all three stand apart, with 8. Pairs of cuts are squares.
const PAIRS: u64 = 72 * 4 * 4 + (54 + 36) * 5 * 5 + (24 + 48) * 6 * 6 + 8 * 8 * 8;

#[test]
fn every_history_of_three_transactions_meets_by_bulk() {
    meet_all(0);
}

#[test]
fn every_history_of_three_transactions_meets_by_replay() {
    meet_all(LARGE_LOG);
}
