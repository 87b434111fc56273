//! A token: what a replica has seen, small enough to hand over.
//!
//! Problem: an app writes on a phone and reads on a laptop, and wants to read its own write (read your writes), or nothing
//! older than what it has read (monotonic reads). Between the two devices it can carry a few bytes.
//!
//! Idea: the frontier. Histories are causally closed, so who holds the maximal dots holds all that lies in their past, and a
//! write has everything in its past that its writer could see: the token of a write is one dot. Session guarantees by
//! version vectors are older (Terry et al., Session Guarantees for Weakly Consistent Replicated Data, PDIS 1994); a frontier
//! says the same in one to three dots, however many replicas ever wrote.
//!
//! A frontier of more than sixteen dots travels in a delta as a digest of the whole vector. A token lists them all the same:
//! a digest can be checked only by somebody who stands at exactly that vector, and a reader has usually gone beyond it.
//!
//! | text | meaning |
//! |---|---|
//! | `nothing` | the empty token: every replica has seen it |
//! | 32 hexadecimal digits, `:`, number | a dot |
//! | dots joined by `,` | all of them |

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Frontier;
use crate::error::CodecError;
use crate::id::{Dot, ReplicaId, parse_hex, write_hex};

const NOTHING: &str = "nothing";

/// What somebody has seen. See the [module page](crate::clock). It is made of a frontier: none of its dots lies in the past
/// of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token(Frontier);

impl Token {
    /// What has seen this dot, and all that its writer had seen.
    pub fn of_write(dot: Dot) -> Self {
        Self(Frontier::from_dots([dot]))
    }

    /// Its dots, in order: at most one for each replica.
    pub fn dots(&self) -> impl Iterator<Item = Dot> + '_ {
        self.0.dots()
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Frontier> for Token {
    fn from(frontier: Frontier) -> Self {
        Self(frontier)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str(NOTHING);
        }
        for (number, dot) in self.dots().enumerate() {
            f.write_str(if number == 0 { "" } else { "," })?;
            write_hex(f, dot.replica.as_bytes())?;
            write!(f, ":{}", dot.seq)?;
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        if text == NOTHING {
            return Ok(Self::default());
        }
        let dot = |text: &str| {
            let (replica, seq) = text.split_once(':')?;
            // As it is printed: neither a sign nor zeros before it.
            let seq = seq.parse().ok().filter(|_| matches!(seq.as_bytes(), [b'1'..=b'9', ..]))?;
            Some(Dot::new(ReplicaId::from_bytes(parse_hex(replica)?), seq))
        };
        let dots = text.split(',').map(dot).collect::<Option<alloc::vec::Vec<Dot>>>();
        let dots = dots.ok_or(CodecError::Malformed)?;
        // In order and each replica once, as it is printed.
        if dots.is_sorted_by(|one, next| one.replica < next.replica) {
            Ok(Self(Frontier::from_dots(dots)))
        } else {
            Err(CodecError::NotCanonical)
        }
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Token;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Token, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn a_token_comes_back_from_its_text(dots: Vec<(u64, u64)>) -> bool {
            let dots = dots.into_iter().map(|(replica, seq)| {
                Dot::new(ReplicaId::from_u128(u128::from(replica) << 60), seq.max(1))
            });
            let token = Token::from(Frontier::from_dots(dots));
            let json = serde_json::to_string(&token).unwrap();
            let bytes = postcard::to_allocvec(&token).unwrap();
            token.to_string().parse() == Ok(token.clone())
                && serde_json::from_str::<Token>(&json).unwrap() == token
                && postcard::from_bytes::<Token>(&bytes).unwrap() == token
        }

        fn what_is_no_token_is_refused(text: alloc::string::String) -> bool {
            text.parse::<Token>().is_err() || text.parse::<Token>().unwrap().to_string() == text
        }
    }

    #[test]
    fn it_is_short_and_names_each_replica_once() {
        let id = |number: u128| ReplicaId::from_u128(number);
        let token = Token::from(Frontier::from_dots([Dot::new(id(2), 7), Dot::new(id(1), 300)]));
        let text = "00000000000000000000000000000001:300,00000000000000000000000000000002:7";
        assert_eq!(token.to_string(), text);
        assert_eq!(Token::default().to_string(), "nothing");
        assert_eq!("nothing".parse(), Ok(Token::default()));
        let one = "00000000000000000000000000000001";
        for bad in ["", "X", "X:", "X:0", "X:01", "X:+1", "X:1,", "1:1", "X:18446744073709551616"] {
            let bad = bad.replace('X', one);
            assert_eq!(bad.parse::<Token>(), Err(CodecError::Malformed), "{bad}");
        }
        let twice = alloc::format!("{one}:1,{one}:2");
        assert_eq!(twice.parse::<Token>(), Err(CodecError::NotCanonical));
    }
}
