//! A few engines with their hosts: disks that never fail, streams that keep order, gossip that goes nowhere by itself.

use std::collections::{BTreeMap, VecDeque};

use rejoin_core::engine::{
    Config, Engine, Event, GossipId, Input, Now, Output, Push, Reason, Role, SessionId, Traffic, Transaction,
    WriteError,
};
use rejoin_core::identity::Identity;
use rejoin_core::row::{Kind, Object, Payload, RowKey, WriteRows};
use rejoin_core::store::MemoryStore;
use rejoin_core::{DeviceKey, Dot, ReplicaId, Signature, SpaceId};

pub(crate) const SPACE: SpaceId = SpaceId([7; 32]);
/// More than any log here grows to.
pub(crate) const LARGE_LOG: u64 = 1 << 20;

/// Signatures that cost one hash. Real ones are tested where they are implemented.
#[derive(Clone, Copy)]
struct Device(u8);

fn signature(key: &DeviceKey, message: &[u8; 32]) -> Signature {
    let half = blake3::keyed_hash(&key.0, message);
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(half.as_bytes());
    bytes[32..].copy_from_slice(&half.as_bytes().map(|byte| !byte));
    Signature(bytes)
}

impl Identity for Device {
    fn device(&self) -> DeviceKey {
        DeviceKey([self.0; 32])
    }

    fn sign(&self, message: &[u8; 32]) -> Signature {
        signature(&self.device(), message)
    }

    fn verify(&self, key: &DeviceKey, message: &[u8; 32], claimed: &Signature) -> bool {
        signature(key, message) == *claimed
    }
}

/// Settings for tests: a log of so many bytes, nothing pushed, and chunks so small that each entry is a frame.
pub(crate) fn config(log_bytes: u64) -> Config {
    Config { log_bytes, chunk_bytes: 1, leaf_dots: 1, push: Push::Off, ..Config::new(SPACE) }
}

/// Row number `number` of the one object that these tests write.
pub(crate) fn row(number: u8) -> RowKey {
    Object::new(Kind(200), "t").unwrap().row(&[number]).unwrap()
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload::new(text.as_bytes()).unwrap()
}

/// What an app sees: row number (the first byte of the element) -> the payloads that it holds, sorted.
pub(crate) type Shown = BTreeMap<u8, Vec<Vec<u8>>>;

/// One engine, and what came out of it.
pub(crate) struct Host {
    pub(crate) engine: Engine<MemoryStore>,
    pub(crate) events: Vec<Event>,
    pub(crate) published: Vec<Vec<u8>>,
    pub(crate) closed: Vec<(SessionId, Reason)>,
    sends: Vec<(SessionId, Vec<u8>)>,
}

impl Host {
    /// Opens a store on device `device`. `life` counts the openings of one store.
    pub(crate) fn open(device: u8, life: u8, config: Config, store: MemoryStore) -> Self {
        let mut seed = [device; 32];
        seed[0] = life;
        let engine = Engine::open(config, Box::new(Device(device)), store, seed).unwrap();
        let (events, published, closed, sends) = Default::default();
        let mut host = Self { engine, events, published, closed, sends };
        host.drain(now(0));
        host
    }

    /// Opens a store that publishes what is written: its deltas are for whoever a test gives them to. Own deltas go out by
    /// gossip once some peer has said what it has, so it meets one that has nothing.
    pub(crate) fn open_known(device: u8, life: u8, config: Config, store: MemoryStore) -> Self {
        let mut host = Self::open(device, life, config, store);
        let mut peer = Self::open(255, 1, config, MemoryStore::new());
        let session = SessionId(u64::MAX);
        for (host, role) in [(&mut peer, Role::Responder), (&mut host, Role::Initiator)] {
            host.engine.handle(now(0), Input::Connected { session, role });
            host.drain(now(0));
        }
        let mut pair = [host, peer];
        while let Some(from) = pair.iter().position(|host| !host.sends.is_empty()) {
            for (_, frame) in std::mem::take(&mut pair[from].sends) {
                let to = &mut pair[1 - from];
                to.engine.handle(now(0), Input::Received { session, frame });
                to.drain(now(0));
            }
        }
        let [mut host, _] = pair;
        host.engine.handle(now(0), Input::Disconnected { session });
        host.drain(now(0));
        host.events.clear();
        host
    }

    pub(crate) fn drain(&mut self, now: Now) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist(commit) => {
                    let result = self.engine.store_mut().apply(&commit);
                    self.engine.handle(now, Input::Persisted { commit: commit.id, result });
                }
                Output::Send { session, frame } => self.sends.push((session, frame)),
                Output::Publish { frame } => self.published.push(frame),
                Output::Judged { .. } => {}
                Output::Disconnect { session, reason } => self.closed.push((session, reason)),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// A transaction, made durable.
    pub(crate) fn write(
        &mut self,
        write: impl FnOnce(&mut Transaction<'_, MemoryStore>) -> Result<(), WriteError>,
    ) -> Option<Dot> {
        let ((), dot) = self.engine.write(now(0), write).unwrap();
        self.drain(now(0));
        dot
    }

    pub(crate) fn put(&mut self, number: u8, text: &str) -> Dot {
        self.write(|tx| tx.put(row(number), payload(text))).unwrap()
    }

    pub(crate) fn remove(&mut self, number: u8) -> Option<Dot> {
        self.write(|tx| tx.remove(row(number)))
    }

    pub(crate) fn gossip(&mut self, frame: &[u8]) {
        self.engine.handle(now(0), Input::Gossiped { id: GossipId(0), frame: frame.to_vec() });
        self.drain(now(0));
    }

    pub(crate) fn shown(&self) -> Shown {
        let mut shown = Shown::new();
        let mut visit = |key: &RowKey, entries: &[rejoin_core::row::Entry]| {
            let payloads = entries.iter().map(|entry| entry.payload.to_vec());
            let row = shown.entry(key.element().first().copied().unwrap_or_default()).or_default();
            row.extend(payloads);
            row.sort();
        };
        self.engine.visit_rows(&mut visit).unwrap();
        shown
    }

    /// What is durable: replica -> seq.
    pub(crate) fn vector(&self) -> BTreeMap<ReplicaId, u64> {
        self.engine.durable_version_vector().iter().collect()
    }

    pub(crate) fn in_sync(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::InSync { .. }))
    }
}

