//! Commits: how memory becomes durable, and what sessions may see.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::boundary::Event;
use crate::clock::Frontier;
use crate::codec;
use crate::id::{Chain, Dot, ReplicaId, Root, VectorDigest};
use crate::state::feed::{Feed, Retention};
use crate::state::head::{LogBounds, Own, STORE_FORMAT, meta_key};
use crate::state::live_tree::{LiveTree, TreeChanges};
use crate::state::merging::Merging;
use crate::state::{Head, Heads, Space};
use crate::store::{Commit, Merge, Merged, Store, StoreError, Table};
use crate::tree::{self, ReplicaNode};

/// What the persisted commits amount to: all that other replicas are ever told.
pub(crate) struct Durable {
    pub(crate) heads: Heads,
    pub(crate) frontier: Frontier,
    pub(crate) log: LogBounds,
    /// The number of the newest commit; names this state within this run.
    pub(crate) generation: u64,
    pub(crate) tree: LiveTree,
    /// Replicas as the top of the tree holds them, and those of them that have changed since.
    top: BTreeMap<[u8; 32], [u8; 32]>,
    outdated: BTreeSet<ReplicaId>,
    state: Option<(VectorDigest, Root)>,
}

impl Durable {
    pub(super) fn new(heads: Heads, frontier: Frontier, log: LogBounds, tree: LiveTree) -> Self {
        let outdated = heads.iter().map(|(replica, _)| *replica).collect();
        Self { heads, frontier, log, generation: 0, tree, top: BTreeMap::new(), outdated, state: None }
    }

    /// A merge changed the tables: what the tree knows, and whose top is out of date. Says whether heads have changed.
    pub(super) fn adopt_tree<S: Store>(&mut self, store: &S, before: &Heads) -> Result<bool, StoreError> {
        self.outdated.extend(self.tree.adopt(store)?);
        let changed = self.heads.iter().filter(|(replica, head)| before.get(replica) != Some(head));
        let changed: Vec<ReplicaId> = changed.map(|(replica, _)| *replica).collect();
        self.outdated.extend(&changed);
        Ok(!changed.is_empty())
    }
}

/// A commit on its way to the disk.
pub(super) struct InFlight {
    id: u64,
    /// None for a replica of which nothing is known any more: all of it got another name.
    heads: Vec<(ReplicaId, Option<Head>)>,
    frontier: Frontier,
    log: LogBounds,
    tree: TreeChanges,
    own: Option<ReplicaId>,
    /// A merge is carried out after it, and brings news of these replicas.
    pub(super) merging: Option<BTreeSet<ReplicaId>>,
    /// Staged entries and deltas of the tail that the merge takes in.
    tail: u64,
    feed: Option<Feed>,
    feed_wish: Option<Retention>,
}

impl<S: Store> Space<S> {
    /// Takes what has gathered as one commit, unless one is in flight or there is nothing.
    pub(crate) fn take_commit(&mut self) -> Result<Option<Commit>, StoreError> {
        if self.in_flight.is_none() && self.durable.tree.is_full() {
            self.durable_state()?;
        }
        self.gather_commit()
    }

