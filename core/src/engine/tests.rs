//! Two engines on one wire that a test may tamper with: what a peer says without proof must not harm, and what it proves
//! must count. Each of these was found by the simulator.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::*;
use crate::boundary::Verdict;
use crate::codec::{self, BoundedVec};
use crate::id::{Chain, SpaceId};
use crate::identity::Ed25519;
use crate::row::{Kind, Object, Payload, ReadRows, WriteRows};
use crate::state::{Applied, Head, LogRecord, Received, WriteError};
use crate::store::{self, Commit, MemoryStore, Store};
use crate::sync::frame::{self, Table};
use crate::sync::message::{HelloVector, Message, Previous, VectorEntry, YouWere};

mod expiry;
mod feed;
mod gossip;
mod index;
mod merging;
mod presence;
mod scans;
mod tokens;
mod undo;
mod wire;

const NOW: Now = Now { mono_ms: 1, wall_ms: 1_800_000_000_000 };

fn engine(device: u8, seed: u8, log_bytes: u64, store: MemoryStore) -> Engine<MemoryStore> {
    let config = Config { log_bytes, push: Push::Streams, ..Config::new(SpaceId([7; 32])) };
    Engine::open(config, Box::new(Ed25519::from_seed([device; 32])), store, [seed; 32]).unwrap()
}

fn write(engine: &mut Engine<MemoryStore>, row: u8, value: &str) {
    let key = Object::new(Kind(200), "t").unwrap().row(&[row]).unwrap();
    let done = engine.write(NOW, |tx| tx.put(key, Payload::new(value.as_bytes()).unwrap()));
    assert!(done.is_ok_and(|(_, dot): ((), _)| dot.is_some()));
}

fn values(engine: &Engine<MemoryStore>, row: u8) -> Vec<Vec<u8>> {
    let key = Object::new(Kind(200), "t").unwrap().row(&[row]).unwrap();
    engine.reader().entries(&key).unwrap().iter().map(|entry| entry.payload.to_vec()).collect()
}

/// Two engines and one stream between them; 0 opened it.
struct Pair {
    engines: [Engine<MemoryStore>; 2],
    /// Commits of engine 1 that a slow disk holds back, instead of making them durable at once.
    held: Option<Vec<Commit>>,
    wire: VecDeque<(usize, Vec<u8>)>,
    events: [Vec<Event>; 2],
    closed: Vec<(usize, Reason)>,
}

impl Pair {
    fn new(engines: [Engine<MemoryStore>; 2]) -> Self {
        let (wire, events, closed) = Default::default();
        Self { engines, held: None, wire, events, closed }
    }

    fn drain(&mut self, number: usize) {
        while let Some(output) = self.engines[number].poll_output() {
            match output {
                Output::Persist(commit) => match self.held.as_mut().filter(|_| number == 1) {
                    Some(held) => held.push(commit),
                    None => self.persist(number, &commit),
                },
                Output::Send { frame, .. } => self.wire.push_back((1 - number, frame)),
                Output::Disconnect { reason, .. } => self.closed.push((number, reason)),
                Output::Event(event) => self.events[number].push(event),
                Output::Publish { .. } | Output::Judged { verdict: Verdict::Ignore, .. } => {}
                Output::Judged { .. } => panic!("nothing was gossiped"),
            }
        }
    }

    fn persist(&mut self, number: usize, commit: &Commit) {
        let result = self.engines[number].store_mut().apply(commit);
        self.engines[number].handle(NOW, Input::Persisted { commit: commit.id, result });
    }

    fn save(&mut self) {
        self.drain(0);
        self.drain(1);
    }

    /// Opens a stream and carries frames, each as `tamper` leaves it, until there are none.
    fn meet(&mut self, session: u64, tamper: impl FnMut(usize, &mut Message)) {
        self.connect(session);
        self.carry(session, tamper);
        let session = SessionId(session);
        self.engines.iter_mut().for_each(|engine| engine.handle(NOW, Input::Disconnected { session }));
        self.save();
    }

    fn connect(&mut self, session: u64) {
        let session = SessionId(session);
        for (number, role) in [(1, Role::Responder), (0, Role::Initiator)] {
            self.engines[number].handle(NOW, Input::Connected { session, role });
        }
        self.save();
    }

