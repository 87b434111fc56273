//! Writing: all of it, or nothing.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use rejoin_core::SpaceId;
use rejoin_core::image::{Fact, ImageSink, ImageWriter, looks_like_image};
use rejoin_core::store::StoreError;

use super::{BackupError, Progress, Saved};
use crate::clock::wall_ms;
use crate::replica::Replica;
use crate::store::{beside, io_error, owners_file, put_in_place};

const BUFFER: usize = 256 * 1024;
/// So many bytes tell whether a file is a backup.
const BEGIN: u64 = 16;

/// A space to be saved.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The replica that holds it.
    pub replica: Replica,
    /// What is kept beside it.
    pub facts: Vec<Fact>,
}

/// Saves spaces in one file, each as it is durable when its turn comes, and says what of each. Blocks while the disk
/// works. Holds one block, and a few words for each replica that ever wrote.
///
/// # Errors
/// Whatever the reason, what had this name before still has it, and nothing else is left.
pub fn write(
    path: &Path,
    subjects: &[Subject],
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Saved>, BackupError> {
    let pending = Pending::begin(path)?;
    let file = pending.file.try_clone().map_err(|error| pending.failed(&error))?;
    let mut out = BufWriter::with_capacity(BUFFER, file);
    // Which of the two failed, the space or the file, is told apart by where the error came from.
    let mut failed = None;
    let mut sink = |bytes: &[u8]| {
        out.write_all(bytes).map_err(|error| {
            let error = io_error(&error);
            failed = Some(error.clone());
            error
        })
    };
    let outcome = image(subjects, &mut sink, progress);
    if let Some(error) = failed {
        return Err(BackupError::NotWritten { path: path.to_owned(), error });
    }
    let saved = outcome.map_err(|(space, error)| BackupError::Space { space, error })?;
    out.flush().and_then(|()| pending.file.sync_all()).map_err(|error| pending.failed(&error))?;
    drop(out);
    pending.settle()?;
    Ok(saved)
}

fn image(
    subjects: &[Subject],
    sink: &mut ImageSink<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Saved>, (SpaceId, StoreError)> {
    // Only the sink fails here, and then it is asked why.
    let nobody = |error| (SpaceId([0; 32]), error);
    let mut writer = ImageWriter::begin(sink).map_err(nobody)?;
    let mut saved = Vec::with_capacity(subjects.len());
    for Subject { replica, facts } in subjects {
        let space = replica.space();
        let (moment, of) = replica.moment().map_err(|error| (space, error))?;
        let mut tell = |done| progress(Progress { space, done, of });
        let written = writer.space(&moment, wall_ms(), of, facts, sink, &mut tell);
        let (about, contents) = written.map_err(|error| (space, error))?;
        saved.push(Saved { about, contents });
    }
    writer.end(sink).map_err(nobody)?;
    Ok(saved)
}

/// A file under another name. Dropped, it is removed.
struct Pending {
    /// Locked, so that two backups to one name do not write into each other.
    file: File,
    fresh: PathBuf,
    path: PathBuf,
    settled: bool,
}

impl Pending {
    fn begin(path: &Path) -> Result<Self, BackupError> {
        let fail =
            |error: &io::Error| BackupError::NotWritten { path: path.to_owned(), error: io_error(error) };
        match begins_like_a_backup(path) {
            Ok(true) => {}
            Ok(false) => return Err(BackupError::Taken { path: path.to_owned() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(fail(&error)),
        }
        let fresh = beside(path).ok_or_else(|| BackupError::Taken { path: path.to_owned() })?;
        // What a backup that was killed left is taken over.
        let mut options = File::options();
        let file = owners_file(&fresh, options.read(true).write(true).create(true).truncate(false));
        let file = file.map_err(|error| fail(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::InUse { path: path.to_owned() }),
            // A file system without locks.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(fail(&error)),
        }
        // Between opening and locking another backup may have ended and given the file its name.
        if !is_at(&file, &fresh) {
            return Err(BackupError::InUse { path: path.to_owned() });
        }
        let pending = Self { file, fresh, path: path.to_owned(), settled: false };
        pending.file.set_len(0).map_err(|error| pending.failed(&error))?;
        Ok(pending)
    }

    fn failed(&self, error: &io::Error) -> BackupError {
        BackupError::NotWritten { path: self.path.clone(), error: io_error(error) }
    }

    fn settle(mut self) -> Result<(), BackupError> {
        put_in_place(&self.fresh, &self.path).map_err(|error| self.failed(&error))?;
        self.settled = true;
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.settled {
            // What cannot be removed is taken over by the next backup to this name.
            let _ = fs::remove_file(&self.fresh);
        }
    }
}

fn begins_like_a_backup(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    if !fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    File::open(path)?.take(BEGIN).read_to_end(&mut begin)?;
    Ok(looks_like_image(&begin))
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().ok().zip(fs::metadata(path).ok()).is_some_and(|(a, b)| same(a, b))
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}
