//! The log: recent deltas in arrival order, bounded.
//!
//! Arrival order is a causal order, so a replay can be applied as it comes. Dropping the oldest delta of a replica raises
//! its floor: above the floors the log is complete, and a peer whose vector reaches every floor can be served from it
//! exactly. Stored signatures vouch for the chain up to their delta; the newest delta of each replica always has one.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::clock::VersionVector;
use crate::codec::{self, BoundedBytes};
use crate::error::CodecError;
use crate::id::{Chain, Dot, ReplicaId, Signature};
use crate::limits::DELTA_BYTES;
use crate::row::Delta;
use crate::row::stored::{take, take_array, take_varint};
use crate::state::{Space, overlay};
use crate::store::{Store, StoreError, Table};

/// A stored delta.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    previous: Chain,
    signature: Option<Signature>,
    delta: BoundedBytes<DELTA_BYTES>,
}

impl Stored {
    fn encode(previous: Chain, signature: Option<Signature>, delta: Vec<u8>) -> Vec<u8> {
        let delta = BoundedBytes::new(delta).expect("a delta is within its limit");
        codec::encode(&Self { previous, signature, delta })
    }
}

/// Of a stored delta: its author, its last seq, and how many bytes it has. All that is asked of what is dropped, and read
/// without the rest.
fn decode_start(value: &[u8]) -> Result<(ReplicaId, u64, usize), CodecError> {
    let mut rest = value;
    take(&mut rest, size_of::<Chain>())?;
    let signature = take(&mut rest, 1)?;
    if signature == [1] {
        take(&mut rest, size_of::<Signature>())?;
    }
    let size = take_varint(&mut rest)?;
    let whole = rest.len();
    let replica = ReplicaId::from_bytes(take_array(&mut rest)?);
    let (first, len) = (take_varint(&mut rest)?, take_varint(&mut rest)?);
    let last = first.checked_add(len).and_then(|end| end.checked_sub(1)).ok_or(CodecError::Malformed)?;
    if signature[0] > 1 || size != whole as u64 {
        Err(CodecError::Malformed)
    } else {
        Ok((replica, last, whole))
    }
}

/// A delta of the log.
#[derive(Clone, Debug)]
pub(crate) struct LogRecord {
    /// Its arrival number.
    pub(crate) arrival: u64,
    pub(crate) delta: Delta,
    /// Its author's chain before it.
    pub(crate) previous: Chain,
    /// Its author's signature on the chain after it, if one is known.
    pub(crate) signature: Option<Signature>,
    /// Bytes of the delta.
    pub(crate) size: usize,
}

pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<LogRecord, StoreError> {
    let arrival = key.try_into().map(u64::from_be_bytes);
    let stored = codec::decode::<Stored>(value);
    let (Ok(arrival), Ok(stored)) = (arrival, stored) else {
        return Err(overlay::damaged(CodecError::Malformed));
    };
    let delta = Delta::decode(&stored.delta).map_err(|_| overlay::damaged(CodecError::Malformed))?;
    let Stored { previous, signature, delta: bytes } = stored;
    Ok(LogRecord { arrival, delta, previous, signature, size: bytes.len() })
}

impl<S: Store> Space<S> {
    /// Appends a delta, then drops the oldest ones beyond the bound.
    pub(super) fn append_log(
        &mut self,
        delta: Vec<u8>,
        previous: Chain,
        signature: Option<Signature>,
    ) -> Result<(), StoreError> {
        let size = delta.len() as u64;
        let arrival = self.log.next.to_be_bytes().to_vec();
        self.overlay.put(Table::Log, arrival, Stored::encode(previous, signature, delta));
        self.log.next += 1;
        self.log.bytes += size;
        while self.log.bytes > self.log_limit {
            let key = self.log.first.to_be_bytes();
            let value = self.overlay.get(Table::Log, &key)?;
            let oldest = value.ok_or(CodecError::Malformed).and_then(|value| decode_start(&value));
            let (replica, last_seq, size) = oldest.map_err(overlay::damaged)?;
            self.overlay.delete(Table::Log, key.to_vec());
            self.log.first += 1;
            self.log.bytes -= size as u64;
            if let Some(head) = self.heads.0.get_mut(&replica) {
                head.floor = head.floor.max(last_seq);
            }
            self.touch_head(replica);
        }
        Ok(())
    }

