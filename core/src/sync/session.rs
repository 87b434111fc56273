//! One session: what is known of the peer, what is on its way in either direction, and the dispatch of messages.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::boundary::{Config, Event, Now, Output, Reason, Role, SessionId, Traffic};
use crate::clock::VersionVector;
use crate::id::ReplicaId;
use crate::state::{Received, Space};
use crate::store::{Store, StoreError};
use crate::sync::deltas::Tails;
use crate::sync::message::{Ack, Claim, Deltas, Key, Message, Offer, Tag};
use crate::sync::serve::Serving;
use crate::sync::take::Take;
use crate::sync::traffic::Tally;
use crate::sync::vector::Said;
use crate::sync::{frame, hello};

/// Data frames that may always be in flight, whatever their size: acknowledgements come at least every second.
const FRAMES_IN_FLIGHT: usize = 4;
const FRAMES_PER_ACK: u64 = 2;
/// Eager proofs after a hello that was not equal. Then the timer takes over: under steady writes two states may never be
/// equal at the moment of a proof.
pub(super) const PROOFS: u8 = 3;

/// What a session works on.
pub(crate) struct Context<'a, S> {
    pub(crate) id: SessionId,
    pub(crate) now: Now,
    pub(crate) config: &'a Config,
    pub(crate) space: &'a mut Space<S>,
    pub(crate) out: &'a mut VecDeque<Output>,
    /// The one bulk sync that this space takes in at a time.
    pub(crate) take: &'a mut Option<Take>,
    /// Whether committed deltas go out on streams as they come.
    pub(crate) push: bool,
    /// Set when every other session should say hello again: once this generation is durable.
    pub(crate) hello_others: &'a mut Option<u64>,
    /// Something other than an acknowledgement was sent.
    pub(crate) sent: bool,
}

impl<S: Store> Context<'_, S> {
    /// Whether a bulk is being taken in, from whomever.
    pub(super) fn is_taking(&self) -> bool {
        self.take.is_some() || self.space.is_merging()
    }

    pub(super) fn send(&mut self, message: &Message) -> usize {
        self.sent |= !matches!(message, Message::Ack(_));
        let frame = frame::seal(message);
        let size = frame.len();
        self.out.push_back(Output::Send { session: self.id, frame });
        size
    }
}

/// Why a session ends from this side.
pub(crate) enum End {
    Peer(Reason),
    Store(StoreError),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A peer that did what no honest one does.
pub(super) const MISBEHAVED: End = End::Peer(Reason::Misbehaved);

/// See the module page.
pub(crate) struct Session {
    pub(super) role: Role,
    /// Keys every claim on this stream; known once the initiator's hello is.
    pub(super) key: Option<Key>,
    /// Replicas by their names on this stream, and what was known when they were gathered.
    pub(super) names: BTreeMap<Tag, ReplicaId>,
    pub(super) named: (usize, u64, Option<ReplicaId>),
    /// Whether the peer has said hello.
    pub(super) greeted: bool,
    /// What the peer has, or will have once it settles what is in flight. Only what is known for certain.
    pub(super) peer: VersionVector,
    /// Whether `peer` is known: hello and vector have arrived.
    pub(super) peer_known: bool,
    /// What the peer's last hello says of the own id was not written here: nothing is exchanged before it is looked at.
    pub(super) doubt: bool,
    /// Replicas that have another history at the peer, by its last hello: only all of their contents settle that.
    pub(super) contested: BTreeSet<ReplicaId>,
    /// Those of which it says that they have two.
    pub(super) said_forked: BTreeSet<ReplicaId>,
    /// The heads in the peer's last hello, cut.
    pub(super) told: BTreeMap<ReplicaId, (u64, Tag)>,
    /// What this side's last hello said, and how many it has heard.
    pub(super) said: Said,
    pub(super) heard: u32,
    /// Replicas whose log did not fit onto that: what the peer lacks of them takes a bulk.
    pub(super) misfits: BTreeSet<ReplicaId>,
    /// The peer's newest claim.
    pub(super) claim: Option<Claim>,
    /// The durable generation that this side has named last, and the one at which both agreed.
    pub(super) announced: Option<u64>,
    pub(super) agreed: Option<u64>,
    pub(super) proofs_left: u8,
    /// What this side claimed, what the peer claimed, and how often comparing all contents did not change either.
    pub(super) deep: Option<(Claim, Claim, u8)>,
    /// When to say hello again.
    pub(super) hello_at: Option<u64>,
    /// And not before this generation is durable: an older one would bring an offer of what is in memory already.
    pub(super) hello_after: u64,
    /// The next hello says that something was dropped.
    pub(super) dropped: bool,
    /// When such a hello was due last.
    pub(super) drop_told: Option<u64>,

