//! A host of rejoin without sockets and clocks: it carries out what an engine asks for at once, and joins two engines.

use std::sync::atomic::{AtomicBool, Ordering};

use rejoin_core::SpaceId;
use rejoin_core::engine::{
    Config, Engine, Event, GossipId, Input, Now, Output, Push, Role, SessionId, Transaction, WriteError,
};
use rejoin_core::identity::Ed25519;
use rejoin_core::image::{ImageReader, ImageWriter, Part, completed};
use rejoin_core::store::{Commit, MemoryStore, Merged, Store, StoreError};

use crate::peer::Traffic;

/// Rows that gather before they leave as one commit: what a busy app writes while one commit is on its way.
const GROUP: usize = 1000;
const SPACE: SpaceId = SpaceId([7; 32]);
/// Half trips after which two engines that say nothing new are stuck.
const PATIENCE: usize = 10_000;

static KEEPS_LOG: AtomicBool = AtomicBool::new(true);

/// Whether hosts that are made from now on keep a log, which is bounded, and so no cost of a row.
pub fn keep_log(keep: bool) {
    KEEPS_LOG.store(keep, Ordering::Relaxed);
}

/// A store and what writes to it.
pub trait Disk: Store {
    /// Makes a commit durable and shows it.
    fn commit(&mut self, commit: &Commit) -> Result<Merged, StoreError>;
}

impl Disk for MemoryStore {
    fn commit(&mut self, commit: &Commit) -> Result<Merged, StoreError> {
        self.apply(commit)
    }
}

/// One engine and what drives it.
pub struct Host<S: Disk = MemoryStore> {
    /// To read from.
    pub engine: Engine<S>,
    now: Now,
    /// Rows written since the last commit.
    waiting: usize,
    sessions: u64,
    /// The session that last ended with equal roots.
    agreed: Option<SessionId>,
    published: Vec<Vec<u8>>,
}

/// How an engine is opened here.
pub fn config(push: Push) -> Config {
    let mut config = Config::new(SPACE);
    config.push = push;
    if !KEEPS_LOG.load(Ordering::Relaxed) {
        config.log_bytes = 0;
    }
    config
}

/// Secret and seed that follow from a number.
pub fn secret(id: u64) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&id.to_le_bytes());
    seed
}

impl Host {
    /// One with nothing, over memory.
    pub fn new(id: u64, push: Push) -> Self {
        Self::over(id, push, MemoryStore::new())
    }

    /// One that publishes what it writes. Own deltas go out by gossip once some peer has said what it has of them, so it
    /// meets one that has nothing.
    pub fn publishing(id: u64) -> Self {
        let mut host = Self::new(id, Push::Gossip);
        host.sync(&mut Self::new(u64::MAX, Push::Off));
        host
    }

    /// The state as an image, as a backup holds it: no log, a checksum a block, heads with their signatures.
    pub fn image(&mut self) -> Vec<u8> {
        self.settle();
        let moment = self.engine.moment().expect("a store in memory can be read");
        let mut image = Vec::new();
        let mut sink = |part: &[u8]| {
            image.extend_from_slice(part);
            Ok(())
        };
        let written = ImageWriter::begin(&mut sink).and_then(|mut writer| {
            writer.space(&moment, self.now.wall_ms, 0, &[], &mut sink, &mut |_| {})?;
            writer.end(&mut sink)
        });
        written.expect("a sound store makes an image");
        image
    }

    /// A replica with the state of an image, writing under an id of its own; everything is checked as a restore does.
    pub fn from_image(image: &[u8], id: u64, push: Push) -> Self {
        const SOUND: &str = "an image of this same program";
        let (mut store, mut rest, mut root) = (MemoryStore::new(), image, None);
        let mut source = |buffer: &mut [u8]| {
            let (given, left) = rest.split_at(buffer.len().min(rest.len()));
            buffer[..given.len()].copy_from_slice(given);
            rest = left;
            Ok(given.len())
        };
        let seed = secret(id);
        let identity = Ed25519::from_seed(seed);
        let mut reader = ImageReader::begin(&mut source, &identity).expect(SOUND);
        while let Some(part) = reader.next_part().expect(SOUND) {
            match part {
                Part::Space(about) => root = Some(about.root),
                Part::Changes(changes) | Part::Close(_, changes) => {
                    store.apply(&Commit::new(0, changes)).expect(SOUND);
                }
                Part::End { .. } => {}
            }
        }
        let (found, _, nodes) = completed(&store).expect(SOUND);
        assert_eq!(Some(found), root, "{SOUND}");
        store.apply(&Commit::new(0, nodes)).expect(SOUND);
        Self::over(id, push, store)
    }
}

