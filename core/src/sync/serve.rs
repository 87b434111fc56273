//! Serving a bulk: everything live, in dot order, in chunks that are read as the peer takes them.
//!
//! What the peer has seen is not told but compared: see [`super::compare`]. No snapshot is held meanwhile: the vector V is
//! fixed first (rule H2), with the offer, the live dots under it are read over time, and the log tail since V explains
//! whatever died on the way. If the log no longer reaches back to V when the end comes, the
//! bulk is void and the peer keeps its stage.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::clock::{Frontier, VersionVector};
use crate::codec::BoundedVec;
use crate::id::{ContentHash, Dot, ReplicaId};
use crate::limits::{CHUNK_ENTRIES, FRAME_BYTES, FRAME_REPLICAS};
use crate::planted::Rule;
use crate::row::{DotRuns, RowKey, Runs};
use crate::state::{BulkHead, Range, decode_dot};
use crate::store::{Store, StoreError, Table};
use crate::sync::frame::{BulkEntry, Table as Columns};
use crate::sync::live::pack;
use crate::sync::message::{Accept, BulkAsk, BulkChunk, BulkEnd, BulkHeads, Message, Offer, Offered};
use crate::sync::pack::{Packer, short};
use crate::sync::session::{Context, End, MISBEHAVED, Session};
use crate::tree;

/// A bulk being served.
pub(super) struct Serving {
    pub(super) round: u32,
    /// V.
    heads: Vec<BulkHead>,
    frontier: Frontier,
    /// Where the log stood at V.
    log_next: u64,
    /// What the peer had at the offer; entries under it are not sent.
    peer: VersionVector,
    staged: DotRuns,
    deep: bool,
    /// Which offer this is; a peer that asked without one has nothing compared.
    number: Option<u32>,
    /// The peer has compared all that it has seen.
    pub(super) compared: bool,
    /// Replicas with two histories: contents may differ under one dot, so they are sent whatever the peer has seen.
    contested: BTreeSet<ReplicaId>,
    /// Replicas of which more is known at V than the last hello named. The peer may know as much of another history, and
    /// cannot see that before it has the head.
    unsaid: BTreeSet<ReplicaId>,
    /// Index into `heads`, and the seq up to which that replica was told.
    at: usize,
    told: u64,
    /// Frames sent.
    frames: u64,
}

impl Session {
    /// Fixes V.
    fn fix_vector<S: Store>(&self, cx: &Context<'_, S>) -> Serving {
        let heads = &cx.space.durable.heads;
        let forked = heads.iter().filter(|(_, head)| head.forked).map(|(replica, _)| *replica);
        let unsaid = heads.iter().filter(|(id, head)| head.seq != self.said.vector.seq(id));
        Serving {
            round: 0,
            contested: forked.chain(self.contested.iter().copied()).chain(self.differing(heads)).collect(),
            unsaid: unsaid.map(|(replica, _)| *replica).collect(),
            heads: heads.iter().map(|(replica, head)| BulkHead::of(*replica, head)).collect(),
            frontier: cx.space.durable.frontier.clone(),
            log_next: cx.space.durable.log.next,
            peer: self.peer.clone(),
            staged: DotRuns::default(),
            deep: false,
            number: None,
            compared: true,
            at: 0,
            told: 0,
            frames: 0,
        }
    }

