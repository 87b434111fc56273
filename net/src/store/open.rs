//! Opening: recognise first, write later.
//!
//! A file is a store if it begins as redb files do, redb can read it, it holds all of our tables, and its format is
//! known. All of that is found out behind a shut [`Gate`], so a file that is refused for any reason keeps every byte. A new
//! store is made under another name and renamed when it is complete: redb cannot open a file whose creation was cut off.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend, TableHandle};
use rejoin_core::codec;
use rejoin_core::store::{StoreError, Table};

use super::error::{OpenError, guard, io_error};
use super::gate::{Disk, Gate};
use super::handle::{Handle, Tables};
use super::place::{beside, owners_file, put_in_place};
use super::{COUNT, FORMAT, HOST, OpenOptions, STORE, definition};

/// How every redb file begins.
pub(super) const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// The byte behind it holds flags; this one is set while the file is open for writing.
pub(super) const IN_USE: u8 = 2;
/// Where the two commit slots begin, each with its file format.
const SLOTS: [usize; 2] = [64, 192];
/// The end of the second slot.
const HEADER_BYTES: usize = 320;
/// The file format of redb 3 and 4.
const FILE_FORMAT: u8 = 3;

/// Opens the file at a path, which must be a store.
pub(super) fn claim(path: &Path) -> Result<Arc<Disk>, OpenError> {
    let place = path.display().to_string();
    let no_access = |error: io::Error| OpenError::NoAccess { place: place.clone(), why: error.to_string() };
    let facts = fs::metadata(path).map_err(no_access)?;
    if !facts.is_file() {
        return Err(OpenError::NotAFile { place });
    }
    if facts.len() == 0 {
        return Err(OpenError::NotAStore { place, why: "it is empty".into() });
    }
    let file = File::options().read(true).write(true).open(path).map_err(no_access)?;
    claim_backend(backend(file, &place)?, &place)
}

/// Makes a new store beside the path and renames it once it is complete and durable. `fill` makes it.
pub(super) fn create<T>(
    path: &Path,
    fill: impl FnOnce(Arc<Disk>) -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let place = path.display().to_string();
    let (fresh, disk) = fresh(path)?;
    let made = fill(disk).and_then(|made| {
        put_in_place(&fresh, path)
            .map_err(|error| OpenError::Unready { place: place.clone(), error: io_error(&error) })?;
        Ok(made)
    });
    if made.is_err() {
        // What is left is removed by the next creation at the latest.
        let _ = fs::remove_file(&fresh);
    }
    made
}

/// An empty file beside a path, for a store that is to lie there; and where it lies.
pub(super) fn fresh(path: &Path) -> Result<(PathBuf, Arc<Disk>), OpenError> {
    let place = path.display().to_string();
    let no_access = |error: io::Error| OpenError::NoAccess { place: place.clone(), why: error.to_string() };
    let fresh = beside(path).ok_or_else(|| OpenError::NotAFile { place: place.clone() })?;
    // Left by a creation that was cut off. Nobody has seen it.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(no_access(error)),
        _ => {}
    }
    let file =
        owners_file(&fresh, File::options().read(true).write(true).create_new(true)).map_err(no_access)?;
    let disk = backend(file, &place).and_then(|backend| claim_backend(backend, &place));
    if disk.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    Ok((fresh, disk?))
}

fn backend(file: File, place: &str) -> Result<FileBackend, OpenError> {
    FileBackend::new(file).map_err(|error| refusal(error, place))
}

pub(super) fn claim_backend(backend: impl StorageBackend, place: &str) -> Result<Arc<Disk>, OpenError> {
    let claimed = Disk::claim(backend)
        .map_err(|error| OpenError::NoAccess { place: place.to_owned(), why: error.to_string() })?;
    claimed.ok_or_else(|| OpenError::InUse { place: place.to_owned() })
}

/// A store that was recognised behind a shut gate. Dropped, it leaves the file as it was.
pub(super) struct Opening {
    handle: Arc<Handle>,
    /// How many transactions made it; `None` for an empty disk.
    count: Option<u64>,
    /// Tables that its format did not have.
    missing: bool,
    /// It was closed as it should be, or never used.
    closed: bool,
}

impl Opening {
    pub(super) fn count(&self) -> u64 {
        self.count.unwrap_or_default()
    }

    pub(super) fn was_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn tables(&self) -> Result<Tables, StoreError> {
        self.handle.tables()
    }

    /// Lets through what opening has to write. An empty disk becomes an empty store, an older store gets the tables that
    /// are new.
    pub(super) fn finish(self, place: &str) -> Result<Arc<Handle>, OpenError> {
        let made = self.handle.open_gate().and_then(|()| match self.count {
            Some(count) if self.missing => self.handle.create_tables(count),
            Some(_) => Ok(()),
            None => self.handle.create_tables(0),
        });
        made.map_err(|error| OpenError::Unready { place: place.to_owned(), error })?;
        Ok(self.handle)
    }
}

