//! The loop of one replica: the only place that carries out what the engine asks for.
//!
//! One round: drain the engine, do what it says in that order, then wait for whatever comes first: a frame, a stream, a
//! commit that became durable, a write by the app, a change of who is connected, or the engine's own timer. The engine
//! is never held across a wait. Who is on the other end of which stream is in [`super::streams`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rejoin_core::engine::{Engine, Event, GossipId, Input, Output, SessionId, Verdict};
use rejoin_core::store::{Commit, Merged, StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::{debug, error, warn};

use super::contacts::Contacts;
use super::link::{Hub, Link, Room};
use super::peers::SyncReport;
use super::storage::Committer;
use super::{News, Shared, State, journal};
use crate::PeerId;
use crate::host::{Instant, JoinHandle, sleep_until, yield_now};
use crate::network::{Arrival, Heard, Hosted, MessageId, Network, PeersWatch, Stream};
use crate::wire::Patience;

/// Gossiped messages that wait for the engine's verdict; there are more only if the engine owes one for ever.
const UNJUDGED: usize = 1024;

/// How often expired rows are looked for, at most and at least: sixty times in the time that they are left alone.
const SWEEP_EVERY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Rounds of the loop that the report of a commit in memory waits for while other things are ready.
const PATIENCE: usize = 64;

/// What reaches the loop from outside.
pub(crate) enum Inbox {
    /// A stream that the loop asked for is open, or not.
    Opened { peer: PeerId, stream: Result<Stream, String>, report: Option<Report> },
    /// A frame came; it takes its place until it was handled.
    Frame { session: SessionId, frame: Vec<u8>, place: OwnedSemaphorePermit },
    /// A stream has ended, or its peer has stopped reading.
    Closed { session: SessionId },
    /// Sync with a connected peer on a stream of its own, and say what it took.
    Sync { peer: PeerId, report: Report },
    /// Write out what waits, and end.
    Close(oneshot::Sender<()>),
}

/// Where the outcome of a sync asked for by hand goes.
pub(crate) type Report = oneshot::Sender<Result<SyncReport, String>>;

/// A commit, and what became of it.
type Outcome = (Commit, Result<Merged, StoreError>);

/// A commit in flight.
enum Committing {
    /// On its way to the disk, which blocks a thread, or to whoever keeps the journal.
    Later(BoxFuture<'static, Outcome>),
    /// Done when it was asked for: there is no disk. What is ready by then comes before its report, so often at most: that
    /// is the group commit, without which a burst of messages costs a commit for each.
    Memory { outcome: Outcome, patience: usize },
}

pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    inbox: mpsc::Receiver<Inbox>,
    /// For the tasks of streams.
    pub(super) hub: Hub,
    committer: Committer,
    pub(super) network: Option<Network>,
    /// Streams and gossip come here for as long as this is held.
    hosted: Option<Hosted>,
    committing: Option<Committing>,
    pub(super) links: BTreeMap<SessionId, Link>,
    pub(super) reports: BTreeMap<SessionId, Report>,
    pub(super) contacts: Contacts,
    /// How many streams there were.
    pub(super) sessions: u64,
    unjudged: BTreeMap<GossipId, (MessageId, PeerId)>,
    gossiped: u64,
    /// Streams that still write their last frames.
    pub(super) closing: Vec<JoinHandle<()>>,
    /// When expired rows are looked for.
    sweep_at: Instant,
    sweep_every: Duration,
    /// Streams whose peers do not read, to be closed when everything else of this round is carried out.
    stuck: Vec<SessionId>,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        inbox: mpsc::Receiver<Inbox>,
        sender: mpsc::WeakSender<Inbox>,
        committer: Committer,
        network: Option<Network>,
        sweep_after: Duration,
    ) -> Self {
        let [least, most] = SWEEP_EVERY;
        let sweep_every = (sweep_after / 60).clamp(least, most);
        let patience = network.as_ref().map_or_else(Patience::default, Network::patience);
        let hosted = network.as_ref().map(|network| network.host(shared.space));
        Self {
            shared,
            inbox,
            hub: Hub { inbox: sender, room: Room::new(), patience },
            committer,
            network,
            hosted,
            committing: None,
            links: BTreeMap::new(),
            reports: BTreeMap::new(),
            contacts: Contacts::default(),
            sessions: 0,
            unjudged: BTreeMap::new(),
            gossiped: 0,
            closing: Vec::new(),
            sweep_at: Instant::now() + sweep_every,
            sweep_every,
            stuck: Vec::new(),
        }
    }

    /// The loop.
    pub(super) async fn run(mut self) {
        let mut peers = self.network.as_ref().map(Network::peers);
        self.on_peers(peers.as_mut());
        let done = loop {
            self.carry_out();
            if !self.settle_readers() {
                break None;
            }
            let due = self.due();
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(Inbox::Close(done)) => break Some(done),
                    Some(message) => self.take(message),
                    None => break None,
                },
                arrival = arrived(&mut self.hosted) => match arrival {
                    Arrival::Stream { peer, stream, first } => self.on_inbound(peer, stream, first),
                    Arrival::Gossip(heard) => self.on_gossip(heard),
                },
                outcome = committed(&mut self.committing) => self.on_committed(outcome),
                () = self.shared.wake.notified() => {}
                () = changed(&mut peers) => self.on_peers(peers.as_mut()),
                () = until(due) => self.on_time(),
            }
        };
        self.end().await;
        if let Some(done) = done {
            // Whoever asked may have given up waiting.
            let _ = done.send(());
        }
    }

    /// Writes out what waits, closes streams, and lets go of the store.
    async fn end(&mut self) {
        let now = self.shared.clock.now();
        if let Some(engine) = &mut self.shared.state().engine {
            // Others need not wait until its time is over.
            engine.set_presence(now, None, 0);
        }
        self.carry_out();
        self.hosted = None;
        // What is written from here on would have to be made durable too, and so on.
        self.shared.state().closing = true;
        self.carry_out();
        while self.committing.is_some() {
            let outcome = committed(&mut self.committing).await;
            self.on_committed(outcome);
            self.carry_out();
        }
        for link in std::mem::take(&mut self.links).into_values() {
            self.closing.push(link.close(self.hub.patience));
        }
        futures::future::join_all(std::mem::take(&mut self.closing)).await;
        let mut state = self.shared.state();
        let is_suspect = state.suspect || matches!(state.broken, Some(StoreError::Damaged(_)));
        let store = state.end().map(Engine::into_store);
        drop(state);
        match store {
            Some(store) if is_suspect => store.leave_open(),
            Some(store) => {
                if let Err(error) = store.close() {
                    warn!(%error, "the store was not closed cleanly; the next opening repairs it");
                }
            }
            None => {}
        }
        self.shared.tell(News::Closed);
    }

    /// Drains the engine, and does what it says.
    pub(super) fn carry_out(&mut self) {
        loop {
            let mut outputs = Vec::new();
            if let Some(engine) = &mut self.shared.state().engine {
                outputs.extend(std::iter::from_fn(|| engine.poll_output()));
            }
            if outputs.is_empty() && self.stuck.is_empty() {
                return;
            }
            outputs.into_iter().for_each(|output| self.carry_out_one(output));
            if let Some(session) = self.stuck.pop() {
                debug!(?session, "the peer does not read what it asked for");
                self.on_closed(session);
            }
        }
    }

    fn carry_out_one(&mut self, output: Output) {
        match output {
            Output::Persist(commit) => {
                assert!(self.committing.is_none(), "the engine has one commit in flight at most");
                self.committing = Some(self.commit(commit));
            }
            Output::Send { session, frame } => {
                if self.links.get_mut(&session).is_some_and(|link| !link.send(frame)) {
                    self.stuck.push(session);
                }
            }
            Output::Publish { frame } => {
                if let Some(network) = &self.network {
                    network.publish(self.shared.space, frame);
                }
            }
            Output::Judged { id, verdict } => {
                if let (Some(network), Some((message, from))) = (&self.network, self.unjudged.remove(&id)) {
                    network.judge(message, from, verdict);
                }
            }
            Output::Disconnect { session, reason } => {
                debug!(?session, ?reason, "closing a stream");
                self.drop_link(session, &format!("the stream was closed: {reason:?}"));
            }
            Output::Event(event) => self.on_event(event),
        }
    }

    /// Begins a commit. One that no disk has to be waited for is not worth a thread: each would cost the change that it
    /// makes two hops between threads here, and two more on the way back.
    fn commit(&self, commit: Commit) -> Committing {
        match self.committer.clone() {
            Committer::Memory => {
                Committing::Memory { outcome: (commit, Ok(Merged::default())), patience: PATIENCE }
            }
            Committer::Journal(journal) => {
                let listed = match &mut self.shared.state().engine {
                    Some(engine) => engine.store_mut().changes_of(&commit),
                    None => Err(super::shared::closed()),
                };
                let (changes, merged) = match listed {
                    Ok(listed) => listed,
                    Err(error) => return Committing::Memory { outcome: (commit, Err(error)), patience: 0 },
                };
                let kept = journal.append(journal::record(&changes));
                let commit = Commit { id: commit.id, changes, merge: None };
                Committing::Later(Box::pin(async move { (commit, kept.await.map(|()| merged)) }))
            }
            #[cfg(not(target_family = "wasm"))]
            committer => Committing::Later(Box::pin(on_thread(committer, commit))),
        }
    }

    fn on_event(&mut self, event: Event) {
        match &event {
            Event::Lost { error, .. } => warn!(%error, "changes were lost"),
            Event::InSync { session, root } => self.on_in_sync(*session, *root),
            Event::StoreFailed { error } => {
                warn!(%error, "the store failed");
                self.shared.state().broken = Some(error.clone());
            }
            // Who waits for it hears of it when the commit is reported.
            Event::Saved { .. } => return,
            Event::Changed { .. } | Event::Presence => {}
            other => debug!(?other, "event"),
        }
        self.shared.tell(match event {
            Event::Changed { rows, more } => News::Changed { rows: rows.into(), more },
            Event::InSync { .. } => News::Peers,
            Event::Presence => News::Presence,
            event => {
                self.shared.state().remember(event.clone());
                News::Event(event)
            }
        });
    }

    fn on_committed(&mut self, (commit, result): (Commit, Result<Merged, StoreError>)) {
        let mut state = self.shared.state();
        let State { engine, broken, waiting, .. } = &mut *state;
        let Some(engine) = engine else { return };
        let result = match result.map(|merged| engine.store_mut().show(&commit, merged)) {
            Ok(Ok(merged)) => Ok(merged),
            Ok(Err(error)) => {
                // It is durable and cannot be read: to go on would be to use its dots again.
                warn!(%error, "the store cannot be read any more");
                *broken = Some(error.clone());
                state.remember(Event::StoreFailed { error: error.clone() });
                drop(state);
                self.shared.tell(News::Event(Event::StoreFailed { error }));
                return;
            }
            Err(error) => Err(error),
        };
        let failed = result.as_ref().err().cloned();
        engine.handle(self.shared.clock.now(), Input::Persisted { commit: commit.id, result });
        // At once, and not with the engine's events: those come later, and not at all when the id was given up meanwhile.
        // What is written in between may be given the dots of what was lost.
        match failed {
            None => {
                waiting.on_saved(|dot| engine.is_durable(dot));
                waiting.on_commit(commit.id);
            }
            Some(error) => waiting.on_lost(|dot| engine.is_durable(dot), &error),
        }
    }

    fn take(&mut self, message: Inbox) {
        match message {
            Inbox::Opened { peer, stream, report } => self.on_opened(peer, stream, report),
            Inbox::Frame { session, frame, place } => {
                self.on_frame(session, frame);
                drop(place);
            }
            Inbox::Closed { session } => self.on_closed(session),
            Inbox::Sync { peer, report } => self.sync(peer, report),
            Inbox::Close(_) => unreachable!("ends the loop"),
        }
    }

    fn on_gossip(&mut self, Heard { message, from, data }: Heard) {
        if self.unjudged.len() >= UNJUDGED {
            if let Some(network) = &self.network {
                network.judge(message, from, Verdict::Ignore);
            }
            return;
        }
        self.gossiped += 1;
        let id = GossipId(self.gossiped);
        self.unjudged.insert(id, (message, from));
        self.shared.state().gossip_in += 1;
        self.input(Input::Gossiped { id, frame: data });
    }

    /// Answers those who wait for what may have arrived in this round; `false` when nothing can arrive any more.
    fn settle_readers(&self) -> bool {
        let mut state = self.shared.state();
        state.settle_readers();
        state.broken.is_none()
    }

    /// When the engine, or a stream to be opened, is due.
    fn due(&self) -> Option<Instant> {
        let timer = self.shared.state().engine.as_ref().and_then(|engine| engine.poll_timeout());
        let timer = timer.and_then(|at| self.shared.clock.at(at));
        timer.into_iter().chain(self.contacts.due()).chain([self.sweep_at]).min()
    }

    fn on_time(&mut self) {
        for peer in self.contacts.take_due() {
            self.open_stream(peer, None);
        }
        if self.sweep_at <= Instant::now() {
            self.sweep();
        }
        self.input(Input::Tick);
    }

    /// Removes some of what has expired long ago.
    fn sweep(&mut self) {
        let now = self.shared.clock.now();
        let swept = self.shared.state().engine.as_mut().map(|engine| engine.sweep(now));
        let more = match swept {
            Some(Ok(swept)) => swept.more,
            Some(Err(error)) => {
                warn!(%error, "expired rows cannot be removed");
                false
            }
            None => false,
        };
        self.sweep_at = Instant::now() + if more { SWEEP_EVERY[0] } else { self.sweep_every };
    }

    /// Tells the engine something. To be followed by [`Self::carry_out`] before the next.
    pub(super) fn input(&self, input: Input) {
        if let Some(engine) = &mut self.shared.state().engine {
            engine.handle(self.shared.clock.now(), input);
        }
    }
}

