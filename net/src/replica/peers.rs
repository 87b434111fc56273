//! What is known of the peers of a space: who is connected, and with whom it is proven in sync since when.

use std::collections::BTreeMap;
use std::time::Duration;

use rejoin_core::SpaceId;
use rejoin_core::engine::Stats;
use rejoin_core::id::Root;
use rejoin_core::store::{StoreError, Table};
use tokio::sync::oneshot;

use super::{Inbox, Replica, State};
use crate::clock;
use crate::host::timeout;
use crate::network::Connected;
use crate::{Multiaddr, PeerId};

/// A root exchange that came out equal.
struct Proof {
    root: Root,
    /// Milliseconds since 1970.
    at: u64,
}

/// Peers that are not connected and are remembered all the same, most. Ids cost nothing, so peers may come and go for ever.
const REMEMBERED: usize = 256;

/// Whoever was met since the space was opened, as far as there is room.
#[derive(Default)]
pub(super) struct Peers {
    pub(super) connected: BTreeMap<PeerId, Connected>,
    proofs: BTreeMap<PeerId, Proof>,
    addresses: BTreeMap<PeerId, Multiaddr>,
}

impl Peers {
    /// Takes note of who is connected. Says whom there is no room to remember: those without a proof first, then those
    /// whose proof is oldest.
    pub(super) fn update(&mut self, connected: BTreeMap<PeerId, Connected>) -> Vec<PeerId> {
        self.addresses.extend(connected.iter().map(|(peer, now)| (*peer, now.address.clone())));
        self.connected = connected;
        let gone = self.addresses.keys().filter(|peer| !self.connected.contains_key(peer));
        let mut gone: Vec<PeerId> = gone.copied().collect();
        gone.sort_by_key(|peer| self.proofs.get(peer).map(|proof| proof.at));
        gone.truncate(gone.len().saturating_sub(REMEMBERED));
        for peer in &gone {
            self.addresses.remove(peer);
            self.proofs.remove(peer);
        }
        gone
    }

    pub(super) fn on_in_sync(&mut self, peer: PeerId, root: Root) {
        self.proofs.insert(peer, Proof { root, at: clock::wall_ms() });
    }
}

/// A peer of a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who.
    pub peer: PeerId,
    /// Where it is, or was last.
    pub address: Option<Multiaddr>,
    /// Whether a connection is up.
    pub online: bool,
    /// Whether both sides named the same root after the last change here, made or received.
    pub in_sync: bool,
    /// When they last named the same root, in milliseconds since 1970; whatever was changed since.
    pub proven_at: Option<u64>,
    /// Dots known here that the peer has not said to hold durably.
    pub behind: u64,
}

/// A space on this device, in figures.
#[derive(Clone, Debug)]
pub struct Status {
    /// The space.
    pub space: SpaceId,
    /// Names the durable state.
    pub root: Root,
    /// Live rows.
    pub rows: u64,
    /// Rows that an unfinished bulk sync has fetched; nobody sees them before it ends.
    pub staged: u64,
    /// Replicas that ever wrote.
    pub replicas: usize,
    /// Own changes (dots) that no other device is known to hold durably.
    pub unsynced: u64,
    /// What the engine has done.
    pub stats: Stats,
    /// Messages that came by gossip.
    pub gossip_in: u64,
    /// Everybody met since the space was opened, connected or not.
    pub peers: Vec<PeerStatus>,
}

/// What one sync with one peer took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncReport {
    /// Everything read and written on the stream, both ways, length prefixes included.
    pub bytes: u64,
    /// How often this side waited before it could send its last data.
    pub round_trips: u32,
    /// How often it waited after that, for the proof.
    pub proof_round_trips: u32,
    /// Rows put by what came.
    pub rows_in: u64,
    /// Rows put by what was sent.
    pub rows_out: u64,
    /// What both hold.
    pub root: Root,
}

