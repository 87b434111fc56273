//! Strangers: garbage at the port, garbage at the socket, and a member of the space that does not keep to the protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, SwarmBuilder, noise, ping, tcp, yamux};
use rejoin::core::SpaceId;
use rejoin::core::engine::{Config, Engine, Input, Now, Output, Role, SessionId};
use rejoin::core::identity::Ed25519;
use rejoin::core::store::MemoryStore;
use serde_json::{Value, json};

use crate::support::{Home, PATIENCE, Random, Serving};

/// More than a node may grow by what a hundred strangers send.
const GROWTH_KIB: u64 = 32 * 1024;

/// Memory in use; 0 where the system does not tell.
fn memory_kib(serving: &Serving) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", serving.process.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A node that answers its owner, and syncs with a friend.
fn assert_well(home: &Home, serving: &Serving, friend: &Home, before_kib: u64) {
    home.json(&["counter", "add", "board/n"]);
    let report = friend.json(&["sync", "board", &serving.address]);
    assert_eq!(report["root"], home.json(&["spaces"])[0]["root"]);
    assert_eq!(home.json(&["verify"])[0]["sound"], true);
    let growth = memory_kib(serving).saturating_sub(before_kib);
    println!("grew by {growth} KiB");
    assert!(growth < GROWTH_KIB, "grew by {growth} KiB");
}

fn with_friend() -> (Home, Home) {
    let (home, friend) = (Home::with_space("board"), Home::empty());
    let ticket = home.json(&["ticket", "board"])["ticket"].as_str().expect("a ticket").to_owned();
    friend.json(&["join", &ticket]);
    (home, friend)
}

#[test]
fn garbage_at_the_port_is_shrugged_off() {
    let (home, friend) = with_friend();
    let serving = home.serve(&[]);
    friend.json(&["sync", "board", &serving.address]);
    let before = memory_kib(&serving);
    let mut random = Random(11);
    let header = b"\x13/multistream/1.0.0\n".as_slice();
    let noise = b"\x13/multistream/1.0.0\n\x07/noise\n".as_slice();
    for round in 0..120 {
        let mut stream = TcpStream::connect(("127.0.0.1", serving.port())).expect("it listens");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time");
        stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a time");
        let garbage = random.bytes(5000);
        let said = match round % 6 {
            0 => garbage,
            1 => [header, &garbage].concat(),
            // A handshake of the largest size that its prefix can claim, and less than that of it.
            2 => [noise, &[0xff, 0xff], &garbage].concat(),
            3 => [noise, &[0, 0], &garbage].concat(),
            // A line that claims to be four GiB long.
            4 => vec![0xff, 0xff, 0xff, 0xff, 0x0f],
            _ => Vec::new(),
        };
        // It may have closed before all was written.
        let _ = stream.write_all(&said);
        let _ = stream.read(&mut [0; 1024]);
    }
    assert_well(&home, &serving, &friend, before);
    serving.stop();
}

fn ask(home: &Home, request: &[u8]) -> Option<Value> {
    let mut socket = UnixStream::connect(home.data().join("rejoin.sock")).expect("it answers");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time");
    socket.set_write_timeout(Some(PATIENCE)).expect("a time");
    // It may have closed before all was written.
    let _ = socket.write_all(request);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let mut line = String::new();
    // A connection that is reset has not answered either.
    let read = BufReader::new(socket).read_line(&mut line).unwrap_or(0);
    (read > 0).then(|| serde_json::from_str(&line).expect("answers are JSON"))
}

#[test]
fn garbage_at_the_socket_is_answered_with_an_error() {
    let (home, friend) = with_friend();
    let serving = home.serve(&[]);
    friend.json(&["sync", "board", &serving.address]);
    let before = memory_kib(&serving);
    let mut random = Random(12);
    let deep = format!("{}\n", "[".repeat(1 << 20));
    let long = format!("{{\"args\":[\"{}\"]}}\n", "x".repeat(1 << 20));
    for request in [
        &b"garbage\n"[..],
        b"\n",
        b"{}\n",
        b"null\n",
        b"[1,2,3]\n",
        b"{\"args\":7}\n",
        b"{\"args\":[]}\n",
        b"{\"args\":[\"no-such-command\"]}\n",
        b"{\"args\":[\"map\",\"put\"]}\n",
        b"{\"args\":[\"--help\"]}\n",
        b"\xff\xfe\n",
        b"{\"args\":[\"status\"",
        deep.as_bytes(),
        long.as_bytes(),
        &[random.bytes(100_000), b"\n".to_vec()].concat(),
    ] {
        let answer = ask(&home, request);
        let answer = answer.unwrap_or_else(|| {
            panic!("no answer to {}", String::from_utf8_lossy(&request[..request.len().min(40)]))
        });
        assert_eq!(answer["exit"], 2, "{answer}");
        assert!(answer["error"].as_str().is_some_and(|words| !words.is_empty()), "{answer}");
    }
    let nested = ask(&home, b"{\"args\":[\"serve\"]}\n").expect("an answer");
    assert_eq!(nested["exit"], 1, "{nested}");
    assert_eq!(ask(&home, b""), None);
    // Options that only matter at the other end are let pass.
    let status =
        ask(&home, b"{\"args\":[\"--json\",\"--data\",\"/nowhere\",\"counter\",\"get\",\"board/n\"]}\n");
    assert_eq!(status, Some(json!({ "out": [{ "value": 0 }], "exit": 0, "error": null })));
    assert_well(&home, &serving, &friend, before);
    serving.stop();
}