    /// The same, without hashing anything: within a merge the vector is behind the rows.
    pub(super) fn gather_commit(&mut self) -> Result<Option<Commit>, StoreError> {
        if self.in_flight.is_some() {
            return Ok(None);
        }
        self.seal()?;
        if self.is_clean() {
            return Ok(None);
        }
        self.own_changed = false;
        let changed = core::mem::take(&mut self.changed_heads);
        let heads: Vec<_> = changed.into_iter().map(|id| (id, self.heads.get(&id).cloned())).collect();
        for (replica, head) in &heads {
            let value = head.as_ref().map(|head| head.encode(replica));
            self.overlay.change(Table::Replicas, replica.as_bytes().to_vec(), value);
        }
        let own = Own {
            lineage: self.lineage,
            incarnation: self.incarnation,
            clock: self.clock.last().0,
            frontier: self.frontier.dots().collect(),
            log: self.log,
        };
        self.overlay.put(Table::Meta, meta_key::OWN.to_vec(), codec::encode(&own));
        if self.unformatted {
            self.overlay.put(Table::Meta, meta_key::FORMAT.to_vec(), codec::encode(&STORE_FORMAT));
            self.overlay.put(Table::Meta, meta_key::SPACE.to_vec(), self.id.0.to_vec());
            self.overlay.begin_indexes();
        }
        // Where less is known of a replica than before, nodes may be left above what is its topmost one now.
        let shorter = heads
            .iter()
            .filter(|(id, head)| head.as_ref().map_or(0, |head| head.seq) < self.durable.heads.seq(id));
        let above = shorter.map(|(id, _)| Dot::new(*id, u64::MAX));
        let tree = self.durable.tree.changes(self.overlay.dirty_dots().chain(above));
        for (key, value) in tree.rows() {
            self.overlay.change(Table::Tree, key, value);
        }
        let feed = self.gather_feed()?;
        let mut commit = self.overlay.take_commit();
        self.in_flight = Some(InFlight {
            id: commit.id,
            heads,
            frontier: self.frontier.clone(),
            log: self.log,
            tree,
            own: self.replica(),
            merging: self.merge.as_ref().map(Merging::replicas),
            tail: self.merge.as_ref().map_or(0, Merging::tail_deltas),
            feed,
            feed_wish: self.feed_wish,
        });
        commit.merge = self.merge.take().map(|merging| Arc::new(merging) as Arc<dyn Merge>);
        Ok(Some(commit))
    }

    /// Whether a commit is on its way, or something waits for one.
    pub(crate) fn is_settled(&self) -> bool {
        self.in_flight.is_none() && self.pending.is_none() && self.is_clean()
    }

    fn is_clean(&self) -> bool {
        !self.overlay.is_dirty()
            && self.changed_heads.is_empty()
            && !self.own_changed
            && self.merge.is_none()
            && !self.feed_waits()
    }

    /// The generation that all which is in memory now will be part of.
    pub(crate) fn settles_at(&self) -> u64 {
        match &self.in_flight {
            _ if self.pending.is_some() || !self.is_clean() => self.overlay.gathering(),
            Some(in_flight) => in_flight.id,
            None => self.durable.generation,
        }
    }

