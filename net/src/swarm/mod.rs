//! The network of a node: connections to peers, streams and gossip for each space that it hosts.
//!
//! libp2p's swarm lives in one task (`task.rs`); everybody else holds a [`Network`], which is cheap to clone. Calls never
//! wait for that task: what cannot be taken at once is gossip, which may be lost, or is asked for again.

mod behaviour;
mod connections;
mod dialer;
mod routes;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use libp2p::gossipsub::MessageId;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use rejoin_core::SpaceId;
use rejoin_core::engine::Verdict;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::wire::Patience;
use routes::Routes;
pub(crate) use routes::{Arrival, Hosted};
use task::{Command, Task};

/// The sync protocol; its messages are in rejoin-core.
pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/rejoin/sync/1");
/// Commands that wait for the swarm's task.
const COMMANDS: usize = 1024;
/// How long a peer may take to agree to a stream.
const STREAM_TIME: Duration = Duration::from_secs(10);

/// How a node takes part in the network.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; none to be reached by nobody.
    pub listen: Vec<Multiaddr>,
    /// Whom to stay connected to.
    pub peers: Vec<Multiaddr>,
    /// Find peers on the local network.
    pub mdns: bool,
    /// Gossiped messages lost on purpose, in a thousand.
    #[cfg(feature = "faults")]
    pub gossip_loss: u32,
    /// How long a peer may take over a greeting, or a frame, instead of what is good for real networks.
    #[cfg(feature = "faults")]
    pub patience: Option<Duration>,
}

impl Settings {
    /// Listens nowhere, dials nobody.
    pub fn quiet() -> Self {
        Self {
            listen: Vec::new(),
            peers: Vec::new(),
            mdns: false,
            #[cfg(feature = "faults")]
            gossip_loss: 0,
            #[cfg(feature = "faults")]
            patience: None,
        }
    }

    #[cfg(feature = "faults")]
    fn stream_patience(&self) -> Patience {
        let all = |time| Patience { greeting: time, frame: time, goodbye: time };
        self.patience.map_or_else(Patience::default, all)
    }

    #[cfg(not(feature = "faults"))]
    #[allow(clippy::unused_self, reason = "the other form needs it")]
    fn stream_patience(&self) -> Patience {
        Patience::default()
    }
}

/// A network that cannot be joined.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {error}; choose another port, or end what uses it")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Why.
        error: String,
    },
    /// The transports cannot be set up.
    #[error("cannot set up the network: {0}")]
    Setup(String),
    /// A peer that cannot be reached.
    #[error("cannot reach {address}: {error}; is a node listening there?")]
    Dial {
        /// Its address.
        address: Multiaddr,
        /// Why.
        error: String,
    },
    /// The node is closed.
    #[error("the node is closed")]
    Closed,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connected {
    /// Where it is.
    pub(crate) address: Multiaddr,
    /// This side dialled, to stay connected: it is the one to open streams.
    pub(crate) dialled: bool,
    /// This side dialled, for whatever reason.
    pub(crate) we_dialled: bool,
}

/// Who is connected.
pub(crate) type PeersWatch = watch::Receiver<BTreeMap<PeerId, Connected>>;

/// A message that came by gossip.
pub(crate) struct Heard {
    pub(crate) message: MessageId,
    pub(crate) from: PeerId,
    pub(crate) data: Vec<u8>,
}

/// A node's part in the network.
#[derive(Clone)]
pub struct Network {
    local: PeerId,
    commands: mpsc::Sender<Command>,
    control: libp2p_stream::Control,
    routes: Arc<Routes>,
    patience: Patience,
    peers: PeersWatch,
    listening: watch::Receiver<Vec<Multiaddr>>,
}

