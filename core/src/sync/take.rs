//! Taking a bulk in: chunks into the stage, and one commit at the end.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::boundary::SessionId;
use crate::clock::{Frontier, Timestamp, VersionVector};
use crate::id::{Dot, ReplicaId};
use crate::limits::{CHUNK_RUNS, SESSION_BUFFER_BYTES};
use crate::planted::Rule;
use crate::row::{DotRuns, DotSet, Entry, RowKey};
use crate::state::{BulkHead, Incoming, Received, Space};
use crate::store::Store;
use crate::sync::compare::{Begin, Comparison};
use crate::sync::deltas::{Linker, Tail, Tails};
use crate::sync::message::{Accept, BulkAsk, BulkChunk, BulkEnd, BulkHeads, Deltas, Intro, Message, Offer};
use crate::sync::session::{Context, End, MISBEHAVED, Session};

/// Most entries that one bulk settles of which both sides hold another content; the next one settles more.
const CONTESTED: usize = 1024;

/// Milliseconds without a frame after which a bulk is given up, so that another peer can serve it.
const PATIENCE_MS: u64 = 30_000;

/// The one bulk sync that a space takes in at a time.
pub(crate) struct Take {
    pub(crate) session: SessionId,
    round: u32,
    /// When it is given up unless something arrives.
    deadline: u64,
    /// Frames that came.
    frames: u64,
    asked: DotRuns,
    /// Up to where each replica was told.
    told: BTreeMap<ReplicaId, u64>,
    live: DotSet,
    contested: Vec<(RowKey, Entry)>,
    /// Both vectors are equal and the data is not: there must be a replica with two histories.
    deep: bool,
    /// Replicas with two histories by what the peer said since it began.
    pub(super) doubtful: BTreeSet<ReplicaId>,
    /// What is compared instead of told: the offer's replicas, until all of it is.
    pub(super) comparison: Option<Comparison>,
    /// Replicas of the offer: how much there is of each, and up to where it is compared.
    compared: BTreeMap<ReplicaId, (u64, u64)>,
    /// What that found: live here, dead at the peer.
    pub(super) dead: DotSet,
    heads: Option<(Vec<BulkHead>, VersionVector, Frontier)>,
    tail: VecDeque<Received>,
    tail_bytes: usize,
    tails: Tails,
    /// Whether each chunk held all that was promised.
    complete: bool,
    /// All of it is here: it waits until the commit in flight is out of the way.
    ended: bool,
    #[cfg(feature = "planted")]
    known_at_start: VersionVector,
}

impl Session {
    pub(super) fn on_offer<S: Store>(&mut self, cx: &mut Context<'_, S>, offer: Offer) {
        // The peer has let go of the one before, unless all of that is here.
        if cx.take.as_ref().is_some_and(|take| take.session == cx.id && !take.ended) {
            *cx.take = None;
            cx.space.stats.bulk_aborted += 1;
        }
        self.offer = Some(offer);
    }

