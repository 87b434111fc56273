//! One space on this device: an engine over its store, and the loop that carries out what the engine asks for.
//!
//! The engine lies behind a mutex, so reads and writes are plain calls that never wait for a disk or a peer. Everything
//! that waits happens in one task per replica, the loop in `driver.rs`: it drains the engine's outputs, hands commits to a
//! thread that may block, moves frames between streams and the engine, and lets time pass. Whoever writes wakes it.
//!
//! What this replica learns is told as [`News`], to as many listeners as there are; a slow listener misses some and is
//! told so, and holds up nobody.

mod causal;
mod contacts;
mod driver;
mod feed;
mod index;
pub mod journal;
mod link;
mod peers;
mod presence;
mod shared;
mod storage;
mod streams;
mod undo;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rejoin_core::engine::{Config, Engine, Event, Moment, OpenError, Reader, Stats, Transaction, WriteError};
use rejoin_core::identity::Identity;
use rejoin_core::row::RowKey;
use rejoin_core::store::{StoreError, Table};
use rejoin_core::{Dot, SpaceId};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::host::{spawn, timeout};
use crate::network::Network;
pub use causal::Missing;
pub(crate) use driver::Inbox;
pub use peers::{PeerStatus, Status, SyncReport};
pub use shared::CLOSED;
use shared::{Shared, State, closed};
#[cfg(feature = "faults")]
pub use storage::Script;
pub use storage::{Committer, Storage};
pub use tokio::sync::broadcast::error::RecvError;
pub use waiting::Lost;
use waiting::{Outcome, Waiting};

/// News that wait for a slow listener; beyond it the oldest are dropped and it is told how many.
const NEWS: usize = 1024;
/// Messages that wait for the loop. Streams are read no further while it is full.
const INBOX: usize = 256;

/// What a replica tells.
#[derive(Clone, Debug)]
pub enum News {
    /// Committed transactions changed rows, here or elsewhere.
    Changed {
        /// Their keys.
        rows: Arc<[RowKey]>,
        /// More than are listed.
        more: bool,
    },
    /// Who is connected, or in sync, has changed.
    Peers,
    /// Who is here, or what one of them says, has changed.
    Presence,
    /// Something that an operator may want to know.
    Event(Event),
    /// The replica is closed; nothing more will be told.
    Closed,
}

/// Everything that a replica is opened with.
pub struct Options {
    /// The engine's settings.
    pub config: Config,
    /// Who vouches for what is written here.
    pub identity: Box<dyn Identity>,
    /// Where the space lies.
    pub storage: Storage,
    /// How it is made durable.
    pub committer: Committer,
    /// Who carries it to others, if anybody does.
    pub network: Option<Network>,
    /// What others held when it was last open.
    pub elsewhere: rejoin_core::VersionVector,
    /// Fresh random bytes.
    pub seed: [u8; 32],
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replica({:?})", self.shared.space)
    }
}

/// A change that shows in reads, and may not be durable yet.
#[derive(Debug)]
pub struct Written {
    /// Names it.
    pub dot: Dot,
    /// The state that it led to, as reads number them.
    pub state: u64,
    outcome: Outcome,
}

impl Written {
    /// Waits until it is durable here.
    pub async fn saved(self) -> Result<(), Lost> {
        outcome(self.outcome).await
    }
}

/// What was changed, until it is durable; nothing to wait for when it is.
struct Durable(Option<Outcome>);

impl Durable {
    async fn done(self) -> Result<(), Lost> {
        match self.0 {
            None => Ok(()),
            Some(wait) => outcome(wait).await,
        }
    }
}

async fn outcome(wait: Outcome) -> Result<(), Lost> {
    // Nobody to answer means that the loop has ended.
    wait.await.unwrap_or_else(|_| Err(Lost(closed())))
}

/// One space on this device. Cheap to clone; all clones are the same replica.
#[derive(Clone)]
pub struct Replica {
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Inbox>,
}