impl Network {
    /// Joins the network: listens, and begins to dial. Runs on the runtime of the caller.
    pub async fn join(keys: Keypair, settings: Settings) -> Result<Self, NetworkError> {
        let routes = Arc::new(Routes::default());
        let (commands, orders) = mpsc::channel(COMMANDS);
        let (task, control, peers, listening) = Task::new(keys, &settings, routes.clone(), orders)?;
        let (local, patience) = (task.local(), settings.stream_patience());
        tokio::spawn(task.run());
        let network = Self { local, commands, control, routes, patience, peers, listening };
        network.accept();
        for address in settings.listen {
            network.listen(address).await?;
        }
        Ok(network)
    }

    /// The id of this node.
    pub fn local(&self) -> PeerId {
        self.local
    }

    /// Addresses that this node listens on now, without its id.
    pub fn listening(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.listening.clone()
    }

    /// Listens on one more address; returns when the system has agreed.
    pub async fn listen(&self, address: Multiaddr) -> Result<(), NetworkError> {
        self.ask(|answer| Command::Listen { address, answer }).await?
    }

    /// Connects to a peer, unless it is connected.
    pub async fn dial(&self, address: Multiaddr) -> Result<PeerId, NetworkError> {
        self.ask(|answer| Command::Dial { address, answer }).await?
    }

    /// Stays connected to a peer from now on: dials until it answers, and again when it is lost.
    pub fn keep(&self, address: Multiaddr) {
        // A full queue means a node that is going under; the address is in its store, for the next start.
        let _ = self.commands.try_send(Command::Keep { address });
    }

    /// Leaves the network.
    pub async fn leave_all(&self) {
        // Gone already is what was wanted.
        let _ = self.ask(|answer| Command::Close { answer }).await;
    }

    pub(crate) fn peers(&self) -> PeersWatch {
        self.peers.clone()
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// Streams and gossip about a space arrive at the answer for as long as it is held.
    pub(crate) fn host(&self, space: SpaceId) -> Hosted {
        self.routes.host(space)
    }

    /// Publishes by gossip; what cannot be published is found by sync.
    pub(crate) fn publish(&self, space: SpaceId, frame: Vec<u8>) {
        let _ = self.commands.try_send(Command::Publish { space, frame });
    }

    pub(crate) fn judge(&self, message: MessageId, from: PeerId, verdict: Verdict) {
        let _ = self.commands.try_send(Command::Judge { message, from, verdict });
    }

    /// Opens a sync stream to a connected peer.
    pub(crate) async fn open_stream(&self, peer: PeerId) -> Result<Stream, String> {
        if !self.peers.borrow().contains_key(&peer) {
            return Err("the peer is not connected".into());
        }
        let mut control = self.control.clone();
        match tokio::time::timeout(STREAM_TIME, control.open_stream(peer, PROTOCOL)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the peer did not agree to a stream in time".into()),
        }
    }

    /// Takes streams that peers open, and gives each to the replica that it greets.
    fn accept(&self) {
        let mut control = self.control.clone();
        let (routes, patience) = (self.routes.clone(), self.patience);
        let mut streams = control.accept(PROTOCOL).expect("accepted once per node");
        tokio::spawn(async move {
            while let Some((peer, stream)) = futures::StreamExt::next(&mut streams).await {
                // Each greets in its own time, and none holds up another.
                if let Some(place) = routes.place(peer) {
                    let routes = routes.clone();
                    tokio::spawn(async move { routes.greet(stream, place, patience).await });
                }
            }
        });
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, NetworkError> {
        let (answer, wait) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| NetworkError::Closed)?;
        wait.await.map_err(|_| NetworkError::Closed)
    }
}

/// Exponential backoff with full jitter: a pause drawn from all up to `first * 2^failures`, at most `longest`.
pub(crate) fn backoff(first: Duration, longest: Duration, failures: u32) -> Duration {
    let most = first.saturating_mul(1_u32 << failures.min(16)).min(longest);
    let draw = crate::keys::random::<8>().map_or(u64::MAX, u64::from_le_bytes);
    // Not below the first: a peer that refuses at once must not be asked at once.
    (most.mul_f64(draw as f64 / u64::MAX as f64)).max(first.min(longest))
}
