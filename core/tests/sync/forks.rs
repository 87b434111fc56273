//! Two stores that write under one id: what their owners never told, and what merging them loses.

use rejoin_core::crdt::{GCounterView, PnCounterView};
use rejoin_core::engine::{Config, Event, Push};
use rejoin_core::row::{Entry, WriteRows};
use rejoin_core::store::MemoryStore;

use crate::hosts::{Host, Hosts, LARGE_LOG, config, now, payload, row};

pub(crate) const A: usize = 0;
pub(crate) const COPY: usize = 1;
pub(crate) const PEER: usize = 2;

pub(crate) fn meet(hosts: &mut Hosts, a: usize, b: usize) {
    let session = hosts.connect(a, b);
    hosts.settle();
    hosts.cut(session);
}

/// A writes with `before` and tells a peer; then its store is copied, unnoticed.
pub(crate) fn copied(log_bytes: u64, before: impl Fn(&mut Host)) -> Hosts {
    let open = |device, life, store| Host::open(device, life, config(log_bytes), store);
    let new = |device| open(device, 0, MemoryStore::new());
    let mut hosts = Hosts::new(vec![new(1), new(3), new(2)]);
    before(&mut hosts.hosts[A]);
    meet(&mut hosts, A, PEER);
    let store = hosts.hosts[A].engine.store_mut().clone();
    hosts.hosts[COPY] = open(1, 1, store);
    hosts
}

pub(crate) fn meet_all(hosts: &mut Hosts) {
    for _ in 0..3 {
        [(COPY, PEER), (A, PEER), (A, COPY)].into_iter().for_each(|(a, b)| meet(hosts, a, b));
    }
    hosts.check_same();
}

fn visits(host: &Host) -> u64 {
    GCounterView::at("visits").unwrap().value(&host.engine.reader()).unwrap()
}

fn visit(host: &mut Host, n: u64) {
    let view = GCounterView::at("visits").unwrap();
    host.write(|tx| view.add(tx, n));
}

fn stock(host: &Host) -> i64 {
    PnCounterView::at("stock").unwrap().value(&host.engine.reader()).unwrap()
}

fn add(host: &mut Host, n: i64) {
    let view = PnCounterView::at("stock").unwrap();
    host.write(|tx| view.add(tx, n));
}

fn reset(host: &mut Host) {
    let view = PnCounterView::at("stock").unwrap();
    host.write(|tx| view.reset(tx));
}

#[test]
fn what_was_never_told_keeps_its_place_under_a_new_name() {
    for log_bytes in [0, 150, LARGE_LOG] {
        let mut hosts = copied(log_bytes, |a| {
            a.put(1, "told");
        });
        let dot = hosts.hosts[A].put(2, "never told");
        hosts.hosts[A].put(1, "over what was told");
        hosts.hosts[COPY].put(2, "by the copy");
        meet_all(&mut hosts);
        let shown = hosts.hosts[PEER].shown();
        assert_eq!(shown[&1], [b"over what was told".to_vec()]);
        assert_eq!(shown[&2], [b"by the copy".to_vec(), b"never told".to_vec()]);
        let a = &hosts.hosts[A];
        let renamed = a.events.iter().find_map(|event| match event {
            Event::Renamed { old, new } => Some((*old, *new)),
            _ => None,
        });
        let (old, new) = renamed.expect("A met another history of its id");
        assert_eq!((old.replica, old.seq + 1), (dot.replica, dot.seq), "what was told keeps its name");
        assert_eq!((a.engine.current(dot).replica, a.engine.current(dot).seq), (new, 1));
        assert_eq!(a.engine.current(old), old);
        assert!(a.engine.is_durable(&a.engine.current(dot)));
    }
}

#[test]
fn counters_count_what_both_histories_counted_once() {
    for log_bytes in [0, 150, LARGE_LOG] {
        let mut hosts = copied(log_bytes, |a| {
            visit(a, 5);
            add(a, 7);
        });
        for n in 1..=3 {
            visit(&mut hosts.hosts[A], n);
            add(&mut hosts.hosts[A], -2);
        }
        visit(&mut hosts.hosts[COPY], 100);
        add(&mut hosts.hosts[COPY], 1000);
        add(&mut hosts.hosts[PEER], 1);
        meet_all(&mut hosts);
        for host in &hosts.hosts {
            assert_eq!((visits(host), stock(host)), (111, 1002), "{log_bytes}");
        }
        // And both go on from there.
        visit(&mut hosts.hosts[A], 1);
        add(&mut hosts.hosts[COPY], 1);
        meet_all(&mut hosts);
        assert_eq!((visits(&hosts.hosts[PEER]), stock(&hosts.hosts[PEER])), (112, 1003));
    }
}

