//! The loop of one replica: the only place that carries out what the engine asks for.
//!
//! One round: drain the engine, do what it says in that order, then wait for whatever comes first: a frame, a stream, a
//! commit that became durable, a write by the app, a change of who is connected, or the engine's own timer. The engine
//! is never held across a wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use libp2p::gossipsub::MessageId;
use libp2p::{PeerId, Stream};
use rejoin_core::engine::{Event, GossipId, Input, Output, Role, SessionId};
use rejoin_core::store::{Commit, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::contacts::Contacts;
use super::link::Link;
use super::peers::SyncReport;
use super::storage::Committer;
use super::{News, Shared, State};
use crate::swarm::{Heard, Network};
use crate::wire;

/// Streams that one peer may hold open to one space: both may open one at the same time, and a sync asked for by hand
/// takes one of its own.
const STREAMS_PER_PEER: usize = 4;
/// Gossiped messages that wait for the engine's verdict; there are more only if the engine owes one for ever.
const UNJUDGED: usize = 1024;
/// How long a closing replica waits for streams to take their last frames.
const GOODBYE: Duration = Duration::from_secs(2);

/// What reaches the loop from outside.
pub(crate) enum Inbox {
    /// A peer opened a stream and greeted this space.
    Inbound { peer: PeerId, stream: Stream, first: Vec<u8> },
    /// A stream that the loop asked for is open, or not.
    Opened { peer: PeerId, stream: Result<Stream, String>, report: Option<Report> },
    /// A frame came.
    Frame { session: SessionId, frame: Vec<u8> },
    /// A stream has ended.
    Closed { session: SessionId },
    /// A message came by gossip.
    Gossip(Heard),
    /// Sync with a connected peer on a stream of its own, and say what it took.
    Sync { peer: PeerId, report: Report },
    /// Write out what waits, and end.
    Close(oneshot::Sender<()>),
}

/// Where the outcome of a sync asked for by hand goes.
pub(crate) type Report = oneshot::Sender<Result<SyncReport, String>>;

/// A commit on its way to the disk.
type Committing = JoinHandle<(Commit, Result<(), StoreError>)>;

pub(super) struct Driver {
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Inbox>,
    /// For the tasks of streams; weak, so that the loop ends when every handle is gone.
    sender: mpsc::WeakSender<Inbox>,
    committer: Committer,
    network: Option<Network>,
    committing: Option<Committing>,
    links: BTreeMap<SessionId, Link>,
    reports: BTreeMap<SessionId, Report>,
    contacts: Contacts,
    sessions: u64,
    unjudged: BTreeMap<GossipId, (MessageId, PeerId)>,
    gossiped: u64,
    closing: Vec<JoinHandle<()>>,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        inbox: mpsc::Receiver<Inbox>,
        sender: mpsc::WeakSender<Inbox>,
        committer: Committer,
        network: Option<Network>,
    ) -> Self {
        Self {
            shared,
            inbox,
            sender,
            committer,
            network,
            committing: None,
            links: BTreeMap::new(),
            reports: BTreeMap::new(),
            contacts: Contacts::default(),
            sessions: 0,
            unjudged: BTreeMap::new(),
            gossiped: 0,
            closing: Vec::new(),
        }
    }

    /// The loop.
    pub(super) async fn run(mut self) {
        let mut peers = self.network.as_ref().map(Network::peers);
        self.on_peers(peers.as_mut());
        let done = loop {
            self.carry_out();
            if self.shared.state().broken.is_some() {
                break None;
            }
            let due = self.due();
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(Inbox::Close(done)) => break Some(done),
                    Some(message) => self.take(message),
                    None => break None,
                },
                outcome = committed(&mut self.committing) => self.on_committed(outcome),
                () = self.shared.wake.notified() => {}
                () = changed(&mut peers) => self.on_peers(peers.as_mut()),
                () = sleep_until(due) => self.on_time(),
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
        if let Some(network) = &self.network {
            network.leave(self.shared.space);
        }
        self.carry_out();
        while self.committing.is_some() {
            let outcome = committed(&mut self.committing).await;
            self.on_committed(outcome);
            self.carry_out();
        }
        for link in std::mem::take(&mut self.links).into_values() {
            self.closing.push(link.close());
        }
        let written = futures::future::join_all(std::mem::take(&mut self.closing));
        if tokio::time::timeout(GOODBYE, written).await.is_err() {
            debug!("a peer did not take its last frames in time");
        }
        let engine = self.shared.state().engine.take();
        if let Some(Err(error)) = engine.map(|engine| engine.into_store().close()) {
            warn!(%error, "the store was not closed cleanly; the next opening repairs it");
        }
        self.shared.tell(News::Closed);
    }

    /// Drains the engine, and does what it says.
    fn carry_out(&mut self) {
        loop {
            let mut outputs = Vec::new();
            if let Some(engine) = &mut self.shared.state().engine {
                outputs.extend(std::iter::from_fn(|| engine.poll_output()));
            }
            if outputs.is_empty() {
                return;
            }
            outputs.into_iter().for_each(|output| self.carry_out_one(output));
        }
    }

    fn carry_out_one(&mut self, output: Output) {
        match output {
            Output::Persist(commit) => {
                let committer = self.committer.clone();
                assert!(self.committing.is_none(), "the engine has one commit in flight at most");
                self.committing = Some(tokio::task::spawn_blocking(move || {
                    let result = committer.commit(&commit);
                    (commit, result)
                }));
            }
            Output::Send { session, frame } => {
                if self.links.get_mut(&session).is_some_and(|link| !link.send(frame)) {
                    debug!(?session, "the peer does not read what it asked for");
                    self.on_closed(session);
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

    fn on_event(&mut self, event: Event) {
        let mut state = self.shared.state();
        let State { engine, waiting, peers, .. } = &mut *state;
        let Some(engine) = engine else { return };
        match &event {
            Event::Saved { .. } => waiting.on_saved(|dot| engine.is_durable(dot)),
            Event::Lost { error, .. } => {
                warn!(%error, "changes were lost");
                waiting.on_lost(|dot| engine.is_durable(dot), error);
            }
            Event::InSync { session, root } => {
                let Some(link) = self.links.get(session) else { return };
                peers.on_in_sync(link.peer, *root);
                if let Some(held) = engine.held_by(*session) {
                    waiting.on_held(link.peer, held);
                }
                self.contacts.on_success(&link.peer);
                if let (Some(report), Some(traffic)) =
                    (self.reports.remove(session), engine.traffic(*session))
                {
                    // Whoever asked may have given up waiting.
                    let _ = report.send(Ok(SyncReport {
                        bytes: link.bytes,
                        round_trips: traffic.round_trips,
                        proof_round_trips: traffic.proof_round_trips,
                        rows_in: traffic.rows_in,
                        rows_out: traffic.rows_out,
                        root: *root,
                    }));
                }
            }
            Event::StoreFailed { error } => {
                warn!(%error, "the store failed");
                state.broken = Some(error.clone());
            }
            Event::Changed { .. } => {}
            other => debug!(?other, "event"),
        }
        drop(state);
        self.shared.tell(match event {
            Event::Changed { rows } => News::Changed(rows.into()),
            Event::InSync { .. } => News::Peers,
            event => News::Event(event),
        });
    }

    fn on_committed(&mut self, (commit, result): (Commit, Result<(), StoreError>)) {
        let mut state = self.shared.state();
        let State { engine, broken, waiting, .. } = &mut *state;
        let Some(engine) = engine else { return };
        if result.is_ok()
            && let Err(error) = engine.store_mut().show(&commit)
        {
            // It is durable and cannot be read: to go on would be to use its dots again.
            warn!(%error, "the store cannot be read any more");
            waiting.on_lost(|dot| engine.is_durable(dot), &error);
            *broken = Some(error.clone());
            drop(state);
            self.shared.tell(News::Event(Event::StoreFailed { error }));
            return;
        }
        engine.handle(self.shared.clock.now(), Input::Persisted { commit: commit.id, result });
    }

    fn take(&mut self, message: Inbox) {
        match message {
            Inbox::Inbound { peer, stream, first } => {
                let open = self.links.values().filter(|link| link.peer == peer).count();
                if open < STREAMS_PER_PEER {
                    let session = self.open_link(peer, Role::Responder, stream);
                    self.on_frame(session, first);
                }
            }
            Inbox::Opened { peer, stream: Ok(stream), report } => {
                let session = self.open_link(peer, Role::Initiator, stream);
                self.reports.extend(report.map(|report| (session, report)));
            }
            Inbox::Opened { peer, stream: Err(error), report } => {
                debug!(%peer, error, "no stream");
                if let Some(report) = report {
                    let _ = report.send(Err(error));
                }
                self.on_link_end(&peer);
            }
            Inbox::Frame { session, frame } => self.on_frame(session, frame),
            Inbox::Closed { session } => self.on_closed(session),
            Inbox::Gossip(heard) => self.on_gossip(heard),
            Inbox::Sync { peer, report } => self.sync(peer, report),
            Inbox::Close(_) => unreachable!("ends the loop"),
        }
    }

    fn open_link(&mut self, peer: PeerId, role: Role, stream: Stream) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let Some(sender) = self.sender.upgrade() else { return session };
        self.links.insert(session, Link::open(session, peer, stream, sender));
        self.contacts.on_open(&peer);
        self.input(Input::Connected { session, role });
        session
    }

    fn on_frame(&mut self, session: SessionId, frame: Vec<u8>) {
        let Some(link) = self.links.get_mut(&session) else { return };
        link.bytes += wire::size(&frame);
        let mut state = self.shared.state();
        let State { engine, waiting, .. } = &mut *state;
        let Some(engine) = engine else { return };
        engine.handle(self.shared.clock.now(), Input::Received { session, frame });
        if let Some(held) = engine.held_by(session) {
            waiting.on_held(link.peer, held);
        }
    }

    fn on_gossip(&mut self, Heard { message, from, data }: Heard) {
        if self.unjudged.len() >= UNJUDGED {
            return;
        }
        self.gossiped += 1;
        let id = GossipId(self.gossiped);
        self.unjudged.insert(id, (message, from));
        self.shared.state().gossip_in += 1;
        self.input(Input::Gossiped { id, frame: data });
    }

    fn on_closed(&mut self, session: SessionId) {
        if self.links.contains_key(&session) {
            self.input(Input::Disconnected { session });
            self.drop_link(session, "the peer closed the stream: does it hold this space?");
        }
    }

    fn drop_link(&mut self, session: SessionId, why: &str) {
        let Some(link) = self.links.remove(&session) else { return };
        if let Some(report) = self.reports.remove(&session) {
            let _ = report.send(Err(why.into()));
        }
        let peer = link.peer;
        self.closing.retain(|closing| !closing.is_finished());
        self.closing.push(link.close());
        self.on_link_end(&peer);
    }

    fn on_link_end(&mut self, peer: &PeerId) {
        if !self.links.values().any(|link| link.peer == *peer) {
            self.contacts.on_end(peer);
        }
    }

    fn on_peers(&mut self, peers: Option<&mut crate::swarm::PeersWatch>) {
        let Some(peers) = peers else { return };
        let connected = peers.borrow_and_update().clone();
        self.contacts.update(&connected);
        let gone: Vec<SessionId> = self
            .links
            .iter()
            .filter(|(_, link)| !connected.contains_key(&link.peer))
            .map(|(session, _)| *session)
            .collect();
        self.shared.state().peers.update(connected);
        gone.into_iter().for_each(|session| self.on_closed(session));
        self.shared.tell(News::Peers);
    }

    /// When the engine, or a stream to be opened, is due.
    fn due(&self) -> Option<Instant> {
        let timer = self.shared.state().engine.as_ref().and_then(|engine| engine.poll_timeout());
        let timer = timer.map(|at| self.shared.clock.at(at));
        timer.into_iter().chain(self.contacts.due()).min()
    }

    fn on_time(&mut self) {
        for peer in self.contacts.take_due() {
            self.open_stream(peer, None);
        }
        self.input(Input::Tick);
    }

    /// Ends what is open with a peer and opens a stream of its own, so that everything that moves is counted on it.
    fn sync(&mut self, peer: PeerId, report: Report) {
        let open = self.links.iter().filter(|(_, link)| link.peer == peer).map(|(session, _)| *session);
        for session in open.collect::<Vec<_>>() {
            self.on_closed(session);
        }
        self.contacts.on_open(&peer);
        self.open_stream(peer, Some(report));
    }

    /// Asks for a stream; the answer comes to the inbox.
    fn open_stream(&self, peer: PeerId, report: Option<Report>) {
        let (Some(network), Some(sender)) = (self.network.clone(), self.sender.upgrade()) else { return };
        tokio::spawn(async move {
            let stream = network.open_stream(peer).await;
            // The loop may have ended meanwhile.
            let _ = sender.send(Inbox::Opened { peer, stream, report }).await;
        });
    }

    fn input(&self, input: Input) {
        if let Some(engine) = &mut self.shared.state().engine {
            engine.handle(self.shared.clock.now(), input);
        }
    }
}

/// The outcome of the commit in flight; waits for ever while there is none.
async fn committed(committing: &mut Option<Committing>) -> (Commit, Result<(), StoreError>) {
    let Some(task) = committing else { return std::future::pending().await };
    let outcome = task.await;
    *committing = None;
    outcome.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

async fn changed(peers: &mut Option<crate::swarm::PeersWatch>) {
    if let Some(peers) = peers
        && peers.changed().await.is_ok()
    {
        return;
    }
    // No network, or one that has ended: nobody connects any more.
    std::future::pending().await
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
