//! Values in other formats: what [`Value`] and [`Millis`] look like in JSON and in postcard.
//!
//! Problem: JSON lacks bytes, times and the floats beyond the finite ones, yet a value must come back from it
//! unchanged. Idea: JSON's own kinds stay natural, and what is missing becomes a map with one reserved key. A map of
//! the user's that looks like one gets one more `$`, which reading takes off again.
//!
//! | [`Value`] | human-readable formats |
//! |---|---|
//! | null, bool, int, finite float, text, list, map | the same in JSON |
//! | bytes | `{"$bytes": "00ff"}`, hexadecimal |
//! | time | `{"$time": 1700000000000}` |
//! | float NaN, ∞, -∞ | `{"$float": "NaN"}`, `"inf"`, `"-inf"` |
//! | a map with one key that is `$`, possibly more `$`, and `bytes`, `time` or `float` | the same with one more `$` |
//!
//! Other formats (postcard) get the bytes of [`Value::encode`], with its limits. Reading stops at [`VALUE_DEPTH`],
//! long before the stack ends, and refuses a key that occurs twice. Floats are as exact as the format: serde_json
//! may be off in the last digit unless its feature `float_roundtrip` is on. A [`Value`] below `#[serde(flatten)]`
//! cannot be read from a binary format, because serde forgets there that the format is one.
//!
//! [`to_value`](super::to_value) and [`from_value`](super::from_value) are human-readable formats too, so that an
//! identifier with two forms arrives in JavaScript as text. They use the same forms under the hood, which is what
//! carries bytes and times through serde's buffer for `flatten` and `untagged`; only there does the table above
//! restrict what a user's own map may be called.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use crate::limits::VALUE_DEPTH;

use super::{Value, ValueError, normal};

pub(super) const TIME_KEY: &str = "$time";
const BYTES_KEY: &str = "$bytes";
const FLOAT_KEY: &str = "$float";

/// Names of newtype structs by which our own serializer knows [`Value`] and [`Millis`]; other formats ignore them.
pub(super) const VALUE_NAME: &str = "$rejoin::Value";
pub(super) const MILLIS_NAME: &str = "$rejoin::Millis";

/// A moment in typed data: milliseconds since the start of 1970 UTC.
///
/// A plain `i64` would become [`Value::Int`]; this becomes [`Value::Time`]. Other formats see a plain integer. Reads
/// a `Time`, its JSON form, or an integral number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(MILLIS_NAME, &self.0)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Millis);
        }
        let value = deserializer.deserialize_newtype_struct(MILLIS_NAME, Form { level: 0 })?;
        let millis = value.as_time().or_else(|| value.as_i64());
        millis
            .map(Millis)
            .ok_or_else(|| D::Error::invalid_type(unexpected(&value), &"a time in milliseconds"))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_newtype_struct(
                VALUE_NAME,
                &Formed {
                    value: self,
                    level: 0,
                },
            )
        } else {
            serializer.serialize_bytes(&self.encode().map_err(S::Error::custom)?)
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_newtype_struct(VALUE_NAME, Form { level: 0 })
        } else {
            deserializer.deserialize_bytes(Encoded)
        }
    }
}

/// Whether a map must be written with one more `$` before its only key.
pub(super) fn is_ambiguous(entries: &BTreeMap<String, Value>) -> bool {
    entries.len() == 1 && entries.keys().all(|key| is_reserved(key))
}

fn is_reserved(key: &str) -> bool {
    let name = key.trim_start_matches('$');
    name.len() < key.len() && matches!(name, "bytes" | "time" | "float")
}

/// What a map of the human-readable form means, read inside `level` lists and maps. A reserved form is no nesting,
/// which is why the depth is checked only here.
pub(super) fn from_entries(mut entries: BTreeMap<String, Value>, level: usize) -> Result<Value, ValueError> {
    if is_ambiguous(&entries)
        && let Some((key, value)) = entries.pop_first()
    {
        match (key.as_str(), &value) {
            (BYTES_KEY, Value::Text(hex)) => return bytes_from_hex(hex).map(Value::Bytes),
            (TIME_KEY, Value::Int(millis)) => return Ok(Value::Time(*millis)),
            (FLOAT_KEY, Value::Text(name)) => return float_from_name(name).map(Value::Float),
            (BYTES_KEY | TIME_KEY | FLOAT_KEY, _) => return Err(ValueError::Form),
            (escaped, _) => entries.insert(escaped[1..].to_string(), value),
        };
    }
    if level < VALUE_DEPTH {
        Ok(Value::Map(entries))
    } else {
        Err(ValueError::TooDeep)
    }
}

