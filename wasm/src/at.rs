//! One object of a space, as its class reads and writes it: in the transaction of a batch while one is open, by itself otherwise.

use rejoin::core::crdt::View;
use rejoin::core::engine::{Transaction, WriteError};
use rejoin::core::row::Object;
use rejoin::core::{SpaceId, error::KeyError};
use rejoin::net::replica::Storage;
use rejoin::{Batch, Error, Space};
use wasm_bindgen::JsValue;

use crate::error::{Result, fail, thrown};
use crate::written::Written;

type Act<'a> = &'a mut dyn FnMut(&mut Transaction<'_, Storage>) -> std::result::Result<(), WriteError>;

/// A transaction that is open while the app's function runs.
pub trait Open {
    /// Of which space.
    fn space(&self) -> SpaceId;
    /// Does something in it; `object` is what is about to be written, if anything is.
    fn act(&mut self, object: Option<&Object>, act: Act<'_>) -> std::result::Result<(), Error>;
}

environmental::environmental!(open: trait Open);

struct Within<'a, 'b, 'tx> {
    space: SpaceId,
    batch: &'a mut Batch<'b, 'tx>,
}

impl Open for Within<'_, '_, '_> {
    fn space(&self) -> SpaceId {
        self.space
    }

    fn act(&mut self, object: Option<&Object>, act: Act<'_>) -> std::result::Result<(), Error> {
        object.map_or(Ok(()), |object| self.batch.check(object))?;
        act(self.batch.rows()).map_err(Error::from)
    }
}

/// Refuses what cannot be asked of a space while a batch of it is open: it would wait for itself.
pub fn outside(space: &Space) -> Result<()> {
    if open::with(|open| open.space() == space.id()) == Some(true) {
        return Err(fail("BATCH", "this cannot be asked within a batch: do it before or after"));
    }
    Ok(())
}

/// Runs a function while a transaction is open: what it reads and writes of the space is in it.
pub fn batch(space: &Space, run: impl FnOnce() -> Result<()>) -> Result<Written> {
    if open::with(|open| open.space() == space.id()) == Some(true) {
        return Err(fail("BATCH", "a batch is open already: write in it"));
    }
    let mut failed = None;
    let commit = space.batch(|batch| {
        let mut within = Within { space: space.id(), batch };
        open::using(&mut within, run).map_err(|error| {
            failed = Some(error);
            // Takes back what was written; the error that is told is the app's own.
            Error::OtherSpace
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Written::of(commit),
    }
}

/// See the module page.
pub struct At<V> {
    /// The space.
    pub space: Space,
    /// The view.
    pub view: V,
}

impl<V: View> At<V> {
    /// The object at a path.
    pub fn new(space: &Space, path: &str) -> Result<Self> {
        let view = V::at(path).map_err(|error: KeyError| thrown(error.into()))?;
        Ok(Self { space: space.clone(), view })
    }

    fn is_open(&self) -> bool {
        open::with(|open| open.space() == self.space.id()) == Some(true)
    }

    /// Writes. What it gives besides comes back at once.
    pub fn write<T>(
        &self,
        mut write: impl FnMut(&V, &mut Transaction<'_, Storage>) -> std::result::Result<T, WriteError>,
    ) -> Result<(T, Written)> {
        let mut value = None;
        let mut act = |tx: &mut Transaction<'_, Storage>| {
            value = Some(write(&self.view, tx)?);
            Ok(())
        };
        let object = Some(self.view.object());
        let written = if self.is_open() {
            open::with(|open| open.act(object, &mut act)).unwrap_or(Ok(())).map_err(thrown)?;
            Written::later()
        } else {
            Written::of(
                self.space.batch(|batch| Within { space: self.space.id(), batch }.act(object, &mut act)),
            )?
        };
        Ok((value.expect("it was run, and did not fail"), written))
    }

    /// Reads in the transaction that is open, if one is.
    pub fn read_open<T>(
        &self,
        mut read: impl FnMut(&Transaction<'_, Storage>) -> std::result::Result<T, WriteError>,
    ) -> Option<Result<T>> {
        if !self.is_open() {
            return None;
        }
        let mut value = None;
        let done = open::with(|open| {
            open.act(None, &mut |tx| {
                value = Some(read(tx)?);
                Ok(())
            })
        });
        Some(done.unwrap_or(Ok(())).map_err(thrown).map(|()| value.expect("it was run, and did not fail")))
    }
}

/// Reads an object, on whatever shows it now: `read!(self.0, |view, rows| view.get(rows))`.
macro_rules! read {
    ($at:expr, |$view:ident, $rows:ident| $read:expr) => {{
        let at = &$at;
        let $view = &at.view;
        match at.read_open(|$rows| $read) {
            Some(read) => read,
            None => at.space.read(|$rows| $read).map_err($crate::error::thrown),
        }
    }};
}

pub(crate) use read;

/// A count, for JavaScript.
pub fn count(count: usize) -> JsValue {
    JsValue::from_f64(count as f64)
}
