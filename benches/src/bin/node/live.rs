//! W13: live updates between two nodes. A row is written on one node; as soon as the other sees it, it writes one too, and
//! the time is that until the first node sees that: the same there and back that a ping-pong makes.

use std::time::{Duration, Instant};

use rejoin::{Builder, Change, Changes, Grant, Map, Node, Space};
use rejoin_benches::measure::Measures;
use rejoin_benches::program::Task;
use rejoin_core::Value;

use crate::percentiles;

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
const WORKS: &str = "the nodes work";

/// Nodes that keep nothing: what the network and the engine take.
pub(crate) async fn in_memory(task: &Task) -> Measures {
    measure(task, Node::memory_builder(), Node::memory_builder()).await
}

/// Nodes with a store: each write is on two disks before the answer to it is sent.
pub(crate) async fn on_disk(task: &Task) -> Measures {
    let (home, away) = (tempfile::tempdir().expect(WORKS), tempfile::tempdir().expect(WORKS));
    measure(task, Node::builder(home.path().join("node")), Node::builder(away.path().join("node"))).await
}

async fn open(builder: Builder) -> Node {
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    builder.mdns(false).listen([listen]).open().await.expect(WORKS)
}

/// Waits until both hold the same, as both say.
async fn meet(left: &Space, right: &Space) {
    let deadline = Instant::now() + PATIENCE;
    let root = |space: &Space| space.root().expect(WORKS);
    let met = |space: &Space| space.status().expect(WORKS).peers.iter().any(|peer| peer.in_sync);
    while root(left) != root(right) || !met(left) || !met(right) {
        assert!(Instant::now() < deadline, "the nodes do not meet");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for a value of a key.
async fn see(changes: &mut Changes, wanted: &str, number: i64) {
    while let Some(change) = changes.next().await {
        if let Change::Row { key: Some(Value::Text(key)), value, .. } = change
            && key == wanted
            && value == Some(Value::Int(number))
        {
            return;
        }
    }
    panic!("the node was closed");
}

fn put(map: &Map<String, i64>, key: &str, number: i64) {
    map.put(key.to_owned(), number).detach().expect(WORKS);
}

async fn measure(task: &Task, left: Builder, right: Builder) -> Measures {
    let (left, right) = (open(left).await, open(right).await);
    let mine = left.create("bench").await.expect(WORKS);
    let ticket = mine.ticket(Grant::Write).await.expect(WORKS);
    let theirs = right.join(&ticket).await.expect(WORKS);
    mine.map::<String, i64>("m").put("first".into(), 1).await.expect(WORKS);
    meet(&mine, &theirs).await;
    let rounds = task.writes as i64;
    let (map, mut seen) = (theirs.map::<String, i64>("m"), theirs.changes());
    let answering = tokio::spawn(async move {
        for number in 0..rounds {
            see(&mut seen, "ping", number).await;
            put(&map, "pong", number);
        }
    });
    let (map, mut seen) = (mine.map::<String, i64>("m"), mine.changes());
    let mut times = Vec::new();
    for number in 0..rounds {
        let start = Instant::now();
        put(&map, "ping", number);
        tokio::time::timeout(PATIENCE, see(&mut seen, "pong", number)).await.expect("an update is lost");
        times.push(start.elapsed().as_secs_f64());
    }
    answering.await.expect(WORKS);
    left.close().await.expect(WORKS);
    right.close().await.expect(WORKS);
    percentiles(times)
}
