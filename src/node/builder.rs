//! How a node is opened.

use std::collections::BTreeMap;
#[cfg(not(target_family = "wasm"))]
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rejoin_core::SpaceId;
use rejoin_core::engine::Push;
use rejoin_net::Multiaddr;
use rejoin_net::keys::Keys;
use rejoin_net::network::{Network, Settings};

#[cfg(feature = "libp2p")]
use super::check_port;
use super::{Inner, Node};
use crate::Result;
#[cfg(not(target_family = "wasm"))]
use crate::place::Directory;
use crate::place::{Kept, Shelf, Shelved};

/// How a node is opened; the defaults are those of an app on a laptop.
#[derive(Clone, Debug)]
pub struct Builder {
    #[cfg(not(target_family = "wasm"))]
    pub(super) path: Option<PathBuf>,
    pub(super) keys: Option<Keys>,
    pub(super) carried: Option<Network>,
    pub(super) shelf: Option<Shelved>,
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

    /// The secret of this device, for a node in memory whose host keeps it; without it a new one is made.
    #[must_use]
    pub fn keys(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// A network that the host carries, instead of libp2p's: see [`rejoin_net::network::bridge`].
    #[must_use]
    pub fn carried(mut self, network: Network) -> Self {
        self.carried = Some(network);
        self
    }

    /// Where the host keeps the spaces of a node in memory, and what it kept so far. `lineage` names that place: a copy of it in
    /// another one writes under another id. See [`Shelf`].
    #[must_use]
    pub fn shelf(mut self, shelf: Arc<dyn Shelf>, lineage: [u8; 16], kept: BTreeMap<SpaceId, Kept>) -> Self {
        self.shelf = Some(Shelved::new(shelf, lineage, kept));
        self
    }

    /// Opens the node.
    pub async fn open(self) -> Result<Node> {
        #[cfg(not(target_family = "wasm"))]
        let directory = self.path.as_deref().map(Directory::open).transpose()?;
        #[cfg(target_family = "wasm")]
        let directory = None;
        let keys = match (&directory, &self.keys) {
            #[cfg(not(target_family = "wasm"))]
            (Some(directory), _) => directory.keys()?,
            (_, Some(keys)) => keys.clone(),
            (_, None) => Keys::random()?,
        };
        let network = self.network(&keys).await?;
        #[cfg(not(target_family = "wasm"))]
        let files = directory.as_ref().map(Directory::spaces).transpose()?.unwrap_or_default();
        let kept = self.shelf.as_ref().map(Shelved::spaces).unwrap_or_default();
        let inner = Inner { settings: self, directory, keys, network, spaces: Mutex::default() };
        let node = Node(Arc::new(inner));
        for space in kept {
            let opened = node.open_kept(space).map_err(Arc::new);
            node.spaces_lock().insert(space, opened);
        }
        #[cfg(not(target_family = "wasm"))]
        for space in files {
            let opened = node.open_file(space).map_err(Arc::new);
            node.spaces_lock().insert(space, opened);
        }
        Ok(node)
    }

    async fn network(&self, keys: &Keys) -> Result<Option<Network>> {
        if self.offline || self.carried.is_some() {
            return Ok(self.carried.clone());
        }
        #[cfg(feature = "libp2p")]
        {
            self.network.listen.iter().try_for_each(check_port)?;
            Ok(Some(Network::join(keys.transport(), self.network.clone()).await?))
        }
        #[cfg(not(feature = "libp2p"))]
        {
            let _ = keys;
            Ok(None)
        }
    }
}
