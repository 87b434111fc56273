//! The store on disk: [redb](https://docs.rs/redb), one file, under the trait of the core.
//!
//! The problem: the engine reads synchronously and at any time, commits wait for a disk, and a store must show exactly
//! the commits that were reported. The idea: redb keeps old pages while somebody reads them, so [`RedbStore`] reads from
//! one snapshot and [`Writer`] commits on another thread; the host moves the snapshot with [`RedbStore::show`] just before
//! it reports a commit.
//!
//! | table | key | value | whose |
//! |---|---|---|---|
//! | `meta` `replicas` `rows` `dots` `log` `stage` `forks` `tree` | see docs/format.md | | the engine's, one redb table each |
//! | `host` | bytes | bytes | the host's: the name of the space, addresses, what was acked |
//! | `store` | `count` | 8 bytes, big endian | how many transactions made this store |
//!
//! Keys and values are redb's type `&[u8]`. A file that lacks one of the tables is no store, or is damaged; but `tree` came
//! with format 2, and is added to an older store when it is opened.
//!
//! **A power cut** loses the commit in flight, or none. A commit that was reported is on the disk: two phases, two
//! fsyncs, and redb never has to guess which of its two headers is the right one. The file is repaired when it is opened
//! next: all of it is read, every page's checksum is compared, nothing is lost. A disk that lies about fsync can lose the
//! newest commits, or in the worst case the file.
//!
//! **Damage** is an error, never a panic, never data. redb compares checksums only when told to: after a crash always,
//! else up to [`OpenOptions::verify_bytes`]. Beyond that the engine's hash of each entry remains, and none for recent
//! deltas and the store's own record: of 400 single bits that were flipped without comparing, 34 were read back. What redb
//! panics on is caught, which needs `panic = "unwind"`.
//!
//! **A full disk** makes a commit fail; reads go on, and a later commit succeeds once there is room. See [`Writer`].

mod error;
mod fresh;
mod gate;
mod handle;
mod open;
mod place;
mod remains;
mod transaction;
mod writer;

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use redb::{AccessGuard, ReadOnlyTable, ReadableTableMetadata, StorageBackend, TableDefinition};
use rejoin_core::store::{Store, StoreError, Table, Visit};

pub use error::{LockError, OpenError, panics_are_caught};
pub use fresh::FreshStore;
pub use handle::HostChange;
pub use place::{DirLock, lineage};
pub(crate) use place::{beside, owners_file, put_in_place};
pub use remains::Remains;
pub use writer::Writer;

pub(crate) use error::io_error;

use error::guard;
use handle::{Handle, Tables};
use writer::Shared;

/// The newest format of a store that is read here; the engine writes it into `meta`.
pub use rejoin_core::store::STORE_FORMAT as FORMAT;

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The table of the host.
const HOST: Definition = TableDefinition::new("host");
/// The table of this module.
const STORE: Definition = TableDefinition::new("store");
/// Its key: how many transactions made the store.
const COUNT: &[u8] = b"count";

const fn definition(table: Table) -> Definition {
    TableDefinition::new(match table {
        Table::Meta => "meta",
        Table::Replicas => "replicas",
        Table::Rows => "rows",
        Table::Dots => "dots",
        Table::Log => "log",
        Table::Stage => "stage",
        Table::Forks => "forks",
        Table::Tree => "tree",
        Table::Feed => "feed",
        Table::Undo => "undo",
        Table::Index => "index",
    })
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Bytes of pages kept in memory, for reading and writing together. More is fewer reads from the disk; a commit larger
    /// than half of it is written in pieces.
    pub cache_bytes: usize,
    /// In a file of at most this many bytes the checksum of every page in use is compared at each opening. Larger finds
    /// more damage before it is read; smaller opens large stores at once. After a crash it is done anyway. Measured on two
    /// cores, file in memory: 0.3 ms without, 20 ms for 129 MB, 275 ms for 516 MB; after a crash 128 ms and 701 ms.
    pub verify_bytes: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 * 1024 * 1024, verify_bytes: 256 * 1024 * 1024 }
    }
}

/// A store on disk, as one snapshot shows it. See the module page. A clone stays at the snapshot that it was made of.
#[derive(Clone)]
pub struct RedbStore {
    // Tables before the handle that they read from: fields are dropped in this order.
    tables: Arc<Tables>,
    handle: Arc<Handle>,
    shared: Arc<Shared>,
}

