//! The gate between redb and the file: it can hold back writes without redb noticing.
//!
//! It solves three problems with one idea. While the gate is shut, every change stays in memory above the file and reads
//! see file and changes together:
//!
//! * **Nothing is written before the store is recognised.** redb writes while it opens: a repair, a mark that says "in
//!   use". A store is opened behind a shut gate and looked at. If it is refused, the file has not been touched. If it is
//!   taken, [`Gate::open`] replays the changes in their order, with their syncs: a crash then meets the file in the very
//!   states that redb would have put it in.
//! * **Reads go on when writing fails.** redb refuses all access to the file after one failed write. So the gate falls shut
//!   at the failure and answers that all is well; whoever commits asks [`Gate::failure`] before believing it. The
//!   snapshot that is being read lies in pages that a commit never overwrites, and stays readable.
//! * **A commit that failed is decided.** From the first failure on nothing reaches the file, so the commit is there only
//!   if its last write was the one that failed, and opening the file once more tells.
//!
//! The gate is also where locking ends: [`Disk`] locks the whole file once, for all the databases that are opened on it
//! one after another.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::{BackendError, StorageBackend};
use rejoin_core::store::StoreError;

use super::error::io_error;

/// Changes are kept in blocks of this size: redb's pages.
const BLOCK_BYTES: u64 = 4096;

/// The file, locked. Closed when the last gate on it is gone, or before.
#[derive(Debug)]
pub(super) struct Disk {
    backend: Box<dyn StorageBackend>,
    closed: AtomicBool,
}

impl Disk {
    /// Locks it; `None` when it is in use.
    pub(super) fn claim(backend: impl StorageBackend) -> io::Result<Option<Arc<Self>>> {
        let free = match backend.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
            Ok(free) => free,
            // A file system without locks: the lock on the directory has to do.
            Err(BackendError::Unsupported) => true,
            Err(error) => return Err(error.into()),
        };
        let disk = Self { backend: Box::new(backend), closed: AtomicBool::new(false) };
        Ok(free.then(|| Arc::new(disk)))
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        self.open()?.len()
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.open()?.read(offset, out)
    }

    /// Gives up the lock. Every later access is an error.
    pub(super) fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            // Nothing is buffered here, and the lock goes with the file at the latest.
            let _ = self.backend.close();
        }
    }

    fn open(&self) -> io::Result<&dyn StorageBackend> {
        if self.closed.load(Ordering::Acquire) {
            return Err(io::Error::other("the store is closed"));
        }
        Ok(self.backend.as_ref())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

/// See the module page. Clones are the same gate: one for redb, one for who opens it.
#[derive(Clone)]
pub(super) struct Gate(Arc<Inner>);

struct Inner {
    disk: Arc<Disk>,
    /// What is held back, while the gate is shut.
    held: RwLock<Option<Held>>,
    /// One change at a time, so that none passes after one that failed. Reads do not wait for it.
    order: Mutex<()>,
    failure: Mutex<Option<StoreError>>,
    /// Nobody reads through it any more.
    is_given_up: AtomicBool,
}

impl Gate {
    /// A shut gate.
    pub(super) fn shut(disk: &Arc<Disk>) -> io::Result<Self> {
        let held = RwLock::new(Some(Held { log: Some(Vec::new()), ..Held::above(disk)? }));
        let (order, failure, is_given_up) = (Mutex::new(()), Mutex::new(None), AtomicBool::new(false));
        Ok(Self(Arc::new(Inner { disk: Arc::clone(disk), held, order, failure, is_given_up })))
    }

    /// Lets through what was held back, and from then on everything. If that fails, it stays shut for ever.
    pub(super) fn open(&self) -> Result<(), StoreError> {
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        let log = held.as_mut().and_then(|held| held.log.take()).unwrap_or_default();
        for change in log {
            if let Err(error) = change.apply(&self.0.disk) {
                return Err(self.fail(io_error(&error)));
            }
        }
        *held = None;
        Ok(())
    }

    /// Why it fell shut. Whatever redb reported since is not in the file.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shuts it for ever; the first reason.
    pub(super) fn fail(&self, error: StoreError) -> StoreError {
        let mut failure = self.0.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error).clone()
    }

    /// Ends all access if it is shut: redb then spares itself the work of closing, whose result nobody would see, over
    /// pages that another database may have overwritten meanwhile.
    pub(super) fn give_up_if_shut(&self) {
        let is_shut = self.0.held.read().unwrap_or_else(PoisonError::into_inner).is_some();
        self.0.is_given_up.store(is_shut || self.failure().is_some(), Ordering::Release);
    }

    fn in_use(&self) -> io::Result<()> {
        let is_given_up = self.0.is_given_up.load(Ordering::Acquire);
        if is_given_up { Err(io::Error::other("given up")) } else { Ok(()) }
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.in_use()?;
        let _order = self.0.order.lock().unwrap_or_else(PoisonError::into_inner);
        let is_shut = self.0.held.read().unwrap_or_else(PoisonError::into_inner).is_some();
        if !is_shut && self.failure().is_none() {
            match change.apply(&self.0.disk) {
                Ok(()) => return Ok(()),
                Err(error) => self.fail(io_error(&error)),
            };
        }
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        let held = match &mut *held {
            Some(held) => held,
            None => held.insert(Held::above(&self.0.disk)?),
        };
        held.take(&self.0.disk, change)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.0.disk).finish()
    }
}

impl StorageBackend for Gate {
    fn len(&self) -> io::Result<u64> {
        let held = self.0.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map_or_else(|| self.0.disk.len(), |held| Ok(held.len))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.in_use()?;
        let held = self.0.held.read().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(held) => held.read(&self.0.disk, offset, out),
            None => self.0.disk.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::SetLen(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(Change::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset, data.to_vec()))
    }
}

