//! Which replica gets which stream: by the space that the first frame greets.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use libp2p::{PeerId, Stream};
use rejoin_core::SpaceId;
use rejoin_core::engine::greets;
use tokio::sync::mpsc;
use tracing::debug;

use crate::replica::Inbox;
use crate::wire;

/// How long a stream may be open before it has greeted.
const GREETING_TIME: Duration = Duration::from_secs(10);
/// Streams of one peer, and of all, that have not greeted yet. Beyond it new ones are closed.
const UNGREETED_PER_PEER: usize = 8;
const UNGREETED: usize = 256;

#[derive(Default)]
pub(super) struct Routes {
    spaces: Mutex<BTreeMap<SpaceId, mpsc::Sender<Inbox>>>,
    waiting: Mutex<BTreeMap<PeerId, usize>>,
}

/// The right to wait for a greeting; given up when dropped.
pub(super) struct Place(PeerId);

impl Routes {
    pub(super) fn add(&self, space: SpaceId, inbox: mpsc::Sender<Inbox>) {
        lock(&self.spaces).insert(space, inbox);
    }

    pub(super) fn remove(&self, space: &SpaceId) {
        lock(&self.spaces).remove(space);
    }

    pub(super) fn of(&self, space: &SpaceId) -> Option<mpsc::Sender<Inbox>> {
        lock(&self.spaces).get(space).cloned()
    }

    /// A place for one more stream of this peer, if it may have one.
    pub(super) fn place(&self, peer: PeerId) -> Option<Place> {
        let mut waiting = lock(&self.waiting);
        let all: usize = waiting.values().sum();
        let own = waiting.entry(peer).or_insert(0);
        if *own >= UNGREETED_PER_PEER || all >= UNGREETED {
            debug!(%peer, "too many streams that do not greet");
            return None;
        }
        *own += 1;
        Some(Place(peer))
    }

    fn give_up(&self, place: &Place) {
        let mut waiting = lock(&self.waiting);
        if let Some(own) = waiting.get_mut(&place.0) {
            *own -= 1;
            if *own == 0 {
                waiting.remove(&place.0);
            }
        }
    }

    /// Waits for the greeting of a stream, and passes it on. A stream about a space that is not here ends without a word.
    pub(super) async fn greet(&self, peer: PeerId, mut stream: Stream, place: Place) {
        let first = tokio::time::timeout(GREETING_TIME, wire::read(&mut stream)).await;
        self.give_up(&place);
        let Ok(Ok(Some(first))) = first else { return };
        let route = {
            let spaces = lock(&self.spaces);
            spaces.iter().find(|(space, _)| greets(&first, space)).map(|(_, inbox)| inbox.clone())
        };
        match route {
            // A replica that ends meanwhile drops the stream.
            Some(inbox) => drop(inbox.send(Inbox::Inbound { peer, stream, first }).await),
            None => debug!(%peer, "a greeting for a space that is not here"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
