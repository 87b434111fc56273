//! Own transactions that can be taken back: what is kept of them, and where.
//!
//! Problem: people press undo, also after the app was closed, and others have written meanwhile. Going back to an older
//! state would take away what those wrote.
//!
//! Idea: an undo is a transaction like any other. Each own transaction leaves an [`Act`] behind: which entry it wrote into
//! each row, and what was there before. To take it back is to write that again, in rows that still hold exactly that entry;
//! where anybody has written since, that stays (Berlage, A selective undo mechanism, ACM TOCHI 1(3), 1994, for undo as an
//! act of its own; Yu, Elvinger, Ignat, A generic undo support for state-based CRDTs, OPODIS 2019, for another way, which
//! counts undos of each write and so needs all peers to know of them). What the types make of it says
//! [`crate::crdt`] (undo.rs); peers see ordinary writes.
//!
//! Acts lie in one line, by number, with a place `at` in it: those before it can be taken back, the last one first, those
//! from it on can be done again. Taking one back replaces it by the act of doing so, and moves the place before it; doing it
//! again is taking that back. A new transaction drops what is behind the place.
//!
//! **An entry that is written back is a new one**, and stands for the one that it brings back: acts that name the old one
//! name the new one from then on, so that what was written before can be taken back too. Where several entries had been
//! live at once the new one stands for none of them.
//!
//! * *Crash*: an act leaves in the commit of its transaction; so does the place.
//! * *Failed commit*: the line is read again from what is durable.
//! * *A bulk sync*: like the transactions of that time its acts are kept in memory, and put on top of what it made.
//! * *Rename*: acts of renamed transactions name what they wrote by its new names. Others are forgotten.
//! * *The id is given up* (a copied store, a fork): all acts are forgotten. Another store may hold them and take the same
//!   back, and a counter would be turned back twice. Backups hold none.
//!
//! Cost: nothing while it is off, as it is unless asked for. Else a row in the table `undo` for each transaction, of the keys
//! and what was there before: at most so many as are asked for, and at most [`UNDO_BYTES`]. The oldest go first. One that does
//! not fit alone empties the line: what is below it must not be taken back before it is. An undo reads the whole line.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::boundary::Now;
use crate::codec;
use crate::id::{Dot, cut, domain, hash};
use crate::limits::{DELTA_BYTES, UNDO_BYTES};
use crate::row::{Act, Did, Kind, Name, Named, RowKey, Undone, Wrote};
use crate::state::carried::Carried;
use crate::state::head::{Incarnation, meta_key};
use crate::state::local::{DELTA_FIELDS, RowChange};
use crate::state::rename::Moved;
use crate::state::{Overlay, Space, Transaction, WriteError, overlay};
use crate::store::{Store, StoreError, Table};

/// Whether a transaction is to be taken back or done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Back,
    Again,
}

/// The line of acts, without the acts. See the module page.
#[derive(Default)]
pub(super) struct Undo {
    /// How many acts are kept; 0 while it is off.
    limit: u32,
    at: u64,
    /// By number: stored bytes.
    sizes: BTreeMap<u64, usize>,
    bytes: usize,
    /// What the next own transaction takes back.
    turning: Option<Turning>,
}

/// The same as it is stored.
#[derive(Serialize, Deserialize)]
struct Line {
    limit: u32,
    at: u64,
}

/// An act that is being turned round.
struct Turning {
    way: Way,
    number: u64,
    act: Act,
    others: BTreeMap<u64, Act>,
}

impl Undo {
    pub(super) fn read(store: &impl Store) -> Result<Self, StoreError> {
        let Some(line) = store.get(Table::Meta, meta_key::UNDO)? else { return Ok(Self::default()) };
        let Line { limit, at } = codec::decode(&line).map_err(overlay::damaged)?;
        let mut undo = Self { limit, at, ..Self::default() };
        store.scan(Table::Undo, &[], &mut |key, value| {
            // A number that is none names nothing that could be asked for.
            if let Ok(number) = key.try_into().map(u64::from_be_bytes) {
                undo.note(number, value.len());
            }
            ControlFlow::Continue(())
        })?;
        Ok(undo)
    }

