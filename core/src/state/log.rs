//! The log: recent deltas in arrival order, bounded.
//!
//! Arrival order is a causal order, so a replay can be applied as it comes. Dropping the oldest delta of a replica raises
//! its floor: above the floors the log is complete, and a peer whose vector reaches every floor can be served from it
//! exactly. Stored signatures vouch for the chain up to their delta; the newest delta of each replica always has one.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::clock::VersionVector;
use crate::error::CodecError;
use crate::id::{Chain, Dot, ReplicaId, Signature};
use crate::row::Delta;
use crate::row::stored::{push_varint, take_array, take_varint};
use crate::state::{Space, overlay};
use crate::store::{Store, StoreError, Table};

/// A stored delta, its own bytes last: postcard's form of it, byte for byte, read in place.
struct Stored<'a> {
    previous: Chain,
    signature: Option<Signature>,
    delta: &'a [u8],
}

impl<'a> Stored<'a> {
    fn encode(&self) -> Vec<u8> {
        let Self { previous, signature, delta } = self;
        let mut value = Vec::with_capacity(MORE_BYTES + delta.len());
        value.extend_from_slice(&previous.0);
        value.push(u8::from(signature.is_some()));
        signature.iter().for_each(|signature| value.extend_from_slice(&signature.0));
        push_varint(delta.len() as u64, &mut value);
        value.extend_from_slice(delta);
        value
    }

    fn decode(value: &'a [u8]) -> Result<Self, CodecError> {
        let mut rest = value;
        let previous = Chain(take_array(&mut rest)?);
        let signature = match take_array(&mut rest)? {
            [0] => None,
            [1] => Some(Signature(take_array(&mut rest)?)),
            _ => return Err(CodecError::Malformed),
        };
        let size = take_varint(&mut rest)?;
        if size == rest.len() as u64 {
            Ok(Self { previous, signature, delta: rest })
        } else {
            Err(CodecError::Malformed)
        }
    }
}

/// What is stored beside a delta, at most.
const MORE_BYTES: usize = size_of::<Chain>() + 1 + size_of::<Signature>() + 5;

/// How a delta begins: all that is asked of most that are only counted or dropped, and read without the rest.
struct Start {
    replica: ReplicaId,
    first_seq: u64,
    last_seq: u64,
    /// Bytes of the delta.
    size: usize,
}

impl Start {
    /// Of a stored delta.
    fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let mut rest = Stored::decode(value)?.delta;
        let size = rest.len();
        let replica = ReplicaId::from_bytes(take_array(&mut rest)?);
        let (first_seq, len) = (take_varint(&mut rest)?, take_varint(&mut rest)?);
        let last_seq = first_seq.checked_add(len).and_then(|end| end.checked_sub(1));
        let last_seq =
            last_seq.filter(|last| 1 <= first_seq && first_seq <= *last).ok_or(CodecError::Malformed)?;
        Ok(Self { replica, first_seq, last_seq, size })
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
    let (Ok(arrival), Ok(stored)) = (arrival, Stored::decode(value)) else {
        return Err(overlay::damaged(CodecError::Malformed));
    };
    let Stored { previous, signature, delta: bytes } = stored;
    let delta = Delta::decode(bytes).map_err(|_| overlay::damaged(CodecError::Malformed))?;
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
        self.overlay.put(Table::Log, arrival, Stored { previous, signature, delta: &delta }.encode());
        self.log.next += 1;
        self.log.bytes += size;
        while self.log.bytes > self.log_limit {
            let key = self.log.first.to_be_bytes();
            let value = self.overlay.get(Table::Log, &key)?;
            let oldest = value.ok_or(CodecError::Malformed).and_then(|value| Start::decode(&value));
            let Start { replica, last_seq, size, .. } = oldest.map_err(overlay::damaged)?;
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
        let stored = Stored { previous, signature, delta: &delta }.encode();
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
            match (key.try_into().map(u64::from_be_bytes), Start::decode(value)) {
                (Ok(arrival), Ok(Start { replica, first_seq, last_seq, .. })) => {
                    let known = peer.seq(&replica).max(first_seq - 1);
                    if last_seq > known {
                        start = arrival;
                        missing = missing.saturating_sub(last_seq - known);
                    }
                }
                _ => failed = Some(overlay::damaged(CodecError::Malformed)),
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

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;
    use crate::codec::{self, BoundedBytes};

    type Posted = (Chain, Option<Signature>, BoundedBytes<1000>);

    fn posted(signed: bool, delta: &[u8]) -> Vec<u8> {
        let signature = signed.then_some(Signature([2; 64]));
        codec::encode::<Posted>(&(Chain([1; 32]), signature, BoundedBytes::new(delta.to_vec()).unwrap()))
    }

    quickcheck! {
        fn a_stored_delta_is_what_postcard_makes_of_it(signed: bool, delta: Vec<u8>) -> bool {
            let bytes = posted(signed, &delta);
            let stored = Stored::decode(&bytes).unwrap();
            stored.delta == delta && stored.signature.is_some() == signed && stored.encode() == bytes
        }

        /// Whatever is done to the bytes: both readers take them, or both refuse them.
        fn what_postcard_refuses_is_refused(signed: bool, delta: Vec<u8>, at: usize, byte: u8, cut: bool) -> bool {
            let mut bytes = posted(signed, &delta);
            let at = at % bytes.len();
            bytes[at] ^= byte;
            if cut {
                bytes.truncate(at);
            }
            Stored::decode(&bytes).is_ok() == codec::decode::<Posted>(&bytes).is_ok()
        }
    }
}