    fn carry(&mut self, session: u64, mut tamper: impl FnMut(usize, &mut Message)) {
        let session = SessionId(session);
        while let Some((to, frame)) = self.wire.pop_front() {
            if self.closed.is_empty() {
                let mut message = frame::open(&frame).unwrap();
                tamper(to, &mut message);
                self.engines[to].handle(NOW, Input::Received { session, frame: frame::seal(&message) });
                self.drain(to);
            }
        }
    }

    fn has_forked(&self, number: usize) -> bool {
        self.events[number].iter().any(|event| matches!(event, Event::Fork { .. }))
    }

    fn check_same(&mut self) {
        self.engines.iter().for_each(|engine| engine.check().unwrap());
        let [a, b] = self.engines.each_mut().map(|engine| engine.root().unwrap());
        assert_eq!(a, b);
    }
}

/// A writes much, with a log of so many bytes; B knows nothing of it.
fn apart(log_bytes: u64) -> Pair {
    let mut pair =
        Pair::new([engine(1, 1, log_bytes, MemoryStore::new()), engine(2, 2, log_bytes, MemoryStore::new())]);
    for n in 0..5 {
        write(&mut pair.engines[0], n, "a");
        pair.save();
    }
    pair
}

#[test]
fn two_engines_meet_and_agree() {
    for log_bytes in [0, 1 << 20] {
        let mut pair = apart(log_bytes);
        write(&mut pair.engines[1], 9, "b");
        pair.meet(1, |_, _| {});
        assert!(pair.closed.is_empty());
        pair.check_same();
    }
}

/// A maximal dot with seq 0 in a bulk panicked when the receiver sealed its next delta.
#[test]
fn a_frontier_outside_the_vector_of_its_bulk_is_refused() {
    for seq in [0, 6] {
        let mut pair = apart(0);
        pair.meet(1, |to, message| {
            if let (1, Message::BulkHeads(heads)) = (to, message) {
                let dots = heads.frontier.iter().map(|dot| Dot::new(dot.replica, seq)).collect();
                heads.frontier = BoundedVec::new(dots).unwrap();
            }
        });
        assert_eq!(pair.closed, [(1, Reason::Misbehaved)], "seq {seq}");
        write(&mut pair.engines[1], 1, "b");
        pair.save();
        pair.engines[1].check().unwrap();
    }
}

/// A vector claimed beyond the signed head let in dots that nothing vouched for.
#[test]
fn a_bulk_reaches_no_further_than_what_is_signed() {
    let mut pair = apart(0);
    pair.meet(1, |to, message| {
        if let (1, Message::BulkHeads(heads)) = (to, message) {
            let dots = heads.heads.iter().map(|head| Dot::new(head.replica, head.seq + 1)).collect();
            heads.known = BoundedVec::new(dots).unwrap();
        }
    });
    assert_eq!(pair.closed, [(1, Reason::Misbehaved)]);
    assert!(pair.engines[1].version_vector().is_empty());
}

/// A damaged chain tag, or the bare word that an id had forked, took the id from its owner.
#[test]
fn the_word_of_a_peer_forks_nothing() {
    let lie = |forked: bool, chain: u8| {
        move |_: usize, message: &mut Message| match message {
            Message::Hello(hello) => {
                if let HelloVector::Whole(entries) = &mut hello.vector {
                    let lies = entries.iter().map(|entry| {
                        VectorEntry::new(entry.replica, entry.seq(), forked, &Chain([chain; 32]))
                    });
                    *entries = BoundedVec::new(lies.collect()).unwrap();
                }
            }
            Message::Deltas(deltas) => {
                let mut runs = deltas.runs.to_vec();
                runs.iter_mut().for_each(|run| run.previous = Previous::Short([chain; 8]));
                deltas.runs = BoundedVec::new(runs).unwrap();
            }
            _ => {}
        }
    };
    for log_bytes in [0, 1 << 20] {
        let mut pair = apart(log_bytes);
        pair.meet(1, |_, _| {});
        write(&mut pair.engines[0], 1, "more");
        write(&mut pair.engines[1], 2, "too");
        let own = [0, 1].map(|number| pair.engines[number].replica());
        pair.meet(2, lie(true, 9));
        pair.meet(3, lie(false, 3));
        assert_eq!([0, 1].map(|number| pair.engines[number].replica()), own);
        assert!(!pair.has_forked(0) && !pair.has_forked(1));
        pair.closed.clear();
        pair.meet(4, |_, _| {});
        pair.check_same();
    }
}

