//! One step of a schedule: something is done to the world, then a little time passes.
//!
//! All that a step decides is drawn from the step's own stream, so leaving out another step does not change it.

use rejoin_core::engine::WriteError;
use rejoin_core::row::DataError;

use crate::counters::Sometimes;
use crate::draw::Draw;
use crate::faults::Action;
use crate::machine::Doom;
use crate::network::STREAMS_PER_PAIR;
use crate::oracle::{Violation, broken};
use crate::workload::Act;
use crate::world::World;

impl World {
    /// Draws a step and does it.
    pub(crate) fn act(&mut self, draw: &mut Draw) -> Result<(), Violation> {
        let pause = draw.magnitude(1, self.faults.pause_us);
        let action = draw.weighted(&self.faults.weights).map_or(Action::Wait, |at| Action::ALL[at]);
        let up: Vec<usize> = (0..self.machines.len()).filter(|n| self.machines[*n].is_up()).collect();
        match action {
            Action::Connect => self.connect_any(draw, &up),
            Action::Cut => self.cut_any(draw),
            Action::Block => self.block_any(draw),
            Action::Heal => self.heal(),
            Action::Restart => self.restart_any(draw)?,
            Action::Restore => self.restore_any(draw)?,
            Action::Wait => {
                let longest = (self.faults.anti_entropy_ms * 4000).min(120_000_000);
                self.run_until(self.now + draw.magnitude(1000, longest))?;
            }
            action => {
                let busy = draw.chance(self.faults.busy).then(|| self.near_a_bulk());
                let among = busy.filter(|busy| !busy.is_empty()).unwrap_or(up);
                if let Some(machine) = draw.pick(&among) {
                    self.act_on(action, *machine, draw)?;
                }
            }
        }
        self.run_until(self.now + pause)
    }

    /// Machines that take a bulk in, and those that may be serving it.
    fn near_a_bulk(&self) -> Vec<usize> {
        let takes = |machine: usize| self.machines[machine].in_bulk();
        let ends = self.network.open_streams().filter(|(_, ends)| ends.iter().any(|end| takes(*end)));
        let mut near: Vec<usize> = ends.flat_map(|(_, ends)| ends).collect();
        near.sort_unstable();
        near.dedup();
        near.retain(|machine| self.machines[*machine].is_up());
        near
    }

    /// Actions on one machine that is up.
    fn act_on(&mut self, action: Action, number: usize, draw: &mut Draw) -> Result<(), Violation> {
        let machine = &mut self.machines[number];
        match action {
            Action::Write if machine.stopped_until <= self.now => self.write(number, draw)?,
            Action::Burst if machine.stopped_until <= self.now => {
                for _ in 0..draw.range(2, 8) {
                    self.write(number, draw)?;
                }
            }
            Action::Abandon => self.abandon(number, draw)?,
            Action::Crash => self.crash_somehow(number, draw),
            Action::Clone => self.clone_store(number, draw)?,
            Action::ClockJump => {
                machine.clock.jump(draw);
                self.counters.saw(Sometimes::ClockJump);
            }
            Action::ClockFreeze => {
                machine.clock.freeze(self.now);
                self.counters.saw(Sometimes::ClockFrozen);
            }
            Action::Sleep => {
                machine.clock.sleep(draw.magnitude(1000, 60 * 24 * 3600 * 1000));
                machine.set_alarm(self.now);
                self.counters.saw(Sometimes::Slept);
            }
            Action::Stall => {
                machine.stopped_until = self.now + draw.magnitude(1000, 5_000_000);
                self.counters.saw(Sometimes::Stalled);
            }
            Action::FailCommit => machine.fail_next = true,
            _ => {}
        }
        Ok(())
    }

    fn write(&mut self, number: usize, draw: &mut Draw) -> Result<(), Violation> {
        let acts = self.workload.draw(draw);
        self.transact(number, &acts)?;
        self.maybe_use_views(number)
    }

