//! Typed handles: one object of a space, by its path. Cheap to make and to clone; nothing is created until it is written.
//!
//! Reads are plain calls that see every own write at once. Writes return a [`Commit`].

mod bounded;
mod counter;
#[cfg(feature = "document")]
mod document;
mod flag;
mod fold;
mod index;
mod list;
mod log;
mod map;
mod register;
mod set;

use rejoin_core::Value;
use rejoin_core::crdt::View;
use rejoin_core::engine::{ReadError, Reader, Transaction, WriteError};
use rejoin_core::error::KeyError;
use rejoin_core::row::{DataError, Object};
use rejoin_core::value::{from_value, to_value};
use rejoin_net::replica::Storage;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use bounded::BoundedCounter;
pub use counter::Counter;
#[cfg(feature = "document")]
pub use document::Document;
pub use flag::Flag;
pub use fold::Checkpoints;
pub use index::{Index, Query};
pub use list::List;
pub use log::{Line, Log, Trim};
pub use map::Map;
pub use register::{MultiRegister, Register};
pub use set::Set;

use crate::kinds::check_first;
use crate::{Commit, Error, Result, Space, Watch};

/// A view at a path of a space. A path that cannot be one is found out by the first call.
#[derive(Clone, Debug)]
pub(crate) struct At<V> {
    space: Space,
    view: Result<V, KeyError>,
}

impl<V: View + Clone + Send + Sync + 'static> At<V> {
    pub(crate) fn new(space: &Space, path: &str) -> Self {
        Self { space: space.clone(), view: V::at(path) }
    }

    /// The view, for a batch on `space`.
    pub(crate) fn in_batch(&self, space: &Space) -> Result<&V> {
        if self.space.id() != space.id() {
            return Err(Error::OtherSpace);
        }
        self.view()
    }

    pub(crate) fn view(&self) -> Result<&V> {
        self.view.as_ref().map_err(|error| Error::from(*error))
    }

    fn write<T>(
        &self,
        write: impl FnOnce(&V, &mut Transaction<'_, Storage>) -> Result<T, WriteError>,
    ) -> Commit<T> {
        let replica = self.space.replica();
        let outcome = self.view().and_then(|view| {
            replica.write_to_keep(|tx| {
                check_first(tx, view.object())?;
                write(view, tx).map_err(Error::from)
            })
        });
        Commit::new(replica, outcome)
    }

    fn read<T>(&self, read: impl FnOnce(&V, &Reader<'_, Storage>) -> Result<T, ReadError>) -> Result<T> {
        let view = self.view()?;
        self.space.replica().read(|reader| read(view, reader).map_err(Error::from))
    }

    /// Watches whatever `read` makes of the object.
    fn watch<T: 'static>(&self, read: impl Fn(&Self) -> Result<T> + Send + Sync + 'static) -> Watch<T> {
        let object: Option<Object> = self.view.as_ref().ok().map(|view| view.object().clone());
        let here = self.clone();
        Watch::on_rows(
            self.space.replica(),
            move |row| object.as_ref().is_some_and(|object| row.as_bytes().starts_with(object.prefix())),
            move || read(&here),
        )
    }
}

/// Typed data as a value.
pub(crate) fn value_of<T: Serialize + ?Sized>(data: &T) -> Result<Value, WriteError> {
    to_value(data).map_err(|error| WriteError::Data(DataError::from(error)))
}

pub(crate) fn key_of<T: Serialize + ?Sized>(data: &T) -> Result<Value, ReadError> {
    to_value(data).map_err(|error| ReadError::Data(DataError::from(error)))
}

/// A value as typed data.
pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> Result<T> {
    Ok(from_value(value)?)
}