/// The store of A is copied with its key and its place, and both copies write.
fn cloned(log_bytes: u64, more: u8) -> Pair {
    let mut a = apart(log_bytes);
    let store = a.engines[0].store_mut().clone();
    let [a, _] = a.engines;
    let mut pair = Pair::new([a, engine(1, 3, log_bytes, store)]);
    write(&mut pair.engines[0], 1, "mine");
    write(&mut pair.engines[1], 1, "yours");
    write(&mut pair.engines[1], 2, "yours");
    for n in 0..more {
        pair.save();
        write(&mut pair.engines[1], n, "more");
    }
    pair.save();
    pair
}

#[test]
fn copies_that_both_wrote_keep_what_both_wrote() {
    for (log_bytes, more) in [(0, 0), (0, 4), (1 << 20, 0), (1 << 20, 4)] {
        let mut pair = cloned(log_bytes, more);
        let own = pair.engines[0].replica();
        (1..4).for_each(|session| pair.meet(session, |_, _| {}));
        assert!(pair.closed.is_empty());
        let still = pair.engines.iter().filter(|engine| engine.replica() == own).count();
        assert!(still <= 1, "two copies write under one id: {log_bytes} {more}");
        // Neither had told any of it: both renamed what they wrote, and what is left under the old id is one history.
        for number in [0, 1] {
            assert!(pair.events[number].iter().any(|event| matches!(event, Event::Renamed { .. })));
            assert!(!pair.has_forked(number) && pair.engines[number].stats().renames == 1);
        }
        pair.check_same();
        assert!(values(&pair.engines[0], 1).contains(&b"mine".to_vec()));
        assert_eq!(values(&pair.engines[0], 1).len(), 2, "{log_bytes} {more}");
    }
}

/// With an empty log, sealing a pending delta moved the floor beyond a head that the owner had just been reminded of, and
/// it gave up its id as if that were another history.
#[test]
fn an_owner_knows_its_own_head_while_it_writes() {
    let mut pair = apart(0);
    pair.meet(1, |_, _| {});
    let own = pair.engines[0].replica();
    let head = pair.engines[0].space.durable.heads.get(&own.unwrap()).unwrap().clone();
    write(&mut pair.engines[0], 1, "pending");
    let you = YouWere::of(&own.unwrap(), &head);
    pair.connect(2);
    // B greets A, and then reminds it of what is no news to A.
    let mut greeted = false;
    pair.carry(2, |to, message| {
        if to == 0 && core::mem::replace(&mut greeted, true) {
            *message = Message::YouWere(you.clone());
        }
    });
    assert!(greeted && pair.closed.is_empty());
    assert_eq!(pair.engines[0].replica(), own);
}

/// While a slow disk held the commit of a bulk, hellos named the state before it, and the peer offered the bulk again, as
/// fast as the network was.
#[test]
fn a_bulk_is_taken_once_however_slow_the_disk() {
    let mut pair = apart(0);
    pair.connect(1);
    pair.held = Some(Vec::new());
    let mut asked = 0;
    pair.carry(1, |_, message| asked += u32::from(matches!(message, Message::Accept(_))));
    assert_eq!(asked, 1);
    for commit in pair.held.take().unwrap() {
        pair.persist(1, &commit);
        pair.save();
    }
    pair.carry(1, |_, message| asked += u32::from(matches!(message, Message::Accept(_))));
    assert_eq!(asked, 1);
    pair.check_same();
}