    fn transact(&mut self, number: usize, acts: &[Act]) -> Result<(), Violation> {
        // Once dots may mean two things only the engine's own rows say what a write is going to kill.
        let held = if self.oracle.exact { None } else { Some(self.machines[number].numbers()?) };
        let Self { machines, workload, now, .. } = self;
        let machine = &mut machines[number];
        let clocks = machine.now(*now);
        let written = machine.engine_mut().write(clocks, |tx| workload.run(tx, acts));
        let (done, dot) =
            written.or_else(|error| broken("write", format!("a write was refused: {error}")))?;
        self.counters.saw(Sometimes::Write);
        let say = format_args!("writes {dot:?}: {:?}", done.iter().map(|(key, _)| key).collect::<Vec<_>>());
        let seq = dot.map_or(0, |dot| dot.seq).to_le_bytes();
        self.trace.note(self.now, number, &seq, say);
        self.record(number, &done, dot, held)?;
        self.after(number)
    }

    /// A transaction that its app gives up must leave no trace.
    fn abandon(&mut self, number: usize, draw: &mut Draw) -> Result<(), Violation> {
        let acts = self.workload.draw(draw);
        let Self { machines, workload, now, .. } = self;
        let machine = &mut machines[number];
        let clocks = machine.now(*now);
        let given_up = machine.engine_mut().write(clocks, |tx| {
            workload.run(tx, &acts)?;
            Err::<(), WriteError>(DataError::CounterFull.into())
        });
        if given_up.is_ok() {
            return broken("write", "a transaction that failed was committed");
        }
        self.counters.saw(Sometimes::Abandoned);
        let before = self.machines[number].seen.clone();
        if self.machines[number].engine().version_vector() != before {
            return broken("write", "a transaction that failed changed the vector");
        }
        self.after(number)?;
        self.check_all(number)
    }

    fn connect_any(&mut self, draw: &mut Draw, up: &[usize]) {
        if up.len() < 2 {
            return;
        }
        let a = draw.index(up.len());
        let b = (a + 1 + draw.index(up.len() - 1)) % up.len();
        let (a, b) = (up[a], up[b]);
        let streams = self.network.between(a, b);
        // A second stream between a pair is rare: both dialled at once.
        let second = streams > 0 && (streams >= STREAMS_PER_PAIR || !draw.chance(100));
        if second || self.network.is_blocked(a, b) || self.network.is_blocked(b, a) {
            return;
        }
        if streams > 0 {
            self.counters.saw(Sometimes::TwoSessions);
        }
        self.connect(a, b);
    }

    pub(crate) fn connect(&mut self, a: usize, b: usize) {
        self.trace.note(self.now, a, b"connect", format_args!("dials {b}"));
        self.network.connect([a, b], self.now, &mut self.draw, &mut self.queue);
    }

    /// Cuts a stream now, or when the next message of some kind, mostly one of a bulk, arrives.
    fn cut_any(&mut self, draw: &mut Draw) {
        if draw.chance(400) {
            // From 8 on nearly all are messages of a bulk.
            let kind = if draw.chance(200) { draw.below(19) } else { draw.range(8, 17) };
            self.cut_after = u8::try_from(kind).ok();
            return;
        }
        let open: Vec<(usize, [usize; 2])> = self.network.open_streams().collect();
        if let Some((stream, _)) = draw.pick(&open) {
            self.cut(*stream);
        }
    }

    /// Blocks links: one direction, one machine, or half of them. Streams over them may be cut, or stall.
    fn block_any(&mut self, draw: &mut Draw) {
        self.counters.saw(Sometimes::Blocked);
        let machines = self.machines.len();
        let group: u64 = match draw.below(3) {
            0 => 1 << draw.index(machines),
            1 => draw.number(),
            _ => {
                let (from, to) = (draw.index(machines), draw.index(machines));
                self.network.block(from, to);
                return;
            }
        };
        let pairs = (0..machines).flat_map(|a| (0..machines).map(move |b| (a, b)));
        let across: Vec<_> = pairs.filter(|(a, b)| group >> a & 1 != group >> b & 1).collect();
        for (a, b) in &across {
            self.network.block(*a, *b);
        }
        if draw.chance(700) {
            let open: Vec<(usize, [usize; 2])> = self.network.open_streams().collect();
            for (stream, [a, b]) in open {
                if across.contains(&(a, b)) {
                    self.network.cut(stream, self.now, &mut self.draw, &mut self.queue);
                }
            }
        }
        self.trace.note(self.now, 0, b"block", format_args!("links are blocked: {across:?}"));
    }

