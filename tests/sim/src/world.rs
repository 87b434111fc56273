//! The world: machines, the network between them, and time. It makes what is due happen, in order.

use std::collections::BTreeMap;

use rejoin_core::engine::{GossipId, Input};

use crate::counters::{Counters, Sometimes};
use crate::documents::Word;
use crate::draw::{Draw, stream};
use crate::faults::Faults;
use crate::host::kind_of;
use crate::machine::{Doom, Machine};
use crate::network::{Arrival, Item, Network};
use crate::oracle::{Oracle, Violation, broken};
use crate::queue::{Due, Queue};
use crate::reader::Feeds;
use crate::simulation::Plan;
use crate::trace::Trace;
use crate::workload::Workload;

/// More inputs than any sound schedule needs: beyond it engines keep each other busy for ever.
const MOST_INPUTS: u64 = 60_000;

/// A gossiped message that an engine has not judged yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judging {
    pub(crate) machine: usize,
    pub(crate) message: usize,
    pub(crate) damaged: bool,
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) faults: Faults,
    pub(crate) now: u64,
    /// The step under way, for reports.
    pub(crate) step: u64,
    /// What the world draws from: latencies, losses.
    pub(crate) draw: Draw,
    /// What the checks draw from: where to look closer.
    pub(crate) look: Draw,
    pub(crate) queue: Queue,
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Network,
    pub(crate) oracle: Oracle,
    pub(crate) workload: Workload,
    pub(crate) counters: Counters,
    pub(crate) trace: Trace,
    /// A bulk was committed that a broken transport damaged: nothing is promised any more but that engines neither panic
    /// nor contradict themselves.
    pub(crate) hostile: bool,
    /// The next stream on which a frame of this kind arrives is cut.
    pub(crate) cut_after: Option<u8>,
    /// How machines keep their change feed, if they do.
    pub(crate) feeds: Option<Feeds>,
    /// What apps have written into their document.
    pub(crate) words: Vec<Word>,
    /// The faults are over.
    pub(crate) settling: bool,
    /// Frames sent and messages published.
    pub(crate) sent: u64,
    pub(crate) judging: BTreeMap<u64, Judging>,
    pub(crate) gossiped: u64,
}

impl World {
    /// A world at the start of a plan.
    pub(crate) fn new(plan: Plan) -> Self {
        let seed = plan.seed;
        let faults = Faults::draw(seed, plan.replicas);
        let machines: Vec<Machine> = (0..faults.replicas).map(|n| Machine::new(seed, n, &faults)).collect();
        let workload = Workload::new(faults.rows);
        let mut oracle = Oracle::new();
        for key in workload.keys() {
            oracle.record.key(key);
        }
        let world = Self {
            network: Network::new(faults.replicas + faults.clones, faults.latency),
            trace: Trace::new(plan.print),
            draw: Draw::new(seed, 0),
            look: Draw::new(seed, stream::LOOK),
            now: 1000,
            step: 0,
            queue: Queue::default(),
            counters: Counters::default(),
            hostile: false,
            cut_after: None,
            feeds: plan.has_feed().then(|| Feeds::of(seed)),
            words: Vec::new(),
            settling: false,
            sent: 0,
            judging: BTreeMap::new(),
            gossiped: 0,
            plan,
            faults,
            machines,
            oracle,
            workload,
        };
        #[cfg(feature = "planted")]
        let world = world.planted();
        world
    }

    #[cfg(feature = "planted")]
    fn planted(mut self) -> Self {
        let planted = self.plan.planted;
        self.machines.iter_mut().for_each(|machine| machine.plant(planted));
        self
    }

    /// Runs the whole plan.
    pub(crate) fn run(&mut self) -> Result<(), Violation> {
        for machine in 0..self.machines.len() {
            self.open(machine)?;
        }
        for step in 0..self.faults.steps {
            if self.plan.skips(step) {
                continue;
            }
            self.step = step;
            self.draw = Draw::new(self.plan.seed, step * 2 + 1);
            self.act(&mut Draw::new(self.plan.seed, step * 2))?;
        }
        self.step = self.faults.steps;
        self.draw = Draw::new(self.plan.seed, stream::SETTLE);
        self.settle()
    }