    /// Accepts what the peer offers once all is durable that the peer thinks is known here.
    pub(super) fn take_offer<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        // What is in doubt would be joined with what was never told.
        if self.doubt || cx.space.is_parting() {
            return Ok(());
        }
        let Some((key, offer)) = self.key.zip(self.offer.take()) else { return Ok(()) };
        // One at a time. Whoever is turned down here hears a hello when the one under way has ended; who comes when all of
        // that is here waits for the disk.
        if cx.is_taking() {
            self.offer = Some(offer).filter(|_| cx.take.as_ref().is_none_or(|take| take.ended));
            return Ok(());
        }
        let mut comparison = match Comparison::begin(cx, key, self.names(cx, key), &offer)? {
            Begin::Now(comparison) => comparison,
            Begin::Later => {
                self.offer = Some(offer);
                return Ok(());
            }
            Begin::Unknown => {
                self.say_dropped(cx.now);
                return Ok(());
            }
        };
        if self.dropped {
            // What was dropped is told first: told later, it would end the bulk that is accepted now.
            return self.say_hello(cx);
        }
        let (round, staged) = self.begin_take(cx, false)?;
        cx.send(&Message::Accept(Accept { number: offer.number, round, staged }));
        let compared = comparison.offered.values().map(|of| (of.replica, (of.seq, of.seen))).collect();
        let done = self.compare_on(cx, round, &mut comparison)?;
        let Some(take) = Self::taking(cx, round) else { return Ok(()) };
        take.compared = compared;
        take.told = take.compared.iter().map(|(replica, (_, seen))| (*replica, *seen)).collect();
        take.comparison = (!done).then_some(comparison);
        Ok(())
    }

    pub(super) fn on_bulk_offer<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        // One at a time. Whoever is turned down here hears a hello when the one under way has ended.
        if cx.is_taking() { Ok(()) } else { self.ask_bulk(cx, false) }
    }

    pub(super) fn ask_bulk<S: Store>(&mut self, cx: &mut Context<'_, S>, deep: bool) -> Result<(), End> {
        if self.doubt || cx.space.is_parting() {
            return Ok(());
        }
        // What was dropped is told first: told later, it would end the bulk that is asked for now.
        if self.dropped {
            self.say_hello(cx)?;
        }
        let (round, staged) = self.begin_take(cx, deep)?;
        cx.send(&Message::BulkAsk(BulkAsk { round, staged, deep }));
        Ok(())
    }

    /// From here on this session's bulk is the one that is taken in. Says its round, and what it needs not bring.
    fn begin_take<S: Store>(&mut self, cx: &mut Context<'_, S>, deep: bool) -> Result<(u32, DotRuns), End> {
        // Tell of no more than fits in the message; what is left out is sent again.
        let asked: DotRuns = cx.space.usable_stage(CHUNK_RUNS / 2)?.into_iter().collect();
        self.rounds += 1;
        let round = self.rounds;
        cx.space.stats.bulk_started += 1;
        *cx.take = Some(Take {
            session: cx.id,
            round,
            deadline: cx.now.mono_ms + PATIENCE_MS,
            frames: 0,
            asked: asked.clone(),
            told: BTreeMap::new(),
            live: DotSet::default(),
            contested: Vec::new(),
            deep,
            doubtful: BTreeSet::new(),
            comparison: None,
            compared: BTreeMap::new(),
            dead: DotSet::default(),
            heads: None,
            tail: VecDeque::new(),
            tail_bytes: 0,
            tails: Tails::default(),
            complete: true,
            ended: false,
            #[cfg(feature = "planted")]
            known_at_start: cx.space.heads.vector(),
        });
        Ok((round, asked))
    }

    /// The bulk that this session takes in. Frames of one that was given up are let pass.
    pub(super) fn taking<'a, S: Store>(cx: &'a mut Context<'_, S>, round: u32) -> Option<&'a mut Take> {
        let id = cx.id;
        let deadline = cx.now.mono_ms + PATIENCE_MS;
        let take = cx.take.as_mut().filter(|take| take.session == id && take.round == round)?;
        take.deadline = deadline;
        Some(take)
    }

    pub(super) fn on_bulk_chunk<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        chunk: BulkChunk,
    ) -> Result<(), End> {
        let Some(mut take) = Self::taking(cx, chunk.round).is_some().then(|| cx.take.take()).flatten() else {
            return Ok(());
        };
        take.frames += 1;
        take.take_chunk(cx, chunk)?;
        *cx.take = Some(take);
        Ok(())
    }

    pub(super) fn on_bulk_heads<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        message: BulkHeads,
    ) -> Result<(), End> {
        let round = message.round;
        if Self::taking(cx, round).is_none() {
            return Ok(());
        }
        let offered = Self::taking(cx, round).map(|take| take.compared.clone()).unwrap_or_default();
        let heads = message.heads.into_vec();
        let identity = cx.space.identity.as_ref();
        let vouched = |head: &BulkHead| {
            let signed = head.to_head().is_vouched_for(&cx.space.id, &head.replica, identity);
            signed && head.tags.precede(head.seq)
        };
        let mut vv: VersionVector = heads.iter().map(|head| (head.replica, head.seq)).collect();
        let named = message.known.iter().map(|dot| (dot.replica, dot.seq));
        let known = offered.into_iter().filter(|(id, (seq, seen))| seq == seen && vv.seq(id) == 0);
        let known = known.map(|(id, (seq, _))| (id, seq));
        let known: Vec<(ReplicaId, u64)> = named.chain(known).collect();
        known.iter().for_each(|(replica, seq)| vv.observe(*replica, *seq));
        // Each replica once, and every maximal dot under V: later own deltas will name them.
        let each_once = vv.iter().count() == heads.len() + known.len();
        let covered = message.frontier.iter().all(|dot| vv.contains(dot));
        if !each_once || !covered || !heads.iter().all(vouched) {
            return Err(MISBEHAVED);
        }
        let frontier = Frontier::from_dots(message.frontier.iter().copied());
        let Some(take) = Self::taking(cx, round) else { return Ok(()) };
        let tail = |head: &BulkHead| {
            let BulkHead { seq, chain, device, nonce, .. } = *head;
            (head.replica, Tail { seq, chain, intro: Intro { device, nonce } })
        };
        take.frames += 1;
        take.tails = Tails::at(heads.iter().map(tail).collect());
        take.heads = Some((heads, vv, frontier));
        Ok(())
    }

    pub(super) fn on_bulk_tail<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        round: u32,
        frame: &Deltas,
    ) -> Result<(), End> {
        let Some(mut take) = Self::taking(cx, round).is_some().then(|| cx.take.take()).flatten() else {
            return Ok(());
        };
        take.frames += 1;
        let linked = take.heads.is_some().then(|| take.link_tail(cx.space, frame));
        if take.tail_bytes > SESSION_BUFFER_BYTES {
            return Err(MISBEHAVED);
        }
        match linked {
            Some(true) => *cx.take = Some(take),
            // A frame before it is missing, or it is nonsense.
            _ => self.give_up_bulk(cx),
        }
        Ok(())
    }

    pub(super) fn on_bulk_end<S: Store>(&mut self, cx: &mut Context<'_, S>, end: BulkEnd) -> Result<(), End> {
        let Some(take) = Self::taking(cx, end.round) else { return Ok(()) };
        // The transport lost one. What it told of would count as dead.
        if take.frames != end.frames {
            self.give_up_bulk(cx);
            return Ok(());
        }
        let Some((_, vv, _)) = take.heads.as_ref().filter(|_| take.comparison.is_none() && !take.ended)
        else {
            return Err(MISBEHAVED);
        };
        // Everything under V must have been told of, else what was left out would count as dead.
        // And nothing else: a live dot beyond V would be one that the vector does not cover.
        let untold = !vv.iter().eq(take.told.iter().map(|(replica, seq)| (*replica, *seq)));
        take.ended = true;
        if untold && cx.space.planted.keeps(Rule::H2VectorFirst) {
            return Err(MISBEHAVED);
        }
        self.finish_take(cx)
    }

    /// Lets a bulk that is complete leave with the next commit, once none is in flight.
    pub(super) fn finish_take<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        let id = cx.id;
        let ended = |take: &mut Take| take.session == id && take.ended;
        if !cx.space.is_idle() {
            return Ok(());
        }
        let Some(take) = cx.take.take_if(ended) else { return Ok(()) };
        let Some((heads, vv, frontier)) = take.heads else { return Ok(()) };
        let tail = take.tail.iter().map(|received| received.delta.last()).collect::<Vec<_>>();
        let mut doubtful = self.doubted(&cx.space.durable.heads);
        doubtful.extend(take.doubtful);
        if take.deep {
            doubtful.extend(vv.iter().map(|(replica, _)| replica));
        }
        let incoming = Incoming {
            heads,
            vv: vv.clone(),
            frontier,
            live: take.live,
            compared: take.compared.iter().map(|(replica, (_, seen))| (*replica, *seen)).collect(),
            dead: take.dead,
            complete: take.complete || !cx.space.planted.keeps(Rule::H1OneCommit),
            contested: take.contested,
            doubtful,
            tail: take.tail,
            #[cfg(feature = "planted")]
            known_at_start: take.known_at_start,
        };
        if !self.doubt && cx.space.begin_merge(cx.now, incoming)? {
            vv.iter().for_each(|(replica, seq)| self.peer.observe(replica, seq));
            tail.iter().for_each(|dot| self.peer.observe(dot.replica, dot.seq));
            self.proofs_left = self.proofs_left.max(1);
        } else {
            self.give_up_bulk(cx);
        }
        Ok(())
    }

    /// The peer cannot finish: its log no longer reaches back to where the bulk began. The stage makes the next one short.
    pub(super) fn on_bulk_void<S: Store>(&mut self, cx: &mut Context<'_, S>, round: u32) {
        if let Some(take) = Self::taking(cx, round) {
            // A comparison that the peer did not make is no try.
            if let Some((.., tries)) = self.deep.as_mut().filter(|_| take.deep) {
                *tries = tries.saturating_sub(1);
            }
            *cx.take = None;
            cx.space.stats.bulk_aborted += 1;
            self.say_dropped(cx.now);
            *cx.hello_others = Some(0);
        }
    }

    /// Ends the bulk without a commit; the stage stays. The peer is told what is known here.
    pub(crate) fn give_up_bulk<S: Store>(&mut self, cx: &mut Context<'_, S>) {
        *cx.take = None;
        cx.space.stats.bulk_aborted += 1;
        cx.send(&Message::BulkAbort(self.rounds));
        self.say_dropped(cx.now);
        *cx.hello_others = Some(0);
    }
}