/// What a bulk left out would count as killed.
#[test]
fn a_bulk_that_lacks_entries_is_given_up_and_asked_for_anew() {
    let mut pair = apart(0);
    let mut tampered = false;
    pair.meet(1, |to, message| {
        if let (1, Message::BulkChunk(chunk)) = (to, message)
            && !core::mem::replace(&mut tampered, true)
        {
            chunk.entries = Table::default();
        }
    });
    assert!(pair.closed.is_empty());
    assert_eq!(pair.engines[1].stats().bulk_aborted, 1);
    pair.check_same();
}

/// A bulk told what another copy had written since the last hello, and no head said that it was another history: what it
/// did not hold passed for dead.
#[test]
fn a_history_that_no_hello_named_is_seen_before_its_bulk_counts() {
    let mut pair = Pair::new([1, 2].map(|device| engine(device, device, 0, MemoryStore::new())));
    write(&mut pair.engines[1], 1, "both");
    pair.save();
    pair.meet(1, |_, _| {});
    let mut copy = Pair::new([
        engine(2, 3, 1 << 20, pair.engines[1].store_mut().clone()),
        engine(3, 4, 0, MemoryStore::new()),
    ]);
    let key = Object::new(Kind(200), "t").unwrap().row(&[1]).unwrap();
    let removed: Result<((), _), WriteError> = copy.engines[0].write(NOW, |tx| tx.remove(key));
    assert!(removed.is_ok());
    copy.save();
    write(&mut pair.engines[1], 2, "here");
    pair.save();
    write(&mut pair.engines[1], 3, "here too");
    pair.save();
    write(&mut pair.engines[0], 4, "news");
    pair.save();
    // A greets B, hears of what the copy wrote, and then of how much B has. What B offers is lost on the way.
    pair.connect(2);
    let mut heard = VecDeque::new();
    let space = &copy.engines[0].space;
    let Head { device, nonce, .. } = *space.durable.heads.iter().next().unwrap().1;
    space
        .read_log(0, &mut |LogRecord { delta, previous, signature, .. }| {
            let bytes = delta.encode();
            let (chain, replaces) = (delta.chain(&space.id, &previous, &bytes), Vec::new());
            heard.push_back(Received {
                delta,
                bytes,
                previous,
                chain,
                signature,
                vouched: false,
                device,
                nonce,
                replaces,
            });
            core::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(pair.engines[0].space.apply_received(NOW, &mut heard, true), Ok(Applied::Done(1)));
    pair.save();
    pair.carry(2, |to, message| {
        if to == 0 && matches!(message, Message::Offer(_)) {
            *message = Message::BulkVoid(9);
        }
    });
    let session = SessionId(2);
    pair.engines.iter_mut().for_each(|engine| engine.handle(NOW, Input::Disconnected { session }));
    pair.save();
    (3..6).for_each(|session| pair.meet(session, |_, _| {}));
    assert_eq!(pair.closed, []);
    pair.check_same();
    assert_eq!(pair.engines[1].stats().renames, 1);
    assert_eq!(values(&pair.engines[0], 2), [b"here"]);
    assert_eq!(values(&pair.engines[0], 3), [b"here too"]);
}

/// Heads of format 2 end before their tags.
#[test]
fn a_store_of_format_2_opens_and_goes_on() {
    let mut pair = apart(1 << 20);
    let mut changes = alloc::vec![(store::Table::Meta, b"format".to_vec(), Some(codec::encode(&2_u32)))];
    for (replica, head) in pair.engines[0].space.durable.heads.iter() {
        let mut bytes = codec::encode(head);
        bytes.truncate(bytes.len() - codec::encode(&head.tags).len());
        changes.push((store::Table::Replicas, replica.as_bytes().to_vec(), Some(bytes)));
    }
    let mut store = pair.engines[0].store_mut().clone();
    store.apply(&Commit::new(0, changes)).unwrap();
    pair.engines[0] = engine(1, 3, 1 << 20, store);
    pair.engines[0].check().unwrap();
    pair.meet(1, |_, _| {});
    write(&mut pair.engines[0], 1, "more");
    pair.meet(2, |_, _| {});
    pair.check_same();
    let (store, number) = (pair.engines[0].store_mut().clone(), 5_u32);
    assert_eq!(store.get(store::Table::Meta, b"format").unwrap(), Some(codec::encode(&number)));
    engine(1, 4, 1 << 20, store).check().unwrap();
}
