//! What a host does for its engine: gives it inputs, carries out its outputs, keeps its disk. And after every input, the
//! checks.

use rejoin_core::Dot;
use rejoin_core::engine::{Event, Input, Output, Reason, SessionId, Verdict};
use rejoin_core::limits::{FRAME_BYTES, GOSSIP_BYTES};
use rejoin_core::store::StoreError;

use crate::counters::Sometimes;
use crate::machine::Doom;
use crate::network::Item;
use crate::oracle::{Violation, broken};
use crate::queue::Due;
use crate::world::{World, flip_bit};

/// The first byte of the frame that ends a bulk.
const BULK_END: u8 = 11;

impl World {
    /// Gives an engine an input, carries out what it wants, and checks what it shows.
    pub(crate) fn input(&mut self, number: usize, input: Input) -> Result<(), Violation> {
        self.note_input(number, &input);
        if let Input::Received { session, frame } = &input {
            let machine = &mut self.machines[number];
            // A hello, or a root in answer to one.
            machine.heard |= matches!(kind_of(frame), Some(0 | 1));
            if kind_of(frame) == Some(BULK_END) {
                machine.bulk_ended = Some(*session);
            }
        }
        self.machines[number].handle(self.now, input);
        let (bulk, gossip) = self.machines[number].took_bulk();
        if bulk {
            self.note_kept(number)?;
            // Gossip that waited for the bulk comes in right after it, and may bring what is staged for another one.
            if !gossip {
                self.check_stage(number)?;
            }
        }
        self.after(number)
    }

    /// After every call of an engine.
    pub(crate) fn after(&mut self, number: usize) -> Result<(), Violation> {
        self.counters.events += 1;
        self.look_at(number)?;
        self.carry_out(number)?;
        self.look_at(number)?;
        self.machines[number].set_alarm(self.now);
        Ok(())
    }

    /// Drains the outputs.
    pub(crate) fn carry_out(&mut self, number: usize) -> Result<(), Violation> {
        while let Some(output) = self.machines[number].poll() {
            self.note_output(number, &output);
            match output {
                Output::Persist(commit) => {
                    // Draining lets waiting deltas in: what is committed may be more than the input brought.
                    self.look_at(number)?;
                    // What a bulk tells is vouched for by its stream alone, which keeps damage out. A damaged question is
                    // enough: what was not asked about is not answered.
                    let ended = self.machines[number].bulk_ended.filter(|_| commit.merge.is_some());
                    if ended.is_some_and(|session| self.network.is_broken(session)) {
                        self.hostile = true;
                        self.oracle.exact = false;
                    }
                    let vector = match &commit.merge {
                        Some(merge) => self.plain(number, &merge.vector())?,
                        None => self.machines[number].view.vector.clone(),
                    };
                    let machine = &mut self.machines[number];
                    if !machine.disk.start(commit, vector) {
                        return broken("contract", "a commit while one is in flight");
                    }
                    let at = self.now + self.draw.range(1, self.faults.disk_us);
                    self.queue.push(at, Due::Durable { machine: number, life: machine.life });
                }
                Output::Send { session, frame } => {
                    if frame.len() > FRAME_BYTES {
                        return broken("contract", "a frame that is too large");
                    }
                    self.tell(number);
                    // Deltas, and what bulks bring.
                    if matches!(kind_of(&frame), Some(3 | 8..=10)) {
                        self.tell_own(number);
                    }
                    let item = self.maybe_damage(frame);
                    let Self { network, draw, queue, now, .. } = self;
                    if !network.send(session, item, *now, draw, queue) {
                        return broken("contract", format!("a frame on {session:?}, which is closed"));
                    }
                }
                Output::Publish { frame } => {
                    if frame.len() > GOSSIP_BYTES {
                        return broken("contract", "a message that is too large for gossip");
                    }
                    if !self.machines[number].heard {
                        return broken("told", "own deltas leave before any peer said what it has of the id");
                    }
                    self.tell(number);
                    self.tell_own(number);
                    self.publish(number, frame);
                }
                Output::Judged { id, verdict } => self.judge(number, id.0, verdict)?,
                Output::Disconnect { session, reason } => {
                    self.check_reason(session, reason)?;
                    self.note_cut(number, self.network.last_kind(session));
                    let Self { network, draw, queue, now, .. } = self;
                    if !network.close(session, *now, draw, queue) {
                        return broken("contract", format!("{session:?} is closed twice"));
                    }
                }
                Output::Event(event) => self.heed(number, event)?,
            }
        }
        self.machines[number].own = self.machines[number].engine().replica();
        if self.hostile { Ok(()) } else { self.oracle.ledger.check_owed(number) }
    }

