//! The last-writer-wins map.
//!
//! Problem: a map that replicas edit at once, where a key has one value and nothing is lost silently.
//!
//! Idea: a row for each key. A put kills what its writer saw in the row, so live together are only values that no write
//! has seen; the one with the largest (timestamp, dot) is shown, the others wait in [`LwwMapView::conflicts`] until the
//! next put to the key. It is a multi-value map that shows one value.
//!
//! Concurrent cases:
//! * *Put and put*: the newest shows; a put that has seen another always beats it, whatever the clocks say.
//! * *Put and remove*: **the put wins**, even if the remove came later by the clock. A removal only kills what its writer
//!   saw. An edit made on a plane is worth more than the tidying up at home.
//! * *Remove and remove*: removed.
//! * *A put for some time and another put*: the newest shows as long as it lasts, then what lost to it, if that lasts longer.

use alloc::vec::Vec;
use core::ops::ControlFlow;
use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::view::view;
use super::{Keys, Standalone, view as rows_of};
use crate::row::{DataError, ReadRows, WriteRows, expiry};
use crate::value::{Value, decode_element, from_value, to_value};

view!(
    /// A map where the newest value of a key wins, and a put wins over a concurrent remove. See the [module page](crate::crdt).
    LwwMapView, LWW_MAP
);

/// A [`LwwMapView`] that stands alone.
pub type LwwMap = Standalone<LwwMapView>;

impl LwwMapView {
    /// Sets the value of a key.
    pub fn put<W: WriteRows>(
        &self,
        rows: &mut W,
        key: impl Into<Value>,
        value: impl Into<Value>,
    ) -> Result<(), W::Error> {
        rows.put(rows_of::row_of(&self.0, &key.into())?, rows_of::payload_of(&value.into())?)
    }

    /// Sets the value of a key from typed data; see [`to_value`].
    pub fn put_as<W: WriteRows, T: Serialize + ?Sized>(
        &self,
        rows: &mut W,
        key: impl Into<Value>,
        value: &T,
    ) -> Result<(), W::Error> {
        self.put(rows, key, to_value(value).map_err(DataError::from)?)
    }

    /// Sets the value of a key for some time; see [`expiry`](crate::row::expiry()). A later put without one lasts.
    pub fn put_for<W: WriteRows>(
        &self,
        rows: &mut W,
        key: impl Into<Value>,
        value: impl Into<Value>,
        time_to_live: Duration,
    ) -> Result<(), W::Error> {
        let payload = rows_of::payload_for(rows, &rows_of::payload_of(&value.into())?, time_to_live)?;
        rows.put(rows_of::row_of(&self.0, &key.into())?, payload)
    }

    /// When what [`LwwMapView::get`] shows expires, if it does, in milliseconds since 1970.
    pub fn expires<R: ReadRows>(&self, rows: &R, key: impl Into<Value>) -> Result<Option<u64>, R::Error> {
        let row = rows_of::row_of(&self.0, &key.into())?;
        Ok(rows_of::newest(&rows.entries(&row)?).and_then(|newest| expiry(row.kind(), &newest.payload)))
    }

    /// Removes a key as far as the writer sees it. Nothing is written for one that is not there.
    pub fn remove<W: WriteRows>(&self, rows: &mut W, key: impl Into<Value>) -> Result<(), W::Error> {
        rows.remove(rows_of::row_of(&self.0, &key.into())?)
    }

    /// The newest value of a key.
    pub fn get<R: ReadRows>(&self, rows: &R, key: impl Into<Value>) -> Result<Option<Value>, R::Error> {
        let entries = rows.entries(&rows_of::row_of(&self.0, &key.into())?)?;
        Ok(rows_of::newest_first(&entries).next())
    }

    /// The newest value of a key as typed data. A value that is no `T` is an error; see [`from_value`].
    pub fn get_as<T: DeserializeOwned, R: ReadRows>(
        &self,
        rows: &R,
        key: impl Into<Value>,
    ) -> Result<Option<T>, R::Error> {
        Ok(self.get(rows, key)?.map(from_value).transpose().map_err(DataError::from)?)
    }

    /// The values that were put at the same time as the newest and lost, newest first.
    pub fn conflicts<R: ReadRows>(&self, rows: &R, key: impl Into<Value>) -> Result<Vec<Value>, R::Error> {
        let entries = rows.entries(&rows_of::row_of(&self.0, &key.into())?)?;
        Ok(rows_of::newest_first(&entries).skip(1).collect())
    }

    /// Whether the key has a value.
    pub fn contains<R: ReadRows>(&self, rows: &R, key: impl Into<Value>) -> Result<bool, R::Error> {
        Ok(self.get(rows, key)?.is_some())
    }

    /// Visits keys and their newest values, in order of the keys, until the visitor breaks.
    pub fn visit<R: ReadRows>(
        &self,
        rows: &R,
        keys: &Keys,
        mut visitor: impl FnMut(Value, Value) -> ControlFlow<()>,
    ) -> Result<(), R::Error> {
        rows_of::scan(&self.0, rows, keys, |element, entries| {
            match (decode_element(element), rows_of::newest_first(entries).next()) {
                (Ok(key), Some(value)) => visitor(key, value),
                _ => ControlFlow::Continue(()),
            }
        })
    }

