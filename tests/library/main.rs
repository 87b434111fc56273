//! The library as an app uses it: two nodes on loopback, with stores on disk.

mod bounded;
mod carried;
mod causality;
mod consistency;
#[cfg(feature = "document")]
mod documents;
mod expiry;
mod folds;
mod kinds;
mod leaving;
mod presence;
mod queries;
mod shelf;
mod undo;

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

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_logs_are_the_same_on_both_nodes() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let ticket = board.ticket(Grant::Write).await.expect("a ticket");
    let copy = bo.join(&ticket).await.expect("joined");

    let (steps, same) = (board.list::<Task>("steps"), copy.list::<Task>("steps"));
    let task = |title: &str| Task { title: title.into(), done: false };
    let build = steps.push(task("build")).await.expect("on disk");
    let ship = steps.insert(1, task("ship")).confirmed(1, PATIENCE).await.expect("bo has it");
    let test = same.insert(1, task("test")).await.expect("on disk");
    same.set(build, Task { done: true, ..task("build") }).await.expect("on disk");
    same.move_to(ship, 0).confirmed(1, PATIENCE).await.expect("ada has it");
    equal(&board, &copy).await;
    let titles = |tasks: Vec<Task>| tasks.into_iter().map(|task| task.title).collect::<Vec<_>>();
    assert_eq!(titles(steps.values().expect("read")), ["ship", "build", "test"]);
    assert_eq!(steps.items().expect("read"), same.items().expect("read"));
    assert!(steps.get(build).expect("read").expect("there").done);
    steps.remove(test).await.expect("on disk");
    let gone = steps.set(test, task("again")).await;
    assert!(gone.is_err_and(|error| error.to_string().contains("no such item")));
    let beyond = steps.insert(3, task("far")).await;
    assert!(beyond.is_err_and(|error| error.to_string().contains("it has 2 items")));
    assert_eq!(steps.len().expect("read"), 2);

    let (history, heard) = (board.log::<String>("history"), copy.log::<String>("history"));
    history.append("asked".into()).confirmed(1, PATIENCE).await.expect("bo has it");
    heard.append("answered".into()).confirmed(1, PATIENCE).await.expect("ada has it");
    let written = board.batch(|batch| {
        batch.append(&history, "one".into());
        batch.append(&history, "two".into());
        batch.push(&steps, task("more"));
        Ok(())
    });
    written.confirmed(1, PATIENCE).await.expect("bo has it");
    let lines = heard.tail(9).expect("read");
    let texts: Vec<&str> = lines.iter().map(|line| line.value.as_str()).collect();
    assert_eq!(texts, ["asked", "answered", "one", "two"]);
    assert_eq!(lines[0].author, lines[2].author);
    assert_ne!(lines[0].author, lines[1].author);
    assert_eq!(heard.range(&lines[1].place, 2).expect("read"), lines[1..3]);
    let letters = heard.fold(0, |sum, line| sum + line.value.len()).expect("read");
    assert_eq!(letters, 19);
    assert_eq!(heard.trim(&lines[2].place).await.expect("on disk"), 2);
    equal(&board, &copy).await;
    assert_eq!(history.len().expect("read"), 2);
    assert_eq!(copy.snapshot().expect("taken").values(&same).expect("read").len(), 3);
    ada.close().await.expect("closed");
    bo.close().await.expect("closed");
}
