//! The disk of one machine: commits become durable later than they are asked for, and are reported later still.
//!
//! While a machine runs, its engine owns the store that it may see. What a crash leaves behind is that store, plus the
//! commit in flight if it had become durable without being reported. So no second image is kept, and an older image, for
//! a machine that goes back in time, is rebuilt from the commits that led there.

use std::rc::Rc;

use rejoin_core::store::{Commit, MemoryStore};

use crate::oracle::Vector;

/// A commit on its way.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// What changes.
    pub commit: Rc<Commit>,
    /// What the engine had seen when it asked for it.
    pub vector: Vector,
    /// Whether a crash would keep it.
    pub durable: bool,
}

/// One durable commit and what was seen with it.
#[derive(Clone, Debug)]
struct Written {
    commit: Rc<Commit>,
    vector: Vector,
}

/// A disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    history: Vec<Written>,
    in_flight: Option<InFlight>,
    /// The image, while no engine owns it.
    image: Option<MemoryStore>,
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Self {
        Self { image: Some(MemoryStore::new()), ..Self::default() }
    }

    /// The commit in flight.
    pub const fn in_flight(&self) -> Option<&InFlight> {
        self.in_flight.as_ref()
    }

    /// Takes a commit; what a merge has seen besides comes with it. Returns false when one is in flight already.
    pub fn start(&mut self, commit: Commit, vector: Vector) -> bool {
        let free = self.in_flight.is_none();
        self.in_flight = Some(InFlight { commit: Rc::new(commit), vector, durable: false });
        free
    }

    /// From now on a crash keeps the commit in flight.
    pub fn make_durable(&mut self) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.durable = true;
            let (commit, vector) = (Rc::clone(&in_flight.commit), in_flight.vector.clone());
            self.history.push(Written { commit, vector });
        }
    }

    /// Ends the flight: the commit is to be reported.
    pub const fn finish(&mut self) -> Option<InFlight> {
        self.in_flight.take()
    }

    /// What a crash keeps was seen by then.
    pub fn vector(&self) -> Vector {
        self.history.last().map(|written| written.vector.clone()).unwrap_or_default()
    }

    /// How many commits are durable.
    pub fn commits(&self) -> usize {
        self.history.len()
    }

    /// The engine is gone and gave back the store that it saw.
    pub fn crash(&mut self, mut seen: MemoryStore) {
        if let Some(in_flight) = self.in_flight.take()
            && in_flight.durable
        {
            apply(&mut seen, &in_flight.commit);
        }
        self.image = Some(seen);
    }

    /// Gives the image to a new engine.
    pub fn open(&mut self) -> MemoryStore {
        self.image.take().expect("a machine that is down left an image")
    }

    /// The disk as it was after `commits` commits. For a machine that is down.
    pub fn older(&self, commits: usize) -> Self {
        let history = self.history[..commits].to_vec();
        let mut image = MemoryStore::new();
        history.iter().for_each(|written| apply(&mut image, &written.commit));
        Self { history, in_flight: None, image: Some(image) }
    }
}

/// Makes a commit part of an image.
fn apply(image: &mut MemoryStore, commit: &Commit) {
    image.apply(commit).expect("the tables are sound");
}
