//! Typed data through values, and values through other formats.

#![allow(
    clippy::disallowed_types,
    reason = "apps hold hash maps, and their random order must not reach the bytes"
)]

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Debug;
use std::collections::HashMap;

use quickcheck::QuickCheck;
use serde::de::{DeserializeOwned, IgnoredAny, Visitor};
use serde::{Deserialize, Serialize};

use super::tests::{example, list, map};
use super::{Millis, Value, ValueError, from_value, to_value};

/// Bytes that serde sees as bytes.
#[derive(Clone, Debug, PartialEq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Blob;

            fn expecting(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                formatter.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Blob, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Read)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper(u16);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Colour {
    Red,
    Green,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Line(i32, Option<i32>),
    Box { wide: u8, high: u8 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    title: String,
    due: Option<Millis>,
    shape: Shape,
    sub: Vec<Task>,
    extra: HashMap<String, i64>,
}

fn round<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: T, expected: Value) {
    let value = to_value(&data).unwrap();
    assert_eq!(value, expected);
    assert_eq!(Value::decode(&value.encode().unwrap()).unwrap(), value);
    assert_eq!(from_value::<T>(value).unwrap(), data);
}

#[test]
fn scalars_and_containers() {
    round((), Value::Null);
    round(Unit, Value::Null);
    round(None::<i32>, Value::Null);
    round(Some(5u8), 5.into());
    round(Wrapper(7), 7.into());
    round('é', "é".into());
    round(String::from("x"), "x".into());
    round(true, true.into());
    round((i8::MIN, i16::MIN, i32::MIN), list([(-128).into(), (-32768).into(), Value::from(i32::MIN)]));
    round((i64::MIN, u8::MAX), list([Value::Int(i64::MIN), 255.into()]));
    round((u16::MAX, u32::MAX), list([65535.into(), Value::from(u32::MAX)]));
    round(i64::MAX.unsigned_abs(), Value::Int(i64::MAX));
    round(-5i128, (-5).into());
    round(5u128, 5.into());
    round(0.1f32, f64::from(0.1f32).into());
    round(1.0f64, 1.0.into());
    round(vec![1u8, 2], list([1.into(), 2.into()]));
    round([1u8, 2], list([1.into(), 2.into()]));
    round(Blob(vec![1, 2]), Value::Bytes(vec![1, 2]));
    round(Millis(-3), Value::Time(-3));
    round(vec![Some(Millis(1)), None], list([Value::Time(1), Value::Null]));
    round(HashMap::from([(String::from("a"), 1)]), map([("a", 1.into())]));
    round(BTreeMap::from([(7u32, true), (10, false)]), map([("7", true.into()), ("10", false.into())]));
    round(BTreeMap::from([(-7i64, ())]), map([("-7", Value::Null)]));
    round(BTreeMap::from([(true, 1), (false, 0)]), map([("true", 1.into()), ("false", 0.into())]));
    round(BTreeMap::from([('x', 1)]), map([("x", 1.into())]));
    round(
        BTreeMap::from([(Colour::Red, 1), (Colour::Green, 2)]),
        map([("Red", 1.into()), ("Green", 2.into())]),
    );
    round(BTreeMap::from([(Some(1u8), 1)]), map([("1", 1.into())]));
}

#[test]
fn enums_and_structs() {
    round(Shape::Point, "Point".into());
    round(Shape::Circle(0.5), map([("Circle", 0.5.into())]));
    round(Shape::Line(1, None), map([("Line", list([1.into(), Value::Null]))]));
    round(Shape::Box { wide: 1, high: 2 }, map([("Box", map([("wide", 1.into()), ("high", 2.into())]))]));
    round(Ok::<u8, String>(1), map([("Ok", 1.into())]));
    let leaf = Task {
        title: "leaf".into(),
        due: Some(Millis(9)),
        shape: Shape::Circle(2.0),
        sub: vec![],
        extra: HashMap::from([("$time".into(), 5)]),
    };
    let leaf_value = map([
        ("title", "leaf".into()),
        ("due", Value::Time(9)),
        ("shape", map([("Circle", 2.0.into())])),
        ("sub", list([])),
        ("extra", map([("$time", 5.into())])),
    ]);
    round(leaf.clone(), leaf_value.clone());
    let root =
        Task { title: "root".into(), due: None, shape: Shape::Point, sub: vec![leaf], extra: HashMap::new() };
    let root_value = map([
        ("title", "root".into()),
        ("due", Value::Null),
        ("shape", "Point".into()),
        ("sub", list([leaf_value])),
        ("extra", map([])),
    ]);
    round(root, root_value);
}

