//! Everything of rejoin that waits: the store on disk, the network, the loop that drives engines.

pub mod store;