    /// Whether no commit is on its way.
    pub(crate) const fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }

    /// The commit in flight is durable and the store shows it. Says whether a merge brought news.
    ///
    /// # Panics
    /// When the host reports a commit that is not in flight: its contract is broken and nothing can be trusted.
    ///
    /// On an error the store cannot be read, and memory is no state.
    pub(crate) fn persisted(&mut self, id: u64, merged: Merged) -> Result<bool, StoreError> {
        let done = self.in_flight.take().expect("the host reports only the commit in flight");
        assert_eq!(done.id, id, "the host reports the commit in flight");
        self.durable.generation = id;
        self.unformatted = false;
        self.durable.state = None;
        self.durable.outdated.extend(done.tree.replicas());
        self.durable.tree.persisted(done.tree);
        let own_seq = |heads: &Heads| done.own.map_or(0, |own| heads.seq(&own));
        let saved_before = own_seq(&self.durable.heads);
        for (replica, head) in done.heads {
            // The shape of a replica's tree depends on its seq.
            self.durable.outdated.insert(replica);
            match head {
                Some(head) => self.durable.heads.0.insert(replica, head),
                None => self.durable.heads.0.remove(&replica),
            };
        }
        self.durable.frontier = done.frontier;
        self.durable.log = done.log;
        self.feed = done.feed;
        self.feed_wish.take_if(|wish| Some(*wish) == done.feed_wish);
        let mut rows = self.overlay.persisted();
        let mut news = merged.more || !merged.rows.is_empty();
        if done.merging.is_some() {
            news |= self.adopt()?;
            self.stats.bulk_committed += 1;
            self.stats.tail_deltas += done.tail;
            self.stats.concurrent_rows += merged.concurrent_rows;
        }
        let saved = own_seq(&self.durable.heads);
        self.parting.take_if(|parting| parting.commit <= id);
        // What is renamed is saved once it has its new name.
        let renamed =
            |own: &ReplicaId| self.parting.as_ref().is_some_and(|parting| parting.old.replica == *own);
        if let Some(own) = done.own.filter(|own| saved > saved_before && !renamed(own)) {
            self.events.push(Event::Saved { dot: Dot::new(own, saved) });
        }
        self.events.extend(merged.forks.into_iter().map(|replica| Event::Fork { replica }));
        if !merged.rows.is_empty() {
            rows.extend(merged.rows);
            rows.sort_unstable();
            rows.dedup();
        }
        if !rows.is_empty() || merged.more {
            self.events.push(Event::Changed { rows, more: merged.more });
        }
        self.heed_kept()?;
        Ok(news)
    }

    /// The commit in flight failed: memory goes back to what is durable. Nobody has heard of what is lost.
    pub(crate) fn revert(&mut self, error: StoreError) -> Result<(), StoreError> {
        self.go_back(error)?;
        self.heed_kept()
    }

    fn go_back(&mut self, error: StoreError) -> Result<(), StoreError> {
        self.in_flight = None;
        self.merge = None;
        self.meanwhile.clear();
        self.pending = None;
        self.changed_heads.clear();
        self.overlay.clear();
        self.overlay.read_indexes()?;
        self.undo_again()?;
        self.stage_used = true;
        let before = self.replica().map(|own| (own, self.heads.seq(&own)));
        self.heads = self.durable.heads.clone();
        self.frontier = self.durable.frontier.clone();
        self.log = self.durable.log;
        // Clock and incarnation stay: a timestamp that was shown is not given again, and a retired id stays retired.
        self.stats.commits_failed += 1;
        self.forks_bytes = None;
        self.rename_again()?;
        if let Some((own, before)) = before {
            let seq = self.heads.seq(&own);
            self.told.lost(seq);
            if seq == before {
                return Ok(());
            }
            let after = (seq > 0).then_some(Dot::new(own, seq));
            self.events.push(Event::Lost { after, error });
        }
        Ok(())
    }

    /// The digest of the durable vector and the root of the durable state, computed when asked for.
    pub(crate) fn durable_state(&mut self) -> Result<(VectorDigest, Root), StoreError> {
        if let Some(state) = self.durable.state {
            return Ok(state);
        }
        while let Some(replica) = self.durable.outdated.first().copied() {
            let head = self.durable.heads.get(&replica);
            let seq = head.map_or(0, |head| head.seq);
            let live = self.durable.tree.live_root(self.overlay.store(), &replica, seq)?;
            let chain = head.map_or(Chain([0; 32]), |head| head.chain);
            let (place, hash) = ReplicaNode { replica, seq, chain, live }.hashed();
            // A dot whose replica has no head would be no live dot.
            if head.is_some() {
                self.durable.top.insert(place, hash);
            } else {
                self.durable.top.remove(&place);
            }
            self.durable.outdated.remove(&replica);
        }
        let nodes: Vec<_> = self.durable.top.iter().map(|(place, hash)| (*place, *hash)).collect();
        let state = (self.durable.heads.digest(), tree::top(&nodes));
        self.durable.state = Some(state);
        Ok(state)
    }

    /// The root of the durable state.
    pub(crate) fn durable_root(&mut self) -> Result<Root, StoreError> {
        Ok(self.durable_state()?.1)
    }

    /// Whether replicas and a root computed afresh are those that are cached, as far as any are.
    pub(super) fn agrees_with_cache(&self, nodes: Vec<ReplicaNode>) -> bool {
        let is_right = |node: &ReplicaNode| {
            let (place, hash) = node.hashed();
            self.durable.outdated.contains(&node.replica) || self.durable.top.get(&place) == Some(&hash)
        };
        let all = nodes.iter().all(is_right);
        let state = (self.durable.heads.digest(), tree::root(nodes));
        all && self.durable.state.is_none_or(|cached| cached == state)
    }
}
