//! The yardstick of W13: 64 bytes there and back on one libp2p stream, over the same TCP, Noise and Yamux.

use std::time::Instant;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use libp2p_stream::Behaviour;
use rejoin_benches::measure::Measures;
use rejoin_benches::program::Task;

use crate::percentiles;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/bench/ping/1");
const BYTES: usize = 64;
const WORKS: &str = "loopback works";

fn swarm() -> Swarm<Behaviour> {
    let transport = SwarmBuilder::with_new_identity().with_tokio().with_tcp(
        tcp::Config::default().nodelay(true),
        noise::Config::new,
        yamux::Config::default,
    );
    transport.expect(WORKS).with_behaviour(|_| Behaviour::new()).expect(WORKS).build()
}

async fn address(swarm: &mut Swarm<Behaviour>) -> Multiaddr {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect(WORKS);
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

async fn connected(swarm: &mut Swarm<Behaviour>) {
    while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
}

fn drive(mut swarm: Swarm<Behaviour>) {
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
}

pub(crate) async fn ping_pong(task: &Task) -> Measures {
    let (mut left, mut right) = (swarm(), swarm());
    let place = address(&mut right).await;
    let peer = *right.local_peer_id();
    let mut control = left.behaviour().new_control();
    let mut incoming = right.behaviour().new_control().accept(PROTOCOL).expect("accepted once");
    left.dial(place).expect(WORKS);
    drive(right);
    connected(&mut left).await;
    drive(left);
    let rounds = task.writes;
    tokio::spawn(async move {
        let (_, mut stream) = incoming.next().await.expect(WORKS);
        let mut bytes = [0; BYTES];
        for _ in 0..rounds {
            stream.read_exact(&mut bytes).await.expect(WORKS);
            stream.write_all(&bytes).await.expect(WORKS);
            stream.flush().await.expect(WORKS);
        }
    });
    let mut stream = control.open_stream(peer, PROTOCOL).await.expect(WORKS);
    let (mut times, mut bytes) = (Vec::new(), [7; BYTES]);
    for _ in 0..rounds {
        let start = Instant::now();
        stream.write_all(&bytes).await.expect(WORKS);
        stream.flush().await.expect(WORKS);
        stream.read_exact(&mut bytes).await.expect(WORKS);
        times.push(start.elapsed().as_secs_f64());
    }
    percentiles(times)
}
