//! The network: streams between two machines, and gossip to all of them.
//!
//! A stream delivers frames whole, in order and once, after any latency, until it is cut. Then what is under way may be
//! lost, and its two ends notice at different times. A blocked link stalls streams and swallows gossip, in one direction
//! or both. Gossip is lost, doubled, reordered and late, sometimes by most of a schedule.

use std::collections::VecDeque;
use std::rc::Rc;

use rejoin_core::engine::{Role, SessionId};

use crate::draw::Draw;
use crate::host::kind_of;
use crate::queue::{Due, Queue};

/// Most streams that one pair of machines has at a time.
pub const STREAMS_PER_PAIR: usize = 2;

/// What reaches an end of a stream.
#[derive(Clone, Debug)]
pub enum Item {
    /// The stream is up.
    Connected(Role),
    /// A frame.
    Frame(Vec<u8>),
    /// A frame with a flipped bit.
    Damaged(Vec<u8>),
    /// The stream is gone.
    Closed,
}

/// What comes of an arrival.
#[derive(Debug)]
pub enum Arrival {
    /// Nobody is there any more, or it was lost.
    Nothing,
    /// For a machine: its number, its session and the item.
    Item(usize, SessionId, Item),
}

#[derive(Debug)]
struct End {
    machine: usize,
    inbox: VecDeque<Item>,
    last_arrival: u64,
    /// The engine behind it knows it.
    up: bool,
    closed: bool,
    /// Arrivals that wait for a blocked link.
    stalled: u32,
    /// A damaged frame came out of it.
    damaged: bool,
    last_kind: Option<u8>,
}

#[derive(Debug)]
struct Stream {
    ends: [End; 2],
    cut: bool,
}

/// Latencies, drawn once for a schedule.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Most frames take at most this long, in microseconds.
    pub usual_us: u64,
    /// One in a thousand of them takes ten times as long, this often.
    pub slow_per_mille: u32,
}

impl Latency {
    /// How long one frame takes.
    pub fn draw(self, draw: &mut Draw) -> u64 {
        let usual = draw.range(1, self.usual_us);
        if draw.chance(self.slow_per_mille) { usual * 10 } else { usual }
    }
}

/// One gossiped message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its bytes.
    pub bytes: Rc<[u8]>,
    /// Bit `n`: it was sent to machine `n`, or came from there.
    pub had: u64,
}

/// All links.
#[derive(Debug)]
pub struct Network {
    machines: usize,
    blocked: Vec<bool>,
    streams: Vec<Stream>,
    /// Gossip, by message number.
    pub messages: Vec<Message>,
    /// How long things take.
    pub latency: Latency,
}

impl Network {
    /// A network without streams among at most `machines` machines.
    pub fn new(machines: usize, latency: Latency) -> Self {
        let (streams, messages) = Default::default();
        Self { machines, blocked: vec![false; machines * machines], streams, messages, latency }
    }

