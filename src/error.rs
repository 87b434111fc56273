//! What can go wrong, for whoever can do something about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rejoin_core::SpaceId;
use rejoin_core::engine::{OpenError, ReadError, WriteError};
use rejoin_core::error::KeyError as PathError;
use rejoin_core::row::{DataError, Kind};
use rejoin_core::store::StoreError;
use rejoin_core::value::ValueError;
#[cfg(not(target_family = "wasm"))]
use rejoin_net::backup::BackupError;
use rejoin_net::keys::KeyError;
use rejoin_net::network::NetworkError;
use rejoin_net::replica::{Lost, Missing};
#[cfg(not(target_family = "wasm"))]
use rejoin_net::store::{LockError, OpenError as FileError};
use thiserror::Error;

use crate::TicketError;

/// What the calls of this library return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call that did not do what it was asked. Unless a variant says otherwise, nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has the data directory open, or it cannot be locked.
    #[cfg(not(target_family = "wasm"))]
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file or folder cannot be read or made.
    #[error("cannot use {path}: {error}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The secret of this device cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file of a space cannot be opened.
    #[cfg(not(target_family = "wasm"))]
    #[error(transparent)]
    File(#[from] FileError),
    /// The contents of a space cannot be used.
    #[error("cannot open {path}: {error}", path = path.display())]
    Open {
        /// Its file.
        path: PathBuf,
        /// Why.
        error: OpenError,
    },
    /// The store failed while it was open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was to be written or read cannot be.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The transaction does not fit in one.
    #[error("the transaction is too large: split it; an import of many rows is several transactions")]
    TooLarge,
    /// The change was shown, and then lost because the disk failed. Nobody else has seen it.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// Too few others have the change yet. It is kept, and goes on syncing.
    #[error("{got} of {wanted} devices have it after {} s; the change is kept and goes on syncing", after.as_secs())]
    NotConfirmed {
        /// How many have it.
        got: usize,
        /// How many were asked for.
        wanted: usize,
        /// How long was waited.
        after: Duration,
    },
    /// What a token has seen is not here yet. It comes when a device that has it is met.
    #[error("not seen here after {} s: {}", after.as_secs(), all(missing))]
    NotSeen {
        /// What is missing.
        missing: Vec<Missing>,
        /// How long was waited.
        after: Duration,
    },
    /// The text is no ticket.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// There is no such space here.
    #[error("there is no space `{asked}` here; there is {}", listed(here))]
    UnknownSpace {
        /// What was asked for.
        asked: String,
        /// The names of those that are here.
        here: Vec<String>,
    },
    /// Two spaces cannot have one name on one device.
    #[error("there is a space `{0}` here already; choose another name")]
    NameTaken(String),
    /// A name that cannot be used.
    #[error("`{0}` cannot name a space: use 1 to 64 letters, digits, dots, dashes and underscores")]
    Name(String),
    /// The network failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The node was opened offline.
    #[error("this node was opened offline; open it without `offline` to reach others")]
    Offline,
    /// This device has left the space.
    #[error("this device has left `{0}`: join it again with a ticket to sync it")]
    Left(String),
    /// A space is not deleted while changes of this device are nowhere else.
    #[error(
        "{changes} changes of this device in `{name}` are on no other device as far as is known: sync first, or say that they \
         may go; nothing was changed"
    )]
    OnlyHere {
        /// The space.
        name: String,
        /// How many.
        changes: u64,
    },
    /// A sync did not end with equal roots.
    #[error("not in sync with {with}: {why}")]
    NotInSync {
        /// The peer and its address.
        with: String,
        /// Why.
        why: String,
    },
    /// A handle was used with another space's batch.
    #[error("a batch writes one space, and this handle belongs to another")]
    OtherSpace,
    /// No transactions are kept that could be taken back.
    #[error(
        "nothing is kept here to be taken back: say how many transactions to keep, with `Space::keep_undo` or \
         `rejoin undo SPACE --keep 100`; those written from then on can be undone"
    )]
    UndoOff,
    /// A backup was not made, or not read.
    #[cfg(not(target_family = "wasm"))]
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A backup is not restored over what is there.
    #[error(
        "the space {space} is here already ({path}): restore into another data directory, or name another space of the \
         backup; nothing was changed", path = path.display()
    )]
    SpaceHere {
        /// The space.
        space: SpaceId,
        /// Its file.
        path: PathBuf,
    },
    /// A backup does not hold the space that was asked for.
    #[error("there is no space `{asked}` in the backup; there is {}", listed(there))]
    NotInBackup {
        /// What was asked for.
        asked: String,
        /// The names of those that are there.
        there: Vec<String>,
    },
    /// A node that keeps nothing cannot take in a backup, or leave a space and keep it.
    #[error("a node in memory keeps nothing: open one at a path for this")]
    InMemory,
    /// What was set aside is salvaged after the others had their say, since only then it shows what they lack.
    #[error(
        "this space was not in sync with any other device since the node was opened: let it sync first, or say that no \
         other device has it; nothing was changed"
    )]
    NotYetInSync,
    /// The change feed was dropped while somebody read it.
    #[error("the change feed of this space is not kept any more: call `feed` again to begin a new one")]
    NoFeed,
    /// The first write of an object where one of another kind is. One that was begun elsewhere at the same time is never
    /// refused: both live then.
    #[error(
        "`{path}` is a {is} on this device, and you asked for a {asked}: use it as a {is}, or choose another path"
    )]
    WrongKind {
        /// The path.
        path: String,
        /// What is there.
        is: Kind,
        /// What was to be written.
        asked: Kind,
    },
    /// What a device says of itself as presence is sent often, so it has to be short.
    #[error(
        "presence has at most {most} bytes, and this has {bytes}: put what is long into the data and name it here"
    )]
    PresenceTooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// An index was dropped while somebody used it.
    #[error("this index is not there any more: call `index` on the map to build it again")]
    NoIndex,
    /// A query compares with something that cannot be a value.
    #[error("this query cannot be asked: {0}")]
    Query(String),
    /// The data is sound, and the change feed or an index of this device is not.
    #[error(
        "the data is sound; what this device keeps beside it is not: {0}; it is given up and built anew when the space is \
         opened next"
    )]
    Derived(String),
    /// The store of a space contradicts itself.
    #[error(
        "the store is damaged: {0}; open its node with the network (`rejoin serve`): it sets the file aside and gets what \
         others have; or restore a backup into another directory"
    )]
    Damaged(String),
}

impl Error {
    /// Whether the same call may succeed later without anything being changed by hand.
    pub fn is_retryable(&self) -> bool {
        #[cfg(not(target_family = "wasm"))]
        if matches!(self, Self::Lock(_)) {
            return true;
        }
        matches!(
            self,
            Self::NotConfirmed { .. }
                | Self::NotSeen { .. }
                | Self::Network(NetworkError::Dial { .. })
                | Self::NotInSync { .. }
                | Self::Lost(_)
        )
    }
}

fn all(missing: &[Missing]) -> String {
    let words: Vec<String> = missing.iter().map(Missing::to_string).collect();
    words.join("; ")
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none yet".into() } else { names.join(", ") }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Data(error) => Self::Data(error),
            WriteError::TooLarge => Self::TooLarge,
            WriteError::Store(error) => Self::Store(error),
        }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Data(error) => Self::Data(error),
            ReadError::Store(error) => Self::Store(error),
        }
    }
}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        Self::Data(error.into())
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        Self::Data(error.into())
    }
}
