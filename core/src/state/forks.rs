//! The table of forks: entries of replicas with two histories that a merge lost.
//!
//! "I have seen that dot and do not hold it" means "it was killed", except where a dot means two things. So what dies only
//! by that, of a replica known or said to have two histories, is kept apart, and the app may look at it: much of it was
//! killed in order, some of it is somebody's work.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::codec;
use crate::id::Dot;
use crate::limits::FORKS_BYTES;
use crate::row::merge::Loss;
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
    /// Keeps an entry that lost, if there is room. `bytes` is how much is kept, once that was asked for: opening a store does
    /// not read what forks lost.
    pub(super) fn keep_loser(
        &mut self,
        key: &RowKey,
        entry: &Entry,
        how: Loss,
        bytes: &mut Option<usize>,
    ) -> Result<(), StoreError> {
        let name = name(entry);
        let loser = codec::encode(&Staged { key: key.clone(), entry: entry.clone() });
        let room = if how == Loss::Named { FORKS_BYTES / 2 } else { FORKS_BYTES };
        let size = name.len() + loser.len();
        let kept = match *bytes {
            Some(kept) => kept,
            None => *bytes.insert(self.measure_forks()?),
        };
        if kept + size <= room && self.get(Table::Forks, &name)?.is_none() {
            *bytes = Some(kept + size);
            self.put(Table::Forks, name, loser);
        }
        Ok(())
    }

    /// How many bytes are kept.
    fn measure_forks(&self) -> Result<usize, StoreError> {
        let mut bytes = 0;
        self.scan(Table::Forks, &[], &mut |key, value| {
            bytes += key.len() + value.len();
            ControlFlow::Continue(())
        })?;
        Ok(bytes)
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
        let Some(held) = self.overlay.get(Table::Forks, &name)? else { return Ok(false) };
        self.forks_bytes = self.forks_bytes.map(|bytes| bytes - name.len() - held.len());
        self.overlay.delete(Table::Forks, name);
        Ok(true)
    }

    /// A merge is durable that did not know yet that these were let go of.
    pub(super) fn forget_forks(&mut self, names: Vec<Vec<u8>>) -> Result<(), StoreError> {
        for name in names {
            if self.overlay.get(Table::Forks, &name)?.is_some() {
                self.overlay.delete(Table::Forks, name);
            }
        }
        self.forks_bytes = None;
        Ok(())
    }
}
