//! Rows with a time to live.
//!
//! Problem: a lock, a code, a typing mark, a cache: rows that should be gone at some time, on devices that are away then and
//! with clocks that differ. A store that drops a row by its own clock no longer holds what the others hold.
//!
//! Idea: the time is part of what is written, so all hold the same bytes and the same root. *Readers* leave out what has
//! expired, by the clock of their device. Its *author*, or a hub, removes it an hour later by an ordinary transaction, so that
//! it costs nobody anything any more; until then whoever has a slow clock can still see it, and whoever was away still hears
//! of it. Where a row was put anew meanwhile there is nothing to remove.
//!
//! | bytes | |
//! |---|---|
//! | `e0` | no value begins so: versions that know of no expiry take it for a value of a version to come, and show none |
//! | 8, big endian | milliseconds since 1970 |
//! | the rest | what the row holds until then |

use alloc::vec::Vec;

use crate::id::cut;
use crate::row::{Entry, Kind, Payload, RowKey};

/// The first byte of a payload that expires.
pub(crate) const MARK: u8 = 0xe0;

const HEAD_BYTES: usize = 9;

impl Kind {
    /// Whether rows of this kind may have a time to live: those that hold values, a whole one each.
    pub const fn may_expire(self) -> bool {
        matches!(self, Self::OR_SET | Self::LWW_MAP | Self::LWW_REGISTER)
    }
}

impl Payload {
    /// The same until a time, in milliseconds since 1970. `None` when that is too long for a payload.
    pub fn until(&self, millis: u64) -> Option<Self> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.len());
        bytes.push(MARK);
        bytes.extend(millis.to_be_bytes());
        bytes.extend(self.value());
        Self::new(bytes)
    }

    /// What the row holds, without the time that it may have to live.
    pub fn value(&self) -> &[u8] {
        if self.first() == Some(&MARK) { self.get(HEAD_BYTES..).unwrap_or_default() } else { self }
    }
}

/// When what a row of this kind holds expires, if it does, in milliseconds since 1970.
pub fn expiry(kind: Kind, bytes: &Payload) -> Option<u64> {
    let expires = bytes.first() == Some(&MARK) && bytes.len() >= HEAD_BYTES && kind.may_expire();
    expires.then(|| u64::from_be_bytes(cut(&bytes[1..])))
}

/// Whether an entry of this row has expired.
pub(crate) fn is_expired(key: &RowKey, entry: &Entry, now: u64) -> bool {
    expiry(key.kind(), &entry.payload).is_some_and(|millis| millis <= now)
}

/// Calls `show` with those entries of a row that have not expired, unless that is none.
pub(crate) fn show_lasting<T>(
    key: &RowKey,
    entries: &[Entry],
    now: u64,
    show: impl FnOnce(&[Entry]) -> T,
) -> Option<T> {
    if !entries.iter().any(|entry| is_expired(key, entry, now)) {
        return Some(show(entries));
    }
    let lasting: Vec<Entry> = entries.iter().filter(|entry| !is_expired(key, entry, now)).cloned().collect();
    (!lasting.is_empty()).then(|| show(&lasting))
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;
    use crate::clock::Timestamp;
    use crate::id::{Dot, ReplicaId};
    use crate::row::Object;
    use crate::value::Value;

    fn entry(key: &RowKey, seq: u64, payload: Payload) -> Entry {
        Entry::new(key, Dot::new(ReplicaId::from_u128(1), seq), Timestamp(seq), payload)
    }

    quickcheck! {
        fn a_payload_keeps_what_it_holds_until_the_time_that_was_said_last(bytes: Vec<u8>, first: u64, then: u64) -> bool {
            let held = Payload::new(bytes).unwrap();
            let key = Object::new(Kind::LWW_MAP, "a").unwrap().row(b"x").unwrap();
            let until = held.until(first).unwrap().until(then).unwrap();
            let starts_like_one = held.first() == Some(&MARK);
            starts_like_one || (until.value() == &*held && expiry(key.kind(), &until) == Some(then))
        }
    }

    #[test]
    fn no_value_begins_like_what_expires_and_nothing_of_other_kinds_does() {
        assert!(Value::decode(&[MARK]).is_err());
        let payload = Payload::new(&b"x"[..]).unwrap().until(5).unwrap();
        for kind in 0..=u8::MAX {
            assert_eq!(expiry(Kind(kind), &payload).is_some(), Kind(kind).may_expire());
        }
        let key = Object::new(Kind::LWW_MAP, "a").unwrap().row(b"").unwrap();
        let short = Payload::new(&[MARK, 0, 0][..]).unwrap();
        assert_eq!((short.value(), expiry(key.kind(), &short)), (&[][..], None));
    }

    #[test]
    fn entries_are_left_out_from_their_time_on_each_by_itself() {
        let key = Object::new(Kind::OR_SET, "a").unwrap().row(b"").unwrap();
        let [one, two] =
            [(1, 5), (2, 9)].map(|(seq, at)| entry(&key, seq, Payload::default().until(at).unwrap()));
        let shown = |now| show_lasting(&key, &[one.clone(), two.clone()], now, <[Entry]>::len);
        assert_eq!([4, 5, 8, 9].map(shown), [Some(2), Some(1), Some(1), None]);
    }
}
