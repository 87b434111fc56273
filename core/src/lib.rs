//! The pure core of rejoin: replicas that edit apart and come together again.
//!
//! Nothing here reads a clock, draws a random number, opens a socket or a file, or starts a thread. Time, randomness
//! and received bytes come in as arguments; effects leave through one ordered queue. That is what lets the simulator
//! replay any run from one seed, and what lets the same code run natively and in a browser.
//!
//! Modules, lower ones first; arrows point upwards in this list only (a test reads the `use` lines):
//!
//! | module | what it holds |
//! |---|---|
//! | [`id`], [`limits`], [`error`], [`planted`], [`codec`] | names, bounds with their reasons, bounded canonical bytes |
//! | [`identity`] | device keys and signatures |
//! | [`clock`] | version vectors, the frontier, Lamport and hybrid logical clocks |
//! | [`value`] | self-describing values and serde access to them |
//! | [`row`] | row keys, entries, deltas, and the one merge rule |
//! | [`crdt`] | counters, sets, maps, registers: views over rows |
//! | [`tree`] | the canonical hash of a state |
//! | [`store`] | the small storage trait and a store in memory |
//! | [`boundary`] | every input, output, event and setting of an engine |
//! | `state` | one space over a store: memory above durable |
//! | [`feed`], [`index`], [`image`], [`remains`] | parts of `state`: what became of each row; rows by what they hold; a space as one compact file, for backups; what is left of a damaged store |
//! | `sync` | messages and sessions: moves dots and bytes, knows no CRDT |
//! | [`engine`] | the pure state machine that a host drives |
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "laws", feature = "document"))]
extern crate std;

pub mod boundary;
pub mod clock;
pub mod codec;
pub mod crdt;
pub mod engine;
pub mod error;
pub mod id;
pub mod identity;
#[cfg(any(test, feature = "laws"))]
pub mod laws;
pub mod limits;
pub mod planted;
pub mod row;
mod state;
pub mod store;
mod sync;
pub mod tree;
pub mod value;

pub use clock::{Causality, HybridClock, Lamport, Timestamp, Token, VersionVector};
pub use id::{DeviceKey, Dot, ReplicaId, Signature, SpaceId};
pub use state::{feed, image, index, remains};
pub use value::Value;
