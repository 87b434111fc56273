//! Bytes as what a peer sends: frames on a stream, messages by gossip, streams opened and closed at any moment.
//!
//! The first byte chooses the engine under attack; the rest is a list of acts, each a byte and what it needs.

use rejoin::core::engine::{Config, Input, Push, Role, SessionId};
use rejoin::core::store::MemoryStore;

use crate::draw::Draw;
use crate::host::{Host, config};
use crate::identity::Device;

/// Feeds an engine that holds data. It must stay sound, go on writing, and talk to an honest peer without a panic.
pub fn frames(data: &[u8]) {
    let mut draw = Draw::new(data);
    let mode = draw.byte();
    let mut victim = victim(mode);
    let mut session = connect(&mut victim, SessionId(1), mode);
    let mut writes = 0;
    while !draw.is_empty() {
        match draw.byte() % 16 {
            0..9 => victim.input(Input::Received { session, frame: draw.bytes().to_vec() }),
            9 => victim.input(Input::Received { session, frame: deflated(&mut draw) }),
            10 | 11 => victim.gossip(draw.bytes().to_vec()),
            12 => victim.tick(u64::from(draw.byte()) * 10, true),
            13 => {
                victim.input(Input::Disconnected { session });
                session = connect(&mut victim, SessionId(session.0 + 1), mode);
            }
            14 => {
                victim.slow = draw.byte() % 2 == 1;
                victim.release(false);
            }
            _ => {
                victim.put(writes, "written meanwhile").expect("a small transaction");
                writes = writes.wrapping_add(1);
            }
        }
        if victim.closed.contains(&session) {
            session = connect(&mut victim, SessionId(session.0 + 1), mode);
        }
    }
    victim.slow = false;
    victim.release(false);
    victim.input(Input::Disconnected { session });
    victim.engine.check().unwrap_or_else(|wrong| panic!("unsound: {wrong}"));
    victim.put(7, "still here").expect("it goes on writing");
    let mut peer = peer(mode);
    carry(&mut victim, &mut peer, SessionId(session.0 + 1), &mut |_, _| {});
    for host in [victim, peer] {
        host.engine.check().unwrap_or_else(|wrong| panic!("unsound after meeting a peer: {wrong}"));
    }
}

/// Drawn bytes as a deflated frame: of one block that stores them, so that what is inflated can be changed byte by byte. What
/// it claims to come to may be a lie.
fn deflated(draw: &mut Draw<'_>) -> Vec<u8> {
    let (kind, claim, bytes) = (draw.byte(), draw.byte(), draw.bytes());
    let length = u16::try_from(bytes.len()).expect("drawn behind a length of two bytes");
    let claimed = match claim {
        0..192 => u32::from(length),
        _ => u32::from(length) << (claim % 16),
    };
    let number = |number: u32| (0..5).map(move |at| (number >> (at * 7)).to_le_bytes()[0] & 0x7f);
    let last = (1..5).rev().find(|at| claimed >> (at * 7) > 0).unwrap_or(0);
    let claimed =
        number(claimed).take(last + 1).enumerate().map(|(at, byte)| byte | if at < last { 0x80 } else { 0 });
    let mut frame: Vec<u8> = [0x80 | kind, 0].into_iter().chain(claimed).collect();
    frame.push(1);
    frame.extend(length.to_le_bytes());
    frame.extend((!length).to_le_bytes());
    frame.extend_from_slice(bytes);
    frame
}

fn connect(victim: &mut Host, session: SessionId, mode: u8) -> SessionId {
    let role = if mode & 4 == 0 { Role::Responder } else { Role::Initiator };
    victim.input(Input::Connected { session, role });
    session
}

fn config_of(mode: u8) -> Config {
    let log_bytes = if mode & 1 == 0 { 1 << 20 } else { 0 };
    let push = if mode & 8 == 0 { Push::Streams } else { Push::Gossip };
    let chunk_bytes = if mode & 16 == 0 { 64 * 1024 } else { 1 };
    Config { push, chunk_bytes, ..config(log_bytes) }
}

/// The engine under attack: it holds a few rows, some replaced and some removed, and believes every signature if `mode`
/// says so.
pub(crate) fn victim(mode: u8) -> Host {
    let device = Device { number: 1, credulous: mode & 2 != 0 };
    let mut host = Host::open(device, 0, config_of(mode), MemoryStore::new()).expect("an empty store");
    for number in 0..4 {
        host.put(number, "first").expect("a small transaction");
    }
    host.put(1, "second").expect("a small transaction");
    host.remove(2).expect("a small transaction");
    host
}

/// An honest peer with data of its own.
pub(crate) fn peer(mode: u8) -> Host {
    let device = Device { number: 2, credulous: mode & 2 != 0 };
    let mut host = Host::open(device, 0, config_of(mode), MemoryStore::new()).expect("an empty store");
    for number in 3..6 {
        host.put(number, "of the peer").expect("a small transaction");
    }
    host.remove(5).expect("a small transaction");
    host
}

/// Carries frames between the two until there are none, or for long enough; shows each one first, with whom it is for.
pub(crate) fn carry(
    victim: &mut Host,
    peer: &mut Host,
    session: SessionId,
    see: &mut dyn FnMut(bool, &[u8]),
) {
    const FRAMES: usize = 1000;
    victim.sent.clear();
    peer.input(Input::Connected { session, role: Role::Responder });
    victim.input(Input::Connected { session, role: Role::Initiator });
    for _ in 0..FRAMES {
        let (from_victim, from_peer) = (std::mem::take(&mut victim.sent), std::mem::take(&mut peer.sent));
        let is_open = !victim.closed.contains(&session) && !peer.closed.contains(&session);
        if !is_open || from_victim.is_empty() && from_peer.is_empty() {
            return;
        }
        for (_, frame) in from_victim {
            see(false, &frame);
            peer.input(Input::Received { session, frame });
        }
        for (_, frame) in from_peer {
            see(true, &frame);
            victim.input(Input::Received { session, frame });
        }
    }
}

/// Real frames for the engine under attack, in the form that [`frames`] reads.
pub(crate) fn seed(mode: u8) -> Vec<u8> {
    let mut victim = victim(mode);
    let mut peer = peer(mode);
    let mut seed = vec![mode];
    let mut add = |kind: u8, frame: &[u8]| {
        // Some as they are, some as what a deflated frame comes to.
        let (acts, bytes) = match frame {
            [number @ (3 | 8 | 10 | 15 | 17), rest @ ..] if kind == 0 && mode & 8 != 0 => {
                (vec![9, *number, 0], rest)
            }
            _ => (vec![kind], frame),
        };
        seed.extend(acts);
        seed.extend_from_slice(&u16::try_from(bytes.len()).expect("small frames").to_le_bytes());
        seed.extend_from_slice(bytes);
    };
    for frame in std::mem::take(&mut peer.published) {
        add(10, &frame);
        victim.gossip(frame);
    }
    let session = SessionId(1);
    if mode & 4 == 0 {
        // The peer greets first.
        carry(&mut peer, &mut victim, session, &mut |to_first, frame| {
            if !to_first {
                add(0, frame);
            }
        });
    } else {
        carry(&mut victim, &mut peer, session, &mut |to_victim, frame| {
            if to_victim {
                add(0, frame);
            }
        });
    }
    seed
}
