//! Documents: Automerge's JSON and text.

use std::ops::Range;
use std::sync::Arc;

use rejoin_core::Value;
use rejoin_core::crdt::DocumentView;
use rejoin_core::crdt::document::automerge::marks::{ExpandMark, Mark};
use rejoin_core::crdt::document::automerge::transaction::{Transactable, Transaction as Edits};
use rejoin_core::crdt::document::automerge::{Automerge, AutomergeError, Cursor, ObjType, ReadDoc};
use rejoin_core::crdt::document::{self, Edit, Loaded, Version};
use rejoin_core::engine::{Transaction, WriteError};
use rejoin_core::row::DataError;
use rejoin_net::replica::Storage;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{At, typed, value_of};
use crate::documents::lock;
use crate::kinds::check_first;
use crate::{Commit, Error, Result, Watch};

/// An Automerge document: text that people write at once, nested maps and lists, and all of its history.
///
/// A path in it is names joined by `/`, with numbers for places in lists: `tasks/0/title`. What a call writes to is made
/// if it is not there, the same on every device, so two that begin a text apart begin one text.
///
/// What is used stays in memory, up to [`crate::Builder::document_memory`]. Everything that Automerge can do is there too:
/// [`Document::load`] to read, [`Document::edit`] to write. `autosurgeon` reads and writes Rust types on both.
#[derive(Clone, Debug)]
pub struct Document(pub(crate) At<DocumentView>);

impl From<AutomergeError> for Error {
    fn from(error: AutomergeError) -> Self {
        Self::Data(error.into())
    }
}

impl Document {
    /// The document as it is now. It stays as it is; an edit while somebody keeps it costs a copy of it.
    pub fn load(&self) -> Result<Arc<Automerge>> {
        self.with(|loaded| loaded.doc().clone())
    }

