//! A space: what is shared, and with whom.

use std::marker::PhantomData;
#[cfg(not(target_family = "wasm"))]
use std::path::Path;
use std::sync::Arc;

use rejoin_core::engine::{ReadError, Reader};
use rejoin_core::id::Root;
use rejoin_core::identity::{Ed25519, Genesis};
use rejoin_core::row::Kind;
use rejoin_core::store::StoreError;
use rejoin_core::{Dot, ReplicaId, SpaceId, VersionVector, codec};
use rejoin_net::Multiaddr;
use rejoin_net::network::Network;
use rejoin_net::replica::{News, Replica, Storage};

use crate::handles::At;
#[cfg(not(target_family = "wasm"))]
use crate::node::backup;
use crate::node::blocking;
use crate::place::Facts;
use crate::{
    Batch, BoundedCounter, Changes, Commit, Counter, Error, Flag, Grant, Incident, List, Log, Map,
    MultiRegister, Quarantined, Register, Result, Set, Snapshot, Status, Ticket, Watch, What,
};

pub use rejoin_net::replica::PeerStatus as Peer;

/// Names of the facts that are kept beside the data.
pub(crate) mod fact {
    pub(crate) const NAME: &str = "name";
    pub(crate) const GENESIS: &str = "genesis";
    pub(crate) const PEERS: &str = "peers";
    pub(crate) const ELSEWHERE: &str = "elsewhere";
    pub(crate) const LEFT: &str = "left";
    #[cfg(not(target_family = "wasm"))]
    pub(crate) const SALVAGED: &str = "salvaged";
}

/// An object that has rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub path: String,
    /// Its live rows.
    pub rows: u64,
}

pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) replica: Replica,
    pub(crate) network: Option<Network>,
    pub(crate) facts: Facts,
    /// How it began anew, if it did when it was opened.
    pub(crate) quarantined: Option<Quarantined>,
    #[cfg(feature = "document")]
    pub(crate) documents: crate::documents::Documents,
}

/// A space on this device. Cheap to clone; all clones are the same space.
#[derive(Clone)]
pub struct Space(pub(crate) Arc<Inner>);

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Space({}, {:?})", self.0.name, self.id())
    }
}

impl Space {
    /// What this device calls it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its id, the same everywhere.
    pub fn id(&self) -> SpaceId {
        self.0.replica.space()
    }

    /// The id that this device writes under here: others name it to give rights of a bounded counter. None before the first
    /// write. A store that was restored or copied gets another one, and so does one that met another history of its own.
    pub fn author(&self) -> Result<Option<ReplicaId>> {
        Ok(self.0.replica.author()?)
    }

    /// Whether this device has [left](crate::Node::leave) it.
    pub fn is_left(&self) -> Result<bool> {
        Ok(self.0.facts.get(fact::LEFT)?.is_some())
    }

    pub(crate) fn replica(&self) -> &Replica {
        &self.0.replica
    }

    /// The counter at a path.
    pub fn counter(&self, path: &str) -> Counter {
        Counter(At::new(self, path))
    }

    /// The bounded counter at a path.
    pub fn bounded_counter(&self, path: &str) -> BoundedCounter {
        BoundedCounter(At::new(self, path))
    }

    /// The set at a path.
    pub fn set<T>(&self, path: &str) -> Set<T> {
        Set(At::new(self, path), PhantomData)
    }

    /// The map at a path.
    pub fn map<K, V>(&self, path: &str) -> Map<K, V> {
        Map(At::new(self, path), PhantomData)
    }

    /// The register at a path.
    pub fn register<T>(&self, path: &str) -> Register<T> {
        Register(At::new(self, path), PhantomData)
    }

    /// The register at a path that keeps all values written at the same time.
    pub fn multi_register<T>(&self, path: &str) -> MultiRegister<T> {
        MultiRegister(At::new(self, path), PhantomData)
    }

    /// The flag at a path.
    pub fn flag(&self, path: &str) -> Flag {
        Flag(At::new(self, path))
    }

