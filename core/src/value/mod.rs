//! Self-describing values: what a register, a map entry or a set element holds.
//!
//! Problem: replicas in Rust and in JavaScript, of different versions, must agree on the bytes of a value without
//! agreeing on a schema, because equal states must hash equally and an old app must carry fields it does not know.
//! Idea: one small data model, [`Value`], with exactly one encoding per value ([`Value::encode`], table in
//! `codec.rs`) and a second, order-preserving one for map keys and set elements ([`encode_element`], table in
//! `element.rs`). Typed data goes in and out through serde: [`to_value`] and [`from_value`].
//!
//! | Rust (serde) | [`Value`] |
//! |---|---|
//! | `()`, `None`, unit struct | `Null` |
//! | `Some(x)`, newtype struct | as `x`; so `Some(None)` comes back as `None` |
//! | integers | `Int`; an error outside of `i64` |
//! | `f32`, `f64` | `Float`, every NaN alike and no negative zero |
//! | `str`, `char` | `Text` |
//! | serde bytes | `Bytes`; a `Vec<u8>` without help from serde is a `List` |
//! | sequence, tuple | `List` |
//! | struct, map | `Map`; keys are text, or integers, bools, chars and unit variants rendered as text |
//! | `enum E { A, B(T), C(T, U), D { t: T } }` | `"A"`, `{"B": T}`, `{"C": [T, U]}`, `{"D": {"t": T}}` |
//! | [`Millis`] | `Time` |
//!
//! Reading is more forgiving than writing, since a peer in JavaScript has one kind of number: a float field takes an
//! `Int` and an integer field takes a `Float` with an integral value, both only within ±2^53, where the two kinds
//! agree exactly. Below `#[serde(flatten)]`, `untagged` or an internal tag, serde itself buffers the value and this
//! mercy ends for integer fields.

mod codec;
mod de;
mod element;
mod form;
mod order;
mod ser;

#[cfg(any(test, feature = "laws"))]
mod arbitrary;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_serde;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt::Display;
use core::hash::{Hash, Hasher};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::error::CodecError;
use crate::limits::{KEY_BYTES, PAYLOAD_BYTES, VALUE_DEPTH};

pub use element::{decode_element, encode_element};
pub use form::Millis;
pub use order::{Span, encode_order, field, order_length};

/// One piece of application data.
///
/// Equality and order see a float as it is encoded: every NaN is the same and `-0.0` is `0.0`. The order is by
/// kind, as listed here, then by content; between two scalars it is the order of their [`encode_element`] bytes,
/// while two lists or two maps compare item by item. `Int(1)` and `Float(1.0)` are different values.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing: serde's unit and `None`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction, or a JavaScript number beyond ±2^53.
    Float(f64),
    /// A moment, in milliseconds since the start of 1970 UTC, leap seconds not counted.
    Time(i64),
    /// UTF-8 text, compared byte by byte and not normalised.
    Text(String),
    /// Any bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Value>),
    /// Values by name.
    Map(BTreeMap<String, Value>),
}

/// A value that cannot be written or read. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ValueError {
    /// Lists and maps are nested deeper than [`VALUE_DEPTH`].
    #[error(
        "lists and maps nest at most {VALUE_DEPTH} deep; flatten the value or spread it over several rows"
    )]
    TooDeep,
    /// The encoding is longer than [`PAYLOAD_BYTES`].
    #[error(
        "a value encodes to at most {PAYLOAD_BYTES} bytes; split it, or keep it outside and store a reference"
    )]
    TooLong,
    /// The encoding of a map key or set element is longer than [`KEY_BYTES`].
    #[error("a map key or set element encodes to at most {KEY_BYTES} bytes; keep long data in the value")]
    ElementTooLong,
    /// An integer does not fit into `i64`.
    #[error("an integer must lie between -2^63 and 2^63 - 1; store a larger one as text")]
    IntegerTooLarge,
    /// A map was given a key that has no rendering as text.
    #[error(
        "a map key must be text, an integer, a bool, a char or a unit variant; store other keys in a list of pairs"
    )]
    KeyKind,
    /// Two entries of a map have the same key once it is rendered as text.
    #[error("the map key '{0}' occurs twice; rename one of the two fields")]
    DuplicateKey(String),
    /// A reserved map of the human-readable form has the wrong content.
    #[error(
        "'$bytes' takes hexadecimal text, '$time' an integer, '$float' one of NaN, inf, -inf; \
         for a map that really has such a key, write it with one more '$'"
    )]
    Form,
    /// The bytes are damaged or not canonical.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// What serde or the type's own code reported.
    #[error("{0}")]
    Custom(String),
}

