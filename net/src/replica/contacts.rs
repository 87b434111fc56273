//! Whom to open a stream to, and when: one stream per peer, opened by whoever dialled, sooner or later by the other.
//!
//! A peer that does not hold the space closes the stream without a word; asking again costs little and is done ever more
//! rarely, with jitter, until either side opens the space and asks by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::PeerId;
use crate::host::Instant;
use crate::network::{Connected, backoff};

/// First pause after a stream that failed, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long whoever was dialled leaves it to the dialler to open the stream.
const COURTESY: Duration = Duration::from_millis(1500);

struct Contact {
    /// A stream is open, or being opened.
    busy: bool,
    failures: u32,
    next: Instant,
}

/// The connected peers, and what is to be done about each.
#[derive(Default)]
pub(super) struct Contacts(BTreeMap<PeerId, Contact>);

impl Contacts {
    /// Takes note of who is connected now. A stream may be there before its connection is: it is open already.
    pub(super) fn update(
        &mut self,
        connected: &BTreeMap<PeerId, Connected>,
        has_stream: impl Fn(&PeerId) -> bool,
    ) {
        self.0.retain(|peer, _| connected.contains_key(peer));
        for (peer, connection) in connected {
            self.0.entry(*peer).or_insert_with(|| {
                let wait = if connection.dialled { Duration::ZERO } else { COURTESY };
                Contact { busy: has_stream(peer), failures: 0, next: Instant::now() + wait }
            });
        }
    }

    /// When the next stream is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().filter(|contact| !contact.busy).map(|contact| contact.next).min()
    }

    /// The peers to open a stream to now; each counts as busy from here on.
    pub(super) fn take_due(&mut self) -> Vec<PeerId> {
        let now = Instant::now();
        let due = self.0.iter_mut().filter(|(_, contact)| !contact.busy && contact.next <= now);
        due.map(|(peer, contact)| {
            contact.busy = true;
            *peer
        })
        .collect()
    }

    /// A stream with this peer is up, whoever opened it, or is being opened.
    pub(super) fn on_open(&mut self, peer: &PeerId) {
        if let Some(contact) = self.0.get_mut(peer) {
            contact.busy = true;
        }
    }

    /// The peer holds the space: a stream with it that ends is worth opening again soon.
    pub(super) fn on_success(&mut self, peer: &PeerId) {
        if let Some(contact) = self.0.get_mut(peer) {
            contact.failures = 0;
        }
    }

    /// The last stream with this peer has ended, or could not be opened.
    pub(super) fn on_end(&mut self, peer: &PeerId) {
        if let Some(contact) = self.0.get_mut(peer) {
            contact.busy = false;
            contact.next = Instant::now() + backoff(FIRST_PAUSE, LONGEST_PAUSE, contact.failures);
            contact.failures = contact.failures.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(peers: &[(PeerId, bool)]) -> BTreeMap<PeerId, Connected> {
        let address: crate::Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        let all = peers.iter().map(|(peer, dialled)| {
            (*peer, Connected { address: address.clone(), dialled: *dialled, we_dialled: *dialled })
        });
        all.collect()
    }

    #[tokio::test]
    async fn a_stream_that_came_before_its_connection_is_the_only_one() {
        let peer = PeerId::random();
        let mut contacts = Contacts::default();
        contacts.on_open(&peer);
        contacts.update(&connected(&[(peer, true)]), |_| true);
        assert!(contacts.take_due().is_empty() && contacts.due().is_none());
        contacts.on_end(&peer);
        assert!(contacts.due().is_some(), "it ended: there is one to open");
    }

    #[tokio::test]
    async fn whoever_dialled_asks_first_and_a_peer_that_comes_back_is_new() {
        let (ours, theirs) = (PeerId::random(), PeerId::random());
        let mut contacts = Contacts::default();
        contacts.update(&connected(&[(ours, true), (theirs, false)]), |_| false);
        assert_eq!(contacts.take_due(), [ours]);
        assert!(contacts.due().is_some(), "the other one in a while");
        contacts.update(&connected(&[(theirs, false)]), |_| false);
        // It was busy when it went away.
        contacts.update(&connected(&[(ours, true), (theirs, false)]), |_| false);
        assert_eq!(contacts.take_due(), [ours]);
    }
}
