//! A set: an insertion and a removal at the same time leave the element in.

use std::ops::ControlFlow;
use std::time::Duration;

use js_sys::Array;
use rejoin::core::crdt::{Keys, OrSetView};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::at::{At, read};
use crate::error::Result;
use crate::value::{array, from_js};
use crate::written::Written;

/// Elements without an order of their own.
#[wasm_bindgen]
pub struct OrSet(pub(crate) At<OrSetView>);

#[wasm_bindgen]
impl OrSet {
    /// Puts an element in; for so many milliseconds, if they are given.
    pub fn insert(&self, element: &JsValue, lives: Option<f64>) -> Result<Written> {
        let element = from_js(element)?;
        let lives = lives.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
        let written = self.0.write(|view, tx| match lives {
            Some(lives) => view.insert_for(tx, element.clone(), lives),
            None => view.insert(tx, element.clone()),
        });
        written.map(|((), written)| written)
    }

    /// Takes an element out.
    pub fn remove(&self, element: &JsValue) -> Result<Written> {
        let element = from_js(element)?;
        self.0.write(|view, tx| view.remove(tx, element.clone())).map(|((), written)| written)
    }

    /// Whether an element is in it.
    pub fn contains(&self, element: &JsValue) -> Result<bool> {
        let element = from_js(element)?;
        read!(self.0, |view, rows| view.contains(rows, element.clone()))
    }

    /// All elements, in the order of their encodings.
    pub fn elements(&self) -> Result<Array> {
        let elements = read!(self.0, |view, rows| {
            let mut elements = Vec::new();
            let visited = view.visit(rows, &Keys::All, |element| {
                elements.push(element);
                ControlFlow::Continue(())
            });
            visited.map(|()| elements)
        });
        Ok(array(&elements?))
    }
}
