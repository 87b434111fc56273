//! Everything of rejoin that waits: the store on disk, the network, and the one loop that drives an engine.
//!
//! The engine is pure: it says what to persist and what to send. Here is who does it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`backup`] | images of spaces in files: written whole or not at all, read twice before anything is made of them |
//! | [`store`] | a space in one redb file; the lock of a data directory |
//! | [`keys`] | the secret of a device and what follows from it |
//! | [`replica`] | one space on this device: an engine, its store, its streams, and the loop that joins them |
//! | [`network`] | who is connected, streams and gossip for each space, whoever carries them |
//! | [`swarm`] | libp2p: connections, discovery, gossip, and whom to dial again |
//!
//! A [`replica::Replica`] works without a network; a [`network::Network`] carries any number of replicas.

#[cfg(not(target_family = "wasm"))]
pub mod backup;
mod clock;
mod host;
pub mod keys;
pub mod network;
pub mod replica;
#[cfg(not(target_family = "wasm"))]
pub mod store;
#[cfg(feature = "libp2p")]
pub mod swarm;
mod wire;

pub use libp2p_identity::PeerId;
pub use multiaddr::Multiaddr;
