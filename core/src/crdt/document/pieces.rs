//! Changes and saved documents in rows: one row each, or several where one would be too large.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::ControlFlow;

use automerge::ChangeHash;

use crate::row::{DataError, Entry, Object, Payload, ReadRows, RowKey, WriteRows};

/// Largest part: some of them fit into a delta beside the change that they belong to.
const PART: usize = 240 * 1024;
/// Bytes of a name in an element.
const NAME: usize = 33;

/// What rows of a document hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    /// One change.
    Change(ChangeHash),
    /// A change and all that it stands on.
    Saved(ChangeHash),
}

impl Piece {
    /// The change that names it.
    pub(super) const fn hash(&self) -> &ChangeHash {
        let (Self::Change(hash) | Self::Saved(hash)) = self;
        hash
    }

    const fn tag(&self) -> u8 {
        match self {
            Self::Change(_) => 0,
            Self::Saved(_) => 1,
        }
    }

    fn element(&self, part: Option<(u8, u8)>) -> Vec<u8> {
        let mut element = Vec::with_capacity(NAME + 2);
        element.push(self.tag());
        element.extend_from_slice(&self.hash().0);
        element.extend(part.into_iter().flat_map(|(number, count)| [number, count]));
        element
    }

    /// The piece of a row, and which part of how many the row is.
    fn of(element: &[u8]) -> Option<(Self, u8, u8)> {
        let (name, part) = element.split_at_checked(NAME)?;
        let hash = ChangeHash(name[1..].try_into().ok()?);
        let piece = match name[0] {
            0 => Self::Change(hash),
            1 => Self::Saved(hash),
            _ => return None,
        };
        match *part {
            [] => Some((piece, 0, 1)),
            [number, count] if number < count && count > 1 => Some((piece, number, count)),
            _ => None,
        }
    }

    /// Writes it.
    pub(super) fn put<W: WriteRows>(
        &self,
        object: &Object,
        rows: &mut W,
        bytes: &[u8],
    ) -> Result<(), W::Error> {
        let count = bytes.len().div_ceil(PART).max(1);
        let count =
            u8::try_from(count).map_err(|_| super::wrong("a change of more than 60 MB fits nowhere"))?;
        let parts = bytes.chunks(PART).chain(bytes.is_empty().then_some(bytes));
        for (number, part) in (0..count).zip(parts) {
            let element = self.element((count > 1).then_some((number, count)));
            let payload = Payload::new(part.to_vec()).expect("a part is within the limit of a payload");
            rows.put(object.row(&element).map_err(DataError::from)?, payload)?;
        }
        Ok(())
    }
}

/// What lies in the rows of a document.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// The rows, by what they hold. What is there in part is not here.
    pub(super) rows: BTreeMap<Piece, Vec<RowKey>>,
    /// The bytes of those that were not known yet, also of several entries of one row.
    pub(super) fresh: Vec<(Piece, Vec<u8>)>,
    /// Bytes in all rows.
    pub(super) bytes: usize,
}

/// The rows of a piece in parts, by their number.
type Parts = BTreeMap<u8, (RowKey, Vec<u8>)>;

impl Pieces {
    /// Reads all rows; gives the bytes only of those that are not `known`.
    pub(super) fn read<R: ReadRows>(
        object: &Object,
        rows: &R,
        known: &BTreeSet<Piece>,
    ) -> Result<Self, R::Error> {
        let mut pieces = Self::default();
        let mut parted = BTreeMap::<(Piece, u8), Parts>::new();
        rows.scan(object, &[], &mut |key, entries| {
            pieces.bytes += entries.iter().map(|entry| entry.payload.len()).sum::<usize>();
            match Piece::of(key.element()) {
                Some((piece, _, 1)) => {
                    pieces.rows.entry(piece).or_default().push(key.clone());
                    if !known.contains(&piece) {
                        let bytes = entries.iter().map(|entry| (piece, entry.payload.to_vec()));
                        pieces.fresh.extend(bytes);
                    }
                }
                Some((piece, number, count)) => {
                    let bytes = newest(entries).filter(|_| !known.contains(&piece));
                    let part = (key.clone(), bytes.map(|bytes| bytes.to_vec()).unwrap_or_default());
                    parted.entry((piece, count)).or_default().insert(number, part);
                }
                // Of a version to come.
                None => {}
            }
            ControlFlow::Continue(())
        })?;
        let whole = parted.into_iter().filter(|((_, count), parts)| parts.len() == usize::from(*count));
        for ((piece, _), parts) in whole {
            let (keys, bytes): (Vec<_>, Vec<_>) = parts.into_values().unzip();
            pieces.rows.entry(piece).or_default().extend(keys);
            if !known.contains(&piece) {
                pieces.fresh.push((piece, bytes.concat()));
            }
        }
        Ok(pieces)
    }

    /// Those that are there whole.
    pub(super) fn live(&self) -> BTreeSet<Piece> {
        self.rows.keys().copied().collect()
    }
}

fn newest(entries: &[Entry]) -> Option<&Payload> {
    entries.iter().max_by_key(|entry| entry.rank()).map(|entry| &entry.payload)
}
