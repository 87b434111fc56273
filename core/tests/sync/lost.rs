//! Bugs that other engines shipped, where data was lost or came back: between engines that meet, are cut off, are restored
//! from backups. Each test opens with the story; the threads are public. Where merging itself went wrong see
//! `core/tests/regressions.rs`.

use std::collections::BTreeSet;

use rejoin_core::ReplicaId;
use rejoin_core::engine::{Config, Event, Push};
use rejoin_core::row::{Kind, Object, RowKey, WriteRows};
use rejoin_core::store::MemoryStore;

use crate::hosts::{Host, Hosts, LARGE_LOG, config, payload, row};

fn hosts(count: u8, config: Config) -> Hosts {
    Hosts::new((1..=count).map(|device| Host::open(device, 0, config, MemoryStore::new())).collect())
}

/// Everybody meets everybody on the way, once, by new streams.
fn meet(hosts: &mut Hosts, a: usize, b: usize) {
    let session = hosts.connect(a, b);
    hosts.settle();
    hosts.cut(session);
}

/// derekkraan/delta_crdt_ex issues 65 and 45: a part of the difference was sent with the whole context, and what the part
/// left out counted as removed: of 100,000 additions 18,429 survived.
///
/// Here the log has forgotten most of 100,000 rows, a bulk brings them in parts, and both sides go on writing and removing between them.
#[test]
fn a_hundred_thousand_additions_survive_a_bulk_in_parts() {
    const ROWS: u32 = 100_000;
    let wide =
        |number: u32| -> RowKey { Object::new(Kind(200), "t").unwrap().row(&number.to_be_bytes()).unwrap() };
    let mut hosts = hosts(2, Config { chunk_bytes: 16 * 1024, ..config(64 * 1024) });
    for first in (0..ROWS).step_by(4_000) {
        let numbers = first..first + 4_000;
        hosts.hosts[0]
            .write(|tx| numbers.clone().try_for_each(|number| tx.put(wide(number), payload("add"))));
    }
    hosts.connect(0, 1);
    let (mut expected, mut frames): (BTreeSet<u32>, u32) = ((0..ROWS).collect(), 0);
    while hosts.deliver() {
        frames += 1;
        if frames % 20 == 0 && frames < 1_000 {
            let (of_a, of_b, gone) = (ROWS + frames, 2 * ROWS + frames, frames);
            hosts.hosts[0]
                .write(|tx| tx.put(wide(of_a), payload("meanwhile")).and_then(|()| tx.remove(wide(gone))));
            hosts.hosts[1].write(|tx| tx.put(wide(of_b), payload("meanwhile")));
            expected.extend([of_a, of_b]);
            expected.remove(&gone);
            [0, 1].into_iter().for_each(|host| hosts.flush(host));
        }
    }
    assert!(frames > 100, "a bulk in parts");
    hosts.settle();
    for host in &hosts.hosts {
        let mut found = BTreeSet::new();
        let mut visit = |key: &RowKey, _: &[_]| {
            found.insert(u32::from_be_bytes(key.element().try_into().unwrap()));
        };
        host.engine.visit_rows(&mut visit).unwrap();
        assert!(found == expected, "{} rows, not {}", found.len(), expected.len());
        host.engine.check().unwrap();
    }
}

/// akka/akka-core issue 22188 and pull request 22331: deltas merged out of order left holes in the vector, and holes work
/// as removals at the next merge of whole states.
#[test]
fn the_second_message_before_the_first_makes_no_hole() {
    for log_bytes in [0, LARGE_LOG] {
        let gossiping = Config { push: Push::Gossip, ..config(LARGE_LOG) };
        let mut author = Host::open_known(1, 0, gossiping, MemoryStore::new());
        for number in 1..4 {
            author.put(number, "put");
        }
        let mut hosts = hosts(2, config(log_bytes));
        hosts.hosts[0].gossip(&author.published[2]);
        hosts.hosts[0].gossip(&author.published[1]);
        assert!(hosts.hosts[0].shown().is_empty() && hosts.hosts[0].vector().is_empty());
        // The other has the first only. Nothing of it may die where the later ones wait.
        hosts.hosts[1].gossip(&author.published[0]);
        meet(&mut hosts, 0, 1);
        assert!(hosts.hosts[0].shown().into_keys().eq([1, 2, 3]), "what waited has found its past");
        meet(&mut hosts, 0, 1);
        hosts.check_same();
        assert!(hosts.hosts[1].shown().into_keys().eq([1, 2, 3]));
    }
}

