//! Storage: one small trait for reading, one batch type for writing.
//!
//! The engine never waits for a disk. It reads through [`Store`], synchronously, and hands every change to its host as
//! one [`Commit`]; the host makes it durable, lets the store show it, and reports back. Two rules make that safe:
//!
//! * A commit is atomic: after a crash all of it is there, or none.
//! * **A store shows exactly the commits that were reported as persisted** (and, when opened, all that are durable).
//!   Sessions read the store, so nothing that could still be lost is ever told to another replica.
//!
//! Keys sort as bytes. What the bytes mean is the engine's business: see docs/format.md.

mod changes;
mod memory;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::ControlFlow;

use thiserror::Error;

use crate::clock::VersionVector;
use crate::id::ReplicaId;
use crate::row::RowKey;

pub use changes::Changes;
pub use memory::MemoryStore;

/// The version of the storage format that this code writes. Version 1 had no tree; it is made when one is opened.
/// Heads of versions 1 and 2 had neither tags nor a seal; they get them as their replicas write. Version 3 had neither feed
/// nor undo, and would write rows behind their back. Version 4 had no list of what expires.
pub const STORE_FORMAT: u32 = 5;

/// The tables of a space. Names and numbers are part of the storage format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Fixed names -> format version, space, own state.
    Meta = 0,
    /// Replica id -> its head: how much of it is known, its chain, key and signature.
    Replicas = 1,
    /// Row key -> its live entries.
    Rows = 2,
    /// Dot -> content hash and row key of the live entry that it wrote.
    Dots = 3,
    /// Arrival number -> a recent delta.
    Log = 4,
    /// Dot -> an entry of an unfinished bulk sync.
    Stage = 5,
    /// Dot and content hash -> the entry that lost against another one with the same dot.
    Forks = 6,
    /// Nodes of the trees over live dots, and marks of where they are out of date.
    Tree = 7,
    /// Position -> a change of a row, for readers that go on where they were.
    Feed = 8,
    /// Number -> what an own transaction did, so that it can be taken back.
    Undo = 9,
    /// What a row holds, and which row: see [`crate::index`].
    Index = 10,
}

impl Table {
    /// All tables, in order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Meta,
        Self::Replicas,
        Self::Rows,
        Self::Dots,
        Self::Log,
        Self::Stage,
        Self::Forks,
        Self::Tree,
        Self::Feed,
        Self::Undo,
        Self::Index,
    ];

    /// The first storage format that has it: a store of an older one need not.
    pub const fn since(self) -> u32 {
        match self {
            Self::Feed | Self::Undo | Self::Index => 4,
            Self::Tree => 2,
            _ => 1,
        }
    }
}

/// One change of a commit: the new value, or `None` to remove the key.
pub type Change = (Table, Vec<u8>, Option<Vec<u8>>);

/// Changes that become durable together. Each key occurs once.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Counts up by one from commit to commit; the host gives it back when the commit is durable.
    pub id: u64,
    /// What changes.
    pub changes: Changes,
    /// What is to be done after that in the same transaction: a change too large to be listed.
    pub merge: Option<Arc<dyn Merge>>,
}

impl Commit {
    /// A commit of listed changes.
    pub fn new(id: u64, changes: Vec<Change>) -> Self {
        Self { id, changes: changes.into_iter().collect(), merge: None }
    }

    /// Carries it out in a transaction. On an error nothing of the transaction may become durable.
    pub fn write(&self, transaction: &mut dyn WriteStore) -> Result<Merged, StoreError> {
        for (table, key, value) in self.changes.iter() {
            match value {
                Some(value) => transaction.put(table, key, value)?,
                None => transaction.delete(table, key)?,
            }
        }
        self.merge.as_ref().map_or_else(|| Ok(Merged::default()), |merge| merge.run(transaction))
    }
}

/// Work on the tables that needs little memory, however much it changes: the end of a bulk sync.
pub trait Merge: fmt::Debug + Send + Sync {
    /// Does it. The same tables give the same result, however often it is tried.
    fn run(&self, transaction: &mut dyn WriteStore) -> Result<Merged, StoreError>;

    /// What it has seen: the store's vector afterwards is at least this.
    fn vector(&self) -> VersionVector;
}

/// What a merge did, for whoever watches. The host hands it on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Rows that it changed, sorted, each once.
    pub rows: Vec<RowKey>,
    /// It changed more rows than are listed.
    pub more: bool,
    /// Replicas of which it found two histories.
    pub forks: Vec<ReplicaId>,
    /// Rows that it left with more than one live entry.
    pub concurrent_rows: u64,
}

/// Called for each key and value of a scan; breaking ends the scan.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// Reads of a store. See the module page for what they must show.
pub trait Store {
    /// The value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits keys from `first` on, ascending.
    fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;

    /// Visits keys below `end`, descending.
    fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;
}

/// A store within a transaction: reads see its writes, and all of them become durable together, or none.
pub trait WriteStore: Store {
    /// Sets a key.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// Removes a key; nothing happens when it is not there.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError>;
}

impl<T: Store + ?Sized> Store for &mut T {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).get(table, key)
    }

    fn scan(&self, table: Table, first: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        (**self).scan(table, first, visit)
    }

    fn scan_back(&self, table: Table, end: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        (**self).scan_back(table, end, visit)
    }
}

/// A store that cannot be read or written. What was durable stays durable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// No room. Reads go on; a later commit succeeds once there is room again.
    #[error("the disk is full: free some space; everything saved so far is safe ({0})")]
    Full(String),
    /// The file or the file system does not take writes.
    #[error("the store cannot be written: check its permissions ({0})")]
    ReadOnly(String),
    /// Reading or writing failed.
    #[error("the store failed: {0}")]
    Io(String),
    /// The bytes of the store are not what was written.
    #[error("the store is damaged: run verify, and restore it from a peer or a backup ({0})")]
    Damaged(String),
}
