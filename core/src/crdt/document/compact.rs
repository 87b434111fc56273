//! When a document is saved whole, and what goes then.

use alloc::vec::Vec;

use automerge::{ChangeHash, ReadDoc, SaveOptions};

use super::Loaded;
use super::loaded::guarded;
use super::pieces::{Piece, Pieces};
use crate::row::WriteRows;

/// One change in so many is a boundary, while there are few.
const EVERY_BITS: u32 = 5;
/// Of n changes at most one in n divided by two to this: so a change is saved again so many times, and some more.
const SHARE_BITS: u32 = 3;
/// But never fewer than one in two to this: what lies between two of them goes in one transaction.
const MOST_BITS: u32 = 10;
/// Rows that go in one transaction, which has room for few more. What is left goes the next time.
const REMOVED: usize = 3000;
/// A document that is larger than this when saved stays in its changes: it and the change must fit into one transaction.
const MOST: usize = 3 * 240 * 1024;

/// Whether the document is saved whole at a change, which is the last one of so many. It follows from the change and what
/// it stands on, so everybody agrees.
pub(super) fn is_boundary(hash: &ChangeHash, changes: u64) -> bool {
    let bits = changes.max(1).ilog2().saturating_sub(SHARE_BITS).clamp(EVERY_BITS, MOST_BITS);
    let first = hash.0.first_chunk().map_or(0, |first| u32::from_be_bytes(*first));
    first.leading_zeros() >= bits
}

impl Loaded {
    /// Puts a change into the rows, and the document in place of its changes if it is a boundary.
    pub(super) fn keep<W: WriteRows>(&mut self, rows: &mut W, hash: ChangeHash) -> Result<(), W::Error> {
        let mut change = self.doc.get_change_by_hash(&hash).expect("it was made just now");
        let piece = Piece::Change(hash);
        let bytes = change.bytes();
        piece.put(self.view.object(), rows, &bytes)?;
        self.bytes += bytes.len();
        self.pieces.insert(piece);
        if is_boundary(&hash, self.doc.stats().num_changes) { self.compact(rows, hash) } else { Ok(()) }
    }

    /// Saves the document whole in place of its changes, wherever it stands: for the device that keeps documents for others,
    /// or after an import. An edit does it by itself now and then. Says whether it is saved whole now; one that is empty or
    /// would be too large is not.
    pub fn save<W: WriteRows>(&mut self, rows: &mut W) -> Result<bool, W::Error> {
        self.refresh(rows)?;
        let head = match self.doc.get_heads()[..] {
            [] => return Ok(false),
            [head] => head,
            // What is saved has one name: a change that stands on all of it.
            _ => self.merge_heads(rows)?,
        };
        let saved = Piece::Saved(head);
        if !self.pieces.contains(&saved) {
            self.compact(rows, head)?;
        }
        Ok(self.pieces.contains(&saved))
    }

    /// Saves the document as it is at its only head, and removes the rows that are in that. The head keeps its row: who has
    /// the rest already needs nothing else.
    fn compact<W: WriteRows>(&mut self, rows: &mut W, head: ChangeHash) -> Result<(), W::Error> {
        let options = SaveOptions { retain_orphans: false, ..SaveOptions::default() };
        let Some(bytes) = guarded(|| self.doc.save_with_options(options)) else { return Ok(()) };
        let saved = Piece::Saved(head);
        // What cannot be read again replaces nothing. A change that somebody made up may have got in that cannot be saved.
        if bytes.len() > MOST || !(self.proven || saved.is_sound(&bytes)) {
            return Ok(());
        }
        self.proven = true;
        let found = Pieces::read(self.view.object(), rows, &self.pieces)?;
        let mut shown: Vec<Piece> = found
            .rows
            .keys()
            .filter(|piece| *piece.hash() != head && self.shows(piece.hash()))
            .copied()
            .collect();
        // Those that are large first.
        shown.sort_by_key(|piece| matches!(piece, Piece::Change(_)));
        shown.truncate(REMOVED);
        for piece in &shown {
            found.rows[piece].iter().try_for_each(|key| rows.remove(key.clone()))?;
            self.pieces.remove(piece);
        }
        saved.put(self.view.object(), rows, &bytes)?;
        self.pieces.insert(saved);
        Ok(())
    }
}
