//! What a document holds, as values.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use automerge::hydrate;
use automerge::transaction::{Transactable, Transaction};
use automerge::{Automerge, ObjId, ObjType, Prop, ROOT, ReadDoc, ScalarValue, Value as Shown};

use super::wrong;
use crate::limits::PATH_DEPTH;
use crate::row::DataError;
use crate::value::Value;

/// The names in a path: `tasks/0/title`. In a name `~1` is a slash and `~0` a tilde, as in RFC 6901.
pub(super) fn names(path: &str) -> Result<Vec<String>, DataError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let names: Vec<String> = path.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
    if names.len() > PATH_DEPTH || names.iter().any(|name| name.is_empty() || name.contains('\0')) {
        return Err(wrong(std::format!(
            "'{path}' is no path in a document: up to {PATH_DEPTH} names joined by '/', as in 'tasks/0/title'"
        )));
    }
    Ok(names)
}

/// A name as a key of the object that it is looked up in: a place, if that is a list.
pub(super) fn prop<D: ReadDoc>(doc: &D, at: &ObjId, name: &str) -> Result<Prop, DataError> {
    match doc.object_type(at)? {
        ObjType::Map | ObjType::Table => Ok(Prop::Map(name.to_string())),
        ObjType::List => match name.parse() {
            Ok(index) => Ok(Prop::Seq(index)),
            Err(_) => {
                Err(wrong(std::format!("'{name}' is no place in a list: places are 0, 1, 2 and so on")))
            }
        },
        ObjType::Text => Err(wrong(std::format!("there is no '{name}' in a text"))),
    }
}

/// What is at a path.
pub(super) fn find<'a>(doc: &'a Automerge, path: &str) -> Result<Option<(Shown<'a>, ObjId)>, DataError> {
    let mut found = (Shown::Object(ObjType::Map), ROOT);
    for name in names(path)? {
        let (Shown::Object(_), at) = &found else { return Ok(None) };
        let Ok(prop) = prop(doc, at, &name) else { return Ok(None) };
        let Some(next) = doc.get(at, prop)? else { return Ok(None) };
        found = next;
    }
    Ok(Some(found))
}

/// Automerge's name of the text at a path; `None` if there is nothing, or something else.
pub fn find_text(doc: &Automerge, path: &str) -> Result<Option<ObjId>, DataError> {
    match find(doc, path)? {
        Some((Shown::Object(ObjType::Text), text)) => Ok(Some(text)),
        _ => Ok(None),
    }
}

/// The text at a path; `None` if there is nothing, or something else.
pub fn text(doc: &Automerge, path: &str) -> Result<Option<String>, DataError> {
    Ok(find_text(doc, path)?.map(|text| doc.text(text)).transpose()?)
}

/// A value as Automerge's scalar, if it is neither a list nor a map.
pub fn scalar(value: &Value) -> Option<ScalarValue> {
    match Put::from(value) {
        Put::Scalar(scalar) => Some(scalar),
        Put::List(_) | Put::Map(_) => None,
    }
}

/// What is at a path, or all of the document for an empty one. A text reads as text, a counter as a number.
pub fn value(doc: &Automerge, path: &str) -> Result<Option<Value>, DataError> {
    if path.is_empty() || path == "/" {
        return Ok(Some(value_of(ReadDoc::hydrate(doc, ROOT, None)?)));
    }
    Ok(match find(doc, path)? {
        None => None,
        Some((Shown::Object(_), object)) => Some(value_of(ReadDoc::hydrate(doc, object, None)?)),
        Some((Shown::Scalar(scalar), _)) => Some(scalar_of(&scalar)),
    })
}

