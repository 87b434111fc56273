//! The durable state of a space at one moment, read while everything else goes on: for images, and to recompute everything
//! that a store says about itself.
//!
//! Rows and index are compared by sums over both, so that checking holds no more than a few words for each replica. Sums
//! find what disks do; who could choose bytes of a store could also choose the index that goes with them.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::id::{Chain, ContentHash, Dot, ReplicaId, Root, SpaceId, domain, hash};
use crate::identity::Identity;
use crate::row::RowKey;
use crate::state::live_tree::{LiveTree, Range};
use crate::state::log::decode as decode_log;
use crate::state::overlay::{decode_dot, decode_row};
use crate::state::{Head, Heads, Space, read_heads, read_own};
use crate::store::{Store, StoreError, Table, Visit};
use crate::tree::{self, ReplicaNode};

/// See the module page. Old pages of its store cannot be used again while it lives.
#[derive(Clone, Debug)]
pub struct Moment<S> {
    pub(super) space: SpaceId,
    pub(super) store: S,
    pub(super) root: Root,
    pub(super) leaf_dots: usize,
}

impl<S: Store + Clone> Space<S> {
    pub(crate) fn moment(&mut self, leaf_dots: usize) -> Result<Moment<S>, StoreError> {
        let root = self.durable_root()?;
        Ok(Moment { space: self.id, store: self.overlay.store().clone(), root, leaf_dots })
    }
}

impl<S> Moment<S> {
    /// The root of this state.
    pub const fn root(&self) -> Root {
        self.root
    }

    /// What it is read from.
    pub const fn store(&self) -> &S {
        &self.store
    }
}

