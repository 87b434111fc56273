//! Registers.

use std::marker::PhantomData;
use std::time::Duration;

use rejoin_core::crdt::{LwwRegisterView, MvRegisterView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{At, typed, value_of};
use crate::{Commit, Result, Watch};

/// One value. The last write wins, and among writes at the same time the one with the later clock.
#[derive(Debug)]
pub struct Register<T>(pub(crate) At<LwwRegisterView>, pub(crate) PhantomData<fn() -> T>);

impl<T> Clone for Register<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Register<T> {
    /// Sets the value.
    pub fn put(&self, value: T) -> Commit<()> {
        self.0.write(|view, tx| view.put(tx, value_of(&value)?))
    }

    /// Sets the value for some time; see [`Map::put_for`](crate::Map::put_for).
    pub fn put_for(&self, value: T, time_to_live: Duration) -> Commit<()> {
        self.0.write(|view, tx| view.put_for(tx, value_of(&value)?, time_to_live))
    }

    /// Removes the value, as far as this device sees it.
    pub fn clear(&self) -> Commit<()> {
        self.0.write(|view, tx| view.clear(tx))
    }

    /// The value. One that is no `T` is an error.
    pub fn get(&self) -> Result<Option<T>> {
        self.0.read(|view, rows| view.get(rows))?.map(typed).transpose()
    }

    /// The values that were written at the same time as the one that won.
    pub fn conflicts(&self) -> Result<Vec<T>> {
        self.0.read(|view, rows| view.conflicts(rows))?.into_iter().map(typed).collect()
    }

    /// The value whenever it may have changed, first as it is.
    pub fn watch(&self) -> Watch<Option<T>> {
        self.0.watch(|at| Self(at.clone(), PhantomData).get())
    }
}

/// All the values that were written at the same time: for what people should settle themselves.
#[derive(Debug)]
pub struct MultiRegister<T>(pub(crate) At<MvRegisterView>, pub(crate) PhantomData<fn() -> T>);

impl<T> Clone for MultiRegister<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<T: Serialize + DeserializeOwned + 'static> MultiRegister<T> {
    /// Replaces all values that this device sees.
    pub fn put(&self, value: T) -> Commit<()> {
        self.0.write(|view, tx| view.put(tx, value_of(&value)?))
    }

    /// The values, newest first; more than one after writes at the same time.
    pub fn values(&self) -> Result<Vec<T>> {
        self.0.read(|view, rows| view.values(rows))?.into_iter().map(typed).collect()
    }

    /// The values whenever they may have changed, first as they are.
    pub fn watch(&self) -> Watch<Vec<T>> {
        self.0.watch(|at| Self(at.clone(), PhantomData).values())
    }
}
