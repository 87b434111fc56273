//! A node: this device, its spaces, and its part in the network.

#[cfg(not(target_family = "wasm"))]
mod backup;
mod builder;
mod leave;
#[cfg(not(target_family = "wasm"))]
mod quarantine;
#[cfg(not(target_family = "wasm"))]
mod salvage;

use std::collections::BTreeMap;
#[cfg(feature = "libp2p")]
use std::net::{IpAddr, TcpListener};
#[cfg(not(target_family = "wasm"))]
use std::path::Path;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rejoin_core::SpaceId;
use rejoin_core::engine::Config;
use rejoin_core::identity::{Genesis, Identity};
use rejoin_net::keys::{Keys, random};
#[cfg(feature = "libp2p")]
use rejoin_net::network::NetworkError;
use rejoin_net::network::{Network, Settings};
use rejoin_net::replica::{Options, Replica, SyncReport};
use rejoin_net::{Multiaddr, PeerId};

use crate::place::{Directory, Opened};
use crate::space::{Inner as SpaceInner, elsewhere, fact};
use crate::{Error, Quarantined, Result, Space, Ticket};

#[cfg(not(target_family = "wasm"))]
pub(crate) use backup::backup;
#[cfg(not(target_family = "wasm"))]
pub use backup::{Restore, name_in, verify_backup};
pub use builder::Builder;
#[cfg(not(target_family = "wasm"))]
pub use salvage::{Salvage, Salvaged};

/// How long a sync asked for by hand waits while nothing moves.
const SYNC_TIME: Duration = Duration::from_secs(60);
/// How soon two nodes that have changed compare: people want to read "in sync, proven 2 s ago".
const ANTI_ENTROPY: Duration = Duration::from_secs(2);
/// Longest name of a space.
const NAME: usize = 64;

struct Inner {
    settings: Builder,
    directory: Option<Directory>,
    keys: Keys,
    network: Option<Network>,
    /// A space whose file cannot be used does not keep the others from being used.
    spaces: Mutex<BTreeMap<SpaceId, Result<Space, Arc<Error>>>>,
}

/// This device. Cheap to clone; all clones are the same node. Close it when done: what waits is then on disk.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

