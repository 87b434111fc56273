//! Whom to stay connected to: addresses given by hand, by a ticket, or found on the local network.
//!
//! Each is dialled until it answers, with exponential backoff and full jitter, and again when it is lost.

use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::backoff;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Addresses kept; beyond it those found on the local network are let go of.
const TARGETS: usize = 256;

struct Target {
    address: Multiaddr,
    /// Who answers there, as its address or an earlier connection says.
    peer: Option<PeerId>,
    dialling: Option<ConnectionId>,
    failures: u32,
    next: Instant,
}

#[derive(Default)]
pub(super) struct Dialer(Vec<Target>);

impl Dialer {
    /// Adds an address, to be dialled after `wait`.
    pub(super) fn add(&mut self, address: Multiaddr, wait: Duration) {
        if self.0.len() < TARGETS && !self.0.iter().any(|target| target.address == address) {
            let peer = peer_of(&address);
            let next = Instant::now() + wait;
            self.0.push(Target { address, peer, dialling: None, failures: 0, next });
        }
    }

    /// Nobody is there any more.
    pub(super) fn remove(&mut self, address: &Multiaddr) {
        self.0.retain(|target| target.address != *address);
    }

    /// When the next dial is due.
    pub(super) fn due(&self, is_connected: impl Fn(&PeerId) -> bool) -> Option<Instant> {
        self.0.iter().filter(|target| target.wants_dial(&is_connected)).map(|target| target.next).min()
    }

    /// The addresses to dial now, each to be followed by [`Self::on_dialling`] or [`Self::on_failure`].
    pub(super) fn take_due(&self, is_connected: impl Fn(&PeerId) -> bool) -> Vec<Multiaddr> {
        let now = Instant::now();
        let due = self.0.iter().filter(|target| target.wants_dial(&is_connected) && target.next <= now);
        due.map(|target| target.address.clone()).collect()
    }

    pub(super) fn on_dialling(&mut self, address: &Multiaddr, connection: ConnectionId) {
        if let Some(target) = self.0.iter_mut().find(|target| target.address == *address) {
            target.dialling = Some(connection);
        }
    }

    pub(super) fn on_connected(&mut self, connection: ConnectionId, peer: PeerId) {
        for target in self.0.iter_mut().filter(|target| target.dialling == Some(connection)) {
            target.dialling = None;
            target.peer = Some(peer);
            target.failures = 0;
        }
    }

    /// A dial failed. `foreign` is who answered there, if it was somebody else than expected.
    pub(super) fn on_failure(&mut self, connection: ConnectionId) {
        for target in self.0.iter_mut().filter(|target| target.dialling == Some(connection)) {
            target.failed();
        }
    }

    /// A dial could not even begin.
    pub(super) fn on_refused(&mut self, address: &Multiaddr) {
        for target in self.0.iter_mut().filter(|target| target.address == *address) {
            target.failed();
        }
    }

    /// The last connection to a peer is gone.
    pub(super) fn on_lost(&mut self, peer: &PeerId) {
        for target in self.0.iter_mut().filter(|target| target.peer == Some(*peer)) {
            target.next = Instant::now() + backoff(FIRST_PAUSE, LONGEST_PAUSE, 0);
        }
    }
}

impl Target {
    fn wants_dial(&self, is_connected: impl Fn(&PeerId) -> bool) -> bool {
        self.dialling.is_none() && !self.peer.as_ref().is_some_and(is_connected)
    }

    fn failed(&mut self) {
        self.dialling = None;
        self.next = Instant::now() + backoff(FIRST_PAUSE, LONGEST_PAUSE, self.failures);
        self.failures = self.failures.saturating_add(1);
    }
}

/// The peer that an address names.
pub(super) fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    address.iter().find_map(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    })
}