    fn note(&mut self, number: u64, size: usize) {
        self.bytes += size;
        self.bytes -= self.sizes.insert(number, size).unwrap_or(0);
    }

    fn first(&self) -> Option<u64> {
        self.sizes.first_key_value().map(|(number, _)| *number)
    }

    fn last(&self) -> Option<u64> {
        self.sizes.last_key_value().map(|(number, _)| *number)
    }

    /// The act that comes next this way.
    fn next(&self, way: Way) -> Option<u64> {
        match way {
            Way::Back => self.sizes.range(..self.at).next_back(),
            Way::Again => self.sizes.range(self.at..).next(),
        }
        .map(|(number, _)| *number)
    }

    /// What goes first when there is too much, but for `kept`: the far end of what was just moved away from, then the other.
    fn surplus(&self, way: Way, kept: u64) -> Option<u64> {
        let is_over = self.sizes.len() > self.limit as usize || self.bytes > UNDO_BYTES;
        let ends = match way {
            Way::Back => [self.last(), self.first()],
            Way::Again => [self.first(), self.last()],
        };
        ends.into_iter().flatten().find(|end| *end != kept).filter(|_| is_over)
    }
}

impl Act {
    /// What is stored: the act and its seal. What a bit flip made of it would be written for everybody.
    fn sealed(&self) -> Vec<u8> {
        let mut bytes = codec::encode(self);
        let seal = seal(&bytes);
        bytes.extend_from_slice(&seal);
        bytes
    }

    fn unsealed(bytes: &[u8]) -> Option<Self> {
        let (act, _) = bytes.split_last_chunk().filter(|(act, end)| seal(act) == **end)?;
        codec::decode(act).ok()
    }

    /// Whether it can be kept and, when it is turned round, be a transaction.
    fn fits(&self, stored: usize) -> bool {
        stored + self.rows.len() * ROW_BYTES <= UNDO_BYTES.min(DELTA_BYTES) - DELTA_FIELDS
    }
}

/// What a row costs in a transaction beyond its key and payload, and what is killed there.
const ROW_BYTES: usize = 70;

fn seal(act: &[u8]) -> [u8; 8] {
    cut(&hash(domain::STORED_ACT, &[act]))
}

impl<S: Store> Overlay<S> {
    /// What is not durable yet of the line of acts.
    pub(super) fn changed_acts(&self) -> Vec<(Table, Vec<u8>, Option<Vec<u8>>)> {
        let acts = self.changed_keys(Table::Undo).map(|(key, value)| (Table::Undo, key, value));
        let line = self.changed_keys(Table::Meta).filter(|(key, _)| key == meta_key::UNDO);
        acts.chain(line.map(|(key, value)| (Table::Meta, key, value))).collect()
    }
}

impl<S: Store> Space<S> {
    /// Keeps so many own transactions to be taken back, from now on; 0 keeps none, and forgets those that are kept.
    pub(crate) fn keep_undo(&mut self, limit: u32) {
        if self.undo.limit == limit {
            return;
        }
        self.undo.limit = limit;
        if limit == 0 {
            self.forget_acts();
        }
        while let Some(number) = self.undo.surplus(Way::Again, u64::MAX) {
            self.drop_act(number);
        }
        self.put_line();
    }

    pub(crate) const fn undo_limit(&self) -> u32 {
        self.undo.limit
    }

    /// How many transactions can be taken back, and how many of those done again.
    pub(crate) fn undo_depth(&self) -> (usize, usize) {
        let back = self.undo.sizes.range(..self.undo.at).count();
        (back, self.undo.sizes.len() - back)
    }

