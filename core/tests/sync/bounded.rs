//! Bounded counters when a store is in two places: what may be spent by whom, and what is said when both spent the same.

use rejoin_core::ReplicaId;
use rejoin_core::crdt::BoundedCounterView;
use rejoin_core::engine::{Event, WriteError};
use rejoin_core::row::DataError;
use rejoin_core::store::MemoryStore;

use crate::forks::{A, COPY, PEER, copied, meet, meet_all};
use crate::hosts::{Host, Hosts, LARGE_LOG, config, now};

fn view() -> BoundedCounterView {
    BoundedCounterView::at("stock").unwrap()
}

fn id(host: &Host) -> ReplicaId {
    host.engine.replica().expect("it has written")
}

fn value(host: &Host) -> i64 {
    view().value(&host.engine.reader()).unwrap()
}

fn rights_of(host: &Host, replica: &ReplicaId) -> i64 {
    view().rights_of(&host.engine.reader(), replica).unwrap()
}

fn add(host: &mut Host, n: u64) {
    host.write(|tx| view().increment(tx, n));
}

fn take(host: &mut Host, n: u64) {
    host.write(|tx| view().decrement(tx, n));
}

fn give(host: &mut Host, to: &ReplicaId, n: u64) {
    host.write(|tx| view().transfer(tx, to, n));
}

/// What a host may take when it asks for more than there is.
fn may_take(host: &mut Host) -> i64 {
    match host.engine.write(now(0), |tx| view().decrement(tx, u64::MAX)) {
        Err(WriteError::Data(DataError::NoRights { here, .. })) => here,
        other => panic!("{other:?}"),
    }
}

/// Everybody sees the same value, and the rights add up to it.
fn check_value(hosts: &Hosts, expected: i64) {
    for host in &hosts.hosts {
        let rights = view().rights(&host.engine.reader()).unwrap();
        assert_eq!((value(host), rights.values().sum()), (expected, expected), "{rights:?}");
    }
}

fn logs() -> [u64; 3] {
    [0, 150, LARGE_LOG]
}

/// A device that has written, so that it has an id.
fn peer_id(hosts: &mut Hosts) -> ReplicaId {
    hosts.hosts[PEER].put(9, "here I am");
    id(&hosts.hosts[PEER])
}

#[test]
fn a_restored_store_holds_no_rights_until_somebody_gives_some() {
    let mut hosts = copied(LARGE_LOG, |a| add(a, 10));
    let old = id(&hosts.hosts[A]);
    let image = hosts.hosts[A].engine.store_mut().clone();
    take(&mut hosts.hosts[A], 4);
    // It comes back from a backup: the lineage of its store is another one, so it writes under a new id.
    let mut elsewhere = config(LARGE_LOG);
    elsewhere.lineage = [5; 16];
    let mut restored = Host::open(1, 2, elsewhere, image);
    assert_eq!((value(&restored), may_take(&mut restored)), (10, 0));
    add(&mut restored, 1);
    assert_ne!(id(&restored), old);
    assert_eq!(may_take(&mut restored), 1, "what it adds is its own");
    let new = id(&restored);
    hosts.hosts[COPY] = restored;
    meet_all(&mut hosts);
    check_value(&hosts, 7);
    give(&mut hosts.hosts[A], &new, 6);
    meet_all(&mut hosts);
    take(&mut hosts.hosts[COPY], 7);
    assert_eq!((may_take(&mut hosts.hosts[COPY]), may_take(&mut hosts.hosts[A])), (0, 0));
    meet_all(&mut hosts);
    check_value(&hosts, 0);
}

/// Nobody notices that a store was copied; the copy spends what both hold, and the original only what it added since.
#[test]
fn what_was_never_told_keeps_its_own_rights_under_a_new_id() {
    for log_bytes in logs() {
        let mut hosts = copied(log_bytes, |a| add(a, 10));
        let old = id(&hosts.hosts[A]);
        add(&mut hosts.hosts[A], 5);
        take(&mut hosts.hosts[A], 1);
        add(&mut hosts.hosts[A], 1);
        take(&mut hosts.hosts[A], 2);
        take(&mut hosts.hosts[COPY], 10);
        meet_all(&mut hosts);
        let new = id(&hosts.hosts[A]);
        assert_ne!(new, old, "{log_bytes}");
        check_value(&hosts, 3);
        let peer = &hosts.hosts[PEER];
        assert_eq!((rights_of(peer, &old), rights_of(peer, &new)), (0, 3), "{log_bytes}");
        take(&mut hosts.hosts[A], 3);
        assert_eq!((may_take(&mut hosts.hosts[A]), may_take(&mut hosts.hosts[COPY])), (0, 0));
        meet_all(&mut hosts);
        check_value(&hosts, 0);
    }
}

/// The value is the same before a rename and after it, and rights are not there twice.
#[test]
fn a_rename_takes_along_what_was_spent_and_leaves_the_rights_that_paid_for_it() {
    for log_bytes in logs() {
        let mut hosts = copied(log_bytes, |a| add(a, 10));
        let old = id(&hosts.hosts[A]);
        take(&mut hosts.hosts[A], 3);
        hosts.hosts[COPY].put(1, "the copy writes something else");
        meet_all(&mut hosts);
        let new = id(&hosts.hosts[A]);
        check_value(&hosts, 7);
        // The copy goes on under the old id, whose rights are all there; it may take no more than there is.
        assert_eq!(rights_of(&hosts.hosts[PEER], &old), 10);
        assert_eq!(rights_of(&hosts.hosts[PEER], &new), -3, "it owes what it took from another's rights");
        assert_eq!((may_take(&mut hosts.hosts[A]), may_take(&mut hosts.hosts[COPY])), (-3, 7));
        take(&mut hosts.hosts[COPY], 7);
        meet_all(&mut hosts);
        check_value(&hosts, 0);
    }
}

