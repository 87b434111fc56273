//! Nodes whose network a host carries, as a page does for its tabs: one process, messages in channels.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rejoin::net::keys::Keys;
use rejoin::net::network::bridge::{Bridge, Carry, MESSAGE_BYTES};
use rejoin::{Grant, Node, PeerId, Space};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{PATIENCE, equal};

type Post = mpsc::Sender<(PeerId, PeerId, Vec<u8>)>;

/// Puts messages into a channel, as they come.
struct Out {
    own: PeerId,
    post: Post,
}

impl Carry for Out {
    fn carry(&self, to: PeerId, message: Vec<u8>) {
        self.post.try_send((self.own, to, message)).expect("there is room for all of this test");
    }
}

/// Some nodes, and who carries messages between those that are connected.
struct Hall {
    nodes: Vec<Node>,
    bridges: Vec<Bridge>,
    carried: Arc<Mutex<u64>>,
}

impl Hall {
    async fn of(count: u8) -> Self {
        let (post, mut messages) = mpsc::channel(100_000);
        let (mut nodes, mut bridges, mut by_id) = (Vec::new(), Vec::new(), BTreeMap::new());
        for number in 0..count {
            let keys = Keys::of([number; 32], [0; 16]);
            let own = keys.peer();
            let (network, bridge) = Bridge::join(own, Out { own, post: post.clone() });
            let node = Node::memory_builder().keys(keys).carried(network).open().await.expect("opens");
            assert_eq!(node.id(), own);
            by_id.insert(own, bridge.clone());
            nodes.push(node);
            bridges.push(bridge);
        }
        let carried = Arc::new(Mutex::new(0));
        let count = carried.clone();
        tokio::spawn(async move {
            while let Some((from, to, message)) = messages.recv().await {
                *count.lock().expect("nobody panicked") += 1;
                // Who is gone meanwhile does not take it.
                let _ = by_id[&to].arrived(from, &message);
            }
        });
        Self { nodes, bridges, carried }
    }

    fn connect(&self, a: usize, b: usize) {
        self.bridges[b].here(self.nodes[a].id(), false);
        self.bridges[a].here(self.nodes[b].id(), true);
    }

    fn cut(&self, a: usize, b: usize) {
        self.bridges[a].gone(self.nodes[b].id());
        self.bridges[b].gone(self.nodes[a].id());
    }

    fn carried(&self) -> u64 {
        *self.carried.lock().expect("nobody panicked")
    }

    /// One space on all of them.
    async fn space(&self) -> Vec<Space> {
        let first = self.nodes[0].create("board").await.expect("created");
        let ticket = first.ticket(Grant::Write).await.expect("a ticket");
        let mut spaces = vec![first];
        for node in &self.nodes[1..] {
            spaces.push(node.join(&ticket).await.expect("joined"));
        }
        spaces
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_in_a_line_become_equal_and_hear_of_those_beyond() {
    let hall = Hall::of(3).await;
    let spaces = hall.space().await;
    spaces[0].counter("n").add(1).await.expect("kept");
    hall.connect(0, 1);
    hall.connect(1, 2);
    equal(&spaces[0], &spaces[2]).await;
    spaces[0].presence().set(&"here".to_owned()).expect("said");
    let mut watch = spaces[2].presence::<String>().watch();
    let heard =
        async { while watch.next().await.expect("open").first().is_none_or(|one| one.value != "here") {} };
    timeout(PATIENCE, heard).await.expect("the middle passes it on");
    // A large bulk, in messages of many sizes, cut off in the middle and taken up again.
    let map = spaces[2].map::<u32, Vec<u8>>("m");
    hall.cut(1, 2);
    let text = |n: u32| (0..n % 3000).flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    for part in 0..20 {
        let batch = spaces[2].batch(|batch| {
            (part * 50..part * 50 + 50).for_each(|n| batch.put(&map, n, text(n)));
            Ok(())
        });
        batch.await.expect("kept");
    }
    hall.connect(1, 2);
    let before = hall.carried();
    let moving = async {
        while hall.carried() < before + 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, moving).await.expect("it has begun");
    hall.cut(1, 2);
    spaces[0].counter("n").add(1).await.expect("kept");
    hall.connect(1, 2);
    equal(&spaces[0], &spaces[2]).await;
    let there = spaces[0].map::<u32, Vec<u8>>("m");
    assert_eq!(there.len().expect("read"), 1000);
    assert_eq!(there.get(&999).expect("read"), Some(text(999)));
    assert_eq!(spaces[2].counter("n").get().expect("read"), 2);
    for node in &hall.nodes {
        node.close().await.expect("closes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_refused_and_nobody_is_believed_who_is_not_there() {
    let hall = Hall::of(3).await;
    let spaces = hall.space().await;
    let stranger = Keys::of([9; 32], [0; 16]).peer();
    assert!(hall.bridges[0].arrived(stranger, &[]).is_err(), "nobody said that it is here");
    hall.connect(0, 1);
    let peer = hall.nodes[1].id();
    for bad in [&[][..], &[9, 9, 9], &[0; 3], &vec![0; MESSAGE_BYTES + 1]] {
        assert!(hall.bridges[0].arrived(peer, bad).is_err(), "{} bytes", bad.len());
    }
    // Streams that greet nothing, more than anybody may open: those of others go on.
    let bad = hall.nodes[2].id();
    hall.bridges[0].here(bad, false);
    for number in 0..500_u16 {
        let [low, high] = number.to_le_bytes();
        // Data, a number above those of real streams, opened by the sender, four bytes.
        let varint = [low | 0x80, high | 0x80, 0x7f];
        let message = [&[0][..], &varint, &[1, 4, 1, 2, 3, 4]].concat();
        hall.bridges[0].arrived(bad, &message).expect("it has the form of a message");
    }
    spaces[1].counter("n").add(1).await.expect("kept");
    equal(&spaces[0], &spaces[1]).await;
}
