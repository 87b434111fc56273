//! Which replica gets which stream: by the space that the first frame greets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rejoin_core::SpaceId;
use rejoin_core::engine::greets;
use tokio::sync::{Notify, mpsc};
use tracing::debug;

use super::{Heard, Stream};
use crate::PeerId;
use crate::host::{spawn, timeout};
use crate::wire::{self, Patience};

/// Longest greeting; a hello names a handful of replicas in some 160 bytes. Everybody may send one, so its size counts.
const GREETING_BYTES: usize = 4096;
/// Streams of one peer, and of all, that have not greeted yet. Beyond it new ones are closed.
const UNGREETED_PER_PEER: usize = 8;
const UNGREETED: usize = 256;

/// What waits for a replica to take it. Beyond it gossip is lost, and streams that peers open wait.
const ARRIVALS: usize = 64;

/// What reaches a replica from peers by themselves.
pub(crate) enum Arrival {
    /// A peer opened a stream and greeted this space.
    Stream { peer: PeerId, stream: Stream, first: Vec<u8> },
    /// A message came by gossip.
    Gossip(Heard),
}

type Route = (u64, mpsc::Sender<Arrival>);

#[derive(Default)]
pub(crate) struct Routes {
    spaces: Mutex<BTreeMap<SpaceId, Route>>,
    hosted: Mutex<u64>,
    waiting: Mutex<BTreeMap<PeerId, usize>>,
    /// A space came or went.
    pub(crate) changed: Notify,
}

/// Streams and gossip about a space arrive here until this is dropped.
pub(crate) struct Hosted {
    arrivals: mpsc::Receiver<Arrival>,
    routes: Arc<Routes>,
    space: SpaceId,
    number: u64,
}

impl Hosted {
    /// The next thing that arrives; waits for ever once another replica hosts the space.
    pub(crate) async fn next(&mut self) -> Arrival {
        match self.arrivals.recv().await {
            Some(arrival) => arrival,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        let mut spaces = lock(&self.routes.spaces);
        // The space may have been opened again meanwhile; that one stays.
        if spaces.get(&self.space).is_some_and(|(number, _)| *number == self.number) {
            spaces.remove(&self.space);
        }
        drop(spaces);
        self.routes.changed.notify_one();
    }
}

/// The right to wait for a greeting; given up when dropped.
struct Place {
    routes: Arc<Routes>,
    peer: PeerId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = lock(&self.routes.waiting);
        if let Some(own) = waiting.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                waiting.remove(&self.peer);
            }
        }
    }
}

impl Routes {
    pub(super) fn host(self: &Arc<Self>, space: SpaceId) -> Hosted {
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        let number = {
            let mut hosted = lock(&self.hosted);
            *hosted += 1;
            *hosted
        };
        lock(&self.spaces).insert(space, (number, sender));
        self.changed.notify_one();
        Hosted { arrivals, routes: Arc::clone(self), space, number }
    }

    /// Every space that somebody hosts.
    pub(crate) fn spaces(&self) -> Vec<SpaceId> {
        lock(&self.spaces).keys().copied().collect()
    }

    pub(crate) fn of(&self, space: &SpaceId) -> Option<mpsc::Sender<Arrival>> {
        lock(&self.spaces).get(space).map(|(_, replica)| replica.clone())
    }

    /// Takes a stream that a peer opened. Each greets in its own time, and none holds up another.
    pub(crate) fn welcome(self: &Arc<Self>, peer: PeerId, stream: Stream, patience: Patience) {
        if let Some(place) = self.place(peer) {
            let routes = Arc::clone(self);
            spawn(async move { routes.greet(stream, place, patience).await });
        }
    }

    /// A place for one more stream of this peer, if it may have one.
    fn place(self: &Arc<Self>, peer: PeerId) -> Option<Place> {
        let mut waiting = lock(&self.waiting);
        let all: usize = waiting.values().sum();
        let own = waiting.get(&peer).copied().unwrap_or(0);
        if own >= UNGREETED_PER_PEER || all >= UNGREETED {
            debug!(%peer, "too many streams that do not greet");
            return None;
        }
        waiting.insert(peer, own + 1);
        Some(Place { routes: Arc::clone(self), peer })
    }

    /// Waits for the greeting of a stream, and passes it on. A stream about a space that is not here ends without a word.
    async fn greet(&self, mut stream: Stream, place: Place, patience: Patience) {
        let peer = place.peer;
        let first = wire::read(&mut stream, GREETING_BYTES, patience.greeting);
        let Ok(Ok(Some(first))) = timeout(patience.greeting, first).await else { return };
        let route = {
            let spaces = lock(&self.spaces);
            let route = spaces.iter().find(|(space, _)| greets(&first, space));
            route.map(|(_, (_, replica))| replica.clone())
        };
        match route {
            // A replica that ends meanwhile drops the stream. The place is held until the loop has taken it.
            Some(replica) => drop(replica.send(Arrival::Stream { peer, stream, first }).await),
            None => debug!(%peer, "a greeting for a space that is not here"),
        }
        drop(place);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_leave_nothing_behind() {
        let routes = Arc::new(Routes::default());
        let peers: Vec<PeerId> = std::iter::repeat_with(PeerId::random).take(100).collect();
        let places: Vec<Place> =
            peers.iter().flat_map(|peer| (0..20).filter_map(|_| routes.place(*peer))).collect();
        assert_eq!(places.len(), UNGREETED);
        assert_eq!(
            lock(&routes.waiting).len(),
            UNGREETED / UNGREETED_PER_PEER,
            "those refused are not noted"
        );
        drop(places);
        assert!(lock(&routes.waiting).is_empty());
    }

    #[test]
    fn whoever_leaves_late_does_not_take_along_the_next() {
        let routes = Arc::new(Routes::default());
        let space = SpaceId([1; 32]);
        let old = routes.host(space);
        let first = routes.of(&space).expect("hosted");
        let new = routes.host(space);
        let second = routes.of(&space).expect("hosted");
        assert!(!first.same_channel(&second));
        drop(old);
        assert!(routes.of(&space).is_some_and(|replica| replica.same_channel(&second)));
        drop(new);
        assert!(routes.of(&space).is_none() && routes.spaces().is_empty());
        assert!(second.is_closed(), "what arrives for nobody is refused");
    }
}