    /// How many keys have a value. Reads all of them.
    pub fn len<R: ReadRows>(&self, rows: &R) -> Result<usize, R::Error> {
        let mut count = 0;
        self.visit(rows, &Keys::All, |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// Whether no key has a value.
    pub fn is_empty<R: ReadRows>(&self, rows: &R) -> Result<bool, R::Error> {
        let mut empty = true;
        self.visit(rows, &Keys::All, |_, _| {
            empty = false;
            ControlFlow::Break(())
        })?;
        Ok(empty)
    }
}

impl LwwMap {
    /// Sets the value of a key.
    pub fn put(&mut self, key: impl Into<Value>, value: impl Into<Value>) -> Result<(), DataError> {
        self.write(|view, rows| view.put(rows, key, value))
    }

    /// Sets the value of a key from typed data.
    pub fn put_as<T: Serialize + ?Sized>(
        &mut self,
        key: impl Into<Value>,
        value: &T,
    ) -> Result<(), DataError> {
        self.write(|view, rows| view.put_as(rows, key, value))
    }

    /// Removes a key; see [`LwwMapView::remove`].
    pub fn remove(&mut self, key: impl Into<Value>) -> Result<(), DataError> {
        self.write(|view, rows| view.remove(rows, key))
    }

    /// The newest value of a key. What is too long to be a key has none.
    pub fn get(&self, key: impl Into<Value>) -> Option<Value> {
        self.view().get(self.rows(), key).unwrap_or(None)
    }

    /// The newest value of a key as typed data.
    pub fn get_as<T: DeserializeOwned>(&self, key: impl Into<Value>) -> Result<Option<T>, DataError> {
        self.view().get_as(self.rows(), key)
    }

    /// The values that were put at the same time as the newest and lost, newest first.
    pub fn conflicts(&self, key: impl Into<Value>) -> Vec<Value> {
        self.view().conflicts(self.rows(), key).unwrap_or_default()
    }

    /// Whether the key has a value.
    pub fn contains(&self, key: impl Into<Value>) -> bool {
        self.get(key).is_some()
    }

    /// Keys and their newest values, in order of the keys.
    pub fn entries(&self) -> Vec<(Value, Value)> {
        let mut entries = Vec::new();
        let all = self.view().visit(self.rows(), &Keys::All, |key, value| {
            entries.push((key, value));
            ControlFlow::Continue(())
        });
        all.expect("a whole map can be read");
        entries
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.view().len(self.rows()).expect("a whole map can be read")
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.view().is_empty(self.rows()).expect("a whole map can be read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::ReplicaId;
    use crate::row::Payload;

    const A: ReplicaId = ReplicaId::from_u128(1);
    const B: ReplicaId = ReplicaId::from_u128(2);

    #[test]
    fn a_put_wins_over_a_concurrent_remove_and_loses_to_one_that_saw_it() {
        let mut a = LwwMap::new(A);
        a.put("milk", 1).unwrap();
        let mut b = a.fork(B);
        b.put("milk", 2).unwrap();
        (0..5).for_each(|n| a.put("clock", n).unwrap());
        a.remove("milk").unwrap();
        a.merge(&b);
        assert_eq!(a.get("milk"), Some(2.into()), "the remove is later by the clock and loses all the same");
        a.remove("milk").unwrap();
        b.merge(&a);
        assert_eq!((b.get("milk"), b.contains("milk"), b.len()), (None, false, 1));
    }

    #[test]
    fn what_lost_is_kept_until_somebody_decides() {
        let (mut a, mut b) = (LwwMap::new(A), LwwMap::new(B));
        a.put("k", "from a").unwrap();
        b.put("k", "from b").unwrap();
        a.merge(&b);
        assert_eq!((a.get("k"), a.conflicts("k")), (Some("from b".into()), alloc::vec!["from a".into()]));
        a.put_as("k", &["both"]).unwrap();
        assert_eq!(a.get_as::<Vec<Value>>("k"), Ok(Some(alloc::vec!["both".into()])));
        assert!(a.conflicts("k").is_empty());
    }

    #[test]
    fn entries_of_the_future_neither_show_nor_hide_what_decodes() {
        let mut map = LwwMap::new(A);
        map.put("old", 1).unwrap();
        let mut rows = map.rows().clone();
        let mut future = crate::row::Rows::new();
        let payload = || Payload::new(&[0xee, 0xee][..]);
        for key in ["old", "new"] {
            let row = rows_of::row_of(map.view().object(), &key.into()).unwrap();
            future.write(B, Timestamp(u64::MAX), row, payload());
        }
        future.write(B, Timestamp(1), map.view().object().row(&[0xee]).unwrap(), payload());
        rows.merge(&future);
        let view = map.view();
        assert_eq!(view.get(&rows, "old"), Ok(Some(1.into())));
        assert_eq!((view.contains(&rows, "new"), view.len(&rows)), (Ok(false), Ok(1)));
        assert_eq!(rows.iter().count(), 3, "all are kept and relayed");
    }

    #[test]
    fn a_transaction_of_a_map_is_one_act_or_none() {
        let mut map = LwwMap::new(A);
        let failed = map.write(|view, rows| {
            view.put(rows, "a", 1)?;
            assert_eq!(view.get(rows, "a"), Ok(Some(1.into())), "it sees its own writes");
            view.put(rows, "x".repeat(2000), 1)
        });
        assert!(failed.is_err() && map.is_empty() && map.version_vector().is_empty());
        map.write(|view, rows| {
            view.put(rows, "a", 1)?;
            view.put(rows, "b", 2)?;
            view.remove(rows, "a")
        })
        .unwrap();
        assert_eq!(map.entries(), [("b".into(), 2.into())]);
    }
}
