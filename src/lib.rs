//! rejoin keeps the same data on every device without a server.
pub use rejoin_core as core;
