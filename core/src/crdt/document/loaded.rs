//! A document in memory, kept in step with its rows.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{ActorId, Automerge, Change, ChangeHash, ReadDoc};

use super::pieces::{Piece, Pieces};
use super::{DocumentView, empty};
use crate::id::ReplicaId;
use crate::row::ReadRows;

/// A document in memory. Give it the rows before each look ([`Loaded::refresh`]): it takes in what is new.
#[derive(Debug)]
pub struct Loaded {
    pub(super) view: DocumentView,
    pub(super) doc: Arc<Automerge>,
    /// The rows that it was made of.
    pub(super) pieces: BTreeSet<Piece>,
    /// Bytes in them.
    pub(super) bytes: usize,
    /// Who edits, and as which actor.
    pub(super) editor: Option<(ReplicaId, ActorId)>,
    /// Nothing has come from the rows since it was last saved and read again.
    pub(super) proven: bool,
    /// How many edits it has seen.
    edits: u64,
    /// The state of the rows that it is known to be in step with; see [`ReadRows::state`].
    in_step: Option<u64>,
}

impl Loaded {
    /// A document of which nothing is loaded yet.
    pub fn new(view: DocumentView) -> Self {
        Self {
            view,
            doc: Arc::new(empty()),
            pieces: BTreeSet::new(),
            bytes: 0,
            editor: None,
            proven: true,
            edits: 0,
            in_step: None,
        }
    }

    /// Where it lies.
    pub const fn view(&self) -> &DocumentView {
        &self.view
    }

    /// The document, for all that Automerge can read. An edit while somebody keeps it costs a copy of it.
    pub const fn doc(&self) -> &Arc<Automerge> {
        &self.doc
    }

    /// The document, to be changed.
    pub(super) fn doc_mut(&mut self) -> &mut Automerge {
        Arc::make_mut(&mut self.doc)
    }

    /// At most about so many bytes it takes in memory. A document of a few changes takes some 20 kB; one of many takes less
    /// than this says, since what is alike lies together.
    pub fn memory(&self) -> usize {
        let stats = self.doc.stats();
        let each =
            |count: u64, bytes: usize| usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(bytes);
        (16 * 1024_usize).saturating_add(each(stats.num_ops, 48)).saturating_add(each(stats.num_changes, 200))
    }

    /// Changes that are here and do not show, since what they stand on is not: it was cleared by somebody who had not seen
    /// them.
    pub fn strays(&self) -> usize {
        self.pieces.iter().filter(|piece| !self.shows(piece.hash())).count()
    }

    /// Whether a change, and so all that it stands on, is in the document.
    pub(super) fn shows(&self, hash: &ChangeHash) -> bool {
        self.doc.get_change_meta_by_hash(hash).is_some()
    }

    /// An edit was written, and led to this state, as [`ReadRows::state`] numbers them. `edits` is what [`Loaded::edits`] said right after the edit: if there
    /// were others since then, nobody knows.
    pub const fn written(&mut self, edits: u64, state: u64) {
        if self.edits == edits {
            self.in_step = Some(state);
        }
    }

    /// How many edits it has seen, those included that were not written in the end.
    pub const fn edits(&self) -> u64 {
        self.edits
    }

    /// The document is not what the rows say any more, until the edit is written.
    pub(super) const fn edited(&mut self) {
        self.edits += 1;
        self.in_step = None;
    }

    /// Takes in what has changed in the rows since the last time. Says whether anything had. Reads the keys of all rows,
    /// unless nothing was written since then.
    pub fn refresh<R: ReadRows>(&mut self, rows: &R) -> Result<bool, R::Error> {
        let state = rows.state();
        if state.is_some() && state == self.in_step {
            return Ok(false);
        }
        let changed = self.compare(rows)?;
        self.in_step = state;
        Ok(changed)
    }

    fn compare<R: ReadRows>(&mut self, rows: &R) -> Result<bool, R::Error> {
        let found = Pieces::read(self.view.object(), rows, &self.pieces)?;
        let live = found.live();
        let gone = self.pieces.iter().any(|piece| !live.contains(piece));
        if live == self.pieces {
            return Ok(false);
        }
        self.pieces = live;
        self.bytes = found.bytes;
        let whole = self.take_in(&found.fresh);
        if !whole || (gone && !self.is_covered()) {
            self.reload(rows)?;
        }
        Ok(true)
    }

    /// Forgets what is in memory and reads everything again.
    pub(super) fn reload<R: ReadRows>(&mut self, rows: &R) -> Result<(), R::Error> {
        let found = Pieces::read(self.view.object(), rows, &BTreeSet::new())?;
        self.forget();
        (self.pieces, self.bytes) = (found.live(), found.bytes);
        if !self.take_in(&found.fresh) {
            self.doc = Arc::new(settled(&found.fresh));
        }
        Ok(())
    }

