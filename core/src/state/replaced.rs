//! Which dot a put replaced, so that a session can leave out its row key: see [`crate::sync`].
//!
//! A delta says what it puts and what it kills, not which kill was in which row, and what was killed is gone. Whoever made
//! the delta knows; so does whoever was told. It is kept in memory only, for the newest puts of the log: what is forgotten
//! is sent with its key.

use alloc::collections::{BTreeMap, VecDeque};
use core::ops::ControlFlow;

use crate::id::Dot;
use crate::limits::{RECALLED_BYTES, RECALLED_DELTAS, REPLACED_PUTS};
use crate::row::RowKey;
use crate::state::Space;
use crate::store::{Store, StoreError};

/// Dots of puts, and for each one of the dots that were live in its row before.
#[derive(Default)]
pub(crate) struct Replaced {
    by_put: BTreeMap<Dot, Dot>,
    /// In the order in which they became known; some may be forgotten already.
    order: VecDeque<Dot>,
}

impl Replaced {
    /// A put took the place of `killed`, or of nothing.
    pub(crate) fn note(&mut self, put: Dot, killed: Option<Dot>) {
        let Some(killed) = killed else {
            // A commit that failed may have used the dot before.
            self.by_put.remove(&put);
            return;
        };
        if self.by_put.insert(put, killed).is_none() {
            self.order.push_back(put);
        }
        if self.order.len() > REPLACED_PUTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_put.remove(&oldest);
        }
    }

    /// What a put replaced, if that is remembered.
    pub(crate) fn by(&self, put: &Dot) -> Option<Dot> {
        self.by_put.get(put).copied()
    }

    /// Some dots have another name from now on, and may come to mean something else.
    pub(crate) fn forget(&mut self, renamed: impl Fn(&Dot) -> bool) {
        self.by_put.retain(|put, _| !renamed(put));
    }

    /// Takes over what a put had replaced that never left here: a later one took its place.
    pub(crate) fn inherit(&mut self, from: &Dot) -> Option<Dot> {
        self.by_put.remove(from)
    }
}

impl<S: Store> Space<S> {
    /// The row of a dot that is live in memory.
    pub(crate) fn live_row(&self, dot: &Dot) -> Result<Option<RowKey>, StoreError> {
        Ok(self.overlay.place(dot)?.map(|(_, key)| key))
    }

    /// The rows of what was put of late, dead or not: what two write at one time was mostly written shortly before.
    pub(crate) fn recent_rows(&self) -> Result<BTreeMap<Dot, RowKey>, StoreError> {
        let mut rows = BTreeMap::new();
        let (mut deltas, mut bytes) = (0, 0);
        self.read_log_back(&mut |record| {
            (deltas, bytes) = (deltas + 1, bytes + record.size);
            if deltas > RECALLED_DELTAS || bytes > RECALLED_BYTES {
                return ControlFlow::Break(());
            }
            rows.extend(record.delta.put_rows().map(|(dot, key)| (dot, key.clone())));
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ReplicaId;

    fn dot(seq: u64) -> Dot {
        Dot::new(ReplicaId::from_u128(1), seq)
    }

    #[test]
    fn the_newest_are_remembered_and_no_more_than_are_allowed() {
        let mut replaced = Replaced::default();
        let all = REPLACED_PUTS as u64 + 10;
        for seq in 1..=all {
            replaced.note(dot(seq), Some(dot(seq + 1000)));
            replaced.note(dot(seq), Some(dot(seq + 2000)));
        }
        assert_eq!((replaced.by(&dot(10)), replaced.by(&dot(11))), (None, Some(dot(2011))));
        assert!(replaced.by_put.len() <= REPLACED_PUTS && replaced.order.len() <= REPLACED_PUTS);
        replaced.note(dot(11), None);
        assert_eq!(replaced.by(&dot(11)), None);
    }
}