/// A value on its way out, inside `level` lists and maps.
struct Formed<'a> {
    value: &'a Value,
    level: usize,
}

impl Serialize for Formed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.level >= VALUE_DEPTH && matches!(self.value, Value::List(_) | Value::Map(_)) {
            return Err(S::Error::custom(ValueError::TooDeep));
        }
        let level = self.level + 1;
        match self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) if number.is_finite() => serializer.serialize_f64(normal(*number)),
            Value::Float(number) => single(serializer, FLOAT_KEY, float_name(*number)),
            Value::Time(millis) => single(serializer, TIME_KEY, millis),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => single(serializer, BYTES_KEY, &hex_from_bytes(bytes)),
            Value::List(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                items
                    .iter()
                    .try_for_each(|value| seq.serialize_element(&Formed { value, level }))?;
                seq.end()
            }
            Value::Map(entries) => {
                let escape = is_ambiguous(entries);
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    if escape {
                        map.serialize_key(&format!("${key}"))?;
                    } else {
                        map.serialize_key(key)?;
                    }
                    map.serialize_value(&Formed { value, level })?;
                }
                map.end()
            }
        }
    }
}

fn single<S: Serializer, T: Serialize + ?Sized>(
    serializer: S,
    key: &str,
    value: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

/// Reads the human-readable form of a value that lies inside `level` lists and maps.
#[derive(Clone, Copy)]
struct Form {
    level: usize,
}

impl<'de> DeserializeSeed<'de> for Form {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Form {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("null, a bool, a number, text, bytes, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number)
            .map(Value::Int)
            .map_err(|_| E::custom(ValueError::IntegerTooLarge))
    }

    fn visit_i128<E: serde::de::Error>(self, number: i128) -> Result<Value, E> {
        i64::try_from(number)
            .map(Value::Int)
            .map_err(|_| E::custom(ValueError::IntegerTooLarge))
    }

    fn visit_u128<E: serde::de::Error>(self, number: u128) -> Result<Value, E> {
        i64::try_from(number)
            .map(Value::Int)
            .map_err(|_| E::custom(ValueError::IntegerTooLarge))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(normal(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_string()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        if self.level >= VALUE_DEPTH {
            return Err(A::Error::custom(ValueError::TooDeep));
        }
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Form {
            level: self.level + 1,
        })? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        // One more level than a list: it may be a reserved form, which `from_entries` finds out.
        if self.level > VALUE_DEPTH {
            return Err(A::Error::custom(ValueError::TooDeep));
        }
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.contains_key(&key) {
                return Err(A::Error::custom(ValueError::DuplicateKey(key)));
            }
            entries.insert(
                key,
                map.next_value_seed(Form {
                    level: self.level + 1,
                })?,
            );
        }
        from_entries(entries, self.level).map_err(A::Error::custom)
    }
}

/// Reads the canonical bytes out of a binary format.
struct Encoded;

impl Visitor<'_> for Encoded {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the canonical bytes of a value")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Value, E> {
        Value::decode(bytes).map_err(E::custom)
    }
}

/// How serde's messages name a value.
pub(super) fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(flag) => Unexpected::Bool(*flag),
        Value::Int(number) => Unexpected::Signed(*number),
        Value::Float(number) => Unexpected::Float(*number),
        Value::Time(_) => Unexpected::Other("a time"),
        Value::Text(text) => Unexpected::Str(text),
        Value::Bytes(bytes) => Unexpected::Bytes(bytes),
        Value::List(_) => Unexpected::Seq,
        Value::Map(_) => Unexpected::Map,
    }
}

fn float_name(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}

fn float_from_name(name: &str) -> Result<f64, ValueError> {
    match name {
        "NaN" => Ok(normal(f64::NAN)),
        "inf" => Ok(f64::INFINITY),
        "-inf" => Ok(f64::NEG_INFINITY),
        _ => Err(ValueError::Form),
    }
}

fn hex_from_bytes(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn bytes_from_hex(hex: &str) -> Result<Vec<u8>, ValueError> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
        return Err(ValueError::Form);
    };
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs
        .iter()
        .map(byte)
        .collect::<Option<_>>()
        .ok_or(ValueError::Form)
}
