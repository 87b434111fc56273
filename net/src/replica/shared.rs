//! What the loop of a replica and its handles share, behind one mutex that nobody holds across a wait.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rejoin_core::engine::{Engine, Event, SessionId};
use rejoin_core::row::ReadRows;
use rejoin_core::store::StoreError;
use rejoin_core::{Dot, SpaceId};
use tokio::sync::{Notify, broadcast};

use super::waiting::Waiting;
use super::{News, Storage, Written, peers};
use crate::PeerId;
use crate::clock::Clock;

/// What calls that come too late are told. Nothing was changed.
pub const CLOSED: &str = "the node is closed";

/// Events that are remembered.
const EVENTS: usize = 256;

/// How others are told of what a replica is asked to do after it was closed.
pub(super) fn closed() -> StoreError {
    StoreError::Io(CLOSED.into())
}

/// Behind the mutex.
pub(super) struct State {
    /// `None` once closed.
    pub(super) engine: Option<Engine<Storage>>,
    /// Durable and no longer readable: nothing may be written over it.
    pub(super) broken: Option<StoreError>,
    /// The store was found damaged: the next opening has to check it.
    pub(super) suspect: bool,
    /// The last commit is being made: a write would come too late for it.
    pub(super) closing: bool,
    pub(super) waiting: Waiting,
    pub(super) peers: peers::Peers,
    /// Open streams.
    pub(super) sessions: BTreeMap<SessionId, PeerId>,
    /// Messages that came by gossip.
    pub(super) gossip_in: u64,
    /// What an operator may want to know, numbered; the newest of it.
    pub(super) events: VecDeque<(u64, Event)>,
}

impl State {
    /// The engine, or why there is none to ask.
    pub(super) fn engine(&self) -> Result<&Engine<Storage>, StoreError> {
        match &self.broken {
            Some(error) => Err(error.clone()),
            None => self.engine.as_ref().ok_or_else(closed),
        }
    }

    /// The engine, to change something.
    pub(super) fn engine_to_write(&mut self) -> Result<&mut Engine<Storage>, StoreError> {
        self.engine()?;
        if self.closing { Err(closed()) } else { self.engine.as_mut().ok_or_else(closed) }
    }

    /// What was just written, if anything was, for those who want to know whether it lasts.
    pub(super) fn written(&mut self, dot: Option<Dot>) -> Option<Written> {
        let state = self.engine.as_ref().and_then(|engine| engine.reader().state()).unwrap_or_default();
        dot.map(|dot| Written { dot, state, outcome: self.waiting.for_save(dot) })
    }

    /// Takes note of what the peers of all open streams have said by now that they hold. Asked for only by those who want
    /// to know: with many replicas it costs too much to do at every frame.
    pub(super) fn hear_all(&mut self) {
        let sessions = std::mem::take(&mut self.sessions);
        sessions.iter().for_each(|(session, peer)| self.hear(*session, *peer));
        self.sessions = sessions;
        self.settle_receipts();
    }

    /// Answers those who wait for others to hold what they wrote, as far as is known.
    pub(super) fn settle_receipts(&mut self) {
        let engine = self.engine.as_ref();
        self.waiting.settle_receipts(|dot| engine.map_or(dot, |engine| engine.current(dot)));
    }

    /// Answers those who wait to see what others have seen.
    pub(super) fn settle_readers(&mut self) {
        if let Some(engine) = &self.engine {
            self.waiting.settle_readers(|token| engine.has_seen(token));
        }
    }

    /// How many peers hold an own change.
    pub(super) fn holders(&self, dot: Dot) -> usize {
        self.waiting.holders(&self.engine.as_ref().map_or(dot, |engine| engine.current(dot)))
    }

    /// The same for one stream.
    pub(super) fn hear(&mut self, session: SessionId, peer: PeerId) {
        if let Some(held) = self.engine.as_ref().and_then(|engine| engine.held_by(session)) {
            self.waiting.on_held(peer, held);
        }
    }

    /// Remembers an event for those who listen later.
    pub(super) fn remember(&mut self, event: Event) {
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        let number = self.events.back().map_or(0, |(number, _)| number + 1);
        self.events.push_back((number, event));
    }

    /// Lets go of the engine. Whoever still waits for it hears that it was in vain.
    pub(super) fn end(&mut self) -> Option<Engine<Storage>> {
        let engine = self.engine.take();
        let error = self.broken.clone().unwrap_or_else(closed);
        self.waiting.end(&error);
        engine
    }
}

/// See the module page.
pub(super) struct Shared {
    pub(super) space: SpaceId,
    pub(super) clock: Clock,
    state: Mutex<State>,
    /// The thread that holds the mutex, so that it notices when it asks a second time.
    holder: AtomicU64,
    /// There is something to drain.
    pub(super) wake: Notify,
    pub(super) news: broadcast::Sender<News>,
}

/// The state, for as long as this lives.
pub(super) struct Held<'a> {
    state: MutexGuard<'a, State>,
    holder: &'a AtomicU64,
}

impl Shared {
    pub(super) fn new(space: SpaceId, state: State, news: broadcast::Sender<News>) -> Self {
        let (clock, state, wake) = (Clock::new(), Mutex::new(state), Notify::new());
        Self { space, clock, state, holder: AtomicU64::new(0), wake, news }
    }

    /// # Panics
    /// When the app's own code calls the space from inside a read or a transaction. Waiting would never end.
    pub(super) fn state(&self) -> Held<'_> {
        let me = thread();
        // Only this thread writes its own number, so it cannot be read too late.
        let inside = self.holder.load(Ordering::Relaxed) == me;
        assert!(!inside, "a read or a transaction may not call its space again: use what it was given");
        // A panic while it was held is a bug that was reported already; the engine's own checks guard the data.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.holder.store(me, Ordering::Relaxed);
        Held { state, holder: &self.holder }
    }

    pub(super) fn tell(&self, news: News) {
        // Nobody listening is no error.
        let _ = self.news.send(news);
    }
}

impl Deref for Held<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Before the mutex is released: fields are dropped after this.
        self.holder.store(0, Ordering::Relaxed);
    }
}

/// A number of this thread, never zero.
fn thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static OWN: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    OWN.with(|own| *own)
}
