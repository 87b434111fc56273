//! The engine: the pure state machine of one space on one device.
//!
//! It owns the state over a [`Store`], the open sessions and what arrived by gossip too early. See
//! [`crate::boundary`] for the contract with its host, and `examples/sans_io.rs` for two engines driven by hand.

mod causal;
mod expiring;
mod feed;
mod forks;
mod gossip;
mod index;
mod presence;
#[cfg(test)]
mod tests;
mod undo;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use crate::boundary::Role::Initiator;
pub use crate::boundary::{
    Config, Event, GossipId, Input, Now, Output, Push, Reason, Role, SessionId, Stats, Traffic, Verdict,
};
use crate::clock::VersionVector;
use crate::crdt::Counters;
use crate::id::{Dot, ReplicaId, Root, SpaceId};
use crate::identity::Identity;
use crate::limits::FRAME_BYTES;
pub use crate::planted::{Planted, Rule};
pub use crate::row::Undone;
use crate::row::{Entry, RowKey};
use crate::state::Space;
pub use crate::state::{Moment, OpenError, ReadError, Reader, Snapshot, Transaction, WriteError};
use crate::store::{Merged, Store, StoreError};
use crate::sync::{self, Context, End, Session, Take};
use expiring::Expiring;
pub use expiring::Swept;
use gossip::Early;
use presence::Presence;
pub use presence::Present;

/// Whether the first frame of a stream is about `space`. A host that holds several asks for each: the name of a space
/// travels only as a hash that a stranger cannot turn back.
pub fn greets(frame: &[u8], space: &SpaceId) -> bool {
    frame.len() <= FRAME_BYTES && sync::greets(frame, space)
}

/// One space on one device. See the module page.
pub struct Engine<S> {
    config: Config,
    space: Space<S>,
    sessions: BTreeMap<SessionId, Session>,
    /// The bulk sync being taken in: one at a time.
    take: Option<Take>,
    early: Early,
    out: VecDeque<Output>,
    /// The newest time that a call brought.
    now: Now,
    /// The log up to here was published by gossip.
    published: u64,
    /// A peer has said what it has of the own id, since this was opened.
    met: bool,
    expiring: Expiring,
    presence: Presence,
    /// The store failed: nothing more is written or said.
    failed: Option<StoreError>,
}

impl<S: Store> Engine<S> {
    /// Opens a store, empty or not. `seed` must be fresh random bytes: ids and nonces are drawn from it.
    pub fn open(
        config: Config,
        identity: Box<dyn Identity>,
        store: S,
        seed: [u8; 32],
    ) -> Result<Self, OpenError> {
        let space = Space::open(&config, identity, store, seed, &Counters)?;
        let published = space.durable.log.next;
        Ok(Self {
            config,
            space,
            sessions: BTreeMap::new(),
            take: None,
            early: Early::default(),
            out: VecDeque::new(),
            now: Now { mono_ms: 0, wall_ms: 0 },
            published,
            met: false,
            expiring: Expiring::default(),
            presence: Presence::default(),
            failed: None,
        })
    }

    /// Runs a transaction: applied to memory when this returns, durable with a later [`Event::Saved`]. Returns its last
    /// dot, or `None` when it changed nothing. On an error nothing was changed.
    pub fn write<T, E: From<WriteError>>(
        &mut self,
        now: Now,
        write: impl FnOnce(&mut Transaction<'_, S>) -> Result<T, E>,
    ) -> Result<(T, Option<Dot>), E> {
        self.tell_time(now);
        if let Some(error) = &self.failed {
            return Err(WriteError::Store(error.clone()).into());
        }
        self.space.transact(now, write)
    }

    /// Takes in what happened. Total: whatever a peer sent, there is no error here.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.tell_time(now);
        if self.failed.is_some() {
            return;
        }
        match input {
            Input::Connected { session, role } => {
                let previous = self.sessions.insert(session, Session::new(role));
                assert!(previous.is_none(), "the host numbers each session once");
                self.greet_presence();
                if role == Initiator {
                    self.with_session(session, |session, cx| session.say_hello(cx));
                }
            }
            Input::Received { session, frame } => {
                self.with_session(session, |session, cx| session.receive(cx, &frame));
                self.retry_early();
            }
            Input::Disconnected { session } => self.forget(session),
            Input::Gossiped { id, frame } => {
                let verdict = self.gossiped(&frame);
                self.out.push_back(Output::Judged { id, verdict });
            }
            Input::Persisted { commit, result } => self.persisted(commit, result),
            Input::Tick => self.tick(),
        }
    }

