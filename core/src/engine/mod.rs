//! The engine: the pure state machine of one space on one device.

mod boundary;
mod overlay;

pub use boundary::{
    Config, Event, GossipId, Input, Now, Output, Push, Reason, Role, SessionId, Stats, Verdict,
};
