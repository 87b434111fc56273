//! The table of forks: entries of replicas with two histories that a merge lost.
//!
//! "I have seen that dot and do not hold it" means "it was killed", except where a dot means two things. So what dies only
//! by that, of a replica known or said to have two histories, is kept apart, and the app may look at it: much of it was
//! killed in order, some of it is somebody's work.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::codec;
use crate::id::Dot;
use crate::limits::FORKS_KEPT;
use crate::row::{Entry, RowKey};
use crate::state::bulk::Staged;
use crate::state::{Overlay, Space, overlay};
use crate::store::{Store, StoreError, Table};

fn name(entry: &Entry) -> Vec<u8> {
    let mut name = entry.dot.to_bytes().to_vec();
    name.extend_from_slice(&entry.hash.0);
    name
}

impl<S: Store> Overlay<S> {
    /// Keeps an entry that lost, unless there are too many. `kept` is how many there are.
    pub(super) fn keep_loser(
        &mut self,
        key: &RowKey,
        entry: &Entry,
        kept: &mut usize,
    ) -> Result<(), StoreError> {
        let name = name(entry);
        if *kept < FORKS_KEPT && self.get(Table::Forks, &name)?.is_none() {
            *kept += 1;
            let loser = Staged { key: key.clone(), entry: entry.clone() };
            self.put(Table::Forks, name, codec::encode(&loser));
        }
        Ok(())
    }
}

impl<S: Store> Space<S> {
    /// Visits what forks lost, by rising dot, in memory.
    pub(crate) fn visit_forks(&self, visit: &mut dyn FnMut(&RowKey, &Entry)) -> Result<(), StoreError> {
        let mut failed = None;
        self.overlay.scan(Table::Forks, &[], &mut |key, value| {
            let dot = key.first_chunk::<24>().and_then(|dot| Dot::from_bytes(dot));
            match dot.map(|dot| overlay::decode_staged(&dot, value)) {
                Some(Ok((key, entry))) => visit(&key, &entry),
                Some(Err(error)) => failed = Some(error),
                None => failed = Some(overlay::damaged(crate::error::CodecError::Malformed)),
            }
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Lets go of one of them.
    pub(crate) fn forget_fork(&mut self, entry: &Entry) -> Result<bool, StoreError> {
        let name = name(entry);
        let held = self.overlay.get(Table::Forks, &name)?.is_some();
        if held {
            self.overlay.delete(Table::Forks, name);
            self.forks_kept -= 1;
        }
        Ok(held)
    }

    /// How many there are.
    pub(super) fn count_forks(&self) -> Result<usize, StoreError> {
        let mut count = 0;
        self.overlay.scan(Table::Forks, &[], &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }
}