impl Drop for Driver {
    /// However the loop ends, nobody waits for it in vain. An engine that is still there means that it did not end by
    /// itself: there was a bug, or the runtime is going away.
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if state.engine.is_none() {
            return;
        }
        error!("the loop of a space ended before it was closed");
        let error = StoreError::Io("the loop of this space has failed: open the node again".into());
        state.broken.get_or_insert(error);
        let engine = state.end();
        drop(state);
        // Closing a file takes its time: not under the lock.
        drop(engine);
        self.shared.tell(News::Closed);
    }
}

/// Makes a commit durable on a thread that may block.
#[cfg(not(target_family = "wasm"))]
async fn on_thread(committer: Committer, commit: Commit) -> Outcome {
    let work = move || {
        let result = committer.commit(&commit);
        (commit, result)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going away, and this task with it.
        Err(_) => std::future::pending().await,
    }
}

/// What peers bring by themselves; nothing without a network.
async fn arrived(hosted: &mut Option<Hosted>) -> Arrival {
    match hosted {
        Some(hosted) => hosted.next().await,
        None => std::future::pending().await,
    }
}

/// The outcome of the commit in flight; waits for ever while there is none.
async fn committed(committing: &mut Option<Committing>) -> Outcome {
    match committing {
        Some(Committing::Later(outcome)) => {
            let outcome = outcome.await;
            *committing = None;
            outcome
        }
        Some(Committing::Memory { patience, .. }) => {
            // Begun anew in each round of the loop: given up when something else was ready.
            if let Some(less) = patience.checked_sub(1) {
                *patience = less;
                yield_now().await;
            }
            match committing.take() {
                Some(Committing::Memory { outcome, .. }) => outcome,
                _ => unreachable!("nobody else takes it"),
            }
        }
        None => std::future::pending().await,
    }
}

async fn changed(peers: &mut Option<PeersWatch>) {
    if let Some(peers) = peers
        && peers.changed().await.is_ok()
    {
        return;
    }
    // No network, or one that has ended: nobody connects any more.
    std::future::pending().await
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