    /// The list at a path.
    pub fn list<T>(&self, path: &str) -> List<T> {
        List(At::new(self, path), PhantomData)
    }

    /// The log at a path.
    pub fn log<T>(&self, path: &str) -> Log<T> {
        Log(At::new(self, path), PhantomData)
    }

    /// The document at a path.
    #[cfg(feature = "document")]
    pub fn document(&self, path: &str) -> crate::Document {
        crate::Document(At::new(self, path))
    }

    /// Reads with views of your own: everything in [`crate::core::crdt`] reads on what this is given. It may not call the space
    /// again.
    pub fn read<T>(&self, read: impl FnOnce(&Reader<'_, Storage>) -> Result<T, ReadError>) -> Result<T> {
        self.0.replica.read(|reader| read(reader).map_err(Error::from))
    }

    /// Writes any number of objects as one transaction: all of it is seen, here and everywhere, or nothing. When `write`
    /// fails, nothing is written.
    pub fn batch<T>(&self, write: impl FnOnce(&mut Batch<'_, '_>) -> Result<T>) -> Commit<T> {
        let outcome = self.0.replica.write_to_keep(|tx| {
            let mut batch = Batch::new(self, tx);
            let value = write(&mut batch)?;
            batch.finish()?;
            Ok(value)
        });
        Commit::new(&self.0.replica, outcome)
    }

    /// Records that make all of this space, for a host that [keeps it](crate::Shelf): once they are kept, and what was being
    /// appended meanwhile behind them, older ones are not needed.
    pub fn image(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.0.replica.image()?)
    }

    /// Waits until everything that was written here so far is on this disk.
    pub async fn saved(&self) -> Result<()> {
        let Some(author) = self.author()? else { return Ok(()) };
        let seq = self.0.replica.version_vector()?.seq(&author);
        if seq > 0 {
            self.0.replica.saved(Dot::new(author, seq)).await?;
        }
        Ok(())
    }

    /// What there is: every object with a live row, by path. Reads all rows.
    pub fn objects(&self) -> Result<Vec<ObjectInfo>> {
        let mut found: Vec<ObjectInfo> = Vec::new();
        self.0.replica.visit_rows(&mut |key, _| match found.last_mut() {
            // Rows come in key order, so those of one object follow each other.
            Some(last) if last.kind == key.kind() && last.path == key.path() => last.rows += 1,
            _ => found.push(ObjectInfo { kind: key.kind(), path: key.path().to_owned(), rows: 1 }),
        })?;
        found.sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
        Ok(found)
    }