    /// Makes everything happen that is due up to a time.
    pub(crate) fn run_until(&mut self, until: u64) -> Result<(), Violation> {
        loop {
            let alarms = self.machines.iter().enumerate();
            let alarm = alarms.filter_map(|(n, m)| Some((m.wake_at?.max(m.stopped_until), n))).min();
            let due = self.queue.next_at().unwrap_or(u64::MAX);
            let at = alarm.map_or(due, |(at, _)| at.min(due));
            if at > until {
                break;
            }
            self.now = self.now.max(at);
            match alarm {
                Some((at, machine)) if at < due => self.tick(machine)?,
                _ => self.happen()?,
            }
            if self.counters.events > MOST_INPUTS {
                return broken("I9", "the engines keep each other busy for ever");
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn tick(&mut self, machine: usize) -> Result<(), Violation> {
        self.input(machine, Input::Tick)?;
        // An alarm that is due again at once rings a millisecond later; the limit on inputs ends it.
        let now = self.now;
        if let Some(at) = &mut self.machines[machine].wake_at
            && *at <= now
        {
            *at = now + 1000;
        }
        Ok(())
    }

    fn happen(&mut self) -> Result<(), Violation> {
        match self.queue.pop() {
            None => Ok(()),
            Some(Due::Arrive { stream, side }) => self.arrive(stream, side),
            Some(Due::Gossip { to, from, message, flip }) => self.hear(to, from, message, flip),
            Some(Due::Durable { machine, life }) if self.lives(machine, life) => self.commit(machine),
            Some(Due::Report { machine, life, good }) if self.lives(machine, life) => {
                self.report(machine, good)
            }
            Some(Due::Restart { machine, life }) => {
                let machine_now = &self.machines[machine];
                if machine_now.life == life && !machine_now.is_up() { self.open(machine) } else { Ok(()) }
            }
            Some(_) => Ok(()),
        }
    }

    fn lives(&self, machine: usize, life: u64) -> bool {
        let machine = &self.machines[machine];
        machine.is_up() && machine.life == life
    }

    fn arrive(&mut self, stream: usize, side: usize) -> Result<(), Violation> {
        let machine = self.network.machine_at(stream, side);
        let stopped_until = self.machines[machine].stopped_until;
        if stopped_until > self.now {
            self.queue.push(stopped_until, Due::Arrive { stream, side });
            return Ok(());
        }
        let Arrival::Item(machine, session, item) = self.network.arrive(stream, side) else { return Ok(()) };
        match item {
            Item::Connected(role) => {
                self.counters.saw(Sometimes::Session);
                self.input(machine, Input::Connected { session, role })
            }
            Item::Frame(frame) => {
                let cut = kind_of(&frame).filter(|kind| self.cut_after == Some(*kind));
                self.input(machine, Input::Received { session, frame })?;
                if cut.is_some() && !self.settling {
                    self.cut_after = None;
                    self.cut(stream);
                }
                Ok(())
            }
            Item::Damaged(frame) => {
                self.counters.saw(Sometimes::FrameDamaged);
                self.trace.note(self.now, machine, b"damage", format_args!("the next frame is damaged"));
                self.input(machine, Input::Received { session, frame })?;
                // A transport that lets damage through seldom lasts.
                if self.draw.chance(500) {
                    self.cut(stream);
                }
                Ok(())
            }
            Item::Closed => {
                self.note_cut(machine, self.network.last_kind(session));
                self.input(machine, Input::Disconnected { session })
            }
        }
    }

    /// Cuts a stream.
    pub(crate) fn cut(&mut self, stream: usize) {
        let [a, b] = [0, 1].map(|side| self.network.machine_at(stream, side));
        self.trace.note(self.now, a, b"cut", format_args!("stream {stream} to {b} is cut"));
        self.counters.saw(Sometimes::StreamCut);
        self.network.cut(stream, self.now, &mut self.draw, &mut self.queue);
    }

    /// Counts a bulk that lost its stream.
    pub(crate) fn note_cut(&mut self, machine: usize, kind: Option<u8>) {
        if self.machines[machine].in_bulk()
            && let Some(kind) = kind
        {
            self.counters.cut_bulk(kind);
        }
    }

    fn hear(&mut self, to: usize, from: usize, message: usize, flip: Option<u64>) -> Result<(), Violation> {
        let machine = &self.machines[to];
        if !machine.is_up() || self.network.is_blocked(from, to) {
            return Ok(());
        }
        if machine.stopped_until > self.now {
            self.queue.push(machine.stopped_until, Due::Gossip { to, from, message, flip });
            return Ok(());
        }
        let mut frame = self.network.messages[message].bytes.to_vec();
        if let Some(flip) = flip {
            self.counters.saw(Sometimes::GossipDamaged);
            self.trace.note(self.now, to, b"damage", format_args!("the next message is damaged"));
            flip_bit(&mut frame, flip);
        }
        self.gossiped += 1;
        let id = GossipId(self.gossiped);
        self.judging.insert(id.0, Judging { machine: to, message, damaged: flip.is_some() });
        self.input(to, Input::Gossiped { id, frame })
    }

    /// Publishes a message to everybody who can be reached.
    pub(crate) fn publish(&mut self, from: usize, frame: Vec<u8>) {
        let message = self.network.messages.len();
        self.network.messages.push(crate::network::Message { bytes: frame.into(), had: 1 << from });
        self.spread(from, message);
    }

    /// Sends a message on to everybody who has not got it yet.
    pub(crate) fn spread(&mut self, from: usize, message: usize) {
        for to in 0..self.machines.len() {
            let had = &mut self.network.messages[message].had;
            if *had >> to & 1 == 1 || self.network.is_blocked(from, to) {
                continue;
            }
            self.network.messages[message].had |= 1 << to;
            if self.draw.chance(self.faults.gossip_loss) {
                self.counters.saw(Sometimes::GossipLost);
                continue;
            }
            self.whisper(from, to, message);
            if self.draw.chance(self.faults.gossip_double) {
                self.counters.saw(Sometimes::GossipDoubled);
                self.whisper(from, to, message);
            }
        }
    }

    fn whisper(&mut self, from: usize, to: usize, message: usize) {
        let mut at = self.now + self.network.latency.draw(&mut self.draw);
        if self.draw.chance(self.faults.gossip_late) {
            self.counters.saw(Sometimes::GossipLate);
            at += self.draw.magnitude(1000, self.faults.pause_us * self.faults.steps);
        }
        let damaged = self.draw.chance(self.faults.gossip_damage);
        let flip = damaged.then(|| self.draw.number());
        self.queue.push(at, Due::Gossip { to, from, message, flip });
    }

    /// Opens a machine's store and checks that it holds what its disk holds.
    pub(crate) fn open(&mut self, number: usize) -> Result<(), Violation> {
        let seed = self.plan.seed;
        let machine = &mut self.machines[number];
        if let Err(error) = machine.open(seed) {
            return broken("open", format!("machine {number}: {error}"));
        }
        let disk = machine.disk.vector();
        self.oracle.ledger.opened(number, &disk);
        self.trace.note(self.now, number, b"open", format_args!("opens, life {}", machine.life));
        if machine.doom == Some(Doom::AtOpen) {
            machine.doom = None;
            self.counters.saw(Sometimes::CrashInRecovery);
            self.crash(number);
            self.restart_later(number);
            return Ok(());
        }
        self.keep_feed(number)?;
        self.opened(number)
    }

    /// Switches a machine off.
    pub(crate) fn crash(&mut self, number: usize) {
        self.trace.note(self.now, number, b"crash", format_args!("crashes"));
        let in_bulk = self.machines[number].in_bulk();
        let machine = &mut self.machines[number];
        match machine.disk.in_flight() {
            Some(commit) if commit.durable => self.counters.saw(Sometimes::CrashBeforeReport),
            Some(_) => self.counters.saw(Sometimes::CrashBeforeCommit),
            None => {}
        }
        if let Some(stats) = machine.crash() {
            self.counters.take(&stats);
        }
        let kinds = self.network.lose(number, self.now, &mut self.draw, &mut self.queue);
        for kind in kinds.into_iter().flatten().filter(|_| in_bulk) {
            self.counters.cut_bulk(kind);
        }
        self.judging.retain(|_, judging| judging.machine != number);
        self.withdraw(number);
    }

    /// Brings a machine that is down back after a while.
    pub(crate) fn restart_later(&mut self, machine: usize) {
        let at = self.now + self.draw.magnitude(1000, 3_000_000);
        let life = self.machines[machine].life;
        self.queue.push(at, Due::Restart { machine, life });
    }
}

/// Flips one bit, any bit.
pub(crate) fn flip_bit(bytes: &mut [u8], which: u64) {
    if !bytes.is_empty() {
        let bit = usize::try_from(which % (bytes.len() as u64 * 8)).unwrap_or(0);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}
