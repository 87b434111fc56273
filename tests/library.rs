//! The library as an app uses it: two nodes on loopback, with stores on disk.

use std::time::Duration;

use rejoin::{Error, Grant, Node, Space};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    title: String,
    done: bool,
}

/// A node in a folder of its own, reachable on loopback only.
async fn node(folder: &TempDir) -> Node {
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    Node::builder(folder.path().join("node")).mdns(false).listen([listen]).open().await.expect("opens")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Waits until both hold the same, as both say.
async fn equal(a: &Space, b: &Space) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while a.root().expect("read") != b.root().expect("read") {
        assert!(tokio::time::Instant::now() < deadline, "{:?}\n{:?}", a.status(), b.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_a_board() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let ticket = board.ticket(Grant::Write).await.expect("a ticket").to_string();
    let copy = bo.join(&ticket.parse().expect("a ticket")).await.expect("joined");
    assert_eq!((copy.name(), copy.id()), ("board", board.id()));

    board.counter("likes").add(2).await.expect("on disk");
    copy.counter("likes").add(3).await.expect("on disk");
    let tasks = board.map::<String, Task>("tasks");
    let task = Task { title: "Ship".into(), done: false };
    tasks.put("t1".into(), task.clone()).confirmed(1, PATIENCE).await.expect("bo has it");
    assert_eq!(copy.map::<String, Task>("tasks").get("t1").expect("read"), Some(task));
    equal(&board, &copy).await;
    assert_eq!(board.counter("likes").get().expect("read"), 5);

    // Nobody else is there: two cannot confirm, and the change is kept.
    let late = board.counter("likes").add(1).confirmed(2, Duration::from_millis(300)).await;
    assert!(matches!(late, Err(Error::NotConfirmed { got: 0 | 1, wanted: 2, .. })), "{late:?}");
    assert_eq!(board.counter("likes").get().expect("read"), 6);

    equal(&board, &copy).await;
    let status = copy.status().expect("read");
    assert_eq!((status.rows, status.replicas), (3, 2));
    for space in [&board, &copy] {
        let incidents = space.incidents().get().expect("read");
        assert_eq!(incidents, [], "that all goes as it should is nothing to tell");
    }
    ada.close().await.expect("closed");
    assert!(board.counter("likes").get().is_err(), "closed");

    // Away from the network, and back: what was written is there.
    let offline = Node::builder(home.path().join("node")).offline(true).open().await.expect("opens");
    let board = offline.space("board").expect("it is here");
    assert_eq!(board.counter("likes").get().expect("read"), 6);
    board.set::<String>("tags").insert("red".into()).await.expect("on disk");
    board.verify().await.expect("sound");
    offline.close().await.expect("closed");

    let ada = node(&home).await;
    let board = ada.space("board").expect("it is here");
    let report = bo.sync(&copy, &ada.addresses()[0]).await.expect("in sync");
    assert_eq!(report.root, board.root().expect("read"));
    assert_eq!((report.rows_in, report.rows_out), (1, 0));
    assert!(copy.set::<String>("tags").contains("red").expect("read"));
    bo.close().await.expect("closed");
    ada.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_show_the_latest_and_batches_are_whole() {
    let home = folder();
    let node = Node::builder(home.path().join("node")).offline(true).open().await.expect("opens");
    let board = node.create("board").await.expect("created");
    let (likes, tags) = (board.counter("likes"), board.set::<String>("tags"));
    let mut seen = likes.watch();
    assert_eq!(seen.next().await, Some(0));
    board
        .batch(|b| {
            b.add(&likes, 2);
            b.insert(&tags, "red".into());
            Ok(())
        })
        .await
        .expect("on disk");
    assert_eq!(seen.next().await, Some(2));
    let before = board.snapshot().expect("taken");

    // One bad write makes the whole batch fail: neither is there.
    let failed = board.batch(|b| {
        b.add(&likes, 5);
        b.insert(&board.set::<String>("a//b"), "x".into());
        Ok(())
    });
    assert!(matches!(failed.await, Err(Error::Data(_))));
    assert_eq!(likes.get().expect("read"), 2);

    // A handle of another space has no place in it.
    let other = node.create("other").await.expect("created");
    let failed = board.batch(|b| {
        b.add(&other.counter("likes"), 1);
        Ok(())
    });
    assert!(matches!(failed.await, Err(Error::OtherSpace)));

    likes.add(1).await.expect("on disk");
    assert_eq!(before.counter(&likes).expect("read"), 2, "a snapshot stays");
    assert_eq!(before.elements(&tags).expect("read"), ["red"]);
    assert_eq!(seen.next().await, Some(3));
    node.close().await.expect("closed");
    assert_eq!(seen.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_in_words() {
    let home = folder();
    let node = Node::builder(home.path().join("node")).offline(true).open().await.expect("opens");
    node.create("board").await.expect("created");
    let words = |error: Error| error.to_string();
    let again = node.create("board").await.expect_err("taken");
    assert_eq!(words(again), "there is a space `board` here already; choose another name");
    let unknown = node.space("bored").expect_err("unknown");
    assert_eq!(words(unknown), "there is no space `bored` here; there is board");
    assert!(matches!(node.create("a b").await, Err(Error::Name(_))));
    let second = Node::builder(home.path().join("node")).offline(true).open().await;
    let locked = words(second.err().expect("locked"));
    assert!(locked.contains(&std::process::id().to_string()), "{locked}");
    node.close().await.expect("closed");
}