    /// Turns the next act round: `write` is given what it did. `None` when there is none. When `write` fails the act stays.
    pub(crate) fn turn<E: From<WriteError>>(
        &mut self,
        now: Now,
        way: Way,
        write: impl FnOnce(&mut Transaction<'_, S>, &Act) -> Result<Undone, E>,
    ) -> Result<(Option<Undone>, Option<Dot>), E> {
        let Some(number) = self.undo.next(way) else { return Ok((None, None)) };
        let mut others = self.acts().map_err(|error| E::from(WriteError::Store(error)))?;
        // One that does not read back did nothing that anybody knows of.
        let lost = Act { dot: Dot::new(crate::id::ReplicaId::from_u128(0), 0), rows: Vec::new(), kept: 0 };
        let act = others.remove(&number).unwrap_or(lost);
        self.undo.turning = Some(Turning { way, number, act: act.clone(), others });
        let result = self.transact(now, |transaction| write(transaction, &act));
        let left = self.undo.turning.take();
        let (undone, dot) = result?;
        if let Some(turning) = left {
            // Nothing was written, and the act is done with all the same.
            self.place_turned(turning, Act { rows: Vec::new(), kept: 0, ..act });
        }
        Ok((Some(undone), dot))
    }

    /// Begins to note what a transaction does.
    pub(super) fn begin_act(&self, own: Incarnation) -> Option<Act> {
        let dot = Dot::new(own.replica, 0);
        (self.undo.limit > 0).then(|| Act { dot, rows: Vec::new(), kept: 0 })
    }

    /// Makes own transactions that no person made, and none will want to take back.
    pub(super) fn unnoted<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> T {
        let limit = core::mem::take(&mut self.undo.limit);
        let made = make(self);
        self.undo.limit = limit;
        made
    }

    /// Notes what it does to a row, before it does it, with the dot that it writes there if it writes anything.
    pub(super) fn note_act(&self, act: &mut Option<Act>, change: &RowChange, dot: Dot) {
        let Some(act) = act else { return };
        // Changes of a document build on one another and are never removed, however much they hold.
        if change.key.kind() == Kind::DOCUMENT {
            act.kept += 1;
            return;
        }
        let time = self.pending.as_ref().expect("a delta is pending").timestamp;
        let wrote = change.payload.as_ref().map(|payload| {
            let is_total = self.carry.named(&change.key).is_some_and(|(_, named)| named == Named::Total);
            Wrote { name: Name::new(dot, time), total: is_total.then(|| payload.clone()) }
        });
        act.rows.push(Did::new(&change.key, &change.live, wrote));
    }

    /// Keeps what a transaction did that ended with a dot.
    pub(super) fn keep_act(&mut self, act: Option<Act>, dot: Dot) {
        let Some(act) = act.map(|act| Act { dot, ..act }) else { return };
        if let Some(turning) = self.undo.turning.take() {
            return self.place_turned(turning, act);
        }
        self.drop_from(self.undo.at);
        self.place(Way::Again, self.undo.at, &act);
    }

    /// Keeps what turning an act round did, in its place.
    fn place_turned(&mut self, turning: Turning, act: Act) {
        let Turning { way, number, act: turned, others } = turning;
        let renamed = renamed(&turned, &act);
        for (number, mut other) in others {
            if rename(&mut other, &renamed) {
                self.put_act(number, other.sealed());
            }
        }
        self.place(way, number, &act);
    }

    /// Puts an act in its place, if there is room, and moves on.
    fn place(&mut self, way: Way, number: u64, act: &Act) {
        let bytes = act.sealed();
        self.undo.at = if way == Way::Back { number } else { number + 1 };
        if act.fits(bytes.len()) {
            self.put_act(number, bytes);
        } else if way == Way::Back {
            self.drop_from(number);
        } else {
            self.forget_acts();
        }
        while let Some(surplus) = self.undo.surplus(way, number) {
            self.drop_act(surplus);
        }
        self.put_line();
    }

    /// The acts that read back, by number.
    fn acts(&self) -> Result<BTreeMap<u64, Act>, StoreError> {
        let mut acts = BTreeMap::new();
        self.overlay.scan(Table::Undo, &[], &mut |key, value| {
            let number = key.try_into().map(u64::from_be_bytes).ok();
            acts.extend(number.zip(Act::unsealed(value)));
            ControlFlow::Continue(())
        })?;
        Ok(acts)
    }

    fn put_act(&mut self, number: u64, bytes: Vec<u8>) {
        self.undo.note(number, bytes.len());
        self.overlay.put(Table::Undo, number.to_be_bytes().to_vec(), bytes);
    }

    fn drop_act(&mut self, number: u64) {
        if let Some(size) = self.undo.sizes.remove(&number) {
            self.undo.bytes -= size;
            self.overlay.delete(Table::Undo, number.to_be_bytes().to_vec());
        }
    }

    fn drop_from(&mut self, number: u64) {
        while let Some(last) = self.undo.last().filter(|last| *last >= number) {
            self.drop_act(last);
        }
    }

    /// Forgets all acts.
    pub(super) fn forget_acts(&mut self) {
        self.drop_from(0);
    }

    fn put_line(&mut self) {
        let Undo { limit, at, .. } = self.undo;
        let line = (limit > 0).then(|| codec::encode(&Line { limit, at }));
        self.overlay.change(Table::Meta, meta_key::UNDO.to_vec(), line);
    }

    /// Memory is what is durable again. What was asked for stays asked for.
    pub(super) fn undo_again(&mut self) -> Result<(), StoreError> {
        let limit = self.undo.limit;
        self.undo = Undo::read(self.overlay.store())?;
        self.keep_undo(limit);
        Ok(())
    }

    /// What a rename makes of the acts: those of transactions that nobody was told go on under the new id. Others may be
    /// known to the other copy of this store, which may take them back itself.
    pub(super) fn renamed_acts(
        &self,
        moved: &Moved,
        carried: &mut Carried<'_, S>,
    ) -> Result<Vec<(u64, Option<Act>)>, StoreError> {
        let mut acts = Vec::new();
        if self.undo.limit == 0 {
            return Ok(acts);
        }
        for (number, mut act) in self.acts()? {
            if !moved.covers(&act.dot) {
                acts.push((number, None));
                continue;
            }
            act.dot = moved.dot(act.dot);
            for did in &mut act.rows {
                let mut key = did.key.clone();
                for was in &mut did.before {
                    (key, was.payload) = carried.put(&did.key, &was.payload)?;
                    was.name.dot = moved.dot(was.name.dot);
                }
                if let Some(wrote) = &mut did.wrote {
                    wrote.name.dot = moved.dot(wrote.name.dot);
                    if let Some(total) = &mut wrote.total {
                        (key, *total) = carried.put(&did.key, total)?;
                    }
                }
                did.key = key;
            }
            acts.push((number, Some(act)));
        }
        Ok(acts)
    }

    pub(super) fn replace_acts(&mut self, acts: Vec<(u64, Option<Act>)>) {
        for (number, act) in acts {
            match act {
                Some(act) => self.put_act(number, act.sealed()),
                None => self.drop_act(number),
            }
        }
    }
}

/// Which entries those that were just written stand for.
fn renamed<'a>(turned: &'a Act, act: &'a Act) -> BTreeMap<(&'a RowKey, Name), Name> {
    let wrote = act.rows.iter().filter_map(|did| Some((&did.key, did.wrote.as_ref()?)));
    let wrote: BTreeMap<&RowKey, &Wrote> = wrote.filter(|(_, wrote)| wrote.total.is_none()).collect();
    let alone = turned.rows.iter().filter(|did| did.before.len() == 1);
    alone.filter_map(|did| Some(((&did.key, did.before[0].name), wrote.get(&did.key)?.name))).collect()
}

/// Says whether anything of the act has another name now.
fn rename(act: &mut Act, renamed: &BTreeMap<(&RowKey, Name), Name>) -> bool {
    let mut changed = false;
    for did in &mut act.rows {
        let Some(wrote) = &mut did.wrote else { continue };
        if let Some(name) = renamed.get(&(&did.key, wrote.name)) {
            wrote.name = *name;
            changed = true;
        }
    }
    changed
}
