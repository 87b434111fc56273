//! What this node speaks, and within which bounds.

use std::time::Duration;

use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, MessageId, ValidationMode};
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Swarm, SwarmBuilder};
use libp2p::{connection_limits, identify, mdns, noise, ping, tcp, yamux};
use rejoin_core::SpaceId;
use rejoin_core::limits::GOSSIP_BYTES;

use crate::network::{self, NetworkError, message_id};

/// A peer that does not answer is taken for gone after some 20 s: libp2p forgives the first ping that fails, and then gives
/// the next one a stream of its own, which may take 10 s to open. So a peer may be busy for a moment.
const PING_EVERY: Duration = Duration::from_secs(3);
const PING_TIME: Duration = Duration::from_secs(5);
const DIAL_TIME: Duration = Duration::from_secs(5);
/// A connection without a stream is kept this long: two nodes without a common space have nothing to say.
const IDLE_TIME: Duration = Duration::from_secs(120);
/// Connections: being set up from outside; with one peer; in all; and of these from outside. Whoever fills the last leaves
/// room for those that this node dials.
const PENDING_INBOUND: u32 = 32;
const PER_PEER: u32 = 4;
const CONNECTIONS: u32 = 128;
const INBOUND: u32 = 96;
/// More than a message of ours (16 KiB) with its envelope; the bound of one RPC, which may carry several.
const TRANSMIT_BYTES: usize = 64 * 1024;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(super) streams: libp2p_stream::Behaviour,
    pub(super) gossip: gossipsub::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
}

/// The topic of a space, as gossipsub has it.
pub(super) fn topic(space: &SpaceId) -> IdentTopic {
    IdentTopic::new(format!("rejoin/1/{}", data_encoding::HEXLOWER.encode(&network::topic(space))))
}

pub(super) fn swarm(keys: Keypair, mdns: bool) -> Result<Swarm<Behaviour>, NetworkError> {
    let setup = |error: &dyn std::fmt::Display| NetworkError::Setup(error.to_string());
    let swarm = SwarmBuilder::with_existing_identity(keys)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|error| setup(&error))?
        .with_quic()
        .with_dns()
        .map_err(|error| setup(&error))?
        .with_behaviour(|keys| behaviour(keys, mdns))
        .map_err(|error| setup(&error))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_TIME))
        .with_connection_timeout(DIAL_TIME)
        .build();
    Ok(swarm)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn behaviour(keys: &Keypair, mdns: bool) -> Result<Behaviour, Failure> {
    let local = keys.public().to_peer_id();
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_INBOUND))
        .with_max_established_per_peer(Some(PER_PEER))
        .with_max_established_incoming(Some(INBOUND))
        .with_max_established(Some(CONNECTIONS));
    let identify = identify::Config::new("/rejoin/1".into(), keys.public());
    let ping = ping::Config::new().with_interval(PING_EVERY).with_timeout(PING_TIME);
    let mdns = mdns.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), local)).transpose()?;
    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        streams: libp2p_stream::Behaviour::new(),
        gossip: gossip(keys)?,
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        mdns: mdns.into(),
    })
}

/// Small meshes and a first heartbeat at once: a space is a handful of devices, and they have just met.
fn gossip(keys: &Keypair) -> Result<gossipsub::Behaviour, Failure> {
    let config = gossipsub::ConfigBuilder::default()
        .mesh_n_low(3)
        .mesh_n(4)
        .mesh_n_high(8)
        .mesh_outbound_min(1)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(TRANSMIT_BYTES)
        .message_id_fn(|message| {
            MessageId::new(&message_id(message.topic.as_str().as_bytes(), &message.data))
        })
        .build()?;
    const { assert!(GOSSIP_BYTES * 2 < TRANSMIT_BYTES) };
    Ok(gossipsub::Behaviour::new(MessageAuthenticity::Signed(keys.clone()), config)?)
}