    /// The deltas of a replica after `seq` that the log holds, in memory.
    pub(super) fn logged_after(&self, replica: &ReplicaId, seq: u64) -> Result<Vec<LogRecord>, StoreError> {
        let (mut records, mut failed) = (Vec::new(), None);
        self.overlay.scan(Table::Log, &[], &mut |key, value| {
            match decode(key, value) {
                Ok(record) if record.delta.replica == *replica && record.delta.first_seq > seq => {
                    records.push(record);
                }
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        failed.map_or(Ok(records), Err)
    }

    /// Puts another delta in the place of one.
    pub(super) fn replace_in_log(
        &mut self,
        record: &LogRecord,
        delta: &Delta,
        previous: Chain,
        signature: Option<Signature>,
    ) {
        let delta = delta.encode();
        self.log.bytes = self.log.bytes + delta.len() as u64 - record.size as u64;
        let stored = Stored::encode(previous, signature, delta);
        self.overlay.put(Table::Log, record.arrival.to_be_bytes().to_vec(), stored);
    }

    /// Visits durable deltas from arrival number `from` on.
    pub(crate) fn read_log(
        &self,
        from: u64,
        visit: &mut dyn FnMut(LogRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut failed = None;
        self.overlay.store().scan(
            Table::Log,
            &from.to_be_bytes(),
            &mut |key, value| match decode(key, value) {
                Ok(record) => visit(record),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        failed.map_or(Ok(()), Err)
    }

    /// Visits durable deltas from the newest back.
    pub(crate) fn read_log_back(
        &self,
        visit: &mut dyn FnMut(LogRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let end = self.durable.log.next.to_be_bytes();
        let mut failed = None;
        self.overlay.store().scan_back(Table::Log, &end, &mut |key, value| match decode(key, value) {
            Ok(record) => visit(record),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Whether the durable log holds everything that somebody at `peer` lacks.
    pub(crate) fn log_covers(&self, peer: &VersionVector) -> bool {
        // A fork counts as soon as it is seen: what would be replayed is refused on the other side.
        self.durable.heads.iter().all(|(replica, head)| {
            let forked = self.heads.get(replica).is_some_and(|head| head.forked);
            let floor = if forked { head.seq } else { head.floor };
            floor <= peer.seq(replica)
        })
    }

    /// The arrival number of the first durable delta that somebody at `peer` lacks, given that the log covers it. Costs
    /// what lies behind it: the log is read from its end.
    pub(crate) fn log_start(&self, peer: &VersionVector) -> Result<u64, StoreError> {
        let lacking = |(replica, head): (_, &super::Head)| head.seq.saturating_sub(peer.seq(replica));
        let mut missing: u64 = self.durable.heads.iter().map(lacking).sum();
        let mut start = self.durable.log.next;
        if missing == 0 {
            return Ok(start);
        }
        let mut failed = None;
        self.overlay.store().scan_back(Table::Log, &start.to_be_bytes(), &mut |key, value| {
            match decode(key, value) {
                Ok(record) => {
                    let known = peer.seq(&record.delta.replica).max(record.delta.first_seq - 1);
                    if record.delta.last_seq() > known {
                        start = record.arrival;
                        missing = missing.saturating_sub(record.delta.last_seq() - known);
                    }
                }
                Err(error) => failed = Some(error),
            }
            if missing == 0 || failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        failed.map_or(Ok(start), Err)
    }

    /// The chain of `dot.replica` at `dot.seq`, if memory or the log still knows it.
    pub(crate) fn chain_at(&mut self, dot: Dot) -> Result<Option<Chain>, StoreError> {
        self.seal()?;
        if let Some(head) = self.heads.get(&dot.replica).filter(|head| head.seq == dot.seq) {
            return Ok(Some(head.chain));
        }
        let (mut chain, mut failed) = (None, None);
        self.overlay.scan(Table::Log, &[], &mut |key, value| {
            match decode(key, value) {
                Ok(next) if next.delta.replica == dot.replica && next.delta.first_seq == dot.seq + 1 => {
                    chain = Some(next.previous);
                }
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
            if chain.is_some() || failed.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        failed.map_or(Ok(chain), Err)
    }
}
