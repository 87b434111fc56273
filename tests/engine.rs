//! Engines over random schedules: the quick check beside the full simulator (package `rejoin-sim`).
//!
//! A handful of engines write, connect, are cut off in the middle of anything, crash and come back; at the end they are
//! all connected and must hold the same data and then fall silent.

use std::collections::{BTreeMap, VecDeque};

use rejoin::core::SpaceId;
use rejoin::core::engine::{Config, Engine, Input, Now, Output, Push, Role, SessionId, WriteError};
use rejoin::core::identity::Ed25519;
use rejoin::core::row::{Kind, Object, Payload, WriteRows};
use rejoin::core::store::MemoryStore;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

struct World {
    random: Random,
    now: u64,
    nodes: Vec<Engine<MemoryStore>>,
    configs: Vec<Config>,
    /// (session, to) -> frames on their way.
    wires: BTreeMap<(SessionId, usize), VecDeque<Vec<u8>>>,
    links: BTreeMap<SessionId, (usize, usize)>,
    next: u64,
    sent: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let count = 2 + random.below(3);
        let mut configs = Vec::new();
        for _ in 0..count {
            let mut config = Config::new(SpaceId([1; 32]));
            config.log_bytes = [0, 500, 3_000, 1 << 20][random.below(4)];
            config.chunk_bytes = [64, 300, 60_000][random.below(3)];
            config.window_bytes = [100, 5_000, 1 << 20][random.below(3)];
            config.push = [Push::Streams, Push::Off][random.below(2)];
            configs.push(config);
        }
        let nodes = (0..count).map(|node| open(&configs, node, MemoryStore::new(), 0)).collect();
        let (wires, links) = Default::default();
        Self { random, now: 0, nodes, configs, wires, links, next: 1, sent: 0 }
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.now, wall_ms: 1_000_000 + self.now }
    }

    fn input(&mut self, node: usize, input: Input) {
        let now = self.now();
        self.nodes[node].handle(now, input);
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].poll_output() {
            match output {
                Output::Persist(commit) => {
                    let result = self.nodes[node].store_mut().apply(&commit);
                    let now = self.now();
                    self.nodes[node].handle(now, Input::Persisted { commit: commit.id, result });
                }
                Output::Send { session, frame } => {
                    self.sent += 1;
                    if std::env::var_os("TRACE").is_some() {
                        println!(
                            "{} {node} {session:?}: message {}, {} bytes",
                            self.now,
                            frame[0],
                            frame.len()
                        );
                    }
                    let Some((a, b)) = self.links.get(&session) else { continue };
                    let to = if *a == node { *b } else { *a };
                    self.wires.entry((session, to)).or_default().push_back(frame);
                }
                Output::Disconnect { session, reason } => {
                    panic!("node {node} closed {session:?}: {reason:?}")
                }
                Output::Publish { .. } | Output::Judged { .. } | Output::Event(_) => {}
            }
        }
    }

    fn write(&mut self, node: usize) {
        let object = Object::new(Kind::LWW_MAP, "m").unwrap();
        let now = self.now();
        let rows: Vec<_> =
            (0..1 + self.random.below(3)).map(|_| (self.random.below(12), self.random.below(3))).collect();
        let text = format!("{node} {}", self.next);
        self.nodes[node]
            .write(now, |tx| -> Result<(), WriteError> {
                for (row, what) in rows {
                    let key = object.row(&row.to_be_bytes()).unwrap();
                    if what == 0 {
                        tx.remove(key)?
                    } else {
                        tx.put(key, Payload::new(text.as_bytes()).unwrap())?
                    }
                }
                Ok(())
            })
            .unwrap();
        self.next += 1;
        self.drain(node);
    }

    fn connect(&mut self, a: usize, b: usize) {
        let session = SessionId(self.next);
        self.next += 1;
        self.links.insert(session, (a, b));
        self.input(b, Input::Connected { session, role: Role::Responder });
        self.input(a, Input::Connected { session, role: Role::Initiator });
    }

    fn cut(&mut self, session: SessionId) {
        let Some((a, b)) = self.links.remove(&session) else { return };
        self.wires.retain(|(id, _), _| *id != session);
        self.input(a, Input::Disconnected { session });
        self.input(b, Input::Disconnected { session });
    }

    fn deliver(&mut self) -> bool {
        let full: Vec<_> = self.wires.iter().filter(|(_, q)| !q.is_empty()).map(|(k, _)| *k).collect();
        if full.is_empty() {
            return false;
        }
        let (session, to) = full[self.random.below(full.len())];
        let frame = self.wires.get_mut(&(session, to)).unwrap().pop_front().unwrap();
        self.input(to, Input::Received { session, frame });
        true
    }

    fn crash(&mut self, node: usize) {
        let of_node: Vec<_> =
            self.links.iter().filter(|(_, (a, b))| *a == node || *b == node).map(|l| *l.0).collect();
        of_node.into_iter().for_each(|session| self.cut(session));
        let fresh = open(&self.configs, node, MemoryStore::new(), 0);
        let store = std::mem::replace(&mut self.nodes[node], fresh).into_store();
        self.nodes[node] = open(&self.configs, node, store, self.next);
        self.next += 1;
        self.drain(node);
    }

    fn step(&mut self) {
        self.now += self.random.below(50) as u64;
        let (a, b) = (self.random.below(self.nodes.len()), self.random.below(self.nodes.len()));
        match self.random.below(20) {
            0..6 => self.write(a),
            6 if a != b => self.connect(a, b),
            7 if !self.links.is_empty() => {
                let session = *self.links.keys().nth(self.random.below(self.links.len())).unwrap();
                self.cut(session);
            }
            8 if self.random.below(4) == 0 => self.crash(a),
            _ => {
                self.deliver();
            }
        }
        self.check();
    }

    fn check(&mut self) {
        for (node, engine) in self.nodes.iter_mut().enumerate() {
            engine.check().unwrap_or_else(|wrong| panic!("node {node}: {wrong}"));
        }
        for pair in 1..self.nodes.len() {
            let (left, right) = self.nodes.split_at_mut(pair);
            let (a, b) = (&mut left[pair - 1], &mut right[0]);
            let same_vector = a.durable_version_vector() == b.durable_version_vector();
            assert_eq!(same_vector, a.root().unwrap() == b.root().unwrap(), "equal vectors <=> equal roots");
        }
    }

    /// Everybody meets; time passes until nobody has anything to say.
    fn rejoin(&mut self) {
        let all: Vec<_> = self.links.keys().copied().collect();
        all.into_iter().for_each(|session| self.cut(session));
        for node in 1..self.nodes.len() {
            self.connect(node - 1, node);
        }
        for _ in 0..200 {
            while self.deliver() {}
            let Some(due) = self.nodes.iter().filter_map(Engine::poll_timeout).min() else { break };
            self.now = self.now.max(due);
            (0..self.nodes.len()).for_each(|node| self.input(node, Input::Tick));
        }
        let timeouts: Vec<_> = self.nodes.iter().map(Engine::poll_timeout).collect();
        assert!(timeouts.iter().all(Option::is_none), "never silent: {timeouts:?}");
        let roots: Vec<_> = self.nodes.iter_mut().map(|engine| engine.root().unwrap()).collect();
        assert!(roots.windows(2).all(|pair| pair[0] == pair[1]), "roots differ: {roots:?}");
        self.check();
    }
}

fn open(configs: &[Config], node: usize, store: MemoryStore, life: u64) -> Engine<MemoryStore> {
    let byte = u8::try_from(node).unwrap() + 1;
    let mut seed = [byte; 32];
    seed[..8].copy_from_slice(&life.to_le_bytes());
    Engine::open(configs[node], Box::new(Ed25519::from_seed([byte; 32])), store, seed).unwrap()
}

#[test]
fn random_schedules_converge_and_fall_silent() {
    let only = std::env::var("SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let count = std::env::var("SEEDS").map_or(200, |count| count.parse::<u64>().unwrap());
    for seed in only.map_or(0..count, |seed| seed..seed + 1) {
        println!("SEED={seed}");
        let mut world = World::new(seed);
        for _ in 0..250 {
            world.step();
        }
        world.rejoin();
    }
}
