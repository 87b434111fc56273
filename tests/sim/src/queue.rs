//! What is going to happen, and when. Ties are broken by who came first, so a run is a function of its seed.

use std::collections::BTreeMap;

/// Something that happens by itself.
#[derive(Clone, Debug)]
pub enum Due {
    /// The next thing on a stream reaches one of its ends.
    Arrive {
        /// Which stream.
        stream: usize,
        /// Which of its two ends.
        side: usize,
    },
    /// A gossiped message reaches a machine.
    Gossip {
        /// Who gets it.
        to: usize,
        /// Who passed it on.
        from: usize,
        /// Which message.
        message: usize,
        /// The bit that is wrong in this copy.
        flip: Option<u64>,
    },
    /// The commit in flight becomes durable, or fails.
    Durable {
        /// On which machine.
        machine: usize,
        /// In which of its lives.
        life: u64,
    },
    /// The commit in flight is reported.
    Report {
        /// To which machine.
        machine: usize,
        /// In which of its lives.
        life: u64,
        /// Whether it is durable.
        good: bool,
    },
    /// A machine that is down comes back.
    Restart {
        /// Which machine.
        machine: usize,
        /// The life that ended.
        life: u64,
    },
}

/// Everything due, in order.
#[derive(Debug, Default)]
pub struct Queue {
    due: BTreeMap<(u64, u64), Due>,
    pushed: u64,
}

impl Queue {
    /// Adds something at a time.
    pub fn push(&mut self, at_us: u64, due: Due) {
        self.pushed += 1;
        self.due.insert((at_us, self.pushed), due);
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<u64> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next thing.
    pub fn pop(&mut self) -> Option<Due> {
        self.due.pop_first().map(|(_, due)| due)
    }
}
