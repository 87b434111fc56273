//! Writing: one transaction at a time, and what happens when one fails.
//!
//! After a failed write redb wants to be opened anew. The writer does that itself, at once, and so also learns whether
//! the transaction that failed is there after all (its very last write may have been the one that failed): every
//! transaction counts [`COUNT`](super::COUNT) up. If it is there, it did not fail. If opening fails too, the next commit
//! tries again; a store whose disk has room again recovers without anybody's help. The snapshot that is being read keeps
//! its old database, and the new one keeps that snapshot's pages until the next `show`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::ReadableDatabase;
use rejoin_core::store::{Commit, Merged, StoreError};

use super::error::{OpenError, closed};
use super::gate::Disk;
use super::handle::{Handle, HostChange, Tables};
use super::{HOST, OpenOptions, open};

/// Makes commits durable. Clones write to the same store, one after another. Every call waits for the disk: make it on a
/// thread that may block.
#[derive(Clone)]
pub struct Writer {
    pub(super) shared: Arc<Shared>,
}

impl Writer {
    /// Makes a commit durable, all of it or, on an error, nothing. Not shown before [`super::RedbStore::show`].
    ///
    /// After an error reads go on, and the next commit tries to recover by itself.
    pub fn commit(&self, commit: &Commit) -> Result<Merged, StoreError> {
        self.commit_with(commit, &[])
    }

    /// Makes a commit and facts of the host durable together.
    pub fn commit_with(&self, commit: &Commit, host: &[HostChange]) -> Result<Merged, StoreError> {
        self.shared.transact(commit, host)
    }

    /// Makes a fact of the host durable, or removes it, in a transaction of its own.
    pub fn set_host(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let nothing = Commit::new(0, Vec::new());
        self.shared.transact(&nothing, &[(key.to_vec(), value.map(<[u8]>::to_vec))]).map(drop)
    }

    /// A fact of the host, as the newest durable transaction left it.
    pub fn host(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.shared.ready()?.read(|database| {
            let value = database.begin_read()?.open_table(HOST)?.get(key)?;
            Ok(value.map(|value| value.value().to_vec()))
        })
    }
}

/// What a store and its writers share.
pub(super) struct Shared {
    pub(super) disk: Arc<Disk>,
    options: OpenOptions,
    place: String,
    /// Whether the file had been closed when it was opened first.
    pub(super) was_closed: bool,
    /// Held for a moment only.
    current: Mutex<Current>,
    /// How many transactions are durable. Held for the length of a transaction.
    turn: Mutex<u64>,
}

struct Current {
    state: State,
    /// A transaction that failed was found durable and is not shown yet: its forerunner's pages must last till then.
    unshown: bool,
    /// Keeps the pages of the snapshot that is read through an older handle.
    pin: Tables,
}

enum State {
    Ready(Arc<Handle>),
    /// A transaction failed, and opening again did too.
    Broken(StoreError),
    /// No transaction can be right any more.
    Dead(StoreError),
}

impl Shared {
    pub(super) fn open(disk: Arc<Disk>, options: &OpenOptions, place: &str) -> Result<Arc<Self>, OpenError> {
        let opening = open::look(&disk, options, place)?;
        let (count, was_closed) = (opening.count(), opening.was_closed());
        let handle = opening.finish(place)?;
        let current = Current { state: State::Ready(handle), unshown: false, pin: Vec::new() };
        let (current, turn) = (Mutex::new(current), Mutex::new(count));
        let (options, place) = (options.clone(), place.to_owned());
        Ok(Arc::new(Self { disk, options, place, was_closed, current, turn }))
    }

    /// The database that new reads and transactions go to.
    pub(super) fn ready(&self) -> Result<Arc<Handle>, StoreError> {
        match &lock(&self.current).state {
            State::Ready(handle) => Ok(Arc::clone(handle)),
            State::Broken(error) | State::Dead(error) => Err(error.clone()),
        }
    }

    /// The snapshot has moved to the database that is ready.
    pub(super) fn shown(&self) {
        let mut current = lock(&self.current);
        current.unshown = false;
        current.pin.clear();
    }

    /// Waits for a running transaction, then ends everything.
    pub(super) fn close(&self) -> Option<Arc<Handle>> {
        let _turn = lock(&self.turn);
        self.shown();
        match self.set(State::Dead(closed())) {
            State::Ready(handle) => Some(handle),
            State::Broken(_) | State::Dead(_) => None,
        }
    }

    fn set(&self, state: State) -> State {
        std::mem::replace(&mut lock(&self.current).state, state)
    }

    fn transact(&self, commit: &Commit, host: &[HostChange]) -> Result<Merged, StoreError> {
        let mut count = lock(&self.turn);
        let handle = self.recovered(*count)?;
        if lock(&self.current).unshown {
            return Err(StoreError::Io("the last commit is not shown yet; show it first".into()));
        }
        let mut merged = Merged::default();
        match handle.write(*count + 1, commit, host, &mut merged) {
            Ok(()) => *count += 1,
            Err(error) => {
                handle.retire(error.clone());
                // Dropping a database closes it, which takes time: not under the lock.
                drop((handle, self.set(State::Broken(error.clone()))));
                // Whoever asks again learns this error, not that of opening.
                let is_there = self.reopen(*count, true).map_err(|_| error.clone())?;
                if !is_there {
                    return Err(error);
                }
                *count += 1;
            }
        }
        Ok(merged)
    }

    /// The database, opened again if it has to be.
    fn recovered(&self, count: u64) -> Result<Arc<Handle>, StoreError> {
        let is_broken = matches!(lock(&self.current).state, State::Broken(_));
        if is_broken {
            self.reopen(count, false)?;
        }
        self.ready()
    }

    /// Opens the file again. Says whether the transaction after `count` is there, which is to be known before it is
    /// reported: without `may_be` it is an error.
    fn reopen(&self, count: u64, may_be: bool) -> Result<bool, StoreError> {
        let opening = open::look(&self.disk, &self.options, &self.place)?;
        let found = opening.count();
        if found != count && !(may_be && found == count + 1) {
            // Nothing was let through to the file, so the snapshot can still be read.
            let words = format!("it holds {found} transactions and {count} were reported: open it again");
            let error = StoreError::Io(words);
            drop(self.set(State::Dead(error.clone())));
            return Err(error);
        }
        // Before anything is written: a handle that fails now must not close its file over pages that are read.
        let pin = opening.tables()?;
        let handle = opening.finish(&self.place)?;
        let mut current = lock(&self.current);
        current.state = State::Ready(handle);
        current.pin = pin;
        current.unshown = found != count;
        Ok(current.unshown)
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Unready { error, .. } => error,
            OpenError::Damaged { why, .. } => Self::Damaged(why),
            error => Self::Io(error.to_string()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks: redb's panics are caught below.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
