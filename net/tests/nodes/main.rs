//! Nodes on the loopback interface: meshes that gossip, streams that die, peers that lie, and many rows.

mod full_size;
mod hostile;
mod mesh;
mod streams;
mod support;