pub(crate) const fn now(mono_ms: u64) -> Now {
    Now { mono_ms, wall_ms: 1_800_000_000_000 + mono_ms }
}

/// Engines and the streams between them.
pub(crate) struct Hosts {
    pub(crate) hosts: Vec<Host>,
    links: BTreeMap<SessionId, (usize, usize)>,
    /// Frames on their way: stream, to whom, bytes.
    wire: VecDeque<(SessionId, usize, Vec<u8>)>,
    next: u64,
    now: u64,
    /// How much of that was sleep.
    asleep: u64,
    /// Bytes sent on all streams.
    pub(crate) bytes: usize,
}

impl Hosts {
    pub(crate) fn new(hosts: Vec<Host>) -> Self {
        let (links, wire) = Default::default();
        Self { hosts, links, wire, next: 1, now: 0, asleep: 0, bytes: 0 }
    }

    fn input(&mut self, host: usize, input: Input) {
        self.hosts[host].engine.handle(now(self.now), input);
        self.flush(host);
    }

    /// Carries out what a host has to do, and takes up what it sends.
    pub(crate) fn flush(&mut self, host: usize) {
        self.hosts[host].drain(now(self.now));
        for (session, frame) in std::mem::take(&mut self.hosts[host].sends) {
            let Some((a, b)) = self.links.get(&session) else { continue };
            let to = if *a == host { *b } else { *a };
            self.bytes += frame.len();
            self.wire.push_back((session, to, frame));
        }
    }

    pub(crate) fn connect(&mut self, a: usize, b: usize) -> SessionId {
        let session = SessionId(self.next);
        self.next += 1;
        self.links.insert(session, (a, b));
        self.input(b, Input::Connected { session, role: Role::Responder });
        self.input(a, Input::Connected { session, role: Role::Initiator });
        session
    }

    /// Cuts a stream; what is on its way is lost.
    pub(crate) fn cut(&mut self, session: SessionId) {
        let Some((a, b)) = self.links.remove(&session) else { return };
        self.wire.retain(|(id, ..)| *id != session);
        for host in [a, b] {
            self.input(host, Input::Disconnected { session });
        }
    }

    /// Delivers the oldest frame; `false` when there is none.
    pub(crate) fn deliver(&mut self) -> bool {
        let Some((session, to, frame)) = self.wire.pop_front() else { return false };
        self.input(to, Input::Received { session, frame });
        true
    }

    /// Loses the oldest frame.
    pub(crate) fn lose(&mut self) -> bool {
        self.wire.pop_front().is_some()
    }

    /// Damages a byte of the oldest frame; `false` when it has none there.
    pub(crate) fn damage(&mut self, byte: usize) -> bool {
        let byte = self.wire.front_mut().and_then(|(.., frame)| frame.get_mut(byte));
        byte.map(|byte| *byte ^= 0x10).is_some()
    }

    /// Time passes; nobody does anything.
    pub(crate) const fn sleep(&mut self, by_ms: u64) {
        self.now += by_ms;
        self.asleep += by_ms;
    }

    /// Delivers everything; how many frames.
    pub(crate) fn carry(&mut self) -> usize {
        std::iter::from_fn(|| self.deliver().then_some(())).count()
    }

    /// Delivers and lets time pass until nobody has anything to say; how many frames.
    pub(crate) fn settle(&mut self) -> usize {
        let mut frames = self.carry();
        while let Some(due) = self.hosts.iter().filter_map(|host| host.engine.poll_timeout()).min() {
            self.now = self.now.max(due);
            assert!(self.now - self.asleep < 3_600_000, "never silent");
            (0..self.hosts.len()).for_each(|host| self.input(host, Input::Tick));
            frames += self.carry();
        }
        frames
    }

    pub(crate) fn traffic(&self, host: usize, session: SessionId) -> Traffic {
        self.hosts[host].engine.traffic(session).unwrap()
    }

    /// Everybody is sound, shows the same, and has the same root.
    pub(crate) fn check_same(&mut self) {
        let roots: Vec<_> = self.hosts.iter_mut().map(|host| host.engine.root().unwrap()).collect();
        assert!(roots.windows(2).all(|pair| pair[0] == pair[1]), "roots differ");
        for pair in self.hosts.windows(2) {
            assert_eq!(pair[0].shown(), pair[1].shown(), "equal roots, other rows");
            assert_eq!(pair[0].vector(), pair[1].vector());
        }
        for host in &self.hosts {
            host.engine.check().unwrap();
            assert_eq!(host.closed, [], "a stream was closed");
        }
    }
}