impl RedbStore {
    /// Opens the store at a path, or makes one there. It shows everything that is durable.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<(Self, Writer), OpenError> {
        let place = path.display().to_string();
        match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                open::create(path, |disk| Self::on(Shared::open(disk, options, &place)?, &place))
            }
            _ => Self::on(Shared::open(open::claim(path)?, options, &place)?, &place),
        }
    }

    /// Opens a store in anything that redb can write to; an empty one becomes an empty store. This is what
    /// [`Self::open`] does with a file, and how tests put faults below a store.
    pub fn open_with_backend(
        backend: impl StorageBackend,
        options: &OpenOptions,
    ) -> Result<(Self, Writer), OpenError> {
        let place = "the backend";
        Self::on(Shared::open(open::claim_backend(backend, place)?, options, place)?, place)
    }

    fn on(shared: Arc<Shared>, place: &str) -> Result<(Self, Writer), OpenError> {
        let unready = |error| OpenError::Unready { place: place.to_owned(), error };
        let handle = shared.ready().map_err(unready)?;
        let tables = handle.tables().map_err(unready)?.into();
        let writer = Writer { shared: Arc::clone(&shared) };
        Ok((Self { tables, handle, shared }, writer))
    }

    /// Moves the snapshot to the newest durable commit. For the host, just before it reports that commit.
    ///
    /// On an error the snapshot stays where it was.
    pub fn show(&mut self) -> Result<(), StoreError> {
        let handle = self.shared.ready()?;
        self.tables = handle.tables()?.into();
        let old = std::mem::replace(&mut self.handle, handle);
        self.shared.shown();
        drop(old);
        Ok(())
    }

    /// How many keys of a table it shows. Takes no longer for more of them.
    pub fn count(&self, table: Table) -> Result<u64, StoreError> {
        guard(|| self.table(table).len())
    }

    /// How large the file is.
    pub fn file_bytes(&self) -> Result<u64, StoreError> {
        self.shared.disk.len().map_err(|error| io_error(&error))
    }

    /// Whether the file had been closed when it was opened. If not, whoever used it was cut off, or found it damaged and
    /// [left it](Self::leave_open): it has to be checked before it is believed.
    pub fn was_closed(&self) -> bool {
        self.shared.was_closed
    }

    /// Lets go of the file without closing it, so that the next opening knows: what is in it is not to be believed.
    pub fn leave_open(self) {
        let Self { tables, handle, shared } = self;
        drop(tables);
        // A handle that has failed writes no more, and so does not mark the file as closed.
        let why = StoreError::Damaged("it was found damaged".into());
        handle.retire(why.clone());
        if let Some(ready) = shared.close() {
            ready.retire(why);
        }
        drop(handle);
        shared.disk.close();
    }

    /// Waits for a running commit, then closes the file for the writers too. Without it the file stays open until the
    /// store and every writer are gone. After an error the next opening repairs; no commit is lost.
    pub fn close(self) -> Result<(), StoreError> {
        let Self { tables, handle, shared } = self;
        drop(tables);
        let ready = shared.close();
        drop(handle);
        let closed = match ready.map(Arc::try_unwrap) {
            Some(Ok(handle)) => handle.close(),
            // Somebody reads a fact of the host this very moment, and closes it when done.
            Some(Err(_)) | None => Ok(()),
        };
        shared.disk.close();
        closed
    }

    fn table(&self, table: Table) -> &ReadOnlyTable<&'static [u8], &'static [u8]> {
        &self.tables[table as usize]
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("disk", &self.shared.disk).finish_non_exhaustive()
    }
}

impl Store for RedbStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.table(table);
        guard(|| table.get(key).map(|found| found.map(|value| value.value().to_vec())))
    }

    fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let table = self.table(table);
        let entries = guard(|| table.range::<&[u8]>(first..))?;
        walk(entries, |last, key| last < key, visit)
    }

    fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let table = self.table(table);
        let entries = guard(|| table.range::<&[u8]>(..end))?;
        walk(entries.rev(), |last, key| last > key, visit)
    }
}

type Guard<'a> = AccessGuard<'a, &'static [u8]>;

/// Visits entries whose keys must come in order: a damaged tree could lead in circles.
fn walk<'a>(
    mut entries: impl Iterator<Item = Result<(Guard<'a>, Guard<'a>), redb::StorageError>>,
    in_order: impl Fn(&[u8], &[u8]) -> bool,
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    let mut last: Option<Vec<u8>> = None;
    let mut next = || -> Result<_, redb::StorageError> {
        let entry = entries.next().transpose()?;
        // On a damaged page it is this that panics.
        let _ = entry.as_ref().map(|(key, value)| (key.value(), value.value()));
        Ok(entry)
    };
    // The visitor runs outside of the guard: its panics are its own.
    while let Some((key, value)) = guard(&mut next)? {
        let key = key.value();
        let last = match &mut last {
            Some(last) if !in_order(last, key) => {
                return Err(StoreError::Damaged("keys are out of order".into()));
            }
            Some(last) => last,
            last => last.insert(Vec::new()),
        };
        last.clear();
        last.extend_from_slice(key);
        if visit(key, value.value()) == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}