impl<S: Store> Moment<S> {
    /// The state of a store that no engine has opened.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(space: SpaceId, store: S) -> Result<Self, StoreError> {
        let (root, ..) = super::image::completed(&store)?;
        Ok(Self { space, store, root, leaf_dots: tree::LEAF_DOTS })
    }

    /// Recomputes everything that the store says about itself: content hashes, index, vector, signatures, chains of the
    /// log, tree, root. Reads the whole store. `identity` checks signatures, whosever it is.
    ///
    /// # Errors
    /// The first contradiction, in words.
    pub fn check(&self, identity: &dyn Identity) -> Result<(), String> {
        let heads = read_heads(&self.store).map_err(|error| format!("replicas: {error}"))?;
        let rows = self.sum_of_rows(&heads)?;
        let dots = self.sum_of_dots()?;
        if rows != dots {
            let (rows, dots) = (rows.0, dots.0);
            return Err(format!(
                "the index names {dots} entries, the rows hold {rows}; they are not the same"
            ));
        }
        self.check_log(&heads)?;
        let own = read_own(&self.store).map_err(|error| format!("its own state: {error}"))?;
        if own.is_some_and(|own| own.frontier.iter().any(|dot| !heads.contains(dot))) {
            return Err("the frontier is not in the vector".into());
        }
        self.check_tree(&heads, identity)
    }

    /// The same for what is kept beside the data and can be had again: the change feed and the indexes.
    ///
    /// # Errors
    /// The first contradiction, in words.
    pub fn check_derived(&self) -> Result<(), String> {
        super::feed::check(&self.store)?;
        super::index::check(&self.store)
    }

    fn sum_of_rows(&self, heads: &Heads) -> Result<Sum, String> {
        let (mut sum, mut wrong) = (Sum::default(), None);
        self.scan(Table::Rows, &mut |key, value| {
            match decode_row(key, value) {
                Ok((key, entries)) => {
                    for entry in &entries {
                        sum.add(&entry.dot, &entry.hash, &key);
                        if !heads.contains(&entry.dot) {
                            wrong = Some(format!("{:?} is live and the vector does not cover it", entry.dot));
                        }
                    }
                }
                Err(error) => wrong = Some(format!("a row does not read back: {error}")),
            }
            go_on_unless(wrong.is_some())
        })?;
        wrong.map_or(Ok(sum), Err)
    }

    fn sum_of_dots(&self) -> Result<Sum, String> {
        let (mut sum, mut wrong) = (Sum::default(), None);
        self.scan(Table::Dots, &mut |key, value| {
            match decode_dot(key, value) {
                Ok((dot, hash, row)) => sum.add(&dot, &hash, &row),
                Err(error) => wrong = Some(format!("the index of dots: {error}")),
            }
            go_on_unless(wrong.is_some())
        })?;
        wrong.map_or(Ok(sum), Err)
    }

    /// Whether the log is complete above the floors: each delta follows the one before it of its author, and the last of
    /// each is its head. What lies below a floor may have holes, from bulks.
    fn check_log(&self, heads: &Heads) -> Result<(), String> {
        let mut ends: BTreeMap<ReplicaId, (u64, Chain)> = BTreeMap::new();
        let mut wrong = None;
        self.scan(Table::Log, &mut |key, value| {
            match decode_log(key, value) {
                Ok(record) => {
                    let (delta, before) = (&record.delta, record.delta.first_seq - 1);
                    let chain = delta.chain(&self.space, &record.previous, &delta.encode());
                    let end = ends.insert(delta.replica, (delta.last_seq(), chain));
                    let floor = heads.get(&delta.replica).map_or(u64::MAX, |head| head.floor);
                    if before > floor && end != Some((before, record.previous)) {
                        wrong = Some(format!(
                            "the log breaks off before {:?}:{}",
                            delta.replica, delta.first_seq
                        ));
                    }
                }
                Err(error) => wrong = Some(format!("the log: {error}")),
            }
            go_on_unless(wrong.is_some())
        })?;
        let is_there = |(replica, head): &(&ReplicaId, &Head)| {
            head.floor >= head.seq || ends.get(*replica) == Some(&(head.seq, head.chain))
        };
        match (wrong, heads.iter().find(|head| !is_there(head))) {
            (Some(wrong), _) => Err(wrong),
            (None, Some((replica, head))) => {
                Err(format!("the log lacks the last delta of {replica:?}, which ends at {}", head.seq))
            }
            (None, None) => Ok(()),
        }
    }

    fn check_tree(&self, heads: &Heads, identity: &dyn Identity) -> Result<(), String> {
        let words = |error: StoreError| format!("tree: {error}");
        let kept = LiveTree::open(&self.store, self.leaf_dots).map_err(words)?;
        let (mut met, mut nodes) = (0, Vec::with_capacity(heads.len()));
        for (replica, head) in heads.iter() {
            if !head.is_vouched_for(&self.space, replica, identity) {
                return Err(format!("the head of {replica:?} at {} is not signed", head.seq));
            }
            if head.floor > head.seq {
                return Err(format!("the floor of {replica:?} lies above its seq"));
            }
            let top = Range::top(*replica, head.seq);
            let live = kept.audit(&self.store, top, &mut met).map_err(|wrong| format!("tree: {wrong}"))?;
            nodes.push(ReplicaNode { replica: *replica, seq: head.seq, chain: head.chain, live });
        }
        let stored = kept.node_count(&self.store).map_err(words)?;
        if kept.is_fresh() && stored != 0 && stored != met {
            return Err(format!("the tree has {stored} nodes, {met} belong to it"));
        }
        if tree::root(nodes) == self.root { Ok(()) } else { Err("the root is not that of the rows".into()) }
    }

    fn scan(&self, table: Table, visit: Visit<'_>) -> Result<(), String> {
        self.store.scan(table, &[], visit).map_err(|error| error.to_string())
    }
}

fn go_on_unless(stop: bool) -> ControlFlow<()> {
    if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// How many entries, and the sum of what names them and where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum(u64, u128);

impl Sum {
    fn add(&mut self, dot: &Dot, content: &ContentHash, row: &RowKey) {
        let hash = hash(domain::IMAGE, &[&dot.to_bytes(), &content.0, row.as_bytes()]);
        let (half, _) = hash.split_at(16);
        self.0 += 1;
        self.1 = self.1.wrapping_add(half.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte)));
    }
}
