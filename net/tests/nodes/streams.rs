//! Streams between two nodes: connections that die without a word, receipts, streams that meet, handles that go away.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::support::{Node, PATIENCE, PROCESS, Setup, equal, in_sync, online};
use rejoin_core::crdt::PnCounterView;
use rejoin_core::engine::WriteError;
use rejoin_core::store::{Commit, StoreError};
use rejoin_net::Multiaddr;
use rejoin_net::replica::{Committer, Storage};
use rejoin_net::store::{OpenOptions, RedbStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// Passes bytes on between whoever connects and an address; or swallows them, and keeps the connections open.
struct Forwarder {
    address: Multiaddr,
    swallows: watch::Sender<bool>,
}

impl Forwarder {
    async fn to(target: &Multiaddr) -> Self {
        let target: u16 =
            target.to_string().rsplit('/').next().and_then(|port| port.parse().ok()).expect("a port");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (swallows, swallowing) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", target)).await.expect("the node listens");
                let ((a, b), (c, d)) = (near.into_split(), far.into_split());
                tokio::spawn(forward(a, d, swallowing.clone()));
                tokio::spawn(forward(c, b, swallowing.clone()));
            }
        });
        let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address");
        Self { address, swallows }
    }
}

/// A connection through which anything was swallowed is never whole again, so it stays dead.
async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    swallowing: watch::Receiver<bool>,
) {
    let (mut bytes, mut dead) = (vec![0; 4096], false);
    loop {
        let read = from.read(&mut bytes).await;
        dead |= *swallowing.borrow();
        match read {
            Ok(count) if count > 0 && !dead => {
                if to.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
            Ok(count) if count > 0 => {}
            // The other side hears nothing of an end either.
            _ if dead => return std::future::pending().await,
            _ => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_without_a_word_is_noticed_and_made_again() {
    let _shared = PROCESS.read().await;
    let ada = Setup::new().start().await;
    let road = Forwarder::to(&ada.address()).await;
    let bo = Setup::new().peer(road.address.clone()).start().await;
    ada.add(1);
    bo.until("first contact", |status| in_sync(status) == 1).await;
    equal(&[&ada, &bo]).await;

    road.swallows.send_replace(true);
    let begun = Instant::now();
    for node in [&ada, &bo] {
        node.until("ping notices", |status| online(status) == 0).await;
    }
    let noticed = begun.elapsed();
    ada.add(10);
    bo.add(100);
    // Bo dials meanwhile, and what answers says nothing.
    sleep(Duration::from_secs(1)).await;
    assert_eq!((ada.counter(), bo.counter()), (11, 101));

    road.swallows.send_replace(false);
    let rejoined = equal(&[&ada, &bo]).await;
    assert_eq!((ada.counter(), bo.counter()), (111, 111));
    println!("noticed after {noticed:?}, in sync {rejoined:?} after the road was mended");
    for node in [ada, bo] {
        node.close().await;
    }
}

/// A disk that stands still while the gate is closed.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    moved: Condvar,
}

impl Gate {
    fn committer(self: &Arc<Self>) -> Committer {
        let gate = Arc::clone(self);
        Committer::Scripted(Arc::new(move |_: &Commit| {
            let closed = gate.closed.lock().expect("nobody panics with it");
            // A test that fails leaves it closed; its runtime waits for this thread all the same.
            let moved = gate.moved.wait_timeout_while(closed, PATIENCE, |closed| *closed);
            drop(moved.expect("nobody panics with it"));
            Ok(())
        }))
    }

    fn set(&self, closed: bool) {
        *self.closed.lock().expect("nobody panics with it") = closed;
        self.moved.notify_all();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_means_that_the_disk_of_the_other_has_it() {
    let _shared = PROCESS.read().await;
    let gate = Arc::new(Gate::default());
    let mut setup = Setup::new();
    setup.committer = gate.committer();
    let slow = setup.start().await;
    let ada = Setup::new().peer(slow.address()).start().await;
    ada.add(1);
    equal(&[&ada, &slow]).await;

    gate.set(true);
    let dot = ada.add(1);
    let deadline = Instant::now() + PATIENCE;
    while slow.counter() != 2 {
        assert!(Instant::now() < deadline, "it shows in reads as soon as it has arrived");
        sleep(Duration::from_millis(10)).await;
    }
    let asked = Instant::now();
    assert_eq!(ada.replica.confirmed(dot, 1, Duration::from_secs(1)).await, Err(0));
    assert!(asked.elapsed() < PATIENCE, "in time");
    assert!(!ada.replica.elsewhere().contains(&dot));
    assert_eq!(ada.status().unsynced, 1);

    let waiting = tokio::spawn({
        let replica = ada.replica.clone();
        async move { replica.confirmed(dot, 1, PATIENCE).await }
    });
    gate.set(false);
    assert_eq!(waiting.await.expect("no panic"), Ok(()));
    assert_eq!(ada.replica.confirmed(dot, 2, Duration::from_millis(100)).await, Err(1));
    for node in [ada, slow] {
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_came_before_anybody_asked_counts() {
    let _shared = PROCESS.read().await;
    let bo = Setup::new().start().await;
    let mut setup = Setup::new().peer(bo.address());
    // No hello repeats what a receipt has said.
    setup.config.anti_entropy_ms = 3_600_000;
    let ada = setup.start().await;
    ada.add(1);
    equal(&[&ada, &bo]).await;
    let dot = ada.add(1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(ada.replica.confirmed(dot, 1, Duration::from_secs(1)).await, Ok(()));
    // Closed, there is nobody to wait for.
    bo.close().await;
    ada.replica.close().await;
    let asked =
        timeout(Duration::from_secs(20), ada.replica.confirmed(dot, 2, Duration::from_secs(3600))).await;
    assert_eq!(asked.expect("at once"), Err(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_dial_each_other_end_up_with_one_stream() {
    let _shared = PROCESS.read().await;
    for _ in 0..3 {
        let (ada, bo) = (Setup::new().start().await, Setup::new().start().await);
        ada.network.keep(bo.address());
        bo.network.keep(ada.address());
        let mut sum = 0;
        let deadline = Instant::now() + PATIENCE;
        // Frames show which stream is alive.
        while sum == 0 || (ada.replica.streams(), bo.replica.streams()) != (1, 1) {
            assert!(Instant::now() < deadline, "{} and {}", ada.replica.streams(), bo.replica.streams());
            ada.add(1);
            bo.add(1);
            sum += 2;
            sleep(Duration::from_millis(100)).await;
        }
        equal(&[&ada, &bo]).await;
        assert_eq!(ada.counter(), sum);
        // A sync by hand takes a stream of its own, and it stays the only one.
        let report = ada.replica.sync_with(bo.network.local(), PATIENCE).await.expect("in sync");
        assert_eq!(report.root, bo.status().root);
        let deadline = Instant::now() + PATIENCE;
        while (ada.replica.streams(), bo.replica.streams()) != (1, 1) {
            assert!(Instant::now() < deadline, "{} and {}", ada.replica.streams(), bo.replica.streams());
            ada.add(1);
            sleep(Duration::from_millis(100)).await;
        }
        for node in [ada, bo] {
            node.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn syncs_by_hand_do_not_use_up_the_connections() {
    let _shared = PROCESS.read().await;
    let (ada, bo) = (Setup::new().start().await, Setup::new().start().await);
    bo.add(1);
    for _ in 0..10 {
        let peer = ada.network.dial(bo.address()).await.expect("there is room");
        ada.replica.sync_with(peer, PATIENCE).await.expect("in sync");
    }
    for node in [ada, bo] {
        node.close().await;
    }
}

/// Fails every commit while told to, and dies on the next when told to.
#[derive(Clone, Default)]
struct Disk {
    fails: Arc<AtomicBool>,
    dies: Arc<AtomicBool>,
    commits: Arc<AtomicU32>,
}

impl Disk {
    async fn node(&self) -> Node {
        let disk = self.clone();
        let mut setup = Setup::new();
        setup.committer = Committer::Scripted(Arc::new(move |_: &Commit| {
            disk.commits.fetch_add(1, Ordering::SeqCst);
            assert!(!disk.dies.load(Ordering::SeqCst), "as the test wants it");
            match disk.fails.load(Ordering::SeqCst) {
                true => Err(full()),
                false => Ok(()),
            }
        }));
        setup.start().await
    }
}

fn full() -> StoreError {
    StoreError::Full("as the test wants it".into())
}

fn add_to_keep(node: &Node) -> rejoin_net::replica::Written {
    let counter = PnCounterView::at("n").expect("a path");
    let written = node.replica.write_to_keep(|tx| -> Result<(), WriteError> { counter.add(tx, 1) });
    written.expect("written").1.expect("it changed")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_change_is_not_taken_for_the_next_one() {
    let _shared = PROCESS.read().await;
    let disk = Disk::default();
    let node = disk.node().await;
    disk.fails.store(true, Ordering::SeqCst);
    let lost = add_to_keep(&node);
    let deadline = Instant::now() + PATIENCE;
    while node.replica.stats().commits_failed == 0 {
        assert!(Instant::now() < deadline, "the commit fails");
        sleep(Duration::from_millis(10)).await;
    }
    disk.fails.store(false, Ordering::SeqCst);
    let kept = add_to_keep(&node);
    assert_eq!(lost.dot, kept.dot, "nobody has seen the first, so its dot is given again");
    kept.saved().await.expect("the disk has room again");
    assert_eq!(lost.saved().await.map_err(|lost| lost.0), Err(full()));
    assert_eq!(node.counter(), 1);
    node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_in_vain_for_a_loop_that_died() {
    let _shared = PROCESS.read().await;
    let disk = Disk::default();
    let node = disk.node().await;
    disk.dies.store(true, Ordering::SeqCst);
    let (kept, dot) = (add_to_keep(&node), node.add(1));
    let saved = node.replica.saved(dot);
    timeout(PATIENCE, kept.saved()).await.expect("an answer").expect_err("it is not on disk");
    timeout(PATIENCE, saved).await.expect("an answer").expect_err("it is not on disk");
    assert!(node.replica.status().is_err());
    timeout(PATIENCE, node.close()).await.expect("closes all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_nobody_holds_lets_go_of_its_file() {
    let _shared = PROCESS.read().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("space.redb");
    let mut setup = Setup::new();
    let (store, writer) = RedbStore::open(&path, &OpenOptions::default()).expect("opens");
    (setup.storage, setup.committer) = (Storage::Disk(store), Committer::Disk(writer));
    let ada = setup.start().await;
    let bo = Setup::new().peer(ada.address()).start().await;
    ada.add(1);
    equal(&[&ada, &bo]).await;
    // A peer is connected, and has a stream open.
    drop(ada);
    let deadline = Instant::now() + PATIENCE;
    while RedbStore::open(&path, &OpenOptions::default()).is_err() {
        assert!(Instant::now() < deadline, "it is still open");
        sleep(Duration::from_millis(50)).await;
    }
    bo.until("ada is gone", |status| online(status) == 0).await;
    bo.close().await;
}

#[tokio::test(flavor = "current_thread")]
async fn one_thread_and_no_second_hello_are_enough() {
    let _shared = PROCESS.read().await;
    let mut setup = Setup::new();
    setup.config.anti_entropy_ms = u64::MAX;
    let ada = setup.start().await;
    let mut setup = Setup::new().peer(ada.address());
    setup.config.anti_entropy_ms = u64::MAX;
    let bo = setup.start().await;
    for _ in 0..10 {
        ada.add(1);
        let dot = bo.add(1);
        assert_eq!(bo.replica.confirmed(dot, 1, PATIENCE).await, Ok(()));
    }
    equal(&[&ada, &bo]).await;
    assert_eq!(ada.counter(), 20);
    for node in [ada, bo] {
        node.close().await;
    }
}

#[tokio::test]
#[should_panic(expected = "may not call its space again")]
async fn a_transaction_that_calls_its_own_space_is_told_so() {
    let _shared = PROCESS.read().await;
    let node = Setup::new().start().await;
    let _ = node.replica.write(|_| -> Result<i64, WriteError> { Ok(node.counter()) });
}
