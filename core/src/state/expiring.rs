//! Which rows expire, and when: see [`crate::row::expiry()`].
//!
//! Every store lists them by their time, in an index of its own, so what is next is one look and not
//! a scan. A store that is begun has the index from its first commit on; one that comes from an image, or from an older
//! version, builds it in steps as any other.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::boundary::Now;
use crate::id::{Dot, cut};
use crate::row::expiry::is_expired;
use crate::row::{Entry, RowKey, WriteRows};
use crate::state::{Overlay, Space, WriteError};
use crate::store::{Store, StoreError, Table};

/// Places of the list that one call looks at.
const LOOK: usize = 1024;
/// Entries that one transaction removes, or all of one row.
const SWEEP: usize = 256;

/// A place in the list: when, and which row.
pub(crate) type Due = (u64, RowKey);

impl<S: Store> Overlay<S> {
    /// Visits what expires from a time and a row on, in that order, until the visitor breaks.
    fn scan_expiring(
        &self,
        from: (u64, &[u8]),
        visit: &mut dyn FnMut(Due) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some(number) = self.expiry_index() else { return Ok(()) };
        let first = [&number[..], &from.0.to_be_bytes(), from.1].concat();
        self.scan(Table::Index, &first, &mut |place, _| match place.strip_prefix(&number) {
            Some(rest) => match rest.split_at_checked(8).map(|(at, key)| (at, RowKey::from_bytes(key))) {
                Some((at, Ok(key))) => visit((u64::from_be_bytes(cut(at)), key)),
                // No place at all: whoever checks the index finds it.
                _ => ControlFlow::Continue(()),
            },
            None => ControlFlow::Break(()),
        })
    }
}

impl<S: Store> Space<S> {
    /// Whether all that expires is listed.
    pub(crate) fn lists_expiring(&self) -> bool {
        self.overlay.expiry_index().is_some()
    }

    /// When the next row after a time expires.
    pub(crate) fn next_expiry(&self, after: u64) -> Result<Option<u64>, StoreError> {
        let mut next = None;
        self.overlay.scan_expiring((after.saturating_add(1), &[]), &mut |(at, _)| {
            next = Some(at);
            ControlFlow::Break(())
        })?;
        Ok(next)
    }

    /// The rows that expired after one time and not after another, sorted; and whether there are more.
    pub(crate) fn expired(&self, after: u64, until: u64) -> Result<(Vec<RowKey>, bool), StoreError> {
        let (mut rows, mut more) = (Vec::new(), false);
        self.overlay.scan_expiring((after.saturating_add(1), &[]), &mut |(at, key)| {
            more = at <= until && rows.len() == LOOK;
            if at > until || more {
                return ControlFlow::Break(());
            }
            rows.push(key);
            ControlFlow::Continue(())
        })?;
        rows.sort_unstable();
        rows.dedup();
        Ok((rows, more))
    }

    /// Removes rows of which all has expired by a time: those that this device wrote, or all of them. Looks on from the place
    /// where the last call ended, which it moves; `None` for one that begins with the oldest, and when there is no more.
    pub(crate) fn sweep(
        &mut self,
        now: Now,
        until: u64,
        all: bool,
        from: &mut Option<Due>,
    ) -> Result<(Vec<RowKey>, Option<Dot>), WriteError> {
        let (mut due, mut looked) = (Vec::new(), 0);
        let first = from.take();
        let first = first.as_ref().map_or((0, &[][..]), |(at, key)| (*at, key.as_bytes()));
        self.overlay.scan_expiring(first, &mut |(at, key)| {
            if at > until {
                return ControlFlow::Break(());
            }
            if looked == LOOK {
                *from = Some((at, key));
                return ControlFlow::Break(());
            }
            looked += 1;
            due.push((at, key));
            ControlFlow::Continue(())
        })?;
        // Entries that were written apart are two places in the list, and one row.
        let (mut rows, mut entries) = (BTreeSet::new(), 0);
        for (at, key) in due {
            if rows.contains(&key) {
                continue;
            }
            let row = self.overlay.row(&key)?;
            if entries + row.len() > SWEEP && !rows.is_empty() {
                *from = Some((at, key));
                break;
            }
            if self.may_remove(&key, &row, until, all) {
                entries += row.len();
                rows.insert(key);
            }
        }
        let ((), dot) = self.unnoted(|space| {
            space.transact(now, |tx| rows.iter().try_for_each(|key| tx.remove(key.clone())))
        })?;
        Ok((rows.into_iter().collect(), dot))
    }

    /// Whether nothing of a row lasts, and it is this device's to remove, or everybody's are.
    fn may_remove(&self, key: &RowKey, row: &[Entry], until: u64, all: bool) -> bool {
        let author = |entry: &Entry| self.heads.get(&entry.dot.replica).map(|head| head.device);
        let newest = row.iter().max_by_key(|entry| entry.rank());
        let is_own = newest.and_then(author) == Some(self.identity.device());
        !row.is_empty() && (all || is_own) && row.iter().all(|entry| is_expired(key, entry, until))
    }
}
