//! The engine's tables within one transaction of redb.

use redb::{ReadableTable, WriteTransaction};
use rejoin_core::store::{Store, StoreError, Table, Visit, WriteStore};

use super::error::store_error;
use super::{definition, walk};

type Open<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

/// See the module page. The tables are in the order of their numbers.
pub(super) struct Transaction<'a>(Vec<Open<'a>>);

impl<'a> Transaction<'a> {
    pub(super) fn on(transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        let tables = Table::ALL.iter().map(|table| transaction.open_table(definition(*table)));
        Ok(Self(tables.collect::<Result<_, _>>()?))
    }
}

fn failed(error: redb::StorageError) -> StoreError {
    store_error(error.into())
}

impl Store for Transaction<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.0[table as usize].get(key).map_err(failed)?;
        Ok(found.map(|value| value.value().to_vec()))
    }

    fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let entries = self.0[table as usize].range::<&[u8]>(first..).map_err(failed)?;
        walk(entries, |last, key| last < key, visit)
    }

    fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let entries = self.0[table as usize].range::<&[u8]>(..end).map_err(failed)?;
        walk(entries.rev(), |last, key| last > key, visit)
    }
}

impl WriteStore for Transaction<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.0[table as usize].insert(key, value).map(drop).map_err(failed)
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.0[table as usize].remove(key).map(drop).map_err(failed)
    }
}
