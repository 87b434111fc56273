//! Columns: bytes of one kind together, packed by deflate (RFC 1951).
//!
//! Text that looks random, such as hexadecimal digits, is packed best by Huffman codes alone: short matches cost more than
//! they save. Everything else gains from matches. Both are tried, and the shorter is kept.
//!
//! A column is: length (varint), method (0 as it is, 1 deflate), packed length (varint), packed bytes.

use alloc::vec::Vec;

use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output,
    create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::decompress_to_vec_with_limit;

/// Beyond this more work hardly makes it smaller.
const LEVEL: i32 = 6;
const PLAIN: u8 = 0;
const DEFLATE: u8 = 1;

/// Appends a number.
pub(super) fn put_number(number: u64, out: &mut Vec<u8>) {
    let mut rest = number;
    while rest >= 0x80 {
        out.push(low_byte(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_byte(rest));
}

/// Takes a number off the front.
pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = postcard::take_from_bytes(bytes).ok()?;
    *bytes = rest;
    Some(number)
}

/// The same for a length that has to be in memory.
pub(super) fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_number(bytes)?).ok()
}

pub(super) fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

/// Appends a column.
pub(super) fn pack(column: &[u8], out: &mut Vec<u8>) {
    put_number(column.len() as u64, out);
    let matched = deflate(column, CompressionStrategy::Default);
    let coded = deflate(column, CompressionStrategy::HuffmanOnly);
    let packed = if coded.len() < matched.len() { coded } else { matched };
    let (method, packed) = if packed.len() < column.len() { (DEFLATE, &*packed) } else { (PLAIN, column) };
    out.push(method);
    put_number(packed.len() as u64, out);
    out.extend_from_slice(packed);
}

/// Takes a column of at most `most` bytes off the front.
pub(super) fn unpack(bytes: &mut &[u8], most: usize) -> Option<Vec<u8>> {
    let length = take_length(bytes).filter(|length| *length <= most)?;
    let (method, rest) = bytes.split_first()?;
    *bytes = rest;
    let packed = take_length(bytes)?;
    let (packed, rest) = bytes.split_at_checked(packed)?;
    *bytes = rest;
    let column = match *method {
        PLAIN => packed.to_vec(),
        DEFLATE => decompress_to_vec_with_limit(packed, length).ok()?,
        _ => return None,
    };
    (column.len() == length).then_some(column)
}

fn deflate(bytes: &[u8], strategy: CompressionStrategy) -> Vec<u8> {
    let flags = create_comp_flags_from_zip_params(LEVEL, 0, strategy as i32);
    let mut out = Vec::with_capacity(bytes.len() / 2);
    let (status, _) =
        compress_to_output(&mut CompressorOxide::new(flags), bytes, TDEFLFlush::Finish, |part| {
            out.extend_from_slice(part);
            true
        });
    assert_eq!(status, TDEFLStatus::Done, "memory takes everything");
    out
}
