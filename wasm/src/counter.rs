//! A counter.

use rejoin::core::crdt::PnCounterView;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::at::{At, read};
use crate::error::Result;
use crate::value::from_int;
use crate::written::Written;

/// The sum of what all devices added.
#[wasm_bindgen]
pub struct Counter(pub(crate) At<PnCounterView>);

#[wasm_bindgen]
impl Counter {
    /// Adds a number, which may be negative.
    pub fn add(&self, n: i64) -> Result<Written> {
        self.0.write(|view, tx| view.add(tx, n)).map(|((), written)| written)
    }

    /// Takes back what is known here; what others add meanwhile stays.
    pub fn reset(&self) -> Result<Written> {
        self.0.write(|view, tx| view.reset(tx)).map(|((), written)| written)
    }

    /// The number.
    pub fn value(&self) -> Result<JsValue> {
        read!(self.0, |view, rows| view.value(rows)).map(from_int)
    }
}
