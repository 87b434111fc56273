//! What is left of a store that was found damaged: read without repairs, without checksums, and without a byte written.
//!
//! Problem: redb opens a file that was not closed only after it has compared every checksum, and gives up at the first that
//! is wrong; what else the file holds is then out of reach. Idea: a reader beside another process's writer repairs nothing
//! and needs no allocator state. The file is shown to redb as if it had been closed, and opened as such a reader. Nothing
//! that comes out of it can be trusted: whoever reads has to hold it against hashes of its own.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use redb::{BackendError, ConcurrencyMode, ReadOnlyDatabase, ReadableDatabase, StorageBackend};
use rejoin_core::store::{Store, StoreError, Table, Visit};

use super::error::{OpenError, guard};
use super::open::{IN_USE, MAGIC};
use super::{Definition, HOST, definition, walk};

type ReadTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

/// See the module page. Tables that cannot be opened are damaged, and the others can be read.
pub struct Remains {
    tables: Vec<Result<ReadTable, StoreError>>,
    host: Result<ReadTable, StoreError>,
    _database: ReadOnlyDatabase,
}

impl Remains {
    /// Opens what is left. The file may be in use: a commit at this moment makes reading fail, and nothing worse.
    ///
    /// # Errors
    /// Nothing can be read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let place = path.display().to_string();
        let no_access =
            |error: io::Error| OpenError::NoAccess { place: place.clone(), why: error.to_string() };
        let damaged = |error: StoreError| OpenError::Damaged { place: place.clone(), why: error.to_string() };
        let file = File::open(path).map_err(no_access)?;
        let mut builder = redb::Builder::new();
        builder.set_cache_size(super::OpenOptions::default().cache_bytes);
        builder.set_concurrency_mode(ConcurrencyMode::SingleWriter);
        let backend = AsClosed(Mutex::new(file));
        let database = guard(|| builder.open_read_only_with_backend(backend).map_err(redb::Error::from));
        let database = database.map_err(damaged)?;
        let open = |table: Definition| {
            guard(|| -> Result<_, redb::Error> { Ok(database.begin_read()?.open_table(table)?) })
        };
        let (tables, host) = (Table::ALL.map(definition).map(open).into(), open(HOST));
        Ok(Self { tables, host, _database: database })
    }

    /// A fact of the host, if it can be read.
    pub fn host(&self, key: &[u8]) -> Option<Vec<u8>> {
        let table = self.host.as_ref().ok()?;
        guard(|| table.get(key).map(|found| found.map(|value| value.value().to_vec()))).ok()?
    }

    fn table(&self, table: Table) -> Result<&ReadTable, StoreError> {
        self.tables[table as usize].as_ref().map_err(Clone::clone)
    }
}

impl fmt::Debug for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remains").finish_non_exhaustive()
    }
}

impl Store for Remains {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.table(table)?;
        guard(|| table.get(key).map(|found| found.map(|value| value.value().to_vec())))
    }

    fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let table = self.table(table)?;
        let entries = guard(|| table.range::<&[u8]>(first..))?;
        walk(entries, |last, key| last < key, visit)
    }

    fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let table = self.table(table)?;
        let entries = guard(|| table.range::<&[u8]>(..end))?;
        walk(entries.rev(), |last, key| last > key, visit)
    }
}

/// A file that is only read, and says that it was closed.
#[derive(Debug)]
struct AsClosed(Mutex<File>);

impl StorageBackend for AsClosed {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(out)?;
        let flags = (MAGIC.len() as u64).checked_sub(offset).and_then(|at| usize::try_from(at).ok());
        if let Some(flags) = flags.and_then(|at| out.get_mut(at)) {
            *flags &= !IN_USE;
        }
        Ok(())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    // Nobody writes to what was set aside: every lock is free.
    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
