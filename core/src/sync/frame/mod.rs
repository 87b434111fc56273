//! Frames: a message's bytes, deflated where that makes them shorter.
//!
//! | form | bytes |
//! |---|---|
//! | plain | the message; its first byte is its kind |
//! | deflated | kind + 128; how many bytes lie open, and how many are deflated (varints); the open bytes; a raw deflate stream (RFC 1951) of the rest |
//!
//! Hashes and signatures do not compress, and their bytes would spoil the code for those that do: a message says how
//! much of its beginning is of that sort, and that part lies open. What does compress is sorted into columns first
//! (column.rs): all timestamps, all keys, all values together deflate to a sixth less than one delta behind the other.
//!
//! Only kinds that carry data are deflated: a peer is greeted without inflating anything. A frame says how long it will
//! be, and is refused if that is more than a frame may be, or more than deflate can reach from what is there, before
//! anything is allocated; more than it says it cannot write. Which stream says it is the sender's choice: only what it
//! inflates to has to be canonical.

mod column;
mod deltas;
mod entries;
mod killed;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, TDEFLStatus, compress,
    create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

pub(crate) use column::Table;
pub(crate) use deltas::{Row, WireDelta, WireDeps, WirePut};
pub(crate) use entries::BulkEntry;
pub(crate) use killed::Killed;

use crate::codec;
use crate::error::CodecError;
use crate::limits::{DEFLATE_RATIO, FRAME_BYTES};
use crate::sync::message::Message;

/// Set in the kind of a deflated message.
const DEFLATED: u8 = 0x80;
/// Fewer bytes than these never paid for the code that deflate has to send with them.
const LEAST_BYTES: usize = 96;
/// How hard miniz looks for what was there before. Looking harder takes longer, for a hundredth. It is told not to use what is
/// shorter than six bytes: among digits that is everywhere, and naming it is longer than the digits.
const LEVEL: i32 = 6;

/// A message as it is sent.
pub(crate) fn seal(message: &Message) -> Vec<u8> {
    let plain = codec::encode(message);
    assert!(plain.len() <= FRAME_BYTES, "messages are built within the limit of a frame");
    let open = message.open_bytes().filter(|open| open + LEAST_BYTES <= plain.len());
    open.and_then(|open| deflated(&plain, open)).unwrap_or(plain)
}

/// Nothing if it is no shorter.
fn deflated(plain: &[u8], open: usize) -> Option<Vec<u8>> {
    let (head, body) = plain.split_at(open);
    let mut frame = alloc::vec![plain[0] | DEFLATED];
    column::push(&mut frame, (head.len() - 1) as u64);
    column::push(&mut frame, body.len() as u64);
    frame.extend_from_slice(&head[1..]);
    let start = frame.len();
    let flags = create_comp_flags_from_zip_params(LEVEL, 0, CompressionStrategy::Filtered as i32);
    frame.resize(plain.len().max(start), 0);
    let mut deflater = Box::new(CompressorOxide::new(flags));
    let (status, _, written) = compress(&mut deflater, body, &mut frame[start..], TDEFLFlush::Finish);
    frame.truncate(start + written);
    (status == TDEFLStatus::Done && frame.len() < plain.len()).then_some(frame)
}

/// Reads what a peer sent: at most [`FRAME_BYTES`], inflated too.
pub(crate) fn open(frame: &[u8]) -> Result<Message, CodecError> {
    if frame.len() > FRAME_BYTES {
        return Err(CodecError::Malformed);
    }
    match frame.first() {
        Some(kind) if kind & DEFLATED != 0 => {
            let plain = inflated(frame).ok_or(CodecError::Malformed)?;
            codec::decode(&plain)
        }
        _ => codec::decode(frame),
    }
}

fn inflated(frame: &[u8]) -> Option<Vec<u8>> {
    let (kind, mut rest) = frame.split_first()?;
    let kind = kind & !DEFLATED;
    let mut claimed = || usize::try_from(column::take(&mut rest)?).ok().filter(|bytes| *bytes <= FRAME_BYTES);
    let (open, body) = (claimed()?, claimed()?);
    let (open, stream) = rest.split_at_checked(open)?;
    if 1 + open.len() + body > FRAME_BYTES
        || body / DEFLATE_RATIO > stream.len()
        || !Message::may_deflate(kind)
    {
        return None;
    }
    let mut plain = alloc::vec![0; 1 + open.len() + body];
    plain[0] = kind;
    plain[1..=open.len()].copy_from_slice(open);
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut inflater = Box::<DecompressorOxide>::default();
    let into = &mut plain[1 + open.len()..];
    let (status, read, written) = decompress(&mut inflater, stream, into, 0, flags);
    (status == TINFLStatus::Done && read == stream.len() && written == body).then_some(plain)
}