impl State {
    /// How many rows the open streams with a peer have carried.
    fn rows_with(&self, peer: &PeerId) -> u64 {
        let Some(engine) = &self.engine else { return 0 };
        let open = self.sessions.iter().filter(|(_, of)| *of == peer);
        let traffic = open.filter_map(|(session, _)| engine.traffic(*session));
        traffic.map(|traffic| traffic.rows_in + traffic.rows_out).sum()
    }

    fn peer_status(&self, root: &Root, settled: bool) -> Vec<PeerStatus> {
        let known = self.engine.as_ref().map(|engine| engine.version_vector()).unwrap_or_default();
        let Peers { connected, proofs, addresses } = &self.peers;
        addresses
            .iter()
            .map(|(peer, address)| {
                let proof = proofs.get(peer);
                let held = self.waiting.held(peer);
                let lacks =
                    |(replica, seq): (_, u64)| seq.saturating_sub(held.map_or(0, |held| held.seq(&replica)));
                PeerStatus {
                    peer: *peer,
                    address: Some(address.clone()),
                    online: connected.contains_key(peer),
                    in_sync: settled && proof.is_some_and(|proof| proof.root == *root),
                    proven_at: proof.map(|proof| proof.at),
                    behind: known.iter().map(lacks).sum(),
                }
            })
            .collect()
    }
}

impl Replica {
    /// Syncs with a connected peer on a stream of its own, until both name the same root. The error says why not; one is that
    /// for as long as `patience` no row came or went and nothing was on its way to the disk.
    pub async fn sync_with(&self, peer: PeerId, patience: Duration) -> Result<SyncReport, String> {
        let (report, mut wait) = oneshot::channel();
        self.inbox.send(Inbox::Sync { peer, report }).await.map_err(|_| "the node is closed")?;
        let mut before = self.shared.state().rows_with(&peer);
        loop {
            if let Ok(outcome) = timeout(patience, &mut wait).await {
                return outcome.unwrap_or_else(|_| Err("the node was closed meanwhile".into()));
            }
            let state = self.shared.state();
            let rows = state.rows_with(&peer);
            if rows == before && !state.engine.as_ref().is_some_and(|engine| engine.is_saving()) {
                let seconds = patience.as_secs();
                return Err(format!("no equal roots, and no rows for {seconds} s; what came so far is kept"));
            }
            before = rows;
        }
    }

    /// The space in figures. Computes the root if it is not known.
    pub fn status(&self) -> Result<Status, StoreError> {
        let mut state = self.shared.state();
        let state = &mut *state;
        state.engine()?;
        state.hear_all();
        let engine = state.engine.as_mut().expect("it was there just now");
        let root = engine.root()?;
        let known = engine.version_vector();
        // Whatever waits to be durable was made or received after any proof.
        let settled = known == engine.durable_version_vector();
        let elsewhere = state.waiting.elsewhere();
        let own = engine.replica();
        let unsynced = own.map_or(0, |own| known.seq(&own).saturating_sub(elsewhere.seq(&own)));
        let (stats, replicas) = (*engine.stats(), known.len());
        let store = engine.store_mut();
        let (rows, staged) = (store.count(Table::Rows)?, store.count(Table::Stage)?);
        let peers = state.peer_status(&root, settled);
        let (space, gossip_in) = (self.shared.space, state.gossip_in);
        Ok(Status { space, root, rows, staged, replicas, unsynced, stats, gossip_in, peers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_that_come_and_go_are_forgotten_before_friends() {
        let connected = Connected {
            address: "/ip4/127.0.0.1/tcp/1".parse().expect("an address"),
            dialled: false,
            we_dialled: false,
        };
        let mut peers = Peers::default();
        let friend = PeerId::random();
        peers.update([(friend, connected.clone())].into());
        peers.on_in_sync(friend, Root([1; 32]));
        let strangers = 3 * REMEMBERED;
        let mut forgotten = 0;
        for _ in 0..strangers {
            forgotten += peers.update([(PeerId::random(), connected.clone())].into()).len();
        }
        assert_eq!(peers.addresses.len(), REMEMBERED + 1);
        assert_eq!(forgotten, strangers - REMEMBERED);
        assert!(peers.addresses.contains_key(&friend) && peers.proofs.contains_key(&friend));
    }
}
