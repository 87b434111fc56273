//! An engine with a host that does what hosts do: makes commits durable when it likes, and keeps what is to be sent.

use rejoin::core::SpaceId;
use rejoin::core::engine::{Config, Engine, GossipId, Input, Now, OpenError, Output, SessionId, WriteError};
use rejoin::core::row::{Entry, Kind, Object, Payload, RowKey, WriteRows};
use rejoin::core::store::{Commit, MemoryStore, Store, StoreError};

use crate::identity::Device;

/// Settings for the space that all targets use.
pub(crate) fn config(log_bytes: u64) -> Config {
    Config { log_bytes, ..Config::new(SpaceId([7; 32])) }
}

pub(crate) fn row(number: u8) -> RowKey {
    let object = Object::new(Kind(200), "t").expect("a short path");
    object.row(&[number]).expect("a short element")
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload::new(text.as_bytes()).expect("a short text")
}

pub(crate) struct Host {
    pub(crate) engine: Engine<MemoryStore>,
    device: Device,
    config: Config,
    lives: u8,
    now: u64,
    /// A slow disk: commits wait until they are let through.
    pub(crate) slow: bool,
    held: Option<Commit>,
    pub(crate) published: Vec<Vec<u8>>,
    pub(crate) sent: Vec<(SessionId, Vec<u8>)>,
    pub(crate) closed: Vec<SessionId>,
}

impl Host {
    pub(crate) fn open(
        device: Device,
        lives: u8,
        config: Config,
        store: MemoryStore,
    ) -> Result<Self, OpenError> {
        let mut seed = [device.number; 32];
        seed[0] = lives;
        let engine = Engine::open(config, Box::new(device), store, seed)?;
        let (published, sent, closed) = Default::default();
        let (slow, held) = (false, None);
        let mut host = Self { engine, device, config, lives, now: 0, slow, held, published, sent, closed };
        host.drain();
        Ok(host)
    }

    const fn now(&self) -> Now {
        Now { mono_ms: self.now, wall_ms: 1_800_000_000_000 + self.now }
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.engine.handle(self.now(), input);
        self.drain();
    }

    pub(crate) fn gossip(&mut self, frame: Vec<u8>) {
        self.input(Input::Gossiped { id: GossipId(0), frame });
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist(commit) => {
                    assert!(self.held.is_none(), "two commits in flight");
                    self.held = Some(commit);
                    if !self.slow {
                        self.persist();
                    }
                }
                Output::Send { session, frame } => self.sent.push((session, frame)),
                Output::Publish { frame } => self.published.push(frame),
                Output::Disconnect { session, .. } => self.closed.push(session),
                Output::Judged { .. } | Output::Event(_) => {}
            }
        }
    }

    fn persist(&mut self) {
        let Some(commit) = self.held.take() else { return };
        let result = self.engine.store_mut().apply(&commit);
        self.engine.handle(self.now(), Input::Persisted { commit: commit.id, result });
    }

    /// Lets the commit that waits through, or fails it.
    pub(crate) fn release(&mut self, fails: bool) {
        if fails && let Some(commit) = self.held.take() {
            let result = Err(StoreError::Io("planted".into()));
            self.engine.handle(self.now(), Input::Persisted { commit: commit.id, result });
        }
        self.persist();
        self.drain();
    }

    /// Time goes on by this much, or to when something is due.
    pub(crate) fn tick(&mut self, by_ms: u64, until_due: bool) {
        let due = self.engine.poll_timeout().filter(|_| until_due);
        self.now = due.unwrap_or(0).max(self.now + by_ms);
        self.input(Input::Tick);
    }

    /// Kills the process; the commit in flight is on the disk or it is not. Sessions are gone.
    pub(crate) fn crash(self, commit_is_there: bool) -> Self {
        let Self { engine, device, config, lives, now, slow, held, published, .. } = self;
        let mut store = engine.into_store();
        if let Some(commit) = held.filter(|_| commit_is_there) {
            // Tables that were damaged may end a merge: then the crash came before it.
            let _ = store.apply(&commit);
        }
        let lives = lives.wrapping_add(1);
        let opened = Self::open(device, lives, config, store).expect("its own store");
        Self { now, slow, published, ..opened }
    }

    pub(crate) fn put(&mut self, number: u8, text: &str) -> Result<(), WriteError> {
        let done = self.engine.write(self.now(), |tx| tx.put(row(number), payload(text)));
        self.drain();
        done.map(|((), _)| ())
    }

    pub(crate) fn remove(&mut self, number: u8) -> Result<(), WriteError> {
        let done = self.engine.write(self.now(), |tx| tx.remove(row(number)));
        self.drain();
        done.map(|((), _)| ())
    }
}

/// Every row with the payloads in it.
pub(crate) fn shown<S: Store>(engine: &Engine<S>) -> Result<Vec<(RowKey, Vec<Payload>)>, StoreError> {
    let mut rows = Vec::new();
    engine.visit_rows(&mut |key: &RowKey, entries: &[Entry]| {
        rows.push((key.clone(), entries.iter().map(|entry| entry.payload.clone()).collect()));
    })?;
    Ok(rows)
}
