//! Lists.

use std::marker::PhantomData;

use rejoin_core::crdt::{Item, ItemId, ListView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{At, typed, value_of};
use crate::{Commit, Result, Watch};

/// A list. What each device inserts in a row stays together, however many insert at one place at the same time. Of two
/// moves at the same time one counts; an edit wins over a removal, a removal over a move.
///
/// Items have a name for life ([`ItemId`]), since others may insert before them at any time. Every call reads the whole
/// list: it is for hundreds or thousands of items.
#[derive(Debug)]
pub struct List<T>(pub(crate) At<ListView>, pub(crate) PhantomData<fn() -> T>);

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<T: Serialize + DeserializeOwned + 'static> List<T> {
    /// Inserts an item before the one at `index`, or at the end. Beyond the end is an error.
    pub fn insert(&self, index: usize, value: T) -> Commit<ItemId> {
        self.0.write(|view, tx| view.insert(tx, index, value_of(&value)?))
    }

    /// Adds an item at the end.
    pub fn push(&self, value: T) -> Commit<ItemId> {
        self.0.write(|view, tx| view.push(tx, value_of(&value)?))
    }

    /// Gives an item another value. One that is not there is an error.
    pub fn set(&self, item: ItemId, value: T) -> Commit<()> {
        self.0.write(|view, tx| view.set(tx, item, value_of(&value)?))
    }

    /// Moves an item to where it will be the one at `index`. One that is not there is an error.
    pub fn move_to(&self, item: ItemId, index: usize) -> Commit<()> {
        self.0.write(|view, tx| view.move_to(tx, item, index))
    }

    /// Removes an item, if it is there.
    pub fn remove(&self, item: ItemId) -> Commit<()> {
        self.0.write(|view, tx| view.remove(tx, item))
    }

    /// Removes every item that this device sees.
    pub fn clear(&self) -> Commit<()> {
        self.0.write(|view, tx| view.clear(tx))
    }

    /// The value of an item, if it is there. One that is no `T` is an error.
    pub fn get(&self, item: ItemId) -> Result<Option<T>> {
        self.0.read(|view, rows| view.get(rows, item))?.map(typed).transpose()
    }

    /// How many items there are.
    pub fn len(&self) -> Result<usize> {
        self.0.read(|view, rows| view.len(rows))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The items in their order. A value that is no `T` is an error.
    pub fn items(&self) -> Result<Vec<(ItemId, T)>> {
        let items = self.0.read(|view, rows| view.items(rows))?;
        items.into_iter().map(|Item { id, value }| Ok((id, typed(value)?))).collect()
    }

    /// The values in their order.
    pub fn values(&self) -> Result<Vec<T>> {
        Ok(self.items()?.into_iter().map(|(_, value)| value).collect())
    }

    /// The items whenever they may have changed, first as they are.
    pub fn watch(&self) -> Watch<Vec<(ItemId, T)>> {
        self.0.watch(|at| Self(at.clone(), PhantomData).items())
    }
}