    /// Where in the log sending goes on, and whether it goes beyond what was there at the last hello.
    pub(super) cursor: u64,
    pub(super) until: u64,
    pub(super) offered: bool,
    /// What was offered and not accepted yet, and how often that was done.
    pub(super) offering: Option<Serving>,
    pub(super) offers: u32,
    pub(super) serving: Option<Serving>,
    /// What the peer offers, until all that it says is known here is durable.
    pub(super) offer: Option<Offer>,
    /// Bulks asked for on this stream.
    pub(super) rounds: u32,
    /// The peer did not know a row that was named by what it replaced: it gets keys. And the other way round.
    pub(super) gives_keys: bool,
    pub(super) gets_keys: bool,
    tally: Tally,
    /// What the peer is known to hold durably.
    pub(super) held: VersionVector,
    /// Deltas sent that the peer has not called durable yet: the number of their frame, and where each replica ends.
    unconfirmed: VecDeque<(u64, ReplicaId, u64)>,
    /// Sizes of data frames that the peer has not taken in yet.
    in_flight: VecDeque<usize>,
    sent: u64,
    peer_ack: Ack,

    pub(super) queue: VecDeque<Received>,
    pub(super) queue_bytes: usize,
    pub(super) tails: Tails,
    /// Something in the queue went on from what this side only believes to be the same.
    pub(super) overlaps: bool,
    pub(super) received: u64,
    /// Data frames whose effects are in memory or dropped; those that the commit in flight covers; those told.
    pub(super) settled: u64,
    committing: u64,
    acked: Ack,
}

impl Session {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            key: None,
            names: BTreeMap::new(),
            named: (0, 0, None),
            greeted: false,
            peer: VersionVector::new(),
            peer_known: false,
            doubt: false,
            contested: BTreeSet::new(),
            said_forked: BTreeSet::new(),
            told: BTreeMap::new(),
            said: Said::default(),
            heard: 0,
            misfits: BTreeSet::new(),
            claim: None,
            announced: None,
            agreed: None,
            proofs_left: 0,
            deep: None,
            hello_at: None,
            hello_after: 0,
            dropped: false,
            drop_told: None,
            cursor: 0,
            until: 0,
            offered: false,
            offering: None,
            offers: 0,
            serving: None,
            offer: None,
            rounds: 0,
            gives_keys: false,
            gets_keys: false,
            tally: Tally::default(),
            held: VersionVector::new(),
            unconfirmed: VecDeque::new(),
            in_flight: VecDeque::new(),
            sent: 0,
            peer_ack: Ack::default(),
            queue: VecDeque::new(),
            queue_bytes: 0,
            tails: Tails::default(),
            overlaps: false,
            received: 0,
            settled: 0,
            committing: 0,
            acked: Ack::default(),
        }
    }

    /// Takes in a frame.
    pub(crate) fn receive<S: Store>(&mut self, cx: &mut Context<'_, S>, frame: &[u8]) -> Result<(), End> {
        let malformed = End::Peer(Reason::Malformed);
        if hello::is_of_another_version(frame) {
            return Err(End::Peer(Reason::Incompatible));
        }
        let Ok(message) = frame::open(frame) else { return Err(malformed) };
        if !self.greeted && !matches!(message, Message::Hello(_) | Message::Root(_)) {
            return Err(MISBEHAVED);
        }
        let data = matches!(
            message,
            Message::Deltas(_)
                | Message::BulkChunk(_)
                | Message::BulkHeads(_)
                | Message::BulkTail(..)
                | Message::BulkEnd(_)
        );
        self.received += u64::from(data);
        self.tally.received(&message, data);
        match message {
            Message::Hello(hello) => self.on_hello(cx, &hello)?,
            Message::Root(claim) => self.on_root(cx, claim)?,
            Message::Vector(vector) => self.on_vector(cx, &vector)?,
            Message::Deltas(deltas) => self.on_deltas(cx, &deltas)?,
            Message::Ack(ack) => self.on_ack(ack)?,
            Message::YouWere(you_were) => self.on_you_were(cx, &you_were)?,
            Message::BulkOffer => self.on_bulk_offer(cx)?,
            Message::BulkAsk(ask) => self.on_bulk_ask(cx, ask)?,
            Message::BulkChunk(chunk) => self.on_bulk_chunk(cx, chunk)?,
            Message::BulkHeads(heads) => self.on_bulk_heads(cx, heads)?,
            Message::BulkTail(round, tail) => self.on_bulk_tail(cx, round, &tail)?,
            Message::BulkEnd(end) => self.on_bulk_end(cx, end)?,
            Message::BulkAbort(round) => {
                self.serving = self.serving.take().filter(|serving| serving.round != round)
            }
            Message::BulkVoid(round) => self.on_bulk_void(cx, round),
            Message::Offer(offer) => self.on_offer(cx, offer),
            Message::Accept(accept) => self.on_accept(accept),
            Message::Compare(compare) => self.on_compare(cx, &compare)?,
            Message::Compared(compared) => self.on_compared(cx, &compared)?,
            Message::Rest(rest) => self.on_rest(cx, &rest)?,
            Message::Keys => self.gives_keys = true,
            Message::Show(replica) => Self::on_show(cx, &replica),
        }
        if self.queue.is_empty() {
            self.settled = self.received;
        }
        Ok(())
    }

    fn on_ack(&mut self, ack: Ack) -> Result<(), End> {
        let sound = ack.durable <= ack.received && ack.received <= self.sent;
        if !sound || ack.received < self.peer_ack.received || ack.durable < self.peer_ack.durable {
            return Err(MISBEHAVED);
        }
        for _ in self.peer_ack.received..ack.received {
            self.in_flight.pop_front();
        }
        self.peer_ack = ack;
        while let Some((frame, replica, seq)) = self.unconfirmed.front().copied()
            && frame <= ack.durable
        {
            self.held.observe(replica, seq);
            self.unconfirmed.pop_front();
        }
        Ok(())
    }

    /// Sends a data frame and counts it against the window.
    pub(super) fn send_data<S: Store>(&mut self, cx: &mut Context<'_, S>, message: &Message) {
        self.tally.sending(message);
        let size = cx.send(message);
        self.in_flight.push_back(size);
        self.sent += 1;
    }

    /// Sends deltas; `ends` is where each of their replicas ends.
    pub(super) fn send_deltas<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        deltas: Deltas,
        ends: BTreeMap<ReplicaId, u64>,
    ) {
        self.send_data(cx, &Message::Deltas(deltas));
        self.unconfirmed.extend(ends.into_iter().map(|(replica, seq)| (self.sent, replica, seq)));
    }

    /// The peer let go of something that was sent: only what it says from here on counts.
    pub(super) fn on_dropped(&mut self) {
        (self.peer, self.peer_known) = Default::default();
        self.unconfirmed.clear();
        (self.serving, self.offering) = (None, None);
    }

    /// Whether there is room for more; notes that there was more when there is none.
    pub(super) fn may_send(&mut self, window_bytes: usize) -> bool {
        let room = self.has_window(window_bytes);
        if !room {
            self.tally.stalled();
        }
        room
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.tally.traffic()
    }

    /// What the peer is known to hold durably.
    pub(crate) const fn held(&self) -> &VersionVector {
        &self.held
    }

    /// After one run: counts its turn.
    pub(crate) fn on_run(&mut self, sent: bool) {
        if sent {
            self.tally.sent();
        }
    }

    /// Whether the peer has room for another data frame.
    fn has_window(&self, window_bytes: usize) -> bool {
        self.in_flight.len() < FRAMES_IN_FLIGHT || self.in_flight.iter().sum::<usize>() < window_bytes
    }

    /// A commit leaves: what was settled by now is in it.
    pub(crate) fn on_commit_taken(&mut self) {
        self.committing = self.settled;
    }

    /// The commit failed: frames that it covered are lost, and memory is as it was before them.
    pub(crate) fn on_commit_failed(&mut self, now: Now) {
        self.drop_queue(now);
        self.settled = self.received;
        self.committing = self.acked.durable;
        self.hello_after = 0;
    }

    /// Says hello as soon as a generation is durable: there is something to tell.
    pub(crate) fn hello_soon(&mut self, now: Now, after: u64) {
        self.hello_at = Some(now.mono_ms);
        self.hello_after = self.hello_after.max(after);
    }

    /// Says hello within a second, unless it is due anyway: many causes, one hello.
    pub(crate) fn hello_later(&mut self, now: Now) {
        self.hello_at = Some(self.hello_at.map_or(u64::MAX, |at| at).min(now.mono_ms + 1_000));
    }

    /// When it has something to do by itself.
    pub(crate) fn due(&self) -> Option<u64> {
        self.hello_at.filter(|_| self.greeted)
    }

    pub(super) fn acknowledge<S: Store>(&mut self, cx: &mut Context<'_, S>) {
        // What was dropped must not pass for durable before the hello that says so.
        let durable = if self.dropped {
            self.acked.durable
        } else if cx.space.is_settled() {
            self.settled
        } else if cx.space.is_idle() {
            self.committing
        } else {
            self.acked.durable
        };
        // Whoever sends faster than the disk writes waits for the disk, and so does what waits for a merge.
        let room = cx.space.overlay.dirty_bytes() <= cx.config.window_bytes
            && (self.queue.is_empty() || !cx.space.is_merging());
        let taken_in = room && self.received - self.acked.received >= FRAMES_PER_ACK;
        let due = durable > self.acked.durable || taken_in;
        if due {
            self.acked = Ack { received: self.received, durable: durable.max(self.acked.durable) };
            cx.send(&Message::Ack(self.acked));
        }
    }

    /// Both sides hold the same data.
    pub(super) fn agree<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        let generation = cx.space.durable.generation;
        self.held.merge(&cx.space.durable.heads.vector());
        cx.space.agreed_log = Some(cx.space.durable.log.next);
        if self.agreed.replace(generation) != Some(generation) {
            let root = cx.space.durable_root()?;
            cx.space.events.push(Event::InSync { session: cx.id, root });
        }
        if !cx.is_taking() {
            cx.space.tidy_stage()?;
        }
        self.hello_at = None;
        self.proofs_left = 0;
        self.deep = None;
        Ok(())
    }
}