    /// Whether nothing gets from one machine to another.
    pub fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked[from * self.machines + to]
    }

    /// Blocks one direction of a link.
    pub fn block(&mut self, from: usize, to: usize) {
        self.blocked[from * self.machines + to] = true;
    }

    /// Opens every link; what was stalled moves on.
    pub fn heal(&mut self, now: u64, draw: &mut Draw, queue: &mut Queue) {
        self.blocked.fill(false);
        for number in 0..self.streams.len() {
            for side in 0..2 {
                let latency = self.latency;
                let end = &mut self.streams[number].ends[side];
                for _ in 0..core::mem::take(&mut end.stalled) {
                    end.last_arrival = end.last_arrival.max(now + latency.draw(draw));
                    queue.push(end.last_arrival, Due::Arrive { stream: number, side });
                }
            }
        }
    }

    /// Numbers of the streams that are not cut, with the machines at their ends.
    pub fn open_streams(&self) -> impl Iterator<Item = (usize, [usize; 2])> + '_ {
        let open = |stream: &Stream| !stream.cut && stream.ends.iter().all(|end| !end.closed);
        let streams = self.streams.iter().enumerate().filter(move |(_, stream)| open(stream));
        streams.map(|(number, stream)| (number, [stream.ends[0].machine, stream.ends[1].machine]))
    }

    /// How many streams a pair has.
    pub fn between(&self, a: usize, b: usize) -> usize {
        self.open_streams().filter(|(_, ends)| *ends == [a, b] || *ends == [b, a]).count()
    }

    /// Opens a stream.
    pub fn connect(&mut self, ends: [usize; 2], now: u64, draw: &mut Draw, queue: &mut Queue) {
        let number = self.streams.len();
        let ends = ends.map(|machine| End {
            machine,
            inbox: VecDeque::new(),
            last_arrival: now,
            up: false,
            closed: false,
            stalled: 0,
            damaged: false,
            last_kind: None,
        });
        self.streams.push(Stream { ends, cut: false });
        for (side, role) in [Role::Initiator, Role::Responder].into_iter().enumerate() {
            self.arrive_later((number, side), Item::Connected(role), now, draw, queue);
        }
    }

    /// Takes a frame from an engine. False when the engine cannot know such a stream.
    pub fn send(
        &mut self,
        session: SessionId,
        item: Item,
        now: u64,
        draw: &mut Draw,
        queue: &mut Queue,
    ) -> bool {
        let Some((number, side)) = self.find(session) else { return false };
        let stream = &mut self.streams[number];
        if !stream.ends[side].up || stream.ends[side].closed {
            return false;
        }
        if !stream.cut && !stream.ends[1 - side].closed {
            self.arrive_later((number, 1 - side), item, now, draw, queue);
        }
        true
    }

    /// An engine closes its end: the other end hears of it after what is under way. False for an unknown stream.
    pub fn close(&mut self, session: SessionId, now: u64, draw: &mut Draw, queue: &mut Queue) -> bool {
        let Some((number, side)) = self.find(session) else { return false };
        let stream = &mut self.streams[number];
        if !stream.ends[side].up || stream.ends[side].closed {
            return false;
        }
        stream.ends[side].closed = true;
        if !stream.cut {
            stream.cut = true;
            self.arrive_later((number, 1 - side), Item::Closed, now, draw, queue);
        }
        true
    }

    /// Cuts a stream: some of what is under way is lost, and each end notices by itself.
    pub fn cut(&mut self, number: usize, now: u64, draw: &mut Draw, queue: &mut Queue) {
        if core::mem::replace(&mut self.streams[number].cut, true) {
            return;
        }
        for side in 0..2 {
            let end = &mut self.streams[number].ends[side];
            if !end.closed {
                let kept = draw.index(end.inbox.len() + 1);
                end.inbox.truncate(kept);
                self.arrive_later((number, side), Item::Closed, now, draw, queue);
            }
        }
    }

    /// A machine is gone: its ends are closed without a word. Returns the last kind of frame on each of its streams.
    pub fn lose(&mut self, machine: usize, now: u64, draw: &mut Draw, queue: &mut Queue) -> Vec<Option<u8>> {
        let mut kinds = Vec::new();
        for number in 0..self.streams.len() {
            for side in 0..2 {
                let end = &mut self.streams[number].ends[side];
                if end.machine == machine && !end.closed {
                    end.closed = true;
                    kinds.push(end.last_kind);
                    self.cut(number, now, draw, queue);
                }
            }
        }
        kinds
    }

    /// Whose end that is.
    pub fn machine_at(&self, number: usize, side: usize) -> usize {
        self.streams[number].ends[side].machine
    }

    /// The next item at an end, unless the link stalls it.
    pub fn arrive(&mut self, number: usize, side: usize) -> Arrival {
        let stream = &mut self.streams[number];
        let [from, to] = [stream.ends[1 - side].machine, stream.ends[side].machine];
        let end = &mut stream.ends[side];
        if end.closed {
            end.inbox.clear();
        }
        let Some(front) = end.inbox.front() else { return Arrival::Nothing };
        if self.blocked[from * self.machines + to] && !matches!(front, Item::Closed) {
            // A cut stream does not wait for its link: what is under way is lost.
            if !stream.cut {
                end.stalled += 1;
                return Arrival::Nothing;
            }
            end.inbox.retain(|item| matches!(item, Item::Closed));
        }
        let Some(item) = end.inbox.pop_front() else { return Arrival::Nothing };
        let known = end.up;
        match &item {
            Item::Connected(_) => end.up = true,
            Item::Frame(bytes) => end.last_kind = kind_of(bytes),
            Item::Damaged(bytes) => {
                end.last_kind = kind_of(bytes);
                end.damaged = true;
            }
            Item::Closed => end.closed = true,
        }
        if !known && !end.up {
            return Arrival::Nothing;
        }
        Arrival::Item(to, session(number, side), item)
    }

    /// Whether a damaged frame came out of either end of a stream: a damaged question gets a strange answer.
    pub fn is_broken(&self, session: SessionId) -> bool {
        self.find(session).is_some_and(|(number, _)| self.streams[number].ends.iter().any(|end| end.damaged))
    }

    /// The first byte of the last frame that an end got.
    pub fn last_kind(&self, session: SessionId) -> Option<u8> {
        self.find(session).and_then(|(number, side)| self.streams[number].ends[side].last_kind)
    }

    fn arrive_later(
        &mut self,
        (number, side): (usize, usize),
        item: Item,
        now: u64,
        draw: &mut Draw,
        queue: &mut Queue,
    ) {
        let at = now + self.latency.draw(draw);
        let end = &mut self.streams[number].ends[side];
        end.last_arrival = end.last_arrival.max(at);
        end.inbox.push_back(item);
        queue.push(end.last_arrival, Due::Arrive { stream: number, side });
    }

    #[allow(clippy::cast_possible_truncation, reason = "numbers given out by `session`")]
    /// The streams of a machine as its engine calls them, with the machine at the other end.
    pub fn sessions_of(&self, machine: usize) -> impl Iterator<Item = (SessionId, usize)> + '_ {
        let ends = self.streams.iter().enumerate().flat_map(|(number, stream)| {
            [0, 1]
                .map(|side| (session(number, side), stream.ends[side].machine, stream.ends[1 - side].machine))
        });
        ends.filter(move |(_, own, _)| *own == machine).map(|(session, _, peer)| (session, peer))
    }

    fn find(&self, session: SessionId) -> Option<(usize, usize)> {
        let (number, side) = ((session.0 / 2) as usize, (session.0 % 2) as usize);
        (number < self.streams.len()).then_some((number, side))
    }
}

/// What an end of a stream is called by its engine.
const fn session(number: usize, side: usize) -> SessionId {
    SessionId(number as u64 * 2 + side as u64)
}
