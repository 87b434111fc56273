//! One stream with one peer: a task that always reads, a task that writes, and the queues between them and the loop.
//!
//! The engine bounds the data in flight by its window, so the queue of frames to write is bounded too: a peer that lets
//! it fill reads nothing, and is cut off, as is one that takes too long over a frame. What was read and waits for the
//! loop is bounded in bytes, over all streams of a replica together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::AsyncWriteExt as _;
use futures::io::AsyncReadExt as _;
use rejoin_core::engine::{Role, SessionId};
use rejoin_core::limits::FRAME_BYTES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::driver::Inbox;
use crate::PeerId;
use crate::host::{JoinHandle, spawn, timeout};
use crate::network::Stream;
use crate::wire::{self, Patience};

/// Frames that wait to be written, and their bytes. The window of the engine counts what the peer has acknowledged, and a
/// peer can acknowledge what it never read. The window is a mebibyte, and a frame that tells of anything new is longer
/// than 64 bytes, so a peer that is slow and no worse fills neither.
const QUEUE: usize = 16 * 1024;
const QUEUE_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of frames that wait for the loop; each stream holds at most one more frame that it has read.
const UNREAD_BYTES: usize = 8 * 1024 * 1024;
/// What [`Room`] counts in; every frame counts as at least one of it.
const UNIT: usize = 1024;

/// Room for frames that were read and wait for the loop.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new() -> Self {
        const { assert!(FRAME_BYTES < UNREAD_BYTES, "every frame fits") };
        Self(Arc::new(Semaphore::new(UNREAD_BYTES / UNIT)))
    }

    async fn take(&self, frame: &[u8]) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(frame.len() / UNIT + 1).ok()?;
        Arc::clone(&self.0).acquire_many_owned(units).await.ok()
    }
}

/// A stream that the loop holds.
pub(super) struct Link {
    pub(super) peer: PeerId,
    /// Who opened it.
    pub(super) role: Role,
    /// Bytes read and written so far, length prefixes included.
    pub(super) bytes: u64,
    queue: mpsc::Sender<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
    _reader: Reader,
    writer: JoinHandle<()>,
}

/// Reads for as long as this lives.
struct Reader(JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Frames for the task that writes.
struct Queued {
    frames: mpsc::Receiver<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
}

/// What the tasks of a stream need of the loop.
pub(super) struct Hub {
    /// Weak, so that a peer that stays does not keep alive a replica that nobody holds any more.
    pub(super) inbox: mpsc::WeakSender<Inbox>,
    pub(super) room: Room,
    pub(super) patience: Patience,
}

impl Link {
    /// Takes over a stream.
    pub(super) fn open(session: SessionId, (peer, role): (PeerId, Role), stream: Stream, hub: &Hub) -> Self {
        let (from_peer, to_peer) = stream.split();
        let (queue, queued) = mpsc::channel(QUEUE);
        let reader = spawn(read(session, from_peer, hub.inbox.clone(), hub.room.clone(), hub.patience));
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let queued = Queued { frames: queued, bytes: Arc::clone(&queued_bytes) };
        let writer = spawn(write(session, to_peer, queued, hub.inbox.clone(), hub.patience));
        Self { peer, role, bytes: 0, queue, queued_bytes, _reader: Reader(reader), writer }
    }

    /// Queues a frame; `false` when the peer has let the queue fill, or is gone.
    pub(super) fn send(&mut self, frame: Vec<u8>) -> bool {
        self.bytes += wire::size(&frame);
        let waiting = self.queued_bytes.fetch_add(frame.len(), Ordering::Relaxed);
        waiting + frame.len() <= QUEUE_BYTES && self.queue.try_send(frame).is_ok()
    }

    /// Stops reading, writes what is queued, and closes; a peer that does not take it in time is left. Wait for the
    /// handle to be sure that it has ended.
    pub(super) fn close(self, patience: Patience) -> JoinHandle<()> {
        let mut writer = self.writer;
        spawn(async move {
            if timeout(patience.goodbye, &mut writer).await.is_err() {
                writer.abort();
            }
        })
    }
}

async fn read(
    session: SessionId,
    mut stream: impl futures::AsyncRead + Unpin,
    inbox: mpsc::WeakSender<Inbox>,
    room: Room,
    patience: Patience,
) {
    while let Ok(Some(frame)) = wire::read(&mut stream, FRAME_BYTES, patience.frame).await {
        let Some(place) = room.take(&frame).await else { return };
        let Some(inbox) = inbox.upgrade() else { return };
        if inbox.send(Inbox::Frame { session, frame, place }).await.is_err() {
            return;
        }
    }
    tell_closed(session, &inbox).await;
}

async fn write(
    session: SessionId,
    mut stream: impl futures::AsyncWrite + Unpin,
    mut queued: Queued,
    inbox: mpsc::WeakSender<Inbox>,
    patience: Patience,
) {
    while let Some(frame) = queued.frames.recv().await {
        let flush = queued.frames.is_empty();
        if wire::write_within(&mut stream, &frame, flush, patience.frame).await.is_err() {
            // Only the loop can end the half that reads.
            return tell_closed(session, &inbox).await;
        }
        queued.bytes.fetch_sub(frame.len(), Ordering::Relaxed);
    }
    // An error here means that the peer is gone already; for the time that this takes see `Link::close`.
    let _ = stream.close().await;
}

/// The loop may be gone; then nobody needs to know.
async fn tell_closed(session: SessionId, inbox: &mpsc::WeakSender<Inbox>) {
    if let Some(inbox) = inbox.upgrade() {
        let _ = inbox.send(Inbox::Closed { session }).await;
    }
}