/// akkadotnet/akka.net issues 8219 and 8220: a marker said that a part of the vector had been pruned, came without the
/// pruned state, and keys vanished.
///
/// After every frame of a session one side goes on with a third replica only, which then meets the other. A vector that any
/// frame had advanced without its entries would pass the removals of those on.
#[test]
fn no_message_advances_a_vector_without_its_entries() {
    for log_bytes in [0, LARGE_LOG] {
        let mut cuts = 0;
        for frames in 0.. {
            let mut hosts = two_apart(3, log_bytes);
            let session = hosts.connect(0, 1);
            if !(0..frames).all(|_| hosts.deliver()) {
                break;
            }
            hosts.cut(session);
            for (a, b) in [(1, 2), (2, 0), (0, 1), (1, 2)] {
                meet(&mut hosts, a, b);
            }
            hosts.check_same();
            assert!(hosts.hosts[2].shown().into_keys().eq([0, 2, 3, 4, 5, 6, 7]), "after {frames} frames");
            cuts += 1;
        }
        assert!(cuts >= 6, "{cuts} frames are no session that brings anything");
    }
}

/// The same, where a frame is withheld and those behind it arrive: of a log replay links of a chain are missed, of a bulk
/// frames are counted. A chunk that was lost left out what it told of, which then counted as dead.
#[test]
fn a_session_with_a_frame_missing_is_not_taken_for_whole() {
    for log_bytes in [0, LARGE_LOG] {
        let mut withheld = 0;
        loop {
            let mut hosts = two_apart(2, log_bytes);
            let session = hosts.connect(0, 1);
            if !(0..withheld).all(|_| hosts.deliver()) || !hosts.lose() {
                break;
            }
            hosts.carry();
            // A bulk is taken whole or not at all.
            for host in hosts.hosts.iter().filter(|_| log_bytes == 0) {
                host.engine.check().unwrap();
                let [shown, vector] = [host.shown().len(), host.vector().len()];
                let expected = [[0, 0], [4, 1], [3, 1], [7, 2]];
                assert!(expected.contains(&[shown, vector]), "frame {withheld}: {shown} rows of {vector}");
            }
            hosts.cut(session);
            hosts.hosts.iter_mut().for_each(|host| host.closed.clear());
            meet(&mut hosts, 0, 1);
            hosts.check_same();
            assert!(hosts.hosts[0].shown().into_keys().eq([0, 2, 3, 4, 5, 6, 7]), "frame {withheld}");
            withheld += 1;
        }
        assert!(withheld >= 6, "{withheld} frames are no session that brings anything");
    }
}

/// The first writes five rows and removes one, the second three; others nothing.
fn two_apart(count: u8, log_bytes: u64) -> Hosts {
    let mut hosts = hosts(count, config(log_bytes));
    for number in 0..5 {
        hosts.hosts[0].put(number, "of a");
    }
    for number in 5..8 {
        hosts.hosts[1].put(number, "of b");
    }
    hosts.hosts[0].remove(1);
    hosts
}

/// basho/riak_kv issues 679, 1094, 1643 and 1865: a writer that had forgotten what it had written began to count anew, and
/// what it wrote was thrown away as old; or it wrote with dots that another value had.
///
/// Here a store goes back to an older image in its own place. A peer reminds it before it writes again.
#[test]
fn a_writer_that_forgot_is_reminded_and_its_writes_count() {
    for log_bytes in [0, LARGE_LOG] {
        let mut hosts = hosts(2, config(log_bytes));
        hosts.hosts[0].put(1, "first");
        let image = hosts.hosts[0].engine.store_mut().clone();
        let before = hosts.hosts[0].engine.replica();
        hosts.hosts[0].put(2, "second");
        hosts.hosts[0].remove(1);
        meet(&mut hosts, 0, 1);
        hosts.hosts[0] = Host::open(1, 1, config(log_bytes), image);
        meet(&mut hosts, 0, 1);
        assert!(hosts.hosts[0].shown().into_keys().eq([2]), "what was removed stays so");
        hosts.hosts[0].put(3, "after the fall");
        assert_ne!(hosts.hosts[0].engine.replica(), before, "no dot is used twice");
        meet(&mut hosts, 0, 1);
        hosts.check_same();
        assert!(hosts.hosts[1].shown().into_keys().eq([2, 3]));
    }
}

