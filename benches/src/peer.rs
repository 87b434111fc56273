//! What an engine must be able to do to take part: a small trait for each kind of object.
//!
//! They name acts of the field and leave the way to the engine: its own fastest way, as its documentation recommends it.
//! What an engine cannot do it leaves out, and the report says so.

use std::collections::BTreeMap;

use crate::measure::Measures;
use crate::rows::{Content, Row};
use crate::trace::Edit;

/// What two replicas sent each other until both held the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of all messages, both ways. What a transport adds is left out.
    pub bytes: usize,
    /// Messages, both ways.
    pub messages: usize,
    /// How often something was under way, from first to last: two are a round trip.
    pub half_trips: usize,
    /// How often the initiator waited before it could send its last data, or had received it, for protocols that go on
    /// after that to prove that both hold the same.
    pub data_trips: Option<u32>,
}

impl Traffic {
    /// Counts one message that travels alone.
    pub fn count(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.messages += 1;
        self.half_trips += 1;
    }
}

/// A replica of a map from keys to values.
pub trait MapReplica: Sized {
    /// An empty replica that writes under an id of its own.
    fn new(id: u64) -> Self;

    /// An empty replica that will only ever be absorbed.
    fn writer(id: u64) -> Self {
        Self::new(id)
    }

    /// Sets rows in one transaction.
    fn put(&mut self, rows: &[Row]);

    /// Removes keys in one transaction; `false` for an engine whose removals do not travel.
    fn remove(&mut self, _keys: &[String]) -> bool {
        false
    }

    /// Makes what was written ready to be told: as if the app had paused here.
    fn commit(&mut self) {}

    /// Does all work that was put off and that comparing two replicas needs.
    fn settle(&mut self) {
        self.commit();
    }

    /// The value of a key.
    fn get(&mut self, key: &str) -> Option<Content>;

    /// Everything, to prove that two replicas are equal.
    fn contents(&mut self) -> BTreeMap<String, Content>;

    /// The whole state as bytes; `None` for an engine that has no such form.
    fn save(&mut self) -> Option<Vec<u8>>;

    /// A replica with a saved state, writing under an id of its own.
    fn load(bytes: &[u8], id: u64) -> Self;

    /// A second replica with the same state.
    fn fork(&mut self, id: u64) -> Self {
        Self::load(&self.save().expect("an engine that saves nothing forks in another way"), id)
    }

    /// Brings two replicas to the same state by the engine's own protocol, message by message.
    fn sync(&mut self, other: &mut Self) -> Traffic;

    /// Brings two replicas in one process to the same state.
    fn merge(&mut self, other: &mut Self) {
        self.sync(other);
    }

    /// Takes in what another replica has, and tells it nothing.
    fn absorb(&mut self, other: &mut Self) {
        self.merge(other);
    }

    /// Figures that only this engine has.
    fn extra(&mut self) -> Measures {
        Measures::default()
    }
}

/// A replica of a set of words.
pub trait SetReplica: Sized {
    /// An empty replica that writes under an id of its own.
    fn new(id: u64) -> Self;

    /// Adds an element in a transaction of its own.
    fn add(&mut self, element: &str);

    /// Removes an element in a transaction of its own.
    fn remove(&mut self, element: &str);

    /// Does all work that was put off.
    fn settle(&mut self) {}

    /// How many elements there are.
    fn count(&mut self) -> usize;

    /// Bytes of the whole state when it is saved.
    fn saved(&mut self) -> usize;
}

/// A replica of a counter.
pub trait CounterReplica: Sized {
    /// A replica at zero that counts under an id of its own.
    fn new(id: u64) -> Self;

    /// Counts one up in a transaction of its own.
    fn increment(&mut self);

    /// Does all work that was put off.
    fn settle(&mut self) {}

    /// Takes in what another replica has counted.
    fn absorb(&mut self, other: &mut Self);

    /// What all replicas known here have counted.
    fn value(&mut self) -> u64;

    /// Bytes of the whole state when it is saved.
    fn saved(&mut self) -> usize;
}

/// A replica of a text.
pub trait TextReplica: Sized {
    /// An empty text.
    fn new(id: u64) -> Self;

    /// Makes edits as one transaction, with `letters` for what they insert.
    fn edit(&mut self, edits: &[Edit], letters: &str);

    /// Does all work that was put off.
    fn settle(&mut self) {}

    /// How many characters it has, each of them one byte.
    fn length(&mut self) -> usize;

    /// The whole state as bytes.
    fn save(&mut self) -> Vec<u8>;

    /// A text with a saved state, ready to be read.
    fn load(bytes: &[u8]) -> Self;
}