    /// Own deltas leave, or may. What left before the id was given up in the same pass left under that id.
    fn tell_own(&mut self, number: usize) {
        let machine = &self.machines[number];
        let durable = machine.engine().durable_version_vector();
        for own in [machine.own, machine.engine().replica()].into_iter().flatten() {
            if let Some(author) = self.oracle.record.author(&own) {
                self.oracle.ledger.tell(number, author, durable.seq(&own));
            }
        }
    }

    /// What merges lost is in a table of forks, unless the app forgets it.
    pub(crate) fn note_kept(&mut self, number: usize) -> Result<(), Violation> {
        if !self.oracle.exact {
            let kept = self.machines[number].forks()?;
            self.oracle.ledger.kept.extend(kept);
        }
        Ok(())
    }

    fn maybe_damage(&mut self, mut frame: Vec<u8>) -> Item {
        let chunk = if kind_of(&frame) == Some(8) { self.faults.chunk_damage } else { 0 };
        if self.draw.chance(self.faults.frame_damage + chunk) {
            flip_bit(&mut frame, self.draw.number());
            return Item::Damaged(frame);
        }
        Item::Frame(frame)
    }

    /// Somebody else may know now what is durable here.
    fn tell(&mut self, number: usize) {
        self.sent += 1;
        let vector = self.machines[number].disk.vector();
        let authors = self.oracle.record.authors.iter_mut().enumerate();
        for (author, entry) in authors.filter(|(_, entry)| entry.owner == number) {
            entry.told = entry.told.max(vector.seq(author));
        }
    }

    fn judge(&mut self, number: usize, id: u64, verdict: Verdict) -> Result<(), Violation> {
        let Some(judging) = self.judging.remove(&id).filter(|judging| judging.machine == number) else {
            return broken("contract", "a verdict on a message that was not given");
        };
        match verdict {
            Verdict::Relay if judging.damaged => broken("damage", "a damaged message is passed on"),
            Verdict::Reject if !judging.damaged && self.is_honest() => {
                broken("blame", "an honest message is rejected")
            }
            Verdict::Relay => {
                self.spread(number, judging.message);
                Ok(())
            }
            Verdict::Ignore | Verdict::Reject => Ok(()),
        }
    }

    /// Nobody lied, knowingly or not, and the network damaged nothing.
    fn is_honest(&self) -> bool {
        self.oracle.exact && !self.hostile
    }

    /// Only a stream that carried something damaged may be closed from this side. A replica that another history was
    /// written under its id is no liar.
    fn check_reason(&self, session: SessionId, reason: Reason) -> Result<(), Violation> {
        if self.network.is_broken(session) || self.hostile {
            return Ok(());
        }
        broken("blame", format!("an honest stream is closed as {reason:?}"))
    }

    fn heed(&mut self, number: usize, event: Event) -> Result<(), Violation> {
        let honest = self.is_honest();
        match event {
            Event::Saved { dot } => return self.saved(number, dot),
            Event::Fork { replica } if honest => return broken("fork", format!("{replica:?} never forked")),
            Event::Fork { .. } => {
                self.counters.saw(Sometimes::Fork);
                self.oracle.fork_seen = true;
            }
            Event::NewIncarnation { old } => {
                if honest && !self.machines[number].went_back {
                    return broken("H6", format!("{old:?} is given up for no reason"));
                }
                self.counters.saw(Sometimes::NewIncarnation);
                let author = self.oracle.record.enter(old, number);
                self.oracle.ledger.gave_up(number, author);
            }
            Event::Renamed { old, .. } if honest => {
                return broken("H6", format!("what follows {old:?} is renamed for no reason"));
            }
            Event::Renamed { old, new } => {
                self.counters.saw(Sometimes::Renamed);
                let record = &mut self.oracle.record;
                let [from, to] = [old.replica, new].map(|id| record.enter(id, number));
                self.oracle.ledger.renamed(number, from, old.seq, to);
            }
            Event::Diverged { .. } if honest => return broken("I6", "equal vectors, different roots"),
            Event::ClockSuspect { .. } => {
                if !self.faults.wrong_clocks && honest {
                    return broken("clock", "an honest clock is suspected");
                }
                self.counters.saw(Sometimes::ClockSuspect);
            }
            Event::StoreFailed { error } => return broken("store", format!("a sound store failed: {error}")),
            Event::Changed { rows, .. } => {
                if !rows.windows(2).all(|pair| pair[0] < pair[1]) {
                    return broken("contract", "changed rows are not sorted and unique");
                }
            }
            Event::Lost { .. } | Event::InSync { .. } | Event::Diverged { .. } | Event::Presence => {}
        }
        Ok(())
    }

