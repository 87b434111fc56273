//! Where a store lies, and who may work there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::error::LockError;

/// Separates this hash from every other one.
const DOMAIN: &str = "rejoin/1/lineage";
/// The lock file of a data directory.
const LOCK: &str = "lock";
/// A process number has fewer digits.
const PID_BYTES: u64 = 20;

/// Names the place where a store lies: its device, its inode and when that was made. A copy, a restored backup and a
/// snapshot that was cloned lie elsewhere, so a store that wakes up under another lineage than it was written under takes
/// a new replica id before it writes.
///
/// Moving within a file system keeps it; moving to another one changes it, which costs no more than a new id. What it
/// cannot see: an image of a whole disk, and a backup that is written over the old file in place. Those are found at the
/// first contact with a peer that knows more. Where there is no creation time, two inodes with one number, one after the
/// other, look the same.
pub fn lineage(path: &Path) -> io::Result<[u8; 16]> {
    let facts = std::fs::metadata(path)?;
    let mut hasher = blake3::Hasher::new_derive_key(DOMAIN);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        hasher.update(&facts.dev().to_le_bytes());
        hasher.update(&facts.ino().to_le_bytes());
    }
    #[cfg(not(unix))]
    hasher.update(std::fs::canonicalize(path)?.as_os_str().as_encoded_bytes());
    let made = facts.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    hasher.update(&made.map_or(0, |made| made.as_nanos()).to_le_bytes());
    let mut name = [0; 16];
    name.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Ok(name)
}

/// Where something is made that is to lie at a path; `None` where nothing can lie.
pub(crate) fn beside(path: &Path) -> Option<PathBuf> {
    let mut name = path.file_name()?.to_owned();
    name.push(".new");
    Some(path.with_file_name(name))
}

/// Opens a file that nobody but its owner may read, if it is made.
pub(crate) fn owners_file(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// Gives a complete and durable file its name, durably, at once with the loss of what had the name before.
pub(crate) fn put_in_place(fresh: &Path, path: &Path) -> io::Result<()> {
    std::fs::rename(fresh, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// The right to work in a data directory, for as long as this lives; the system takes it back when the process dies.
/// The lock file stays, empty.
#[derive(Debug)]
pub struct DirLock {
    file: File,
    path: PathBuf,
}

impl DirLock {
    /// Takes it, without waiting.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(LOCK);
        let fail = |error: io::Error| LockError::Io { path: path.clone(), why: error.to_string() };
        let mut options = File::options();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Locked { pid: pid(&mut file), path }),
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        // The number is for people only, and a full disk has no room even for that.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { file, path })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // A number left behind would only mislead people: the lock itself ends with the file.
        let _ = self.file.set_len(0);
    }
}

fn pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(PID_BYTES).read_to_string(&mut text).ok()?;
    text.parse().ok()
}
