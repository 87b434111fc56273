//! The bulk commit, inside the store's own transaction.
//!
//! A bulk sync may bring more than fits in memory: ten million entries, staged on disk. So its commit is not listed, it is
//! carried out: [`Merging`] leaves with a commit, and whoever writes that runs it over the tables, a thousand rows at a
//! time, in one transaction. It opens a second [`Space`] there, which is what the first one will be afterwards, and lets
//! it do what it always does; only its commits end in the transaction.
//!
//! Meanwhile local reads and writes go on over the state from before, and so do deltas from elsewhere. They are kept, and
//! when the commit is durable [`Space::adopt`] goes on from what the store shows and applies them again: they are deltas
//! like any other, and deltas that are concurrent to a merge may follow it.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::boundary::{Config, Event, Now};
use crate::clock::{Frontier, HybridClock, VersionVector};
use crate::error::CodecError;
use crate::id::{DeviceKey, Dot, ReplicaId, Signature};
use crate::identity::Identity;
use crate::planted::Rule;
use crate::row::merge::{self, Snapshot};
use crate::row::{Carry, Entry, Named, Payload, RowKey};
use crate::state::bulk::{BulkHead, Incoming};
use crate::state::head::STORE_FORMAT;
use crate::state::index::Indexes;
use crate::state::overlay::{self, decode_staged};
use crate::state::remote::{Ahead, Fit, Step};
use crate::state::{Applied, Received, Space, read_heads, read_own};
use crate::store::{Merge, Merged, Store, StoreError, Table, WriteStore};

/// Staged entries that are read at a time, and their bytes.
const PAGE_ENTRIES: usize = 1024;
const PAGE_BYTES: usize = 1024 * 1024;
/// Changed keys after which a merge writes them out.
const FLUSH_KEYS: usize = 4096;
/// Most rows that a merge tells of by name.
const ROWS_TOLD: usize = 16_384;

/// A bulk commit that waits to be carried out. See the module page.
#[derive(Debug)]
pub(crate) struct Merging {
    config: Config,
    now: Now,
    theirs: Snapshot,
    heads: Vec<BulkHead>,
    frontier: Frontier,
    contested: Vec<(RowKey, Entry)>,
    /// Replicas with two histories, as far as either side says: what dies of theirs is kept apart.
    doubtful: BTreeSet<ReplicaId>,
    tail: Vec<Received>,
    steps: Vec<Step>,
    /// How many staged entries become live.
    wanted: u64,
    /// What the store will have seen at least.
    vector: VersionVector,
}

/// Who carries out a merge signs nothing, and believes what was verified before.
struct Nobody;

impl Identity for Nobody {
    fn device(&self) -> DeviceKey {
        DeviceKey([0; 32])
    }

    fn sign(&self, _message: &[u8; 32]) -> Signature {
        Signature([0; 64])
    }

    fn verify(&self, _device: &DeviceKey, _message: &[u8; 32], _signature: &Signature) -> bool {
        false
    }
}

/// Nor does it rename anything.
impl Carry for Nobody {
    fn named(&self, _key: &RowKey) -> Option<(ReplicaId, Named)> {
        None
    }

    fn row_of(&self, _key: &RowKey, _replica: &ReplicaId, _named: Named) -> Option<RowKey> {
        None
    }

    fn less(&self, _key: &RowKey, _total: &Payload, _stays: &[Payload]) -> Option<Payload> {
        None
    }

    fn at_most(&self, _key: &RowKey, _note: &Payload, _total: &Payload) -> Option<Payload> {
        None
    }
}

