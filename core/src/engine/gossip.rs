//! Gossip: own deltas published as they become durable, others' taken in, early ones kept for a while.
//!
//! Gossip only saves time. A message may come late, twice, out of order or never; whatever it cannot deliver is found by
//! the next hello. Runs that arrive before their past are kept, verified, up to a bound.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::boundary::{Output, Push, Verdict};
use crate::codec::{self, BoundedBytes};
use crate::engine::Engine;
use crate::id::{Dot, ReplicaId};
use crate::identity::signed_head;
use crate::limits::GOSSIP_BYTES;
use crate::planted::Rule;
use crate::row::chain_start;
use crate::state::{Applied, LogRecord, Received, SignedHead, Tags};
use crate::store::{Store, StoreError};
use crate::sync::message::{Announcement, Gossip, Gossiped, Intro};
use crate::sync::{Session, unpack_alone};

/// Verified runs whose past is not here yet.
#[derive(Default)]
pub(super) struct Early {
    runs: BTreeMap<(ReplicaId, u64), Vec<Received>>,
    bytes: usize,
}

impl Early {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn size(run: &[Received]) -> usize {
    run.iter().map(|received| received.bytes.len()).sum()
}

/// A delta as it is published, unless it is too large for that.
fn gossip(record: &LogRecord, intro: Intro) -> Option<Vec<u8>> {
    let delta = BoundedBytes::new(record.delta.encode())?;
    let gossiped = Gossiped { intro, previous: record.previous, signature: record.signature?, delta };
    Some(codec::encode(&Gossip::Delta(gossiped))).filter(|frame| frame.len() <= GOSSIP_BYTES)
}

impl<S: Store> Engine<S> {
    /// Publishes own deltas that became durable since the last time.
    pub(super) fn publish(&mut self) -> Result<(), StoreError> {
        // What another copy of this store wrote meanwhile only a peer can tell: that comes first.
        let may_tell = self.met || !self.space.planted.keeps(Rule::OwnEntryFirst);
        if self.space.is_parting() || !may_tell {
            return Ok(());
        }
        let (from, end) = (self.published, self.space.durable.log.next);
        self.published = end;
        let by_gossip = matches!(self.config.push, Push::Gossip | Push::Auto(_))
            && !self.pushes_on_streams(self.sessions.len());
        let Some(own) = self.space.replica().filter(|_| by_gossip && from < end) else { return Ok(()) };
        let mut records: Vec<LogRecord> = Vec::new();
        self.space.read_log(from, &mut |record| {
            if record.delta.replica == own && record.arrival < end {
                records.push(record);
            }
            ControlFlow::Continue(())
        })?;
        let Some(head) = self.space.durable.heads.get(&own) else { return Ok(()) };
        let intro = Intro { device: head.device, nonce: head.nonce };
        let durable = head.seq;
        let head = SignedHead::of(&own, head);
        for record in records {
            let frame = gossip(&record, intro)
                .unwrap_or_else(|| codec::encode(&Gossip::Announce(Announcement { head, intro })));
            self.space.stats.gossip_out += 1;
            self.out.push_back(Output::Publish { frame });
            self.space.tell(durable);
        }
        Ok(())
    }

    /// Takes in a message and judges it.
    pub(super) fn gossiped(&mut self, frame: &[u8]) -> Verdict {
        if frame.len() > GOSSIP_BYTES {
            return Verdict::Reject;
        }
        match codec::decode::<Gossip>(frame) {
            Err(_) => Verdict::Reject,
            Ok(Gossip::Announce(announcement)) => self.announced(&announcement),
            Ok(Gossip::Presence(beat)) => self.heard_presence(beat),
            Ok(Gossip::Delta(delta)) => self.gossiped_delta(&delta).unwrap_or_else(|error| {
                self.fail(error);
                Verdict::Ignore
            }),
        }
    }

