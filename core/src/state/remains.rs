//! What is left of a store that cannot be trusted: entries that are still what their hashes say, and who wrote them.
//!
//! Reading stops at damaged pages, so tables are read from both ends, and rows between are looked up by the index of dots.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::codec;
use crate::id::{DeviceKey, ReplicaId, SpaceId};
use crate::identity::Identity;
use crate::row::{Entry, RowKey};
use crate::state::overlay::decode_dot;
use crate::state::{Head, read_own};
use crate::store::{Store, StoreError, Table};

/// Who wrote in a store, as far as it can be told: replicas whose heads are signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authors {
    /// Replica -> the device that vouches for it, and how many of its dots were known.
    pub known: BTreeMap<ReplicaId, (DeviceKey, u64)>,
    /// The id that the store wrote under.
    pub own: Option<ReplicaId>,
}

impl Authors {
    /// Whether a replica is this device's, or was that of the store.
    pub fn is_own(&self, replica: &ReplicaId, device: &DeviceKey) -> bool {
        self.own == Some(*replica) || self.known.get(replica).is_some_and(|(author, _)| author == device)
    }

    /// Reads what can be read. `identity` checks signatures, whosever it is.
    pub fn of<S: Store>(store: &S, space: &SpaceId, identity: &dyn Identity) -> Self {
        let mut known = BTreeMap::new();
        both_ways(store, Table::Replicas, &mut |key, value| {
            let id = <[u8; 16]>::try_from(key).ok().map(ReplicaId::from_bytes);
            let head = id.and_then(|id| Some((id, Head::decode(&id, value).ok()?)));
            if let Some((id, head)) = head.filter(|(id, head)| head.is_vouched_for(space, id, identity)) {
                known.insert(id, (head.device, head.seq));
            }
        });
        let own = read_own(store).ok().flatten().and_then(|own| own.incarnation);
        Self { known, own: own.map(|own| own.replica) }
    }
}

/// Visits every entry that can still be read and is what its hash says, each once, and says how many rows could not.
/// Rows behind damaged pages that no index names are not counted.
pub fn visit_intact<S: Store>(store: &S, visit: &mut dyn FnMut(&RowKey, &Entry)) -> u64 {
    let mut unreadable = 0;
    let mut take = |key: &[u8], value: &[u8]| {
        let Some(row) = RowKey::from_bytes(key).ok() else { return unreadable += 1 };
        let entries = codec::decode::<Vec<Entry>>(value).unwrap_or_default();
        let intact = entries.iter().filter(|entry| entry.is_intact(&row));
        let seen = intact.map(|entry| visit(&row, entry)).count();
        unreadable += u64::from(seen == 0 || seen < entries.len());
    };
    let Some((first, last)) = both_ways(store, Table::Rows, &mut take) else { return unreadable };
    // What lies between is known by the index alone.
    let mut between = BTreeSet::new();
    both_ways(store, Table::Dots, &mut |key, value| {
        if let Ok((_, _, row)) = decode_dot(key, value)
            && row.as_bytes() > first.as_slice()
            && last.as_ref().is_none_or(|last| row.as_bytes() < last.as_slice())
        {
            between.insert(row);
        }
    });
    for row in between {
        match store.get(Table::Rows, row.as_bytes()) {
            Ok(Some(value)) => take(row.as_bytes(), &value),
            Ok(None) => {}
            // No key: it counts as one that cannot be read.
            Err(_) => take(&[], &[]),
        }
    }
    unreadable
}

/// Reads a table up from its beginning and, where that ends early, down from its end. Then it says between which keys
/// nothing was read; the upper one is missing where nothing was read from that end.
fn both_ways<S: Store>(
    store: &S,
    table: Table,
    take: &mut dyn FnMut(&[u8], &[u8]),
) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let mut first = Vec::new();
    let up: Result<(), StoreError> = store.scan(table, &[], &mut |key, value| {
        first = key.to_vec();
        take(key, value);
        ControlFlow::Continue(())
    });
    if up.is_ok() {
        return None;
    }
    let mut last = None;
    // No key is longer, or has larger bytes.
    let _ = store.scan_back(table, &[0xff; crate::limits::KEY_BYTES + 1], &mut |key, value| {
        if key <= first.as_slice() {
            return ControlFlow::Break(());
        }
        last = Some(key.to_vec());
        take(key, value);
        ControlFlow::Continue(())
    });
    Some((first, last))
}
