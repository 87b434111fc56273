//! Reconciliation of every pair of subsets: each put of a small universe is unknown, live or removed on either side.
//!
//! Writers make the puts, each in a row of its own. A side knows the first few of each writer (a vector has no gaps) and
//! has removed any subset of those, in one transaction of its own. So a writer of m puts gives 2^0 + 2^1 + ... + 2^m =
//! 2^(m + 1) - 1 possibilities, sides have the product over the writers, and pairs its square. What two sides must hold
//! after one session follows from the table in [`join`], which shares nothing with the engine.
//!
//! nteract/nteract issue 2067 is a sync that compares by Bloom filters: mostly it ends with the same document, now and then
//! without some changes. One session must always do, and carry exactly what was missing.

use std::collections::BTreeMap;

use rejoin_core::engine::{Config, Push};
use rejoin_core::row::WriteRows;
use rejoin_core::store::MemoryStore;
use rejoin_core::{Dot, ReplicaId};

use crate::hosts::{Host, Hosts, LARGE_LOG, Shown, config, row};

/// What one side knows of one put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    Not,
    Live,
    Removed,
}

/// What both know of a put when they have met.
fn join(a: Known, b: Known) -> Known {
    match (a, b) {
        (Known::Not, other) | (other, Known::Not) => other,
        (Known::Live, Known::Live) => Known::Live,
        (Known::Removed, _) | (_, Known::Removed) => Known::Removed,
    }
}

/// What one side knows of each put, in the order of the puts.
type State = Vec<Known>;

/// One side in one state, at rest.
struct Side {
    device: u8,
    state: State,
    store: MemoryStore,
    /// The dot that its removals burnt.
    removals: Option<Dot>,
    vector: BTreeMap<ReplicaId, u64>,
}

/// Every state of both sides.
struct Universe {
    config: Config,
    /// The dot of each put.
    puts: Vec<Dot>,
    sides: [Vec<Side>; 2],
}

const LIVES: u8 = 9;

impl Universe {
    /// `puts[w]` is how many puts writer `w` makes.
    fn new(puts: &[usize], log_bytes: u64) -> Self {
        let config = config(log_bytes);
        let (dots, frames): (Vec<Dot>, Vec<Vec<u8>>) = published(puts).into_iter().unzip();
        let states = states(puts);
        let expected: usize = puts.iter().map(|puts| (1 << (puts + 1)) - 1).product();
        assert_eq!(states.len(), expected);
        let sides = [101, 102]
            .map(|device| states.iter().map(|state| side(device, state, &frames, config)).collect());
        Self { config, puts: dots, sides }
    }

    /// Both sides of a pair, opened anew.
    fn meet(&self, a: usize, b: usize) -> (Hosts, [&Side; 2]) {
        let sides = [&self.sides[0][a], &self.sides[1][b]];
        let open = |side: &Side| Host::open(side.device, LIVES, self.config, side.store.clone());
        (Hosts::new(sides.map(open).into()), sides)
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let count = self.sides[1].len();
        (0..self.sides[0].len()).flat_map(move |a| (0..count).map(move |b| (a, b)))
    }
}

/// The dot and one frame of gossip for each put, in the order of the puts.
fn published(puts: &[usize]) -> Vec<(Dot, Vec<u8>)> {
    let mut number = 0;
    let mut all = Vec::new();
    for (writer, count) in puts.iter().enumerate() {
        let config = Config { push: Push::Gossip, ..config(LARGE_LOG) };
        let device = u8::try_from(writer).unwrap() + 1;
        let mut author = Host::open_known(device, 0, config, MemoryStore::new());
        for _ in 0..*count {
            let dot = author.put(number, &format!("put {number}"));
            all.push((dot, author.published.remove(0)));
            number += 1;
        }
    }
    all
}

/// Every state of one side.
fn states(puts: &[usize]) -> Vec<State> {
    let mut states = vec![State::new()];
    for count in puts {
        let of_writer = (0..=*count).flat_map(|known| {
            (0..1_u32 << known).map(move |removed| {
                let put = |at: usize| match at < known {
                    false => Known::Not,
                    true if removed >> at & 1 == 1 => Known::Removed,
                    true => Known::Live,
                };
                (0..*count).map(put).collect::<State>()
            })
        });
        let of_writer: Vec<State> = of_writer.collect();
        let longer = |state: &State| of_writer.iter().map(|more| [state.as_slice(), more].concat()).collect();
        states = states.iter().flat_map(|state| -> Vec<State> { longer(state) }).collect();
    }
    states
}