    /// Everything as it is now, to be read together.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot(self.0.replica.snapshot()?))
    }

    /// Every change from now on, wherever it is made.
    pub fn changes(&self) -> Changes {
        Changes::new(&self.0.replica)
    }

    /// Everything that happens, as it is told inside: for whoever builds other handles than these. A reader that is too slow
    /// misses the oldest, and is told so.
    pub fn news(&self) -> tokio::sync::broadcast::Receiver<News> {
        self.0.replica.news()
    }

    /// Who holds this space too, as far as they were met since it was opened.
    pub fn peers(&self) -> Watch<Vec<Peer>> {
        let replica = self.0.replica.clone();
        Watch::new(&self.0.replica, |news| matches!(news, News::Peers), move || Ok(replica.status()?.peers))
    }

    /// What an operator may want to know, all of it since the space was opened, and again whenever there is more.
    pub fn incidents(&self) -> Watch<Vec<Incident>> {
        let space = self.clone();
        Watch::new(
            &self.0.replica,
            |news| matches!(news, News::Event(_)),
            move || {
                let first = space.0.quarantined.iter().map(|it| What::Quarantined(it.clone()));
                let mut incidents: Vec<Incident> = first.map(|what| Incident { number: 0, what }).collect();
                let before = incidents.len() as u64;
                let events = space.0.replica.events().into_iter();
                incidents.extend(
                    events.map(|(number, event)| Incident {
                        number: before + number,
                        what: What::Engine(event),
                    }),
                );
                Ok(incidents)
            },
        )
    }

    /// The space in figures.
    pub fn status(&self) -> Result<Status> {
        Ok(self.0.replica.status()?)
    }

    /// The hash that names the data: equal roots are equal data.
    pub fn root(&self) -> Result<Root> {
        Ok(self.status()?.root)
    }

    /// Recomputes everything that the store says about itself, as it is on this disk now: reads all of it, while everything
    /// goes on.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the first contradiction.
    pub async fn verify(&self) -> Result<()> {
        let replica = self.0.replica.clone();
        let check = move || {
            let (moment, _) = replica.moment()?;
            // Anybody's: it only checks signatures.
            moment.check(&Ed25519::from_seed([0; 32])).map_err(|wrong| {
                replica.suspect();
                Error::Damaged(wrong)
            })?;
            moment.check_derived().map_err(|wrong| {
                replica.suspect();
                Error::Derived(wrong)
            })
        };
        blocking(check).await
    }

    /// Saves this space in a file, as it is on this disk now, while everything goes on. An older backup of that name is
    /// replaced when the new one is complete; anything else of that name is left alone. See [`crate::Node::backup`].
    #[cfg(not(target_family = "wasm"))]
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<crate::Saved> {
        let mut saved = backup(std::slice::from_ref(self), path.as_ref(), |_| {}).await?;
        Ok(saved.remove(0))
    }

    /// An invitation to this space, with addresses of this node. Whoever has it can join: it is a secret.
    pub async fn ticket(&self, grant: Grant) -> Result<Ticket> {
        // The one grant of an open space.
        let Grant::Write = grant;
        let mut addresses = self.0.network.as_ref().map(listening).unwrap_or_default();
        addresses.extend(self.known_peers()?);
        Ok(Ticket::new(self.id(), self.name(), addresses))
    }

    /// How the space began, if it began on this device.
    pub fn genesis(&self) -> Result<Option<Genesis>> {
        let bytes = self.0.facts.get(fact::GENESIS)?;
        Ok(bytes.and_then(|bytes| Genesis::decode(&bytes).ok()))
    }

    /// Addresses that tickets named, to be dialled whenever this space is open.
    pub(crate) fn known_peers(&self) -> Result<Vec<Multiaddr>> {
        let text = self.0.facts.get(fact::PEERS)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Writes out what waits, and lets go of the file.
    pub(crate) async fn close(&self) -> Result<()> {
        let elsewhere = self.0.replica.elsewhere();
        let kept = self.keep(&elsewhere);
        self.0.replica.close().await;
        match kept {
            // A hint for people, as below: a disk that is full or read-only is no reason to fail what went well.
            Err(StoreError::Full(_) | StoreError::ReadOnly(_)) => Ok(()),
            kept => Ok(kept?),
        }
    }

    fn keep(&self, elsewhere: &VersionVector) -> Result<(), StoreError> {
        let before = self.0.facts.get(fact::ELSEWHERE)?;
        let now = codec::encode(elsewhere);
        let is_news = before.map_or(*elsewhere != VersionVector::default(), |before| before != now);
        if is_news { self.0.facts.set(fact::ELSEWHERE, &now) } else { Ok(()) }
    }
}

/// What others are known to hold, as it was kept.
pub(crate) fn elsewhere(facts: &Facts) -> Result<VersionVector> {
    let bytes = facts.get(fact::ELSEWHERE)?;
    // A hint for people; without it everything counts as unsynced until the next hello.
    Ok(bytes.and_then(|bytes| codec::decode(&bytes).ok()).unwrap_or_default())
}

/// Addresses of this node, those that others can reach first.
fn listening(network: &Network) -> Vec<Multiaddr> {
    let mut addresses = network.listening().borrow().clone();
    addresses.sort_by_key(|address| {
        let local = ["/ip4/127.", "/ip6/::1/"].iter().any(|start| address.to_string().starts_with(start));
        (local, !address.to_string().contains("/tcp/"))
    });
    addresses
}
