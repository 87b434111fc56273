//! Sets.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::time::Duration;

use rejoin_core::crdt::{Keys, OrSetView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{At, key_of, typed, value_of};
use crate::{Commit, Result, Watch};

/// A set. When one device adds an element while another removes it, it stays.
#[derive(Debug)]
pub struct Set<T>(pub(crate) At<OrSetView>, pub(crate) PhantomData<fn() -> T>);

impl<T> Clone for Set<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Set<T> {
    /// Adds an element.
    pub fn insert(&self, element: T) -> Commit<()> {
        self.0.write(|view, tx| view.insert(tx, value_of(&element)?))
    }

    /// Adds an element for some time; see [`Map::put_for`](crate::Map::put_for). Where several devices add it at the same time,
    /// it stays as long as the longest of them says.
    pub fn insert_for(&self, element: T, time_to_live: Duration) -> Commit<()> {
        self.0.write(|view, tx| view.insert_for(tx, value_of(&element)?, time_to_live))
    }

    /// Removes an element, if it is there.
    pub fn remove<Q: Serialize + ?Sized>(&self, element: &Q) -> Commit<()> {
        self.0.write(|view, tx| view.remove(tx, value_of(element)?))
    }

    /// Removes every element that this device sees.
    pub fn clear(&self) -> Commit<()> {
        self.0.write(|view, tx| view.clear(tx))
    }

    /// Whether an element is there.
    pub fn contains<Q: Serialize + ?Sized>(&self, element: &Q) -> Result<bool> {
        self.0.read(|view, rows| view.contains(rows, key_of(element)?))
    }

    /// How many elements there are. Reads all of them.
    pub fn len(&self) -> Result<usize> {
        self.0.read(|view, rows| view.len(rows))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool> {
        self.0.read(|view, rows| view.is_empty(rows))
    }

    /// The elements in order. An element that is no `T` is an error.
    pub fn elements(&self) -> Result<Vec<T>> {
        let mut values = Vec::new();
        self.0.read(|view, rows| {
            view.visit(rows, &Keys::All, |value| {
                values.push(value);
                ControlFlow::Continue(())
            })
        })?;
        values.into_iter().map(typed).collect()
    }

    /// The elements whenever they may have changed, first as they are.
    pub fn watch(&self) -> Watch<Vec<T>> {
        self.0.watch(|at| Self(at.clone(), PhantomData).elements())
    }
}
