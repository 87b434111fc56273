//! JavaScript's values as ours, and back: what JSON has, bytes, moments.
//!
//! What would come back as something else is refused: a `Map`, an instance of a class, a number that is none, text with half a
//! character. A property that is `undefined` is left out, as in JSON. Whole numbers beyond 2^53 come back as `bigint`.

use std::collections::BTreeMap;

use js_sys::{Array, BigInt, Date, JsString, Object, Reflect, Uint8Array};
use rejoin::Value;
use rejoin::core::limits::VALUE_DEPTH;
use wasm_bindgen::{JsCast, JsValue};

use crate::error::{Result, fail};

const SAFE: i64 = (1 << 53) - 1;

fn refused(message: &str) -> JsValue {
    fail("VALUE", message)
}

/// A value of JavaScript as ours.
pub fn from_js(js: &JsValue) -> Result<Value> {
    within(js, 0)
}

fn within(js: &JsValue, depth: usize) -> Result<Value> {
    if depth > VALUE_DEPTH {
        return Err(refused(&format!("values nest at most {VALUE_DEPTH} deep, and not in a circle")));
    }
    if js.is_null() {
        return Ok(Value::Null);
    }
    if let Some(truth) = js.as_bool() {
        return Ok(Value::Bool(truth));
    }
    if let Some(number) = js.as_f64() {
        return from_number(number);
    }
    if js.is_string() {
        return text(js).map(Value::Text);
    }
    if let Some(number) = js.dyn_ref::<BigInt>() {
        let too_large =
            |_| refused("a bigint must lie between -2^63 and 2^63 - 1; store a larger one as text");
        return i64::try_from(number.clone()).map(Value::Int).map_err(too_large);
    }
    if let Some(bytes) = js.dyn_ref::<Uint8Array>() {
        return Ok(Value::Bytes(bytes.to_vec()));
    }
    if let Some(date) = js.dyn_ref::<Date>() {
        let millis = date.get_time();
        return if millis.is_finite() {
            Ok(Value::Time(whole(millis)))
        } else {
            Err(refused("an invalid Date cannot be stored"))
        };
    }
    if Array::is_array(js) {
        let items = js.unchecked_ref::<Array>().iter();
        return Ok(Value::List(items.map(|item| within(&item, depth + 1)).collect::<Result<_>>()?));
    }
    if is_plain(js) {
        return from_object(js.unchecked_ref(), depth);
    }
    Err(refused(
        "only what JSON has, Uint8Array, Date and bigint can be stored: turn a Map, a Set or an instance of a class into a plain \
         object, and leave out undefined and functions",
    ))
}

fn from_number(number: f64) -> Result<Value> {
    if !number.is_finite() {
        return Err(refused("NaN and Infinity cannot be stored: use null"));
    }
    let is_whole = number.trunc() == number && number.abs() <= SAFE as f64;
    Ok(if is_whole { Value::Int(whole(number)) } else { Value::Float(number) })
}

/// A whole number that was checked to be one; `Date` has no others.
#[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53, or a moment that Date can hold")]
fn whole(number: f64) -> i64 {
    number as i64
}

/// Text with half a character would be stored as another one.
pub fn text(js: &JsValue) -> Result<String> {
    let sound = js.dyn_ref::<JsString>().filter(|text| text.is_valid_utf16());
    sound.map(String::from).ok_or_else(|| refused("text with half of a surrogate pair cannot be stored"))
}

fn is_plain(js: &JsValue) -> bool {
    if !js.is_object() {
        return false;
    }
    let prototype: JsValue = Object::get_prototype_of(js).into();
    // Of whatever window it comes: the prototype of all has none itself.
    prototype.is_null() || JsValue::from(Object::get_prototype_of(&prototype)).is_null()
}

fn from_object(object: &Object, depth: usize) -> Result<Value> {
    let mut map = BTreeMap::new();
    for pair in Object::entries(object).iter() {
        let pair: Array = pair.unchecked_into();
        let (name, value) = (pair.get(0), pair.get(1));
        if !value.is_undefined() {
            map.insert(text(&name)?, within(&value, depth + 1)?);
        }
    }
    Ok(Value::Map(map))
}

/// One of ours as JavaScript's.
pub fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Bool(truth) => JsValue::from_bool(*truth),
        Value::Int(number) => from_int(*number),
        Value::Float(number) => JsValue::from_f64(*number),
        Value::Time(millis) => Date::new(&JsValue::from_f64(*millis as f64)).into(),
        Value::Text(text) => JsValue::from_str(text),
        Value::Bytes(bytes) => Uint8Array::from(&bytes[..]).into(),
        Value::List(items) => items.iter().map(to_js).collect::<Array>().into(),
        Value::Map(map) => {
            let object = Object::new();
            for (name, value) in map {
                set(&object, name, &to_js(value));
            }
            object.into()
        }
    }
}

/// A number if it is exact, a bigint otherwise.
pub fn from_int(number: i64) -> JsValue {
    if number.abs() <= SAFE { JsValue::from_f64(number as f64) } else { BigInt::from(number).into() }
}

/// Sets a property of an object that is under construction, whatever its name.
pub fn set(object: &Object, name: &str, value: &JsValue) {
    if name == "__proto__" {
        // Set as usual it would be the prototype, and somebody else's data would decide what the object can do.
        let descriptor = Object::new();
        for (name, value) in [("value", value), ("writable", &JsValue::TRUE), ("enumerable", &JsValue::TRUE)]
        {
            let _ = Reflect::set(&descriptor, &name.into(), value);
        }
        Object::define_property(object, &name.into(), &descriptor);
        return;
    }
    // A fresh object takes any property.
    let _ = Reflect::set(object, &name.into(), value);
}

/// Values in an array.
pub fn array<'a>(values: impl IntoIterator<Item = &'a Value>) -> Array {
    values.into_iter().map(to_js).collect()
}
