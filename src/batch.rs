//! One transaction over any objects of a space: all of it is seen, here and everywhere, or nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use rejoin_core::ReplicaId;
use rejoin_core::crdt::View;
use rejoin_core::engine::{Transaction, WriteError};
use rejoin_core::row::Object;
use rejoin_net::replica::Storage;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handles::value_of;
use crate::kinds::check_first;
use crate::once::Keyed;
use crate::{
    BoundedCounter, Counter, Error, Flag, List, Log, Map, MultiRegister, Register, Result, Set, Space,
};

/// A transaction being written. What goes wrong in it is kept, and makes the whole batch fail.
pub struct Batch<'a, 'tx> {
    space: &'a Space,
    transaction: &'a mut Transaction<'tx, Storage>,
    failed: Option<Error>,
    /// Objects that have rows, or whose path is free for them.
    checked: BTreeSet<Object>,
    /// See [`Batch::once`].
    pub(crate) keyed: Option<Keyed>,
}

impl<'a, 'tx> Batch<'a, 'tx> {
    pub(crate) fn new(space: &'a Space, transaction: &'a mut Transaction<'tx, Storage>) -> Self {
        Self { space, transaction, failed: None, checked: BTreeSet::new(), keyed: None }
    }

    /// What went wrong first, if anything did.
    pub(crate) fn finish(self) -> Result<()> {
        self.failed.map_or(Ok(()), Err)
    }

    fn act<V: View>(
        &mut self,
        view: Result<&V>,
        act: impl FnOnce(&V, &mut Transaction<'tx, Storage>) -> Result<(), WriteError>,
    ) {
        if self.failed.is_none() {
            let done = view.and_then(|view| {
                self.check(view.object())?;
                act(view, self.transaction).map_err(Error::from)
            });
            self.failed = done.err();
        }
    }

    /// Adds to a counter.
    pub fn add(&mut self, counter: &Counter, n: i64) {
        let mut keyed = self.keyed.take();
        self.act(counter.0.in_batch(self.space), |view, tx| match &mut keyed {
            Some(keyed) => view.add_once(tx, &keyed.next(view.object()), n).map(drop),
            None => view.add(tx, n),
        });
        self.keyed = keyed;
    }

    /// Takes away from a counter what this device sees.
    pub fn reset(&mut self, counter: &Counter) {
        self.act(counter.0.in_batch(self.space), |view, tx| view.reset(tx));
    }

    /// Adds to a bounded counter.
    pub fn increment(&mut self, counter: &BoundedCounter, n: u64) {
        self.act(counter.0.in_batch(self.space), |view, tx| view.increment(tx, n));
    }

    /// Takes from a bounded counter, or fails when this device may not take so much.
    pub fn decrement(&mut self, counter: &BoundedCounter, n: u64) {
        self.act(counter.0.in_batch(self.space), |view, tx| view.decrement(tx, n));
    }

    /// Gives rights of a bounded counter to another replica, or fails when this device does not have so many.
    pub fn transfer(&mut self, counter: &BoundedCounter, to: &ReplicaId, n: u64) {
        self.act(counter.0.in_batch(self.space), |view, tx| view.transfer(tx, to, n));
    }

    /// Adds an element to a set.
    pub fn insert<T: Serialize + DeserializeOwned + 'static>(&mut self, set: &Set<T>, element: T) {
        self.act(set.0.in_batch(self.space), |view, tx| view.insert(tx, value_of(&element)?));
    }

