//! A data directory.
//!
//! | in the directory | what it is |
//! |---|---|
//! | `lock` | held while a process works in it |
//! | `device.key` | the secret of this device |
//! | `spaces/ID.redb` | one space each: its data, and what this device calls it |
//! | `quarantine/ID-N.redb` | files of spaces that were found damaged, as they were |
//! | `rejoin.sock` | where a running node takes commands |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rejoin_core::SpaceId;
use rejoin_core::id::parse_hex;
use rejoin_net::keys::Keys;
use rejoin_net::replica::{Committer, Storage};
use rejoin_net::store::{DirLock, OpenOptions, RedbStore, lineage};

use super::{Facts, Opened};
use crate::{Error, Result};

const KEY: &str = "device.key";
const SPACES: &str = "spaces";
const QUARANTINE: &str = "quarantine";
const EXTENSION: &str = "redb";

/// A data directory that this process holds.
pub(crate) struct Directory {
    path: PathBuf,
    lock: Mutex<Option<DirLock>>,
}

impl Directory {
    /// Makes the directory if need be, and takes its lock.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let spaces = path.join(SPACES);
        fs::create_dir_all(&spaces).map_err(|error| Error::Io { path: spaces, error })?;
        let lock = DirLock::take(path)?;
        Ok(Self { path: path.to_owned(), lock: Mutex::new(Some(lock)) })
    }

    pub(crate) fn keys(&self) -> Result<Keys> {
        Ok(Keys::open(&self.path.join(KEY))?)
    }

    /// Opens or makes the file of a space.
    pub(crate) fn open_space(&self, space: &SpaceId) -> Result<Opened> {
        let path = self.file(space);
        let (store, writer) = RedbStore::open(&path, &OpenOptions::default())?;
        let lineage = lineage(&path).map_err(|error| Error::Io { path, error })?;
        Ok(Opened {
            was_closed: store.was_closed(),
            derived_is_sound: true,
            storage: Storage::Disk(store),
            committer: Committer::Disk(writer.clone()),
            facts: Facts::Disk(writer),
            lineage,
        })
    }

    /// The spaces that have a file here.
    pub(crate) fn spaces(&self) -> Result<Vec<SpaceId>> {
        let folder = self.path.join(SPACES);
        let cannot = |error: io::Error| Error::Io { path: folder.clone(), error };
        let mut spaces = Vec::new();
        for entry in fs::read_dir(&folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            let named = path.file_stem().and_then(|stem| stem.to_str()).and_then(parse_hex::<32>);
            if path.extension().is_some_and(|end| end == EXTENSION) {
                spaces.extend(named.map(SpaceId));
            }
        }
        spaces.sort_unstable();
        Ok(spaces)
    }

    pub(crate) fn file(&self, space: &SpaceId) -> PathBuf {
        self.path.join(SPACES).join(format!("{space}.{EXTENSION}"))
    }

    /// Gives the file of a space a second name among those that were set aside; it is lost under its own when another is
    /// put in its place. Where the file system can, not a moment passes in which the space has no file.
    pub(crate) fn set_aside(&self, space: &SpaceId) -> Result<PathBuf> {
        let folder = self.path.join(QUARANTINE);
        let cannot = |error: io::Error| Error::Io { path: folder.clone(), error };
        fs::create_dir_all(&folder).map_err(cannot)?;
        for number in 1_u32.. {
            let aside = folder.join(format!("{space}-{number}.{EXTENSION}"));
            match fs::hard_link(self.file(space), &aside) {
                Ok(()) => {
                    fs::File::open(&folder).and_then(|folder| folder.sync_all()).map_err(cannot)?;
                    return Ok(aside);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) if aside.exists() => {}
                // A file system without second names: then there is a moment.
                Err(_) => {
                    fs::rename(self.file(space), &aside).map_err(cannot)?;
                    return Ok(aside);
                }
            }
        }
        unreachable!("one of four thousand million names is free")
    }

    /// The files that were set aside.
    pub(crate) fn quarantined(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path.join(QUARANTINE)).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    }

    /// Lets others work in it.
    pub(crate) fn release(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
