//! Own deltas that were never told get a new id: rows, dots, log and head, in one commit.
//!
//! The store looks afterwards as if somebody had seen the own history up to what was told, and had written the rest under
//! an id of their own. Nobody else ever held the old names, so there is nothing to agree on. Sessions read what is durable,
//! so nothing of the own id leaves before that commit is.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::boundary::Event;
use crate::codec::BoundedVec;
use crate::id::{Chain, Dot, ReplicaId, domain, hash};
use crate::identity::signed_head;
use crate::limits::DELTA_BYTES;
use crate::planted::Rule;
use crate::row::{Delta, Deps, DotRuns, Put, Runs, chain_start};
use crate::state::carried::{Carried, Rows};
use crate::state::head::Incarnation;
use crate::state::tags::Tags;
use crate::state::told::{Replaced, Told};
use crate::state::{Head, LogRecord, Space};
use crate::store::{Store, StoreError};

/// Which dots got a new name: those of `old` above `after`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) old: ReplicaId,
    pub(crate) after: u64,
    pub(crate) new: ReplicaId,
}

impl Moved {
    pub(super) fn covers(&self, dot: &Dot) -> bool {
        dot.replica == self.old && dot.seq > self.after
    }

    /// The name of a dot from now on.
    pub(crate) fn dot(&self, dot: Dot) -> Dot {
        if self.covers(&dot) { Dot::new(self.new, dot.seq - self.after) } else { dot }
    }

    fn kills(&self, kills: &DotRuns, revived: &BTreeSet<Dot>) -> DotRuns {
        let mut moved = DotRuns::default();
        for (replica, runs) in kills.iter() {
            if *replica != self.old {
                moved.insert_runs(*replica, runs);
                continue;
            }
            for (first, last) in runs.iter() {
                let told = last.min(self.after);
                let mut next = first;
                let live = revived.iter().filter(|dot| first <= dot.seq && dot.seq <= told);
                for dot in live {
                    moved.insert_runs(self.old, &Runs::from_range(next, dot.seq - 1));
                    next = dot.seq + 1;
                }
                moved.insert_runs(self.old, &Runs::from_range(next, told));
                let above = (first.max(self.after + 1), last.max(self.after));
                moved.insert_runs(self.new, &Runs::from_range(above.0 - self.after, above.1 - self.after));
            }
        }
        moved
    }

    /// A delta under its new name. The first one says what its author had seen of the old id; later ones have it in their
    /// past.
    fn delta(
        &self,
        delta: &Delta,
        first: bool,
        carried: &mut Carried<'_, impl Store>,
    ) -> Result<Option<Delta>, StoreError> {
        let mut deps = delta.deps.clone();
        if first && self.after > 0 {
            deps = self.with_cut(deps);
        }
        let dot = self.dot(Dot::new(delta.replica, delta.first_seq));
        let mut puts: Vec<Put> = Vec::with_capacity(delta.puts.len());
        for put in delta.puts.iter() {
            let (key, payload) = carried.put(&put.key, &put.payload)?;
            puts.push(Put { offset: put.offset, key, payload });
        }
        let kills = self.kills(&delta.kills, &carried.revived);
        let moved = Delta::new(dot, delta.len, delta.timestamp(), deps, puts, kills).ok();
        Ok(moved.filter(|moved| moved.encode().len() <= DELTA_BYTES))
    }

    fn with_cut(&self, deps: Deps) -> Deps {
        let Deps::Dots(dots) = deps else { return deps };
        let mut dots = dots.into_vec();
        dots.push(Dot::new(self.old, self.after));
        dots.sort_unstable();
        let wide = crate::clock::digest_of(dots.iter().map(|dot| (dot.replica, dot.seq)));
        // A digest that is nobody's vector: such a delta travels in replays, whose order says the same.
        BoundedVec::new(dots).map_or(Deps::Digest(wide), Deps::Dots)
    }
}

/// A rename that is not durable yet.
#[derive(Clone, Debug)]
pub(super) struct Parting {
    pub(super) old: Incarnation,
    pub(super) fresh: Incarnation,
    pub(super) after: u64,
    /// What stays under the old id.
    cut: Option<Head>,
    /// What was replaced since in rows that name it.
    replaced: Replaced,
    /// The commit that makes it durable.
    pub(super) commit: u64,
}

impl Parting {
    const fn moved(&self) -> Moved {
        Moved { old: self.old.replica, after: self.after, new: self.fresh.replica }
    }
}

/// The log and the chain under the new id.
struct Relinked {
    records: Vec<(LogRecord, Delta, Chain)>,
    /// Where deltas end, and the chain there.
    ends: Vec<(u64, Chain)>,
    floor: u64,
}

impl<S: Store> Space<S> {
    /// What an own dot is called now.
    pub(crate) fn current(&self, dot: Dot) -> Dot {
        self.moved.iter().fold(dot, |dot, moved| moved.dot(dot))
    }

    /// Whether a rename waits to be durable, or to be made: until then nothing may be told.
    pub(crate) const fn is_parting(&self) -> bool {
        self.parting.is_some() || !self.heard.is_empty()
    }

    /// Whether something was renamed since this was asked last.
    pub(crate) const fn take_renamed(&mut self) -> bool {
        core::mem::replace(&mut self.renamed, false)
    }

