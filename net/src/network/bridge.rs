//! A network whose messages a host carries: pages of one browser over their channel, nodes of a test in one process.
//!
//! The host says who is there, and moves whole messages between two peers in the order in which they were sent; it may stop
//! at any point, by saying that a peer is gone. In the messages are streams, any number of them, and gossip, which is passed on
//! to everybody else by whoever finds it new.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use rejoin_core::codec;
use rejoin_core::engine::Verdict;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tracing::debug;

use super::pipe::{Inlet, Pipe};
use super::{
    Arrival, COMMANDS, Command, Connected, Heard, Network, NetworkError, Opener, Routes, Stream, message_id,
    topic,
};
use crate::PeerId;
use crate::host::spawn;
use crate::wire::Patience;

/// Longest message that is taken.
pub const MESSAGE_BYTES: usize = 256 * 1024;
/// Streams that one peer may hold open.
const STREAMS: usize = 64;
/// Gossiped messages that are known again.
const REMEMBERED: usize = 4096;

/// Moves messages for a [`Bridge`].
pub trait Carry: Send + Sync + 'static {
    /// Sends a message to a peer that the host said is there. What cannot be sent ends with [`Bridge::gone`].
    fn carry(&self, to: PeerId, message: Vec<u8>);
}

/// Names a stream between two peers: its number, and whether the sender of the message opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Name {
    number: u64,
    ours: bool,
}

impl Name {
    /// The same stream, as the other side names it.
    const fn there(self) -> Self {
        Self { ours: !self.ours, ..self }
    }
}

/// What is said between two peers. The format is that of one version of this package: both ends are the same program.
#[derive(Serialize, Deserialize)]
enum Message {
    Data(Name, Vec<u8>),
    Close(Name),
    Gossip([u8; 16], Vec<u8>),
}

#[derive(Default)]
struct State {
    inlets: BTreeMap<(PeerId, Name), Inlet>,
    opened: u64,
    heard: BTreeSet<Vec<u8>>,
    order: VecDeque<Vec<u8>>,
    /// Messages whose verdict is owed.
    unjudged: BTreeMap<Vec<u8>, Message>,
}

impl State {
    /// Whether it is news.
    fn note(&mut self, id: &[u8]) -> bool {
        if !self.heard.insert(id.to_vec()) {
            return false;
        }
        self.order.push_back(id.to_vec());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.heard.remove(&oldest);
            self.unjudged.remove(&oldest);
        }
        true
    }
}

struct Inner {
    carrier: Box<dyn Carry>,
    routes: Arc<Routes>,
    patience: Patience,
    peers: watch::Sender<BTreeMap<PeerId, Connected>>,
    state: Mutex<State>,
}

/// The host's end. Cheap to clone.
#[derive(Clone)]
pub struct Bridge(Arc<Inner>);

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bridge({} peers)", self.0.peers.borrow().len())
    }
}

impl Bridge {
    /// A network of nobody so far, for the node of this id, and the end that the host holds.
    pub fn join(local: PeerId, carrier: impl Carry) -> (Network, Self) {
        let (peers, peers_watch) = watch::channel(BTreeMap::new());
        let (_, listening) = watch::channel(Vec::new());
        let (commands, orders) = mpsc::channel(COMMANDS);
        let (routes, patience) = (Arc::new(Routes::default()), Patience::default());
        let inner = Inner {
            carrier: Box::new(carrier),
            routes: routes.clone(),
            patience,
            peers,
            state: Mutex::default(),
        };
        let bridge = Self(Arc::new(inner));
        spawn(bridge.clone().obey(orders));
        let opener = bridge.opener();
        let network = Network { local, commands, opener, routes, patience, peers: peers_watch, listening };
        (network, bridge)
    }

    /// A peer is there. One of two sides says `asks`: it begins to sync, at once, so the other side is to be told first: what
    /// arrives from somebody who is not there is refused.
    pub fn here(&self, peer: PeerId, asks: bool) {
        let address = crate::Multiaddr::empty().with(multiaddr::Protocol::P2p(peer));
        let connected = Connected { address, dialled: asks, we_dialled: asks };
        self.0.peers.send_modify(|peers| drop(peers.insert(peer, connected)));
    }

    /// A peer is gone, with all that was on its way.
    pub fn gone(&self, peer: PeerId) {
        self.0.state().inlets.retain(|(of, _), _| *of != peer);
        self.0.peers.send_modify(|peers| drop(peers.remove(&peer)));
    }

