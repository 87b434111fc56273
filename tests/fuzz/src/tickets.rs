//! Bytes as the text of a ticket, as what lies under its text, and as the parts of one.

use data_encoding::BASE32_NOPAD;
use rejoin::core::SpaceId;
use rejoin::{Multiaddr, Ticket};

use crate::draw::Draw;

const SCHEME: &str = "rejoin:";

/// Parses, and prints what parses.
pub fn tickets(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        parse(text);
    }
    // The check at the end of a ticket would keep a fuzzer out of what it covers.
    parse(&sealed(data));
    let mut draw = Draw::new(data);
    let space = SpaceId([draw.byte(); 32]);
    let name = String::from_utf8_lossy(draw.bytes()).into_owned();
    let mut addresses = Vec::new();
    while !draw.is_empty() && addresses.len() < 6 {
        addresses.extend(Multiaddr::try_from(draw.bytes().to_vec()));
    }
    let ticket = Ticket::new(space, &name, addresses);
    let text = ticket.to_string();
    assert_eq!(text.parse(), Ok(ticket), "what was printed is read");
}

/// The text of a ticket with this body.
pub(crate) fn sealed(body: &[u8]) -> String {
    let length = u16::try_from(body.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = vec![1];
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(body);
    let check = blake3::hash(&bytes);
    bytes.extend_from_slice(&check.as_bytes()[..4]);
    format!("{SCHEME}{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}

fn parse(text: &str) {
    let Ok(ticket) = text.parse::<Ticket>() else { return };
    assert_eq!(ticket.to_string(), text.trim().to_ascii_lowercase(), "one meaning, one text");
}