#[test]
fn numbers_of_either_kind_are_read() {
    assert_eq!(from_value::<f64>(Value::Int(1 << 53)).unwrap(), 9_007_199_254_740_992.0);
    assert_eq!(from_value::<f32>(5.into()).unwrap(), 5.0);
    assert_eq!(from_value::<i64>(5.0.into()).unwrap(), 5);
    assert_eq!(from_value::<u8>(255.0.into()).unwrap(), 255);
    assert_eq!(from_value::<Vec<u8>>(Value::Bytes(vec![1, 2])).unwrap(), [1, 2]);
    assert_eq!(from_value::<Blob>(list([1.into(), 2.into()])).unwrap(), Blob(vec![1, 2]));
    assert_eq!(from_value::<Millis>(5.into()).unwrap(), Millis(5));
    assert_eq!(from_value::<Millis>(5.0.into()).unwrap(), Millis(5));
    assert_eq!(from_value::<IgnoredAny>(example()).unwrap(), IgnoredAny);
}

#[test]
fn what_does_not_fit_is_an_error() {
    fn fails<T: DeserializeOwned + Debug>(value: Value, expected: &str) {
        let error = from_value::<T>(value).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    fails::<f64>(Value::Int((1 << 53) + 1), "within 2^53");
    fails::<i64>(0.5.into(), "floating point `0.5`");
    fails::<i64>(1e300.into(), "floating point");
    fails::<u8>(256.into(), "256");
    fails::<u8>((-1).into(), "-1");
    fails::<i64>(Value::Time(1), "only Millis can hold");
    fails::<String>(Value::Bytes(vec![b'x']), "byte array");
    fails::<Millis>("x".into(), "a time in milliseconds");
    fails::<(u8, u8)>(list([1.into(), 2.into(), 3.into()]), "too many");
    fails::<[u8; 2]>(Value::Bytes(vec![1; 3]), "invalid length 3");
    fails::<BTreeMap<u32, ()>>(map([("07", Value::Null)]), "\"07\"");
    fails::<Shape>(3.into(), "name of a variant");
    fails::<Shape>("Circle".into(), "newtype variant");
    fails::<Shape>(map([("Point", 3.into())]), "unit variant");
    fails::<Shape>(map([("Circle", 3.into()), ("Point", Value::Null)]), "only key");
    assert_eq!(to_value(&u64::MAX), Err(ValueError::IntegerTooLarge));
    assert_eq!(to_value(&i128::MIN), Err(ValueError::IntegerTooLarge));
    assert_eq!(to_value(&u128::MAX), Err(ValueError::IntegerTooLarge));
    assert_eq!(to_value(&BTreeMap::from([((1, 2), 3)])), Err(ValueError::KeyKind));
    assert_eq!(to_value(&BTreeMap::from([(None::<u8>, 3)])), Err(ValueError::KeyKind));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    id: u32,
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    x: f64,
    at: Millis,
    raw: Blob,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Any {
    Number(i64),
    Place(Place),
    Blob(Blob),
    Text(String), // after the blob: from its buffer serde takes UTF-8 bytes for text
    Value(Value),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Empty,
    Place(Place),
    One { one: Option<Value> },
}

/// serde buffers these, and what an old app does not know must come back as it was.
#[test]
fn flatten_and_untagged_keep_every_kind() {
    fn law(rest: BTreeMap<String, Value>, value: Value) -> bool {
        let place = Place { x: 2.0, at: Millis(4), raw: Blob(vec![9]) };
        let names = ["id", "x", "at", "raw"];
        let rest: BTreeMap<_, _> =
            rest.into_iter().filter(|(key, _)| !names.contains(&key.as_str())).collect();
        let known = Known { id: 1, place: place.clone(), rest };
        let one = Tagged::One { one: Some(value.clone()).filter(|value| !value.is_null()) };
        let wrapped = Any::Value(list([value, "not a blob".into()]));
        from_value::<Known>(to_value(&known).unwrap()).unwrap() == known
            && from_value::<Tagged>(to_value(&one).unwrap()).unwrap() == one
            && from_value::<Any>(to_value(&wrapped).unwrap()).unwrap() == wrapped
            && from_value::<Any>(to_value(&place).unwrap()).unwrap() == Any::Place(place)
    }
    QuickCheck::new().tests(500).quickcheck(law as fn(BTreeMap<String, Value>, Value) -> bool);
    round(Any::Number(3), 3.into());
    round(Any::Text("x".into()), "x".into());
    round(Any::Blob(Blob(vec![1])), Value::Bytes(vec![1]));
    round(Any::Value(Value::Time(1)), Value::Time(1));
    round(Any::Value(true.into()), true.into());
    round(Tagged::Empty, map([("kind", "Empty".into())]));
    // A float field below `flatten` still takes an integer of a peer in JavaScript.
    let written = map([("id", 1.into()), ("x", 2.into()), ("at", 4.into()), ("raw", list([9.into()]))]);
    let place = Place { x: 2.0, at: Millis(4), raw: Blob(vec![9]) };
    assert_eq!(from_value::<Known>(written).unwrap(), Known { id: 1, place, rest: BTreeMap::new() });
    let twice = Known {
        id: 1,
        place: Place { x: 0.0, at: Millis(0), raw: Blob(vec![]) },
        rest: BTreeMap::from([("id".into(), Value::Null)]),
    };
    assert_eq!(to_value(&twice), Err(ValueError::DuplicateKey("id".into())));
}

#[test]
fn json_is_natural_where_json_can() {
    let json = serde_json::to_string(&example()).unwrap();
    let expected = concat!(
        r#"{"done":true,"due":{"$time":1700000000000},"half":0.5,"not":{"$float":"NaN"},"#,
        r#""raw":{"$bytes":"00ff"},"tags":[-1,300,null,false],"title":"Käse","weight":0.0}"#
    );
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_str::<Value>(expected).unwrap(), example());

    let pairs = [
        (r#"{"$$bytes":"00"}"#, map([("$bytes", "00".into())])),
        (r#"{"$$$time":1}"#, map([("$$time", 1.into())])),
        (r#"{"$$bytes":{"$bytes":"00"}}"#, map([("$bytes", Value::Bytes(vec![0]))])),
        (r#"{"$bytes":"00","a":1}"#, map([("$bytes", "00".into()), ("a", 1.into())])),
        (r#"{"$ref":"x"}"#, map([("$ref", "x".into())])),
        (r#"{"$float":"-inf"}"#, f64::NEG_INFINITY.into()),
    ];
    for (json, value) in pairs {
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
        assert_eq!(serde_json::from_str::<Value>(json).unwrap(), value);
    }
    let wrong = [
        r#"{"$bytes":"0"}"#,
        r#"{"$bytes":"0g"}"#,
        r#"{"$bytes":1}"#,
        r#"{"$time":1.5}"#,
        r#"{"$float":"1"}"#,
        r#"{"a":1,"a":1}"#,
        "18446744073709551615",
    ];
    for json in wrong {
        assert!(serde_json::from_str::<Value>(json).is_err(), "{json}");
    }
    assert!(serde_json::from_str::<Value>(&"[".repeat(100_000)).is_err());
    assert!(serde_json::from_str::<Value>(&r#"{"":"#.repeat(100_000)).is_err());
    assert_eq!(from_value::<serde_json::Value>(Value::Time(5)).unwrap(), serde_json::json!({"$time": 5}));
    let typed: serde_json::Value = serde_json::json!({"a": [1, 2.5, null, "x"], "b": {}});
    assert_eq!(from_value::<serde_json::Value>(to_value(&typed).unwrap()).unwrap(), typed);
}

#[test]
fn millis_are_plain_integers_elsewhere() {
    assert_eq!(serde_json::to_string(&Millis(5)).unwrap(), "5");
    assert_eq!(serde_json::from_str::<Millis>("5").unwrap(), Millis(5));
    assert_eq!(serde_json::from_str::<Millis>(r#"{"$time":5}"#).unwrap(), Millis(5));
    assert_eq!(postcard::to_allocvec(&Millis(-1)).unwrap(), postcard::to_allocvec(&-1i64).unwrap());
    assert_eq!(postcard::from_bytes::<Millis>(&[1]).unwrap(), Millis(-1));
}
