//! Order-preserving bytes for map keys and set elements.
//!
//! Problem: rows are stored by key, and a map should list its keys in an order people expect, on every storage that
//! compares keys byte by byte. Idea: the element is the last part of a row key, so its end is the end of the key;
//! text and bytes then need neither length nor terminator, and fixed-width numbers only need their sign turned.
//!
//! | tag | element | after the tag |
//! |---|---|---|
//! | `00` | null | |
//! | `01`, `02` | false, true | |
//! | `03` | int | 8 bytes, big endian, sign bit flipped |
//! | `04` | float | 8 bytes, big endian bits; sign bit flipped if it was 0, all bits flipped if it was 1 |
//! | `05` | time | as int |
//! | `06` | text | UTF-8 |
//! | `07` | bytes | the bytes |
//! | `08`, `09` | list, map | as in [`Value::encode`], which begins with the same tag |
//!
//! The tags are those of the value encoding, so kinds are ordered null, false, true, int, float, time, text, bytes,
//! list, map. NaN comes last among the floats. Lists and maps have a fixed but not a meaningful order.
//!
//! Limit: [`KEY_BYTES`], the length of a whole row key. The numbers are those of [`Value`]: `Int(1)` and
//! `Float(1.0)` are two elements.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::error::CodecError;
use crate::limits::KEY_BYTES;

use super::codec::{self, BYTES, FALSE, FLOAT, INT, LIST, MAP, NULL, TEXT, TIME, TRUE};
use super::{Value, ValueError, normal};

const SIGN: u64 = 1 << 63;

/// The bytes of `value` as a map key or set element; scalars of one kind sort like their bytes.
///
/// Fails with [`ValueError::ElementTooLong`] or [`ValueError::TooDeep`].
pub fn encode_element(value: &Value) -> Result<Vec<u8>, ValueError> {
    match value {
        Value::Null => tagged(NULL, &[]),
        Value::Bool(flag) => tagged(if *flag { TRUE } else { FALSE }, &[]),
        Value::Int(number) => tagged(INT, &(number.cast_unsigned() ^ SIGN).to_be_bytes()),
        Value::Float(number) => tagged(FLOAT, &order_bits(normal(*number)).to_be_bytes()),
        Value::Time(millis) => tagged(TIME, &(millis.cast_unsigned() ^ SIGN).to_be_bytes()),
        Value::Text(text) => tagged(TEXT, text.as_bytes()),
        Value::Bytes(bytes) => tagged(BYTES, bytes),
        Value::List(_) | Value::Map(_) => codec::encode(value, KEY_BYTES).map_err(|error| match error {
            ValueError::TooLong => ValueError::ElementTooLong,
            other => other,
        }),
    }
}

/// Reads [`encode_element`] back; accepts exactly what that function writes.
pub fn decode_element(bytes: &[u8]) -> Result<Value, ValueError> {
    if bytes.len() > KEY_BYTES {
        return Err(ValueError::ElementTooLong);
    }
    let (&tag, rest) = bytes.split_first().ok_or(CodecError::Malformed)?;
    Ok(match tag {
        NULL if rest.is_empty() => Value::Null,
        FALSE if rest.is_empty() => Value::Bool(false),
        TRUE if rest.is_empty() => Value::Bool(true),
        INT => Value::Int((word(rest)? ^ SIGN).cast_signed()),
        FLOAT => Value::Float(codec::float_from_bits(bits_of_order(word(rest)?))?),
        TIME => Value::Time((word(rest)? ^ SIGN).cast_signed()),
        TEXT => Value::Text(
            core::str::from_utf8(rest)
                .map_err(|_| CodecError::Malformed)?
                .to_string(),
        ),
        BYTES => Value::Bytes(rest.to_vec()),
        LIST | MAP => codec::decode(bytes)?,
        _ => return Err(CodecError::Malformed.into()),
    })
}

fn tagged(tag: u8, content: &[u8]) -> Result<Vec<u8>, ValueError> {
    if content.len() >= KEY_BYTES {
        return Err(ValueError::ElementTooLong);
    }
    let mut bytes = Vec::with_capacity(1 + content.len());
    bytes.push(tag);
    bytes.extend_from_slice(content);
    Ok(bytes)
}

fn word(bytes: &[u8]) -> Result<u64, CodecError> {
    Ok(u64::from_be_bytes(
        bytes.try_into().map_err(|_| CodecError::Malformed)?,
    ))
}

/// Bits that compare as unsigned integers the way floats compare: larger magnitude means smaller below zero, so
/// there all bits turn round.
fn order_bits(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn bits_of_order(bits: u64) -> u64 {
    if bits & SIGN == 0 { !bits } else { bits & !SIGN }
}
