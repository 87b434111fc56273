//! Bugs that other engines shipped, where sync claimed what was not so, never ended, or never began again. Each test opens
//! with the story; the threads are public.

use rejoin_core::Timestamp;
use rejoin_core::crdt::{LwwRegisterView, OrSetView};
use rejoin_core::engine::{Config, Event, Now, Push, WriteError};
use rejoin_core::row::WriteRows;
use rejoin_core::store::MemoryStore;

use crate::hosts::{Host, Hosts, LARGE_LOG, config, payload, row};

fn hosts(count: u8, config: Config) -> Hosts {
    Hosts::new((1..=count).map(|device| Host::open(device, 0, config, MemoryStore::new())).collect())
}

/// automerge/automerge-classic issue 394: a third replica that lacked a dependency was asked for it for ever.
#[test]
fn three_that_each_lack_something_fall_silent() {
    for log_bytes in [0, LARGE_LOG] {
        let mut hosts = hosts(3, config(log_bytes));
        // What the second writes depends on the first; the third hears of the second's by gossip, without its past.
        hosts.hosts[0].put(1, "first");
        let session = hosts.connect(0, 1);
        hosts.settle();
        hosts.cut(session);
        let gossiping = Config { push: Push::Gossip, ..config(LARGE_LOG) };
        let store = hosts.hosts[1].engine.store_mut().clone();
        hosts.hosts[1] = Host::open_known(2, 1, gossiping, store);
        hosts.hosts[1].put(1, "second");
        let frame = hosts.hosts[1].published.remove(0);
        hosts.hosts[2].gossip(&frame);
        assert!(hosts.hosts[2].shown().is_empty());
        for (a, b) in [(2, 0), (2, 1), (0, 1)] {
            hosts.connect(a, b);
        }
        let frames = hosts.settle();
        assert!(frames < 100, "{frames} frames");
        hosts.check_same();
        assert_eq!(hosts.hosts[2].shown(), [(1, vec![b"second".to_vec()])].into());
    }
}

/// automerge/automerge issue 703: a change made here between receiving a message and answering it left both waiting.
///
/// Each side writes after each frame of a session, once in each of the places.
#[test]
fn a_write_between_a_message_and_its_answer_leaves_nobody_waiting() {
    let mut places = 0;
    for (log_bytes, push, writer) in [0, LARGE_LOG]
        .into_iter()
        .flat_map(|log| [Push::Off, Push::Streams].map(move |push| (log, push)))
        .flat_map(|(log, push)| [0, 1].map(move |writer| (log, push, writer)))
    {
        for delivered in 0.. {
            let mut hosts = hosts(2, Config { push, ..config(log_bytes) });
            hosts.hosts[0].put(1, "of a");
            hosts.hosts[1].put(2, "of b");
            hosts.connect(0, 1);
            if !(0..delivered).all(|_| hosts.deliver()) {
                break;
            }
            hosts.hosts[writer].put(3, "in between");
            hosts.flush(writer);
            hosts.settle();
            hosts.check_same();
            assert!(hosts.hosts[0].shown().into_keys().eq([1, 2, 3]));
            places += 1;
        }
    }
    assert!(places > 8 * 3, "{places} places");
}

/// calimero-network/core issue 2407: each sync reported success, and the two had differed for days.
///
/// After every frame of every session here, whoever has been told "in sync" holds the root that it was told, and so does
/// the other.
#[test]
fn in_sync_is_said_of_equal_roots_only() {
    let mut said = 0;
    for (log_bytes, seed) in
        [0, 200, LARGE_LOG].into_iter().flat_map(|log| (0..20_u8).map(move |seed| (log, seed)))
    {
        let mut hosts = hosts(2, Config { push: Push::Streams, ..config(log_bytes) });
        for number in 0..seed % 5 {
            hosts.hosts[usize::from(number % 2)].put(number, "text");
        }
        hosts.connect(0, 1);
        for step in 0_u8.. {
            if step < 12 && (step ^ seed) % 3 == 0 {
                let writer = usize::from(step & 1);
                hosts.hosts[writer].put(step % 6, &format!("step {step}"));
                hosts.flush(writer);
            }
            let before = hosts.hosts.iter_mut().map(|host| host.engine.root().unwrap()).collect::<Vec<_>>();
            let delivered = hosts.deliver();
            for host in &mut hosts.hosts {
                for event in std::mem::take(&mut host.events) {
                    if let Event::InSync { root, .. } = event {
                        said += 1;
                        let after = host.engine.root().unwrap();
                        assert!(before.contains(&root) || after == root, "nobody holds that");
                    }
                }
            }
            if !delivered && step > 12 {
                break;
            }
        }
        hosts.settle();
        hosts.check_same();
    }
    assert!(said >= 60, "{said} times");
}

