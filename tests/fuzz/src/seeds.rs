//! What a fuzzer starts from: inputs made from real deltas, sessions, tickets and stores. They are made, not kept.

use rejoin::core::SpaceId;
use rejoin::{Multiaddr, Ticket};

use crate::{deltas, frames};

/// The seeds of a target; none for a name that is no target's.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "deltas" => deltas::base().1.iter().map(rejoin::core::row::Delta::encode).collect(),
        "frames" => (0..32).map(frames::seed).collect(),
        "sessions" => sessions(),
        "tickets" => tickets(),
        "stores" => stores(),
        "documents" => crate::documents::seeds(),
        "images" => crate::images::seeds(),
        _ => Vec::new(),
    }
}

/// Both write and meet; one is cut off after a few frames, crashes, and they meet again.
fn sessions() -> Vec<Vec<u8>> {
    let (first, second) = (0, 128);
    let acts = [
        first,
        1,
        first,
        2,
        second,
        3,
        second + 3,
        3,
        second,
        4,
        8,
        first + 4,
        second + 4,
        first + 4,
        second + 4,
        first,
        5,
        first + 4,
        second + 4,
        9,
        first + 10 + 64,
        11 + 64,
        first,
        1,
        12,
        first + 13,
        0,
        0,
        0,
        second + 8,
        4,
        132,
        4,
        132,
        first + 15 + 64,
        0,
        4,
        132,
    ];
    let with = |settings: [u8; 5]| settings.into_iter().chain(acts).collect();
    vec![with([0, 0, 0, 0, 0]), with([0, 0, 1, 0, 1]), with([1, 1, 2, 1, 2]), with([2, 1, 0, 1, 0])]
}

fn tickets() -> Vec<Vec<u8>> {
    let addresses = ["/ip4/192.0.2.7/udp/4001/quic-v1", "/dns/example.org/tcp/443/wss"];
    let addresses: Vec<Multiaddr> = addresses.iter().filter_map(|text| text.parse().ok()).collect();
    let ticket = Ticket::new(SpaceId([9; 32]), "board", addresses);
    let short = Ticket::new(SpaceId([0; 32]), "", []);
    vec![ticket.to_string().into_bytes(), short.to_string().into_bytes(), b"rejoin:aea".to_vec()]
}

/// No damage, and one of each kind.
fn stores() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = (0..3).map(|which| vec![which]).collect();
    for kind in 0..8 {
        seeds.push(vec![2, 1, 10, kind, 3, 0, 0, 8]);
        seeds.push(vec![7, 1, 0, kind, 3, 0, 0, 8]);
        seeds.push(vec![1, kind, 100, 0, 0, 8, 16, 0, 4, 0]);
    }
    seeds
}
