//! One machine: a disk, clocks, an identity, and, while it is up, an engine over the disk's image.

use std::collections::BTreeMap;

use rejoin_core::engine::{Config, Engine, Input, Now, OpenError, Output, SessionId, Stats};
use rejoin_core::row::{Entry, ReadRows, RowKey};
use rejoin_core::store::{MemoryStore, StoreError};
use rejoin_core::{ReplicaId, VersionVector};

use crate::clock::Clock;
use crate::disk::Disk;
use crate::draw::{Draw, mix, stream};
use crate::faults::Faults;
use crate::identity::SimIdentity;
use crate::oracle::{Number, View, Violation, broken};
use crate::reader::Reader;
use crate::views::is_view;
use crate::workload::number;

/// A time at which nothing has expired.
const NEVER: Now = Now { mono_ms: 0, wall_ms: 0 };

/// When a machine is going to crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// Just before its next commit becomes durable.
    BeforeDurable,
    /// After its next commit became durable and before that is reported.
    BeforeReport,
    /// Right after it is opened.
    AtOpen,
}

/// A machine.
pub struct Machine {
    /// Its disk.
    pub disk: Disk,
    /// Its clocks.
    pub clock: Clock,
    /// How often it was opened.
    pub life: u64,
    /// When its engine wants to be ticked, in simulated time.
    pub wake_at: Option<u64>,
    /// Nothing reaches it before this time.
    pub stopped_until: u64,
    /// When it is going to crash.
    pub doom: Option<Doom>,
    /// What it must show.
    pub view: View,
    /// Its vector as the engine last said it.
    pub seen: VersionVector,
    /// Its store went back in time or is a clone, so it may take a new incarnation.
    pub went_back: bool,
    /// It noticed that, so authors with a lower number are not its own any more.
    pub own_from: usize,
    /// How its engine behaves.
    pub config: Config,
    identity: SimIdentity,
    number: usize,
    lineage: u64,
    /// Its next commit fails.
    pub fail_next: bool,
    /// The stream on which a bulk ended last.
    pub bulk_ended: Option<SessionId>,
    /// Some peer has greeted it in this life.
    pub heard: bool,
    /// How often its engine has renamed own deltas in this life, when it was asked last.
    pub renames: u64,
    /// The id that its engine wrote under when it had nothing more to do.
    pub own: Option<ReplicaId>,
    /// Folds its change feed.
    pub reader: Reader,
    /// What the engine had done when it was asked last.
    before: Stats,
    engine: Option<Engine<MemoryStore>>,
}

impl Machine {
    /// A machine with an empty disk.
    pub fn new(seed: u64, number: usize, faults: &Faults) -> Self {
        let mut draw = Draw::new(seed, stream::MACHINE + 1000 + number as u64);
        Self {
            disk: Disk::new(),
            clock: Clock::new(&mut draw, faults.wrong_clocks),
            life: 0,
            wake_at: None,
            stopped_until: 0,
            doom: None,
            view: View::default(),
            seen: VersionVector::new(),
            went_back: false,
            own_from: 0,
            config: faults.config(seed, number),
            identity: SimIdentity::new(seed, number as u64),
            number,
            lineage: mix(number as u64),
            fail_next: false,
            bulk_ended: None,
            heard: false,
            renames: 0,
            own: None,
            reader: Reader::default(),
            before: Stats::default(),
            engine: None,
        }
    }

    /// Another machine that starts with a copy of this one's disk, key included.
    pub fn clone_to(&self, seed: u64, number: usize, faults: &Faults, noticed: bool) -> Self {
        let mut copy = Self::new(seed, number, faults);
        copy.disk = self.disk.older(self.disk.commits());
        copy.identity = self.identity;
        copy.lineage = if noticed { copy.lineage } else { self.lineage };
        copy.went_back = true;
        copy
    }

    /// The disk as it was some commits ago; noticed, when the place where it lies changes with it.
    pub fn restore(&mut self, commits: usize, noticed: bool) {
        self.disk = self.disk.older(commits);
        self.went_back = true;
        if noticed {
            self.lineage = mix(self.lineage);
        }
    }

