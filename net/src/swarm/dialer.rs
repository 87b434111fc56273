//! Whom to stay connected to: addresses given by hand, by a ticket, or found on the local network.
//!
//! Each is dialled until it answers, with exponential backoff and full jitter, and again when it is lost.

use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId};
use tracing::debug;

use crate::host::Instant;
use crate::network::backoff;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A connection that is lost sooner counts as a dial that failed: a peer that has no room hangs up at once.
const STEADY: Duration = Duration::from_secs(10);
/// Pause after this node itself answered: in another network somebody else may have the address.
const SELF_PAUSE: Duration = Duration::from_secs(60);
/// Addresses kept, and how many of them at most were found on the local network, where anybody can announce anything.
const TARGETS: usize = 256;
const FOUND: usize = 64;

struct Target {
    address: Multiaddr,
    /// Found on the local network, and not given by hand too.
    found: bool,
    /// Who answers there, as its address or an earlier connection says.
    peer: Option<PeerId>,
    dialling: Option<ConnectionId>,
    /// When a connection that was dialled came up.
    up: Option<Instant>,
    failures: u32,
    next: Instant,
}

#[derive(Default)]
pub(super) struct Dialer(Vec<Target>);

impl Dialer {
    /// Adds an address that was given by hand, to be dialled at once.
    pub(super) fn keep(&mut self, address: Multiaddr) {
        match self.0.iter_mut().find(|target| target.address == address) {
            Some(target) => target.found = false,
            None => self.add(address, Duration::ZERO, false),
        }
    }

    /// Adds an address found on the local network, to be dialled after `wait`.
    pub(super) fn find(&mut self, address: Multiaddr, wait: Duration) {
        let found = self.0.iter().filter(|target| target.found).count();
        if found < FOUND && !self.0.iter().any(|target| target.address == address) {
            self.add(address, wait, true);
        }
    }

    fn add(&mut self, address: Multiaddr, wait: Duration, found: bool) {
        if self.0.len() >= TARGETS {
            debug!(%address, "too many addresses: this one is not kept");
            return;
        }
        let (peer, next) = (peer_of(&address), Instant::now() + wait);
        self.0.push(Target { address, found, peer, dialling: None, up: None, failures: 0, next });
    }

    /// Nobody announces this address any more.
    pub(super) fn lose(&mut self, address: &Multiaddr) {
        self.0.retain(|target| !target.found || target.address != *address);
    }

    /// When the next dial is due.
    pub(super) fn due(&self, is_connected: impl Fn(&PeerId) -> bool) -> Option<Instant> {
        self.0.iter().filter(|target| target.wants_dial(&is_connected)).map(|target| target.next).min()
    }

    /// The addresses to dial now, each to be followed by [`Self::on_dialling`] or [`Self::on_refused`].
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
            target.up = Some(Instant::now());
        }
    }

    /// A dial failed.
    pub(super) fn on_failure(&mut self, connection: ConnectionId, error: &DialError) {
        for target in self.0.iter_mut().filter(|target| target.dialling == Some(connection)) {
            target.failed();
            if matches!(error, DialError::LocalPeerId { .. }) {
                target.next = Instant::now() + SELF_PAUSE;
            }
        }
    }

    /// A dial could not even begin.
    pub(super) fn on_refused(&mut self, address: &Multiaddr, error: &DialError) {
        for target in self.0.iter_mut().filter(|target| target.address == *address) {
            target.failed();
            // What is listened on here is never dialled.
            if matches!(error, DialError::NoAddresses) {
                target.next = Instant::now() + SELF_PAUSE;
            }
        }
    }

    /// The last connection to a peer is gone.
    pub(super) fn on_lost(&mut self, peer: &PeerId) {
        for target in self.0.iter_mut().filter(|target| target.peer == Some(*peer)) {
            match target.up.take() {
                Some(up) if up.elapsed() < STEADY => target.failed(),
                _ => {
                    target.failures = 0;
                    target.next = Instant::now() + backoff(FIRST_PAUSE, LONGEST_PAUSE, 0);
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: usize) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")
    }

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[tokio::test]
    async fn what_was_given_by_hand_outlives_what_was_found() {
        let mut dialer = Dialer::default();
        (0..2 * TARGETS).for_each(|port| dialer.find(address(port), Duration::ZERO));
        assert_eq!(dialer.0.len(), FOUND);
        dialer.keep(address(0));
        dialer.keep(address(60_000));
        assert_eq!(dialer.0.len(), FOUND + 1, "the first was found before");
        (0..2 * TARGETS).for_each(|port| dialer.lose(&address(port)));
        assert_eq!(dialer.take_due(|_| false), [address(0), address(60_000)]);
    }

    #[tokio::test]
    async fn a_dial_ends_one_way_or_the_other() {
        let mut dialer = Dialer::default();
        dialer.keep(address(1));
        dialer.on_dialling(&address(1), connection(1));
        assert!(dialer.due(|_| false).is_none());
        dialer.on_failure(connection(2), &DialError::Aborted);
        assert!(dialer.due(|_| false).is_none(), "that was another one");
        dialer.on_failure(connection(1), &DialError::Aborted);
        assert!(dialer.due(|_| false).is_some());
        dialer.on_dialling(&address(1), connection(3));
        dialer.on_failure(connection(3), &DialError::LocalPeerId { address: address(1) });
        let pause = dialer.due(|_| false).expect("it is tried again") - Instant::now();
        assert!(pause > LONGEST_PAUSE, "this node does not dial itself all the time");
    }

    #[tokio::test]
    async fn a_peer_that_hangs_up_at_once_is_dialled_ever_more_rarely() {
        let (peer, mut dialer) = (PeerId::random(), Dialer::default());
        dialer.keep(address(1));
        for round in 0..10 {
            dialer.on_dialling(&address(1), connection(round));
            dialer.on_connected(connection(round), peer);
            assert!(dialer.due(|_| true).is_none(), "connected");
            dialer.on_lost(&peer);
        }
        assert_eq!(dialer.0[0].failures, 10);
    }
}