fn value_of(value: hydrate::Value) -> Value {
    match value {
        hydrate::Value::Scalar(scalar) => scalar_of(&scalar),
        hydrate::Value::Map(map) => {
            Value::Map(map.iter().map(|(key, value)| (key.clone(), value_of(value.value.clone()))).collect())
        }
        hydrate::Value::List(list) => {
            Value::List(list.iter().map(|item| value_of(item.value.clone())).collect())
        }
        hydrate::Value::Text(text) => Value::Text(text.to_string()),
    }
}

/// A scalar as a value. One that has no such form, of a version to come, reads as nothing.
#[allow(clippy::cast_precision_loss, reason = "a number beyond 2^63 is a float everywhere else too")]
fn scalar_of(scalar: &ScalarValue) -> Value {
    match scalar {
        ScalarValue::Bytes(bytes) => Value::Bytes(bytes.clone()),
        ScalarValue::Str(text) => Value::Text(text.to_string()),
        ScalarValue::Int(number) => Value::Int(*number),
        ScalarValue::Uint(number) => i64::try_from(*number).map_or(Value::Float(*number as f64), Value::Int),
        ScalarValue::F64(number) => Value::Float(*number),
        ScalarValue::Counter(counter) => Value::Int(counter.into()),
        ScalarValue::Timestamp(millis) => Value::Time(*millis),
        ScalarValue::Boolean(yes) => Value::Bool(*yes),
        ScalarValue::Unknown { .. } | ScalarValue::Null => Value::Null,
    }
}

/// A value as it is put into a document: a scalar, or the kind of an object and what is to go into it.
enum Put<'a> {
    Scalar(ScalarValue),
    Map(&'a alloc::collections::BTreeMap<String, Value>),
    List(&'a [Value]),
}

impl<'a> From<&'a Value> for Put<'a> {
    fn from(value: &'a Value) -> Self {
        Self::Scalar(match value {
            Value::Null => ScalarValue::Null,
            Value::Bool(yes) => ScalarValue::Boolean(*yes),
            Value::Int(number) => ScalarValue::Int(*number),
            Value::Float(number) => ScalarValue::F64(*number),
            Value::Time(millis) => ScalarValue::Timestamp(*millis),
            Value::Text(text) => ScalarValue::Str(text.as_str().into()),
            Value::Bytes(bytes) => ScalarValue::Bytes(bytes.clone()),
            Value::List(values) => return Self::List(values),
            Value::Map(values) => return Self::Map(values),
        })
    }
}

impl Put<'_> {
    const fn kind(&self) -> ObjType {
        match self {
            Self::List(_) => ObjType::List,
            Self::Scalar(_) | Self::Map(_) => ObjType::Map,
        }
    }

    fn fill(&self, tx: &mut Transaction<'_>, object: &ObjId) -> Result<(), DataError> {
        match self {
            Self::Scalar(_) => Ok(()),
            Self::Map(map) => {
                map.iter().try_for_each(|(key, value)| put_value(tx, object, Prop::from(key.as_str()), value))
            }
            Self::List(list) => {
                list.iter().zip(0..).try_for_each(|(value, at)| insert_value(tx, object, at, value))
            }
        }
    }
}

/// Puts a value at a key or place, in place of what is there.
pub(super) fn put_value(
    tx: &mut Transaction<'_>,
    at: &ObjId,
    prop: Prop,
    value: &Value,
) -> Result<(), DataError> {
    let put = Put::from(value);
    if let Put::Scalar(scalar) = put {
        return Ok(tx.put(at, prop, scalar)?);
    }
    let object = tx.put_object(at, prop, put.kind())?;
    put.fill(tx, &object)
}

/// Puts a value into a list, before the one that is at this place.
pub(super) fn insert_value(
    tx: &mut Transaction<'_>,
    at: &ObjId,
    index: usize,
    value: &Value,
) -> Result<(), DataError> {
    let put = Put::from(value);
    if let Put::Scalar(scalar) = put {
        return Ok(tx.insert(at, index, scalar)?);
    }
    let object = tx.insert_object(at, index, put.kind())?;
    put.fill(tx, &object)
}
