//! Bytes as a schedule of two engines: writes, frames one by one, gossip late or never, cuts, crashes, slow and failing
//! disks. At the end the faults stop, and both must agree.

use std::collections::VecDeque;

use rejoin::core::engine::{Config, Input, Push, Role, SessionId};
use rejoin::core::store::MemoryStore;

use crate::draw::Draw;
use crate::host::{Host, config, shown};
use crate::identity::Device;

/// Frames and moments after which two engines without faults must have fallen silent.
const PATIENCE: usize = 20_000;

struct Pair {
    hosts: Vec<Host>,
    session: Option<SessionId>,
    /// Frames on their way, by receiver.
    wire: [VecDeque<Vec<u8>>; 2],
    next: u64,
}

/// Runs the schedule. Nothing that was durable may be lost, and both must agree in the end.
pub fn sessions(data: &[u8]) {
    let mut draw = Draw::new(data);
    let config = Config {
        chunk_bytes: draw.pick([1, 200, 60_000]),
        window_bytes: draw.pick([1, 5_000]),
        push: draw.pick([Push::Streams, Push::Off, Push::Gossip]),
        early_bytes: draw.pick([0, 500]),
        ..config(draw.pick([1 << 20, 0, 300]))
    };
    let open = |number| {
        let device = Device { number, credulous: false };
        Host::open(device, 0, config, MemoryStore::new()).expect("an empty store")
    };
    let mut pair = Pair { hosts: vec![open(1), open(2)], session: None, wire: Default::default(), next: 1 };
    while !draw.is_empty() {
        pair.step(&mut draw);
    }
    pair.agree();
}

impl Pair {
    fn step(&mut self, draw: &mut Draw<'_>) {
        let byte = draw.byte();
        let at = usize::from(byte >> 7);
        match byte % 16 {
            0..3 => {
                self.next += 1;
                let text = format!("{at} {}", self.next);
                // A failed commit may have taken the past of it away; nothing else can go wrong.
                self.hosts[at].put(draw.byte() % 6, &text).expect("a small transaction");
            }
            3 => self.hosts[at].remove(draw.byte() % 6).expect("a small transaction"),
            4..8 => self.deliver(at),
            8 => self.connect(at),
            9 => self.cut(),
            10 => self.crash(at, byte & 64 != 0),
            11 => self.hosts[at].slow = byte & 64 != 0,
            12 => self.hosts[at].release(byte & 64 != 0),
            13 | 14 => {
                let published = &self.hosts[1 - at].published;
                if let Some(frame) = published.get(draw.below(published.len())).cloned() {
                    self.hosts[at].gossip(frame);
                }
            }
            _ => self.hosts[at].tick(u64::from(draw.byte()), byte & 64 != 0),
        }
        self.take_up();
    }

    /// Takes up what the two send.
    fn take_up(&mut self) {
        for at in [0, 1] {
            for (session, frame) in std::mem::take(&mut self.hosts[at].sent) {
                if self.session == Some(session) {
                    self.wire[1 - at].push_back(frame);
                }
            }
            let closed = std::mem::take(&mut self.hosts[at].closed);
            assert!(closed.is_empty(), "one honest engine closed a stream with another");
        }
    }

    fn deliver(&mut self, to: usize) {
        if let (Some(session), Some(frame)) = (self.session, self.wire[to].pop_front()) {
            self.hosts[to].input(Input::Received { session, frame });
        }
    }

    fn connect(&mut self, initiator: usize) {
        if self.session.is_some() {
            return;
        }
        self.next += 1;
        let session = SessionId(self.next);
        self.session = Some(session);
        self.hosts[1 - initiator].input(Input::Connected { session, role: Role::Responder });
        self.hosts[initiator].input(Input::Connected { session, role: Role::Initiator });
    }

    fn cut(&mut self) {
        let Some(session) = self.session.take() else { return };
        self.wire = Default::default();
        self.hosts.iter_mut().for_each(|host| host.input(Input::Disconnected { session }));
    }

    fn crash(&mut self, at: usize, commit_is_there: bool) {
        self.cut();
        let host = self.hosts.remove(at);
        self.hosts.insert(at, host.crash(commit_is_there));
    }

    /// The faults stop.
    fn agree(&mut self) {
        for host in &mut self.hosts {
            host.slow = false;
            host.release(false);
        }
        let before = [0, 1].map(|at| self.hosts[at].engine.durable_version_vector());
        self.cut();
        self.connect(0);
        self.take_up();
        let mut left = PATIENCE;
        loop {
            while self.wire.iter().any(|frames| !frames.is_empty()) {
                left = left.checked_sub(1).expect("never silent");
                let to = usize::from(self.wire[0].is_empty());
                self.deliver(to);
                self.take_up();
            }
            let due = |host: &Host| host.engine.poll_timeout();
            let Some(at) =
                (0..2).filter(|at| due(&self.hosts[*at]).is_some()).min_by_key(|at| due(&self.hosts[*at]))
            else {
                break;
            };
            left = left.checked_sub(1).expect("never silent");
            self.hosts[at].tick(0, true);
            self.take_up();
        }
        let roots: Vec<_> = self.hosts.iter_mut().map(|host| host.engine.root().expect("it reads")).collect();
        assert_eq!(roots[0], roots[1], "they do not agree");
        let rows: Vec<_> = self.hosts.iter().map(|host| shown(&host.engine).expect("it reads")).collect();
        assert_eq!(rows[0], rows[1], "equal roots, other rows");
        for host in &self.hosts {
            host.engine.check().unwrap_or_else(|wrong| panic!("unsound: {wrong}"));
            let vector = host.engine.durable_version_vector();
            assert!(before.iter().all(|before| vector.covers(before)), "something durable was lost");
        }
    }
}
