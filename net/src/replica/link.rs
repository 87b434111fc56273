//! One stream with one peer: a task that always reads, a task that writes, and the queue between them and the loop.
//!
//! The engine bounds the data in flight by its window, so the queue of frames to write is bounded too: a peer that lets
//! it fill reads nothing, and is cut off.

use std::time::Duration;

use futures::AsyncWriteExt as _;
use futures::io::AsyncReadExt as _;
use libp2p::{PeerId, Stream};
use rejoin_core::engine::SessionId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::driver::Inbox;
use crate::wire;

/// Frames that wait to be written.
const QUEUE: usize = 1024;
/// How long writing what is queued may take when a stream is closed.
const GOODBYE: Duration = Duration::from_secs(2);

/// A stream that the loop holds.
pub(super) struct Link {
    pub(super) peer: PeerId,
    /// Bytes read and written so far, length prefixes included.
    pub(super) bytes: u64,
    queue: mpsc::Sender<Vec<u8>>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Link {
    /// Takes over a stream.
    pub(super) fn open(session: SessionId, peer: PeerId, stream: Stream, inbox: mpsc::Sender<Inbox>) -> Self {
        let (mut from_peer, mut to_peer) = stream.split();
        let (queue, mut queued) = mpsc::channel::<Vec<u8>>(QUEUE);
        let reader = tokio::spawn(async move {
            while let Ok(Some(frame)) = wire::read(&mut from_peer).await {
                if inbox.send(Inbox::Frame { session, frame }).await.is_err() {
                    return;
                }
            }
            // The loop may be gone; then nobody needs to know.
            let _ = inbox.send(Inbox::Closed { session }).await;
        });
        let writer = tokio::spawn(async move {
            while let Some(frame) = queued.recv().await {
                let flush = queued.is_empty();
                let written = wire::write(&mut to_peer, &frame).await;
                if written.is_err() || flush && to_peer.flush().await.is_err() {
                    return;
                }
            }
            // An error here means that the peer is gone already.
            let _ = tokio::time::timeout(GOODBYE, to_peer.close()).await;
        });
        Self { peer, bytes: 0, queue, reader, writer }
    }

    /// Queues a frame; `false` when the peer has let the queue fill.
    pub(super) fn send(&mut self, frame: Vec<u8>) -> bool {
        self.bytes += wire::size(&frame);
        self.queue.try_send(frame).is_ok()
    }

    /// Stops reading, writes what is queued, and closes. Wait for the handle to be sure that it was written.
    pub(super) fn close(self) -> JoinHandle<()> {
        self.reader.abort();
        self.writer
    }
}