    /// Gives up the own id; what was never told of it goes on under a new one.
    pub(super) fn rename_untold(&mut self) -> Result<(), StoreError> {
        self.seal()?;
        let renames = self.has_untold() && self.planted.keeps(Rule::RenameUntold);
        let Some(old) = self.incarnation.filter(|_| renames) else { return self.retire() };
        let parting = Parting {
            old,
            fresh: self.mint(),
            after: self.told.seq(),
            cut: self.told.cut(),
            replaced: core::mem::take(&mut self.told.replaced),
            commit: self.overlay.gathering(),
        };
        if !self.rename(&parting)? {
            return self.retire();
        }
        self.stats.incarnations += 1;
        self.stats.renames += 1;
        self.events.push(Event::NewIncarnation { old: old.replica });
        self.moved.push(parting.moved());
        let (old, new) = (Dot::new(old.replica, parting.after), parting.fresh.replica);
        self.events.push(Event::Renamed { old, new });
        self.parting = Some(parting);
        self.renamed = true;
        Ok(())
    }

    /// The commit with a rename, or one before it, failed and memory is as it was: renames what is still there.
    pub(super) fn rename_again(&mut self) -> Result<(), StoreError> {
        let Some(mut parting) = self.parting.take() else { return Ok(()) };
        self.renamed = true;
        parting.commit = self.overlay.gathering();
        if self.heads.seq(&parting.old.replica) > parting.after && self.rename(&parting)? {
            self.parting = Some(parting);
        }
        Ok(())
    }

    /// `false` when some delta does not fit in its bounds under the new name; nothing was changed then.
    fn rename(&mut self, parting: &Parting) -> Result<bool, StoreError> {
        let Parting { old, fresh, after, .. } = *parting;
        let moved = parting.moved();
        let Some(head) = self.heads.get(&old.replica).cloned() else { return Ok(false) };
        let mut carried = Carried::new(moved, self.carry, &self.overlay, &parting.replaced);
        let Some(relinked) = self.relink(&moved, &head, &mut carried)? else { return Ok(false) };
        let rows = carried.rows()?;
        let acts = self.renamed_acts(&moved, &mut carried)?;
        let Relinked { records, ends, floor } = relinked;
        for (record, delta, previous) in records {
            let seq = delta.last_seq();
            let chain = ends.iter().find(|(end, _)| *end == seq).map(|(_, chain)| chain);
            let signature =
                chain.map(|chain| self.identity.sign(&signed_head(&self.id, &fresh.replica, seq, chain)));
            self.replace_in_log(&record, &delta, previous, signature);
        }
        self.rename_rows(rows)?;
        self.replace_acts(acts);
        let (seq, chain) = *ends.last().expect("something was never told");
        let mut tags = Tags::default();
        ends[..ends.len() - 1].iter().for_each(|(seq, chain)| tags.push(*seq, chain));
        let signature = self.identity.sign(&signed_head(&self.id, &fresh.replica, seq, &chain));
        let (device, nonce) = (head.device, fresh.nonce);
        let renamed = Head { seq, chain, device, nonce, signature, floor, forked: false, tags };
        self.heads.0.insert(fresh.replica, renamed);
        match &parting.cut {
            Some(cut) => {
                self.heads.0.insert(old.replica, Head { floor: head.floor.min(after), ..cut.clone() })
            }
            None => self.heads.0.remove(&old.replica),
        };
        self.touch_head(old.replica);
        self.touch_head(fresh.replica);
        self.frontier.rename(Dot::new(old.replica, head.seq), Dot::new(fresh.replica, seq));
        self.replaced.forget(|dot| moved.covers(dot));
        self.incarnation = Some(fresh);
        self.told = Told::nothing(ends);
        self.own_changed = true;
        Ok(true)
    }

    /// What the log holds of the renamed deltas, chained anew. What it has dropped becomes one link: nobody ever asks for
    /// its deltas.
    fn relink(
        &self,
        moved: &Moved,
        head: &Head,
        carried: &mut Carried<'_, S>,
    ) -> Result<Option<Relinked>, StoreError> {
        let records = self.logged_after(&moved.old, moved.after)?;
        let first = records.first().map_or(head.seq + 1, |record| record.delta.first_seq);
        let floor = first - 1 - moved.after;
        let mut chain = chain_start(&self.id, &moved.new);
        let mut ends = Vec::with_capacity(records.len() + 1);
        if floor > 0 {
            let parts: [&[u8]; 4] = [&self.id.0, moved.new.as_bytes(), &chain.0, &head.chain.0];
            chain = Chain(hash(domain::CHAIN, &parts));
            ends.push((floor, chain));
        }
        let mut relinked = Vec::with_capacity(records.len());
        for record in records {
            let first = relinked.is_empty();
            let Some(delta) = moved.delta(&record.delta, first, carried)? else { return Ok(None) };
            let previous = chain;
            chain = delta.chain(&self.id, &previous, &delta.encode());
            ends.push((delta.last_seq(), chain));
            relinked.push((record, delta, previous));
        }
        Ok(Some(Relinked { records: relinked, ends, floor }))
    }

    fn rename_rows(&mut self, rows: Rows) -> Result<(), StoreError> {
        for (dot, key, entry) in rows {
            if let Some(dot) = dot {
                self.overlay.remove_dot(&dot)?;
            }
            self.overlay.insert_entry(&key, entry)?;
        }
        Ok(())
    }
}
