//! Real processes under real faults: partitions, SIGKILL at any moment, bulk syncs that are cut off.
//!
//! In the test run the amounts are small; `cargo xtask lab` sets the large ones through the environment.

mod forwarder;
mod node;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use forwarder::Forwarder;
use node::{Node, amount, free_port, random};

const PATIENCE: Duration = Duration::from_secs(90);
/// Rounds of changes in which a bulk has to be caught under way often enough.
const MOST_ROUNDS: u64 = 60;

/// Writes through a node's socket until told to stop; what was acknowledged is remembered, what was not may be there.
struct Writer {
    thread: thread::JoinHandle<BTreeSet<String>>,
}

fn write_on(node: &Node, side: &'static str, stop: &Arc<AtomicBool>, count: &Arc<AtomicU64>) -> Writer {
    let (data, stop, count) = (node.data().to_owned(), stop.clone(), count.clone());
    let thread = thread::spawn(move || {
        let mut acknowledged = BTreeSet::new();
        let mut number = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let key = format!("{side}-{number}");
            if node::rejoin(&data, &["map", "put", "lab/m", &key, &number.to_string()]).is_ok() {
                acknowledged.insert(key);
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        acknowledged
    });
    Writer { thread }
}

fn missing(node: &Node, acknowledged: &BTreeSet<String>) -> Vec<String> {
    let there = node.json(&["export", "lab/m"]);
    acknowledged.iter().filter(|key| there.get(key.as_str()).is_none()).cloned().collect()
}

#[test]
fn every_acknowledged_write_survives_partitions_and_kills() {
    let partitions = amount("REJOIN_LAB_PARTITIONS", 2);
    let length = Duration::from_secs(amount("REJOIN_LAB_SECONDS", 2));
    let kills = amount("REJOIN_LAB_KILLS", 4);

    let (mut ada, mut bo) = (Node::new("ada"), Node::new("bo"));
    let ticket = ada.json(&["new", "lab"])["ticket"].as_str().expect("a ticket").to_owned();
    bo.json(&["join", &ticket]);
    let port = free_port();
    let forwarder = Forwarder::start(port);
    ada.serve(&["--listen", &format!("/ip4/127.0.0.1/tcp/{port}")]);
    let peer = format!("/ip4/127.0.0.1/tcp/{}", forwarder.port());
    let bo_arguments = ["--listen", "/ip4/127.0.0.1/tcp/0", "--peer", &peer];
    bo.serve(&bo_arguments);

    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers = [write_on(&ada, "ada", &stop, &count), write_on(&bo, "bo", &stop, &count)];
    let mut killed = 0;
    for partition in 0..partitions {
        forwarder.cut();
        let due = |part: u64| kills * (2 * partition + part) / (2 * partitions);
        for (part, healed) in [(1, false), (2, true)] {
            if healed {
                forwarder.heal();
            }
            let end = Instant::now() + length / if healed { 3 } else { 1 };
            while Instant::now() < end || killed < due(part) {
                thread::park_timeout(Duration::from_millis(50 + random() % 400));
                if killed < due(part) {
                    killed += 1;
                    if random().is_multiple_of(2) {
                        ada.kill();
                        ada.serve(&["--listen", &format!("/ip4/127.0.0.1/tcp/{port}")]);
                    } else {
                        bo.kill();
                        bo.serve(&bo_arguments);
                    }
                }
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    let acknowledged: Vec<BTreeSet<String>> =
        writers.into_iter().map(|writer| writer.thread.join().expect("the writer ends")).collect();
    let started = Instant::now();
    node::agree(&[&ada, &bo], "lab", PATIENCE);
    let agreed = started.elapsed();
    for node in [&ada, &bo] {
        for side in &acknowledged {
            assert_eq!(missing(node, side), [""; 0], "acknowledged and lost on {}", node.name());
        }
    }
    println!(
        "{partitions} partitions of {} s, {killed} kills, {} + {} writes acknowledged: all on both sides, equal roots {:.1} s \
         after the last",
        length.as_secs(),
        acknowledged[0].len(),
        acknowledged[1].len(),
        agreed.as_secs_f64(),
    );
    assert!(acknowledged.iter().all(|side| !side.is_empty()), "both sides wrote");
}

/// Rows of the published table: 16-character keys with 32-character values.
fn rows(count: u64) -> String {
    let row = |n| {
        format!(
            "{{\"key\":\"{n:016}\",\"value\":\"{:032x}\"}}\n",
            u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c)
        )
    };
    (0..count).map(row).collect()
}

#[test]
fn a_recent_divergence_costs_one_round_trip() {
    let count = amount("REJOIN_LAB_ROWS", 5000);
    let (mut ada, bo) = (Node::new("ada"), Node::new("bo"));
    let ticket = ada.json(&["new", "lab"])["ticket"].as_str().expect("a ticket").to_owned();
    bo.json(&["join", &ticket]);
    let imported = ada.json_with(&["import", "lab/m", "-"], &rows(count));
    assert_eq!(imported["rows"], count);
    let address = ada.serve(&["--listen", "/ip4/127.0.0.1/tcp/0"]);
    let first = bo.json(&["sync", "lab", &address]);
    assert_eq!(first["rows_in"], count);
    for n in 0..10 {
        ada.json(&["map", "put", "lab/m", &format!("{n:016}"), &format!("{n:032}")]);
        bo.json(&["map", "put", "lab/m", &format!("{:016}", 100 + n), &format!("{n:032}")]);
    }
    let report = bo.json(&["sync", "lab", &address]);
    println!("{count} rows, 10 changed on each side: {report}");
    assert!(report["bytes"].as_u64().expect("a number") < 3000, "{report}");
    assert_eq!(
        (&report["round_trips"], &report["rows_in"], &report["rows_out"]),
        (&1.into(), &10.into(), &10.into())
    );
    let nothing = bo.json(&["sync", "lab", &address]);
    println!("nothing changed: {nothing}");
    assert!(nothing["bytes"].as_u64().expect("a number") <= 160, "{nothing}");
    assert_eq!(nothing["root"], ada.root("lab").as_str());
}

/// Removals on either side of rows that the other still shows, and puts that the other has never seen.
fn diverge(nodes: [&Node; 2], round: u64, changes: u64, count: u64) {
    for (node, side) in nodes.into_iter().zip(0..) {
        let acts: String = (0..changes)
            .map(|n| {
                let key = ((round * 2 + side) * changes + n) % count;
                format!(
                    "{{\"map\":\"m\",\"rm\":\"{key:016}\"}}\n\
                     {{\"map\":\"m\",\"put\":\"{side}-{round}-{n}\",\"value\":{n}}}\n"
                )
            })
            .collect();
        node.json_with(&["batch", "lab"], &acts);
    }
}

fn staged(node: &Node) -> u64 {
    node.json(&["status"])["spaces"][0]["staged"].as_u64().expect("a number")
}

/// Kills syncs until one ends; how many of them had fetched more than those before, which is an interrupted bulk.
/// `length` is about how long a whole one takes.
fn interrupt(ada: &Node, bo: &Node, address: &str, length: &mut Duration) -> u64 {
    let before = bo.json(&["export", "lab/m"]);
    let (mut interrupted, mut fetched) = (0, 0);
    loop {
        let started = Instant::now();
        let mut sync = bo.start(&["sync", "lab", address]);
        if node::wait(&mut sync, length.mul_f64((random() % 1000) as f64 / 1000.0)) {
            *length = (*length).min(started.elapsed());
            return interrupted;
        }
        *length = length.mul_f64(1.02);
        // Ended this very moment is as good.
        let _ = sync.kill();
        let _ = sync.wait();
        let now = bo.json(&["export", "lab/m"]);
        if now != before {
            // It had committed: all of it is there.
            let theirs = ada.json(&["export", "lab/m"]);
            let theirs = theirs.as_object().expect("a map");
            // What this side removed the other may still show, and what it put the other may lack: it was killed before
            // the other had taken that. Of the other's own acts all must be there: its puts, and its removals.
            let lacks = |key: &&String| key.starts_with("0-") && now.get(key.as_str()).is_none();
            assert_eq!(
                theirs.keys().filter(lacks).count(),
                0,
                "part of a bulk's puts was visible after a kill"
            );
            let now = now.as_object().expect("a map");
            let kept = |key: &&String| !key.contains('-') && !theirs.contains_key(key.as_str());
            assert_eq!(
                now.keys().filter(kept).count(),
                0,
                "part of a bulk's removals was visible after a kill"
            );
            return interrupted;
        }
        let staged = staged(bo);
        interrupted += u64::from(staged > fetched);
        fetched = staged;
    }
}

#[test]
fn an_interrupted_bulk_shows_nothing_and_ends_equal() {
    let count = amount("REJOIN_LAB_ROWS", 5000);
    let changes = amount("REJOIN_LAB_CHANGES", 200);
    let interruptions = amount("REJOIN_LAB_INTERRUPTIONS", 2);
    let (mut ada, mut bo) = (Node::new("ada"), Node::new("bo"));
    for node in [&mut ada, &mut bo] {
        // No log: every sync is a bulk. Small frames: it takes a while.
        node.set("REJOIN_LOG_BYTES", 0);
        node.set("REJOIN_CHUNK_BYTES", 2048);
    }
    let ticket = ada.json(&["new", "lab"])["ticket"].as_str().expect("a ticket").to_owned();
    bo.json(&["join", &ticket]);
    ada.json_with(&["import", "lab/m", "-"], &rows(count));
    let address = ada.serve(&["--listen", "/ip4/127.0.0.1/tcp/0"]);
    bo.json(&["sync", "lab", &address]);
    let (mut interrupted, mut rounds) = (0, 0);
    let mut length = Duration::from_millis(500);
    while interrupted < interruptions {
        assert!(rounds < MOST_ROUNDS, "no bulk can be caught under way: {interrupted} of {interruptions}");
        diverge([&ada, &bo], rounds, changes, count);
        interrupted += interrupt(&ada, &bo, &address, &mut length);
        rounds += 1;
    }
    let report = bo.json(&["sync", "lab", &address]);
    assert_eq!(report["root"], ada.root("lab").as_str());
    assert_eq!(bo.json(&["export", "lab/m"]), ada.json(&["export", "lab/m"]));
    assert_eq!(staged(&bo), 0);
    bo.json(&["verify"]);
    println!(
        "{interrupted} bulks cut off half-way by SIGKILL in {rounds} rounds, equal in the end: {report}"
    );
}
