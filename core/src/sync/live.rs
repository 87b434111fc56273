//! Sending the log, keeping a live session live, and proving that it is in sync.

use alloc::collections::BTreeMap;
use core::ops::ControlFlow;

use crate::id::ReplicaId;
use crate::state::{LogRecord, Replaced};
use crate::store::{Store, StoreError};
use crate::sync::message::{Deltas, Intro, Previous};
use crate::sync::pack::{Packer, short};
use crate::sync::session::{Context, End, Session};

impl Session {
    /// Goes on in the log from `cursor`: as far as it is now, or for ever when deltas are pushed on streams.
    pub(super) fn follow_log<S: Store>(&mut self, cx: &Context<'_, S>, cursor: u64) {
        self.cursor = cursor;
        self.until = cx.space.durable.log.next;
        self.offered = false;
    }

    /// The peer's vector is known: sends what it lacks, from the log if that reaches back, else by an offer of bulk.
    pub(super) fn begin_sending<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        if self.serving.is_some() || self.doubt || cx.space.is_parting() {
            return Ok(());
        }
        let lacks = |(id, head): (&ReplicaId, &crate::state::Head)| head.seq > self.peer.seq(id);
        let lacking = cx.space.durable.heads.iter().any(lacks);
        if self.contested.is_empty() && (!lacking || cx.space.log_covers(&self.peer)) {
            let cursor = cx.space.log_start(&self.peer)?;
            self.follow_log(cx, cursor);
        } else {
            self.offer_bulk(cx)?;
        }
        Ok(())
    }

    /// Does what has become possible: acknowledges, sends on, says hello again, proves.
    pub(crate) fn advance<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        self.retry(cx)?;
        self.finish_take(cx)?;
        self.take_offer(cx)?;
        self.acknowledge(cx);
        if !self.greeted {
            return Ok(());
        }
        self.serve_on(cx)?;
        self.send_log(cx)?;
        let told = cx.space.is_idle() && cx.space.durable.generation >= self.hello_after;
        if told && self.hello_at.is_some_and(|at| at <= cx.now.mono_ms) {
            self.say_hello(cx)?;
        }
        self.prove(cx)?;
        let changed = self.agreed != Some(cx.space.durable.generation);
        if changed && self.hello_at.is_none() {
            let half = cx.config.anti_entropy_ms / 2;
            self.hello_at = Some(cx.now.mono_ms + half + cx.space.entropy.below(half));
        }
        Ok(())
    }

    /// Sends the log while there is any beyond the cursor and the peer has room.
    fn send_log<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        let may_tell = self.knows_peer() && !cx.space.is_parting();
        if !may_tell || self.offered || self.serving.is_some() {
            return Ok(());
        }
        let end = cx.space.durable.log.next;
        let until = if cx.push { end } else { self.until.min(end) };
        while self.cursor < until && self.may_send(cx.config.window_bytes) {
            // The log may have been cut behind a slow peer, or a bulk commit may have jumped over what it never held.
            if !cx.space.log_covers(&self.peer) {
                return self.offer_bulk(cx);
            }
            let (deltas, ends) = self.next_frame(cx, until)?;
            if let Some(deltas) = deltas {
                if let Some(seq) = cx.space.replica().and_then(|own| ends.get(&own)) {
                    cx.space.tell(*seq);
                }
                self.send_deltas(cx, deltas, ends);
            }
        }
        Ok(())
    }

    /// Packs deltas from the cursor on that the peer lacks, and moves the cursor behind them. Says where each of their
    /// replicas ends.
    fn next_frame<S: Store>(
        &mut self,
        cx: &Context<'_, S>,
        until: u64,
    ) -> Result<(Option<Deltas>, BTreeMap<ReplicaId, u64>), StoreError> {
        let mut packer = Packer::new(self.key);
        let may_name = !self.gives_keys;
        let mut ends = BTreeMap::new();
        let mut next = until;
        cx.space.read_log(self.cursor, &mut |record| {
            if record.arrival >= until {
                return ControlFlow::Break(());
            }
            if record.delta.last_seq() > self.peer.seq(&record.delta.replica) {
                if !packer.has_room(&record, cx.config.chunk_bytes) {
                    next = record.arrival;
                    return ControlFlow::Break(());
                }
                let previous = self.previous(&record);
                let replaced = may_name.then_some(&cx.space.replaced);
                pack(cx, &mut packer, &record, &self.peer, previous, replaced);
                self.peer.observe(record.delta.replica, record.delta.last_seq());
                ends.insert(record.delta.replica, record.delta.last_seq());
            }
            ControlFlow::Continue(())
        })?;
        self.cursor = next;
        Ok(((!packer.is_empty()).then(|| packer.finish()), ends))
    }

    /// The chain before a record: cut, unless the peer has another history and needs all of it to see that proven.
    fn previous(&mut self, record: &LogRecord) -> Previous {
        let short = short(&record.previous);
        let replica = record.delta.replica;
        let first = self.told.get(&replica).filter(|(seq, _)| *seq > 0 && *seq == self.peer.seq(&replica));
        if first.is_none_or(|(seq, tag)| record.delta.first_seq == seq + 1 && short == Previous::Short(*tag))
        {
            return short;
        }
        self.misfits.insert(replica);
        Previous::Whole(record.previous)
    }

    /// Names the state when all was sent and all that arrived is settled; agrees when both named the same.
    fn prove<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        let generation = cx.space.durable.generation;
        let quiet = self.peer_known
            && self.serving.is_none()
            && cx.take.as_ref().is_none_or(|take| take.session != cx.id)
            && self.queue.is_empty()
            && cx.space.is_settled();
        if self.proofs_left == 0 || !quiet || self.agreed == Some(generation) {
            return Ok(());
        }
        if self.announced != Some(generation) {
            self.proofs_left -= 1;
            self.say_root(cx)?;
        }
        if self.is_equal(cx)? {
            self.peer.merge(&cx.space.durable.heads.vector());
            return self.agree(cx);
        }
        Ok(())
    }
}

/// Adds a delta to a frame for a peer at `peer`, its rows named by what they replace as far as that is known.
pub(super) fn pack<S: Store>(
    cx: &Context<'_, S>,
    packer: &mut Packer,
    record: &LogRecord,
    peer: &crate::clock::VersionVector,
    previous: Previous,
    replaced: Option<&Replaced>,
) {
    let replica = record.delta.replica;
    let intro = (peer.seq(&replica) == 0)
        .then(|| cx.space.durable.heads.get(&replica))
        .flatten()
        .map(|head| Intro { device: head.device, nonce: head.nonce });
    packer.push(record, previous, intro, replaced);
}
