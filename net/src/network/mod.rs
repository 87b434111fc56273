//! The part of a node in a network: who is connected, streams and gossip for each space that it hosts.
//!
//! Replicas hold a [`Network`], which is cheap to clone. Calls never wait for whoever carries the bytes: what cannot be taken at
//! once is gossip, which may be lost, or is asked for again. There are two carriers: libp2p's swarm ([`crate::swarm`]), and a
//! host that moves whole messages between peers ([`bridge`]): pages of one browser, or a test.

pub mod bridge;
mod pipe;
mod routes;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rejoin_core::SpaceId;
use rejoin_core::engine::Verdict;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::wire::Patience;
use crate::{Multiaddr, PeerId};
pub(crate) use routes::{Arrival, Hosted, Routes};
pub(crate) use stream::Stream;

/// Commands that wait for the carrier.
pub(crate) const COMMANDS: usize = 1024;

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

    #[cfg(all(feature = "faults", feature = "libp2p"))]
    pub(crate) fn stream_patience(&self) -> Patience {
        let all = |time| Patience { greeting: time, frame: time, goodbye: time };
        self.patience.map_or_else(Patience::default, all)
    }

    #[cfg(all(not(feature = "faults"), feature = "libp2p"))]
    #[allow(clippy::unused_self, reason = "the other form needs it")]
    pub(crate) fn stream_patience(&self) -> Patience {
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

/// Names a message that came by gossip, for whoever brought it.
pub(crate) type MessageId = Vec<u8>;

/// A message that came by gossip.
pub(crate) struct Heard {
    pub(crate) message: MessageId,
    pub(crate) from: PeerId,
    pub(crate) data: Vec<u8>,
}

/// What replicas and apps ask of whoever carries the bytes.
pub(crate) enum Command {
    Listen { address: Multiaddr, answer: Answer<()> },
    Dial { address: Multiaddr, answer: Answer<PeerId> },
    Keep { address: Multiaddr },
    Publish { space: SpaceId, frame: Vec<u8> },
    Judge { message: MessageId, from: PeerId, verdict: Verdict },
    Close { answer: oneshot::Sender<()> },
}

pub(crate) type Answer<T> = oneshot::Sender<Result<T, NetworkError>>;

/// Opens a sync stream to a connected peer.
pub(crate) type Opener = Arc<dyn Fn(PeerId) -> BoxFuture<'static, Result<Stream, String>> + Send + Sync>;

/// A node's part in the network.
#[derive(Clone)]
pub struct Network {
    pub(crate) local: PeerId,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) opener: Opener,
    pub(crate) routes: Arc<Routes>,
    pub(crate) patience: Patience,
    pub(crate) peers: PeersWatch,
    pub(crate) listening: watch::Receiver<Vec<Multiaddr>>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Network({})", self.local)
    }
}

impl Network {
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
        (self.opener)(peer).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, NetworkError> {
        let (answer, wait) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| NetworkError::Closed)?;
        wait.await.map_err(|_| NetworkError::Closed)
    }
}

/// The topic of a space in gossip. Whoever does not know the space learns nothing from it.
pub(crate) fn topic(space: &SpaceId) -> [u8; 16] {
    let hash = blake3::derive_key("rejoin 2026 gossip topic", &space.0);
    std::array::from_fn(|at| hash[at])
}

/// What names a message in gossip, so that nobody passes one on twice.
pub(crate) fn message_id(topic: &[u8], data: &[u8]) -> MessageId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(topic).update(data);
    hasher.finalize().as_bytes()[..16].to_vec()
}

/// Exponential backoff with full jitter: a pause drawn from all up to `first * 2^failures`, at most `longest`.
pub(crate) fn backoff(first: Duration, longest: Duration, failures: u32) -> Duration {
    let most = first.saturating_mul(1_u32 << failures.min(16)).min(longest);
    let draw = crate::keys::random::<8>().map_or(u64::MAX, u64::from_le_bytes);
    // Not below the first: a peer that refuses at once must not be asked at once.
    (most.mul_f64(draw as f64 / u64::MAX as f64)).max(first.min(longest))
}
