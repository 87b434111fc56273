//! The engine: the pure state machine of one space on one device.

pub use crate::boundary::{
    Config, Event, GossipId, Input, Now, Output, Push, Reason, Role, SessionId, Stats, Verdict,
};
pub use crate::state::{OpenError, ReadError, Reader, Transaction, WriteError};