    /// Lets go of everything, also of the actor: numbers that were given to changes that are gone are not given again.
    pub(super) fn forget(&mut self) {
        *self = Self { edits: self.edits + 1, ..Self::new(self.view.clone()) };
    }

    /// Takes in changes; false if two of them cannot be in one document. What is not what its row says is left out.
    fn take_in(&mut self, fresh: &[(Piece, Vec<u8>)]) -> bool {
        self.proven &= fresh.is_empty();
        // Into an empty document a saved one is taken as it is; into any other all its changes are, and mostly none is new.
        let begun = !self.doc.is_empty() || self.saved(fresh);
        begun && self.changes(fresh) && self.saved(fresh)
    }

    fn changes(&mut self, fresh: &[(Piece, Vec<u8>)]) -> bool {
        let changes: Vec<Change> = fresh.iter().filter_map(change).collect();
        changes.is_empty() || guarded(|| self.doc_mut().apply_changes(changes).is_ok()) == Some(true)
    }

    fn saved(&mut self, fresh: &[(Piece, Vec<u8>)]) -> bool {
        fresh.iter().all(|piece| {
            if self.shows(piece.0.hash()) {
                return true;
            }
            let Some(mut other) = saved(piece) else { return true };
            if self.doc.is_empty() {
                self.doc = Arc::new(other);
                return true;
            }
            guarded(|| self.doc_mut().merge(&mut other).is_ok()) == Some(true)
        })
    }

    /// Whether everything that it shows is in its rows.
    fn is_covered(&self) -> bool {
        let saved = self.pieces.iter().filter(|piece| matches!(piece, Piece::Saved(_)));
        let heads: Vec<ChangeHash> =
            saved.map(|piece| *piece.hash()).filter(|hash| self.shows(hash)).collect();
        let others = self.doc.get_changes_meta(&heads);
        others.iter().all(|change| self.pieces.contains(&Piece::Change(change.hash)))
    }
}

/// Lets Automerge look at what somebody else may have made up: it panics at some of what it should refuse. What it was about
/// is not to be used any more then.
pub(super) fn guarded<T>(look: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(look)).ok()
}

/// The change in a row, if that is what it holds.
fn change((piece, bytes): &(Piece, Vec<u8>)) -> Option<Change> {
    let Piece::Change(hash) = piece else { return None };
    let change = guarded(|| Change::try_from(&bytes[..]).ok()).flatten();
    change.filter(|change| change.hash() == *hash)
}

/// The document in a row, if that is what it holds.
fn saved((piece, bytes): &(Piece, Vec<u8>)) -> Option<Automerge> {
    let Piece::Saved(hash) = piece else { return None };
    let loaded = guarded(|| {
        let mut doc = empty();
        doc.load_incremental(bytes).ok()?;
        Some(doc)
    });
    loaded.flatten().filter(|doc| doc.get_heads() == [*hash])
}

impl Piece {
    /// Whether bytes are what the piece says that they are.
    pub(super) fn is_sound(&self, bytes: &[u8]) -> bool {
        let named = (*self, bytes.to_vec());
        change(&named).is_some() || saved(&named).is_some()
    }
}

/// The document that follows from rows of which some exclude each other, or are more than Automerge can bear. Of two changes
/// that one actor gave one number, that with the larger hash; what is refused by itself takes nothing else along. It
/// depends on the rows alone, not on the order in which they came.
fn settled(pieces: &[(Piece, Vec<u8>)]) -> Automerge {
    let single = pieces.iter().filter_map(change);
    let saved = pieces.iter().filter_map(saved).flat_map(|doc| doc.get_changes(&[]));
    let mut chosen = BTreeMap::<(ActorId, u64), Change>::new();
    for change in single.chain(saved) {
        let place = (change.actor_id().clone(), change.seq());
        if chosen.get(&place).is_none_or(|other| other.hash() < change.hash()) {
            chosen.insert(place, change);
        }
    }
    let mut doc = empty();
    add(&mut doc, &in_order(chosen.into_values().collect()));
    doc
}

/// Those whose past is whole, each behind what it stands on.
fn in_order(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort_by_key(|change| (change.start_op(), change.hash()));
    let (mut ordered, mut known) = (Vec::new(), BTreeSet::new());
    loop {
        let before = ordered.len();
        changes.retain(|change| {
            let is_ready = change.deps().iter().all(|dep| known.contains(dep));
            if is_ready {
                known.insert(change.hash());
                ordered.push(change.clone());
            }
            !is_ready
        });
        if ordered.len() == before {
            return ordered;
        }
    }
}

/// Adds changes that are in order, all but those that Automerge cannot bear and what stands on them.
fn add(doc: &mut Automerge, changes: &[Change]) {
    let mut with = doc.clone();
    if guarded(|| with.apply_changes(changes.to_vec()).is_ok()) == Some(true) {
        *doc = with;
    } else if changes.len() > 1 {
        let (first, second) = changes.split_at(changes.len() / 2);
        add(doc, first);
        add(doc, second);
    }
}
