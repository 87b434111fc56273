//! Peers that speak the protocol badly, or none at all, to a node on the loopback interface.
//!
//! After each attack the node is alive, its data is what it was, an honest node that it never met syncs with it, nothing
//! has panicked, and the process has not grown by more than [`GROWTH`]. That bound is for both ends together, because the
//! attacker lives in the same process.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{Node, PATIENCE, PROCESS, SPACE, Setup, equal};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::{FutureExt, StreamExt};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, noise, ping, tcp, yamux};
use libp2p_stream::Control;
use rejoin_core::SpaceId;
use rejoin_core::engine::{Config, Engine, Input, Now, Output, Role, SessionId};
use rejoin_core::id::Root;
use rejoin_core::store::MemoryStore;
use rejoin_net::keys::{self, Keys};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How much more memory the process may hold after an attack than before it.
const GROWTH: usize = 48 * 1024 * 1024;
/// How long an honest node may take to sync with a node that was just attacked.
const HONEST: Duration = Duration::from_secs(20);
/// What the node grants for a greeting and for a frame.
const SHORT: Duration = Duration::from_secs(1);
const PROTOCOL: StreamProtocol = StreamProtocol::new("/rejoin/sync/1");
/// Rows of the attacked node, each with this much text: some 4 MiB, four windows.
const ROWS: usize = 256;
const TEXT: usize = 16 * 1024;

/// In this process, of whichever thread.
static PANICS: AtomicU32 = AtomicU32::new(0);

#[derive(NetworkBehaviour)]
struct Behaviour {
    streams: libp2p_stream::Behaviour,
    ping: ping::Behaviour,
}

/// The node under attack, and what it was before.
struct Victim {
    node: Node,
    root: Root,
    memory: usize,
    panics: u32,
}

/// A peer that is connected and does whatever it likes on its streams.
struct Attacker {
    control: Control,
    victim: PeerId,
    task: tokio::task::JoinHandle<()>,
}

impl Victim {
    async fn start() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                PANICS.fetch_add(1, Ordering::SeqCst);
                before(info);
            }));
        });
        let mut setup = Setup::new();
        setup.settings.patience = Some(SHORT);
        let node = setup.start().await;
        let text = "x".repeat(TEXT);
        for row in 0..ROWS {
            let dot = node.put(&row.to_string(), &text);
            node.replica.saved(dot).await.expect("in memory");
        }
        let panics = PANICS.load(Ordering::SeqCst);
        let mut victim = Self { root: node.status().root, node, memory: 0, panics };
        // Whatever a first contact allocates for good is no growth.
        victim.is_well("before").await;
        victim.memory = memory();
        victim
    }

    /// Holds after every attack.
    async fn is_well(&mut self, attack: &str) {
        let status = self.node.status();
        assert_eq!((status.root, status.rows), (self.root, ROWS as u64), "{attack} changed something");
        self.node.replica.check().expect("sound");
        let begun = Instant::now();
        let honest = Setup::new().peer(self.node.address()).start().await;
        let synced = timeout(HONEST, equal(&[&self.node, &honest])).await;
        assert!(synced.is_ok(), "{attack}: an honest node cannot sync: {:?}", honest.status());
        let took = begun.elapsed();
        honest.close().await;
        assert_eq!(PANICS.load(Ordering::SeqCst), self.panics, "{attack}: something panicked");
        let grown = memory().saturating_sub(self.memory);
        println!("{attack}: {} KiB more, an honest node took {took:?}", grown / 1024);
        assert!(self.memory == 0 || grown < GROWTH, "{attack}: {} KiB more", grown / 1024);
    }

    async fn end(self) {
        self.node.close().await;
    }
}

/// Resident bytes of this process.
fn memory() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0_usize);
    pages * 4096
}

