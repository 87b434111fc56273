//! The task that owns libp2p's swarm: takes commands, and turns its events into what replicas understand.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::core::transport::ListenerId;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId};
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, mdns};
use rejoin_core::SpaceId;
use rejoin_core::engine::Verdict;
use tokio::sync::{mpsc, watch};
use tracing::debug;

use super::behaviour::{self, Behaviour, BehaviourEvent, topic};
use super::connections::Connections;
use super::dialer::{Dialer, peer_of};
use crate::host::{Instant, sleep_until};
use crate::network::{
    Answer, Arrival, Command, Connected, Heard, NetworkError, PeersWatch, Routes, Settings,
};

/// How much longer the larger of two peers that find each other waits before it dials: one connection is enough.
const POLITE: Duration = Duration::from_secs(2);

/// How long a node that closes is given to send what it has just published: libp2p says of no message that it has left.
const GOODBYE: Duration = Duration::from_millis(100);

pub(super) struct Task {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    routes: Arc<Routes>,
    /// Topics to spaces.
    topics: BTreeMap<gossipsub::TopicHash, SpaceId>,
    connections: Connections,
    dialer: Dialer,
    peers: watch::Sender<BTreeMap<PeerId, Connected>>,
    listening: watch::Sender<Vec<Multiaddr>>,
    listeners: HashMap<ListenerId, (Multiaddr, Answer<()>)>,
    dials: HashMap<ConnectionId, (Multiaddr, Answer<PeerId>)>,
    /// When something was published last.
    published: Option<Instant>,
    #[cfg(feature = "faults")]
    gossip_loss: u32,
}

impl Task {
    #[allow(clippy::type_complexity, reason = "the four ends that one caller takes apart")]
    pub(super) fn new(
        keys: Keypair,
        settings: &Settings,
        routes: Arc<Routes>,
        commands: mpsc::Receiver<Command>,
    ) -> Result<(Self, libp2p_stream::Control, PeersWatch, watch::Receiver<Vec<Multiaddr>>), NetworkError>
    {
        let swarm = behaviour::swarm(keys, settings.mdns)?;
        let control = swarm.behaviour().streams.new_control();
        let (peers, peers_watch) = watch::channel(BTreeMap::new());
        let (listening, listening_watch) = watch::channel(Vec::new());
        let mut dialer = Dialer::default();
        settings.peers.iter().for_each(|address| dialer.keep(address.clone()));
        let task = Self {
            swarm,
            commands,
            routes,
            topics: BTreeMap::new(),
            connections: Connections::default(),
            dialer,
            peers,
            listening,
            listeners: HashMap::new(),
            dials: HashMap::new(),
            published: None,
            #[cfg(feature = "faults")]
            gossip_loss: settings.gossip_loss,
        };
        Ok((task, control, peers_watch, listening_watch))
    }