#[test]
fn a_gift_that_was_never_told_is_taken_back_by_a_rename() {
    for log_bytes in logs() {
        let mut hosts = copied(log_bytes, |a| add(a, 10));
        let (old, peer) = (id(&hosts.hosts[A]), peer_id(&mut hosts));
        meet(&mut hosts, COPY, PEER);
        add(&mut hosts.hosts[A], 2);
        give(&mut hosts.hosts[A], &peer, 7);
        take(&mut hosts.hosts[COPY], 9);
        meet_all(&mut hosts);
        let new = id(&hosts.hosts[A]);
        check_value(&hosts, 3);
        let at_peer = &hosts.hosts[PEER];
        assert_eq!((rights_of(at_peer, &old), rights_of(at_peer, &new)), (1, 2), "{log_bytes}");
        assert_eq!(may_take(&mut hosts.hosts[PEER]), 0, "else it would spend what the copy has spent");
        // What it still has it can give again.
        give(&mut hosts.hosts[A], &peer, 2);
        meet_all(&mut hosts);
        take(&mut hosts.hosts[PEER], 2);
        meet_all(&mut hosts);
        check_value(&hosts, 1);
    }
}

#[test]
fn a_gift_that_was_told_stays_given_when_later_ones_are_taken_back() {
    for log_bytes in logs() {
        let mut hosts = Hosts::new([1, 3, 2].map(|device| open(device, 0, log_bytes)).into());
        let peer = peer_id(&mut hosts);
        meet(&mut hosts, A, PEER);
        add(&mut hosts.hosts[A], 10);
        give(&mut hosts.hosts[A], &peer, 4);
        meet(&mut hosts, A, PEER);
        let old = id(&hosts.hosts[A]);
        let store = hosts.hosts[A].engine.store_mut().clone();
        hosts.hosts[COPY] = Host::open(1, 1, config(log_bytes), store);
        give(&mut hosts.hosts[A], &peer, 6);
        take(&mut hosts.hosts[COPY], 6);
        take(&mut hosts.hosts[PEER], 4);
        meet_all(&mut hosts);
        check_value(&hosts, 0);
        let at_peer = &hosts.hosts[PEER];
        assert_eq!((rights_of(at_peer, &old), rights_of(at_peer, &peer)), (0, 0), "{log_bytes}");
    }
}

fn open(device: u8, life: u8, log_bytes: u64) -> Host {
    Host::open(device, life, config(log_bytes), MemoryStore::new())
}

/// Nobody can prevent it: both copies sell the same ten. What they sold stays sold, and the value says how much too many.
#[test]
fn what_two_copies_both_spent_shows_below_the_bound_when_they_meet() {
    for log_bytes in logs() {
        let mut hosts = copied(log_bytes, |a| add(a, 10));
        take(&mut hosts.hosts[A], 8);
        take(&mut hosts.hosts[COPY], 7);
        assert_eq!((value(&hosts.hosts[A]), value(&hosts.hosts[COPY])), (2, 3));
        meet_all(&mut hosts);
        check_value(&hosts, -5);
        assert!(may_take(&mut hosts.hosts[A]) < 0);
        // It heals by new goods: whoever owes makes up for it first.
        add(&mut hosts.hosts[A], 8);
        assert_eq!(may_take(&mut hosts.hosts[A]), 0);
        add(&mut hosts.hosts[COPY], 1);
        meet_all(&mut hosts);
        check_value(&hosts, 4);
    }
}

/// Where both told what they spent under one id, one total remains. Nobody writes under that id any more, so what it seems
/// to have left is spent by nobody.
#[test]
fn of_two_told_histories_one_remains_and_its_rights_are_out_of_reach() {
    for log_bytes in logs() {
        let mut hosts = copied(log_bytes, |a| add(a, 10));
        let old = id(&hosts.hosts[A]);
        take(&mut hosts.hosts[A], 8);
        // Opened again: all of it may be told by whoever has an image of it.
        let store = hosts.hosts[A].engine.store_mut().clone();
        hosts.hosts[A] = Host::open(1, 2, config(log_bytes), store);
        take(&mut hosts.hosts[COPY], 7);
        meet_all(&mut hosts);
        let left = value(&hosts.hosts[PEER]);
        assert!([2, 3].contains(&left), "{left}");
        check_value(&hosts, left);
        assert_eq!(rights_of(&hosts.hosts[PEER], &old), left);
        let forked = |host: &Host| host.events.iter().any(|event| matches!(event, Event::Fork { .. }));
        assert!(hosts.hosts.iter().any(forked), "it is told");
        let mut lost = 0;
        hosts.hosts.iter().for_each(|host| host.engine.visit_forks(&mut |_, _| lost += 1).unwrap());
        assert!(lost > 0, "and what gave way can be seen");
        for host in [A, COPY] {
            assert_eq!(may_take(&mut hosts.hosts[host]), 0);
        }
    }
}
