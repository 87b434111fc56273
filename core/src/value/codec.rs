//! The canonical bytes of a value.
//!
//! Problem: two replicas that hold the same value must hold the same bytes, or their state hashes differ for ever;
//! and the bytes come from strangers. Idea: every choice an encoder could make is taken away, and the decoder
//! refuses whatever the encoder would not have written, so `encode(decode(b)) == b`.
//!
//! | tag | value | after the tag |
//! |---|---|---|
//! | `00` | null | |
//! | `01` | false | |
//! | `02` | true | |
//! | `03` | int | varint of the zigzag form |
//! | `04` | float | 8 bytes, IEEE 754 bits, big endian |
//! | `05` | time | varint of the zigzag form of the milliseconds |
//! | `06` | text | varint byte length, UTF-8 |
//! | `07` | bytes | varint length, the bytes |
//! | `08` | list | varint count, the items |
//! | `09` | map | varint count, then for each entry: varint byte length of the key, key, value |
//!
//! A varint is little endian base 128 with the high bit set on all but the last byte, at most 10 bytes for a `u64`,
//! and has no trailing zero byte. The zigzag form of `n` is `2n`, or `-2n - 1` for a negative `n`. The one NaN is
//! `7ff8000000000000` and the one zero is positive. Map keys are unique and ascend byte by byte.
//!
//! Limits: [`PAYLOAD_BYTES`] in all, lists and maps nested [`VALUE_DEPTH`] deep. Other tags are refused; a new kind
//! takes a new tag and a new version of the protocol around it.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::error::CodecError;
use crate::limits::{PAYLOAD_BYTES, VALUE_DEPTH};

use super::{Value, ValueError, normal};

pub(super) const NULL: u8 = 0x00;
pub(super) const FALSE: u8 = 0x01;
pub(super) const TRUE: u8 = 0x02;
pub(super) const INT: u8 = 0x03;
pub(super) const FLOAT: u8 = 0x04;
pub(super) const TIME: u8 = 0x05;
pub(super) const TEXT: u8 = 0x06;
pub(super) const BYTES: u8 = 0x07;
pub(super) const LIST: u8 = 0x08;
pub(super) const MAP: u8 = 0x09;

/// Encodes `value` into at most `limit` bytes.
pub(super) fn encode(value: &Value, limit: usize) -> Result<Vec<u8>, ValueError> {
    // Most values are text or bytes of some length, or small: they fit without growing.
    let room = match value {
        Value::Text(text) => text.len() + HEAD_BYTES,
        Value::Bytes(bytes) => bytes.len() + HEAD_BYTES,
        _ => HEAD_BYTES,
    };
    let mut output = Output { bytes: Vec::with_capacity(room.min(limit)), limit };
    output.value(value, 0)?;
    Ok(output.bytes)
}

/// A tag and a length.
const HEAD_BYTES: usize = 1 + 10;

/// Decodes bytes from anywhere.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, ValueError> {
    if bytes.len() > PAYLOAD_BYTES {
        return Err(ValueError::TooLong);
    }
    let mut input = Input { rest: bytes };
    let value = input.value(0)?;
    if input.rest.is_empty() { Ok(value) } else { Err(CodecError::Malformed.into()) }
}

/// Reads the bits of a float; only the bits that [`normal`] leaves as they are.
pub(super) fn float_from_bits(bits: u64) -> Result<f64, CodecError> {
    let number = f64::from_bits(bits);
    if normal(number).to_bits() == bits { Ok(number) } else { Err(CodecError::NotCanonical) }
}

/// Bytes written so far and how many there may be.
struct Output {
    bytes: Vec<u8>,
    limit: usize,
}

impl Output {
    /// Writes one value that lies inside `level` lists and maps.
    fn value(&mut self, value: &Value, level: usize) -> Result<(), ValueError> {
        match value {
            Value::Null => self.raw(&[NULL]),
            Value::Bool(flag) => self.raw(&[if *flag { TRUE } else { FALSE }]),
            Value::Int(number) => self.tagged(INT, zigzag(*number)),
            Value::Time(millis) => self.tagged(TIME, zigzag(*millis)),
            Value::Float(number) => {
                self.raw(&[FLOAT])?;
                self.raw(&normal(*number).to_bits().to_be_bytes())
            }
            Value::Text(text) => {
                self.raw(&[TEXT])?;
                self.chunk(text.as_bytes())
            }
            Value::Bytes(bytes) => {
                self.raw(&[BYTES])?;
                self.chunk(bytes)
            }
            Value::List(items) => {
                self.tagged(LIST, items.len() as u64)?;
                let level = enter(level)?;
                items.iter().try_for_each(|item| self.value(item, level))
            }
            Value::Map(entries) => {
                self.tagged(MAP, entries.len() as u64)?;
                let level = enter(level)?;
                entries.iter().try_for_each(|(key, value)| {
                    self.chunk(key.as_bytes())?;
                    self.value(value, level)
                })
            }
        }
    }

