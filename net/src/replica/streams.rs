//! The streams of a replica: who is on the other end, which ones are kept, and what becomes of a sync asked for by hand.

use rejoin_core::engine::{Input, Role, SessionId};
use rejoin_core::id::Root;
use tracing::debug;

use super::News;
use super::driver::{Driver, Inbox, Report};
use super::link::Link;
use super::peers::SyncReport;
use crate::PeerId;
use crate::host::spawn;
use crate::network::{PeersWatch, Stream};
use crate::wire;

/// Streams that one peer may hold open to one space: both may open one at the same time, and a sync asked for by hand
/// takes one of its own.
const STREAMS_PER_PEER: usize = 4;

impl Driver {
    pub(super) fn on_inbound(&mut self, peer: PeerId, stream: Stream, first: Vec<u8>) {
        if self.links.values().filter(|link| link.peer == peer).count() >= STREAMS_PER_PEER {
            debug!(%peer, "too many streams");
            return;
        }
        let session = self.open_link(peer, Role::Responder, stream);
        self.carry_out();
        self.on_frame(session, first);
    }

    pub(super) fn on_opened(&mut self, peer: PeerId, stream: Result<Stream, String>, report: Option<Report>) {
        match stream {
            Ok(stream) => {
                let session = self.open_link(peer, Role::Initiator, stream);
                self.reports.extend(report.map(|report| (session, report)));
            }
            Err(error) => {
                debug!(%peer, error, "no stream");
                if let Some(report) = report {
                    // Whoever asked may have given up waiting; the same goes for every report below.
                    let _ = report.send(Err(error));
                }
                self.on_link_end(&peer);
            }
        }
    }

    fn open_link(&mut self, peer: PeerId, role: Role, stream: Stream) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.links.insert(session, Link::open(session, (peer, role), stream, &self.hub));
        self.contacts.on_open(&peer);
        self.shared.state().sessions.insert(session, peer);
        self.input(Input::Connected { session, role });
        session
    }

    pub(super) fn on_frame(&mut self, session: SessionId, frame: Vec<u8>) {
        let Some(link) = self.links.get_mut(&session) else { return };
        link.bytes += wire::size(&frame);
        let peer = link.peer;
        let mut state = self.shared.state();
        if let Some(engine) = &mut state.engine {
            engine.handle(self.shared.clock.now(), Input::Received { session, frame });
        }
        if state.waiting.wants_receipts() {
            state.hear(session, peer);
            state.settle_receipts();
        }
        drop(state);
        self.close_spare(session);
    }

    /// `alive` brings frames, so others with the same peer are spare: on each of them both sides would tell each other
    /// everything once more, for ever. Each side closes only streams that it opened, because it alone knows whether
    /// somebody waits for the outcome; of one stream each way the one of the peer with the smaller id stays.
    fn close_spare(&mut self, alive: SessionId) {
        let (Some(link), Some(network)) = (self.links.get(&alive), &self.network) else { return };
        let (peer, ours) = (link.peer, link.role == Role::Initiator);
        if !ours && network.local() < peer {
            return;
        }
        let spare = |(session, other): (&SessionId, &Link)| {
            let same = other.peer == peer && other.role == Role::Initiator && *session != alive;
            let older = !ours || *session < alive;
            (same && older && !self.reports.contains_key(session)).then_some(*session)
        };
        let spare: Vec<SessionId> = self.links.iter().filter_map(spare).collect();
        for session in spare {
            debug!(%peer, ?session, "closing a spare stream");
            self.carry_out();
            self.on_closed(session);
        }
    }

    pub(super) fn on_in_sync(&mut self, session: SessionId, root: Root) {
        let Some(link) = self.links.get(&session) else { return };
        let mut state = self.shared.state();
        state.peers.on_in_sync(link.peer, root);
        state.hear(session, link.peer);
        state.settle_receipts();
        let traffic = state.engine.as_ref().and_then(|engine| engine.traffic(session));
        drop(state);
        self.contacts.on_success(&link.peer);
        let Some(traffic) = traffic else { return };
        if let Some(report) = self.reports.remove(&session) {
            let _ = report.send(Ok(SyncReport {
                bytes: link.bytes,
                round_trips: traffic.round_trips,
                proof_round_trips: traffic.proof_round_trips,
                rows_in: traffic.rows_in,
                rows_out: traffic.rows_out,
                root,
            }));
        }
    }

    pub(super) fn on_closed(&mut self, session: SessionId) {
        let Some(link) = self.links.get(&session) else { return };
        // What it said last, before the engine forgets it.
        self.shared.state().hear(session, link.peer);
        self.input(Input::Disconnected { session });
        self.drop_link(session, "the peer closed the stream: does it hold this space?");
    }

    /// Lets go of a stream that the engine has let go of.
    pub(super) fn drop_link(&mut self, session: SessionId, why: &str) {
        self.shared.state().sessions.remove(&session);
        let Some(link) = self.links.remove(&session) else { return };
        if let Some(report) = self.reports.remove(&session) {
            let _ = report.send(Err(why.into()));
        }
        let peer = link.peer;
        self.closing.retain(|closing| !closing.is_finished());
        self.closing.push(link.close(self.hub.patience));
        self.on_link_end(&peer);
    }

    fn on_link_end(&mut self, peer: &PeerId) {
        if !self.links.values().any(|link| link.peer == *peer) {
            self.contacts.on_end(peer);
        }
    }

    pub(super) fn on_peers(&mut self, peers: Option<&mut PeersWatch>) {
        let Some(peers) = peers else { return };
        let connected = peers.borrow_and_update().clone();
        let links = &self.links;
        self.contacts.update(&connected, |peer| links.values().any(|link| link.peer == *peer));
        let mut state = self.shared.state();
        // A stream may be there before word of its connection is. Only those that were connected can be gone.
        let before = &state.peers.connected;
        let is_gone = |peer: &PeerId| before.contains_key(peer) && !connected.contains_key(peer);
        let gone = links.iter().filter(|(_, link)| is_gone(&link.peer)).map(|(session, _)| *session);
        let gone: Vec<SessionId> = gone.collect();
        let forgotten = state.peers.update(connected);
        forgotten.iter().for_each(|peer| state.waiting.forget(peer));
        drop(state);
        for session in gone {
            self.on_closed(session);
            self.carry_out();
        }
        self.shared.tell(News::Peers);
    }

    /// Ends what is open with a peer and opens a stream of its own, so that everything that moves is counted on it.
    pub(super) fn sync(&mut self, peer: PeerId, report: Report) {
        let open = self.links.iter().filter(|(_, link)| link.peer == peer).map(|(session, _)| *session);
        for session in open.collect::<Vec<_>>() {
            self.on_closed(session);
            self.carry_out();
        }
        self.contacts.on_open(&peer);
        self.open_stream(peer, Some(report));
    }

    /// Asks for a stream; the answer comes to the inbox.
    pub(super) fn open_stream(&self, peer: PeerId, report: Option<Report>) {
        let Some(network) = self.network.clone() else {
            if let Some(report) = report {
                let _ = report.send(Err("the node is offline".into()));
            }
            return;
        };
        let inbox = self.hub.inbox.clone();
        spawn(async move {
            let stream = network.open_stream(peer).await;
            // The loop may have ended meanwhile.
            if let Some(inbox) = inbox.upgrade() {
                let _ = inbox.send(Inbox::Opened { peer, stream, report }).await;
            }
        });
    }
}
