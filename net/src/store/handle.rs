//! One open redb database behind its gate.

use std::sync::Arc;

use redb::{Database, ReadOnlyTable, ReadableDatabase, WriteTransaction};
use rejoin_core::store::{Commit, Merged, StoreError, Table};

use super::error::{closed, guard};
use super::gate::Gate;
use super::transaction::Transaction;
use super::{COUNT, Definition, HOST, STORE, definition};

/// A change of the table of the host: a key, and its new value or `None` to remove it.
pub type HostChange = (Vec<u8>, Option<Vec<u8>>);

/// The engine's tables as one snapshot shows them, in the order of their numbers.
pub(super) type Tables = Vec<ReadOnlyTable<&'static [u8], &'static [u8]>>;

/// See the module page. Whoever reads from it keeps it open.
pub(super) struct Handle {
    database: Option<Database>,
    gate: Gate,
}

impl Handle {
    pub(super) fn new(database: Database, gate: Gate) -> Arc<Self> {
        Arc::new(Self { database: Some(database), gate })
    }

    pub(super) fn open_gate(&self) -> Result<(), StoreError> {
        self.gate.open()
    }

    /// Reads something.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let database = self.database.as_ref().ok_or_else(closed)?;
        guard(|| read(database))
    }

    /// The tables as the newest durable transaction left them.
    pub(super) fn tables(&self) -> Result<Tables, StoreError> {
        let tables = self.read(|database| {
            let read = database.begin_read()?;
            Ok(Table::ALL
                .iter()
                .map(|table| read.open_table(definition(*table)))
                .collect::<Result<Vec<_>, _>>()?)
        })?;
        // redb believes in a commit that failed; its failure was noted before redb showed it.
        self.gate.failure().map_or(Ok(tables), Err)
    }

    /// The first transaction of a store, or of one that had fewer tables: it does not count.
    pub(super) fn create_tables(&self, count: u64) -> Result<(), StoreError> {
        self.transact(|transaction| {
            for table in Table::ALL.map(definition).into_iter().chain([HOST]) {
                transaction.open_table(table)?;
            }
            transaction.open_table(STORE)?.insert(COUNT, count.to_be_bytes().as_slice())?;
            Ok(())
        })
    }

    /// One transaction, durable when this returns. After an error only opening the file again tells what it holds;
    /// `merged` says what its merge did if it is there all the same.
    pub(super) fn write(
        &self,
        count: u64,
        commit: &Commit,
        host: &[HostChange],
        merged: &mut Merged,
    ) -> Result<(), StoreError> {
        let mut refused = None;
        let done = self.transact(|transaction| {
            for table in Table::ALL {
                let changes = commit.changes.iter().filter(|change| change.0 == table);
                apply(transaction, definition(table), changes.map(|(_, key, value)| (key, value)))?;
            }
            apply(transaction, HOST, host.iter().map(|(key, value)| (key.as_slice(), value.as_deref())))?;
            transaction.open_table(STORE)?.insert(COUNT, count.to_be_bytes().as_slice())?;
            let Some(merge) = &commit.merge else { return Ok(()) };
            match merge.run(&mut Transaction::on(transaction)?) {
                Ok(done) => *merged = done,
                Err(error) => {
                    refused = Some(error);
                    return Err(redb::Error::TransactionPoisoned);
                }
            }
            Ok(())
        });
        refused.map_or(done, Err)
    }

    fn transact(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let done = self.read(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_two_phase_commit(true);
            work(&transaction)?;
            Ok(transaction.commit()?)
        });
        self.gate.failure().map_or(done, Err)
    }

    /// From now on it only reads: another handle writes to the file.
    pub(super) fn retire(&self, error: StoreError) {
        self.gate.fail(error);
    }

    /// Closes it and says whether the file was marked as closed.
    pub(super) fn close(mut self) -> Result<(), StoreError> {
        let closed = match self.database.take() {
            Some(database) => guard(|| database.close()),
            None => Ok(()),
        };
        self.gate.failure().map_or(closed, Err)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.gate.give_up_if_shut();
        let database = self.database.take();
        // Closing writes, and may meet damage. The next opening repairs what this one leaves.
        let _ = guard(|| -> Result<(), redb::Error> {
            drop(database);
            Ok(())
        });
    }
}

fn apply<'a>(
    transaction: &WriteTransaction,
    table: Definition,
    changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> Result<(), redb::Error> {
    let mut changes = changes.peekable();
    // Opening a table costs a page.
    if changes.peek().is_none() {
        return Ok(());
    }
    let mut table = transaction.open_table(table)?;
    for (key, value) in changes {
        match value {
            Some(value) => table.insert(key, value)?,
            None => table.remove(key)?,
        };
    }
    Ok(())
}