    fn tagged(&mut self, tag: u8, number: u64) -> Result<(), ValueError> {
        self.raw(&[tag])?;
        self.varint(number)
    }

    fn chunk(&mut self, bytes: &[u8]) -> Result<(), ValueError> {
        self.varint(bytes.len() as u64)?;
        self.raw(bytes)
    }

    fn varint(&mut self, mut number: u64) -> Result<(), ValueError> {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                return self.raw(&[low & 0x7f]);
            }
            self.raw(&[low | 0x80])?;
        }
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), ValueError> {
        if bytes.len() > self.limit - self.bytes.len() {
            return Err(ValueError::TooLong);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// Bytes not read yet.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Reads one value that lies inside `level` lists and maps.
    fn value(&mut self, level: usize) -> Result<Value, ValueError> {
        let [tag] = self.array()?;
        Ok(match tag {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INT => Value::Int(unzigzag(self.varint()?)),
            TIME => Value::Time(unzigzag(self.varint()?)),
            FLOAT => Value::Float(float_from_bits(u64::from_be_bytes(self.array()?))?),
            TEXT => Value::Text(self.text()?.to_string()),
            BYTES => Value::Bytes(self.chunk()?.to_vec()),
            LIST => self.list(enter(level)?)?,
            MAP => self.map(enter(level)?)?,
            _ => return Err(CodecError::Malformed.into()),
        })
    }

    /// The vector grows with the items read. Reserving the claimed count would let 32 nested lists each reserve for
    /// all the bytes that follow.
    fn list(&mut self, level: usize) -> Result<Value, ValueError> {
        let count = self.count(1)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(level)?);
        }
        Ok(Value::List(items))
    }

    fn map(&mut self, level: usize) -> Result<Value, ValueError> {
        let count = self.count(2)?;
        let mut entries = BTreeMap::new();
        let mut last: Option<&str> = None;
        for _ in 0..count {
            let key = self.text()?;
            if last.is_some_and(|last| last >= key) {
                return Err(CodecError::NotCanonical.into());
            }
            last = Some(key);
            entries.insert(String::from(key), self.value(level)?);
        }
        Ok(Value::Map(entries))
    }

    /// A count of things that take at least `least` bytes each; refused if the bytes left cannot hold them.
    fn count(&mut self, least: usize) -> Result<usize, CodecError> {
        let count = usize::try_from(self.varint()?).map_err(|_| CodecError::Malformed)?;
        if count > self.rest.len() / least { Err(CodecError::Malformed) } else { Ok(count) }
    }

    fn text(&mut self) -> Result<&'a str, CodecError> {
        core::str::from_utf8(self.chunk()?).map_err(|_| CodecError::Malformed)
    }

    fn chunk(&mut self) -> Result<&'a [u8], CodecError> {
        let length = self.count(1)?;
        let (chunk, rest) = self.rest.split_at_checked(length).ok_or(CodecError::Malformed)?;
        self.rest = rest;
        Ok(chunk)
    }

    fn varint(&mut self) -> Result<u64, CodecError> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            let low = u64::from(byte & 0x7f);
            if (low << shift) >> shift != low {
                return Err(CodecError::Malformed);
            }
            number |= low << shift;
            if byte & 0x80 == 0 {
                let minimal = byte != 0 || shift == 0;
                return if minimal { Ok(number) } else { Err(CodecError::NotCanonical) };
            }
        }
        Err(CodecError::Malformed)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(CodecError::Malformed)?;
        self.rest = rest;
        Ok(*array)
    }
}

/// Goes into one more list or map.
fn enter(level: usize) -> Result<usize, ValueError> {
    if level < VALUE_DEPTH { Ok(level + 1) } else { Err(ValueError::TooDeep) }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}
