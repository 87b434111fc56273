//! Counters, when their writer gets a new id: see [`Carry`].

use alloc::vec::Vec;

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

impl Carry for Counters {
    fn named(&self, key: &RowKey) -> Option<(ReplicaId, Named)> {
        let (kind, element) = (key.kind(), key.element());
        let note = element.strip_suffix(&[0]).and_then(replica_of).filter(|_| kind == Kind::PN_COUNTER);
        let total = replica_of(element).filter(|_| matches!(kind, Kind::PN_COUNTER | Kind::G_COUNTER));
        total.map(|id| (id, Named::Total)).or_else(|| note.map(|id| (id, Named::Note)))
    }

    fn row_of(&self, key: &RowKey, replica: &ReplicaId, named: Named) -> Option<RowKey> {
        let row = match named {
            Named::Total => total_row(&key.object(), replica),
            Named::Note => reset_row(&key.object(), replica),
        };
        row.ok()
    }

    fn less(&self, key: &RowKey, total: &Payload, stays: &[Payload]) -> Option<Payload> {
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
