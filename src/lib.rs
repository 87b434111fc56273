//! The library that people embed. What follows is the project's front page; all its code runs as tests.
//!
#![doc = include_str!("../README.md")]

mod batch;
mod causal;
mod changes;
mod commit;
#[cfg(feature = "document")]
mod documents;
mod error;
mod feed;
mod handles;
mod incident;
mod kinds;
mod lost;
mod node;
mod once;
mod place;
mod presence;
mod projection;
mod snapshot;
mod space;
mod ticket;
mod undo;
mod watch;

pub use batch::Batch;
pub use changes::{Change, Changes};
pub use commit::Commit;
pub use error::{Error, Result};
pub use feed::{Anew, Changed, Feed, Page, Scope, Shown, Step};
#[cfg(feature = "document")]
pub use handles::Document;
pub use handles::{
    BoundedCounter, Checkpoints, Counter, Flag, Index, Line, List, Log, Map, MultiRegister, Query, Register,
    Set, Trim,
};
pub use incident::{Incident, Quarantined, What};
pub use lost::Lost;
pub use node::{Builder, Node};
#[cfg(not(target_family = "wasm"))]
pub use node::{Restore, Salvage, Salvaged, name_in, verify_backup};
pub use place::{Kept, Shelf};
pub use presence::{Here, Presence};
pub use projection::Projection;
pub use rejoin_core as core;
#[cfg(feature = "document")]
pub use rejoin_core::crdt::document::{Edit, Version, automerge};
pub use rejoin_core::engine::Undone;
pub use rejoin_core::feed::{Cursor, Origin};
pub use rejoin_core::{Causality, Token, Value, VersionVector};
pub use rejoin_net as net;
#[cfg(not(target_family = "wasm"))]
pub use rejoin_net::backup::{BackupError, Progress, Saved};
pub use rejoin_net::replica::{Missing, Status, SyncReport};
pub use rejoin_net::{Multiaddr, PeerId};
pub use snapshot::Snapshot;
pub use space::{ObjectInfo, Peer, Space};
pub use ticket::{Grant, Ticket, TicketError};
pub use watch::Watch;
