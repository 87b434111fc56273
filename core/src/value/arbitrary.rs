//! Random values for property tests, with the awkward cases more often than chance would have them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use quickcheck::{Arbitrary, Gen};

use super::Value;

/// Keys that the human-readable form must escape, and some that look like it.
const KEYS: [&str; 8] = ["", "$", "$bytes", "$time", "$$float", "$$$bytes", "bytes", "a"];

impl Arbitrary for Value {
    fn arbitrary(g: &mut Gen) -> Self {
        nested(g, 4)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        match self {
            Value::Null => quickcheck::empty_shrinker(),
            Value::Bool(flag) => Box::new(flag.shrink().map(Value::Bool)),
            Value::Int(number) => Box::new(number.shrink().map(Value::Int)),
            Value::Float(number) => Box::new(number.shrink().map(Value::Float)),
            Value::Time(millis) => Box::new(millis.shrink().map(Value::Time)),
            Value::Text(text) => Box::new(text.shrink().map(Value::Text)),
            Value::Bytes(bytes) => Box::new(bytes.shrink().map(Value::Bytes)),
            Value::List(items) => Box::new(items.clone().into_iter().chain(items.shrink().map(Value::List))),
            Value::Map(entries) => {
                let values: Vec<_> = entries.values().cloned().collect();
                Box::new(values.into_iter().chain(entries.shrink().map(Value::Map)))
            }
        }
    }
}

fn nested(g: &mut Gen, levels: usize) -> Value {
    let kinds = if levels == 0 { 7 } else { 9 };
    match u8::arbitrary(g) % kinds {
        0 => Value::Null,
        1 => Value::Bool(bool::arbitrary(g)),
        2 => Value::Int(i64::arbitrary(g)),
        3 => Value::Float(float(g)),
        4 => Value::Time(i64::arbitrary(g)),
        5 => Value::Text(String::arbitrary(g)),
        6 => Value::Bytes(Vec::arbitrary(g)),
        7 => Value::List(few(g).map(|()| nested(g, levels - 1)).collect()),
        _ => Value::Map(
            few(g)
                .map(|()| (key(g), nested(g, levels - 1)))
                .collect::<BTreeMap<_, _>>(),
        ),
    }
}

fn few(g: &mut Gen) -> impl Iterator<Item = ()> + use<> {
    core::iter::repeat_n((), usize::from(u8::arbitrary(g) % 5))
}

fn key(g: &mut Gen) -> String {
    match g.choose(&KEYS) {
        Some(key) if bool::arbitrary(g) => String::from(*key),
        _ => String::arbitrary(g),
    }
}

fn float(g: &mut Gen) -> f64 {
    let special = [
        0.0,
        -0.0,
        1.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        -f64::NAN,
        f64::MIN_POSITIVE,
    ];
    match g.choose(&special) {
        Some(number) if bool::arbitrary(g) => *number,
        _ => f64::from_bits(u64::arbitrary(g)),
    }
}