/// What an honest node says first about a space.
fn hello(space: SpaceId) -> Vec<u8> {
    let identity = Box::new(Ed25519::from_seed([3; 32]));
    let mut engine =
        Engine::open(Config::new(space), identity, MemoryStore::new(), [4; 32]).expect("an empty store");
    engine.handle(
        Now { mono_ms: 0, wall_ms: 0 },
        Input::Connected { session: SessionId(1), role: Role::Initiator },
    );
    let frame = std::iter::from_fn(|| engine.poll_output()).find_map(|output| match output {
        Output::Send { frame, .. } => Some(frame),
        _ => None,
    });
    frame.expect("it greets")
}

/// A frame behind its length.
fn framed(frame: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut length = frame.len();
    while length >= 0x80 {
        bytes.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).expect("seven bits"));
    bytes.extend_from_slice(frame);
    bytes
}

/// Answers pings, or it would be taken for gone.
#[derive(NetworkBehaviour)]
struct Stranger {
    streams: libp2p_stream::Behaviour,
    ping: ping::Behaviour,
}

/// Connects, says these texts on a stream each, and waits for a moment until the other end closes.
async fn say(address: &Multiaddr, texts: &[Vec<u8>]) {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("a transport")
        .with_behaviour(|_| Stranger {
            streams: libp2p_stream::Behaviour::new(),
            ping: ping::Behaviour::default(),
        })
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build();
    let mut control = swarm.behaviour().streams.new_control();
    swarm.dial(address.clone()).expect("an address");
    let peer = loop {
        match swarm.next().await.expect("it goes on") {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => break peer_id,
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
            _ => {}
        }
    };
    let running = tokio::spawn(async move { while swarm.next().await.is_some() {} });
    for (number, text) in texts.iter().enumerate() {
        let opened = control.open_stream(peer, StreamProtocol::new("/rejoin/sync/1"));
        let opened = tokio::time::timeout(PATIENCE, opened).await.expect("an answer in time");
        let Ok(mut stream) = opened else {
            // It may have had enough of us, but not before we said anything.
            assert!(number > 0, "no stream: {opened:?}");
            break;
        };
        // It may close before all was written, and it may wait for the rest of what was claimed.
        let _ = stream.write_all(text).await;
        let _ = stream.flush().await;
        let _ = tokio::time::timeout(Duration::from_millis(50), stream.read_to_end(&mut Vec::new())).await;
    }
    running.abort();
}

#[test]
fn a_member_that_says_nonsense_harms_nobody() {
    let (home, friend) = with_friend();
    let serving = home.serve(&[]);
    friend.json(&["sync", "board", &serving.address]);
    let id = home.json(&["spaces"])[0]["id"].as_str().expect("an id").to_owned();
    let space = SpaceId(rejoin::core::id::parse_hex(&id).expect("an id"));
    let greeting = framed(&hello(space));
    let before = memory_kib(&serving);
    let mut random = Random(13);
    let mut texts = vec![
        Vec::new(),
        vec![0],
        // Claims of four GiB and of more than any number.
        vec![0xff, 0xff, 0xff, 0xff, 0x0f],
        vec![0xff; 64],
        framed(&random.bytes(1000)),
        framed(&random.bytes(2 * 1024 * 1024)),
        greeting[..greeting.len() / 2].to_vec(),
    ];
    let bad = [vec![0xff; 64], framed(&[]), framed(&random.bytes(2 * 1024 * 1024)), vec![0; 10_000]];
    texts.extend(bad.map(|bad| [&greeting[..], &bad].concat()));
    texts.extend((0..20).map(|_| [&greeting[..], &framed(&random.bytes(300))].concat()));
    texts.extend(
        (0_u8..20).map(|kind| [&greeting[..], &framed(&[&[kind], &random.bytes(60)[..]].concat())].concat()),
    );
    texts.extend((0..20).map(|_| greeting.repeat(50)));
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let address = serving.address.parse().expect("an address");
    for texts in texts.chunks(3) {
        runtime.block_on(say(&address, texts));
    }
    assert_well(&home, &serving, &friend, before);
    serving.stop();
}