    pub(crate) fn heal(&mut self) {
        self.trace.note(self.now, 0, b"heal", format_args!("links are open"));
        self.network.heal(self.now, &mut self.draw, &mut self.queue);
    }

    fn crash_somehow(&mut self, number: usize, draw: &mut Draw) {
        let machine = &mut self.machines[number];
        match draw.below(10) {
            0..3 => machine.doom = Some(Doom::BeforeDurable),
            3..6 => machine.doom = Some(Doom::BeforeReport),
            at_once => {
                machine.doom = (at_once == 6).then_some(Doom::AtOpen);
                self.crash(number);
                if draw.chance(800) {
                    self.restart_later(number);
                }
            }
        }
    }

    fn restart_any(&mut self, draw: &mut Draw) -> Result<(), Violation> {
        let down: Vec<usize> = (0..self.machines.len()).filter(|n| !self.machines[*n].is_up()).collect();
        match draw.pick(&down) {
            Some(machine) => self.open(*machine),
            None => Ok(()),
        }
    }

    /// A store goes back to an older image of itself.
    fn restore_any(&mut self, draw: &mut Draw) -> Result<(), Violation> {
        let number = draw.index(self.machines.len());
        let commits = self.machines[number].disk.commits() as u64;
        let (kind, recent) = (draw.below(20), draw.range(1, 4));
        let to = match kind {
            0 => 0,
            1..12 => commits.saturating_sub(recent),
            _ => draw.range(0, commits),
        };
        let noticed = !draw.chance(self.faults.unnoticed);
        if commits == 0 {
            return Ok(());
        }
        if self.machines[number].is_up() {
            self.crash(number);
        }
        self.machines[number].restore(usize::try_from(to).unwrap_or(0), noticed);
        let disk = self.machines[number].disk.vector();
        self.oracle.ledger.falls_back(number, &disk, true);
        let say = format_args!("goes back to commit {to} of {commits}, noticed: {noticed}");
        self.trace.note(self.now, number, b"restore", say);
        self.counters.saw(match (to, noticed) {
            (0, _) => Sometimes::StoreLost,
            (_, true) => Sometimes::RestoreNoticed,
            (_, false) => Sometimes::RestoreUnnoticed,
        });
        if noticed {
            self.machines[number].own_from = self.oracle.record.authors.len();
        }
        self.went_back();
        self.restart_later(number);
        Ok(())
    }

    /// A copy of a store comes up elsewhere, its key included.
    fn clone_store(&mut self, number: usize, draw: &mut Draw) -> Result<(), Violation> {
        let copy = self.machines.len();
        let noticed = !draw.chance(self.faults.unnoticed);
        if copy >= self.faults.replicas + self.faults.clones || self.machines[number].disk.commits() == 0 {
            return Ok(());
        }
        let mut machine = self.machines[number].clone_to(self.plan.seed, copy, &self.faults, noticed);
        machine.own_from = if noticed { self.oracle.record.authors.len() } else { 0 };
        #[cfg(feature = "planted")]
        machine.plant(self.plan.planted);
        let vector = machine.disk.vector();
        for (author, seq) in vector.iter() {
            let entry = &mut self.oracle.record.authors[author];
            entry.told = entry.told.max(seq);
        }
        let running = self.machines[number].is_up();
        self.oracle.ledger.copied(number, copy, running);
        self.oracle.ledger.falls_back(copy, &vector, true);
        self.machines.push(machine);
        // The copy may hold, and tell, a commit that was not reported here yet.
        self.machines[number].went_back = true;
        self.trace.note(self.now, number, b"clone", format_args!("is copied to {copy}, noticed: {noticed}"));
        self.counters.saw(Sometimes::Cloned);
        self.went_back();
        self.open(copy)
    }

    /// After a store went back: what no disk holds any more may be lost.
    fn went_back(&mut self) {
        self.oracle.forget_roots();
        let held: Vec<_> = self.machines.iter().map(|machine| machine.disk.vector()).collect();
        for (author, entry) in self.oracle.record.authors.iter_mut().enumerate() {
            let kept = held.iter().map(|vector| vector.seq(author)).max().unwrap_or(0);
            entry.saved = entry.saved.min(kept);
        }
    }
}
