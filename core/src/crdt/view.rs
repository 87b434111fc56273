//! What all views share: an address, ranges of keys, and the way values lie in rows.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::ControlFlow;
use core::time::Duration;

use crate::error::KeyError;
use crate::row::{DataError, Entry, Object, Payload, ReadRows, RowKey, WriteRows};
use crate::value::{Value, ValueError, encode_element};

/// A view over one object. With it a type of your own gets a [`Standalone`](super::Standalone) value for nothing.
pub trait View: Sized {
    /// The view of the object at `path`; see [`Object::new`] for what a path is.
    fn at(path: &str) -> Result<Self, KeyError>;

    /// The object that it shows.
    fn object(&self) -> &Object;
}

/// Declares a view: its struct, its address, and `clear`, unless it is to be `kept`.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $crate::crdt::view::view!($(#[$doc])* $name, $kind, kept);

        impl $name {
            /// Removes every row that the writer sees. Concurrent writes survive.
            pub fn clear<W: $crate::row::WriteRows>(&self, rows: &mut W) -> Result<(), W::Error> {
                $crate::crdt::view::clear(&self.0, rows)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $kind:ident, kept) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name($crate::row::Object);

        impl $name {
            /// The view of the object at `path`: one or more names joined by `/`. Nothing is created; an object is its rows.
            pub fn at(path: &str) -> Result<Self, $crate::error::KeyError> {
                $crate::row::Object::new($crate::row::Kind::$kind, path).map(Self)
            }

            /// The object that it shows.
            pub const fn object(&self) -> &$crate::row::Object {
                &self.0
            }
        }

        impl $crate::crdt::View for $name {
            fn at(path: &str) -> Result<Self, $crate::error::KeyError> {
                Self::at(path)
            }

            fn object(&self) -> &$crate::row::Object {
                self.object()
            }
        }
    };
}
pub(super) use view;

/// Which keys of a map, or elements of a set, a read visits. They come in the order of
/// [`encode_element`]: by kind, then numbers by size and text byte by byte.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Keys {
    /// All of them.
    #[default]
    All,
    /// Those from this one on.
    From(Value),
    /// Text that begins with this.
    Prefix(String),
}

impl Keys {
    /// The element to begin with, and what the elements must begin with.
    fn bounds(&self) -> Result<(Vec<u8>, Vec<u8>), DataError> {
        Ok(match self {
            Self::All => (Vec::new(), Vec::new()),
            Self::From(first) => (encode_element(first)?, Vec::new()),
            Self::Prefix(text) => {
                let prefix = encode_element(&Value::from(text.as_str()))?;
                (prefix.clone(), prefix)
            }
        })
    }
}

/// Visits the rows of `object` whose element lies in `keys`.
pub(super) fn scan<R: ReadRows>(
    object: &Object,
    rows: &R,
    keys: &Keys,
    mut visit: impl FnMut(&[u8], &[Entry]) -> ControlFlow<()>,
) -> Result<(), R::Error> {
    let (from, prefix) = keys.bounds()?;
    rows.scan(object, &from, &mut |key, entries| {
        if !key.element().starts_with(&prefix) {
            return ControlFlow::Break(());
        }
        visit(key.element(), entries)
    })
}

/// Removes all rows of `object`.
pub(super) fn clear<W: WriteRows>(object: &Object, rows: &mut W) -> Result<(), W::Error> {
    let mut keys = Vec::new();
    rows.scan(object, &[], &mut |key, _| {
        keys.push(key.clone());
        ControlFlow::Continue(())
    })?;
    keys.into_iter().try_for_each(|key| rows.remove(key))
}

/// The row of a key or element.
pub(super) fn row_of(object: &Object, element: &Value) -> Result<RowKey, DataError> {
    Ok(object.row(&encode_element(element)?)?)
}

/// The one row of an object that has only one.
pub(super) fn only_row(object: &Object) -> RowKey {
    object.row(&[]).expect("the prefix alone is within the limit")
}

/// A value as a payload.
pub(super) fn payload_of(value: &Value) -> Result<Payload, DataError> {
    Ok(Payload::new(value.encode()?).expect("an encoded value is within the limit of a payload"))
}

/// The payload of a row that is written now and is shown for so long.
pub(super) fn payload_for<W: WriteRows>(
    rows: &W,
    payload: &Payload,
    time_to_live: Duration,
) -> Result<Payload, DataError> {
    let millis = u64::try_from(time_to_live.as_millis()).unwrap_or(u64::MAX);
    // Where clocks elsewhere are fast it is to last there, too.
    let now = rows.wall_ms().max(rows.time().millis());
    let until = payload.until(now.saturating_add(millis));
    until.ok_or(DataError::Value(ValueError::TooLong))
}

/// The entry that wins, of those that decode.
pub(super) fn newest(entries: &[Entry]) -> Option<&Entry> {
    let values = entries.iter().filter(|entry| Value::decode(entry.payload.value()).is_ok());
    values.max_by_key(|entry| entry.rank())
}

/// The values of the live entries of a row, the winner first. What does not decode is skipped.
pub(super) fn newest_first(entries: &[Entry]) -> impl Iterator<Item = Value> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_unstable_by_key(|entry| Reverse(entry.rank()));
    sorted.into_iter().filter_map(|entry| Value::decode(entry.payload.value()).ok())
}