/// Recognises what is on a disk.
pub(super) fn look(disk: &Arc<Disk>, options: &OpenOptions, place: &str) -> Result<Opening, OpenError> {
    let no_access =
        |error: io::Error| OpenError::NoAccess { place: place.to_owned(), why: error.to_string() };
    let is_clean = look_at_header(disk, place)?;
    let len = disk.len().map_err(no_access)?;
    let gate = Gate::shut(disk).map_err(no_access)?;
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes);
    // After a crash redb compares every checksum by itself.
    builder.set_check_integrity_on_open(is_clean && len <= options.verify_bytes);
    let passed = gate.clone();
    let opened = guard(|| -> Result<_, redb::Error> { Ok(builder.create_with_backend(passed)) });
    let opened = opened.map_err(|error| damaged(error, place))?;
    let handle = Handle::new(opened.map_err(|error| refusal(error, place))?, gate);
    let (count, missing) = match len {
        0 => (None, false),
        _ => recognise(&handle, place).map(|(count, missing)| (Some(count), missing))?,
    };
    Ok(Opening { handle, count, missing, closed: is_clean })
}

/// Looks at the first bytes. Says whether the file was closed as it should be.
fn look_at_header(disk: &Disk, place: &str) -> Result<bool, OpenError> {
    let no_access =
        |error: io::Error| OpenError::NoAccess { place: place.to_owned(), why: error.to_string() };
    let not_a_store = |why: &str| OpenError::NotAStore { place: place.to_owned(), why: why.to_owned() };
    let len = disk.len().map_err(no_access)?;
    if len == 0 {
        return Ok(true);
    }
    if len < HEADER_BYTES as u64 {
        return Err(not_a_store("it is shorter than the header of one"));
    }
    let mut header = [0; HEADER_BYTES];
    disk.read(0, &mut header).map_err(no_access)?;
    if !header.starts_with(MAGIC) {
        return Err(not_a_store("it does not begin like one"));
    }
    if let Some(found) = SLOTS.map(|slot| header[slot]).into_iter().find(|found| *found != FILE_FORMAT) {
        return Err(OpenError::OtherFile { place: place.to_owned(), found, known: FILE_FORMAT });
    }
    Ok(header[MAGIC.len()] & IN_USE == 0)
}

/// Checks tables and format; the number of transactions that made the store, and whether it lacks tables that are newer
/// than its format.
fn recognise(handle: &Handle, place: &str) -> Result<(u64, bool), OpenError> {
    let fail = |error| damaged(error, place);
    let (names, format, count) = handle
        .read(|database| {
            let read = database.begin_read()?;
            let names: Vec<String> = read.list_tables()?.map(|table| table.name().to_owned()).collect();
            let format = value(&read, &names, definition(Table::Meta), b"format")?;
            let count = value(&read, &names, STORE, COUNT)?;
            Ok((names, format, count))
        })
        .map_err(fail)?;
    let is_there = |name: &str| names.iter().any(|there| there == name);
    if !is_there(STORE.name()) {
        return Err(OpenError::NotAStore { place: place.to_owned(), why: "its tables are not ours".into() });
    }
    let found = format.map(|format| codec::decode::<u32>(&format)).transpose();
    let found = found.map_err(|error| fail(StoreError::Damaged(error.to_string())))?;
    if let Some(found) = found.filter(|found| *found > FORMAT) {
        return Err(OpenError::Newer { place: place.to_owned(), found, known: FORMAT });
    }
    let tables = Table::ALL.map(|table| (table.since(), definition(table))).into_iter().chain([(1, HOST)]);
    let mut older = false;
    for (since, table) in tables.filter(|(_, table)| !is_there(table.name())) {
        if since == 1 || found.is_some_and(|found| found >= since) {
            return Err(fail(StoreError::Damaged(format!("the table {} is missing", table.name()))));
        }
        older = true;
    }
    if !older {
        handle.tables().map_err(fail)?;
    }
    let count = count.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    let count =
        count.ok_or_else(|| fail(StoreError::Damaged("its number of transactions is missing".into())))?;
    Ok((count, older))
}

/// A value of a table that may not be there.
fn value(
    read: &ReadTransaction,
    names: &[String],
    table: super::Definition,
    key: &[u8],
) -> Result<Option<Vec<u8>>, redb::Error> {
    if !names.iter().any(|name| name == table.name()) {
        return Ok(None);
    }
    Ok(read.open_table(table)?.get(key)?.map(|value| value.value().to_vec()))
}

fn refusal(error: DatabaseError, place: &str) -> OpenError {
    let place = place.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            OpenError::InUse { place }
        }
        DatabaseError::UpgradeRequired(found) => OpenError::OtherFile { place, found, known: FILE_FORMAT },
        error => damaged(super::error::store_error(error.into()), &place),
    }
}

fn damaged(error: StoreError, place: &str) -> OpenError {
    let place = place.to_owned();
    match error {
        StoreError::Damaged(why) => OpenError::Damaged { place, why },
        StoreError::Full(why) | StoreError::ReadOnly(why) | StoreError::Io(why) => {
            OpenError::NoAccess { place, why }
        }
    }
}