/// Brings a fresh engine into a state: the puts come by gossip, the removals are its own.
fn side(device: u8, state: &State, frames: &[Vec<u8>], config: Config) -> Side {
    let mut host = Host::open(device, 0, config, MemoryStore::new());
    let numbered = |wanted: fn(Known) -> bool| {
        let matching = state.iter().zip(0_u8..).filter(move |(known, _)| wanted(**known));
        matching.map(|(_, number)| number).collect::<Vec<u8>>()
    };
    for number in numbered(|known| known != Known::Not) {
        host.gossip(&frames[usize::from(number)]);
    }
    let removed = numbered(|known| known == Known::Removed);
    let removals = host.write(|tx| removed.iter().try_for_each(|number| tx.remove(row(*number))));
    assert_eq!(host.shown(), expected(state), "of {state:?}");
    let vector = host.vector();
    Side { device, state: state.clone(), store: host.engine.into_store(), removals, vector }
}

/// The rows of a state.
fn expected(state: &State) -> Shown {
    let live = state.iter().zip(0_u8..).filter(|(known, _)| **known == Known::Live);
    live.map(|(_, number)| (number, vec![format!("put {number}").into_bytes()])).collect()
}

/// Both sides hold the join, and nothing else.
fn check_joined(hosts: &mut Hosts, [a, b]: [&Side; 2]) {
    let joined: State = a.state.iter().zip(&b.state).map(|(a, b)| join(*a, *b)).collect();
    let mut vector = a.vector.clone();
    for (replica, seq) in &b.vector {
        let known = vector.entry(*replica).or_default();
        *known = (*known).max(*seq);
    }
    for host in &hosts.hosts {
        assert_eq!(host.shown(), expected(&joined), "{:?} and {:?}", a.state, b.state);
        assert_eq!(host.vector(), vector, "{:?} and {:?}", a.state, b.state);
        assert_eq!(host.engine.staged().unwrap(), [], "nothing is left over");
    }
    hosts.check_same();
}

/// How many puts `from` has to send: those that `to` does not know. A log holds removed ones too.
fn lacking(to: &Side, from: &Side, log_bytes: u64) -> u64 {
    let news = to.state.iter().zip(&from.state).filter(|(to, from)| {
        let sent = if log_bytes == 0 { **from == Known::Live } else { **from != Known::Not };
        **to == Known::Not && sent
    });
    news.count() as u64
}

/// One session for each pair; how many pairs.
fn meet_all(puts: &[usize], log_bytes: u64) -> usize {
    let universe = Universe::new(puts, log_bytes);
    let mut count = 0;
    for (a, b) in universe.pairs() {
        let (mut hosts, sides) = universe.meet(a, b);
        let session = hosts.connect(0, 1);
        hosts.settle();
        check_joined(&mut hosts, sides);
        assert!(hosts.hosts.iter().all(Host::in_sync), "both have proof");
        for (to, from) in [(0, 1), (1, 0)] {
            let carried = hosts.traffic(to, session).rows_in;
            assert_eq!(carried, lacking(sides[to], sides[from], log_bytes), "exactly what was missing");
        }
        let before = hosts.bytes;
        assert_eq!((hosts.settle(), hosts.bytes), (0, before), "quiet");
        count += 1;
    }
    count
}

/// Every pair, cut off after every frame, and then met again; how many pairs, interruptions, and reused entries.
fn interrupt_all(puts: &[usize], log_bytes: u64) -> [u64; 3] {
    let universe = Universe::new(puts, log_bytes);
    let [mut pairs, mut interruptions, mut reused] = [0; 3];
    for (a, b) in universe.pairs() {
        pairs += 1;
        let (mut whole, _) = universe.meet(a, b);
        whole.connect(0, 1);
        let frames = whole.carry();
        assert!(frames >= 2, "a question and an answer");
        // Also before the first frame and after the last.
        for delivered in 0..=frames {
            let (mut hosts, sides) = universe.meet(a, b);
            let session = hosts.connect(0, 1);
            assert!((0..delivered).all(|_| hosts.deliver()), "the same frames again");
            hosts.cut(session);
            check_between(&universe, &hosts, sides);
            remove_and_resume(&universe, [a, b], delivered);
            hosts.connect(0, 1);
            hosts.settle();
            check_joined(&mut hosts, sides);
            reused += hosts.hosts.iter().map(|host| host.engine.stats().stage_reused).sum::<u64>();
            interruptions += 1;
        }
    }
    [pairs, interruptions, reused]
}

