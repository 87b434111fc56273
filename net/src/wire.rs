//! Frames on a stream: the length as a varint (7 bits a byte, least significant first), then as many bytes.

use std::io;
use std::time::Duration;

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use rejoin_core::limits::FRAME_BYTES;

/// How long the rest of a frame may take once its first byte is there: a peer that dribbles is cut off.
const FRAME_TIME: Duration = Duration::from_secs(30);
/// Room made before anything of a frame has arrived; a claimed length alone costs no more than this.
const FIRST_BYTES: usize = 16 * 1024;

/// Reads a frame; `None` at the end of the stream. An error for a length over [`FRAME_BYTES`], before allocating.
pub(crate) async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<Option<Vec<u8>>> {
    let mut first = [0];
    if stream.read(&mut first).await? == 0 {
        return Ok(None);
    }
    match tokio::time::timeout(FRAME_TIME, read_rest(stream, first[0])).await {
        Ok(frame) => frame.map(Some),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the rest of a frame did not arrive in time")),
    }
}

async fn read_rest<R: AsyncRead + Unpin>(stream: &mut R, first: u8) -> io::Result<Vec<u8>> {
    let mut length = usize::from(first & 0x7f);
    let mut byte = [first];
    let mut shift = 7;
    while byte[0] & 0x80 != 0 {
        stream.read_exact(&mut byte).await?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if length > FRAME_BYTES || shift > 28 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame longer than the limit"));
        }
    }
    let mut frame = Vec::with_capacity(length.min(FIRST_BYTES));
    let read = stream.take(length as u64).read_to_end(&mut frame).await?;
    if read < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame)
}

/// Writes a frame, without flushing.
pub(crate) async fn write<W: AsyncWrite + Unpin>(stream: &mut W, frame: &[u8]) -> io::Result<()> {
    let mut prefix = Vec::with_capacity(4);
    let mut length = frame.len();
    while length >= 0x80 {
        prefix.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    prefix.push((length & 0x7f) as u8);
    stream.write_all(&prefix).await?;
    stream.write_all(frame).await
}

/// Bytes of a frame on the stream, its length included.
pub(crate) const fn size(frame: &[u8]) -> u64 {
    let bits = usize::BITS - frame.len().leading_zeros();
    frame.len() as u64 + if bits == 0 { 1 } else { bits.div_ceil(7) as u64 }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    async fn through(frame: &[u8]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        write(&mut bytes, frame).await.expect("memory takes it");
        let bytes = bytes.into_inner();
        assert_eq!(bytes.len() as u64, size(frame));
        let mut stream = Cursor::new(bytes);
        let back = read(&mut stream).await.expect("it was written so").expect("it is there");
        assert_eq!(read(&mut stream).await.expect("then the end"), None);
        back
    }

    #[tokio::test]
    async fn frames_come_through_at_every_size_of_prefix() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 300_000, FRAME_BYTES] {
            let frame = vec![7; length];
            assert_eq!(through(&frame).await, frame);
        }
    }

    #[tokio::test]
    async fn a_length_over_the_limit_is_refused_unread() {
        // 2^21 + 1, then a claim that never ends.
        for bytes in [vec![0x81, 0x80, 0x80, 0x01], vec![0xff; 20]] {
            let error = read(&mut Cursor::new(bytes)).await.expect_err("too long");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        let cut_off = read(&mut Cursor::new(vec![5, 1, 2])).await.expect_err("three bytes are missing");
        assert_eq!(cut_off.kind(), io::ErrorKind::UnexpectedEof);
    }
}
