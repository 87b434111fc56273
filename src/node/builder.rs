//! How a node is opened.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rejoin_core::engine::Push;
use rejoin_net::Multiaddr;
use rejoin_net::keys::Keys;
use rejoin_net::swarm::{Network, Settings};

use super::{Inner, Node, check_port};
use crate::Result;
use crate::place::Directory;

/// How a node is opened; the defaults are those of an app on a laptop.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) path: Option<PathBuf>,
    pub(super) offline: bool,
    pub(super) known_peers: bool,
    pub(super) network: Settings,
    pub(super) log_bytes: u64,
    pub(super) chunk_bytes: usize,
    #[cfg(feature = "document")]
    pub(super) document_memory: usize,
    pub(super) push: Push,
    pub(super) anti_entropy: Duration,
    pub(super) sweep_after: Duration,
    pub(super) hub: bool,
    pub(super) quarantine: Option<bool>,
}

impl Builder {
    /// Joins no network: reads, writes, and waits for the next time.
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Where to listen, instead of every interface.
    #[must_use]
    pub fn listen(mut self, addresses: impl IntoIterator<Item = Multiaddr>) -> Self {
        self.network.listen = addresses.into_iter().collect();
        self
    }

    /// Stays connected to this peer.
    #[must_use]
    pub fn peer(mut self, address: Multiaddr) -> Self {
        self.network.peers.push(address);
        self
    }

    /// Whether to stay connected to the peers that tickets named. Without it only others dial, or who is asked to.
    #[must_use]
    pub fn known_peers(mut self, keep: bool) -> Self {
        self.known_peers = keep;
        self
    }

    /// Whether to find peers on the local network, and be found.
    #[must_use]
    pub fn mdns(mut self, mdns: bool) -> Self {
        self.network.mdns = mdns;
        self
    }

    /// Bytes of recent changes kept for cheap sync; see [`Config::log_bytes`](rejoin_core::engine::Config::log_bytes).
    #[must_use]
    pub fn log_bytes(mut self, bytes: u64) -> Self {
        self.log_bytes = bytes;
        self
    }

    /// About how many bytes of documents each space keeps in memory once they were used: 64 MiB unless told otherwise. One
    /// that is used stays, however large it is.
    #[cfg(feature = "document")]
    #[must_use]
    pub fn document_memory(mut self, bytes: usize) -> Self {
        self.document_memory = bytes;
        self
    }

    /// Bytes that one frame of a sync carries; see [`Config::chunk_bytes`](rejoin_core::engine::Config::chunk_bytes).
    #[must_use]
    pub fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = bytes;
        self
    }

    /// How changes reach connected peers at once; see [`Config::push`](rejoin_core::engine::Config::push).
    #[must_use]
    pub fn push(mut self, push: Push) -> Self {
        self.push = push;
        self
    }

    /// How often two nodes compare while they change; see [`Config::anti_entropy_ms`](rejoin_core::engine::Config::anti_entropy_ms).
    #[must_use]
    pub fn anti_entropy(mut self, every: Duration) -> Self {
        self.anti_entropy = every;
        self
    }

    /// How long rows whose time to live is over stay, shown to nobody, until they are removed: an hour unless told otherwise.
    /// Longer leaves more time to devices whose clocks are slow.
    #[must_use]
    pub fn remove_expired_after(mut self, time: Duration) -> Self {
        self.sweep_after = time;
        self
    }

    /// Whether this node is one that is always on: it removes expired rows of others too, who may never come back.
    #[must_use]
    pub fn hub(mut self, hub: bool) -> Self {
        self.hub = hub;
        self
    }

    /// Whether a space whose file is damaged is to begin anew: the file is set aside as it is, the space comes back empty,
    /// under a new id, and gets what others have. Otherwise such a space cannot be used, and its file is left alone. The
    /// default is to do so unless the node is offline: then nobody could give anything.
    #[must_use]
    pub fn quarantine(mut self, quarantine: bool) -> Self {
        self.quarantine = Some(quarantine);
        self
    }

    /// Opens the node.
    pub async fn open(self) -> Result<Node> {
        let directory = self.path.as_deref().map(Directory::open).transpose()?;
        let keys = match &directory {
            Some(directory) => directory.keys()?,
            None => Keys::random()?,
        };
        let network = match self.offline {
            true => None,
            false => {
                self.network.listen.iter().try_for_each(check_port)?;
                Some(Network::join(keys.transport(), self.network.clone()).await?)
            }
        };
        let files = directory.as_ref().map(Directory::spaces).transpose()?.unwrap_or_default();
        let inner = Inner { settings: self, directory, keys, network, spaces: Mutex::default() };
        let node = Node(Arc::new(inner));
        for space in files {
            let opened = node.open_file(space).map_err(Arc::new);
            node.spaces_lock().insert(space, opened);
        }
        Ok(node)
    }
}
