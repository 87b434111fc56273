//! What a write returns: it shows already; wait for more if you need more.

use std::cell::RefCell;
use std::time::Duration;

use js_sys::Promise;
use rejoin::Commit;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::future_to_promise;

use crate::error::{Result, fail, thrown};

/// A change that reads show. Nothing has to be done with it.
#[wasm_bindgen]
pub struct Written(RefCell<State>);

enum State {
    Made(Commit<()>),
    /// Somebody waits for it already.
    Waited,
    /// Nothing of a batch is kept before all of it is.
    InBatch,
}

impl Written {
    /// Of a commit; the error is that of a change that could not be made.
    pub fn of(commit: Commit<()>) -> Result<Self> {
        if commit.is_made() {
            return Ok(Self(RefCell::new(State::Made(commit))));
        }
        commit.detach().map_err(thrown)?;
        Ok(Self(RefCell::new(State::Waited)))
    }

    /// Of a change in a batch, which is waited for as a whole.
    pub const fn later() -> Self {
        Self(RefCell::new(State::InBatch))
    }

    fn take(&self) -> Result<Commit<()>> {
        if matches!(*self.0.borrow(), State::InBatch) {
            return Err(fail("BATCH", "await the batch, and not what is written in it"));
        }
        match self.0.replace(State::Waited) {
            State::Made(commit) => Ok(commit),
            _ => Err(fail(
                "AWAITED",
                "this change is waited for already: ask for confirmation instead of awaiting it",
            )),
        }
    }
}

#[wasm_bindgen]
impl Written {
    /// Waits until it is kept on this device.
    pub fn saved(&self) -> Promise {
        let commit = self.take();
        future_to_promise(async move { commit?.await.map_err(thrown).map(|()| JsValue::UNDEFINED) })
    }

    /// Waits until it is kept here and `others` more devices have said that they keep it too.
    pub fn confirmed(&self, others: u32, millis: f64) -> Promise {
        let commit = self.take();
        future_to_promise(async move {
            let within =
                Duration::try_from_secs_f64(millis / 1000.0).map_err(|_| fail("VALUE", "no such time"))?;
            let others = usize::try_from(others).unwrap_or(usize::MAX);
            commit?.confirmed(others, within).await.map_err(thrown)?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Names the change for readers on other devices; undefined when nothing was changed.
    pub fn token(&self) -> Option<String> {
        match &*self.0.borrow() {
            State::Made(commit) => commit.token().map(|token| token.to_string()),
            _ => None,
        }
    }
}