/// basho/riak_kv issue 1643 again, and 1865: an old removal met a key that had been made anew, and took it.
#[test]
fn an_old_removal_does_not_take_a_row_that_was_made_anew() {
    for log_bytes in [0, LARGE_LOG] {
        let gossiping = Config { push: Push::Gossip, ..config(LARGE_LOG) };
        let mut author = Host::open_known(1, 0, gossiping, MemoryStore::new());
        author.put(1, "old");
        author.remove(1);
        author.put(1, "new");
        let mut hosts = hosts(2, config(log_bytes));
        for frame in &author.published {
            hosts.hosts[0].gossip(frame);
        }
        // The removal once more, late, and a side that knows nothing but the old row and its removal.
        hosts.hosts[0].gossip(&author.published[1]);
        author.published[..2].iter().for_each(|frame| hosts.hosts[1].gossip(frame));
        assert!(hosts.hosts[1].shown().is_empty());
        meet(&mut hosts, 1, 0);
        hosts.check_same();
        assert_eq!(hosts.hosts[1].shown(), [(1, vec![b"new".to_vec()])].into());
    }
}

/// automerge/automerge-classic issues 145 and 120, automerge/hypermerge issue 11, automerge/automerge issue 337: the same
/// document loaded twice under one id made two changes of one number, and one of them was dropped, here this and there
/// that.
#[test]
fn one_store_loaded_twice_is_noticed_and_both_agree() {
    for log_bytes in [0, LARGE_LOG] {
        let mut hosts = hosts(1, config(log_bytes));
        hosts.hosts[0].put(1, "before");
        let image = hosts.hosts[0].engine.store_mut().clone();
        let again = |life| Host::open(1, life, config(log_bytes), image.clone());
        let mut both =
            Hosts::new(vec![again(1), again(2), Host::open(9, 0, config(log_bytes), MemoryStore::new())]);
        both.hosts[0].put(2, "of the first");
        both.hosts[1].put(3, "of the second");
        both.hosts[1].put(4, "of the second");
        for _ in 0..2 {
            meet(&mut both, 0, 2);
            meet(&mut both, 2, 1);
            meet(&mut both, 1, 0);
        }
        let retired =
            |host: &Host| host.events.iter().any(|event| matches!(event, Event::NewIncarnation { .. }));
        assert!(both.hosts.iter().any(retired), "nobody noticed");
        let ids: Vec<Option<ReplicaId>> = both
            .hosts
            .iter_mut()
            .map(|host| {
                host.put(7, "afterwards");
                host.engine.replica()
            })
            .collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "everybody writes under an id of their own");
        for _ in 0..2 {
            meet(&mut both, 0, 2);
            meet(&mut both, 2, 1);
            meet(&mut both, 1, 0);
        }
        both.check_same();
        assert_eq!(both.hosts[0].shown()[&1], [b"before"], "what came before the copy is not touched");
    }
}

/// yjs/yjs issue 374, y-crdt/y-crdt issue 632, liveblocks/liveblocks issue 2535, kieranklaassen/thinkroom issue 229: an edit
/// that only deletes does not show in a state vector. Lost on the way, it was never sent again.
#[test]
fn a_deletion_lost_on_the_way_comes_with_the_next_meeting() {
    for log_bytes in [0, LARGE_LOG] {
        let mut hosts = hosts(2, Config { push: Push::Streams, ..config(log_bytes) });
        hosts.hosts[0].put(1, "stays");
        hosts.hosts[0].put(2, "goes");
        let session = hosts.connect(0, 1);
        hosts.settle();
        hosts.hosts[0].remove(2);
        hosts.flush(0);
        assert!(hosts.lose(), "it was pushed");
        hosts.cut(session);
        assert!(hosts.hosts[1].shown().contains_key(&2));
        meet(&mut hosts, 1, 0);
        hosts.check_same();
        assert!(hosts.hosts[1].shown().into_keys().eq([1]));
    }
}

/// memrynote/memry issue 1489: an entry whose signature did not verify was skipped, the vector advanced past it, and it was
/// never asked for again.
///
/// Every byte of every frame that brings something is damaged once.
#[test]
fn what_does_not_verify_is_refused_with_all_that_came_with_it() {
    for log_bytes in [0, LARGE_LOG] {
        let (mut frame, mut refused) = (0, 0);
        loop {
            let mut byte = 0;
            while let Some(mut hosts) = damaged(log_bytes, frame, byte) {
                refused += usize::from(hosts.hosts[1].vector().is_empty());
                let complete = hosts.hosts[1].shown() == hosts.hosts[0].shown();
                assert!(complete || hosts.hosts[1].vector().is_empty(), "frame {frame}, byte {byte}");
                hosts.hosts.iter_mut().for_each(|host| host.closed.clear());
                (0..2).for_each(|_| meet(&mut hosts, 0, 1));
                hosts.check_same();
                byte += 1;
            }
            if byte == 0 {
                break;
            }
            frame += 1;
        }
        assert!(refused > 100, "{refused} of the bytes mattered");
    }
}

