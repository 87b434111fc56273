//! Serde out: a [`Value`] becomes typed data.
//!
//! Problem: the value may have been written by an older app, or by JavaScript with its single kind of number, and
//! must still be read where nothing is lost by it. Idea: the reverse of `ser.rs`, where a request for a number
//! converts between `Int` and `Float` within ±2^53, `Bytes` may be read as a list of numbers and such a list as
//! bytes, and everything else must match.
//!
//! A request for anything, as serde's buffer makes for `flatten` and `untagged`, sees times and ambiguous maps in the
//! forms of `form.rs`, so that a [`Value`] or [`super::Millis`] read out of the buffer is the one that went in.

use alloc::collections::btree_map;
use alloc::string::{String, ToString};
use alloc::vec;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::form::{self, TIME_KEY};
use super::{Value, ValueError};

type Result<T> = core::result::Result<T, ValueError>;

/// Hands one value to a visitor.
pub(super) struct Reader(pub(super) Value);

impl Reader {
    /// Hands over the content as it is, whatever was asked for; the visitor refuses what it cannot use.
    fn plain<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(flag),
            Value::Int(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Text(text) => visitor.visit_string(text),
            Value::Bytes(bytes) => visitor.visit_byte_buf(bytes),
            Value::Time(_) => Err(ValueError::invalid_type(
                Unexpected::Other("a time, which only Millis can hold"),
                &visitor,
            )),
            Value::List(items) => {
                let mut items = Items(items.into_iter());
                let data = visitor.visit_seq(&mut items)?;
                match items.0.len() {
                    0 => Ok(data),
                    rest => Err(ValueError::custom(format_args!(
                        "the list has {rest} items too many"
                    ))),
                }
            }
            Value::Map(entries) => {
                let mut entries = Entries {
                    entries: entries.into_iter(),
                    value: None,
                };
                let data = visitor.visit_map(&mut entries)?;
                match entries.entries.len() {
                    0 => Ok(data),
                    rest => Err(ValueError::custom(format_args!(
                        "the map has {rest} entries too many"
                    ))),
                }
            }
        }
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0.as_i64() {
            Some(number) => visitor.visit_i64(number),
            None => self.plain(visitor),
        }
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match (self.0.as_f64(), &self.0) {
            (Some(number), _) => visitor.visit_f64(number),
            (None, Value::Int(number)) => {
                let message = "a float within 2^53, beyond which integers get lost";
                Err(ValueError::invalid_value(Unexpected::Signed(*number), &message))
            }
            _ => self.plain(visitor),
        }
    }

    /// Without this, serde's `String` would take bytes that happen to be UTF-8.
    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &self.0 {
            Value::Bytes(bytes) => Err(ValueError::invalid_type(Unexpected::Bytes(bytes), &visitor)),
            _ => self.plain(visitor),
        }
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0 {
            Value::Bytes(bytes) => {
                let mut items = SeqDeserializer::<_, ValueError>::new(bytes.into_iter());
                let data = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(data)
            }
            _ => self.plain(visitor),
        }
    }
}

macro_rules! forward {
    ($($method:ident $to:ident,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.$to(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader {
    type Error = ValueError;

    forward! {
        deserialize_i8 integer, deserialize_i16 integer, deserialize_i32 integer, deserialize_i64 integer,
        deserialize_u8 integer, deserialize_u16 integer, deserialize_u32 integer, deserialize_u64 integer,
        deserialize_i128 integer, deserialize_u128 integer, deserialize_f32 float, deserialize_f64 float,
        deserialize_bool plain, deserialize_char text, deserialize_str text, deserialize_string text,
        deserialize_bytes plain, deserialize_byte_buf plain, deserialize_unit plain, deserialize_map plain,
        deserialize_identifier plain, deserialize_seq list,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0 {
            Value::Time(millis) => visitor.visit_map(MapDeserializer::new([(TIME_KEY, millis)].into_iter())),
            Value::Map(entries) if form::is_ambiguous(&entries) => {
                let escaped = entries
                    .into_iter()
                    .map(|(key, value)| ("$".to_string() + &key, value));
                Reader(Value::Map(escaped.collect())).plain(visitor)
            }
            value => Reader(value).plain(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        self.plain(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.plain(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let expected = "the name of a variant, or a map with that name as its only key";
        match self.0 {
            Value::Text(variant) => visitor.visit_enum(Variant {
                variant,
                content: None,
            }),
            Value::Map(mut entries) if entries.len() == 1 => match entries.pop_first() {
                Some((variant, value)) => visitor.visit_enum(Variant {
                    variant,
                    content: Some(value),
                }),
                None => Err(ValueError::invalid_type(Unexpected::Map, &expected)),
            },
            other => Err(ValueError::invalid_type(form::unexpected(&other), &expected)),
        }
    }
}

struct Items(vec::IntoIter<Value>);

impl<'de> SeqAccess<'de> for Items {
    type Error = ValueError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        self.0
            .next()
            .map(|value| seed.deserialize(Reader(value)))
            .transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries {
    entries: btree_map::IntoIter<String, Value>,
    value: Option<Value>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(KeyReader(key)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        let value = self
            .value
            .take()
            .ok_or_else(|| ValueError::custom("a map's value was asked for before its key"))?;
        seed.deserialize(Reader(value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

struct Variant {
    variant: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = ValueError;
    type Variant = Content;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Content)> {
        Ok((seed.deserialize(KeyReader(self.variant))?, Content(self.content)))
    }
}

/// What follows the name of a variant; nothing if the name stood alone.
struct Content(Option<Value>);

impl Content {
    fn reader(self, expected: &str) -> Result<Reader> {
        self.0
            .map(Reader)
            .ok_or_else(|| ValueError::invalid_type(Unexpected::UnitVariant, &expected))
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = ValueError;

    fn unit_variant(self) -> Result<()> {
        match self.0 {
            None | Some(Value::Null) => Ok(()),
            Some(value) => Err(ValueError::invalid_type(
                form::unexpected(&value),
                &"a unit variant",
            )),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.reader("a newtype variant")?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value> {
        self.reader("a tuple variant")?.list(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.reader("a struct variant")?.plain(visitor)
    }
}

/// Reads a map key back from its text. Only the one rendering of a number counts: `"07"` would be a second `7`.
struct KeyReader(String);

macro_rules! numbers {
    ($($method:ident $visit:ident $number:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            match self.0.parse::<$number>() {
                Ok(number) if number.to_string() == self.0 => visitor.$visit(number),
                _ => visitor.visit_string(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for KeyReader {
    type Error = ValueError;

    numbers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_u128 visit_u128 u128, deserialize_bool visit_bool bool,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}
