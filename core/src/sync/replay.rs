//! Taking a replay of a log in: linked as it comes, applied as far as signatures vouch for it, or dropped.

use crate::boundary::Now;
use crate::limits::SESSION_BUFFER_BYTES;
use crate::state::{Applied, Tags};
use crate::store::Store;
use crate::sync::deltas::{Linker, Unlinked};
use crate::sync::message::Deltas;
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

    pub(super) fn on_deltas<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        frame: &Deltas,
        size: usize,
    ) -> Result<(), End> {
        // What the peer knows of the own id was not written here: it may kill what was never told.
        if self.doubt {
            self.drop_queue(cx.now);
            return Ok(());
        }
        let space = cx.space.id;
        let (heads, tails, overlaps) = (&cx.space.heads, &mut self.tails, self.overlaps);
        let mut linker = Linker { space: &space, heads, tails, overlaps };
        let unpacked = linker.unpack(frame);
        self.overlaps = linker.overlaps;
        match unpacked {
            Ok(received) => {
                for received in received {
                    self.peer.observe(received.delta.replica, received.delta.last_seq());
                    self.held.observe(received.delta.replica, received.delta.last_seq());
                    self.queue.push_back(received);
                }
                self.queue_bytes += size;
                if self.queue_bytes > SESSION_BUFFER_BYTES {
                    return Err(MISBEHAVED);
                }
                self.apply_queue(cx)
            }
            Err(Unlinked::Nonsense) => Err(MISBEHAVED),
            Err(Unlinked::Gap) => {
                self.drop_queue(cx.now);
                Ok(())
            }
            Err(Unlinked::Fork(other)) => {
                if let Some(other) = other {
                    if !cx.space.is_signed(&other) {
                        return Err(MISBEHAVED);
                    }
                    if !cx.space.heed(&other, &Tags::default())? {
                        cx.space.mark_forked(other.replica)?;
                    }
                }
                self.drop_queue(cx.now);
                Ok(())
            }
        }
    }

    fn apply_queue<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        match cx.space.apply_received(cx.now, &mut self.queue, true)? {
            Applied::Done(count) => {
                cx.space.stats.deltas_from_sync += count;
                if self.queue.is_empty() {
                    self.queue_bytes = 0;
                    self.tails.clear();
                    self.overlaps = false;
                }
            }
            // A peer with another history, which it does not know of yet: the hello shows it.
            Applied::Invalid if self.overlaps => self.drop_queue(cx.now),
            Applied::Invalid => return Err(MISBEHAVED),
            Applied::Missing => self.drop_queue(cx.now),
            Applied::Fork { replica, proof } => {
                if let Some(proof) = proof
                    && !cx.space.heed(&proof.0, &proof.1)?
                {
                    cx.space.mark_forked(replica)?;
                }
                self.drop_queue(cx.now);
            }
        }
        Ok(())
    }

    /// Lets go of what arrived and cannot be applied, and says so: the peer then sends from what is durable here.
    pub(super) fn drop_queue(&mut self, now: Now) {
        self.queue.clear();
        self.queue_bytes = 0;
        self.tails.clear();
        self.overlaps = false;
        self.say_dropped(now);
    }

    /// Says hello to tell that something was dropped.
    pub(super) fn say_dropped(&mut self, now: Now) {
        if core::mem::replace(&mut self.dropped, true) && self.hello_at.is_some() {
            return;
        }
        // At once the first time; then at most every so often, or two sides could keep each other busy over one delta.
        let at = self.drop_told.map_or(now.mono_ms, |told| now.mono_ms.max(told + DROP_PAUSE_MS));
        self.drop_told = Some(at);
        self.hello_at = Some(at);
    }
}