/// A session that brings three rows in one delta, with one byte of one frame damaged; `None` past the end.
fn damaged(log_bytes: u64, frame: usize, byte: usize) -> Option<Hosts> {
    let mut hosts = hosts(2, config(log_bytes));
    hosts.hosts[0].write(|tx| (1..4).try_for_each(|number| tx.put(row(number), payload("signed"))));
    let session = hosts.connect(0, 1);
    if !(0..frame).all(|_| hosts.deliver()) || !hosts.damage(byte) {
        return None;
    }
    hosts.carry();
    hosts.cut(session);
    Some(hosts)
}

/// docs.ditto.live on deleting: tombstones live for a time. A device that is away for longer brings back what was deleted,
/// or has to be wiped and loses what it wrote.
#[test]
fn after_five_years_nothing_comes_back_and_nothing_is_lost() {
    const YEARS_MS: u64 = 5 * 365 * 24 * 3_600_000;
    let mut hosts = hosts(2, config(0));
    for number in 0..50 {
        hosts.hosts[0].put(number, "before");
    }
    meet(&mut hosts, 0, 1);
    // One goes on, and its log forgets; the other writes a little, and sleeps.
    hosts.hosts[1].put(60, "offline");
    hosts.hosts[1].put(3, "offline");
    for number in 0..40 {
        hosts.hosts[0].remove(number);
    }
    for turn in 0..200 {
        hosts.hosts[0].put(45, &format!("turn {turn}"));
    }
    hosts.sleep(YEARS_MS);
    meet(&mut hosts, 1, 0);
    hosts.check_same();
    let expected = [3].into_iter().chain(40..50).chain([60]);
    assert!(hosts.hosts[0].shown().into_keys().eq(expected));
    assert_eq!(hosts.hosts[0].shown()[&3], [b"offline"], "written beside its removal, it stays");
}

/// submersion-app/submersion issue 309, HarperFast/harper issue 2451, quarto-dev/q2 issue 689: a restored backup was out of
/// step with everybody for good, or brought back what had been deleted since.
#[test]
fn a_restored_backup_catches_up_and_brings_nothing_back() {
    for log_bytes in [0, LARGE_LOG] {
        let mut hosts = hosts(2, config(log_bytes));
        for number in 0..4 {
            hosts.hosts[0].put(number, "kept");
        }
        let backup = hosts.hosts[0].engine.store_mut().clone();
        hosts.hosts[0].remove(1);
        hosts.hosts[0].put(2, "newer");
        hosts.hosts[0].put(8, "since the backup");
        meet(&mut hosts, 0, 1);
        // Restored into another place, and written to before it meets anybody.
        let place = Config { lineage: [5; 16], ..config(log_bytes) };
        let mut restored = Host::open(1, 1, place, backup);
        restored.put(9, "after restoring");
        hosts.hosts[0] = restored;
        meet(&mut hosts, 0, 1);
        hosts.check_same();
        let shown = hosts.hosts[0].shown();
        assert!(shown.keys().copied().eq([0, 2, 3, 8, 9]));
        assert_eq!(shown[&2], [b"newer"]);
        assert!(
            !hosts
                .hosts
                .iter()
                .flat_map(|host| &host.events)
                .any(|event| matches!(event, Event::Fork { .. }))
        );
    }
}

/// Found by leaving a rule out: what one peer's bulk staged may lie beyond all that the next peer knows.
#[test]
fn a_bulk_begun_with_one_peer_and_ended_with_another_takes_what_that_one_has() {
    let mut hosts = hosts(3, config(0));
    hosts.hosts[0].put(1, "early");
    meet(&mut hosts, 0, 1);
    for number in 2..6 {
        hosts.hosts[0].put(number, "late");
    }
    let session = hosts.connect(0, 2);
    while hosts.hosts[2].engine.staged().unwrap().len() < 3 {
        assert!(hosts.deliver(), "the bulk is still under way");
    }
    hosts.cut(session);
    meet(&mut hosts, 1, 2);
    assert!(hosts.hosts[2].shown().into_keys().eq([1]), "what the second peer has not is not known either");
    hosts.hosts[2].engine.check().unwrap();
    assert_eq!(hosts.hosts[2].vector(), hosts.hosts[1].vector());
    meet(&mut hosts, 0, 2);
    meet(&mut hosts, 0, 1);
    hosts.check_same();
    assert!(hosts.hosts[2].engine.stats().stage_reused > 0, "and is not sent again");
}