impl<S: Store> Space<S> {
    /// Lets a bulk sync leave with the next commit. `false` when something that the peer holds was not shipped, or the
    /// tail does not fit, or when own deltas had to be renamed for it: nothing of it was taken in, and the stage is kept.
    /// Only while no commit is in flight.
    pub(crate) fn begin_merge(&mut self, now: Now, incoming: Incoming) -> Result<bool, StoreError> {
        self.seal()?;
        if self.parts_with(&incoming)? {
            return Ok(false);
        }
        let Some(steps) = self.plan_tail(&incoming) else { return Ok(false) };
        // The peer thought that more was known here than is, and sent nothing that vouches for it.
        let vouched = |(id, seq)| {
            self.heads.seq(&id) >= seq
                || incoming.heads.iter().any(|head| head.replica == id && head.seq >= seq)
        };
        if !incoming.complete || !incoming.vv.iter().all(vouched) {
            return Ok(false);
        }
        self.give_up_before(&incoming)?;
        for received in &incoming.tail {
            self.observe(now, received.delta.replica, received.delta.timestamp());
        }
        self.stats.compared_dead += incoming.dead.len_above(|_| 0);
        let mut vector = self.heads.vector();
        vector.merge(&incoming.vv);
        incoming.tail.iter().for_each(|tail| vector.observe(tail.delta.replica, tail.delta.last_seq()));
        let wanted = self.wanted(&incoming);
        let Incoming { vv, heads, frontier, live, compared, dead, contested, mut doubtful, tail, .. } =
            incoming;
        doubtful.extend(contested.iter().map(|(_, entry)| entry.dot.replica));
        let theirs = Snapshot {
            vv,
            live,
            compared,
            dead,
            #[cfg(feature = "planted")]
            known_at_start: incoming.known_at_start,
        };
        let (config, tail) = (self.config(), tail.into());
        self.merge = Some(Merging {
            config,
            now,
            theirs,
            heads,
            frontier,
            contested,
            doubtful,
            tail,
            steps,
            wanted,
            vector,
        });
        Ok(true)
    }

    /// How this space was opened, as far as a merge needs it.
    fn config(&self) -> Config {
        Config {
            lineage: self.lineage,
            log_bytes: self.log_limit,
            leaf_dots: self.durable.tree.leaf_dots(),
            planted: self.planted,
            ..Config::new(self.id)
        }
    }

    /// The own id is given up before news under it are merged, not after: what is written meanwhile needs another one.
    /// Heads were looked at before; what the tail brings goes on from all that was written here.
    fn give_up_before(&mut self, incoming: &Incoming) -> Result<(), StoreError> {
        let Some(own) = self.replica() else { return Ok(()) };
        let mine = self.heads.seq(&own);
        let is_news = |tail: &Received| tail.delta.replica == own && tail.delta.last_seq() > mine;
        if incoming.tail.iter().any(is_news) { self.retire_if_own(own) } else { Ok(()) }
    }

    /// How many of the peer's live dots are not known here.
    fn wanted(&self, incoming: &Incoming) -> u64 {
        incoming.live.len_above(|replica| self.heads.seq(replica))
    }

    /// Whether a merge waits for a commit, or is on its way with one.
    pub(crate) fn is_merging(&self) -> bool {
        self.merge.is_some() || self.in_flight.as_ref().is_some_and(|in_flight| in_flight.merging.is_some())
    }

    /// Whether deltas of a replica have to wait for a merge: it is planned, or brings news of that replica, which may be of
    /// another history.
    pub(super) fn waits_for_merge(&self, replica: &ReplicaId) -> bool {
        let merging = self.in_flight.as_ref().and_then(|in_flight| in_flight.merging.as_ref());
        self.merge.is_some() || merging.is_some_and(|replicas| replicas.contains(replica))
    }

    /// Keeps a delta that is applied while a merge is under way: it is applied again on top of that.
    pub(super) fn note_meanwhile(&mut self, received: impl FnOnce() -> Received) {
        if self.is_merging() {
            self.meanwhile.push(received());
        }
    }

