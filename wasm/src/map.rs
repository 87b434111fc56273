//! A map: of two values written at the same time the later one stays.

use std::ops::ControlFlow;
use std::time::Duration;

use js_sys::Array;
use rejoin::core::crdt::{Keys, LwwMapView};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::at::{At, read};
use crate::error::Result;
use crate::value::{array, from_js, to_js};
use crate::written::Written;

/// Values by keys.
#[wasm_bindgen]
pub struct LwwMap(pub(crate) At<LwwMapView>);

#[wasm_bindgen]
impl LwwMap {
    /// Sets the value of a key; for so many milliseconds, if they are given.
    pub fn put(&self, key: &JsValue, value: &JsValue, lives: Option<f64>) -> Result<Written> {
        let (key, value) = (from_js(key)?, from_js(value)?);
        let lives = lives.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
        let written = self.0.write(|view, tx| match lives {
            Some(lives) => view.put_for(tx, key.clone(), value.clone(), lives),
            None => view.put(tx, key.clone(), value.clone()),
        });
        written.map(|((), written)| written)
    }

    /// Removes a key.
    pub fn remove(&self, key: &JsValue) -> Result<Written> {
        let key = from_js(key)?;
        self.0.write(|view, tx| view.remove(tx, key.clone())).map(|((), written)| written)
    }

    /// The value of a key; undefined when there is none.
    pub fn get(&self, key: &JsValue) -> Result<JsValue> {
        let key = from_js(key)?;
        let value = read!(self.0, |view, rows| view.get(rows, key.clone()))?;
        Ok(value.as_ref().map_or(JsValue::UNDEFINED, to_js))
    }

    /// All values that devices gave a key at the same time, the one that shows first.
    pub fn conflicts(&self, key: &JsValue) -> Result<Array> {
        let key = from_js(key)?;
        Ok(array(&read!(self.0, |view, rows| view.conflicts(rows, key.clone()))?))
    }

    /// Keys and values, in the order of the keys.
    pub fn entries(&self) -> Result<Array> {
        let pairs = read!(self.0, |view, rows| {
            let mut pairs = Vec::new();
            let visited = view.visit(rows, &Keys::All, |key, value| {
                pairs.push([key, value]);
                ControlFlow::Continue(())
            });
            visited.map(|()| pairs)
        });
        Ok(pairs?.iter().map(array).collect())
    }
}
