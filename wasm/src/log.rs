//! A log: entries are added and never changed.

use js_sys::{Array, Object};
use rejoin::core::crdt::{LogEntry, LogView};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::at::{At, count, read};
use crate::error::Result;
use crate::value::{from_js, set, to_js};
use crate::written::Written;

/// Entries in the order of their times.
#[wasm_bindgen]
pub struct Log(pub(crate) At<LogView>);

fn line(entry: &LogEntry) -> JsValue {
    let object = Object::new();
    set(&object, "value", &to_js(&entry.value));
    set(&object, "time", &JsValue::from_f64(entry.time.millis() as f64));
    set(&object, "author", &JsValue::from_str(&entry.author.to_string()));
    object.into()
}

#[wasm_bindgen]
impl Log {
    /// Adds an entry.
    pub fn append(&self, value: &JsValue) -> Result<Written> {
        let value = from_js(value)?;
        self.0.write(|view, tx| view.append(tx, value.clone())).map(|(_, written)| written)
    }

    /// The last entries, oldest first: value, time in milliseconds since 1970, author.
    pub fn tail(&self, most: usize) -> Result<Array> {
        let entries = read!(self.0, |view, rows| view.tail(rows, most))?;
        Ok(entries.iter().map(line).collect())
    }

    /// How many there are.
    pub fn len(&self) -> Result<JsValue> {
        read!(self.0, |view, rows| view.len(rows)).map(count)
    }
}