    /// Adds an element to a set for some time; see [`Set::insert_for`].
    pub fn insert_for<T: Serialize + DeserializeOwned + 'static>(
        &mut self,
        set: &Set<T>,
        element: T,
        time_to_live: Duration,
    ) {
        self.act(set.0.in_batch(self.space), |view, tx| {
            view.insert_for(tx, value_of(&element)?, time_to_live)
        });
    }

    /// Removes an element from a set.
    pub fn remove<T, Q: Serialize + ?Sized>(&mut self, set: &Set<T>, element: &Q) {
        self.act(set.0.in_batch(self.space), |view, tx| view.remove(tx, value_of(element)?));
    }

    /// Sets the value of a key.
    pub fn put<K, V>(&mut self, map: &Map<K, V>, key: K, value: V)
    where
        K: Serialize + DeserializeOwned + 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        self.act(map.0.in_batch(self.space), |view, tx| view.put(tx, value_of(&key)?, value_of(&value)?));
    }

    /// Sets the value of a key for some time; see [`Map::put_for`].
    pub fn put_for<K, V>(&mut self, map: &Map<K, V>, key: K, value: V, time_to_live: Duration)
    where
        K: Serialize + DeserializeOwned + 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        self.act(map.0.in_batch(self.space), |view, tx| {
            view.put_for(tx, value_of(&key)?, value_of(&value)?, time_to_live)
        });
    }

    /// Removes a key from a map.
    pub fn delete<K, V, Q: Serialize + ?Sized>(&mut self, map: &Map<K, V>, key: &Q) {
        self.act(map.0.in_batch(self.space), |view, tx| view.remove(tx, value_of(key)?));
    }

    /// Sets the value of a register.
    pub fn set<T: Serialize + DeserializeOwned + 'static>(&mut self, register: &Register<T>, value: T) {
        self.act(register.0.in_batch(self.space), |view, tx| view.put(tx, value_of(&value)?));
    }

    /// Sets the value of a register that keeps all.
    pub fn set_all<T: Serialize + DeserializeOwned + 'static>(
        &mut self,
        register: &MultiRegister<T>,
        value: T,
    ) {
        self.act(register.0.in_batch(self.space), |view, tx| view.put(tx, value_of(&value)?));
    }

    /// Sets a flag.
    pub fn flag(&mut self, flag: &Flag, enabled: bool) {
        self.act(
            flag.0.in_batch(self.space),
            |view, tx| {
                if enabled { view.enable(tx) } else { view.disable(tx) }
            },
        );
    }

    /// Adds an item at the end of a list.
    pub fn push<T: Serialize + DeserializeOwned + 'static>(&mut self, list: &List<T>, value: T) {
        let mut keyed = self.keyed.take();
        self.act(list.0.in_batch(self.space), |view, tx| match &mut keyed {
            Some(keyed) => view.push_once(tx, &keyed.next(view.object()), value_of(&value)?).map(drop),
            None => view.push(tx, value_of(&value)?).map(drop),
        });
        self.keyed = keyed;
    }

    /// Adds an entry to a log.
    pub fn append<T: Serialize + DeserializeOwned + 'static>(&mut self, log: &Log<T>, value: T) {
        self.act(log.0.in_batch(self.space), |view, tx| view.append(tx, value_of(&value)?).map(drop));
    }

    /// Takes `delete` characters out of a text of a document and puts others in their place.
    #[cfg(feature = "document")]
    pub fn splice(&mut self, document: &crate::Document, path: &str, at: usize, delete: usize, insert: &str) {
        let splice = |view: &_, tx: &mut Transaction<'tx, Storage>| {
            document.edit_within(view, tx, |loaded, tx| loaded.splice(tx, path, at, delete, insert))
        };
        self.act(document.0.in_batch(self.space), splice);
    }

    /// Puts typed data at a path of a document.
    #[cfg(feature = "document")]
    pub fn put_at<T: Serialize + ?Sized>(&mut self, document: &crate::Document, path: &str, data: &T) {
        let put = |view: &_, tx: &mut Transaction<'tx, Storage>| {
            document.edit_within(view, tx, |loaded, tx| loaded.put(tx, path, &value_of(data)?))
        };
        self.act(document.0.in_batch(self.space), put);
    }

    /// What every write of a handle looks at first: whether the path of an object that has no rows yet is free for its kind.
    /// For views of your own.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when another kind has rows there.
    pub fn check(&mut self, object: &Object) -> Result<()> {
        if !self.checked.contains(object) {
            check_first(self.transaction, object)?;
            self.checked.insert(object.clone());
        }
        Ok(())
    }

    /// The transaction itself, for views of your own: everything in [`crate::core::crdt`] reads and writes on it.
    pub fn rows(&mut self) -> &mut Transaction<'tx, Storage> {
        self.transaction
    }
}
