//! Tickets: one word that lets another device join a space.
//!
//! `rejoin:` and base32, lower case, of: version (1 byte), length of all that follows (2, little endian, so that a ticket
//! that was cut off says so), role (1), space id (32), name (length, UTF-8), addresses (count, then length and multiaddr
//! bytes each), and 4 bytes of BLAKE3 over all before. **Whoever has the ticket of an open space can join it**: a ticket is a
//! secret, and its `Debug` form hides it.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use rejoin_core::SpaceId;
use rejoin_core::codec::{self, BoundedBytes, BoundedVec};
use rejoin_net::Multiaddr;
use serde::{Deserialize, Serialize};
use thiserror::Error;

const SCHEME: &str = "rejoin:";
const VERSION: u8 = 1;
/// Bytes of the version and of the length.
const HEAD: usize = 3;
/// Bytes of the check at the end.
const CHECK: usize = 4;
/// Addresses that a ticket carries; more make it long, and one that answers is enough.
const ADDRESSES: usize = 4;
/// Bytes of the longest name, of the longest address, and of a ticket longer than any of ours.
const NAME: usize = 64;
const ADDRESS: usize = 256;
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

#[derive(Serialize, Deserialize)]
struct Body {
    role: u8,
    space: SpaceId,
    name: BoundedBytes<NAME>,
    addresses: BoundedVec<BoundedBytes<ADDRESS>, ADDRESSES>,
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
        let fitting = addresses.into_iter().filter(|address| address.to_vec().len() <= ADDRESS);
        let mut end = name.len().min(NAME);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        Self { space, name: name[..end].into(), addresses: fitting.take(ADDRESSES).collect() }
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
        let bounded = "cut when the ticket was made";
        let addresses =
            self.addresses.iter().map(|address| BoundedBytes::new(address.to_vec()).expect(bounded));
        let body = codec::encode(&Body {
            role: Grant::Write as u8,
            space: self.space,
            name: BoundedBytes::new(self.name.clone().into_bytes()).expect(bounded),
            addresses: BoundedVec::new(addresses.collect()).expect(bounded),
        });
        let following = u16::try_from(body.len() + CHECK).expect("all its parts are bounded");
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&following.to_le_bytes());
        bytes.extend_from_slice(&body);
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(&check.as_bytes()[..CHECK]);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (before, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK)?)?;
        if blake3::hash(before).as_bytes()[..CHECK] != *check {
            return None;
        }
        let body: Body = codec::decode(&before[HEAD..]).ok()?;
        let addresses =
            body.addresses.into_vec().into_iter().map(|address| address.into_vec().try_into().ok());
        Some(Self {
            space: body.space,
            name: String::from_utf8(body.name.into_vec()).ok()?,
            addresses: addresses.collect::<Option<_>>()?,
        })
        .filter(|_| body.role == Grant::Write as u8)
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        let head = text.get(..SCHEME.len()).filter(|head| head.eq_ignore_ascii_case(SCHEME));
        let head = head.ok_or(TicketError::NoTicket)?;
        let letters = text[head.len()..].to_ascii_uppercase();
        let strange = |letter: char| !matches!(letter, 'A'..='Z' | '2'..='7');
        if letters.len() > MOST_BYTES * 2 || letters.contains(strange) {
            return Err(TicketError::Damaged);
        }
        // A cut may leave letters that are no whole bytes: those that are say how long it was.
        let whole = (0..=letters.len().min(7)).find_map(|cut| {
            let letters = letters.as_bytes().get(..letters.len() - cut)?;
            BASE32_NOPAD.decode(letters).ok().map(|bytes| (bytes, cut))
        });
        let (bytes, cut) = whole.ok_or(TicketError::Damaged)?;
        let letters_of = |bytes: usize| BASE32_NOPAD.encode_len(bytes);
        if let Some(version) = bytes.first().filter(|version| **version != VERSION) {
            return Err(TicketError::Newer(*version));
        }
        let all = match bytes.get(1..HEAD) {
            Some(length) => HEAD + usize::from(u16::from_le_bytes([length[0], length[1]])),
            // Nobody knows how long it was; it was longer than this.
            None => HEAD + CHECK,
        };
        if bytes.len() < all {
            return Err(TicketError::CutOff { missing: letters_of(all).saturating_sub(letters.len()) });
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
        for end in SCHEME.len()..text.len() {
            let cut = text[..end].parse::<Ticket>();
            let Err(TicketError::CutOff { missing }) = cut else { panic!("cut at {end}: {cut:?}") };
            // Five letters hold the length.
            assert!(
                missing == text.len() - end || end < SCHEME.len() + 5 && missing > 0,
                "{missing} at {end}"
            );
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
