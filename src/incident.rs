//! What an operator may want to know: ids that were given up, forks, stores that failed or were set aside.

use std::path::PathBuf;

use rejoin_core::engine::Event;

/// Something that happened to a space since it was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Which of them, counted from 0. Only the newest are kept.
    pub number: u64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// The file of the space was found damaged when it was opened. It was set aside as it was, and the space began anew:
    /// empty, under a new id, to be filled by the others.
    Quarantined(Quarantined),
    /// What the engine told.
    Engine(Event),
}

/// A file that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it lies now. Nothing deletes it; [`crate::Node::salvage`] reads what can still be read of it.
    pub file: PathBuf,
    /// What was found.
    pub why: String,
    /// How many changes of this device nobody else was known to have: what may be lost unless it is salvaged. `None` when
    /// the file does not tell.
    pub unsynced: Option<u64>,
}