impl Replica {
    /// Opens a space and starts its loop on the runtime of the caller.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let Options { config, identity, storage, committer, network, elsewhere, seed } = options;
        let engine = Engine::open(config, identity, storage, seed)?;
        let (inbox, messages) = mpsc::channel(INBOX);
        let state = State {
            engine: Some(engine),
            broken: None,
            suspect: false,
            closing: false,
            waiting: Waiting::new(elsewhere),
            peers: peers::Peers::default(),
            sessions: BTreeMap::new(),
            gossip_in: 0,
            events: std::collections::VecDeque::new(),
        };
        let shared = Arc::new(Shared::new(config.space, state, broadcast::channel(NEWS).0));
        let sweep_after = Duration::from_millis(config.sweep_after_ms);
        let sender = inbox.downgrade();
        let driver = driver::Driver::new(shared.clone(), messages, sender, committer, network, sweep_after);
        spawn(driver.run());
        Ok(Self { shared, inbox })
    }

    /// The space.
    pub fn space(&self) -> SpaceId {
        self.shared.space
    }

    /// Reads the state in memory: all own writes, and everything that has arrived.
    pub fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Reader<'_, Storage>) -> Result<T, E>,
    ) -> Result<T, E> {
        let state = self.shared.state();
        read(&state.engine()?.reader_at(self.shared.clock.now()))
    }

    /// Visits every row in memory that reads show, in key order.
    pub fn visit_rows(
        &self,
        visit: &mut dyn FnMut(&RowKey, &[rejoin_core::row::Entry]),
    ) -> Result<(), StoreError> {
        self.shared.state().engine()?.reader_at(self.shared.clock.now()).visit_rows(visit)
    }

    /// Runs a transaction; it shows in reads when this returns. Its last dot names it; `None` when it changed nothing.
    pub fn write<T, E: From<WriteError>>(
        &self,
        write: impl FnOnce(&mut Transaction<'_, Storage>) -> Result<T, E>,
    ) -> Result<(T, Option<Dot>), E> {
        let mut state = self.shared.state();
        let engine = state.engine_to_write().map_err(WriteError::Store)?;
        let written = engine.write(self.shared.clock.now(), write)?;
        drop(state);
        self.shared.wake.notify_one();
        Ok(written)
    }

    /// Like [`Self::write`], for those who will want to know whether the change lasts: a commit that fails right after
    /// it is not missed, and a later change that is given the same dot is not taken for this one.
    pub fn write_to_keep<T, E: From<WriteError>>(
        &self,
        write: impl FnOnce(&mut Transaction<'_, Storage>) -> Result<T, E>,
    ) -> Result<(T, Option<Written>), E> {
        let mut state = self.shared.state();
        let engine = state.engine_to_write().map_err(WriteError::Store)?;
        let (value, dot) = engine.write(self.shared.clock.now(), write)?;
        let written = state.written(dot);
        drop(state);
        self.shared.wake.notify_one();
        Ok((value, written))
    }

    /// Changes something of the engine that is no transaction; with it [`Durable`], to wait for.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Engine<Storage>) -> Result<T, StoreError>,
    ) -> Result<(T, Durable), StoreError> {
        let mut state = self.shared.state();
        let engine = state.engine_to_write()?;
        let value = change(engine)?;
        let wait = engine.settles_at().map(|commit| state.waiting.for_commit(commit));
        drop(state);
        self.shared.wake.notify_one();
        Ok((value, Durable(wait)))
    }

    /// Waits until a change made here is durable here. For a change whose commit may have failed since it was made, see
    /// [`Self::write_to_keep`].
    pub fn saved(&self, dot: Dot) -> impl Future<Output = Result<(), Lost>> + Send + 'static {
        let mut state = self.shared.state();
        let durable = state.engine.as_ref().is_some_and(|engine| engine.is_durable(&dot));
        let wait = (!durable).then(|| state.waiting.for_save(dot));
        async move {
            match wait {
                None => Ok(()),
                Some(wait) => outcome(wait).await,
            }
        }
    }

    /// Waits until `wanted` other devices said that a change is durable there. The error is how many did in time; the
    /// change stays, and goes on syncing.
    pub async fn confirmed(&self, dot: Dot, wanted: usize, within: Duration) -> Result<(), usize> {
        let wait = {
            let mut state = self.shared.state();
            let wait = state.waiting.for_receipts(dot, wanted);
            // They may have said so before anybody asked.
            state.hear_all();
            wait
        };
        match timeout(within, wait).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(self.shared.state().holders(dot)),
        }
    }

    /// The state in memory at this moment, to be read while everything else goes on.
    pub fn snapshot(&self) -> Result<rejoin_core::engine::Snapshot<Storage>, StoreError> {
        Ok(self.shared.state().engine()?.snapshot(self.shared.clock.now()))
    }

    /// Records that make all of a space that lies in memory, as far as it is durable: they may take the place of all that were
    /// appended to its journal up to now. See [`journal`].
    pub fn image(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.shared.state().engine_to_write()?.store_mut().image()
    }

    /// What is durable at this moment, for an image, and how many rows that is.
    pub fn moment(&self) -> Result<(Moment<Storage>, u64), StoreError> {
        let moment = self.shared.state().engine_to_write()?.moment()?;
        let rows = moment.store().count(Table::Rows)?;
        Ok((moment, rows))
    }

    /// Visits what merging lost of replicas with two histories. See [`Engine::visit_forks`].
    pub fn visit_forks(
        &self,
        visit: &mut dyn FnMut(&RowKey, &rejoin_core::row::Entry),
    ) -> Result<(), StoreError> {
        self.shared.state().engine()?.visit_forks(visit)
    }

    /// Forgets one of them; says whether it was there.
    pub fn forget_fork(&self, entry: &rejoin_core::row::Entry) -> Result<bool, StoreError> {
        let forgotten = self.shared.state().engine_to_write()?.forget_fork(entry)?;
        self.shared.wake.notify_one();
        Ok(forgotten)
    }

    /// What memory has seen.
    pub fn version_vector(&self) -> Result<rejoin_core::VersionVector, StoreError> {
        Ok(self.shared.state().engine()?.version_vector())
    }

    /// The id that it writes under. None before the first write, and before the next one when the id was given up.
    pub fn author(&self) -> Result<Option<rejoin_core::ReplicaId>, StoreError> {
        Ok(self.shared.state().engine()?.replica())
    }

    /// Says that the store was found damaged. It goes on as far as it can, and is left so that the next opening checks it.
    pub fn suspect(&self) {
        self.shared.state().suspect = true;
    }

    /// What happens from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.shared.news.subscribe()
    }

    /// What an operator may want to know of what happened since it was opened, numbered from 0; the newest 256.
    pub fn events(&self) -> Vec<(u64, Event)> {
        self.shared.state().events.iter().cloned().collect()
    }

    /// What the engine has done since it was opened.
    pub fn stats(&self) -> Stats {
        self.shared.state().engine.as_ref().map(|engine| *engine.stats()).unwrap_or_default()
    }

    /// Streams that are open, with all peers together.
    #[cfg(feature = "faults")]
    pub fn streams(&self) -> usize {
        self.shared.state().sessions.len()
    }

    /// Recomputes everything that the store says about itself; the first contradiction, in words.
    pub fn check(&self) -> Result<(), String> {
        let state = self.shared.state();
        state.engine().map_err(|error| error.to_string())?.check()
    }

    /// What others are known to hold, for the next time that this space is opened.
    pub fn elsewhere(&self) -> rejoin_core::VersionVector {
        let mut state = self.shared.state();
        state.hear_all();
        state.waiting.elsewhere()
    }

    /// Writes out what waits, says goodbye to peers, and lets go of the store. Later calls get errors. When every handle
    /// is gone the same happens by itself, and nobody can wait for it.
    pub async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.inbox.send(Inbox::Close(done)).await.is_ok() {
            // The loop answers when it has ended; if it is gone already, that is what was wanted.
            let _ = wait.await;
        }
    }
}