    fn announced(&mut self, Announcement { head, intro }: &Announcement) -> Verdict {
        let message = signed_head(&self.space.id, &head.replica, head.seq, &head.chain);
        let own = ReplicaId::derive(&intro.device, &self.space.id, &intro.nonce) == head.replica;
        if !own || !self.space.identity.verify(&intro.device, &message, &head.signature) {
            return Verdict::Reject;
        }
        if self.space.heads.contains(&Dot::new(head.replica, head.seq)) {
            self.space.stats.gossip_duplicates += 1;
            return Verdict::Ignore;
        }
        self.sessions.values_mut().for_each(|session| session.hello_soon(self.now, 0));
        Verdict::Relay
    }

    fn gossiped_delta(&mut self, gossiped: &Gossiped) -> Result<Verdict, StoreError> {
        let Some(mut received) = unpack_alone(&self.space.id, gossiped) else { return Ok(Verdict::Reject) };
        let signed = self.space.vouch(&mut received);
        let (replica, first_seq) = (received.delta.replica, received.delta.first_seq);
        let starts = first_seq > 1 || received.previous == chain_start(&self.space.id, &replica);
        if !signed || !starts {
            return Ok(Verdict::Reject);
        }
        let (key, bytes) = ((replica, first_seq), received.bytes.len());
        let mut queue = VecDeque::from([received]);
        match self.space.apply_received(self.now, &mut queue, false)? {
            Applied::Done(0) => {
                self.space.stats.gossip_duplicates += 1;
                return Ok(Verdict::Ignore);
            }
            Applied::Done(count) => {
                self.space.stats.deltas_from_gossip += count;
                self.retry_early();
            }
            Applied::Invalid => return Ok(Verdict::Reject),
            Applied::Fork { replica, proof } => {
                // The delta was verified above.
                self.forked(replica, proof)?;
                self.sessions.values_mut().for_each(|session| session.hello_soon(self.now, 0));
            }
            Applied::Missing | Applied::Later if self.early.bytes + bytes <= self.config.early_bytes => {
                self.space.stats.early_kept += 1;
                if let Some(replaced) = self.early.runs.insert(key, queue.into()) {
                    self.early.bytes -= size(&replaced);
                }
                self.early.bytes += bytes;
            }
            Applied::Missing | Applied::Later => {
                self.space.stats.early_dropped += 1;
                // Whoever is connected has it, or will: ask.
                self.sessions.values_mut().for_each(|session| Session::hello_later(session, self.now));
            }
        }
        Ok(Verdict::Relay)
    }

    /// A verified run showed another history.
    fn forked(
        &mut self,
        replica: ReplicaId,
        proof: Option<Box<(SignedHead, Tags)>>,
    ) -> Result<(), StoreError> {
        match proof {
            Some(proof) => self.space.heed_fork(&proof.0, &proof.1),
            None => self.space.mark_forked(replica),
        }
    }

    /// Applies early runs whose past has arrived.
    pub(super) fn retry_early(&mut self) {
        let mut progress = self.space.planted.keeps(Rule::H3NoGaps) && !self.early.runs.is_empty();
        while progress {
            progress = false;
            let keys: Vec<_> = self.early.runs.keys().copied().collect();
            for key in keys {
                let next = self.space.heads.seq(&key.0) + 1;
                if key.1 > next {
                    continue;
                }
                let Some(run) = self.early.runs.remove(&key) else { continue };
                self.early.bytes -= size(&run);
                let mut queue: VecDeque<Received> = run.into();
                match self.space.apply_received(self.now, &mut queue, false) {
                    Ok(Applied::Done(count)) => {
                        self.space.stats.deltas_from_gossip += count;
                        progress |= count > 0;
                    }
                    Ok(Applied::Missing | Applied::Later) => {
                        let run: Vec<Received> = queue.into();
                        self.early.bytes += size(&run);
                        self.early.runs.insert(key, run);
                    }
                    Ok(Applied::Invalid) => {}
                    Ok(Applied::Fork { replica, proof }) => {
                        if let Err(error) = self.forked(replica, proof) {
                            return self.fail(error);
                        }
                    }
                    Err(error) => return self.fail(error),
                }
            }
        }
    }
}
