//! Taking a replay of a log in: linked as it comes, applied as far as signatures vouch for it, or dropped.

use crate::boundary::Now;
use crate::limits::SESSION_BUFFER_BYTES;
use crate::state::{Applied, Tags};
use crate::store::Store;
use crate::sync::deltas::{Linker, Tails, Unlinked};
use crate::sync::message::{Deltas, Message};
use crate::sync::session::{Context, End, MISBEHAVED, Session};

/// Least milliseconds between two hellos that say that something was dropped.
const DROP_PAUSE_MS: u64 = 500;

impl Session {
    /// What waits for a signature may have come another way meanwhile.
    pub(super) fn retry<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        if !self.queue.is_empty() {
            self.apply_queue(cx)?;
            if self.queue.is_empty() {
                self.settled = self.received;
            }
        }
        Ok(())
    }

    pub(super) fn on_deltas<S: Store>(&mut self, cx: &mut Context<'_, S>, frame: &Deltas) -> Result<(), End> {
        // What the peer knows of the own id was not written here: it may kill what was never told.
        if self.doubt {
            self.let_go(cx);
            return Ok(());
        }
        let key = self.key.ok_or(MISBEHAVED)?;
        self.names(cx, key);
        let mut linker = Linker::new(cx.space, &mut self.tails);
        (linker.names, linker.overlaps) = (Some((key, &self.names)), self.overlaps);
        linker.may_name = !self.gets_keys;
        let unpacked = linker.unpack(frame);
        self.overlaps = linker.overlaps;
        match unpacked {
            Ok(received) => {
                for received in received {
                    self.peer.observe(received.delta.replica, received.delta.last_seq());
                    self.held.observe(received.delta.replica, received.delta.last_seq());
                    cx.space.stats.rows_named += received.replaces.len() as u64;
                    self.queue_bytes += received.bytes.len();
                    self.queue.push_back(received);
                }
                if self.queue_bytes > SESSION_BUFFER_BYTES {
                    return Err(MISBEHAVED);
                }
                self.apply_queue(cx)
            }
            Err(Unlinked::Nonsense) => Err(MISBEHAVED),
            Err(Unlinked::Gap) => {
                self.let_go(cx);
                Ok(())
            }
            Err(Unlinked::Row) => {
                self.ask_keys(cx);
                Ok(())
            }
            Err(Unlinked::Store(error)) => Err(End::Store(error)),
            Err(Unlinked::Fork(other)) => {
                if let Some(other) = other {
                    if !cx.space.is_signed(&other) {
                        return Err(MISBEHAVED);
                    }
                    cx.space.heed_fork(&other, &Tags::default())?;
                }
                self.refuse_queue(cx);
                Ok(())
            }
        }
    }

    /// Lets go of what arrived, and wants keys: a row that was named by what it replaced is not known here, or there are two.
    /// Once a stream: what the peer had sent before it heard of it is let go of unseen.
    fn ask_keys<S: Store>(&mut self, cx: &mut Context<'_, S>) {
        if !core::mem::replace(&mut self.gets_keys, true) {
            cx.space.stats.keys_asked += 1;
            cx.send(&Message::Keys);
        }
        self.let_go(cx);
    }

    /// Lets go of what does not fit here. If rows in it were named by what they replaced, that may be why.
    fn refuse_queue<S: Store>(&mut self, cx: &mut Context<'_, S>) {
        if self.tails.named { self.ask_keys(cx) } else { self.let_go(cx) }
    }

    /// Lets go of what arrived, and of a bulk that goes on behind it: its tail leaves out what was sent before.
    fn let_go<S: Store>(&mut self, cx: &mut Context<'_, S>) {
        self.drop_queue(cx.now);
        if cx.take.as_ref().is_some_and(|take| take.session == cx.id) {
            self.give_up_bulk(cx);
        }
    }

    fn apply_queue<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        match cx.space.apply_received(cx.now, &mut self.queue, true)? {
            Applied::Done(count) => {
                cx.space.stats.deltas_from_sync += count;
                if self.queue.is_empty() {
                    self.queue_bytes = 0;
                    self.tails = Tails::default();
                    self.overlaps = false;
                }
            }
            // A peer with another history, which it does not know of yet: the hello shows it.
            Applied::Invalid if self.overlaps || self.tails.named => self.refuse_queue(cx),
            Applied::Invalid => return Err(MISBEHAVED),
            Applied::Later => {}
            Applied::Missing => self.refuse_queue(cx),
            Applied::Fork { proof, .. } => {
                if let Some(proof) = proof {
                    cx.space.heed_fork(&proof.0, &proof.1)?;
                }
                self.refuse_queue(cx);
            }
        }
        Ok(())
    }

    /// Lets go of what arrived and cannot be applied, and says so: the peer then sends from what is durable here.
    pub(super) fn drop_queue(&mut self, now: Now) {
        self.queue.clear();
        self.queue_bytes = 0;
        self.tails = Tails::default();
        self.overlaps = false;
        self.say_dropped(now);
    }

    /// Says hello to tell that something was dropped.
    pub(crate) fn say_dropped(&mut self, now: Now) {
        if core::mem::replace(&mut self.dropped, true) && self.hello_at.is_some() {
            return;
        }
        // At once the first time; then at most every so often, or two sides could keep each other busy over one delta.
        let at = self.drop_told.map_or(now.mono_ms, |told| now.mono_ms.max(told + DROP_PAUSE_MS));
        self.drop_told = Some(at);
        self.hello_at = Some(at);
    }
}
