//! A space at one moment.

use rejoin_core::engine::Reader;
use rejoin_net::replica::Storage;

use crate::handles::{key_of, typed};
use crate::{BoundedCounter, Counter, List, Map, Query, Register, Result, Set};
use rejoin_core::crdt::Keys;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::ControlFlow;

/// A space as it was when this was taken: everything read from it belongs together. Old pages of the file cannot be
/// used again while it lives, so let go of it.
pub struct Snapshot(pub(crate) rejoin_core::engine::Snapshot<Storage>);

impl Snapshot {
    /// A counter's number.
    pub fn counter(&self, counter: &Counter) -> Result<i64> {
        Ok(counter.0.view()?.value(&self.rows())?)
    }

    /// A bounded counter's number.
    pub fn bounded_counter(&self, counter: &BoundedCounter) -> Result<i64> {
        Ok(counter.0.view()?.value(&self.rows())?)
    }

    /// The value of a key.
    pub fn get<K, V: DeserializeOwned, Q: Serialize + ?Sized>(
        &self,
        map: &Map<K, V>,
        key: &Q,
    ) -> Result<Option<V>> {
        map.0.view()?.get(&self.rows(), key_of(key)?)?.map(typed).transpose()
    }

    /// Keys and values of a map, in order of the keys.
    pub fn entries<K: DeserializeOwned, V: DeserializeOwned>(&self, map: &Map<K, V>) -> Result<Vec<(K, V)>> {
        let mut pairs = Vec::new();
        map.0.view()?.visit(&self.rows(), &Keys::All, |key, value| {
            pairs.push((key, value));
            ControlFlow::Continue(())
        })?;
        pairs.into_iter().map(|(key, value)| Ok((typed(key)?, typed(value)?))).collect()
    }

    /// What a query finds.
    pub fn query<K, V>(&self, query: &Query<K, V>) -> Result<Vec<(K, V)>>
    where
        K: Serialize + DeserializeOwned + 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        query.entries_in(&self.rows())
    }

    /// The elements of a set, in order.
    pub fn elements<T: DeserializeOwned>(&self, set: &Set<T>) -> Result<Vec<T>> {
        let mut values = Vec::new();
        set.0.view()?.visit(&self.rows(), &Keys::All, |value| {
            values.push(value);
            ControlFlow::Continue(())
        })?;
        values.into_iter().map(typed).collect()
    }

    /// The values of a list, in their order.
    pub fn values<T: DeserializeOwned>(&self, list: &List<T>) -> Result<Vec<T>> {
        list.0.view()?.items(&self.rows())?.into_iter().map(|item| typed(item.value)).collect()
    }

    /// The value of a register.
    pub fn value<T: DeserializeOwned>(&self, register: &Register<T>) -> Result<Option<T>> {
        register.0.view()?.get(&self.rows())?.map(typed).transpose()
    }

    /// Everything, for views of your own.
    pub fn rows(&self) -> Reader<'_, Storage> {
        self.0.reader()
    }
}
