//! The change feed of a replica: see [`rejoin_core::feed`].

use std::ops::ControlFlow;

use rejoin_core::engine::Snapshot;
use rejoin_core::feed::{Cursor, Record, Retention};
use rejoin_core::store::StoreError;

use super::{Lost, Replica, Storage};

/// Bytes of rows after which a page of the feed ends.
const PAGE_BYTES: usize = 1024 * 1024;

impl Replica {
    /// Keeps a feed from now on, or none; waits until that is durable. When the commit fails, the next one tries again.
    pub async fn keep_feed(&self, retention: Option<Retention>) -> Result<Result<(), Lost>, StoreError> {
        let ((), durable) = self.change(|engine| {
            engine.keep_feed(retention);
            Ok(())
        })?;
        Ok(durable.done().await)
    }

    /// How much of the feed is kept; `None` while there is none.
    pub fn feed_retention(&self) -> Result<Option<Retention>, StoreError> {
        Ok(self.shared.state().engine()?.feed_retention())
    }

    /// Up to `most` changes behind a place, about a megabyte at most, and the place behind them. `None` at a gap.
    pub fn read_feed(
        &self,
        after: &Cursor,
        most: usize,
    ) -> Result<Option<(Vec<Record>, Cursor)>, StoreError> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        let end = self.shared.state().engine()?.read_feed(after, &mut |record: Record| {
            let entries = record.before.iter().chain(&record.after);
            bytes += entries.map(|entry| entry.payload.len() + 60).sum::<usize>();
            records.push(record);
            let is_full = records.len() >= most || bytes >= PAGE_BYTES;
            if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(end.map(|end| (records, end)))
    }

    /// What is durable at this moment, and the place in the feed that belongs to it, if one is kept.
    pub fn durable_snapshot(&self) -> Result<(Snapshot<Storage>, Option<Cursor>), StoreError> {
        self.shared.state().engine()?.durable_snapshot()
    }
}
