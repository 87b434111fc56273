//! What went wrong, as one line and an exit code.

use std::io::Write;
use std::process::ExitCode;

use rejoin::core::engine::OpenError;
use rejoin::core::image::ImageError;
use rejoin::core::store::StoreError;
use rejoin::net::replica::CLOSED;
use rejoin::net::store::{LockError, OpenError as FileError};
use rejoin::{BackupError, Error};

pub(crate) const ERROR: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const NOT_CONFIRMED: u8 = 3;
pub(crate) const DAMAGED: u8 = 4;
pub(crate) const LOCKED: u8 = 5;

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) words: String,
}

impl Failure {
    pub(crate) fn other(words: String) -> Self {
        Self { code: ERROR, words }
    }

    pub(crate) fn usage(words: String) -> Self {
        Self { code: USAGE, words }
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.code == LOCKED
    }

    /// Tells the person, on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        talk(&self.words);
        ExitCode::from(self.code)
    }
}

/// One line on standard error. Nobody reading it is no reason to stop.
pub(crate) fn talk(words: &str) {
    let _ = writeln!(std::io::stderr(), "rejoin: {}", words.replace('\n', " "));
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let code = match error {
            Error::Lock(LockError::Locked { .. }) | Error::File(FileError::InUse { .. }) => LOCKED,
            // A running node that is about to end did nothing, and lets go of the directory in a moment.
            Error::Store(StoreError::Io(words)) if words == CLOSED => LOCKED,
            Error::NotConfirmed { .. } | Error::NotSeen { .. } => NOT_CONFIRMED,
            Error::Damaged(_)
            | Error::Derived(_)
            | Error::Backup(
                BackupError::Image { error: ImageError::Damaged { .. }, .. }
                | BackupError::OtherRoot { .. }
                | BackupError::Space { error: StoreError::Damaged(_), .. },
            )
            | Error::File(FileError::Damaged { .. })
            | Error::Store(StoreError::Damaged(_))
            | Error::Open { error: OpenError::Store(StoreError::Damaged(_)), .. } => DAMAGED,
            _ => ERROR,
        };
        Self { code, words: error.to_string() }
    }
}