impl<S: Disk> Host<S> {
    /// One over a store.
    pub fn over(id: u64, push: Push, store: S) -> Self {
        let seed = secret(id);
        let identity = Box::new(Ed25519::from_seed(seed));
        let engine = Engine::open(config(push), identity, store, seed).expect("it opens");
        let now = Now { mono_ms: 0, wall_ms: 1_700_000_000_000 };
        Self { engine, now, waiting: 0, sessions: 0, agreed: None, published: Vec::new() }
    }

    /// One transaction of `rows` rows; every so many rows make a commit.
    pub fn write(
        &mut self,
        rows: usize,
        write: impl FnOnce(&mut Transaction<'_, S>) -> Result<(), WriteError>,
    ) {
        self.engine.write(self.now, write).expect("a transaction of this size fits");
        self.waiting += rows;
        if self.waiting >= GROUP {
            self.commit();
        }
    }

    /// Makes everything durable, as far as memory is.
    pub fn commit(&mut self) {
        self.waiting = 0;
        let frames = self.run(None);
        assert!(frames.is_empty(), "nobody is connected");
    }

    /// Everything durable, and the root that proves it computed.
    pub fn settle(&mut self) {
        self.commit();
        self.engine.root().expect("the store can be read");
    }

    /// One mutation, then every output carried out in order. Returns the frames for the other side.
    fn run(&mut self, input: Option<Input>) -> Vec<Vec<u8>> {
        if let Some(input) = input {
            self.engine.handle(self.now, input);
        }
        let mut frames = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist(commit) => {
                    let result = self.engine.store_mut().commit(&commit);
                    self.engine.handle(self.now, Input::Persisted { commit: commit.id, result });
                }
                Output::Send { frame, .. } => frames.push(frame),
                Output::Publish { frame } => self.published.push(frame),
                Output::Event(Event::InSync { session, .. }) => self.agreed = Some(session),
                Output::Disconnect { reason, .. } => panic!("disconnected: {reason:?}"),
                Output::Judged { .. } | Output::Event(_) => {}
            }
        }
        frames
    }

    /// Takes in what another host has published.
    pub fn hear(&mut self, other: &mut Self) {
        for (index, frame) in std::mem::take(&mut other.published).into_iter().enumerate() {
            self.run(Some(Input::Gossiped { id: GossipId(index as u64), frame }));
        }
    }

    fn receive(&mut self, session: SessionId, frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        frames.into_iter().flat_map(|frame| self.run(Some(Input::Received { session, frame }))).collect()
    }

    /// Joins two engines by one stream until both name the same root.
    pub fn sync(&mut self, other: &mut Self) -> Traffic {
        let session = SessionId(self.sessions.max(other.sessions) + 1);
        (self.sessions, other.sessions) = (session.0, session.0);
        let connect = |role| Some(Input::Connected { session, role });
        let mut to_self = other.run(connect(Role::Responder));
        let mut to_other = self.run(connect(Role::Initiator));
        let mut traffic = Traffic::default();
        let agreed = |host: &Self| host.agreed == Some(session);
        while !(to_self.is_empty() && to_other.is_empty() && agreed(self) && agreed(other)) {
            assert!(traffic.half_trips < PATIENCE, "the engines do not agree");
            traffic.half_trips += 1;
            if to_self.is_empty() && to_other.is_empty() {
                (to_other, to_self) = (self.wait(), other.wait());
                continue;
            }
            let under_way = to_self.iter().chain(&to_other);
            traffic.messages += to_self.len() + to_other.len();
            traffic.bytes += under_way.map(Vec::len).sum::<usize>();
            let (mine, theirs) = (std::mem::take(&mut to_self), std::mem::take(&mut to_other));
            to_other = self.receive(session, mine);
            to_self = other.receive(session, theirs);
        }
        traffic.data_trips = self.engine.traffic(session).map(|traffic| traffic.round_trips);
        for host in [self, other] {
            host.engine.handle(host.now, Input::Disconnected { session });
        }
        traffic
    }

    /// Lets the time pass that the engine waits for.
    fn wait(&mut self) -> Vec<Vec<u8>> {
        match self.engine.poll_timeout() {
            Some(due) => {
                self.now.mono_ms = self.now.mono_ms.max(due);
                self.run(Some(Input::Tick))
            }
            None => Vec::new(),
        }
    }
}