impl Node {
    /// Opens the data directory at a path, or makes one there, and joins the network.
    #[cfg(not(target_family = "wasm"))]
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open().await
    }

    /// A node that keeps nothing and listens nowhere, for tests. It can dial.
    pub async fn memory() -> Result<Self> {
        Self::memory_builder().open().await
    }

    /// How to open the data directory at a path, for settings other than the defaults.
    #[cfg(not(target_family = "wasm"))]
    pub fn builder(path: impl AsRef<Path>) -> Builder {
        let every = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];
        let listen = every.iter().map(|address| address.parse().expect("an address")).collect();
        let network = Settings { listen, mdns: true, ..Settings::quiet() };
        Builder { path: Some(path.as_ref().to_owned()), network, ..Self::memory_builder() }
    }

    /// How to open a node that keeps nothing, for settings other than the defaults.
    pub fn memory_builder() -> Builder {
        let defaults = Config::new(SpaceId([0; 32]));
        Builder {
            #[cfg(not(target_family = "wasm"))]
            path: None,
            keys: None,
            carried: None,
            shelf: None,
            offline: false,
            known_peers: true,
            network: Settings::quiet(),
            log_bytes: defaults.log_bytes,
            chunk_bytes: defaults.chunk_bytes,
            #[cfg(feature = "document")]
            document_memory: crate::documents::BYTES,
            push: defaults.push,
            anti_entropy: ANTI_ENTROPY,
            sweep_after: Duration::from_millis(defaults.sweep_after_ms),
            hub: defaults.hub,
            quarantine: None,
        }
    }

    /// The id under which others meet this node.
    pub fn id(&self) -> PeerId {
        self.0.keys.peer()
    }

    /// Addresses that this node listens on now.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.0.network.as_ref().map(|network| network.listening().borrow().clone()).unwrap_or_default()
    }

    /// Its part in the network, unless it was opened offline.
    pub fn network(&self) -> Option<&Network> {
        self.0.network.as_ref()
    }

    /// Begins a new space.
    pub async fn create(&self, name: &str) -> Result<Space> {
        self.check_name(name)?;
        let nonce = random().map_err(rejoin_net::keys::KeyError::from)?;
        let genesis = Genesis::open(self.0.keys.device().device(), nonce);
        self.begin_space(
            genesis.space(),
            &[(fact::NAME, name.as_bytes()), (fact::GENESIS, &genesis.encode())],
        )
    }

    /// Joins a space, under the name that the ticket gives it. Works offline too: what is there to get comes when a peer
    /// appears. A space that is here already stays as it is.
    pub async fn join(&self, ticket: &Ticket) -> Result<Space> {
        let name = self.free_name(&ticket.space(), ticket.name(), &[]);
        self.join_as(ticket, &name).await
    }

    /// Joins a space under another name.
    pub async fn join_as(&self, ticket: &Ticket, name: &str) -> Result<Space> {
        let space = match self.here(&ticket.space()) {
            Some(space) if space.is_left()? => {
                space.0.facts.remove(fact::LEFT)?;
                self.reopen(&space).await?
            }
            Some(space) => space,
            None => {
                self.check_name(name)?;
                self.begin_space(ticket.space(), &[(fact::NAME, name.as_bytes())])?
            }
        };
        let mut peers = space.known_peers()?;
        peers.extend(
            ticket.addresses().iter().filter(|address| !peers.contains(address)).cloned().collect::<Vec<_>>(),
        );
        let lines: Vec<String> = peers.iter().map(ToString::to_string).collect();
        space.0.facts.set(fact::PEERS, lines.join("\n").as_bytes())?;
        self.keep(&space)?;
        Ok(space)
    }

    /// The spaces of this device that can be used, by name.
    pub fn spaces(&self) -> Vec<Space> {
        let mut spaces: Vec<Space> =
            self.spaces_lock().values().filter_map(|space| space.as_ref().ok().cloned()).collect();
        spaces.sort_by(|a, b| a.name().cmp(b.name()));
        spaces
    }

    /// The spaces whose files cannot be used: their ids, and why.
    pub fn unusable(&self) -> Vec<(SpaceId, Arc<Error>)> {
        let spaces = self.spaces_lock();
        spaces.iter().filter_map(|(id, space)| Some((*id, space.as_ref().err()?.clone()))).collect()
    }

    /// A space by its name, or by at least eight characters of its id.
    pub fn space(&self, name: &str) -> Result<Space> {
        let spaces = self.spaces();
        let by_id = |space: &&Space| name.len() >= 8 && space.id().to_string().starts_with(name);
        let found = spaces.iter().find(|space| space.name() == name).or_else(|| spaces.iter().find(by_id));
        found.cloned().ok_or_else(|| Error::UnknownSpace {
            asked: name.to_owned(),
            here: spaces.iter().map(|space| space.name().to_owned()).collect(),
        })
    }

    /// Syncs a space with one peer, until both name the same root, and says what it took.
    pub async fn sync(&self, space: &Space, address: &Multiaddr) -> Result<SyncReport> {
        if space.is_left()? {
            return Err(Error::Left(space.name().to_owned()));
        }
        let network = self.0.network.as_ref().ok_or(Error::Offline)?;
        let peer = network.dial(address.clone()).await?;
        let outcome = space.replica().sync_with(peer, SYNC_TIME).await;
        outcome.map_err(|why| Error::NotInSync { with: format!("{peer} at {address}"), why })
    }

    /// Writes out what waits, says goodbye to peers, and lets others open the data directory. Handles of this node return
    /// errors from here on.
    pub async fn close(&self) -> Result<()> {
        let mut outcome = Ok(());
        for space in self.spaces() {
            // The first failure is told, and the others are closed all the same.
            let closed = space.close().await;
            outcome = outcome.and(closed);
        }
        if let Some(network) = &self.0.network {
            network.leave_all().await;
        }
        self.spaces_lock().clear();
        #[cfg(not(target_family = "wasm"))]
        if let Some(directory) = &self.0.directory {
            directory.release();
        }
        outcome
    }

    fn spaces_lock(&self) -> MutexGuard<'_, BTreeMap<SpaceId, Result<Space, Arc<Error>>>> {
        self.0.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn here(&self, space: &SpaceId) -> Option<Space> {
        self.spaces_lock().get(space).and_then(|space| space.as_ref().ok().cloned())
    }

    /// What a space is called here that is called so elsewhere, given what else is about to be called here.
    fn free_name(&self, space: &SpaceId, wanted: &str, soon: &[String]) -> String {
        let mut name = wanted.to_owned();
        if check_form(&name).is_err() {
            name = space.to_string()[..8].to_owned();
        }
        let others = |here: &Space| here.id() != *space;
        let taken: Vec<String> =
            self.spaces().iter().filter(|here| others(here)).map(|here| here.name().to_owned()).collect();
        let base = name.clone();
        let mut number = 2;
        while taken.contains(&name) || soon.contains(&name) {
            name = format!("{base}-{number}");
            number += 1;
        }
        name
    }

    fn check_name(&self, name: &str) -> Result<()> {
        check_form(name)?;
        if self.spaces().iter().any(|space| space.name() == name) {
            return Err(Error::NameTaken(name.to_owned()));
        }
        Ok(())
    }

    /// Opens a space that is new here. One that fails half-way leaves no file behind.
    fn begin_space(&self, id: SpaceId, known: &[(&'static str, &[u8])]) -> Result<Space> {
        let file = self.file(&id);
        let is_new = file.as_ref().is_some_and(|file| !file.exists());
        let outcome = self.open_space(id, known, None);
        if let (Err(_), true, Some(file)) = (&outcome, is_new, file) {
            // What cannot be removed shows up as a space without a name.
            let _ = std::fs::remove_file(file);
        }
        outcome
    }

    /// Where a space lies, if it is in a file.
    fn file(&self, id: &SpaceId) -> Option<PathBuf> {
        self.0.directory.as_ref().map(|directory| directory.file(id))
    }

    /// Opens a space, and keeps what is known of it beside its data.
    fn open_space(
        &self,
        id: SpaceId,
        known: &[(&'static str, &[u8])],
        quarantined: Option<Quarantined>,
    ) -> Result<Space> {
        let opened = match &self.0.directory {
            #[cfg(not(target_family = "wasm"))]
            Some(directory) => quarantine::checked(directory.open_space(&id)?, id)?,
            #[cfg(target_family = "wasm")]
            Some(none) => match *none {},
            None => match &self.0.settings.shelf {
                Some(shelf) => shelf.open_space(id)?,
                None => Opened::in_memory(),
            },
        };
        let Opened { storage, committer, facts, lineage, derived_is_sound, .. } = opened;
        known.iter().try_for_each(|(name, value)| facts.set(name, value))?;
        let name = facts.get(fact::NAME)?.and_then(|name| String::from_utf8(name).ok());
        let mut config = Config::new(id);
        config.lineage = lineage;
        config.log_bytes = self.0.settings.log_bytes;
        config.chunk_bytes = self.0.settings.chunk_bytes;
        config.push = self.0.settings.push;
        config.anti_entropy_ms = u64::try_from(self.0.settings.anti_entropy.as_millis()).unwrap_or(u64::MAX);
        config.sweep_after_ms = u64::try_from(self.0.settings.sweep_after.as_millis()).unwrap_or(u64::MAX);
        config.hub = self.0.settings.hub;
        let network = match facts.get(fact::LEFT)? {
            Some(_) => None,
            None => self.0.network.clone(),
        };
        let options = Options {
            config,
            identity: Box::new(self.0.keys.device()),
            storage,
            committer,
            network: network.clone(),
            elsewhere: elsewhere(&facts)?,
            seed: random().map_err(rejoin_net::keys::KeyError::from)?,
        };
        let replica = Replica::open(options)
            .map_err(|error| Error::Open { path: self.file(&id).unwrap_or_default(), error })?;
        if !derived_is_sound {
            replica.give_up_derived()?;
        }
        let name = name.unwrap_or_else(|| id.to_string()[..8].to_owned());
        let space = Space(Arc::new(SpaceInner {
            name,
            replica,
            network,
            facts,
            quarantined,
            #[cfg(feature = "document")]
            documents: crate::documents::Documents::new(self.0.settings.document_memory),
        }));
        self.spaces_lock().insert(id, Ok(space.clone()));
        Ok(space)
    }

    /// Opens what its host kept.
    fn open_kept(&self, id: SpaceId) -> Result<Space> {
        let space = self.open_space(id, &[], None)?;
        self.keep(&space)?;
        Ok(space)
    }

    #[cfg(not(target_family = "wasm"))]
    fn open_file(&self, id: SpaceId) -> Result<Space> {
        let space = match self.open_space(id, &[], None) {
            Err(error) if self.quarantines(&error) => self.begin_anew(id, &error)?,
            opened => opened?,
        };
        self.keep(&space)?;
        Ok(space)
    }

    /// Stays connected to the peers that a space knows of.
    fn keep(&self, space: &Space) -> Result<()> {
        if let Some(network) = space.0.network.as_ref().filter(|_| self.0.settings.known_peers) {
            space.known_peers()?.into_iter().for_each(|address| network.keep(address));
        }
        Ok(())
    }
}

#[cfg(feature = "libp2p")]
/// The network shares TCP ports, so that it can dial from where it listens. Two nodes would share one too, and each would
/// get half of the connections; so a port that anybody listens on is refused first.
#[cfg(feature = "libp2p")]
fn check_port(address: &Multiaddr) -> Result<(), NetworkError> {
    let text = address.to_string();
    let ["", "ip4" | "ip6", host, "tcp", port] = text.split('/').collect::<Vec<_>>()[..] else {
        return Ok(());
    };
    let (Ok(host), Ok(port)) = (host.parse::<IpAddr>(), port.parse::<u16>()) else { return Ok(()) };
    if port == 0 {
        return Ok(());
    }
    let cannot =
        |error: std::io::Error| NetworkError::Listen { address: address.clone(), error: error.to_string() };
    TcpListener::bind((host, port)).map(drop).map_err(cannot)
}

fn check_form(name: &str) -> Result<()> {
    let sound = (1..=NAME).contains(&name.len())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    if sound { Ok(()) } else { Err(Error::Name(name.to_owned())) }
}

/// Work that waits for a disk, away from everything that must not wait.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    #[cfg(target_family = "wasm")]
    return work();
    #[cfg(not(target_family = "wasm"))]
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away.
            Err(_) => {
                Err(Error::Store(rejoin_core::store::StoreError::Io(rejoin_net::replica::CLOSED.into())))
            }
        },
    }
}
