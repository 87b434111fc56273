//! What can go wrong with a store, in words, and the one place where redb's errors and panics become ours.

use std::any::Any;
use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use rejoin_core::store::StoreError;
use thiserror::Error;

/// A store that was not opened. Except for [`OpenError::Unready`], not one byte of the file was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// A directory, a device or a pipe.
    #[error("{place} is not a file: give the path of a store, or of one to create; nothing was changed")]
    NotAFile {
        /// Where.
        place: String,
    },
    /// Something else, or something cut off so early that it cannot be told from something else.
    #[error("{place} is not a rejoin store ({why}): check the path; nothing was changed")]
    NotAStore {
        /// Where.
        place: String,
        /// How it can be seen.
        why: String,
    },
    /// Written by a later version of rejoin.
    #[error(
        "{place} has format {found}, this version reads up to {known}: update rejoin; nothing was changed"
    )]
    Newer {
        /// Where.
        place: String,
        /// Its format.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// Written by a rejoin that was built on another version of redb's file format, older or newer.
    #[error(
        "{place} has file format {found} of redb, this version reads {known}: open it with the rejoin that wrote it; \
         nothing was changed"
    )]
    OtherFile {
        /// Where.
        place: String,
        /// Its file format.
        found: u8,
        /// The one that is known here.
        known: u8,
    },
    /// Another process, or this one, has it open.
    #[error("{place} is in use: close it there first; nothing was changed")]
    InUse {
        /// Where.
        place: String,
    },
    /// The bytes are not what was written.
    #[error("{place} is damaged ({why}): restore it from a peer or a backup; nothing was changed")]
    Damaged {
        /// Where.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The system refused.
    #[error("{place} cannot be opened ({why}): check the path and its permissions; nothing was changed")]
    NoAccess {
        /// Where.
        place: String,
        /// What the system said.
        why: String,
    },
    /// The store is good, but what opening has to write could not be written.
    #[error(
        "{place} could not be made ready: {error}; what was saved is safe, the next opening goes on from there"
    )]
    Unready {
        /// Where.
        place: String,
        /// What failed.
        error: StoreError,
    },
}

/// A data directory that was not locked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LockError {
    /// Somebody else works in it. Nothing was changed.
    #[error("{} is in use by {}: stop it, or use another directory; nothing was changed", path.display(), holder(*pid))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it; `None` in the moment before it has written its number.
        pid: Option<u32>,
    },
    /// The lock file cannot be made or locked. At most an empty lock file was left.
    #[error("{} cannot be locked ({why}): check that the directory exists and can be written", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

thread_local!(static GUARDED: Cell<bool> = const { Cell::new(false) });

/// Whether a panic on this thread would be redb's, at a damaged page: it is caught, and comes out as an error. For the panic
/// hook of a program, which would otherwise print it.
pub fn panics_are_caught() -> bool {
    GUARDED.get()
}

/// Runs redb. It panics on some damaged pages and after its own panics; here damage is an error.
pub(super) fn guard<T, E: Into<redb::Error>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, StoreError> {
    let outer = GUARDED.replace(true);
    // Whatever a panic leaves half done inside redb stays there: its locks are poisoned and say so to the next call.
    let outcome = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    match outcome {
        Ok(result) => result.map_err(|error| store_error(error.into())),
        Err(panic) => Err(StoreError::Damaged(words(panic.as_ref()))),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("redb gave up: {}", text.unwrap_or("without a word"))
}

/// Any error of redb.
pub(super) fn store_error(error: redb::Error) -> StoreError {
    use redb::Error as E;
    match error {
        E::Io(error) => io_error(&error),
        E::Corrupted(why) => StoreError::Damaged(why),
        E::PreviousIo => StoreError::Io("reading failed before; open the store again".into()),
        E::DatabaseClosed => closed(),
        // Tables that are not what this module made, and locks that a caught panic poisoned.
        error @ (E::TableTypeMismatch { .. }
        | E::TableIsMultimap(_)
        | E::TypeDefinitionChanged { .. }
        | E::TableDoesNotExist(_)
        | E::LockPoisoned(_)
        | E::TransactionPoisoned) => StoreError::Damaged(error.to_string()),
        error => StoreError::Io(error.to_string()),
    }
}

/// What a caller can do about an error of the file system.
pub(crate) fn io_error(error: &io::Error) -> StoreError {
    let words = error.to_string();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreError::Full(words)
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly(words),
        _ => StoreError::Io(words),
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Io("it is closed; open it again".into())
}