    /// Offers a bulk: to a peer that can compare with all that it needs for that.
    pub(super) fn offer_bulk<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        self.offered = true;
        self.offering = None;
        if cx.space.durable.heads.len() > FRAME_REPLICAS {
            cx.send(&Message::BulkOffer);
            return Ok(());
        }
        let key = self.key.ok_or(MISBEHAVED)?;
        cx.space.durable_state()?;
        self.offers += 1;
        let serving = Serving { number: Some(self.offers), compared: false, ..self.fix_vector(cx) };
        let mut replicas = Vec::with_capacity(serving.heads.len());
        for (head, at) in serving.heads.iter().zip(0..) {
            let seen = serving.compared_at(at).map_or(0, |(_, seen)| seen);
            let top = Range::top(head.replica, seen);
            let live = cx.space.durable.tree.bounded(cx.space.overlay.store(), top, seen)?;
            let live = key.node(&live.map_or_else(|| tree::live_leaf(&[]), |node| node.hash));
            replicas.push(Offered { replica: key.replica(&head.replica), seq: head.seq, seen, live });
        }
        let replicas = BoundedVec::new(replicas).expect("counted");
        cx.send(&Message::Offer(Offer { number: self.offers, replicas }));
        self.offering = Some(serving);
        Ok(())
    }

    /// The peer takes what was offered. Another offer may be on its way to it: then it will take that.
    pub(super) fn on_accept(&mut self, accept: Accept) {
        let Accept { number, round, staged } = accept;
        let Some(offer) = self.offering.take_if(|offer| offer.number == Some(number)) else { return };
        self.serving = Some(Serving { round, staged, ..offer });
        self.offered = false;
    }

    pub(super) fn on_bulk_ask<S: Store>(&mut self, cx: &mut Context<'_, S>, ask: BulkAsk) -> Result<(), End> {
        let BulkAsk { round, staged, deep } = ask;
        if !self.knows_peer() || cx.space.is_parting() {
            cx.send(&Message::BulkVoid(round));
            return Ok(());
        }
        self.serving = Some(Serving { round, staged, deep, ..self.fix_vector(cx) });
        self.offered = false;
        Ok(())
    }

    /// Sends chunks while the peer has room, and the end when all is told.
    pub(super) fn serve_on<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        while self.serving.is_some() && !cx.space.is_parting() && self.may_send(cx.config.window_bytes) {
            let Some(serving) = &mut self.serving else { return Ok(()) };
            if let Some(chunk) = serving.next_chunk(cx)? {
                serving.frames += 1;
                if cx.space.replica() == Some(chunk.replica) {
                    cx.space.tell(chunk.upto);
                }
                self.send_data(cx, &Message::BulkChunk(chunk));
            } else if serving.compared {
                return self.finish_serving(cx);
            } else {
                return Ok(());
            }
        }
        Ok(())
    }

    /// V with what vouches for it, the log tail since V, and the end; or word that it is off.
    fn finish_serving<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        let Some(mut serving) = self.serving.take() else { return Ok(()) };
        if !cx.space.planted.keeps(Rule::H2VectorFirst) {
            let heads = cx.space.durable.heads.iter();
            serving.heads = heads.map(|(replica, head)| BulkHead::of(*replica, head)).collect();
            serving.frontier = cx.space.durable.frontier.clone();
            serving.log_next = cx.space.durable.log.next;
        }
        let mut has = self.peer.clone();
        serving.heads.iter().for_each(|head| has.observe(head.replica, head.seq));
        let reaches = cx.space.log_covers(&has) && cx.space.durable.log.first <= serving.log_next;
        let Some(heads) = serving.heads_message().filter(|_| reaches) else {
            cx.send(&Message::BulkVoid(serving.round));
            return Ok(());
        };
        // The heads name all of V, and the tail is what came after.
        cx.space.tell_durable();
        self.send_data(cx, &Message::BulkHeads(heads));
        serving.frames += 1;
        let mut next = serving.log_next;
        let end = cx.space.durable.log.next;
        while next < end {
            let mut packer = Packer::new(None);
            let mut stopped = end;
            cx.space.read_log(next, &mut |record| {
                if record.delta.last_seq() > has.seq(&record.delta.replica) {
                    if !packer.has_room(&record, cx.config.chunk_bytes) {
                        stopped = record.arrival;
                        return ControlFlow::Break(());
                    }
                    pack(cx, &mut packer, &record, &has, short(&record.previous), None);
                    has.observe(record.delta.replica, record.delta.last_seq());
                }
                ControlFlow::Continue(())
            })?;
            next = stopped;
            if !packer.is_empty() {
                self.send_data(cx, &Message::BulkTail(serving.round, packer.finish()));
                serving.frames += 1;
            }
        }
        let (round, frames) = (serving.round, serving.frames);
        self.send_data(cx, &Message::BulkEnd(BulkEnd { round, frames }));
        self.peer = has;
        self.follow_log(cx, end);
        Ok(())
    }
}

impl Serving {
    /// Up to where a replica of the offer is compared and not told.
    pub(super) fn compared_at(&self, at: u32) -> Option<(ReplicaId, u64)> {
        let head = self.heads.get(at as usize)?;
        let all = self.number.is_none() || self.deep || self.contested.contains(&head.replica);
        Some((head.replica, if all { 0 } else { self.peer.seq(&head.replica).min(head.seq) }))
    }