    /// What is at a path, or all of it for an empty one, as typed data. What is no `T` is an error.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        document::value(&*self.load()?, path)?.map(typed).transpose()
    }

    /// The text at a path, if there is one.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        Ok(document::text(&*self.load()?, path)?)
    }

    /// Takes `delete` characters out of a text and puts others in their place. A character is a Unicode scalar value.
    pub fn splice(&self, path: &str, at: usize, delete: usize, insert: &str) -> Commit<()> {
        self.write(|loaded, tx| loaded.splice(tx, path, at, delete, insert))
    }

    /// Makes a text read like this, by the smallest change that does.
    pub fn update_text(&self, path: &str, text: &str) -> Commit<()> {
        self.write(|loaded, tx| loaded.update_text(tx, path, text))
    }

    /// Puts typed data at a path, in place of what is there. Text put where a text is changes it as
    /// [`Document::update_text`] does.
    pub fn put<T: Serialize + ?Sized>(&self, path: &str, data: &T) -> Commit<()> {
        self.write(|loaded, tx| loaded.put(tx, path, &value_of(data)?))
    }

    /// Puts typed data into a list, before what is at `index`, or at its end. Beyond the end is an error.
    pub fn insert<T: Serialize + ?Sized>(&self, list: &str, index: usize, data: &T) -> Commit<()> {
        self.write(|loaded, tx| loaded.insert(tx, list, index, &value_of(data)?))
    }

    /// Puts typed data at the end of a list.
    pub fn push<T: Serialize + ?Sized>(&self, list: &str, data: &T) -> Commit<()> {
        self.write(|loaded, tx| loaded.push(tx, list, &value_of(data)?))
    }

    /// Removes what is at a path. Nothing is written if nothing is.
    pub fn remove(&self, path: &str) -> Commit<()> {
        self.write(|loaded, tx| loaded.remove(tx, path))
    }

    /// Marks characters of a text, as bold or as a link; `grows` says whether what is written at its edges later is marked
    /// too. `Null` takes the mark away.
    pub fn mark(
        &self,
        path: &str,
        range: Range<usize>,
        name: &str,
        value: &Value,
        grows: ExpandMark,
    ) -> Commit<()> {
        let scalar = document::scalar(value);
        self.write(|loaded, tx| {
            let Some(scalar) = scalar else {
                return Err(WriteError::Data(DataError::Document("a mark is no list and no map".into())));
            };
            loaded.edit_at(tx, path, ObjType::Text, |tx, text| {
                let mark = Mark::new(name.to_owned(), scalar, range.start, range.end);
                tx.mark(text, mark, grows).map_err(|error| WriteError::Data(error.into()))
            })
        })
    }

    /// The marks of a text, in no order.
    pub fn marks(&self, path: &str) -> Result<Vec<Mark>> {
        let doc = self.load()?;
        Ok(document::find_text(&doc, path)?.map(|text| doc.marks(text)).transpose()?.unwrap_or_default())
    }

    /// A cursor before a character of a text. It stays there, whatever is written before it.
    pub fn cursor(&self, path: &str, at: usize) -> Result<Option<Cursor>> {
        let doc = self.load()?;
        Ok(document::find_text(&doc, path)?.map(|text| doc.get_cursor(text, at, None)).transpose()?)
    }

    /// Where a cursor is now.
    pub fn position(&self, path: &str, cursor: &Cursor) -> Result<Option<usize>> {
        let doc = self.load()?;
        Ok(document::find_text(&doc, path)?
            .map(|text| doc.get_cursor_position(text, cursor, None))
            .transpose()?)
    }

    /// The version that it is at. It names this state on every device that has what led to it.
    pub fn version(&self) -> Result<Version> {
        self.with(|loaded| document::version(loaded.doc()))
    }

    /// The document at a version, to be read.
    pub fn at(&self, version: &Version) -> Result<Automerge> {
        Ok(document::at(&*self.load()?, version)?)
    }

    /// All its changes, those first that others stand on.
    pub fn history(&self) -> Result<Vec<Edit>> {
        Ok(document::history(&*self.load()?))
    }

    /// How many changes are here and do not show, since what they stand on was cleared by somebody who had not seen them.
    pub fn strays(&self) -> Result<usize> {
        self.with(|loaded| loaded.strays())
    }

    /// Edits it as one change, with everything that Automerge can do. When `act` fails, nothing is changed.
    pub fn edit<T>(&self, act: impl FnOnce(&mut Edits<'_>) -> Result<T>) -> Commit<T> {
        self.write_as(|loaded, tx| loaded.edit(tx, act))
    }

    /// Saves it whole in place of its changes. An edit does that by itself now and then; this is for a device that keeps
    /// documents for others. Says whether it is saved whole now; one that is empty or too large is not.
    pub fn compact(&self) -> Commit<bool> {
        self.write(|loaded, tx| loaded.save(tx))
    }

    /// Removes all of it that this device sees, its history too. An edit that somebody makes meanwhile does not show any
    /// more; see [`Document::strays`].
    pub fn clear(&self) -> Commit<()> {
        self.0.write(|view, tx| view.clear(tx))
    }

    /// The document whenever it may have changed, first as it is.
    pub fn watch(&self) -> Watch<Arc<Automerge>> {
        self.0.watch(|at| Self(at.clone()).load())
    }

    /// Looks at the document in memory, in step with its rows.
    fn with<T>(&self, look: impl FnOnce(&Loaded) -> T) -> Result<T> {
        let documents = &self.0.space.0.documents;
        self.0.read(|view, rows| {
            let shared = documents.of(view);
            let mut loaded = lock(&shared);
            loaded.refresh(rows)?;
            documents.weigh(view, loaded.memory());
            Ok(look(&loaded))
        })
    }

    fn write<T>(
        &self,
        write: impl FnOnce(&mut Loaded, &mut Transaction<'_, Storage>) -> Result<T, WriteError>,
    ) -> Commit<T> {
        self.write_as(|loaded, tx| write(loaded, tx).map_err(Error::from))
    }

    fn write_as<T>(
        &self,
        write: impl FnOnce(&mut Loaded, &mut Transaction<'_, Storage>) -> Result<T>,
    ) -> Commit<T> {
        let space = &self.0.space;
        let outcome = self.0.view().and_then(|view| {
            let (written, saved) = space.replica().write_to_keep(|tx| {
                check_first(tx, view.object())?;
                let shared = space.0.documents.of(view);
                let mut loaded = lock(&shared);
                let value = write(&mut loaded, tx)?;
                space.0.documents.weigh(view, loaded.memory());
                Ok::<_, Error>((value, shared.clone(), loaded.edits()))
            })?;
            let (value, shared, edits) = written;
            if let Some(saved) = &saved {
                // The rows are as it left them, unless somebody else has written since.
                lock(&shared).written(edits, saved.state);
            }
            Ok((value, saved))
        });
        Commit::new(space.replica(), outcome)
    }

    /// Edits it within a transaction of several objects.
    pub(crate) fn edit_within<T>(
        &self,
        view: &DocumentView,
        tx: &mut Transaction<'_, Storage>,
        act: impl FnOnce(&mut Loaded, &mut Transaction<'_, Storage>) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let shared = self.0.space.0.documents.of(view);
        let mut loaded = lock(&shared);
        act(&mut loaded, tx)
    }
}
