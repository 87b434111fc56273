//! What docs/consistency.md promises, and what it says is not promised: each of its lines names a test, many of them here.

use rejoin::{Error, Grant, Node, Space};

use crate::{PATIENCE, equal, folder, node};

/// A space on its first node, and on others that have joined and know nothing of it yet.
async fn shared(others: usize) -> (Vec<Node>, Vec<Space>) {
    let memory = |listens: bool| {
        let builder = Node::memory_builder();
        let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
        let builder = if listens { builder.listen([listen]) } else { builder };
        // Nobody dials by itself: tests say who meets whom.
        builder.known_peers(false).open()
    };
    let mut nodes = vec![memory(true).await.expect("opens")];
    let mut spaces = vec![nodes[0].create("board").await.expect("created")];
    let ticket = spaces[0].ticket(Grant::Write).await.expect("a ticket");
    for _ in 0..others {
        let node = memory(true).await.expect("opens");
        spaces.push(node.join(&ticket).await.expect("joined"));
        nodes.push(node);
    }
    (nodes, spaces)
}

async fn meet(nodes: &[Node], spaces: &[Space], a: usize, b: usize) {
    nodes[a].sync(&spaces[a], &nodes[b].addresses()[0]).await.expect("in sync");
}

async fn close(nodes: Vec<Node>) {
    for node in nodes {
        node.close().await.expect("closed");
    }
}

/// Neither linearizable nor sequential, and a long fork: two devices may see two writes in different orders.
#[tokio::test(flavor = "multi_thread")]
async fn two_devices_apart_see_two_writes_in_different_orders() {
    let (nodes, spaces) = shared(1).await;
    let flags = |space: &Space| ["x", "y"].map(|path| space.flag(path).get().expect("read"));
    spaces[0].flag("x").enable().await.expect("kept");
    spaces[1].flag("y").enable().await.expect("kept");
    assert_eq!(flags(&spaces[0]), [true, false], "x came first here, and y is not there yet");
    assert_eq!(flags(&spaces[1]), [false, true], "and the other way round there");
    meet(&nodes, &spaces, 1, 0).await;
    equal(&spaces[0], &spaces[1]).await;
    assert_eq!([flags(&spaces[0]), flags(&spaces[1])], [[true, true], [true, true]]);
    close(nodes).await;
}

/// Causal: who sees an answer sees the question, whoever brought it.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_sees_an_answer_sees_the_question() {
    let (nodes, spaces) = shared(2).await;
    spaces[0].register::<String>("question").put("who?".into()).await.expect("kept");
    meet(&nodes, &spaces, 1, 0).await;
    assert!(spaces[1].register::<String>("question").get().expect("read").is_some());
    spaces[1].register::<String>("answer").put("me".into()).await.expect("kept");
    // The third one never meets who asked.
    meet(&nodes, &spaces, 2, 1).await;
    let snapshot = spaces[2].snapshot().expect("taken");
    let shows = |path: &str| snapshot.value(&spaces[2].register::<String>(path)).expect("read").is_some();
    assert_eq!([shows("answer"), shows("question")], [true, true]);
    close(nodes).await;
}

/// No fractured reads: a transaction shows whole, on every device, to whoever reads in one snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_seen_whole_elsewhere() {
    let (nodes, spaces) = shared(1).await;
    meet(&nodes, &spaces, 1, 0).await;
    let writer = spaces[0].clone();
    let writing = tokio::spawn(async move {
        let (x, y) = (writer.register::<i64>("x"), writer.register::<i64>("y"));
        for n in 1..=200 {
            let both = writer.batch(|batch| {
                batch.set(&x, n);
                batch.set(&y, n);
                Ok(())
            });
            both.await.expect("kept");
        }
    });
    let (x, y) = (spaces[1].register::<i64>("x"), spaces[1].register::<i64>("y"));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut seen = std::collections::BTreeSet::new();
    while !seen.contains(&Some(200)) {
        let snapshot = spaces[1].snapshot().expect("taken");
        let both = (snapshot.value(&x).expect("read"), snapshot.value(&y).expect("read"));
        assert_eq!(both.0, both.1);
        seen.insert(both.0);
        assert!(tokio::time::Instant::now() < deadline, "it arrives");
        tokio::task::yield_now().await;
    }
    writing.await.expect("no panic");
    close(nodes).await;
}

/// Lost updates: of two writes of one key one wins and the other is kept beside it; additions never overwrite each other.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_writes_apart_one_wins_and_none_is_lost_in_silence() {
    let (nodes, spaces) = shared(1).await;
    for (number, space) in spaces.iter().enumerate() {
        space.map::<String, usize>("tasks").put("t".into(), number).await.expect("kept");
        space.counter("likes").add(1).await.expect("kept");
        space.set::<usize>("tags").insert(number).await.expect("kept");
    }
    meet(&nodes, &spaces, 1, 0).await;
    equal(&spaces[0], &spaces[1]).await;
    for space in &spaces {
        let tasks = space.map::<String, usize>("tasks");
        let (won, lost) =
            (tasks.get("t").expect("read").expect("there"), tasks.conflicts("t").expect("read"));
        assert_eq!((won + lost[0], lost.len()), (1, 1));
        assert_eq!(space.counter("likes").get().expect("read"), 2);
        assert_eq!(space.set::<usize>("tags").elements().expect("read"), [0, 1]);
    }
    close(nodes).await;
}

/// Write skew is possible with ordinary types, and a bounded counter is what prevents it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_over_two_rows_is_kept_by_escrow_and_by_nothing_else() {
    let (nodes, spaces) = shared(1).await;
    for who in ["ada", "bo"] {
        spaces[0].set::<String>("on duty").insert(who.into()).await.expect("kept");
    }
    spaces[0].bounded_counter("spare").increment(1).await.expect("kept");
    meet(&nodes, &spaces, 1, 0).await;
    // "One of us has to stay": both look, both go.
    for space in &spaces {
        assert_eq!(space.set::<String>("on duty").len().expect("read"), 2);
    }
    let mut went = 0;
    for (space, who) in spaces.iter().zip(["ada", "bo"]) {
        space.set::<String>("on duty").remove(who).await.expect("kept");
        match space.bounded_counter("spare").decrement(1).await {
            Ok(_) => went += 1,
            Err(Error::Data(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    meet(&nodes, &spaces, 1, 0).await;
    equal(&spaces[0], &spaces[1]).await;
    assert!(spaces[0].set::<String>("on duty").is_empty().expect("read"), "nobody stayed");
    assert_eq!(
        (went, spaces[1].bounded_counter("spare").value().expect("read")),
        (1, 0),
        "one may go, and one did"
    );
    close(nodes).await;
}

/// Read your writes and monotonic reads on one device: at once, and over a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_shows_its_own_writes_at_once_and_after_a_restart() {
    let home = folder();
    let open = node(&home).await;
    let board = open.create("board").await.expect("created");
    let likes = board.counter("likes");
    for n in 1..=20 {
        let commit = likes.add(1);
        assert_eq!(likes.get().expect("read"), n, "before it is on disk");
        if n % 5 == 0 {
            commit.await.expect("on disk");
        } else {
            commit.detach().expect("written");
        }
    }
    open.close().await.expect("closed");
    let open = node(&home).await;
    assert_eq!(open.space("board").expect("here").counter("likes").get().expect("read"), 20);
    open.close().await.expect("closed");
}
