//! Acts that count once, however often they are asked for: see [`Batch::once`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use rejoin_core::clock::Timestamp;
use rejoin_core::crdt::{OnceKey, OnceView, PnCounterView};
use rejoin_core::engine::{Transaction, WriteError};
use rejoin_core::row::{Kind, Object};
use rejoin_net::replica::Storage;

use crate::{Batch, Commit, Error, Result, Space};

/// Rows that one transaction forgets: fewer than a transaction has room for.
const FORGOTTEN: usize = 1024;

/// The key of what a batch writes from here on, and how many acts on each object it has named.
pub(crate) struct Keyed {
    key: OnceKey,
    acts: BTreeMap<Object, u64>,
}

impl Keyed {
    pub(crate) fn new(key: OnceKey) -> Self {
        Self { key, acts: BTreeMap::new() }
    }

    /// The name of the next act on an object: the same at each try that does the same.
    pub(crate) fn next(&mut self, object: &Object) -> OnceKey {
        let acts = self.acts.entry(object.clone()).or_default();
        *acts += 1;
        self.key.act(*acts)
    }
}

impl Batch<'_, '_> {
    /// Whether what `key` names is to be done: `false` when it was done before, as far as this device sees. Do it in the same
    /// batch, and nothing if not:
    ///
    /// ```no_run
    /// # async fn pay(space: rejoin::Space) -> rejoin::Result<()> {
    /// let paid = space.counter("paid");
    /// let is_news = space.batch(|batch| {
    ///     let is_news = batch.once("order-17")?;
    ///     if is_news {
    ///         batch.add(&paid, 5);
    ///     }
    ///     Ok(is_news)
    /// });
    /// println!("counted now: {}", is_news.await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Key and effects are one transaction, so a try after a crash finds both or neither. When two devices that have not met
    /// both do it, it is done twice; what that comes to, once they meet, depends on what it is:
    ///
    /// * [`Batch::add`] counts once, exactly.
    /// * [`Batch::push`] is one item. One that was removed meanwhile comes back when a try arrives that had not seen that.
    /// * [`Batch::insert`], [`Batch::put`], [`Batch::set`], [`Batch::flag`] name their row by what they write: twice is once.
    ///   They are writes of their time all the same: the later try competes with what others have written since the first.
    /// * [`Batch::append`] is two entries, since an entry stands where its writer's clock puts it.
    /// * [`Batch::rows`]: what your own view makes of it.
    ///
    /// Each try has to do the same in the same order. A key costs a row of some 100 bytes, and one more for each addition under
    /// it, until [`Space::forget_once`].
    pub fn once(&mut self, key: &str) -> Result<bool> {
        let key = OnceKey::new(key);
        let is_first = OnceView::of_space()?.begin(self.rows(), &key)?;
        self.keyed = is_first.then(|| Keyed::new(key));
        Ok(is_first)
    }
}

impl Space {
    /// Forgets the keys of [`Batch::once`] that were used before a time, and keeps what they did. Says how many rows went.
    /// A try that comes, or arrives from elsewhere, after that counts again: choose a time by which nobody tries any more, and
    /// by which all devices have met.
    ///
    /// The records are gone for everybody. What counters keep for each key goes when the device forgets that had counted it, so
    /// call it on each now and then; for one that is gone for good it stays until the counter is reset. Reads all rows; a few
    /// transactions.
    pub async fn forget_once(&self, before: SystemTime) -> Result<usize> {
        let age = before.duration_since(UNIX_EPOCH).unwrap_or_default();
        let before = Timestamp::from_millis(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let (mut counters, mut last) = (BTreeSet::new(), None);
        self.replica().visit_rows(&mut |row, _| {
            if row.kind() == Kind::PN_COUNTER && OnceKey::names(row) && last.as_deref() != Some(row.path()) {
                last = Some(row.path().to_owned());
                counters.insert(row.path().to_owned());
            }
        })?;
        let mut forgotten = 0;
        for path in counters {
            let counter = PnCounterView::at(&path)?;
            forgotten += self.in_parts(|tx| counter.forget_once(tx, before, FORGOTTEN)).await?;
        }
        let records = OnceView::of_space()?;
        Ok(forgotten + self.in_parts(|tx| records.forget(tx, before, FORGOTTEN)).await?)
    }

    /// Runs transactions until one has nothing left to do.
    async fn in_parts(
        &self,
        forget: impl Fn(&mut Transaction<'_, Storage>) -> Result<usize, WriteError>,
    ) -> Result<usize> {
        let mut forgotten = 0;
        loop {
            let outcome = self.replica().write_to_keep(|tx| forget(tx).map_err(Error::from));
            let part = Commit::new(self.replica(), outcome).await?;
            forgotten += part;
            if part < FORGOTTEN {
                return Ok(forgotten);
            }
        }
    }
}
