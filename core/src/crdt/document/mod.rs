//! The document: Automerge's JSON and text, inside a space.
//!
//! Problem: text and nested data that people edit at once, down to the character, with a history. Rows that are replaced
//! whole are the wrong tool for it; Automerge is a good one, and has a store, a sync and a clock of its own, which a space
//! has already.
//!
//! Idea: only Automerge's *changes* are used, as payloads. A change is named by its hash, and a row that is named by what it
//! holds never conflicts: it is there or not. So core moves, stores and proves documents as it does everything else, and
//! never loads one. Whoever reads one loads it ([`Loaded`]) and from then on takes in only the rows that are new.
//!
//! | element | payload |
//! |---|---|
//! | 0, hash of a change | the change, in Automerge's format |
//! | 1, hash of a change | all that this change stands on, and itself, as a saved Automerge document |
//! | either, number of the part, count of parts | a part, if it is too large for one row |
//!
//! **Compaction.** A change in 32 is a *boundary* (one in n/8 of n changes if that is rarer, up to one in 1024): five and more
//! zero bits at the beginning of its hash say so, hence everywhere alike. Who makes one puts in the same transaction the document as it
//! is then, and removes the rows whose changes are in it. Nobody else ever makes that row, since a change has one author, and
//! what its author had not seen stays: a removal kills only what its writer saw, and only changes that the document
//! *shows* are removed, not whatever else lies in its rows. The idea of boundaries by hash is that of Sedimentree (Ink and
//! Switch, Beelay, 2024). So up to some ten thousand changes each is saved again some ten times; beyond that the
//! work grows with the document, and it pays to write more at once.
//!
//! **Who writes.** Automerge numbers the changes of an *actor*, and two changes of one number can never meet. An actor is
//! here the replica id and the time of its first edit since the document was loaded, so neither a copied store nor a commit
//! that failed can give a number twice. An actor costs 24 bytes in each row that has a change of its own. Should two changes
//! of one number meet all the same, since a machine was restored with the document in its memory, the larger hash shows, on
//! every replica.
//!
//! **Containers.** In Automerge, two devices that each make a text `body` make two texts, of which one is hidden. Here the
//! first use of a path makes it by a change that is the same everywhere (`containers.rs`), so both write into one text.
//!
//! Concurrent cases: those of Automerge. *Edits of one text*: both, and what each wrote in a row stays together. *Two values
//! at one key*: one shows, [`automerge::ReadDoc::get_all`] has the others. *Edit and removal of what it is in*: removed.
//! *Edit and [`DocumentView::clear`]*: the rows that the clear saw are gone, and an edit that needs them does not show; it is
//! kept ([`Loaded::strays`]) and shows if they come back.
//!
//! Sources: Kleppmann, Beresford, A conflict-free replicated JSON datatype (arXiv 1608.03960); Litt, Lim, Kleppmann, van
//! Hardenberg, Peritext (CSCW 2022), for marks.

mod compact;
mod containers;
mod content;
mod edit;
mod loaded;
mod pieces;
#[cfg(test)]
mod tests;
mod version;

use alloc::string::{String, ToString};

use automerge::{Automerge, AutomergeError};

use super::{Standalone, view::view};
use crate::row::{DataError, ReadRows};

pub use automerge;
pub use content::{find_text, scalar, text, value};
pub use loaded::Loaded;
pub use version::{Edit, Version, at, history, version};

view!(
    /// An Automerge document. See the [module page](self).
    DocumentView, DOCUMENT
);

/// A [`DocumentView`] that stands alone. It loads the document for each call.
pub type Document = Standalone<DocumentView>;

impl From<AutomergeError> for DataError {
    fn from(error: AutomergeError) -> Self {
        Self::Document(error.to_string().into())
    }
}

/// An error that says what is wrong with a document, or with what is asked of it.
fn wrong(what: impl Into<String>) -> DataError {
    DataError::Document(what.into().into())
}

impl DocumentView {
    /// The document as it is.
    pub fn load<R: ReadRows>(&self, rows: &R) -> Result<Loaded, R::Error> {
        let mut loaded = Loaded::new(self.clone());
        loaded.refresh(rows)?;
        Ok(loaded)
    }
}

impl Document {
    /// The document as it is.
    pub fn load(&self) -> Loaded {
        self.view().load(self.rows()).expect("a whole document can be read")
    }

    /// Edits it as one change; see [`Loaded::edit`].
    pub fn edit<T>(
        &mut self,
        act: impl FnOnce(&mut automerge::transaction::Transaction<'_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        self.write(|view, rows| view.load(rows)?.edit(rows, act))
    }

    /// Changes a text; see [`Loaded::splice`].
    pub fn splice(&mut self, path: &str, at: usize, delete: usize, insert: &str) -> Result<(), DataError> {
        self.write(|view, rows| view.load(rows)?.splice(rows, path, at, delete, insert))
    }

    /// The text at a path, if there is one.
    pub fn text(&self, path: &str) -> Option<String> {
        text(self.load().doc(), path).ok().flatten()
    }
}

/// An empty document. Positions in texts count Unicode scalar values, as Rust's `chars` do.
fn empty() -> Automerge {
    Automerge::new_with_encoding(automerge::TextEncoding::UnicodeCodePoint)
}
