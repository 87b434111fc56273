//! Maps.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rejoin_core::crdt::{Keys, LwwMapView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{At, key_of, typed, value_of};
use crate::{Commit, Result, Watch};

/// A map. The last write of a key wins, and among writes at the same time the one with the later clock, the same on
/// every device; [`Map::conflicts`] shows the others. **A write wins over a removal at the same time.**
///
/// A value is written and wins whole. To let two people edit two fields of one thing at once, give each field a key.
#[derive(Debug)]
pub struct Map<K, V>(pub(crate) At<LwwMapView>, pub(crate) PhantomData<fn() -> (K, V)>);

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<K, V> Map<K, V>
where
    K: Serialize + DeserializeOwned + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    /// Sets the value of a key.
    pub fn put(&self, key: K, value: V) -> Commit<()> {
        self.0.write(|view, tx| view.put(tx, value_of(&key)?, value_of(&value)?))
    }

    /// Sets the value of a key for some time. From then on no device shows it, each by its own clock; its author removes it for
    /// good an hour later, or [a hub](crate::Builder::hub) does. A later [`Map::put`] of the key lasts.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> rejoin::Result<()> {
    /// use std::time::Duration;
    ///
    /// # let board = rejoin::Node::memory().await?.create("board").await?;
    /// let codes = board.map::<String, u32>("codes");
    /// codes.put_for("ada".into(), 4711, Duration::from_secs(600)).await?;
    /// assert_eq!(codes.get("ada")?, Some(4711));
    /// assert!(codes.expires("ada")?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_for(&self, key: K, value: V, time_to_live: Duration) -> Commit<()> {
        self.0.write(|view, tx| view.put_for(tx, value_of(&key)?, value_of(&value)?, time_to_live))
    }

    /// When the value of a key expires, if it does.
    pub fn expires<Q: Serialize + ?Sized>(&self, key: &Q) -> Result<Option<SystemTime>> {
        let millis = self.0.read(|view, rows| view.expires(rows, key_of(key)?))?;
        Ok(millis.and_then(|millis| UNIX_EPOCH.checked_add(Duration::from_millis(millis))))
    }

    /// Removes a key, if it is there.
    pub fn remove<Q: Serialize + ?Sized>(&self, key: &Q) -> Commit<()> {
        self.0.write(|view, tx| view.remove(tx, value_of(key)?))
    }

    /// Removes every key that this device sees.
    pub fn clear(&self) -> Commit<()> {
        self.0.write(|view, tx| view.clear(tx))
    }

    /// The value of a key. One that is no `V` is an error.
    pub fn get<Q: Serialize + ?Sized>(&self, key: &Q) -> Result<Option<V>> {
        self.0.read(|view, rows| view.get(rows, key_of(key)?))?.map(typed).transpose()
    }

    /// The values of a key that were written at the same time as the one that won.
    pub fn conflicts<Q: Serialize + ?Sized>(&self, key: &Q) -> Result<Vec<V>> {
        let values = self.0.read(|view, rows| view.conflicts(rows, key_of(key)?))?;
        values.into_iter().map(typed).collect()
    }

    /// How many keys there are. Reads all of them.
    pub fn len(&self) -> Result<usize> {
        self.0.read(|view, rows| view.len(rows))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool> {
        self.0.read(|view, rows| view.is_empty(rows))
    }

    /// Keys and values, in order of the keys.
    pub fn entries(&self) -> Result<Vec<(K, V)>> {
        self.range(&Keys::All, usize::MAX)
    }

    /// The first `most` of some keys, with their values.
    pub fn range(&self, keys: &Keys, most: usize) -> Result<Vec<(K, V)>> {
        let mut pairs = Vec::new();
        self.0.read(|view, rows| {
            view.visit(rows, keys, |key, value| {
                if pairs.len() == most {
                    return ControlFlow::Break(());
                }
                pairs.push((key, value));
                ControlFlow::Continue(())
            })
        })?;
        pairs.into_iter().map(|(key, value)| Ok((typed(key)?, typed(value)?))).collect()
    }

    /// Keys and values whenever they may have changed, first as they are.
    pub fn watch(&self) -> Watch<Vec<(K, V)>> {
        self.0.watch(|at| Self(at.clone(), PhantomData).entries())
    }
}