    /// The merge is durable and the store shows it: goes on from there, with what was applied meanwhile on top. Says
    /// whether heads have changed.
    pub(super) fn adopt(&mut self) -> Result<bool, StoreError> {
        // What is pending did not see the merge. The log in memory is none any more: the one below it has moved on.
        let pending = self.incarnation.and_then(|own| self.close_pending(own));
        self.meanwhile.extend(pending);
        let store = self.overlay.store();
        let before = core::mem::replace(&mut self.durable.heads, read_heads(store)?);
        let own = read_own(store)?.ok_or_else(|| overlay::damaged(CodecError::Malformed))?;
        self.durable.frontier = Frontier::from_dots(own.frontier.iter().copied());
        self.durable.log = own.log;
        let changed = self.durable.adopt_tree(store, &before)?;
        // Forks that were seen meanwhile stay seen.
        let seen_forked = self.heads.iter().filter(|(_, head)| head.forked).map(|(replica, _)| *replica);
        let seen_forked: Vec<ReplicaId> = seen_forked.collect();
        let was_forked = |replica: &ReplicaId| before.get(replica).is_some_and(|head| head.forked);
        let forked = self.durable.heads.iter().filter(|(id, head)| head.forked && !was_forked(id));
        self.stats.forks += forked.filter(|(id, _)| !seen_forked.contains(id)).count() as u64;
        self.heads = self.durable.heads.clone();
        self.frontier = self.durable.frontier.clone();
        self.log = self.durable.log;
        self.adopt_feed()?;
        // What shows from here on was written before what is written from here on.
        self.clock = HybridClock::new(self.clock.last().max(own.clock()));
        self.changed_heads.clear();
        let forgotten = self.overlay.deleted_keys(Table::Forks);
        let acts = self.overlay.changed_acts();
        self.overlay.clear();
        self.overlay.read_indexes()?;
        acts.into_iter().for_each(|(table, key, value)| self.overlay.change(table, key, value));
        self.forget_forks(forgotten)?;
        self.stage_used = true;
        self.disputed.retain(|dot| !self.heads.contains(dot));
        for replica in seen_forked {
            self.remember_fork(replica);
        }
        let own = self.replica().filter(|own| self.heads.get(own).is_some_and(|head| head.forked));
        if own.is_some() {
            self.retire()?;
        }
        for received in core::mem::take(&mut self.meanwhile) {
            // (f), for what came another way meanwhile.
            self.unstage_all_of(&received)?;
            match self.fit(&received, &Ahead::new(), true) {
                Fit::Known => {}
                Fit::Next => self.apply_linked(received)?,
                // Two histories of its author: what the sessions compare from here on settles it.
                Fit::Missing | Fit::Fork => self.dropped_meanwhile = true,
            }
        }
        Ok(changed)
    }

    /// Drops what is staged of the dots of a delta: also of those that it burnt, and another history of its author did not.
    fn unstage_all_of(&mut self, received: &Received) -> Result<(), StoreError> {
        let delta = &received.delta;
        let (first, last) = (Dot::new(delta.replica, delta.first_seq).to_bytes(), delta.last().to_bytes());
        let mut staged = Vec::new();
        self.overlay.scan(Table::Stage, &first, &mut |key, _| {
            if key > last.as_slice() {
                return ControlFlow::Break(());
            }
            staged.extend(Dot::from_bytes(key));
            ControlFlow::Continue(())
        })?;
        staged.iter().for_each(|dot| self.unstage(dot));
        Ok(())
    }