    /// Plants a fault in the engines to come.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, planted: rejoin_core::planted::Planted) {
        self.config.planted = planted;
    }

    /// Whether it runs.
    pub const fn is_up(&self) -> bool {
        self.engine.is_some()
    }

    /// Starts an engine.
    pub fn open(&mut self, seed: u64) -> Result<(), OpenError> {
        self.life += 1;
        self.before = Stats::default();
        self.renames = 0;
        self.heard = false;
        let entropy = Draw::new(seed, stream::ENTROPY + self.number as u64 * 100_000 + self.life).seed();
        let mut config = self.config;
        config.lineage[..8].copy_from_slice(&self.lineage.to_le_bytes());
        self.engine = Some(Engine::open(config, Box::new(self.identity), self.disk.open(), entropy)?);
        Ok(())
    }

    /// Stops it. Returns the engine's counters, if it ran.
    pub fn crash(&mut self) -> Option<Stats> {
        let engine = self.engine.take()?;
        self.wake_at = None;
        self.stopped_until = 0;
        let stats = *engine.stats();
        self.disk.crash(engine.into_store());
        Some(stats)
    }

    /// The engine of a machine that is up.
    pub fn engine(&self) -> &Engine<MemoryStore> {
        self.engine.as_ref().expect("the machine is up")
    }

    /// The engine of a machine that is up.
    pub fn engine_mut(&mut self) -> &mut Engine<MemoryStore> {
        self.engine.as_mut().expect("the machine is up")
    }

    /// Both clocks.
    pub fn now(&self, at_us: u64) -> Now {
        self.clock.now(at_us)
    }

    /// Gives the engine an input.
    pub fn handle(&mut self, at_us: u64, input: Input) {
        let now = self.now(at_us);
        self.engine_mut().handle(now, input);
    }

    /// The engine's next output.
    pub fn poll(&mut self) -> Option<Output> {
        self.engine_mut().poll_output()
    }

    /// Asks the engine when it wants to be ticked.
    pub fn set_alarm(&mut self, at_us: u64) {
        let wanted = self.engine().poll_timeout();
        self.wake_at = wanted.map(|mono_ms| self.clock.at_us(mono_ms).max(at_us));
    }

    /// The live entries of a row, in memory.
    pub fn row(&self, key: &RowKey) -> Result<Vec<Entry>, String> {
        self.engine().reader_at(NEVER).entries(key).map_err(|error| format!("{error}"))
    }

    /// All live rows, in memory.
    pub fn rows(&self) -> Result<Vec<(RowKey, Vec<Entry>)>, StoreError> {
        let mut rows = Vec::new();
        self.engine().visit_rows(&mut |key, entries| rows.push((key.clone(), entries.to_vec())))?;
        Ok(rows)
    }

    /// The numbers of the payloads that are live in each row, in memory.
    pub fn numbers(&self) -> Result<BTreeMap<RowKey, Vec<Number>>, Violation> {
        let rows = self.rows().or_else(|error| broken("store", format!("{error}")))?;
        let numbers = |entries: Vec<Entry>| entries.iter().map(|entry| number(&entry.payload)).collect();
        let plain = rows.into_iter().filter(|(key, _)| !is_view(key));
        Ok(plain.map(|(key, entries)| (key, numbers(entries))).collect())
    }

    /// The numbers of the payloads in its table of forks.
    pub fn forks(&self) -> Result<Vec<Number>, Violation> {
        let mut numbers = Vec::new();
        let visited = self.engine().visit_forks(&mut |key, entry| {
            if !is_view(key) {
                numbers.push(number(&entry.payload));
            }
        });
        visited.or_else(|error| broken("store", format!("{error}")))?;
        Ok(numbers)
    }

    /// Under which id it writes.
    pub fn replica(&self) -> Option<ReplicaId> {
        self.engine.as_ref().and_then(Engine::replica)
    }

    /// Whether the engine has committed a bulk since this was asked last, and whether gossip came in since.
    pub fn took_bulk(&mut self) -> (bool, bool) {
        let now = *self.engine().stats();
        let before = core::mem::replace(&mut self.before, now);
        let bulk = now.bulk_committed > before.bulk_committed;
        (bulk, now.deltas_from_gossip > before.deltas_from_gossip)
    }

    /// Whether the engine has renamed own deltas since this was asked last.
    pub fn has_renamed(&mut self) -> bool {
        let renames = self.engine().stats().renames;
        renames > core::mem::replace(&mut self.renames, renames)
    }

    /// Whether the engine is in the middle of a bulk that it asked for.
    pub fn in_bulk(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| {
            let stats = engine.stats();
            stats.bulk_started > stats.bulk_committed + stats.bulk_aborted
        })
    }
}
