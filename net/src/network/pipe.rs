//! A stream of bytes over messages that somebody else carries.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// Bytes that wait to be read. A peer that keeps to its window sends a mebibyte before it hears that anything has arrived.
const UNREAD_BYTES: usize = 4 * 1024 * 1024;
/// Pieces of them: a frame that tells of anything new is longer than 64 bytes.
const UNREAD: usize = 16 * 1024;
/// Written bytes that wait for a flush at most; larger messages are split here.
const CHUNK_BYTES: usize = 64 * 1024;

/// Says bytes to the other side, or that there are no more; `false` when nobody is there to hear it.
type Say = Box<dyn Fn(Option<Vec<u8>>) -> bool + Send>;

/// Where the other side's bytes go in.
pub(super) struct Inlet {
    sender: mpsc::Sender<Vec<u8>>,
    unread: Arc<AtomicUsize>,
}

impl Inlet {
    /// `false` when too much waits already, or nobody reads any more.
    pub(super) fn push(&self, bytes: Vec<u8>) -> bool {
        let before = self.unread.fetch_add(bytes.len(), Ordering::Relaxed);
        before + bytes.len() <= UNREAD_BYTES && self.sender.try_send(bytes).is_ok()
    }
}

/// The end that is read and written.
pub(super) struct Pipe {
    receiver: mpsc::Receiver<Vec<u8>>,
    unread: Arc<AtomicUsize>,
    /// What is being read, and how far.
    current: (Vec<u8>, usize),
    written: Vec<u8>,
    say: Option<Say>,
}

impl Pipe {
    pub(super) fn new(say: impl Fn(Option<Vec<u8>>) -> bool + Send + 'static) -> (Inlet, Self) {
        let (sender, receiver) = mpsc::channel(UNREAD);
        let unread = Arc::new(AtomicUsize::new(0));
        let inlet = Inlet { sender, unread: unread.clone() };
        let say: Say = Box::new(say);
        (inlet, Self { receiver, unread, current: (Vec::new(), 0), written: Vec::new(), say: Some(say) })
    }

    fn flush(&mut self) -> io::Result<()> {
        let say = self.say.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        if !self.written.is_empty() && !say(Some(std::mem::take(&mut self.written))) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    /// The other side is told that nothing more comes.
    fn end(&mut self) {
        // What was not flushed is not said: whoever wants it said closes the stream instead of dropping it.
        if let Some(say) = self.say.take() {
            say(None);
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        while this.current.1 == this.current.0.len() {
            match this.receiver.poll_recv(cx) {
                Poll::Ready(Some(bytes)) => this.current = (bytes, 0),
                Poll::Ready(None) => return Poll::Ready(Ok(0)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let rest = &this.current.0[this.current.1..];
        let taken = rest.len().min(into.len());
        into[..taken].copy_from_slice(&rest[..taken]);
        this.current.1 += taken;
        this.unread.fetch_sub(taken, Ordering::Relaxed);
        Poll::Ready(Ok(taken))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let room = CHUNK_BYTES - self.written.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.written.extend_from_slice(taken);
        if self.written.len() == CHUNK_BYTES {
            self.flush()?;
        }
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.flush())
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.flush();
        self.end();
        Poll::Ready(flushed)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.end();
    }
}