/// After an interruption: what is visible is exactly what the vector says, and of a bulk all or nothing.
fn check_between(universe: &Universe, hosts: &Hosts, [a, b]: [&Side; 2]) {
    for (host, own, other) in [(&hosts.hosts[0], a, b), (&hosts.hosts[1], b, a)] {
        host.engine.check().unwrap();
        let vector = host.vector();
        let covers = |side: &Side| side.vector.iter().all(|(replica, seq)| vector.get(replica) >= Some(seq));
        assert!(covers(own), "nothing goes back");
        if universe.config.log_bytes == 0 {
            assert!(covers(other) || vector == own.vector, "part of a bulk is known");
        }
        let knows = |dot: &Dot| vector.get(&dot.replica).is_some_and(|seq| *seq >= dot.seq);
        let removals = other.removals.as_ref().is_some_and(knows);
        let visible = |number: usize| {
            let removed =
                own.state[number] == Known::Removed || removals && other.state[number] == Known::Removed;
            knows(&universe.puts[number]) && !removed
        };
        let shown = (0..own.state.len()).filter(|number| visible(*number));
        let shown = shown.map(|number| u8::try_from(number).unwrap()).collect::<Vec<u8>>();
        assert!(host.shown().into_keys().eq(shown), "{:?} and {:?}", a.state, b.state);
    }
}

/// The same interruption; then one side removes all that it shows before they meet again. What the other has staged by
/// then must not come back to life.
fn remove_and_resume(universe: &Universe, [a, b]: [usize; 2], delivered: usize) {
    for remover in [0, 1] {
        let (mut hosts, sides) = universe.meet(a, b);
        let session = hosts.connect(0, 1);
        assert!((0..delivered).all(|_| hosts.deliver()));
        hosts.cut(session);
        let vector = hosts.hosts[remover].vector();
        let numbers: Vec<u8> = hosts.hosts[remover].shown().into_keys().collect();
        hosts.hosts[remover].write(|tx| numbers.iter().try_for_each(|number| tx.remove(row(*number))));
        hosts.connect(0, 1);
        hosts.settle();
        let knew = |dot: &Dot| vector.get(&dot.replica).is_some_and(|seq| *seq >= dot.seq);
        let left = sides[1 - remover].state.iter().zip(&universe.puts);
        let left = left.map(|(known, dot)| if knew(dot) { Known::Removed } else { *known }).collect();
        for host in &hosts.hosts {
            assert_eq!(host.shown(), expected(&left), "{:?} and {:?}", sides[0].state, sides[1].state);
        }
        hosts.check_same();
    }
}

/// Five puts by one, two and three writers: 63, 105 and 147 states of a side.
const FIVE: [&[usize]; 3] = [&[5], &[3, 2], &[2, 2, 1]];
const PAIRS_OF_FIVE: usize = 63 * 63 + 105 * 105 + 147 * 147;

#[test]
fn every_pair_of_subsets_of_five_puts_meets_by_bulk() {
    let pairs: usize = FIVE.iter().map(|puts| meet_all(puts, 0)).sum();
    println!("{pairs} pairs");
    assert_eq!(pairs, PAIRS_OF_FIVE);
}

#[test]
fn every_pair_of_subsets_of_five_puts_meets_by_replay() {
    let pairs: usize = FIVE.iter().map(|puts| meet_all(puts, LARGE_LOG)).sum();
    println!("{pairs} pairs");
    assert_eq!(pairs, PAIRS_OF_FIVE);
}

/// Three puts by one, two and three writers: 15, 21 and 27 states of a side.
const THREE: [&[usize]; 3] = [&[3], &[2, 1], &[1, 1, 1]];
const PAIRS_OF_THREE: u64 = 15 * 15 + 21 * 21 + 27 * 27;

fn interrupt_three(log_bytes: u64) -> [u64; 3] {
    let each = THREE.map(|puts| interrupt_all(puts, log_bytes));
    let sums = [0, 1, 2].map(|what| each.iter().map(|counts| counts[what]).sum());
    println!("{} pairs, {} interruptions, {} staged entries used again", sums[0], sums[1], sums[2]);
    assert_eq!(sums[0], PAIRS_OF_THREE);
    assert!(sums[1] >= 3 * PAIRS_OF_THREE, "no session has fewer than two frames");
    sums
}

#[test]
fn every_interruption_of_a_bulk_is_made_good() {
    let [_, _, reused] = interrupt_three(0);
    assert!(reused > 0, "no interruption left anything staged");
}

#[test]
fn every_interruption_of_a_replay_is_made_good() {
    let [_, _, reused] = interrupt_three(LARGE_LOG);
    assert_eq!(reused, 0, "a log leaves nothing to a bulk");
}
