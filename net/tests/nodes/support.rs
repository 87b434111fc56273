//! Nodes on the loopback interface, as the tests of the network need them.

use std::time::Duration;

use rejoin_core::crdt::{LwwMapView, PnCounterView};
use rejoin_core::engine::{Config, Push, WriteError};
use rejoin_core::store::MemoryStore;
use rejoin_core::{Dot, SpaceId, VersionVector};
use rejoin_net::Multiaddr;
use rejoin_net::keys::{self, Keys};
use rejoin_net::network::{Network, Settings};
use rejoin_net::replica::{Committer, Options, Replica, Status, Storage};
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep};

/// Whoever measures the process, or what takes long in it, has it alone; everybody else shares it.
pub(crate) static PROCESS: RwLock<()> = RwLock::const_new(());
/// Long enough for two busy cores; a test that needs all of it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const SPACE: SpaceId = SpaceId([7; 32]);

pub(crate) struct Node {
    pub(crate) network: Network,
    pub(crate) replica: Replica,
}

/// How a node is set up; [`Setup::new`] listens on a port of its own and keeps everything in memory.
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) config: Config,
    pub(crate) storage: Storage,
    pub(crate) committer: Committer,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let mut settings = Settings::quiet();
        settings.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
        let mut config = Config::new(SPACE);
        config.push = Push::Streams;
        Self {
            settings,
            config,
            storage: Storage::Memory(Box::new(MemoryStore::new())),
            committer: Committer::Memory,
        }
    }

    pub(crate) fn peer(mut self, address: Multiaddr) -> Self {
        self.settings.peers.push(address);
        self
    }

    pub(crate) async fn start(self) -> Node {
        let keys = Keys::random().expect("random bytes");
        let network = Network::join(keys.transport(), self.settings).await.expect("a free port");
        let replica = Replica::open(Options {
            config: self.config,
            identity: Box::new(keys.device()),
            storage: self.storage,
            committer: self.committer,
            network: Some(network.clone()),
            elsewhere: VersionVector::new(),
            seed: keys::random().expect("random bytes"),
        });
        Node { network, replica: replica.expect("a sound store") }
    }
}

impl Node {
    pub(crate) fn address(&self) -> Multiaddr {
        self.network.listening().borrow().first().expect("it listens").clone()
    }

    pub(crate) fn status(&self) -> Status {
        self.replica.status().expect("the store can be read")
    }

    /// Adds to the counter `n`.
    pub(crate) fn add(&self, by: i64) -> Dot {
        let counter = PnCounterView::at("n").expect("a path");
        let written = self.replica.write(|tx| -> Result<(), WriteError> { counter.add(tx, by) });
        written.expect("written").1.expect("it changed")
    }

    /// Puts `text` under `key` into the map `m`.
    pub(crate) fn put(&self, key: &str, text: &str) -> Dot {
        let map = LwwMapView::at("m").expect("a path");
        let written = self.replica.write(|tx| -> Result<(), WriteError> { map.put(tx, key, text) });
        written.expect("written").1.expect("it changed")
    }

    pub(crate) fn counter(&self) -> i64 {
        let counter = PnCounterView::at("n").expect("a path");
        self.replica.read(|reader| counter.value(reader)).expect("read")
    }

    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Status) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.status()) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.status());
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn close(self) {
        self.replica.close().await;
        self.network.leave_all().await;
    }
}

/// Waits until all show the same and have the same on their disks.
pub(crate) async fn equal(nodes: &[&Node]) -> Duration {
    let begun = Instant::now();
    loop {
        let roots: Vec<_> = nodes.iter().map(|node| node.status().root).collect();
        // What was just written is no part of the root before it is durable.
        let shown: Vec<_> = nodes.iter().map(|node| node.counter()).collect();
        if roots.windows(2).all(|pair| pair[0] == pair[1]) && shown.windows(2).all(|pair| pair[0] == pair[1])
        {
            return begun.elapsed();
        }
        let late = begun.elapsed() > PATIENCE;
        assert!(!late, "{:?}", nodes.iter().map(|node| node.status()).collect::<Vec<_>>());
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn online(status: &Status) -> usize {
    status.peers.iter().filter(|peer| peer.online).count()
}

pub(crate) fn in_sync(status: &Status) -> usize {
    status.peers.iter().filter(|peer| peer.in_sync).count()
}
