//! What a rename makes of entries: their dots, and their rows where those name the old id.
//!
//! A running total is one entry that holds all that its writer ever counted. What others know of it stays under the old
//! id: the entry that was live at what was told is live again, and the new row holds what came after. So nobody counts
//! anything twice, also if the other history went on from the same total.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::id::Dot;
use crate::row::{Carry, Entry, Named, Payload, RowKey};
use crate::state::Overlay;
use crate::state::rename::Moved;
use crate::state::told::{Replaced, Step};
use crate::store::{Store, StoreError};

/// Entries to insert, and the dots that they had.
pub(super) type Rows = Vec<(Option<Dot>, RowKey, Entry)>;

/// See the module page.
pub(super) struct Carried<'a, S> {
    moved: Moved,
    carry: &'static dyn Carry,
    overlay: &'a Overlay<S>,
    replaced: &'a Replaced,
    /// Dots that stay live under the old id although renamed writes had replaced them.
    pub(super) revived: BTreeSet<Dot>,
    /// By total row: what stays behind of it.
    stays: BTreeMap<RowKey, Vec<Payload>>,
}

impl<'a, S: Store> Carried<'a, S> {
    pub(super) fn new(
        moved: Moved,
        carry: &'static dyn Carry,
        overlay: &'a Overlay<S>,
        replaced: &'a Replaced,
    ) -> Self {
        let mut carried =
            Self { moved, carry, overlay, replaced, revived: BTreeSet::new(), stays: BTreeMap::new() };
        carried.revived =
            replaced.keys().filter_map(|key| carried.base(key)).map(|entry| entry.dot).collect();
        carried
    }

    /// The entry of a total row that renamed writes counted on from.
    fn base(&self, key: &RowKey) -> Option<&'a Entry> {
        let total = self.carry.named(key).is_some_and(|(_, named)| named == Named::Total);
        let after = self.moved.after;
        let step = self.replaced.get(key)?.iter().find(|step| step.by > after);
        let told = |step: &&Step| !step.cleared && step.entry.dot.seq <= after;
        step.filter(|_| total).filter(told).map(|step| &step.entry)
    }

    /// What was told of a total: as it is, or as it was before renamed writes.
    fn told(&self, key: &RowKey) -> Result<Option<Payload>, StoreError> {
        if let Some(base) = self.base(key) {
            return Ok(Some(base.payload.clone()));
        }
        let (old, after) = (self.moved.old, self.moved.after);
        let row = self.overlay.row(key)?;
        let held = row.into_iter().rfind(|entry| entry.dot.replica == old && entry.dot.seq <= after);
        Ok(held.map(|entry| entry.payload))
    }

    /// What stays behind of a total: what was told of it, and what resets have taken back.
    fn stays(&mut self, key: &RowKey) -> Result<Vec<Payload>, StoreError> {
        if let Some(stays) = self.stays.get(key) {
            return Ok(stays.clone());
        }
        let mut stays: Vec<Payload> = self.told(key)?.into_iter().collect();
        if let Some(note) = self.carry.row_of(key, &self.moved.old, Named::Note) {
            stays.extend(self.overlay.row(&note)?.into_iter().map(|entry| entry.payload));
        }
        self.stays.insert(key.clone(), stays.clone());
        Ok(stays)
    }

    /// A put under the new id.
    pub(super) fn put(&mut self, key: &RowKey, payload: &Payload) -> Result<(RowKey, Payload), StoreError> {
        let same = (key.clone(), payload.clone());
        let old = self.moved.old;
        match self.carry.named(key).filter(|(id, _)| *id == old) {
            Some((_, Named::Total)) => {
                let stays = self.stays(key)?;
                let rest = self.carry.less(key, payload, &stays);
                Ok(self.carry.row_of(key, &self.moved.new, Named::Total).zip(rest).unwrap_or(same))
            }
            // The new total leaves out what was taken back: the note is for what stays.
            Some((_, Named::Note)) => {
                let total = self.carry.row_of(key, &old, Named::Total);
                let total = total.map_or(Ok(None), |total| self.told(&total))?;
                let note = total.and_then(|total| self.carry.at_most(key, payload, &total));
                Ok(note.map_or(same, |note| (key.clone(), note)))
            }
            None => Ok(same),
        }
    }

    /// What rows hold of it from now on.
    pub(super) fn rows(&mut self) -> Result<Rows, StoreError> {
        let mut rows = Rows::new();
        for seq in self.overlay.live_within(&self.moved.old, self.moved.after + 1, u64::MAX, usize::MAX)? {
            let dot = Dot::new(self.moved.old, seq);
            let Some((key, entry)) = self.overlay.entry(&dot)? else { continue };
            let (key, payload) = self.put(&key, &entry.payload)?;
            let renamed = Entry::new(&key, self.moved.dot(dot), entry.timestamp(), payload);
            rows.push((Some(dot), key, renamed));
        }
        let revived = self.replaced.keys().filter_map(|key| Some((key, self.base(key)?)));
        rows.extend(revived.map(|(key, entry)| (None, key.clone(), entry.clone())));
        Ok(rows)
    }
}
