//! Registers: one value.
//!
//! Problem: a value that two replicas may replace at once. Idea: one row; a write kills what its writer saw, so what is
//! live are exactly the values that no other write has seen.
//!
//! Concurrent cases. *Put and put*: [`LwwRegisterView`] shows the newest, the one with the largest (timestamp, dot), and
//! keeps the others in `conflicts` until the next put; [`MvRegisterView`] shows them all (the multi-value register of
//! Dynamo, DeCandia et al., SOSP 2007). *Put and `clear`*: the put survives.
//!
//! The same rows serve both. They are two kinds all the same, because an app that reads one value and an app that
//! expects several should not share an object by accident.

use alloc::vec::Vec;
use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::view::view;
use super::{Standalone, view as rows_of};
use crate::row::{DataError, Object, ReadRows, WriteRows};
use crate::value::{Value, from_value, to_value};

view!(
    /// One value; the newest wins. See the [module page](crate::crdt).
    LwwRegisterView, LWW_REGISTER
);
view!(
    /// One value, or all that were written at once. See the [module page](crate::crdt).
    MvRegisterView, MV_REGISTER
);

/// A [`LwwRegisterView`] that stands alone.
pub type LwwRegister = Standalone<LwwRegisterView>;
/// A [`MvRegisterView`] that stands alone.
pub type MvRegister = Standalone<MvRegisterView>;

impl LwwRegisterView {
    /// Replaces the value.
    pub fn put<W: WriteRows>(&self, rows: &mut W, value: impl Into<Value>) -> Result<(), W::Error> {
        put(&self.0, rows, &value.into())
    }

    /// Replaces the value by typed data; see [`to_value`].
    pub fn put_as<W: WriteRows, T: Serialize + ?Sized>(
        &self,
        rows: &mut W,
        value: &T,
    ) -> Result<(), W::Error> {
        put(&self.0, rows, &to_value(value).map_err(DataError::from)?)
    }

    /// Replaces the value for some time; see [`expiry`](crate::row::expiry()).
    pub fn put_for<W: WriteRows>(
        &self,
        rows: &mut W,
        value: impl Into<Value>,
        time_to_live: Duration,
    ) -> Result<(), W::Error> {
        let payload = rows_of::payload_for(rows, &rows_of::payload_of(&value.into())?, time_to_live)?;
        rows.put(rows_of::only_row(&self.0), payload)
    }

    /// The newest value, if there is any.
    pub fn get<R: ReadRows>(&self, rows: &R) -> Result<Option<Value>, R::Error> {
        Ok(values(&self.0, rows)?.into_iter().next())
    }

    /// The newest value as typed data. A value that is no `T` is an error; see [`from_value`].
    pub fn get_as<T: DeserializeOwned, R: ReadRows>(&self, rows: &R) -> Result<Option<T>, R::Error> {
        Ok(self.get(rows)?.map(from_value).transpose().map_err(DataError::from)?)
    }

    /// The values that were written at the same time as the newest and lost, newest first.
    pub fn conflicts<R: ReadRows>(&self, rows: &R) -> Result<Vec<Value>, R::Error> {
        Ok(values(&self.0, rows)?.into_iter().skip(1).collect())
    }
}

impl MvRegisterView {
    /// Replaces all values that the writer sees.
    pub fn put<W: WriteRows>(&self, rows: &mut W, value: impl Into<Value>) -> Result<(), W::Error> {
        put(&self.0, rows, &value.into())
    }

    /// Replaces all values that the writer sees by typed data; see [`to_value`].
    pub fn put_as<W: WriteRows, T: Serialize + ?Sized>(
        &self,
        rows: &mut W,
        value: &T,
    ) -> Result<(), W::Error> {
        put(&self.0, rows, &to_value(value).map_err(DataError::from)?)
    }

    /// The values that no other write has seen, newest first: one for each such write, so equal ones may repeat. The
    /// same on every replica that has received the same.
    pub fn values<R: ReadRows>(&self, rows: &R) -> Result<Vec<Value>, R::Error> {
        values(&self.0, rows)
    }
}

impl LwwRegister {
    /// Replaces the value.
    pub fn put(&mut self, value: impl Into<Value>) -> Result<(), DataError> {
        self.write(|view, rows| view.put(rows, value))
    }

