//! Serving a bulk: everything live, in dot order, in chunks that are read as the peer takes them.
//!
//! No snapshot is held meanwhile: the vector V is fixed first (rule H2), the live dots under it are read over time, and
//! the log tail since V explains whatever died on the way. If the log no longer reaches back to V when the end comes, the
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
use crate::state::{BulkHead, decode_dot};
use crate::store::{Store, StoreError, Table};
use crate::sync::deltas::{Packer, short};
use crate::sync::live::pack;
use crate::sync::message::{BulkAsk, BulkChunk, BulkEntry, BulkHeads, Message};
use crate::sync::session::{Context, End, Session};

/// A bulk being served.
pub(super) struct Serving {
    pub(super) round: u32,
    /// V.
    heads: Vec<BulkHead>,
    frontier: Frontier,
    /// Where the log stood at V.
    log_next: u64,
    /// What the peer had when it asked; entries under it are not sent.
    peer: VersionVector,
    staged: DotRuns,
    deep: bool,
    /// Replicas with two histories: contents may differ under one dot, so they are sent whatever the peer has seen.
    contested: BTreeSet<ReplicaId>,
    /// Index into `heads`, and the seq up to which that replica was told.
    at: usize,
    told: u64,
}

impl Session {
    pub(super) fn on_bulk_ask<S: Store>(&mut self, cx: &Context<'_, S>, ask: BulkAsk) -> Result<(), End> {
        let heads = &cx.space.durable.heads;
        let forked = heads.iter().filter(|(_, head)| head.forked).map(|(replica, _)| *replica);
        self.serving = Some(Serving {
            round: ask.round,
            contested: forked.chain(self.contested.iter().copied()).collect(),
            heads: heads.iter().map(|(replica, head)| BulkHead::of(*replica, head)).collect(),
            frontier: cx.space.durable.frontier.clone(),
            log_next: cx.space.durable.log.next,
            peer: self.peer.clone(),
            staged: ask.staged,
            deep: ask.deep,
            at: 0,
            told: 0,
        });
        self.offered = false;
        Ok(())
    }

    /// Sends chunks while the peer has room, and the end when all is told.
    pub(super) fn serve_on<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        while self.serving.is_some() && self.may_send(cx.config.window_bytes) {
            let Some(serving) = &mut self.serving else { return Ok(()) };
            if let Some(chunk) = serving.next_chunk(cx)? {
                self.send_data(cx, &Message::BulkChunk(chunk));
            } else {
                return self.finish_serving(cx);
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
        self.send_data(cx, &Message::BulkHeads(heads));
        let mut next = serving.log_next;
        let end = cx.space.durable.log.next;
        while next < end {
            let mut packer = Packer::new();
            let mut stopped = end;
            cx.space.read_log(next, &mut |record| {
                if record.delta.last_seq() > has.seq(&record.delta.replica) {
                    if !packer.has_room(&record, cx.config.chunk_bytes) {
                        stopped = record.arrival;
                        return ControlFlow::Break(());
                    }
                    pack(cx, &mut packer, &record, &has, short(&record.previous));
                    has.observe(record.delta.replica, record.delta.last_seq());
                }
                ControlFlow::Continue(())
            })?;
            next = stopped;
            if !packer.is_empty() {
                self.send_data(cx, &Message::BulkTail(serving.round, packer.finish()));
            }
        }
        self.send_data(cx, &Message::BulkEnd(serving.round));
        self.peer = has;
        self.follow_log(cx, end);
        Ok(())
    }
}

impl Serving {
    /// The next stretch of the dot index; `None` when all of V is told.
    fn next_chunk<S: Store>(&mut self, cx: &Context<'_, S>) -> Result<Option<BulkChunk>, StoreError> {
        let Some(head) = self.heads.get(self.at) else { return Ok(None) };
        let (replica, seq) = (head.replica, head.seq);
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
            self.peer.seq(&head.replica) >= head.seq && !self.contested.contains(&head.replica) && !self.deep
        };
        let known = self.heads.iter().filter(knows).map(|head| Dot::new(head.replica, head.seq)).collect();
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
        BulkChunk { round, replica, upto, live, staged, entries: BoundedVec::new(entries).expect(bounded) }
    }
}
