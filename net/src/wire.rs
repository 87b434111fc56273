//! Frames on a stream: the length as a varint (7 bits a byte, least significant first), then as many bytes.

use std::io;
use std::time::Duration;

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long a peer may take over what it owes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From opening a stream to the last byte of its greeting.
    pub(crate) greeting: Duration,
    /// For the rest of a frame once its first byte is there, and for taking a frame: a peer that dribbles is cut off.
    pub(crate) frame: Duration,
    /// For taking what was still to be said when a stream is closed.
    pub(crate) goodbye: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [greeting, frame, goodbye] = [10, 30, 2].map(Duration::from_secs);
        Self { greeting, frame, goodbye }
    }
}

/// Room made before anything of a frame has arrived; a claimed length alone costs no more than this.
const FIRST_BYTES: usize = 16 * 1024;

/// Reads a frame; `None` at the end of the stream. An error for a length over `most`, before allocating, and for a frame
/// whose rest takes longer than `time`.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    stream: &mut R,
    most: usize,
    time: Duration,
) -> io::Result<Option<Vec<u8>>> {
    let mut first = [0];
    if stream.read(&mut first).await? == 0 {
        return Ok(None);
    }
    in_time(time, read_rest(stream, first[0], most)).await.map(Some)
}

/// Writes a frame, and flushes when asked to. An error when the peer does not take it within `time`.
pub(crate) async fn write_within<W: AsyncWrite + Unpin>(
    stream: &mut W,
    frame: &[u8],
    flush: bool,
    time: Duration,
) -> io::Result<()> {
    let written = async {
        write(stream, frame).await?;
        if flush { stream.flush().await } else { Ok(()) }
    };
    in_time(time, written).await
}

async fn in_time<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the peer did not do its part of a frame in time");
    crate::host::timeout(time, work).await.unwrap_or_else(|_| Err(late()))
}

async fn read_rest<R: AsyncRead + Unpin>(stream: &mut R, first: u8, most: usize) -> io::Result<Vec<u8>> {
    let mut length = usize::from(first & 0x7f);
    let mut byte = [first];
    let mut shift = 7;
    while byte[0] & 0x80 != 0 {
        stream.read_exact(&mut byte).await?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if shift > 28 {
            break;
        }
    }
    if length > most || byte[0] & 0x80 != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame longer than the limit"));
    }
    let mut frame = Vec::with_capacity(length.min(FIRST_BYTES));
    let read = stream.take(length as u64).read_to_end(&mut frame).await?;
    if read < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame)
}

/// Writes a frame, without flushing.
async fn write<W: AsyncWrite + Unpin>(stream: &mut W, frame: &[u8]) -> io::Result<()> {
    let mut prefix = Vec::with_capacity(4);
    let mut length = frame.len();
    while length >= 0x80 {
        prefix.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    prefix.push(length.to_le_bytes()[0]);
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
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures::io::Cursor;
    use rejoin_core::limits::FRAME_BYTES;

    use super::*;

    async fn read(stream: &mut Cursor<Vec<u8>>) -> io::Result<Option<Vec<u8>>> {
        super::read(stream, FRAME_BYTES, Duration::from_secs(9)).await
    }

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

    /// Has two bytes to read and takes none.
    struct Stuck(Cursor<Vec<u8>>);

    impl AsyncRead for Stuck {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            match Pin::new(&mut self.0).poll_read(cx, into) {
                Poll::Ready(Ok(0)) => Poll::Pending,
                read => read,
            }
        }
    }

    impl AsyncWrite for Stuck {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_peer_that_dribbles_or_does_not_read_is_given_up() {
        let time = Duration::from_millis(50);
        let mut stuck = Stuck(Cursor::new(vec![5, 1]));
        let late = super::read(&mut stuck, 10, time).await.expect_err("four bytes are missing");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        let late = write_within(&mut stuck, &[7; 10], true, time).await.expect_err("nobody reads");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}