    /// The engine says that own transactions are safe.
    fn saved(&mut self, number: usize, dot: Dot) -> Result<(), Violation> {
        let Some(author) = self.oracle.record.author(&dot.replica) else {
            return if self.is_honest() { broken("saved", "a replica that never wrote") } else { Ok(()) };
        };
        if self.machines[number].disk.vector().seq(author) < dot.seq && self.is_honest() {
            return broken("saved", format!("{dot:?} is not on the disk"));
        }
        let entry = &mut self.oracle.record.authors[author];
        entry.saved = entry.saved.max(dot.seq);
        Ok(())
    }

    /// The commit in flight becomes durable, unless something happens just then.
    pub(crate) fn commit(&mut self, number: usize) -> Result<(), Violation> {
        let machine = &mut self.machines[number];
        if machine.doom == Some(Doom::BeforeDurable) {
            machine.doom = None;
            self.crash(number);
            self.restart_later(number);
            return Ok(());
        }
        let failing = core::mem::take(&mut machine.fail_next) && !self.settling;
        let good = !(failing || self.draw.chance(self.faults.commit_failure));
        let life = machine.life;
        if good {
            machine.disk.make_durable();
            self.made_durable(number);
            let machine = &mut self.machines[number];
            if machine.doom == Some(Doom::BeforeReport) {
                machine.doom = None;
                self.crash(number);
                self.restart_later(number);
                return Ok(());
            }
        }
        let at = self.now + self.draw.range(0, self.faults.disk_us);
        self.queue.push(at, Due::Report { machine: number, life, good });
        Ok(())
    }

    /// Tells the engine what became of its commit.
    pub(crate) fn report(&mut self, number: usize, good: bool) -> Result<(), Violation> {
        let machine = &mut self.machines[number];
        if machine.stopped_until > self.now {
            let (at, life) = (machine.stopped_until, machine.life);
            self.queue.push(at, Due::Report { machine: number, life, good });
            return Ok(());
        }
        let Some(in_flight) = machine.disk.finish() else { return Ok(()) };
        let commit = in_flight.commit.id;
        if good {
            let result = machine.engine_mut().store_mut().apply(&in_flight.commit);
            if let Err(error) = &result {
                return broken("store", format!("a commit failed in a sound store: {error}"));
            }
            self.input(number, Input::Persisted { commit, result })?;
            return self.persisted(number, &in_flight.vector);
        }
        self.counters.saw(Sometimes::CommitFailed);
        self.withdraw(number);
        let result = Err(StoreError::Full("no room".into()));
        let input = Input::Persisted { commit, result };
        self.note_input(number, &input);
        self.counters.events += 1;
        self.machines[number].handle(self.now, input);
        self.opened(number)
    }

    fn note_input(&mut self, number: usize, input: &Input) {
        let (kind, bytes): (u8, &[u8]) = match input {
            Input::Connected { .. } => (0, &[]),
            Input::Received { frame, .. } => (1, frame),
            Input::Disconnected { .. } => (2, &[]),
            Input::Gossiped { frame, .. } => (3, frame),
            Input::Persisted { .. } => (4, &[]),
            Input::Tick => (5, &[]),
        };
        self.trace.note(self.now, number, &[kind], format_args!("<- {}", Shown(input, bytes)));
        self.trace.add(bytes);
    }

    fn note_output(&mut self, number: usize, output: &Output) {
        let (kind, bytes): (u8, &[u8]) = match output {
            Output::Persist(_) => (10, &[]),
            Output::Send { frame, .. } => (11, frame),
            Output::Publish { frame } => (12, frame),
            Output::Judged { verdict, .. } => (13 + *verdict as u8, &[]),
            Output::Disconnect { .. } => (16, &[]),
            Output::Event(_) => (17, &[]),
        };
        self.trace.note(self.now, number, &[kind], format_args!("-> {}", Shown(output, bytes)));
        self.trace.add(bytes);
    }
}

/// Which message a frame is; the highest bit says only that it is deflated.
pub(crate) fn kind_of(frame: &[u8]) -> Option<u8> {
    frame.first().map(|first| first & 0x7f)
}

/// An input or output on one line: frames by their kind and length, the rest as it is.
struct Shown<'a, T>(&'a T, &'a [u8]);

impl<T: core::fmt::Debug> core::fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text = format!("{:?}", self.0);
        match (kind_of(self.1), text.find("frame: [")) {
            (Some(kind), Some(at)) => write!(f, "{}kind {kind}, {} bytes", &text[..at], self.1.len()),
            _ => f.write_str(text.split("changes: [").next().unwrap_or_default()),
        }
    }
}