/// calimero-network/core issue 2538: containers had random ids, so two that touched one for the first time at once made two,
/// and one of them hid the other.
#[test]
fn a_container_that_two_make_at_once_is_one() {
    let mut hosts = hosts(2, config(0));
    let tags = OrSetView::at("board/tags").unwrap();
    let title = LwwRegisterView::at("board").unwrap();
    for (at, tag) in [(0, "red"), (1, "blue")] {
        hosts.hosts[at].write(|tx| -> Result<(), WriteError> {
            tags.insert(tx, tag)?;
            title.put(tx, tag)
        });
    }
    hosts.connect(0, 1);
    hosts.settle();
    hosts.check_same();
    for host in &hosts.hosts {
        let reader = host.engine.reader();
        assert_eq!(tags.len(&reader).unwrap(), 2);
        assert!(["blue", "red"].into_iter().all(|tag| tags.contains(&reader, tag).unwrap()));
        assert_eq!(title.conflicts(&reader).unwrap().len(), 1, "the other title is shown as what it is");
    }
}

/// freenet/river issue 485: one side pruned, the other sent it again, and so on for ever.
///
/// Logs here are so short that each write prunes them, and three replicas stand in a ring.
#[test]
fn connected_and_quiet_sends_nothing() {
    for (log_bytes, push) in [(0, Push::Streams), (300, Push::Streams), (0, Push::Off), (300, Push::Off)] {
        let mut hosts = hosts(3, Config { push, ..config(log_bytes) });
        for (a, b) in [(0, 1), (1, 2), (2, 0)] {
            hosts.connect(a, b);
        }
        for turn in 0..12_u8 {
            let writer = usize::from(turn % 3);
            hosts.hosts[writer].put(turn % 5, &format!("turn {turn}"));
            hosts.hosts[writer].remove((turn + 2) % 5);
            hosts.flush(writer);
            hosts.carry();
        }
        let frames = hosts.settle();
        assert!(frames < 500, "{frames} frames to settle");
        hosts.check_same();
        let before = hosts.bytes;
        hosts.sleep(24 * 3_600_000);
        assert_eq!((hosts.settle(), hosts.bytes), (0, before), "a quiet day costs nothing");
    }
}

/// evoluhq/evolu issue 709, cachapa/crdt issue 6, calimero-network/core issue 2662, sillsdev/harmony issue 7: a clock far
/// ahead stopped sync with an error or won for ever; one far behind lost every write; after sleep the counter of the clock
/// ran over.
#[test]
fn no_clock_stops_anything_or_wins_for_ever() {
    const SANE: u64 = 1_800_000_000_000;
    for mad in [0, 1, SANE - 86_400_000, SANE + 100 * 31_557_600_000, (1 << 48) - 1, 1 << 48, u64::MAX] {
        let mut hosts = hosts(2, config(LARGE_LOG));
        let put = |hosts: &mut Hosts, at: usize, wall_ms: u64, text: &str| {
            let now = Now { mono_ms: 0, wall_ms };
            let write =
                |tx: &mut rejoin_core::engine::Transaction<'_, MemoryStore>| tx.put(row(1), payload(text));
            let done: Result<_, WriteError> = hosts.hosts[at].engine.write(now, write);
            assert!(done.is_ok_and(|((), dot)| dot.is_some()), "refused at {wall_ms}");
            hosts.flush(at);
        };
        // More writes in one millisecond than the counter of the clock has room for would have to be 65,536.
        (0..100).for_each(|_| put(&mut hosts, 0, mad, "mad"));
        let session = hosts.connect(0, 1);
        hosts.settle();
        hosts.check_same();
        put(&mut hosts, 1, SANE, "sane");
        hosts.cut(session);
        hosts.connect(0, 1);
        hosts.settle();
        hosts.check_same();
        assert_eq!(
            hosts.hosts[0].shown(),
            [(1, vec![b"sane".to_vec()])].into(),
            "what was seen is beaten, at {mad}"
        );
        let mut written = Timestamp(0);
        let mut visit = |_: &_, entries: &[rejoin_core::row::Entry]| written = entries[0].timestamp();
        hosts.hosts[1].engine.visit_rows(&mut visit).unwrap();
        assert!(
            written <= Timestamp::from_millis(SANE + 61_000),
            "the clock of the other did not follow {mad}"
        );
        // And the mad one's own later writes beat its own earlier ones once its clock is set right.
        put(&mut hosts, 0, SANE + 1, "mended");
        hosts.settle();
        assert_eq!(hosts.hosts[0].shown(), [(1, vec![b"mended".to_vec()])].into());
    }
}
