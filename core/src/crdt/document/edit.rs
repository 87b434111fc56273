//! Edits: each is one change of Automerge, in the rows by the same transaction.

use alloc::string::String;

use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{ActorId, ChangeHash, ObjId, ObjType, ROOT, ReadDoc};

use super::containers::{self, Step};
use super::content::{self, insert_value, put_value};
use super::{Loaded, wrong};
use crate::row::{DataError, WriteRows};
use crate::value::Value;

impl Loaded {
    /// Edits the document as one change, of all that the rows show. When `act` fails, nothing is changed; when it changes
    /// nothing, nothing is written.
    pub fn edit<W: WriteRows, T, E: From<W::Error>>(
        &mut self,
        rows: &mut W,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.refresh(rows)?;
        self.edit_shown(rows, act)
    }

    /// Edits what is at a path of names, as one change; it is made, as a text or whatever `kind` is, if nothing is there.
    pub fn edit_at<W: WriteRows, T, E: From<W::Error>>(
        &mut self,
        rows: &mut W,
        path: &str,
        kind: ObjType,
        act: impl FnOnce(&mut Transaction<'_>, &ObjId) -> Result<T, E>,
    ) -> Result<T, E> {
        self.refresh(rows)?;
        let names = content::names(path).map_err(W::Error::from)?;
        self.edit_within(rows, &names, kind, act)
    }

    fn edit_within<W: WriteRows, T, E: From<W::Error>>(
        &mut self,
        rows: &mut W,
        names: &[String],
        kind: ObjType,
        act: impl FnOnce(&mut Transaction<'_>, &ObjId) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut at = ROOT;
        for (depth, name) in names.iter().enumerate() {
            let path = &names[..=depth];
            let kind = if path.len() == names.len() { kind } else { ObjType::Map };
            at = match containers::step(&self.doc, &at, name, kind).map_err(W::Error::from)? {
                Step::There(object) => object,
                Step::Missing if self.can_make(path, &at) => self.make(rows, path, kind)?,
                Step::Missing => self.edit_shown(rows, |tx| {
                    let key = content::prop(tx, &at, name).map_err(W::Error::from)?;
                    tx.put_object(&at, key, kind).map_err(|error| E::from(DataError::from(error).into()))
                })?,
            };
        }
        self.edit_shown(rows, |tx| act(tx, &at))
    }

    /// Whether the container at a path can be made by the change that is the same everywhere: what it is in was, and it was
    /// never there before.
    fn can_make(&self, path: &[String], within: &ObjId) -> bool {
        let (_, above) = path.split_last().expect("a path has a name");
        let of_all = above.is_empty() || *within == containers::object(above, ObjType::Map);
        of_all
            && containers::kinds().into_iter().all(|kind| !self.shows(&containers::change(path, kind).hash()))
    }

    /// Makes a container, by the change that is the same everywhere.
    fn make<W: WriteRows>(
        &mut self,
        rows: &mut W,
        path: &[String],
        kind: ObjType,
    ) -> Result<ObjId, W::Error> {
        let change = containers::change(path, kind);
        let hash = change.hash();
        self.edited();
        self.doc_mut().apply_changes([change]).map_err(DataError::from)?;
        self.keep_or_forget(rows, hash)?;
        containers::find(&self.doc, path).ok_or_else(|| wrong("a container that was made is hidden").into())
    }

    fn keep_or_forget<W: WriteRows>(&mut self, rows: &mut W, hash: ChangeHash) -> Result<(), W::Error> {
        let kept = self.keep(rows, hash);
        if kept.is_err() {
            self.forget();
        }
        kept
    }

    fn edit_shown<W: WriteRows, T, E: From<W::Error>>(
        &mut self,
        rows: &mut W,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.begin(rows);
        self.edited();
        let mut tx = self.doc_mut().transaction();
        let done = match act(&mut tx) {
            Ok(done) => done,
            Err(error) => {
                tx.rollback();
                return Err(error);
            }
        };
        let (hash, _) = tx.commit_with(CommitOptions::default().with_time(seconds(rows)));
        if let Some(hash) = hash {
            self.keep_or_forget(rows, hash)?;
        }
        Ok(done)
    }

    /// Sees to it that the document is edited by the replica that writes, under numbers that it has not given yet.
    fn begin<W: WriteRows>(&mut self, rows: &W) {
        let author = rows.author();
        let (_, actor) = self.editor.take().filter(|(editor, _)| *editor == author).unwrap_or_else(|| {
            let mut actor = author.as_bytes().to_vec();
            actor.extend_from_slice(&rows.time().0.to_be_bytes());
            (author, ActorId::from(actor))
        });
        if self.doc.get_actor() != &actor {
            self.doc_mut().set_actor(actor.clone());
        }
        self.editor = Some((author, actor));
    }

    /// Makes a change that only stands on all the others.
    pub(super) fn merge_heads<W: WriteRows>(&mut self, rows: &mut W) -> Result<ChangeHash, W::Error> {
        self.begin(rows);
        self.edited();
        let hash = self.doc_mut().empty_commit(CommitOptions::default().with_time(seconds(rows)));
        self.keep_or_forget(rows, hash)?;
        Ok(hash)
    }

    /// Takes `delete` characters out of a text and puts others in their place. The text is made if there is none.
    pub fn splice<W: WriteRows>(
        &mut self,
        rows: &mut W,
        path: &str,
        at: usize,
        delete: usize,
        insert: &str,
    ) -> Result<(), W::Error> {
        self.edit_at(rows, path, ObjType::Text, |tx, text| {
            let length = tx.length(text);
            if at.checked_add(delete).is_none_or(|end| end > length) {
                return Err(wrong(std::format!(
                    "the text has {length} characters: there are no {delete} from character {at} on"
                ))
                .into());
            }
            let delete = isize::try_from(delete).unwrap_or(isize::MAX);
            tx.splice_text(text, at, delete, insert).map_err(|error| DataError::from(error).into())
        })
    }

    /// Makes a text read like this, by the smallest change that does. The text is made if there is none.
    pub fn update_text<W: WriteRows>(&mut self, rows: &mut W, path: &str, new: &str) -> Result<(), W::Error> {
        self.edit_at(rows, path, ObjType::Text, |tx, text| {
            tx.update_text(text, new).map_err(|error| DataError::from(error).into())
        })
    }

    /// Puts a value at a path, in place of what is there; maps on the way are made. A text takes text as
    /// [`Loaded::update_text`] does.
    pub fn put<W: WriteRows>(&mut self, rows: &mut W, path: &str, value: &Value) -> Result<(), W::Error> {
        self.refresh(rows)?;
        if let (Value::Text(new), Ok(Some(_))) = (value, content::text(&self.doc, path)) {
            return self.update_text(rows, path, new);
        }
        self.edit_parent(rows, path, |tx, within, name| {
            let key = content::prop(tx, within, name)?;
            put_value(tx, within, key, value)
        })
    }

    /// Puts a value into a list, before the one that is at this place; at the end the number is that of its values. The list
    /// is made if there is none.
    pub fn insert<W: WriteRows>(
        &mut self,
        rows: &mut W,
        list: &str,
        index: usize,
        value: &Value,
    ) -> Result<(), W::Error> {
        self.edit_at(rows, list, ObjType::List, |tx, list| {
            let length = tx.length(list);
            if index > length {
                return Err(DataError::OutOfList { index, length }.into());
            }
            Ok(insert_value(tx, list, index, value)?)
        })
    }

    /// Puts a value at the end of a list. The list is made if there is none.
    pub fn push<W: WriteRows>(&mut self, rows: &mut W, list: &str, value: &Value) -> Result<(), W::Error> {
        self.edit_at(rows, list, ObjType::List, |tx, list| {
            let end = tx.length(list);
            Ok(insert_value(tx, list, end, value)?)
        })
    }

    /// Removes what is at a path. Nothing is written if nothing is.
    pub fn remove<W: WriteRows>(&mut self, rows: &mut W, path: &str) -> Result<(), W::Error> {
        self.refresh(rows)?;
        if content::find(&self.doc, path).map_err(W::Error::from)?.is_none() {
            return Ok(());
        }
        self.edit_parent(rows, path, |tx, within, name| {
            let key = content::prop(tx, within, name)?;
            Ok(tx.delete(within, key)?)
        })
    }

    fn edit_parent<W: WriteRows>(
        &mut self,
        rows: &mut W,
        path: &str,
        act: impl FnOnce(&mut Transaction<'_>, &ObjId, &str) -> Result<(), DataError>,
    ) -> Result<(), W::Error> {
        let names = content::names(path)?;
        let (last, above) = names.split_last().expect("a path has a name");
        self.edit_within(rows, above, ObjType::Map, |tx, within| Ok(act(tx, within, last)?))
    }
}

/// What Automerge takes for the time of a change.
fn seconds<W: WriteRows>(rows: &W) -> i64 {
    i64::try_from(rows.time().millis() / 1000).unwrap_or(i64::MAX)
}
