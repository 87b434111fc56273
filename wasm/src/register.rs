//! A register: one value; of two written at the same time the later one stays.

use js_sys::Array;
use rejoin::core::crdt::LwwRegisterView;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::at::{At, read};
use crate::error::Result;
use crate::value::{array, from_js, to_js};
use crate::written::Written;

/// One value.
#[wasm_bindgen]
pub struct Register(pub(crate) At<LwwRegisterView>);

#[wasm_bindgen]
impl Register {
    /// Sets it.
    pub fn put(&self, value: &JsValue) -> Result<Written> {
        let value = from_js(value)?;
        self.0.write(|view, tx| view.put(tx, value.clone())).map(|((), written)| written)
    }

    /// The value; undefined when none was set.
    pub fn get(&self) -> Result<JsValue> {
        let value = read!(self.0, |view, rows| view.get(rows))?;
        Ok(value.as_ref().map_or(JsValue::UNDEFINED, to_js))
    }

    /// All values that devices set at the same time, the one that shows first.
    pub fn conflicts(&self) -> Result<Array> {
        Ok(array(&read!(self.0, |view, rows| view.conflicts(rows))?))
    }
}
