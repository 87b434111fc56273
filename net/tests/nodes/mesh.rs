//! Twelve nodes on the loopback interface: gossip alone, sync alone, and sync that repairs what gossip lost.
//!
//! Nobody is connected to everybody: each node dials three others, so deltas travel over several hops.

use std::time::Duration;

use crate::support::PROCESS;
use rejoin_core::crdt::{LwwMapView, PnCounterView};
use rejoin_core::engine::{Config, Push, WriteError};
use rejoin_core::store::MemoryStore;
use rejoin_core::{SpaceId, VersionVector};
use rejoin_net::keys::{self, Keys};
use rejoin_net::network::{Network, Settings};
use rejoin_net::replica::{Committer, Options, Replica, Status, Storage};
use tokio::time::{Instant, sleep};

const NODES: usize = 12;
const WRITES: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    network: Network,
    replica: Replica,
}

struct Mesh {
    push: Push,
    anti_entropy_ms: u64,
    gossip_loss: u32,
}

impl Mesh {
    async fn start(&self) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..NODES {
            let keys = Keys::random().expect("random bytes");
            let mut settings = Settings::quiet();
            settings.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
            settings.gossip_loss = self.gossip_loss;
            // A ring with chords: three hops from anybody to anybody.
            for back in [1, 3, 5] {
                let listening =
                    nodes.get((number + NODES - back) % NODES).map(|node| node.network.listening());
                settings.peers.extend(listening.iter().flat_map(|listening| listening.borrow().clone()));
            }
            let network = Network::join(keys.transport(), settings).await.expect("a free port");
            let mut config = Config::new(SpaceId([7; 32]));
            config.push = self.push;
            config.anti_entropy_ms = self.anti_entropy_ms;
            let replica = Replica::open(Options {
                config,
                identity: Box::new(keys.device()),
                storage: Storage::Memory(Box::new(MemoryStore::new())),
                committer: Committer::Memory,
                network: Some(network.clone()),
                elsewhere: VersionVector::new(),
                seed: keys::random().expect("random bytes"),
            });
            nodes.push(Node { network, replica: replica.expect("an empty store") });
        }
        for node in &nodes {
            until(node, |status| status.peers.iter().filter(|peer| peer.in_sync).count() >= 2).await;
        }
        nodes
    }
}

fn status(node: &Node) -> Status {
    node.replica.status().expect("a store in memory")
}

async fn until(node: &Node, done: impl Fn(&Status) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done(&status(node)) {
        assert!(Instant::now() < deadline, "not in time: {:?}", status(node));
        sleep(Duration::from_millis(20)).await;
    }
}

/// Everybody writes, a little apart.
async fn write_everywhere(nodes: &[Node]) {
    let (counter, map) = (PnCounterView::at("n").expect("a path"), LwwMapView::at("m").expect("a path"));
    for round in 0..WRITES {
        for (number, node) in nodes.iter().enumerate() {
            let written = node.replica.write(|tx| -> Result<(), WriteError> {
                counter.add(tx, 1)?;
                map.put(tx, format!("{number}"), i64::try_from(round).expect("small"))
            });
            written.expect("written");
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn agree(nodes: &[Node]) {
    let counter = PnCounterView::at("n").expect("a path");
    let all = i64::try_from(NODES * WRITES).expect("small");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let values: Vec<i64> = nodes
            .iter()
            .map(|node| node.replica.read(|reader| counter.value(reader)).expect("read"))
            .collect();
        let roots: Vec<_> = nodes.iter().map(|node| status(node).root).collect();
        if values.iter().all(|value| *value == all) && roots.windows(2).all(|pair| pair[0] == pair[1]) {
            return;
        }
        if Instant::now() > deadline {
            nodes.iter().for_each(|node| println!("{:?}", status(node)));
            panic!("no agreement: {values:?}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn close(nodes: Vec<Node>) {
    for node in nodes {
        node.replica.close().await;
        node.network.leave_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gossip_alone_brings_every_delta() {
    // Two cores carry no more without losing gossip to its queues' timeouts.
    let _alone = PROCESS.write().await;
    // No stream push, and the next hello is an hour away.
    let nodes = Mesh { push: Push::Gossip, anti_entropy_ms: 3_600_000, gossip_loss: 0 }.start().await;
    // The meshes form with the heartbeats of the first seconds.
    sleep(Duration::from_secs(3)).await;
    write_everywhere(&nodes).await;
    agree(&nodes).await;
    for node in &nodes {
        let status = status(node);
        assert_eq!(status.stats.deltas_from_sync, 0, "a delta came by sync");
        assert!(status.stats.deltas_from_gossip > 0 && status.gossip_in > 0);
    }
    close(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anti_entropy_alone_brings_every_delta() {
    // Two cores carry no more without losing gossip to its queues' timeouts.
    let _alone = PROCESS.write().await;
    let nodes = Mesh { push: Push::Off, anti_entropy_ms: 500, gossip_loss: 0 }.start().await;
    write_everywhere(&nodes).await;
    agree(&nodes).await;
    for node in &nodes {
        let status = status(node);
        assert_eq!((status.stats.deltas_from_gossip, status.gossip_in), (0, 0), "gossip is off");
        assert!(status.stats.deltas_from_sync > 0);
    }
    close(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_repairs_what_gossip_loses() {
    // Two cores carry no more without losing gossip to its queues' timeouts.
    let _alone = PROCESS.write().await;
    let nodes = Mesh { push: Push::Gossip, anti_entropy_ms: 1000, gossip_loss: 200 }.start().await;
    sleep(Duration::from_secs(3)).await;
    write_everywhere(&nodes).await;
    agree(&nodes).await;
    let stats: Vec<_> = nodes.iter().map(|node| status(node).stats).collect();
    let by_gossip: u64 = stats.iter().map(|stats| stats.deltas_from_gossip).sum();
    let by_sync: u64 = stats.iter().map(|stats| stats.deltas_from_sync).sum();
    assert!(by_gossip > 0 && by_sync > 0, "by gossip {by_gossip}, repaired by sync {by_sync}");
    close(nodes).await;
}