impl Attacker {
    async fn connect(victim: &Victim) -> Self {
        let mut swarm: Swarm<Behaviour> = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
            .expect("noise works")
            .with_behaviour(|_| Behaviour {
                streams: libp2p_stream::Behaviour::new(),
                ping: ping::Behaviour::default(),
            })
            .expect("it is plain")
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        let mut control = swarm.behaviour().streams.new_control();
        // The victim opens streams too; they are taken, and left alone.
        let mut incoming = control.accept(PROTOCOL).expect("once");
        swarm.dial(victim.node.address()).expect("an address");
        let (up, is_up) = tokio::sync::oneshot::channel();
        let mut up = Some(up);
        let task = tokio::spawn(async move {
            let mut ignored = Vec::new();
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => {
                        if let (SwarmEvent::ConnectionEstablished { .. }, Some(up)) = (event, up.take()) {
                            up.send(()).expect("it waits");
                        }
                    }
                    Some(stream) = incoming.next() => ignored.push(stream),
                }
            }
        });
        timeout(PATIENCE, is_up).await.expect("in time").expect("connected");
        Self { control, victim: victim.node.network.local(), task }
    }

    async fn stream(&mut self) -> Stream {
        let stream = timeout(PATIENCE, self.control.open_stream(self.victim, PROTOCOL)).await;
        stream.expect("in time").expect("the victim speaks it")
    }

    /// Opens a stream and writes; that the victim cuts it off is no failure.
    async fn say(&mut self, bytes: &[u8]) -> Stream {
        let mut stream = self.stream().await;
        let written = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        let _ = timeout(SHORT, written).await;
        stream
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until the victim has ended a stream; whatever it says before is thrown away.
async fn is_cut_off(stream: &mut Stream) -> bool {
    let mut bytes = vec![0; 64 * 1024];
    let end = async {
        while let Ok(count) = stream.read(&mut bytes).await {
            if count == 0 {
                return;
            }
        }
    };
    timeout(PATIENCE, end).await.is_ok()
}

fn random(length: usize) -> Vec<u8> {
    std::iter::repeat_with(|| keys::random::<32>().expect("random bytes")).flatten().take(length).collect()
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    let (mut framed, mut length) = (Vec::new(), bytes.len());
    while length >= 0x80 {
        framed.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    framed.push(length.to_le_bytes()[0]);
    framed.extend_from_slice(bytes);
    framed
}

/// An honest engine that holds nothing, to take its words from.
struct Words {
    engine: Engine<MemoryStore>,
}

impl Words {
    fn about(space: SpaceId) -> Self {
        let keys = Keys::random().expect("random bytes");
        let seed = keys::random().expect("random bytes");
        let engine = Engine::open(Config::new(space), Box::new(keys.device()), MemoryStore::new(), seed);
        Self { engine: engine.expect("an empty store") }
    }

    /// Tells it something; what it then says, framed. Its commits succeed at once.
    fn after(&mut self, mono_ms: u64, input: Input) -> Vec<Vec<u8>> {
        let now = Now { mono_ms, wall_ms: 1_700_000_000_000 };
        self.engine.handle(now, input);
        let mut said = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Send { frame: bytes, .. } => said.push(frame(&bytes)),
                Output::Persist(commit) => {
                    let result = self.engine.store_mut().apply(&commit);
                    self.engine.handle(now, Input::Persisted { commit: commit.id, result });
                }
                _ => {}
            }
        }
        said
    }

    /// Its greeting, framed.
    fn hello(&mut self) -> Vec<u8> {
        self.after(0, Input::Connected { session: SessionId(1), role: Role::Initiator }).remove(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_place_of_a_greeting() {
    let _alone = PROCESS.write().await;
    let mut victim = Victim::start().await;
    let mut attacker = Attacker::connect(&victim).await;
    for length in (0..64).map(|round| 1 + round * 997) {
        drop(attacker.say(&random(length)).await);
    }
    victim.is_well("random bytes").await;
    for _ in 0..64 {
        let mut stream = attacker.say(&[0x80, 0x80, 0x80, 0x80, 0x10, 1, 2, 3]).await;
        assert!(is_cut_off(&mut stream).await, "a frame of 4 GiB");
    }
    victim.is_well("a length of 4 GiB").await;
    let mut stream = attacker.say(&vec![0; 1_000_000]).await;
    assert!(is_cut_off(&mut stream).await, "frames of nothing");
    victim.is_well("a million empty frames").await;
    let mut stream = attacker.say(&Words::about(SpaceId([9; 32])).hello()).await;
    assert!(is_cut_off(&mut stream).await, "a space that is not here");
    victim.is_well("a greeting for another space").await;
    victim.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_after_a_greeting() {
    let _alone = PROCESS.write().await;
    let mut victim = Victim::start().await;
    let mut attacker = Attacker::connect(&victim).await;
    let noise = frame(&random(1000));
    let long = [&[0x80, 0x80, 0x80, 0x80, 0x10][..], &[7; 100]].concat();
    let largest = frame(&vec![0xff; 2 * 1024 * 1024]);
    for (attack, bytes) in
        [("noise", noise), ("nothing", vec![0; 1_000_000]), ("4 GiB", long), ("2 MiB", largest)]
    {
        for _ in 0..8 {
            let mut stream = attacker.say(&[Words::about(SPACE).hello(), bytes.clone()].concat()).await;
            assert!(is_cut_off(&mut stream).await, "{attack}");
        }
        victim.is_well(&format!("a greeting, then {attack}")).await;
    }
    victim.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_never_end_and_streams_that_never_begin() {
    let _alone = PROCESS.write().await;
    let mut victim = Victim::start().await;
    let mut attacker = Attacker::connect(&victim).await;
    for bytes in [Words::about(SPACE).hello(), Vec::new()] {
        // A frame of 1 MiB begins, and no more comes.
        let mut stream = attacker.say(&[bytes, vec![0x80, 0x80, 0x40, 1, 2, 3]].concat()).await;
        assert!(is_cut_off(&mut stream).await, "a frame cut short");
    }
    victim.is_well("frames cut short").await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(attacker.stream().await);
    }
    victim.is_well("200 streams that do not greet").await;
    for stream in &mut silent {
        assert!(is_cut_off(stream).await, "it never greets");
    }
    victim.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_reads_nothing() {
    let _alone = PROCESS.write().await;
    let mut victim = Victim::start().await;
    let mut attacker = Attacker::connect(&victim).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut stream = attacker.say(&Words::about(SPACE).hello()).await;
        // It acknowledges what it never read, so that more is sent, and then says that it has nothing more to say.
        for count in 1..200_u8 {
            let ack = [vec![4], varint(count), varint(0)].concat();
            let written = stream.write_all(&frame(&ack)).now_or_never();
            if !matches!(written, Some(Ok(()))) {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
        let _ = timeout(SHORT, stream.close()).await;
        held.push(stream);
    }
    let streams = victim.node.replica.streams();
    assert!(streams <= 8, "{streams} streams are open");
    victim.is_well("40 streams that are not read").await;
    // What was sent and not read lies with the attacker until it goes.
    drop((held, attacker));
    victim.is_well("and gone").await;
    victim.end().await;
}

fn varint(count: u8) -> Vec<u8> {
    if count < 0x80 { vec![count] } else { vec![count, 1] }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_said_again() {
    let _alone = PROCESS.write().await;
    let mut victim = Victim::start().await;
    let mut attacker = Attacker::connect(&victim).await;
    // An honest conversation first: everything that the victim holds is fetched, and what was said is kept.
    let mut words = Words::about(SPACE);
    let mut said = words.hello();
    let mut stream = attacker.say(&said).await;
    let deadline = Instant::now() + PATIENCE;
    while words.engine.root().expect("in memory") != victim.root {
        assert!(Instant::now() < deadline, "an honest engine syncs");
        let bytes = read_frame(&mut stream).await;
        for answer in words.after(1, Input::Received { session: SessionId(1), frame: bytes }) {
            stream.write_all(&answer).await.expect("the victim reads");
            said.extend(answer);
        }
    }
    drop(stream);
    for _ in 0..20 {
        drop(attacker.say(&said).await);
        let cut = said.len() / 2;
        drop(attacker.say(&said[..cut]).await);
    }
    victim.is_well("a conversation said again").await;
    victim.end().await;
}

async fn read_frame(stream: &mut Stream) -> Vec<u8> {
    let read = async {
        let (mut length, mut shift, mut byte) = (0, 0, [0x80]);
        while byte[0] & 0x80 != 0 {
            stream.read_exact(&mut byte).await.expect("the victim goes on");
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
        }
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await.expect("the victim goes on");
        bytes
    };
    timeout(PATIENCE, read).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_speak_libp2p() {
    use tokio::io::AsyncWriteExt;

    let _alone = PROCESS.write().await;
    let mut victim = Victim::start().await;
    let port = victim.node.address().to_string().rsplit('/').next().and_then(|port| port.parse().ok());
    let port: u16 = port.expect("a port");
    let mut held = Vec::new();
    let web = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    for bytes in [web, random(100_000), vec![0; 100_000], vec![0xff; 100_000], Vec::new()] {
        // Fewer than may be set up at once: a flood from one address is another attack.
        for _ in 0..4 {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
            let _ = timeout(SHORT, stream.write_all(&bytes)).await;
            held.push(stream);
        }
    }
    victim.is_well("clients that are none").await;
    victim.end().await;
}