    /// A page of the stage from a key on, in key order, and where the next one begins.
    #[allow(clippy::type_complexity, reason = "a page and its end")]
    fn stage_page(&self, from: &[u8]) -> Result<(Vec<(RowKey, Entry)>, Option<Vec<u8>>), StoreError> {
        let (mut page, mut bytes, mut next, mut failed) = (Vec::new(), 0, None, None);
        self.overlay.scan(Table::Stage, from, &mut |key, value| {
            if page.len() == PAGE_ENTRIES || bytes > PAGE_BYTES {
                next = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            bytes += value.len();
            let dot = Dot::from_bytes(key).ok_or_else(|| overlay::damaged(CodecError::Malformed));
            match dot.and_then(|dot| decode_staged(&dot, value)) {
                Ok(entry) => page.push(entry),
                Err(error) => failed = Some(error),
            }
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        failed.map_or(Ok((page, next)), Err)
    }
}

impl Merge for Merging {
    fn run(&self, transaction: &mut dyn WriteStore) -> Result<Merged, StoreError> {
        let (space, _) =
            Space::read(&self.config, Box::new(Nobody), transaction, [0; 32], &Nobody, Some(STORE_FORMAT))?;
        let mut work = Work { space, rows: BTreeSet::new(), merged: Merged::default() };
        work.space.begin_feed_commit(self.now.wall_ms);
        if !self.config.planted.keeps(Rule::IndexOfBulk) {
            work.space.overlay.indexes = Indexes::default();
        }
        let planted = self.config.planted;
        let mine = work.space.heads.vector();
        // (a) and (b): entries in, dead ones out.
        work.space.doubtful = self.doubtful.clone();
        self.insert_staged(&mut work)?;
        for mut span in merge::spans(&self.theirs) {
            while work.space.with_rows(|held| merge::remove_dead(held, &self.theirs, &mut span, planted))? {
                work.flush()?;
            }
            work.flush_if_large()?;
        }
        work.space.doubtful.clear();
        for (_, entry) in &self.contested {
            work.space.clock.observe(entry.timestamp(), self.now.wall_ms);
        }
        work.space.settle_contested(&self.theirs, self.contested.clone())?;
        // (c): with the vectors from before the join.
        if planted.keeps(Rule::CFrontier) {
            work.space.frontier = work.space.frontier.join(&mine, &self.frontier, &self.theirs.vv);
        }
        // (d) and (e).
        for head in &self.heads {
            work.space.join_head(head)?;
        }
        // (g).
        if planted.keeps(Rule::GTail) {
            let mut tail = self.tail.iter().cloned().collect();
            let done = work.space.carry_out(self.now, &mut tail, self.steps.clone())?;
            debug_assert!(matches!(done, Applied::Done(_)));
        }
        // (f), for what the tail brought.
        for received in self.tail.iter().filter(|_| planted.keeps(Rule::FDropStaged)) {
            work.space.unstage_all_of(received)?;
        }
        work.flush()?;
        work.merged.rows = work.rows.into_iter().collect();
        work.merged.concurrent_rows = work.space.stats.concurrent_rows;
        Ok(work.merged)
    }

    fn vector(&self) -> VersionVector {
        self.vector.clone()
    }
}

impl Merging {
    /// Of whom it brings news.
    pub(super) fn replicas(&self) -> BTreeSet<ReplicaId> {
        let tail = self.tail.iter().map(|tail| tail.delta.replica);
        self.heads.iter().map(|head| head.replica).chain(tail).collect()
    }

    /// How many deltas of the peer's log it applies.
    pub(super) fn tail_deltas(&self) -> u64 {
        self.steps.iter().filter(|step| matches!(step, Step::Apply)).count() as u64
    }

    /// (a), and (f): entries in, and out of the stage.
    fn insert_staged(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let planted = self.config.planted;
        let mut from = Some(Vec::new());
        let mut useful = 0;
        while let Some(key) = from {
            let (page, next) = work.space.stage_page(&key)?;
            for (_, entry) in &page {
                let known = work.space.heads.contains(&entry.dot);
                if !known && self.theirs.live.contains(&entry.dot) {
                    useful += 1;
                    work.space.clock.observe(entry.timestamp(), self.now.wall_ms);
                }
                if planted.keeps(Rule::FDropStaged) && (known || self.theirs.vv.contains(&entry.dot)) {
                    work.space.unstage(&entry.dot);
                }
            }
            work.space.with_rows(|held| merge::insert_new(held, &self.theirs, page, planted))?;
            work.flush()?;
            from = next;
        }
        // Each chunk was complete when it came, and nothing else takes from the stage.
        let checks = planted.keeps(Rule::H1OneCommit) && planted.keeps(Rule::AInsertIfSame);
        if checks && useful != self.wanted {
            return Err(StoreError::Damaged("entries of an unfinished sync are missing".into()));
        }
        Ok(())
    }
}

/// A merge under way.
struct Work<'a> {
    space: Space<&'a mut dyn WriteStore>,
    rows: BTreeSet<RowKey>,
    merged: Merged,
}

impl Work<'_> {
    fn flush_if_large(&mut self) -> Result<(), StoreError> {
        if self.space.overlay.dirty_count() < FLUSH_KEYS { Ok(()) } else { self.flush() }
    }

    /// Writes what has gathered into the transaction.
    fn flush(&mut self) -> Result<(), StoreError> {
        let Some(commit) = self.space.gather_commit()? else { return Ok(()) };
        let merged = commit.write(&mut **self.space.overlay.store_mut())?;
        self.space.persisted(commit.id, merged)?;
        for event in core::mem::take(&mut self.space.events) {
            match event {
                Event::Changed { rows, .. } => {
                    let room = ROWS_TOLD.saturating_sub(self.rows.len());
                    self.merged.more |= rows.len() > room;
                    self.rows.extend(rows.into_iter().take(room));
                }
                Event::Fork { replica } => self.merged.forks.push(replica),
                _ => {}
            }
        }
        Ok(())
    }
}