    pub(super) fn local(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    pub(super) async fn run(mut self) {
        loop {
            let due = self.dialer.due(|peer| self.swarm.is_connected(peer));
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Close { answer }) => {
                        self.send_last().await;
                        drop(self);
                        // Whoever asked may have given up waiting.
                        let _ = answer.send(());
                        return;
                    }
                    Some(command) => self.carry_out(command),
                    None => return,
                },
                event = self.swarm.select_next_some() => self.on_event(event),
                () = self.routes.changed.notified() => self.subscribe(),
                () = until(due) => self.dial_due(),
            }
        }
    }

    /// Follows the topics of exactly those spaces that are hosted now. No order is lost this way, however many spaces are
    /// opened before this task runs again.
    fn subscribe(&mut self) {
        let wanted = self.routes.spaces();
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        self.topics.retain(|_, space| {
            let stays = wanted.contains(space);
            if !stays {
                gossip.unsubscribe(&topic(space));
            }
            stays
        });
        for space in wanted {
            let topic = topic(&space);
            if self.topics.insert(topic.hash(), space).is_none()
                && let Err(error) = gossip.subscribe(&topic)
            {
                debug!(%error, "cannot subscribe; sync goes on without gossip");
            }
        }
    }

    async fn send_last(&mut self) {
        let Some(until) = self.published.map(|published| published + GOODBYE) else { return };
        while Instant::now() < until {
            // Whatever happens meanwhile is of no use any more.
            let _ = crate::host::timeout(until - Instant::now(), self.swarm.select_next_some()).await;
        }
    }

    fn carry_out(&mut self, command: Command) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        match command {
            Command::Listen { address, answer } => self.listen(address, answer),
            Command::Dial { address, answer } => self.dial(address, answer),
            Command::Keep { address } => self.dialer.keep(address),
            Command::Publish { space, frame } => match gossip.publish(topic(&space), frame) {
                Ok(_) => self.published = Some(Instant::now()),
                Err(error) => debug!(%error, "not published; sync will bring it"),
            },
            Command::Judge { message, from, verdict } => {
                let acceptance = match verdict {
                    Verdict::Relay => MessageAcceptance::Accept,
                    Verdict::Ignore => MessageAcceptance::Ignore,
                    Verdict::Reject => MessageAcceptance::Reject,
                };
                gossip.report_message_validation_result(&MessageId::new(&message), &from, acceptance);
            }
            Command::Close { .. } => unreachable!("ends the task"),
        }
    }

    fn listen(&mut self, address: Multiaddr, answer: Answer<()>) {
        match self.swarm.listen_on(address.clone()) {
            Ok(id) => drop(self.listeners.insert(id, (address, answer))),
            // Here and below: whoever asked may have given up waiting for the answer.
            Err(error) => {
                let error = error.to_string();
                let _ = answer.send(Err(NetworkError::Listen { address, error }));
            }
        }
    }

    fn dial(&mut self, address: Multiaddr, answer: Answer<PeerId>) {
        let named = peer_of(&address).filter(|peer| self.swarm.is_connected(peer));
        // Without this each call would add a connection, until there is room for no more.
        if let Some(peer) = named.or_else(|| self.connections.dialled(&address)) {
            let _ = answer.send(Ok(peer));
            return;
        }
        let options = DialOpts::from(address.clone());
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials.insert(connection, (address, answer))),
            Err(error) => {
                let error = in_words(&error);
                let _ = answer.send(Err(NetworkError::Dial { address, error }));
            }
        }
    }

    fn dial_due(&mut self) {
        for address in self.dialer.take_due(|peer| self.swarm.is_connected(peer)) {
            let options = DialOpts::from(address.clone());
            let connection = options.connection_id();
            match self.swarm.dial(options) {
                Ok(()) => self.dialer.on_dialling(&address, connection),
                Err(error) => {
                    debug!(%address, %error, "not dialled");
                    self.dialer.on_refused(&address, &error);
                }
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                self.listening.send_modify(|all| all.push(address));
                if let Some((_, answer)) = self.listeners.remove(&listener_id) {
                    let _ = answer.send(Ok(()));
                }
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listening.send_modify(|all| all.retain(|other| *other != address));
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.listening.send_modify(|all| all.retain(|other| !addresses.contains(other)));
                if let Some((address, answer)) = self.listeners.remove(&listener_id) {
                    let error = reason.err().map_or_else(|| "it was closed".into(), |e| e.to_string());
                    let _ = answer.send(Err(NetworkError::Listen { address, error }));
                }
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                debug!(peer = %peer_id, ?cause, "connection lost");
                self.connections.remove(&peer_id, connection_id);
                if num_established == 0 {
                    self.dialer.on_lost(&peer_id);
                }
                self.show(peer_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                debug!(%error, "dial failed");
                self.dialer.on_failure(connection_id, &error);
                if let Some((address, answer)) = self.dials.remove(&connection_id) {
                    let error = in_words(&error);
                    let _ = answer.send(Err(NetworkError::Dial { address, error }));
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(event)) => self.on_mdns(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping)) => {
                if let Err(error) = ping.result {
                    debug!(peer = %ping.peer, %error, "no answer: closing the connection");
                    self.swarm.close_connection(ping.connection);
                }
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        self.dialer.on_connected(connection, peer);
        let asked = self.dials.remove(&connection);
        // Whoever dials by hand has something of its own to say first.
        let dialled = endpoint.is_dialer() && asked.is_none();
        let (address, we_dialled) = (endpoint.get_remote_address().clone(), endpoint.is_dialer());
        self.connections.add(peer, connection, Connected { address, dialled, we_dialled });
        self.show(peer);
        if let Some((_, answer)) = asked {
            let _ = answer.send(Ok(peer));
        }
    }

    /// Tells replicas whether, and where, a peer is connected now.
    fn show(&self, peer: PeerId) {
        let now = self.connections.of(&peer);
        self.peers.send_if_modified(|peers| match now {
            _ if peers.get(&peer) == now => false,
            Some(now) => {
                peers.insert(peer, now.clone());
                true
            }
            None => peers.remove(&peer).is_some(),
        });
    }

    fn on_mdns(&mut self, event: mdns::Event) {
        match event {
            mdns::Event::Discovered(found) => {
                for (peer, address) in found {
                    let wait = if peer < self.local() { POLITE } else { Duration::ZERO };
                    self.dialer.find(address, wait);
                }
            }
            mdns::Event::Expired(gone) => gone.iter().for_each(|(_, address)| self.dialer.lose(address)),
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        let gossipsub::Event::Message { propagation_source: from, message_id, message } = event else {
            return;
        };
        let replica = self.topics.get(&message.topic).and_then(|space| self.routes.of(space));
        let heard = Heard { message: message_id.0.clone(), from, data: message.data };
        let taken = !self.is_lost()
            && replica.is_some_and(|replica| replica.try_send(Arrival::Gossip(heard)).is_ok());
        if !taken {
            // Nobody judges it, so nobody passes it on; whoever wants it will ask.
            let gossip = &mut self.swarm.behaviour_mut().gossip;
            gossip.report_message_validation_result(&message_id, &from, MessageAcceptance::Ignore);
        }
    }

    /// Whether a test wants this message lost.
    #[cfg(feature = "faults")]
    fn is_lost(&self) -> bool {
        let draw = crate::keys::random::<4>().map_or(0, u32::from_le_bytes);
        draw % 1000 < self.gossip_loss
    }

    #[cfg(not(feature = "faults"))]
    #[allow(clippy::unused_self, reason = "the other form needs it")]
    const fn is_lost(&self) -> bool {
        false
    }
}

/// What went wrong with a dial, without the parts that only libp2p understands.
fn in_words(error: &DialError) -> String {
    match error {
        DialError::Transport(failures) => {
            let innermost = |error: &dyn std::error::Error| {
                let mut error: &dyn std::error::Error = error;
                while let Some(source) = error.source() {
                    error = source;
                }
                error.to_string()
            };
            failures.first().map_or_else(|| "no address answers".into(), |(_, error)| innermost(error))
        }
        DialError::WrongPeerId { obtained, .. } => {
            format!("another node answers there, with the id {obtained}")
        }
        DialError::LocalPeerId { .. } => "that is this node itself".into(),
        other => other.to_string(),
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