    /// Replaces the value by typed data.
    pub fn put_as<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), DataError> {
        self.write(|view, rows| view.put_as(rows, value))
    }

    /// The newest value, if there is any.
    pub fn get(&self) -> Option<Value> {
        self.view().get(self.rows()).expect("a register reads no keys that could be refused")
    }

    /// The newest value as typed data.
    pub fn get_as<T: DeserializeOwned>(&self) -> Result<Option<T>, DataError> {
        self.view().get_as(self.rows())
    }

    /// The values that were written at the same time as the newest and lost, newest first.
    pub fn conflicts(&self) -> Vec<Value> {
        self.view().conflicts(self.rows()).expect("a register reads no keys that could be refused")
    }
}

impl MvRegister {
    /// Replaces all values that are here.
    pub fn put(&mut self, value: impl Into<Value>) -> Result<(), DataError> {
        self.write(|view, rows| view.put(rows, value))
    }

    /// Replaces all values that are here by typed data.
    pub fn put_as<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), DataError> {
        self.write(|view, rows| view.put_as(rows, value))
    }

    /// The values that no other write has seen, newest first.
    pub fn values(&self) -> Vec<Value> {
        self.view().values(self.rows()).expect("a register reads no keys that could be refused")
    }
}

fn put<W: WriteRows>(object: &Object, rows: &mut W, value: &Value) -> Result<(), W::Error> {
    rows.put(rows_of::only_row(object), rows_of::payload_of(value)?)
}

fn values<R: ReadRows>(object: &Object, rows: &R) -> Result<Vec<Value>, R::Error> {
    Ok(rows_of::newest_first(&rows.entries(&rows_of::only_row(object))?).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::ReplicaId;
    use crate::row::{Payload, Rows};

    const A: ReplicaId = ReplicaId::from_u128(1);
    const B: ReplicaId = ReplicaId::from_u128(2);

    #[test]
    fn both_registers_keep_what_nobody_has_seen() {
        let (mut a, mut b) = (MvRegister::new(A), MvRegister::new(B));
        a.put("a").unwrap();
        b.put("b").unwrap();
        a.merge(&b);
        assert_eq!(a.values(), [Value::from("b"), Value::from("a")]);
        b.merge(&a);
        b.put("both seen").unwrap();
        a.merge(&b);
        assert_eq!(a.values(), [Value::from("both seen")]);
    }

    #[test]
    fn a_later_write_wins_wherever_the_clocks_stand() {
        let mut slow = LwwRegister::new(B);
        let mut fast = LwwRegister::new(A);
        (0..9).for_each(|n| fast.put(n).unwrap());
        slow.merge(&fast);
        slow.put("after").unwrap();
        // The clock heard of 9 writes, so even somebody who knows neither orders the two.
        assert_eq!(slow.rows().iter().next().unwrap().1[0].timestamp(), Timestamp(10));
        fast.put("concurrent").unwrap();
        fast.merge(&slow);
        assert_eq!(fast.get(), Some("after".into()), "a tie of timestamps falls to the larger dot");
        assert_eq!(fast.conflicts(), [Value::from("concurrent")]);
    }

    #[test]
    fn typed_data_goes_in_and_out_and_what_does_not_decode_is_skipped() {
        let mut register = LwwRegister::new(A);
        assert_eq!(register.get_as::<u8>(), Ok(None));
        register.put_as(&(1_u8, "x")).unwrap();
        assert_eq!(register.get_as(), Ok(Some((1_u8, alloc::string::String::from("x")))));
        assert!(matches!(register.get_as::<bool>(), Err(DataError::Value(_))));
        // A concurrent entry in a form of the future, with the highest rank.
        let mut future = Rows::new();
        let row = rows_of::only_row(register.view().object());
        future.write(B, Timestamp(u64::MAX), row, Payload::new(&[0xee][..]));
        let mut rows = register.rows().clone();
        rows.merge(&future);
        let view = register.view();
        assert_eq!(view.get_as::<(u8, Value), _>(&rows), Ok(Some((1, "x".into()))));
        assert_eq!(view.conflicts(&rows), Ok(Vec::new()));
    }
}
