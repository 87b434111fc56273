//! The connections that are up. With one peer there may be several: both dialled at once, or it has several addresses.

use std::collections::BTreeMap;

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use crate::network::Connected;

/// By peer, oldest first.
#[derive(Default)]
pub(super) struct Connections(BTreeMap<PeerId, Vec<(ConnectionId, Connected)>>);

impl Connections {
    pub(super) fn add(&mut self, peer: PeerId, connection: ConnectionId, connected: Connected) {
        self.0.entry(peer).or_default().push((connection, connected));
    }

    pub(super) fn remove(&mut self, peer: &PeerId, connection: ConnectionId) {
        if let Some(all) = self.0.get_mut(peer) {
            all.retain(|(other, _)| *other != connection);
            if all.is_empty() {
                self.0.remove(peer);
            }
        }
    }

    /// What stands for a peer: its oldest connection. A second one changes nothing for those who use the first.
    pub(super) fn of(&self, peer: &PeerId) -> Option<&Connected> {
        self.0.get(peer)?.first().map(|(_, connected)| connected)
    }

    /// Who answered when this address was dialled and is connected still.
    pub(super) fn dialled(&self, address: &Multiaddr) -> Option<PeerId> {
        let address = without_peer(address);
        let is_there = |(_, connected): &(_, Connected)| {
            connected.we_dialled && without_peer(&connected.address) == address
        };
        self.0.iter().find(|(_, all)| all.iter().any(is_there)).map(|(peer, _)| *peer)
    }
}

/// The address alone, whoever is expected there.
pub(super) fn without_peer(address: &Multiaddr) -> Multiaddr {
    let mut address = address.clone();
    if let Some(Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(address: &str, dialled: bool) -> Connected {
        Connected { address: address.parse().expect("an address"), dialled, we_dialled: dialled }
    }

    #[test]
    fn the_address_of_a_peer_is_that_of_a_connection_that_stands() {
        let (peer, mut all) = (PeerId::random(), Connections::default());
        let [tcp, quic] = [1, 2].map(ConnectionId::new_unchecked);
        all.add(peer, tcp, connected("/ip4/127.0.0.1/tcp/1", true));
        all.add(peer, quic, connected("/ip4/127.0.0.1/udp/1/quic-v1", false));
        assert_eq!(all.of(&peer), Some(&connected("/ip4/127.0.0.1/tcp/1", true)));
        let named =
            "/ip4/127.0.0.1/tcp/1".parse::<Multiaddr>().expect("an address").with(Protocol::P2p(peer));
        assert_eq!(all.dialled(&named), Some(peer));
        all.remove(&peer, tcp);
        assert_eq!(all.of(&peer), Some(&connected("/ip4/127.0.0.1/udp/1/quic-v1", false)));
        assert_eq!(all.dialled(&named), None);
        all.remove(&peer, quic);
        assert!(all.of(&peer).is_none() && all.0.is_empty());
    }
}