impl serde::ser::Error for ValueError {
    fn custom<T: Display>(message: T) -> Self {
        ValueError::Custom(message.to_string())
    }
}

impl serde::de::Error for ValueError {
    fn custom<T: Display>(message: T) -> Self {
        ValueError::Custom(message.to_string())
    }
}

/// Turns typed data into a [`Value`] by the table in the [module documentation](self).
///
/// The length is not checked before [`Value::encode`]. Fails with [`ValueError::TooDeep`],
/// [`ValueError::IntegerTooLarge`], [`ValueError::KeyKind`], [`ValueError::DuplicateKey`], or what `T` reports.
pub fn to_value<T: Serialize + ?Sized>(data: &T) -> Result<Value, ValueError> {
    data.serialize(ser::Writer::default())
}

/// Reads typed data back from a [`Value`]; the inverse of [`to_value`].
///
/// A `Time` needs [`Millis`] or [`Value`]; to be read as JSON, serialise the [`Value`] instead.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, ValueError> {
    T::deserialize(de::Reader(value))
}

impl Value {
    /// The one encoding of this value: equal values give equal bytes on every replica.
    ///
    /// Fails with [`ValueError::TooDeep`] or, before more than [`PAYLOAD_BYTES`] are written,
    /// [`ValueError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, ValueError> {
        codec::encode(self, PAYLOAD_BYTES)
    }

    /// Reads [`Value::encode`] back. Safe on bytes from anyone: it accepts exactly the canonical encodings, recurses
    /// no deeper than [`VALUE_DEPTH`], and allocates for bytes that are really there, never for a length that is only
    /// claimed. The worst are lists of maps of one entry: 4 bytes become some 600, so one payload some 40 MiB.
    pub fn decode(bytes: &[u8]) -> Result<Value, ValueError> {
        codec::decode(bytes)
    }

    /// Whether this is `Null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The content of a `Bool`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The content of an `Int`, or of a `Float` with an integral value within ±2^53.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            Value::Float(number) => exact_int(*number),
            _ => None,
        }
    }

    /// The content of a `Float`, or of an `Int` within ±2^53.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(number) => Some(*number),
            Value::Int(number) if number.unsigned_abs() <= MAX_EXACT => Some(*number as f64),
            _ => None,
        }
    }

    /// The content of a `Text`.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The content of `Bytes`.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The items of a `List`.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a `Map`.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The content of a `Time`, in milliseconds since 1970.
    pub fn as_time(&self) -> Option<i64> {
        match self {
            Value::Time(millis) => Some(*millis),
            _ => None,
        }
    }

    /// The place of this kind in the order of kinds; agrees with the tags of the encoding.
    fn kind(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) => 2,
            Value::Float(_) => 3,
            Value::Time(_) => 4,
            Value::Text(_) => 5,
            Value::Bytes(_) => 6,
            Value::List(_) => 7,
            Value::Map(_) => 8,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) | (Value::Time(a), Value::Time(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => normal(*a).total_cmp(&normal(*b)),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::List(a), Value::List(b)) => a.cmp(b),
            (Value::Map(a), Value::Map(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.kind());
        match self {
            Value::Null => {}
            Value::Bool(flag) => flag.hash(state),
            Value::Int(number) | Value::Time(number) => number.hash(state),
            Value::Float(number) => normal(*number).to_bits().hash(state),
            Value::Text(text) => text.hash(state),
            Value::Bytes(bytes) => bytes.hash(state),
            Value::List(items) => items.hash(state),
            Value::Map(entries) => entries.hash(state),
        }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Value::Int(number.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Int(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Float(normal(number))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Value::Bytes(bytes.into())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Bytes(bytes)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Value::List(items)
    }
}

impl From<BTreeMap<String, Value>> for Value {
    fn from(entries: BTreeMap<String, Value>) -> Self {
        Value::Map(entries)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(option: Option<T>) -> Self {
        option.map_or(Value::Null, Into::into)
    }
}

/// 2^53: up to here every integer is a float, and JavaScript counts without gaps.
const MAX_EXACT: u64 = 1 << 53;

/// The bits that stand for every NaN: quiet, positive, no payload.
const NAN_BITS: u64 = 0x7ff8_0000_0000_0000;

/// The float that stands for `number` in every encoding.
fn normal(number: f64) -> f64 {
    if number.is_nan() {
        f64::from_bits(NAN_BITS)
    } else if number == 0.0 {
        0.0
    } else {
        number
    }
}

/// The integer equal to `number`, within ±2^53.
fn exact_int(number: f64) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a lossy result is found by comparing it with the source"
    )]
    let whole = number as i64;
    (whole.unsigned_abs() <= MAX_EXACT && whole as f64 == number).then_some(whole)
}