/// What redb does to a file.
enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl Change {
    fn apply(&self, disk: &Disk) -> io::Result<()> {
        let backend = disk.open()?;
        match self {
            Self::Write(offset, data) => backend.write(*offset, data),
            Self::SetLen(len) => backend.set_len(*len),
            Self::Sync => backend.sync_data(),
        }
    }
}

/// Changes above a file.
struct Held {
    /// Number of a block -> its bytes.
    blocks: BTreeMap<u64, Vec<u8>>,
    len: u64,
    /// Below this the file shows through. A file that was cut and has grown again is zero in between.
    floor: u64,
    /// The changes in order, if they are to be let through later.
    log: Option<Vec<Change>>,
}

impl Held {
    fn above(disk: &Disk) -> io::Result<Self> {
        let len = disk.len()?;
        Ok(Self { blocks: BTreeMap::new(), len, floor: len, log: None })
    }

    fn read(&self, disk: &Disk, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.len);
        let end = end.ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof))?;
        self.read_file(disk, offset, out)?;
        for (number, block) in self.blocks.range(offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)) {
            let start = number * BLOCK_BYTES;
            let (from, to) = (start.max(offset), (start + BLOCK_BYTES).min(end));
            out[index(from - offset)..index(to - offset)]
                .copy_from_slice(&block[index(from - start)..index(to - start)]);
        }
        Ok(())
    }

    /// What the file itself has there.
    fn read_file(&self, disk: &Disk, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let shown = index(self.floor.saturating_sub(offset).min(out.len() as u64));
        let (file, zeros) = out.split_at_mut(shown);
        zeros.fill(0);
        if file.is_empty() { Ok(()) } else { disk.read(offset, file) }
    }

    fn take(&mut self, disk: &Disk, change: Change) -> io::Result<()> {
        match &change {
            Change::Write(offset, data) => self.write(disk, *offset, data)?,
            Change::SetLen(len) => self.set_len(*len),
            Change::Sync => {}
        }
        if let Some(log) = &mut self.log {
            log.push(change);
        }
        Ok(())
    }

    fn write(&mut self, disk: &Disk, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset + data.len() as u64;
        for number in offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES) {
            let start = number * BLOCK_BYTES;
            if !self.blocks.contains_key(&number) {
                let mut block = vec![0; index(BLOCK_BYTES)];
                self.read_file(disk, start, &mut block)?;
                self.blocks.insert(number, block);
            }
            let (from, to) = (start.max(offset), (start + BLOCK_BYTES).min(end));
            if let Some(block) = self.blocks.get_mut(&number) {
                block[index(from - start)..index(to - start)]
                    .copy_from_slice(&data[index(from - offset)..index(to - offset)]);
            }
        }
        self.len = self.len.max(end);
        Ok(())
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.blocks.split_off(&len.div_ceil(BLOCK_BYTES));
            if let Some(block) = self.blocks.get_mut(&(len / BLOCK_BYTES)) {
                block[index(len % BLOCK_BYTES)..].fill(0);
            }
            self.floor = self.floor.min(len);
        }
        self.len = len;
    }
}

/// A position within something that is in memory.
fn index(position: u64) -> usize {
    usize::try_from(position).expect("what is in memory can be addressed")
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;
    use redb::backends::InMemoryBackend;

    use super::*;

    /// One change: a write somewhere, or another length.
    fn change(step: (bool, u16, u8)) -> Change {
        let (is_write, place, byte) = step;
        let place = u64::from(place) % 20_000;
        if is_write {
            Change::Write(place, vec![byte; usize::from(byte) * 40])
        } else {
            Change::SetLen(place)
        }
    }

    fn apply(model: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write(offset, data) => {
                let (start, end) = (index(*offset), index(*offset) + data.len());
                model.resize(model.len().max(end), 0);
                model[start..end].copy_from_slice(data);
            }
            Change::SetLen(len) => model.resize(index(*len), 0),
            Change::Sync => {}
        }
    }

    fn bytes(backend: &impl Fn(u64, &mut [u8]) -> io::Result<()>, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; index(len)];
        backend(0, &mut bytes).expect("it is within the file");
        bytes
    }

    quickcheck! {
        fn a_shut_gate_shows_what_it_holds_back_and_then_lets_it_through(
            before: Vec<(bool, u16, u8)>, after: Vec<(bool, u16, u8)>
        ) -> bool {
            let disk = Disk::claim(InMemoryBackend::new()).expect("no locks").expect("not in use");
            let mut model = Vec::new();
            for step in before {
                // redb never writes behind the end.
                let len = disk.len().expect("memory");
                let change = change(step);
                if let Change::Write(offset, data) = &change && offset + data.len() as u64 > len {
                    continue;
                }
                change.apply(&disk).expect("memory");
                apply(&mut model, &change);
            }
            let untouched = model.clone();
            let gate = Gate::shut(&disk).expect("memory");
            for step in after {
                let change = change(step);
                if let Change::Write(offset, data) = &change && offset + data.len() as u64 > model.len() as u64 {
                    continue;
                }
                apply(&mut model, &change);
                gate.change(change).expect("it is held back");
            }
            let read = |offset: u64, out: &mut [u8]| gate.read(offset, out);
            let is_shown = bytes(&read, gate.len().expect("memory")) == model;
            let read = |offset: u64, out: &mut [u8]| disk.read(offset, out);
            let is_held = bytes(&read, disk.len().expect("memory")) == untouched;
            gate.open().expect("memory");
            is_shown && is_held && bytes(&read, disk.len().expect("memory")) == model
        }
    }
}
