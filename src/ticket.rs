//! Tickets: one word that lets another device join a space.
//!
//! `rejoin:` and base32, lower case, of: version (1 byte), length of all that follows (varint, so that a ticket that was
//! cut off says so), role (1), space id (32), name (length, UTF-8), addresses (count, then length and multiaddr bytes
//! each), and 4 bytes of BLAKE3 over all before. **Whoever has the ticket of an open space can join it**: a ticket is a
//! secret, and its `Debug` form hides it.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use rejoin_core::SpaceId;
use rejoin_net::Multiaddr;
use thiserror::Error;

const SCHEME: &str = "rejoin:";
const VERSION: u8 = 1;
const CHECK: usize = 4;
/// Addresses that a ticket carries; more make it long, and one that answers is enough.
const ADDRESSES: usize = 4;
/// Longer than any ticket of ours.
const MOST_BYTES: usize = 2048;

/// What a ticket allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grant {
    /// Reading and writing. In an open space every ticket allows it.
    Write,
}

/// An invitation to a space.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    space: SpaceId,
    name: String,
    addresses: Vec<Multiaddr>,
}

/// A text that is no ticket.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TicketError {
    /// It does not begin like one.
    #[error("this is no ticket: a ticket begins with `{SCHEME}`")]
    NoTicket,
    /// The end is missing.
    #[error("the ticket is cut off, characters missing at its end: {missing}; copy all of it")]
    CutOff {
        /// How many.
        missing: usize,
    },
    /// Something in it was changed.
    #[error("the ticket has a mistake in it: copy it again, do not type it")]
    Damaged,
    /// It comes from a later version.
    #[error("the ticket is of version {0}, and this rejoin knows {VERSION}: update it to join")]
    Newer(u8),
}

impl Ticket {
    /// A ticket for a space that nodes at these addresses hold; the first four go in.
    pub fn new(space: SpaceId, name: &str, addresses: impl IntoIterator<Item = Multiaddr>) -> Self {
        let addresses = addresses.into_iter().take(ADDRESSES).collect();
        Self { space, name: name.into(), addresses }
    }

    /// The space.
    pub fn space(&self) -> SpaceId {
        self.space
    }

    /// What whoever made the ticket calls the space.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where to find others who hold it.
    pub fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    fn encode(&self) -> Vec<u8> {
        let mut rest = vec![Grant::Write as u8];
        rest.extend_from_slice(&self.space.0);
        push(&mut rest, self.name.as_bytes());
        rest.push(self.addresses.len() as u8);
        self.addresses.iter().for_each(|address| push(&mut rest, &address.to_vec()));
        let mut bytes = vec![VERSION];
        push_length(&mut bytes, rest.len() + CHECK);
        bytes.append(&mut rest);
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(&check.as_bytes()[..CHECK]);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK)?)?;
        if blake3::hash(body).as_bytes()[..CHECK] != *check {
            return None;
        }
        let mut rest = &body[1..];
        length(&mut rest)?;
        let (role, mut rest) = rest.split_first()?;
        if *role != Grant::Write as u8 {
            return None;
        }
        let space = SpaceId(take(&mut rest, 32)?.try_into().ok()?);
        let name_length = length(&mut rest)?;
        let name = String::from_utf8(take(&mut rest, name_length)?.to_vec()).ok()?;
        let mut addresses = Vec::new();
        for _ in 0..take(&mut rest, 1)?[0] {
            let address_length = length(&mut rest)?;
            let address = take(&mut rest, address_length)?.to_vec();
            addresses.push(Multiaddr::try_from(address).ok()?);
        }
        (rest.is_empty() && addresses.len() <= ADDRESSES).then_some(Self { space, name, addresses })
    }
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) {
    push_length(bytes, part.len());
    bytes.extend_from_slice(part);
}

fn push_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

fn length(bytes: &mut &[u8]) -> Option<usize> {
    let mut length = 0;
    for shift in [0, 7] {
        let byte = take(bytes, 1)?[0];
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (part, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        let head = text.get(..SCHEME.len()).filter(|head| head.eq_ignore_ascii_case(SCHEME));
        let head = head.ok_or(TicketError::NoTicket)?;
        let letters = text[head.len()..].to_ascii_uppercase();
        if letters.len() > MOST_BYTES * 2 {
            return Err(TicketError::Damaged);
        }
        // A cut may leave letters that are no whole bytes: those that are say how long it was.
        let whole = (0..=letters.len().min(7)).find_map(|cut| {
            let letters = letters.as_bytes().get(..letters.len() - cut)?;
            BASE32_NOPAD.decode(letters).ok().map(|bytes| (bytes, cut))
        });
        let (bytes, cut) = whole.ok_or(TicketError::Damaged)?;
        let Some((version, mut rest)) = bytes.split_first() else {
            return Err(TicketError::CutOff { missing: 1 });
        };
        if *version != VERSION {
            return Err(TicketError::Newer(*version));
        }
        let following = length(&mut rest).filter(|length| *length <= MOST_BYTES);
        let following = following.ok_or(if rest.is_empty() {
            TicketError::CutOff { missing: 1 }
        } else {
            TicketError::Damaged
        })?;
        if rest.len() < following {
            let all = bytes.len() - rest.len() + following;
            return Err(TicketError::CutOff { missing: BASE32_NOPAD.encode_len(all) - letters.len() });
        }
        if cut > 0 {
            return Err(TicketError::Damaged);
        }
        Self::decode(&bytes).ok_or(TicketError::Damaged)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", BASE32_NOPAD.encode(&self.encode()).to_ascii_lowercase())
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        let address = "/ip4/192.0.2.7/udp/4001/quic-v1".parse().expect("an address");
        Ticket::new(SpaceId([9; 32]), "board", [address])
    }

    #[test]
    fn a_ticket_is_one_short_word_in_either_case() {
        let text = ticket().to_string();
        assert_eq!(text.parse(), Ok(ticket()));
        assert_eq!(text.to_ascii_uppercase().parse(), Ok(ticket()));
        assert_eq!(format!("  {text}\n").parse(), Ok(ticket()));
        assert!(text.len() < 110, "{} characters", text.len());
        assert_eq!(format!("{:?}", ticket()), "Ticket(secret)");
    }

    #[test]
    fn every_cut_and_every_changed_letter_is_noticed() {
        let text = ticket().to_string();
        for end in SCHEME.len() + 4..text.len() {
            let cut = text[..end].parse::<Ticket>();
            assert_eq!(cut, Err(TicketError::CutOff { missing: text.len() - end }), "cut at {end}");
        }
        for at in SCHEME.len()..text.len() {
            let mut letters = text.clone().into_bytes();
            letters[at] = if letters[at] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(letters).expect("ascii");
            assert!(changed.parse::<Ticket>().is_err(), "changed at {at}");
        }
        assert_eq!("hello".parse::<Ticket>(), Err(TicketError::NoTicket));
        assert_eq!(format!("{SCHEME}!!!").parse::<Ticket>(), Err(TicketError::Damaged));
    }
}