    /// A message of a peer has arrived. What is no message is an error, and whoever sent it had better be gone.
    pub fn arrived(&self, peer: PeerId, message: &[u8]) -> Result<(), NetworkError> {
        let malformed = || NetworkError::Setup(format!("{peer} sent something that is no message"));
        if message.len() > MESSAGE_BYTES || !self.0.peers.borrow().contains_key(&peer) {
            return Err(malformed());
        }
        match codec::decode(message).map_err(|_| malformed())? {
            Message::Data(name, bytes) => self.data(peer, name.there(), bytes),
            // Dropping the inlet ends what is read.
            Message::Close(name) => drop(self.0.state().inlets.remove(&(peer, name.there()))),
            Message::Gossip(topic, data) => self.gossip(peer, topic, data),
        }
        Ok(())
    }

    fn data(&self, peer: PeerId, name: Name, bytes: Vec<u8>) {
        let mut state = self.0.state();
        if let Some(inlet) = state.inlets.get(&(peer, name)) {
            if !inlet.push(bytes) {
                debug!(%peer, "a stream that nobody reads is ended");
                state.inlets.remove(&(peer, name));
            }
            return;
        }
        // The first bytes of a stream of theirs open it; of one of ours it means that it has ended here.
        let open = state.inlets.keys().filter(|(of, _)| *of == peer).count();
        if name.ours || open >= STREAMS {
            return;
        }
        let (inlet, pipe) = self.pipe(peer, name);
        inlet.push(bytes);
        state.inlets.insert((peer, name), inlet);
        drop(state);
        self.0.routes.welcome(peer, Stream::new(pipe), self.0.patience);
    }

    fn gossip(&self, peer: PeerId, topic: [u8; 16], data: Vec<u8>) {
        let message = message_id(&topic, &data);
        let spaces = self.0.routes.spaces();
        let Some(space) = spaces.iter().find(|space| super::topic(space) == topic) else { return };
        let Some(replica) = self.0.routes.of(space) else { return };
        let mut state = self.0.state();
        if !state.note(&message) {
            return;
        }
        state.unjudged.insert(message.clone(), Message::Gossip(topic, data.clone()));
        drop(state);
        // What finds no room is lost, as gossip may be.
        let _ = replica.try_send(Arrival::Gossip(Heard { message, from: peer, data }));
    }

    /// The two ends of what a peer sends on a stream.
    fn pipe(&self, peer: PeerId, name: Name) -> (Inlet, Pipe) {
        let bridge = self.clone();
        Pipe::new(move |bytes| {
            // A stream that has ended here says nothing more: the other side would take it for a new one.
            let key = (peer, name);
            let is_open = match &bytes {
                Some(_) => bridge.0.state().inlets.contains_key(&key),
                None => bridge.0.state().inlets.remove(&key).is_some(),
            };
            if is_open {
                bridge.say(peer, &bytes.map_or(Message::Close(name), |bytes| Message::Data(name, bytes)));
            }
            is_open
        })
    }

    fn opener(&self) -> Opener {
        let bridge = self.clone();
        Arc::new(move |peer| {
            let mut state = bridge.0.state();
            state.opened += 1;
            let name = Name { number: state.opened, ours: true };
            let (inlet, pipe) = bridge.pipe(peer, name);
            state.inlets.insert((peer, name), inlet);
            drop(state);
            Box::pin(async move { Ok(Stream::new(pipe)) })
        })
    }

    fn say(&self, peer: PeerId, message: &Message) {
        if self.0.peers.borrow().contains_key(&peer) {
            self.0.carrier.carry(peer, codec::encode(message));
        }
    }

    /// Says it to all but one.
    fn spread(&self, message: &Message, but: Option<PeerId>) {
        let peers: Vec<PeerId> = self.0.peers.borrow().keys().copied().collect();
        peers.into_iter().filter(|peer| Some(*peer) != but).for_each(|peer| self.say(peer, message));
    }

    async fn obey(self, mut orders: mpsc::Receiver<Command>) {
        let none = "a network of this kind has no addresses: its host says who is there";
        while let Some(order) = orders.recv().await {
            match order {
                // Whoever asked may have given up waiting.
                Command::Listen { address, answer } => {
                    let _ = answer.send(Err(NetworkError::Listen { address, error: none.into() }));
                }
                Command::Dial { address, answer } => {
                    let _ = answer.send(Err(NetworkError::Dial { address, error: none.into() }));
                }
                Command::Keep { address } => debug!(%address, none),
                Command::Publish { space, frame } => {
                    let topic = topic(&space);
                    self.0.state().note(&message_id(&topic, &frame));
                    self.spread(&Message::Gossip(topic, frame), None);
                }
                Command::Judge { message, from, verdict } => {
                    let judged = self.0.state().unjudged.remove(&message);
                    if let (Some(message), Verdict::Relay) = (judged, verdict) {
                        self.spread(&message, Some(from));
                    }
                }
                Command::Close { answer } => {
                    self.0.state().inlets.clear();
                    let _ = answer.send(());
                    return;
                }
            }
        }
    }
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
