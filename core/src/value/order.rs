//! Several values as bytes that sort as the list of them does: what a secondary index is ordered by.
//!
//! Problem: an index on `owner, due` must list by owner and then by due, in a store that compares bytes, and text of any
//! length may come before another field. Idea: each value as [`encode_element`] has it, with its zeros doubled up and an
//! end that sorts below anything that could go on (the tuple layer of FoundationDB does the same).
//!
//! | byte of a value | here |
//! |---|---|
//! | `00` | `00 ff` |
//! | any other | itself |
//! | the end | `00 01` |
//!
//! Text and bytes are ordered by their first [`ORDER_BYTES`] only; lists and maps have a fixed but not a meaningful order,
//! and those that are longer than a key are all equal.

use alloc::vec::Vec;
use core::ops::Bound;

use super::{Value, encode_element};
use crate::limits::ORDER_BYTES;

/// Bytes of values in a row, for comparing.
pub fn encode_order<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        push(&mut bytes, value);
        bytes.extend([0, 1]);
    }
    bytes
}

/// What `path` names within a value: names of nested maps joined by `/`. `Null` where there is nothing.
pub fn field<'a>(value: &'a Value, path: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    path.split('/')
        .try_fold(value, |value, name| match value {
            Value::Map(fields) => fields.get(name),
            _ => None,
        })
        .unwrap_or(&NULL)
}

/// How long the first `count` values of such bytes are; `None` if there are fewer.
pub fn order_length(bytes: &[u8], count: usize) -> Option<usize> {
    let mut at = 0;
    for _ in 0..count {
        loop {
            let zero = at + bytes.get(at..)?.iter().position(|byte| *byte == 0)?;
            at = zero + 2;
            if *bytes.get(zero + 1)? == 1 {
                break;
            }
        }
    }
    Some(at)
}

fn push(bytes: &mut Vec<u8>, value: &Value) {
    let cut = match value {
        Value::Text(text) if text.len() > ORDER_BYTES => {
            let end = (0..=ORDER_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            Some(Value::from(&text[..end]))
        }
        Value::Bytes(long) if long.len() > ORDER_BYTES => Some(Value::Bytes(long[..ORDER_BYTES].to_vec())),
        _ => None,
    };
    let element = encode_element(cut.as_ref().unwrap_or(value));
    // Only a list or a map is too long by now: it sorts last.
    for byte in element.unwrap_or_else(|_| alloc::vec![u8::MAX]) {
        bytes.push(byte);
        if byte == 0 {
            bytes.push(u8::MAX);
        }
    }
}

/// A stretch of such bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub first: Vec<u8>,
    /// Where it ends: what sorts below this is in it. `None` for all that follows.
    pub end: Option<Vec<u8>>,
}

impl Span {
    /// All whose first values are these.
    pub fn equal(values: &[Value]) -> Self {
        let first = encode_order(values);
        let end = after(&first);
        Self { first, end }
    }

    /// All whose first values are these, and the next one lies between two.
    pub fn between(values: &[Value], from: Bound<&Value>, to: Bound<&Value>) -> Self {
        let whole = Self::equal(values);
        let with = |value: &Value| encode_order(values.iter().chain([value]));
        let first = match from {
            Bound::Unbounded => whole.first,
            Bound::Included(value) => with(value),
            Bound::Excluded(value) => after(&with(value)).unwrap_or(whole.first),
        };
        let end = match to {
            Bound::Unbounded => whole.end,
            Bound::Included(value) => after(&with(value)),
            Bound::Excluded(value) => Some(with(value)),
        };
        Self { first, end }
    }

    /// All whose first values are these, and the next one is text that begins so.
    pub fn starting(values: &[Value], text: &str) -> Self {
        let mut first = encode_order(values);
        push(&mut first, &Value::from(text));
        let end = after(&first);
        Self { first, end }
    }
}

/// The least bytes above all that begin so.
fn after(bytes: &[u8]) -> Option<Vec<u8>> {
    let last = bytes.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = bytes[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use quickcheck::quickcheck;

    use super::*;

    /// Whether lists and maps are left out: their order means nothing.
    fn scalar(value: &Value) -> bool {
        !matches!(value, Value::List(_) | Value::Map(_))
    }

    quickcheck! {
        fn bytes_sort_as_the_values_do(a: Vec<Value>, b: Vec<Value>) -> bool {
            let [a, b] = [a, b].map(|list| list.into_iter().filter(scalar).collect::<Vec<_>>());
            let most = a.len().min(b.len());
            encode_order(&a[..most]).cmp(&encode_order(&b[..most])) == a[..most].cmp(&b[..most])
        }

        fn values_before_others_are_found_again(values: Vec<Value>, rest: Vec<u8>) -> bool {
            let bytes = encode_order(&values);
            let mut longer = bytes.clone();
            longer.extend(&rest);
            order_length(&longer, values.len()) == Some(bytes.len())
        }

        fn a_span_holds_what_it_says(prefix: Vec<Value>, from: Value, to: Value, is: Value, rest: Vec<Value>) -> bool {
            let [prefix, rest] = [prefix, rest].map(|list| list.into_iter().filter(scalar).collect::<Vec<_>>());
            if ![&from, &to, &is].into_iter().all(scalar) {
                return true;
            }
            let bytes = encode_order(prefix.iter().chain([&is]).chain(&rest));
            let holds = |span: Span| span.first <= bytes && span.end.is_none_or(|end| bytes < end);
            let spans = [Bound::Included(&from), Bound::Excluded(&from), Bound::Unbounded].into_iter().all(|low| {
                [Bound::Included(&to), Bound::Excluded(&to), Bound::Unbounded].into_iter().all(|high| {
                    let above = match low {
                        Bound::Included(low) => is >= *low,
                        Bound::Excluded(low) => is > *low,
                        Bound::Unbounded => true,
                    };
                    let below = match high {
                        Bound::Included(high) => is <= *high,
                        Bound::Excluded(high) => is < *high,
                        Bound::Unbounded => true,
                    };
                    holds(Span::between(&prefix, low, high)) == (above && below)
                })
            });
            spans && holds(Span::equal(&prefix))
        }

        fn text_that_begins_so_is_found(text: String, rest: String) -> bool {
            let whole = encode_order([&Value::from(alloc::format!("{text}{rest}"))]);
            let span = Span::starting(&[], &text);
            let other = encode_order([&Value::from(alloc::format!("x{text}"))]);
            let holds = |bytes: &Vec<u8>| span.first <= *bytes && span.end.as_ref().is_none_or(|end| bytes < end);
            holds(&whole) && (holds(&other) == alloc::format!("x{text}").starts_with(&text))
        }
    }

    #[test]
    fn fields_lie_within_maps_and_what_is_not_there_is_null() {
        let value = Value::Map([("a".into(), Value::Map([("b".into(), Value::Int(1))].into()))].into());
        assert_eq!(*field(&value, "a/b"), Value::Int(1));
        for nothing in ["b", "a/c", "a/b/c", ""] {
            assert_eq!(*field(&value, nothing), Value::Null, "{nothing}");
        }
    }

    #[test]
    fn long_text_is_ordered_by_its_beginning() {
        let long = |end: &str| Value::from(alloc::format!("{}{end}", "é".repeat(ORDER_BYTES)));
        assert_eq!(encode_order([&long("a")]), encode_order([&long("b")]));
        assert!(encode_order([&long("a")]).len() <= ORDER_BYTES + 4);
        let long = |end| Value::Bytes([vec![0; ORDER_BYTES], vec![end]].concat());
        assert_eq!(encode_order([&long(1)]), encode_order([&long(2)]));
    }
}
