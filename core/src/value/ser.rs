//! Serde in: typed data becomes a [`Value`].
//!
//! Problem: an app's structs should be stored without a mapping written by hand, and the mapping must be the one
//! people know. Idea: serde_json's mapping (external enum tags, keys rendered as text) onto [`Value`], plus two
//! names of newtype structs that only this serializer understands, for [`super::Millis`] and for [`Value`] itself.
//!
//! Every list and map that is opened counts against [`VALUE_DEPTH`], so recursion ends before the stack does.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Serialize;
use serde::ser::{
    Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::limits::VALUE_DEPTH;

use super::form::{self, MILLIS_NAME, VALUE_NAME};
use super::{Value, ValueError, normal};

type Result<T> = core::result::Result<T, ValueError>;

/// Builds one value that lies inside `level` lists and maps.
#[derive(Clone, Copy, Default)]
pub(super) struct Writer {
    level: usize,
    /// The input is a [`Value`] in its human-readable form; reserved maps are turned back.
    formed: bool,
}

impl Writer {
    fn enter(self) -> Result<Writer> {
        if self.level < VALUE_DEPTH {
            Ok(Writer {
                level: self.level + 1,
                ..self
            })
        } else {
            Err(ValueError::TooDeep)
        }
    }

    fn items(self, variant: Option<&'static str>) -> Result<Items> {
        let outer = if variant.is_some() { self.enter()? } else { self };
        Ok(Items {
            inner: outer.enter()?,
            items: Vec::new(),
            variant,
        })
    }

    fn entries(self, variant: Option<&'static str>) -> Result<Entries> {
        let outer = if variant.is_some() { self.enter()? } else { self };
        // A reserved map is no nesting; `form::from_entries` checks the depth of what remains a map.
        let inner = if outer.formed && outer.level == VALUE_DEPTH {
            Writer {
                level: outer.level + 1,
                ..outer
            }
        } else {
            outer.enter()?
        };
        Ok(Entries {
            inner,
            entries: BTreeMap::new(),
            key: None,
            variant,
        })
    }
}

fn integer<N: TryInto<i64>>(number: N) -> Result<Value> {
    number
        .try_into()
        .map(Value::Int)
        .map_err(|_| ValueError::IntegerTooLarge)
}

fn tagged(variant: Option<&'static str>, content: Value) -> Value {
    match variant {
        None => content,
        Some(name) => Value::Map(BTreeMap::from([(name.to_string(), content)])),
    }
}

macro_rules! integers {
    ($($method:ident $number:ty,)*) => {$(
        fn $method(self, number: $number) -> Result<Value> {
            integer(number)
        }
    )*};
}

impl Serializer for Writer {
    type Ok = Value;
    type Error = ValueError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    integers! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128,
    }

    fn serialize_bool(self, flag: bool) -> Result<Value> {
        Ok(Value::Bool(flag))
    }

    fn serialize_f32(self, number: f32) -> Result<Value> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<Value> {
        Ok(Value::Float(normal(number)))
    }

    fn serialize_char(self, character: char) -> Result<Value> {
        Ok(Value::Text(character.to_string()))
    }

    fn serialize_str(self, text: &str) -> Result<Value> {
        Ok(Value::Text(text.to_string()))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value> {
        Ok(Value::Bytes(bytes.to_vec()))
    }

    fn serialize_none(self) -> Result<Value> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, data: &T) -> Result<Value> {
        data.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Value> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value> {
        Ok(Value::Text(variant.to_string()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, data: &T) -> Result<Value> {
        match name {
            VALUE_NAME => data.serialize(Writer { formed: true, ..self }),
            MILLIS_NAME => match data.serialize(self)? {
                Value::Int(millis) => Ok(Value::Time(millis)),
                other => Ok(other),
            },
            _ => data.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        data: &T,
    ) -> Result<Value> {
        Ok(tagged(Some(variant), data.serialize(self.enter()?)?))
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Items> {
        self.items(None)
    }

    fn serialize_tuple(self, _length: usize) -> Result<Items> {
        self.items(None)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _length: usize) -> Result<Items> {
        self.items(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items> {
        self.items(Some(variant))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Entries> {
        self.entries(None)
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Entries> {
        self.entries(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Entries> {
        self.entries(Some(variant))
    }
}

/// A list being built.
pub(super) struct Items {
    inner: Writer,
    items: Vec<Value>,
    variant: Option<&'static str>,
}

macro_rules! items {
    ($($of:ident $method:ident,)*) => {$(
        impl $of for Items {
            type Ok = Value;
            type Error = ValueError;

            fn $method<T: Serialize + ?Sized>(&mut self, data: &T) -> Result<()> {
                self.items.push(data.serialize(self.inner)?);
                Ok(())
            }

            fn end(self) -> Result<Value> {
                Ok(tagged(self.variant, Value::List(self.items)))
            }
        }
    )*};
}

items! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

/// A map being built.
pub(super) struct Entries {
    inner: Writer,
    entries: BTreeMap<String, Value>,
    key: Option<String>,
    variant: Option<&'static str>,
}

impl Entries {
    fn insert<T: Serialize + ?Sized>(&mut self, key: String, data: &T) -> Result<()> {
        if self.entries.contains_key(&key) {
            return Err(ValueError::DuplicateKey(key));
        }
        self.entries.insert(key, data.serialize(self.inner)?);
        Ok(())
    }

    fn finish(self) -> Result<Value> {
        if self.inner.formed {
            return form::from_entries(self.entries, self.inner.level - 1);
        }
        Ok(tagged(self.variant, Value::Map(self.entries)))
    }
}

impl SerializeMap for Entries {
    type Ok = Value;
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.key = Some(key.serialize(KeyWriter)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, data: &T) -> Result<()> {
        let key = self.key.take().ok_or(ValueError::KeyKind)?;
        self.insert(key, data)
    }

    fn end(self) -> Result<Value> {
        self.finish()
    }
}

macro_rules! fields {
    ($($of:ident)*) => {$(
        impl $of for Entries {
            type Ok = Value;
            type Error = ValueError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, data: &T) -> Result<()> {
                self.insert(key.to_string(), data)
            }

            fn end(self) -> Result<Value> {
                self.finish()
            }
        }
    )*};
}

fields! { SerializeStruct SerializeStructVariant }

/// Renders a map key as text.
struct KeyWriter;

macro_rules! rendered {
    ($($method:ident $key:ty,)*) => {$(
        fn $method(self, key: $key) -> Result<String> {
            Ok(key.to_string())
        }
    )*};
}

macro_rules! refused {
    ($($method:ident($($argument:ty),*) -> $ok:ty,)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<$ok> {
            Err(ValueError::KeyKind)
        }
    )*};
}

type NoKey = Impossible<String, ValueError>;

impl Serializer for KeyWriter {
    type Ok = String;
    type Error = ValueError;
    type SerializeSeq = NoKey;
    type SerializeTuple = NoKey;
    type SerializeTupleStruct = NoKey;
    type SerializeTupleVariant = NoKey;
    type SerializeMap = NoKey;
    type SerializeStruct = NoKey;
    type SerializeStructVariant = NoKey;

    rendered! {
        serialize_bool bool, serialize_char char, serialize_str &str,
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128,
    }

    refused! {
        serialize_f32(f32) -> String,
        serialize_f64(f64) -> String,
        serialize_bytes(&[u8]) -> String,
        serialize_none() -> String,
        serialize_unit() -> String,
        serialize_unit_struct(&'static str) -> String,
        serialize_seq(Option<usize>) -> NoKey,
        serialize_tuple(usize) -> NoKey,
        serialize_tuple_struct(&'static str, usize) -> NoKey,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> NoKey,
        serialize_map(Option<usize>) -> NoKey,
        serialize_struct(&'static str, usize) -> NoKey,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> NoKey,
    }

    fn serialize_some<T: Serialize + ?Sized>(self, key: &T) -> Result<String> {
        key.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<String> {
        Ok(variant.to_string())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, key: &T) -> Result<String> {
        key.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _data: &T,
    ) -> Result<String> {
        Err(ValueError::KeyKind)
    }
}
