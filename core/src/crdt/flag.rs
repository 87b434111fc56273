//! A flag where enable wins.
//!
//! Problem: a switch that two replicas may set differently at once. Idea: one row, each write replaces what its writer
//! saw, and the flag is on if any live entry says so (the enable-wins flag of Riak and AntidoteDB).
//!
//! Concurrent cases: *enable and disable*, enabled. A disable that has seen the enable switches it off. A flag that nobody
//! ever set is off.

use super::view::view;
use super::{Standalone, view as rows_of};
use crate::row::{DataError, ReadRows, WriteRows};
use crate::value::Value;

view!(
    /// A switch where enable wins. See the [module page](crate::crdt).
    FlagView, FLAG
);

/// A [`FlagView`] that stands alone.
pub type Flag = Standalone<FlagView>;

impl FlagView {
    /// Switches it on.
    pub fn enable<W: WriteRows>(&self, rows: &mut W) -> Result<(), W::Error> {
        self.set(rows, true)
    }

    /// Switches it off, as far as the writer sees it on.
    pub fn disable<W: WriteRows>(&self, rows: &mut W) -> Result<(), W::Error> {
        self.set(rows, false)
    }

    /// Whether it is on.
    pub fn is_enabled<R: ReadRows>(&self, rows: &R) -> Result<bool, R::Error> {
        let entries = rows.entries(&rows_of::only_row(&self.0))?;
        Ok(entries.iter().any(|entry| Value::decode(&entry.payload) == Ok(Value::Bool(true))))
    }

    fn set<W: WriteRows>(&self, rows: &mut W, on: bool) -> Result<(), W::Error> {
        rows.put(rows_of::only_row(&self.0), rows_of::payload_of(&Value::Bool(on))?)
    }
}

impl Flag {
    /// Switches it on.
    pub fn enable(&mut self) -> Result<(), DataError> {
        self.write(|view, rows| view.enable(rows))
    }

    /// Switches it off, as far as it is on here.
    pub fn disable(&mut self) -> Result<(), DataError> {
        self.write(|view, rows| view.disable(rows))
    }

    /// Whether it is on.
    pub fn is_enabled(&self) -> bool {
        self.view().is_enabled(self.rows()).expect("a flag reads no keys that could be refused")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ReplicaId;
    use crate::row::Payload;

    #[test]
    fn enable_wins_until_it_is_seen() {
        let mut a = Flag::new(ReplicaId::from_u128(1));
        assert!(!a.is_enabled());
        a.enable().unwrap();
        let mut b = a.fork(ReplicaId::from_u128(2));
        a.disable().unwrap();
        b.enable().unwrap();
        a.merge(&b);
        assert!(a.is_enabled());
        a.disable().unwrap();
        b.merge(&a);
        assert!(!b.is_enabled());
        // What is neither true nor false is not true.
        for bytes in [&[3, 2][..], &[], &[0xff, 0xff]] {
            let row = rows_of::only_row(a.view().object());
            a.write(|_, rows| rows.put(row, Payload::new(bytes).unwrap())).unwrap();
            assert!(!a.is_enabled());
        }
    }
}
