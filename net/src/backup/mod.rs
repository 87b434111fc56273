//! Backups: [images](rejoin_core::image) of spaces, in files.
//!
//! A backup is written under another name, made durable, and renamed: there is a whole one under its name, or what was
//! there before. The moment of a space that goes into it is one snapshot of durable commits, so its node goes on meanwhile.
//! What is read back is checked to its last byte before anything is made of it, and once more while stores are made;
//! these too get their names when they are complete.

mod read;
mod write;

use std::path::PathBuf;

use rejoin_core::SpaceId;
use rejoin_core::image::{About, Contents, ImageError};
use rejoin_core::store::StoreError;
use thiserror::Error;

use crate::store::OpenError;

pub use read::{Begun, load, verify};
pub use write::{Subject, write};

/// A backup that was not made, or not read. Except where a variant says otherwise nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BackupError {
    /// Something else has the name. A backup may take the place of an older one, and of nothing else.
    #[error("{} is there already and is no backup: choose another name; nothing was changed", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes a backup there at this moment.
    #[error("another backup is being written to {}: wait for it; nothing was changed", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be written. What was there before is still there, and nothing else.
    #[error("the backup {} was not written: {error}; nothing of it is left", path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// Why.
        error: StoreError,
    },
    /// The space that was to be saved cannot be read, or contradicts itself.
    #[error("{space} was not saved: {error}; nothing of the backup is left")]
    Space {
        /// The space.
        space: SpaceId,
        /// Why.
        error: StoreError,
    },
    /// The file is no sound backup.
    #[error("{} cannot be used: {error}; nothing was changed", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ImageError,
    },
    /// What was loaded is not what the backup says that it holds.
    #[error("{} cannot be used: what it holds of {space} does not make the root that it names; nothing was changed", path.display())]
    OtherRoot {
        /// The file.
        path: PathBuf,
        /// The space.
        space: SpaceId,
    },
    /// A store could not be made. Nothing of it is left.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A store could not be filled. Nothing of it is left.
    #[error("{space} was not restored: {error}; nothing of it is left")]
    NotLoaded {
        /// The space.
        space: SpaceId,
        /// Why.
        error: StoreError,
    },
}

/// One space of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// What the backup says about it.
    pub about: About,
    /// What it holds.
    pub contents: Contents,
}

/// How far a backup has come, or a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The space.
    pub space: SpaceId,
    /// What is done: rows that were written, or bytes that were read.
    pub done: u64,
    /// Of how much, about.
    pub of: u64,
}
