//! Counters, when their writer gets a new id: see [`Carry`].
//!
//! | row | stays under the old id | goes on under the new one |
//! |---|---|---|
//! | totals of a counter | what was told | what came after, added and taken |
//! | what resets have seen of it | no more than was told | nothing: the new totals leave it out |
//! | a bounded counter's transfer | what was told | nothing: the rights stay with whoever gave them |
//!
//! A transfer that was never told has no reader, so taking it back harms nobody. Carried over it would hand out rights
//! that the other history of the old id may have spent, and the receiver would spend them again in good faith. What was
//! added goes along with its rights, and what was taken stays taken: it happened, and no other entry says so.

use alloc::vec::Vec;

use super::bounded::{pair_of, transfer_row};
use super::counter::{Totals, payload, replica_of, reset_row, total_row};
use crate::codec;
use crate::id::ReplicaId;
use crate::row::{Carry, Kind, Named, Payload, RowKey};

/// All data types whose rows name replicas: the counters.
pub(crate) struct Counters;

fn read(kind: Kind, bytes: &Payload) -> Option<Totals> {
    match kind {
        Kind::G_COUNTER => codec::decode(bytes).ok().map(|up| Totals { up, down: 0 }),
        _ => codec::decode(bytes).ok(),
    }
}

fn write(kind: Kind, totals: Totals) -> Payload {
    if kind == Kind::G_COUNTER { payload(&totals.up) } else { payload(&totals) }
}

/// Who gives and who gets, by a transfer of a bounded counter.
fn transfer(key: &RowKey) -> Option<(ReplicaId, ReplicaId)> {
    pair_of(key.element()).filter(|_| key.kind() == Kind::BOUNDED_COUNTER)
}

impl Carry for Counters {
    fn named(&self, key: &RowKey) -> Option<(ReplicaId, Named)> {
        let (kind, element) = (key.kind(), key.element());
        let is_total = matches!(kind, Kind::PN_COUNTER | Kind::G_COUNTER | Kind::BOUNDED_COUNTER);
        let total = replica_of(element).filter(|_| is_total).or_else(|| Some(transfer(key)?.0));
        let note = element.strip_suffix(&[0]).and_then(replica_of).filter(|_| kind == Kind::PN_COUNTER);
        total.map(|id| (id, Named::Total)).or_else(|| note.map(|id| (id, Named::Note)))
    }

    fn row_of(&self, key: &RowKey, replica: &ReplicaId, named: Named) -> Option<RowKey> {
        let object = key.object();
        let row = match (named, transfer(key)) {
            (Named::Total, Some((_, to))) => transfer_row(&object, replica, &to),
            (Named::Total, None) => total_row(&object, replica),
            (Named::Note, _) if key.kind() == Kind::BOUNDED_COUNTER => return None,
            (Named::Note, _) => reset_row(&object, replica),
        };
        row.ok()
    }

    fn less(&self, key: &RowKey, total: &Payload, stays: &[Payload]) -> Option<Payload> {
        if transfer(key).is_some() {
            return Some(payload(&0_u64));
        }
        let Totals { up, down } = read(key.kind(), total)?;
        let stays: Vec<Totals> = stays.iter().filter_map(|stays| read(key.kind(), stays)).collect();
        let stays = stays.into_iter().fold(Totals::default(), Totals::max);
        let rest = Totals { up: up.saturating_sub(stays.up), down: down.saturating_sub(stays.down) };
        Some(write(key.kind(), rest))
    }

    fn at_most(&self, key: &RowKey, note: &Payload, total: &Payload) -> Option<Payload> {
        let (note, total) = (read(key.kind(), note)?, read(key.kind(), total)?);
        let (up, down) = (note.up.min(total.up), note.down.min(total.down));
        Some(write(key.kind(), Totals { up, down }))
    }
}