#[test]
fn a_reset_that_was_never_told_takes_back_what_it_saw_and_no_more() {
    for log_bytes in [0, LARGE_LOG] {
        let mut hosts = copied(log_bytes, |a| add(a, 7));
        add(&mut hosts.hosts[A], 2);
        reset(&mut hosts.hosts[A]);
        add(&mut hosts.hosts[A], 3);
        assert_eq!(stock(&hosts.hosts[A]), 3);
        add(&mut hosts.hosts[COPY], 100);
        meet_all(&mut hosts);
        assert_eq!(stock(&hosts.hosts[PEER]), 103, "{log_bytes}");
    }
}

#[test]
fn what_two_told_histories_lose_can_be_listed_and_forgotten() {
    for log_bytes in [0, LARGE_LOG] {
        let mut hosts = copied(log_bytes, |a| {
            a.put(1, "told");
        });
        hosts.hosts[A].put(2, "mine");
        // Opened again: all of it may be told by whoever has an image of it.
        let store = hosts.hosts[A].engine.store_mut().clone();
        hosts.hosts[A] = Host::open(1, 2, config(log_bytes), store);
        hosts.hosts[COPY].put(3, "the copy's");
        hosts.hosts[COPY].put(4, "the copy's");
        meet_all(&mut hosts);
        let mut kept: Vec<Entry> = Vec::new();
        for host in &hosts.hosts {
            host.engine.visit_forks(&mut |_, entry| kept.push(entry.clone())).unwrap();
        }
        let live = hosts.hosts[PEER].shown();
        let lost = ["mine", "the copy's"]
            .map(|text| kept.iter().any(|entry| entry.payload.to_vec() == text.as_bytes()));
        assert!(live.contains_key(&2) || lost[0], "{log_bytes}");
        assert!(live.contains_key(&3) || lost[1], "{log_bytes}");
        assert!(!kept.is_empty());
        assert!(!live.contains_key(&2) || !live.contains_key(&3));
        for entry in &kept {
            hosts.hosts.iter_mut().for_each(|host| {
                host.engine.forget_fork(entry).unwrap();
            });
        }
        let mut left = 0;
        hosts.hosts.iter().for_each(|host| host.engine.visit_forks(&mut |_, _| left += 1).unwrap());
        assert_eq!(left, 0);
    }
}

/// A transaction that waits for its commit has its dots but no place in the chain yet, and the own history looked as if it
/// did not pass where it was heard to pass: the id was given up for its own echo (seed 216387427128211).
#[test]
fn an_own_delta_heard_again_during_a_write_is_no_fork() {
    let gossiping = Config { push: Push::Gossip, ..config(LARGE_LOG) };
    let mut host = Host::open_known(1, 0, gossiping, MemoryStore::new());
    host.put(1, "first");
    let first = host.put(2, "published");
    host.engine.write(now(0), |tx| tx.put(row(3), payload("pending"))).unwrap();
    let echo = host.published.pop().unwrap();
    host.gossip(&echo);
    assert!(
        host.events.iter().all(|event| !matches!(event, Event::NewIncarnation { .. } | Event::Fork { .. }))
    );
    assert!(!host.engine.is_forked(&first.replica));
    assert_eq!(host.vector().into_iter().collect::<Vec<_>>(), [(first.replica, 3)]);
}

/// What a peer says of the own id may be about another history. No more than the place was looked at before it counted as a
/// confirmation of own deltas that the peer had never seen.
#[test]
fn another_history_confirms_nothing_of_this_one() {
    for log_bytes in [0, LARGE_LOG] {
        let mut hosts = copied(log_bytes, |a| {
            a.put(1, "told");
        });
        for number in 2..5 {
            hosts.hosts[COPY].put(number, "by the copy");
        }
        meet(&mut hosts, COPY, PEER);
        let dot = hosts.hosts[A].put(5, "never told");
        let session = hosts.connect(A, PEER);
        let is_held = |hosts: &Hosts| {
            let (a, peer) = (&hosts.hosts[A], &hosts.hosts[PEER]);
            let held = a.engine.held_by(session).unwrap().contains(&a.engine.current(dot));
            assert!(!held || peer.shown().contains_key(&5), "{log_bytes}: it holds what it never heard of");
            held
        };
        assert!(!is_held(&hosts));
        while hosts.deliver() {
            is_held(&hosts);
        }
        hosts.settle();
        assert!(is_held(&hosts), "{log_bytes}: what it took in is held");
    }
}