    /// The next stretch of the dot index; `None` when all of V is told.
    fn next_chunk<S: Store>(&mut self, cx: &Context<'_, S>) -> Result<Option<BulkChunk>, StoreError> {
        let (replica, seq) = loop {
            let Some(head) = self.heads.get(self.at) else { return Ok(None) };
            let compared = u32::try_from(self.at).ok().and_then(|at| self.compared_at(at));
            self.told = self.told.max(compared.map_or(0, |(_, seen)| seen));
            if self.told < head.seq {
                break (head.replica, head.seq);
            }
            (self.at, self.told) = (self.at + 1, 0);
        };
        let all = self.deep || self.contested.contains(&replica);
        let mut chunk = Draft { upto: seq, ..Draft::default() };
        let from = Dot::new(replica, self.told + 1);
        let mut failed = None;
        cx.space.overlay.store().scan(Table::Dots, &from.to_bytes(), &mut |key, value| {
            let step = match decode_dot(key, value) {
                Ok((dot, ..)) if dot.replica != replica || dot.seq > seq => return ControlFlow::Break(()),
                Ok((dot, hash, row)) => self.add(cx, &mut chunk, dot, (hash, row), all),
                Err(error) => Err(error),
            };
            match step {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => ControlFlow::Break(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        self.told = chunk.upto;
        if self.told == seq {
            self.at += 1;
            self.told = 0;
        }
        Ok(Some(chunk.finish(self.round, replica)))
    }

    /// Adds a live dot to the chunk; `false` when the chunk is full and ends before it.
    fn add<S: Store>(
        &self,
        cx: &Context<'_, S>,
        chunk: &mut Draft,
        dot: Dot,
        (hash, row): (ContentHash, RowKey),
        all: bool,
    ) -> Result<bool, StoreError> {
        let full = chunk.bytes >= cx.config.chunk_bytes.min(FRAME_BYTES / 2)
            || chunk.entries.len() + chunk.staged.len() + chunk.live.len() >= CHUNK_ENTRIES;
        if full {
            chunk.upto = dot.seq - 1;
            return Ok(false);
        }
        chunk.live.insert(dot.seq);
        chunk.bytes += 2;
        if self.staged.contains(&dot) {
            chunk.staged.push(hash);
            chunk.bytes += 16;
        } else if all || !self.peer.contains(&dot) {
            let stored = cx.space.overlay.store().get(Table::Rows, row.as_bytes())?;
            let entries = crate::row::Entry::decode_row(&row, &stored.unwrap_or_default());
            let entry = entries.ok().and_then(|row| row.into_iter().find(|entry| entry.dot == dot));
            let entry = entry.ok_or_else(|| StoreError::Damaged("a live dot has no entry".into()))?;
            chunk.bytes += row.as_bytes().len() + entry.payload.len() + 16;
            let timestamp = entry.timestamp().0;
            chunk.entries.push(BulkEntry { seq: dot.seq, timestamp, key: row, payload: entry.payload });
        }
        Ok(true)
    }

    fn heads_message(&self) -> Option<BulkHeads> {
        let knows = |head: &&BulkHead| {
            let is_news = self.contested.contains(&head.replica) || self.unsaid.contains(&head.replica);
            self.peer.seq(&head.replica) >= head.seq && !is_news && !self.deep
        };
        // Who was sent an offer knows these from there.
        let named = self.heads.iter().filter(|head| self.number.is_none() && knows(head));
        let known = named.map(|head| Dot::new(head.replica, head.seq)).collect();
        let heads = self.heads.iter().filter(|head| !knows(head)).cloned().collect();
        Some(BulkHeads {
            round: self.round,
            known: BoundedVec::<Dot, FRAME_REPLICAS>::new(known)?,
            heads: BoundedVec::new(heads)?,
            frontier: BoundedVec::new(self.frontier.dots().collect())?,
        })
    }
}

/// A chunk in the making.
#[derive(Default)]
struct Draft {
    upto: u64,
    live: Runs,
    staged: Vec<ContentHash>,
    entries: Vec<BulkEntry>,
    bytes: usize,
}

impl Draft {
    fn finish(self, round: u32, replica: ReplicaId) -> BulkChunk {
        let Self { upto, live, staged, entries, .. } = self;
        let bounded = "a draft stops at the bound";
        let staged = BoundedVec::new(staged).expect(bounded);
        BulkChunk { round, replica, upto, live, staged, entries: Columns(entries) }
    }
}