impl Take {
    /// When it is given up unless something arrives; never once all of it is here.
    pub(crate) fn deadline(&self) -> Option<u64> {
        (!self.ended).then_some(self.deadline)
    }

    /// Stages what a chunk brings.
    fn take_chunk<S: Store>(&mut self, cx: &mut Context<'_, S>, chunk: BulkChunk) -> Result<(), End> {
        let BulkChunk { replica, upto, live, staged, entries, .. } = chunk;
        let told = self.told.get(&replica).copied().unwrap_or(0);
        let within = live.first().is_none_or(|first| first > told) && live.last().unwrap_or(0) <= upto;
        if upto <= told || !within || self.heads.is_some() {
            return Err(MISBEHAVED);
        }
        self.told.insert(replica, upto);
        // Whatever is live there and not known here must be in this chunk, or staged and confirmed by it.
        let unknown =
            |(first, last): (u64, u64)| last.saturating_sub(first.max(cx.space.heads.seq(&replica) + 1) - 1);
        let wanted: u64 = live.iter().map(unknown).fold(0, u64::saturating_add);
        let mut brought = 0;
        let held = self.asked.runs(&replica).map(|asked| asked.iter().collect::<Vec<_>>());
        let held = held.unwrap_or_default().into_iter().flat_map(|(first, last)| first..=last);
        let confirmed: Vec<u64> = held.filter(|seq| live.contains(*seq)).collect();
        if confirmed.len() != staged.len() {
            return Err(MISBEHAVED);
        }
        for (seq, hash) in confirmed.into_iter().zip(staged.iter()) {
            let dot = Dot::new(replica, seq);
            let same = cx.space.staged_entry(&dot)?.is_some_and(|(_, entry)| entry.hash == *hash);
            if same {
                cx.space.stats.stage_reused += 1;
                brought += u64::from(!cx.space.heads.contains(&dot));
            } else if cx.space.planted.keeps(Rule::AInsertIfSame) {
                cx.space.dispute(dot);
            }
        }
        let mut taken = Vec::new();
        for entry in entries.0 {
            if !live.contains(entry.seq) {
                return Err(MISBEHAVED);
            }
            let dot = Dot::new(replica, entry.seq);
            taken.push((
                entry.key.clone(),
                Entry::new(&entry.key, dot, Timestamp(entry.timestamp), entry.payload),
            ));
        }
        if !cx.space.planted.keeps(Rule::H1OneCommit) {
            cx.space.join_early(replica, (told + 1, upto), &live, taken.clone())?;
        }
        self.live.insert_runs(replica, &live);
        for (key, entry) in taken {
            if !cx.space.heads.contains(&entry.dot) {
                brought += 1;
                cx.space.stage(key, entry);
            } else if self.contested.len() < CONTESTED && cx.space.holds_other(&entry)? {
                self.contested.push((key, entry));
            }
        }
        self.complete &= brought == wanted || !cx.space.planted.keeps(Rule::AInsertIfSame);
        Ok(())
    }

    /// Links the tail's deltas to the chains at V; `false` when they do not fit.
    fn link_tail<S: Store>(&mut self, space: &Space<S>, frame: &Deltas) -> bool {
        match Linker::new(space, &mut self.tails).unpack(frame) {
            Ok(received) => {
                self.tail_bytes += received.iter().map(|received| received.bytes.len()).sum::<usize>();
                self.tail.extend(received);
                true
            }
            Err(_) => false,
        }
    }
}
