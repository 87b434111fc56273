//! A list: items keep their order and their names, wherever they are moved to.

use js_sys::Array;
use rejoin::core::crdt::{ItemId, ListView};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::at::{At, count, read};
use crate::error::{Result, fail};
use crate::value::{from_js, to_js};
use crate::written::Written;

/// Values in an order that people choose.
#[wasm_bindgen]
pub struct List(pub(crate) At<ListView>);

/// A write that made an item.
#[wasm_bindgen]
pub struct Inserted {
    item: String,
    written: Option<Written>,
}

#[wasm_bindgen]
impl Inserted {
    /// The name of the item.
    #[wasm_bindgen(getter)]
    pub fn item(&self) -> String {
        self.item.clone()
    }

    /// The write; once.
    pub fn written(&mut self) -> Option<Written> {
        self.written.take()
    }
}

fn named(item: &str) -> Result<ItemId> {
    item.parse()
        .map_err(|_| fail("ITEM", "this is the name of no item: use what insert, push and items gave"))
}

#[wasm_bindgen]
impl List {
    /// Puts an item at a place; at the end, if that is further.
    pub fn insert(&self, index: usize, value: &JsValue) -> Result<Inserted> {
        let value = from_js(value)?;
        let (item, written) = self.0.write(|view, tx| view.insert(tx, index, value.clone()))?;
        Ok(Inserted { item: item.to_string(), written: Some(written) })
    }

    /// Puts an item at the end.
    pub fn push(&self, value: &JsValue) -> Result<Inserted> {
        let value = from_js(value)?;
        let (item, written) = self.0.write(|view, tx| view.push(tx, value.clone()))?;
        Ok(Inserted { item: item.to_string(), written: Some(written) })
    }

    /// Sets the value of an item.
    pub fn set(&self, item: &str, value: &JsValue) -> Result<Written> {
        let (item, value) = (named(item)?, from_js(value)?);
        self.0.write(|view, tx| view.set(tx, item, value.clone())).map(|((), written)| written)
    }

    /// Moves an item.
    #[wasm_bindgen(js_name = moveTo)]
    pub fn move_to(&self, item: &str, index: usize) -> Result<Written> {
        let item = named(item)?;
        self.0.write(|view, tx| view.move_to(tx, item, index)).map(|((), written)| written)
    }

    /// Removes an item.
    pub fn remove(&self, item: &str) -> Result<Written> {
        let item = named(item)?;
        self.0.write(|view, tx| view.remove(tx, item)).map(|((), written)| written)
    }

    /// The items in order: name and value each.
    pub fn items(&self) -> Result<Array> {
        let items = read!(self.0, |view, rows| view.items(rows))?;
        let pair = |item: &rejoin::core::crdt::Item| {
            Array::of2(&JsValue::from_str(&item.id.to_string()), &to_js(&item.value))
        };
        Ok(items.iter().map(pair).collect())
    }

    /// How many there are.
    pub fn len(&self) -> Result<JsValue> {
        read!(self.0, |view, rows| view.len(rows)).map(count)
    }
}