    const fn tell_time(&mut self, now: Now) {
        self.now = now;
        self.space.wall_ms = now.wall_ms;
    }

    /// The next thing to do for the host; drain it to `None` after every mutation.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.out.is_empty() && self.failed.is_none() {
            self.settle();
        }
        self.out.pop_front()
    }

    /// When to `Tick`, in milliseconds of the monotonic clock; `None` while nothing is due.
    pub fn poll_timeout(&self) -> Option<u64> {
        // While a commit is on its way a hello waits for it.
        let hello = self.sessions.values().filter(|_| self.space.is_idle()).filter_map(Session::due).min();
        let take = self.take.as_ref().and_then(Take::deadline);
        hello
            .into_iter()
            .chain(take)
            .chain(self.expires_at())
            .chain(self.presence_due())
            .min()
            .filter(|_| self.failed.is_none())
    }

    /// Reads the state in memory, as of the time that the last call brought.
    pub fn reader(&self) -> Reader<'_, S> {
        self.reader_at(self.now)
    }

    /// Reads the state in memory, without what has [expired](crate::row::expiry()) by then.
    pub const fn reader_at(&self, now: Now) -> Reader<'_, S> {
        Reader { overlay: &self.space.overlay, wall_ms: now.wall_ms }
    }

    /// The state in memory at this moment, to be read while everything else goes on. Costs a handle on the store and a
    /// copy of what is not durable yet.
    pub fn snapshot(&self, now: Now) -> Snapshot<S>
    where
        S: Clone,
    {
        self.space.snapshot(now.wall_ms)
    }

    /// The durable state at this moment, for an [image](crate::image) or to be checked. Costs a handle on the store, and the
    /// root.
    pub fn moment(&mut self) -> Result<Moment<S>, StoreError>
    where
        S: Clone,
    {
        self.space.moment(self.config.leaf_dots)
    }

    /// Visits every live row in memory, in key order. Those that have expired are among them: they are part of the root.
    pub fn visit_rows(&self, visit: &mut dyn FnMut(&RowKey, &[Entry])) -> Result<(), StoreError> {
        self.space.overlay.scan_rows(&[], &[], &mut |key, entries| {
            visit(key, entries);
            core::ops::ControlFlow::Continue(())
        })
    }

    /// What memory has seen.
    pub fn version_vector(&self) -> VersionVector {
        self.space.heads.vector()
    }

    /// What is durable.
    pub fn durable_version_vector(&self) -> VersionVector {
        self.space.durable.heads.vector()
    }

    /// The root of the durable state.
    pub fn root(&mut self) -> Result<Root, StoreError> {
        self.space.durable_root()
    }

    /// The id that this store writes under, if it has one.
    pub fn replica(&self) -> Option<ReplicaId> {
        self.space.replica()
    }

    /// Dots of entries that an unfinished bulk sync has fetched; invisible to reads.
    pub fn staged(&self) -> Result<Vec<Dot>, StoreError> {
        self.space.staged(&|_| true, usize::MAX)
    }

    /// What a session has carried; `None` when it is not open.
    pub fn traffic(&self, session: SessionId) -> Option<Traffic> {
        self.sessions.get(&session).map(Session::traffic)
    }

    /// What the peer of a session is known to hold durably, as it said itself. Grows while the session is open.
    pub fn held_by(&self, session: SessionId) -> Option<&VersionVector> {
        self.sessions.get(&session).map(Session::held)
    }

    /// Whether a dot is durable here, under its old name or the one that it has now.
    pub fn is_durable(&self, dot: &Dot) -> bool {
        let durable = &self.space.durable.heads;
        durable.contains(dot) || durable.contains(&self.current(*dot))
    }

    /// Whether a commit is on its way to the disk. One that carries a bulk may take minutes.
    pub const fn is_saving(&self) -> bool {
        !self.space.is_idle()
    }

    /// The number of the commit with which all that is in memory now will be durable; `None` when it is.
    pub fn settles_at(&self) -> Option<u64> {
        let commit = self.space.settles_at();
        (commit > self.space.durable.generation).then_some(commit)
    }

    /// Recomputes everything that the store says about itself; the first contradiction, in words. Reads it whole.
    pub fn check(&self) -> Result<(), String> {
        self.space.check()
    }

    /// What it has done since it was opened.
    pub const fn stats(&self) -> &Stats {
        &self.space.stats
    }

    /// The store, for the host to let it show a commit.
    pub fn store_mut(&mut self) -> &mut S {
        self.space.overlay.store_mut()
    }

    /// Ends the engine and gives the store back.
    pub fn into_store(self) -> S {
        self.space.overlay.into_store()
    }

    /// Runs one session on this engine's state, and ends it if it must.
    fn with_session(
        &mut self,
        id: SessionId,
        run: impl FnOnce(&mut Session, &mut Context<'_, S>) -> Result<(), End>,
    ) {
        let push = self.pushes_on_streams(self.sessions.len());
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let mut hello_others = None;
        let mut context = Context {
            id,
            now: self.now,
            config: &self.config,
            space: &mut self.space,
            out: &mut self.out,
            take: &mut self.take,
            push,
            hello_others: &mut hello_others,
            sent: false,
        };
        let result = run(session, &mut context);
        session.on_run(context.sent);
        self.met |= session.knows_peer();
        match result {
            Ok(()) => {}
            Err(End::Peer(reason)) => {
                self.out.push_back(Output::Disconnect { session: id, reason });
                self.forget(id);
            }
            Err(End::Store(error)) => self.fail(error),
        }
        if let Some(after) = hello_others {
            let others = self.sessions.iter_mut().filter(|(other, _)| **other != id);
            others.for_each(|(_, session)| session.hello_soon(self.now, after));
        }
    }

    const fn pushes_on_streams(&self, sessions: usize) -> bool {
        match self.config.push {
            Push::Streams => true,
            Push::Auto(most) => sessions <= most,
            Push::Gossip | Push::Off => false,
        }
    }

    fn forget(&mut self, id: SessionId) {
        self.sessions.remove(&id);
        if self.take.as_ref().is_some_and(|take| take.session == id) {
            self.take = None;
            self.space.stats.bulk_aborted += 1;
            // Others may have offered while this one was under way.
            self.sessions.values_mut().for_each(|session| session.hello_soon(self.now, 0));
        }
    }

    fn persisted(&mut self, commit: u64, result: Result<Merged, StoreError>) {
        match result {
            Ok(merged) => {
                match self.space.persisted(commit, merged) {
                    // A bulk that changed nothing is no news: what still differs waits for the next anti-entropy.
                    Ok(false) => {}
                    Ok(true) => {
                        self.sessions.values_mut().for_each(|session| session.hello_soon(self.now, commit));
                    }
                    Err(error) => self.fail(error),
                }
                self.retry_early();
                if core::mem::take(&mut self.space.dropped_meanwhile) {
                    self.sessions.values_mut().for_each(|session| session.say_dropped(self.now));
                }
                return;
            }
            Err(error) => {
                if let Err(error) = self.space.revert(error) {
                    return self.fail(error);
                }
            }
        }
        self.early.clear();
        if let Some(take) = self.take.take() {
            self.space.stats.bulk_aborted += 1;
            self.with_session(take.session, |session, cx| {
                session.give_up_bulk(cx);
                Ok(())
            });
        }
        for session in self.sessions.values_mut() {
            session.on_commit_failed(self.now);
        }
    }

    fn tick(&mut self) {
        let now = self.now.mono_ms;
        if let Some(take) = self.take.as_ref().filter(|take| take.deadline().is_some_and(|at| at <= now)) {
            let id = take.session;
            self.with_session(id, |session, cx| {
                session.give_up_bulk(cx);
                Ok(())
            });
        }
    }

    /// Lets everything go on that can: sessions, then the next commit, then gossip.
    fn settle(&mut self) {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        if self.space.take_renamed() {
            self.early.clear();
            for id in &ids {
                self.with_session(*id, |session, cx| {
                    session.start_over(cx);
                    Ok(())
                });
            }
        }
        for id in ids {
            self.with_session(id, Session::advance);
        }
        if let Err(error) = self.publish().and_then(|()| self.heed_expiry()) {
            self.fail(error);
        }
        self.heed_presence();
        if self.failed.is_none() {
            match self.space.take_commit() {
                Ok(Some(commit)) => {
                    self.sessions.values_mut().for_each(Session::on_commit_taken);
                    self.out.push_back(Output::Persist(commit));
                }
                Ok(None) => {}
                Err(error) => self.fail(error),
            }
        }
        let events = core::mem::take(&mut self.space.events);
        self.out.extend(events.into_iter().map(Output::Event));
    }

    /// The store cannot be read: says so once and stops.
    fn fail(&mut self, error: StoreError) {
        if self.failed.is_some() {
            return;
        }
        for session in core::mem::take(&mut self.sessions).into_keys() {
            self.out.push_back(Output::Disconnect { session, reason: Reason::StoreFailed });
        }
        self.take = None;
        self.out.push_back(Output::Event(Event::StoreFailed { error: error.clone() }));
        self.failed = Some(error);
    }
}
