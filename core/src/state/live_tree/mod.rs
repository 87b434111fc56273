//! The trees over live dots, kept on disk: a root costs what changed since the last one, not what is there.
//!
//! Hashing waits until somebody asks. A commit only marks the blocks of 256 seqs whose dots it changes, in the store and
//! in memory; asking for a live root computes the nodes above marked blocks, from what is durable, and the next commit
//! that leaves anyway takes them along and drops the marks. So a store that is opened reads one node for each replica,
//! and after a crash at worst the marked blocks again.
//!
//! | key in [`Table::Tree`] | value |
//! |---|---|
//! | 0, replica id (16), block: seq / 256 (8, big endian) | nothing: nodes above this block are out of date |
//! | 1, replica id (16), bits (1), seq >> bits (8, big endian) | live dots below (varint), hash (32) |
//!
//! A node is kept if its parent is an inner one (or it is the topmost) and anything is live below it.

mod audit;
mod forget;
mod range;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::codec;
use crate::error::CodecError;
use crate::id::{ContentHash, Dot, ReplicaId};
use crate::state::overlay::{self, decode_dot_hash};
use crate::store::{Store, StoreError, Table};
use crate::tree::{self, RADIX_BITS};

pub(crate) use audit::live_from_scratch;
pub(crate) use range::Range;

/// A block covers `2^BLOCK_BITS` seqs: the smallest range that may be too full for a leaf has children of this size.
const BLOCK_BITS: u32 = 8;
/// So many blocks out of date are brought up to date by the next commit even if nobody asks: marks take memory.
const MARKS: usize = 65_536;

/// No replica writes so much: this block is marked where less is known of one than before.
const LAST_BLOCK: u64 = u64::MAX >> BLOCK_BITS;

const MARK: u8 = 0;
const NODE: u8 = 1;

/// One node as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveNode {
    /// Live dots below.
    pub(crate) count: u64,
    pub(crate) hash: [u8; 32],
}

type Block = (ReplicaId, u64);

fn block_of(dot: &Dot) -> Block {
    (dot.replica, dot.seq >> BLOCK_BITS)
}

fn mark_key((replica, block): &Block) -> Vec<u8> {
    let mut key = Vec::with_capacity(25);
    key.push(MARK);
    key.extend_from_slice(replica.as_bytes());
    key.extend_from_slice(&block.to_be_bytes());
    key
}

/// What a commit on its way writes into the table of the tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct TreeChanges {
    touched: BTreeSet<Block>,
    marked: Vec<Block>,
    unmarked: Vec<Block>,
    nodes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl TreeChanges {
    /// Keys and values for the commit.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> + '_ {
        let marked = self.marked.iter().map(|block| (mark_key(block), Some(Vec::new())));
        let unmarked = self.unmarked.iter().map(|block| (mark_key(block), None));
        marked.chain(unmarked).chain(self.nodes.iter().cloned())
    }

    /// Replicas whose live dots change.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.touched.iter().map(|(replica, _)| *replica)
    }
}

/// See the module page. All of it is about durable states.
#[derive(Debug)]
pub(crate) struct LiveTree {
    /// Most live dots in a leaf.
    leaf_dots: usize,
    /// Blocks whose nodes are out of date.
    stale: BTreeSet<Block>,
    /// Blocks with a mark in the store.
    marked: BTreeSet<Block>,
    /// Those that are one and not the other: what the next commit sets right.
    odd: BTreeSet<Block>,
    /// Nodes that were computed and are not in the store yet; nothing for those that are to go.
    unsaved: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl LiveTree {
    /// Reads the marks.
    pub(crate) fn open<S: Store>(store: &S, leaf_dots: usize) -> Result<Self, StoreError> {
        let mut marked = BTreeSet::new();
        let mut failed = None;
        store.scan(Table::Tree, &[MARK], &mut |key, _| {
            if key.first() != Some(&MARK) {
                return ControlFlow::Break(());
            }
            let parts = key.get(1..17).and_then(|id| <[u8; 16]>::try_from(id).ok());
            let block = key.get(17..).and_then(|block| <[u8; 8]>::try_from(block).ok());
            match parts.zip(block) {
                Some((id, block)) => {
                    marked.insert((ReplicaId::from_bytes(id), u64::from_be_bytes(block)));
                    ControlFlow::Continue(())
                }
                None => {
                    failed = Some(overlay::damaged(CodecError::Malformed));
                    ControlFlow::Break(())
                }
            }
        })?;
        let (stale, odd, unsaved) = (marked.clone(), BTreeSet::new(), BTreeMap::new());
        failed.map_or(Ok(Self { leaf_dots, stale, marked, odd, unsaved }), Err)
    }

    /// For a store that has dots and no tree: everything is out of date. Reads the index of dots.
    pub(crate) fn over_all_dots<S: Store>(store: &S, leaf_dots: usize) -> Result<Self, StoreError> {
        let mut stale = BTreeSet::new();
        store.scan(Table::Dots, &[], &mut |key, _| {
            stale.extend(Dot::from_bytes(key).as_ref().map(block_of));
            ControlFlow::Continue(())
        })?;
        let (marked, odd, unsaved) = (BTreeSet::new(), stale.clone(), BTreeMap::new());
        Ok(Self { leaf_dots, stale, marked, odd, unsaved })
    }

    /// Most live dots in a leaf.
    pub(crate) const fn leaf_dots(&self) -> usize {
        self.leaf_dots
    }

    /// Others have changed dots in the store and marked where: all that is marked there is out of date. Says whose.
    pub(crate) fn adopt<S: Store>(&mut self, store: &S) -> Result<BTreeSet<ReplicaId>, StoreError> {
        let marked = Self::open(store, self.leaf_dots)?.marked;
        for block in &marked {
            self.marked.insert(*block);
            self.stale.insert(*block);
            self.compare(*block);
        }
        Ok(marked.into_iter().map(|(replica, _)| replica).collect())
    }

    /// Whether there is so much to bring up to date that it should be done.
    pub(crate) fn is_full(&self) -> bool {
        self.stale.len() > MARKS
    }

    /// What a commit that changes `dots` is to write besides.
    pub(crate) fn changes(&self, dots: impl Iterator<Item = Dot>) -> TreeChanges {
        let mut blocks: Vec<Block> = dots.map(|dot| block_of(&dot)).collect();
        blocks.dedup();
        let touched = BTreeSet::from_iter(blocks);
        let is_marked = |block: &&Block| self.marked.contains(*block);
        let unmarked = self.odd.difference(&touched).filter(is_marked).copied().collect();
        let marked = self.odd.union(&touched).filter(|block| !is_marked(block)).copied().collect();
        let nodes = self.unsaved.iter().map(|(key, node)| (key.clone(), node.clone())).collect();
        TreeChanges { touched, marked, unmarked, nodes }
    }

    /// The commit is durable.
    pub(crate) fn persisted(&mut self, changes: TreeChanges) {
        for (key, node) in changes.nodes {
            // It may have been computed again since.
            if self.unsaved.get(&key) == Some(&node) {
                self.unsaved.remove(&key);
            }
        }
        for block in changes.marked {
            self.marked.insert(block);
            self.compare(block);
        }
        for block in changes.unmarked {
            self.marked.remove(&block);
            self.compare(block);
        }
        for block in changes.touched {
            self.stale.insert(block);
            self.compare(block);
        }
    }

    fn compare(&mut self, block: Block) {
        if self.stale.contains(&block) == self.marked.contains(&block) {
            self.odd.remove(&block);
        } else {
            self.odd.insert(block);
        }
    }

    /// The live root of a replica known up to `seq`, brought up to date.
    pub(crate) fn live_root<S: Store>(
        &mut self,
        store: &S,
        replica: &ReplicaId,
        seq: u64,
    ) -> Result<[u8; 32], StoreError> {
        let blocks: Vec<u64> = self.stale_of(replica).map(|(_, block)| *block).collect();
        let top = Range::top(*replica, seq);
        if blocks.last() == Some(&LAST_BLOCK) {
            self.forget_above(store, &top)?;
        }
        let node = self.refresh(store, top, &blocks, false)?;
        for block in blocks {
            self.stale.remove(&(*replica, block));
            self.compare((*replica, block));
        }
        Ok(node.map_or_else(|| tree::live_leaf(&[]), |node| node.hash))
    }

    fn stale_of(&self, replica: &ReplicaId) -> impl Iterator<Item = &Block> {
        self.stale.range((*replica, 0)..=(*replica, u64::MAX))
    }

    /// Whether a node is hashed as one list of dots, and has nothing below.
    pub(crate) const fn is_leaf(&self, node: &LiveNode) -> bool {
        node.count <= self.leaf_dots as u64
    }

    /// A node that is up to date; nothing where nothing is live, or where an ancestor is a leaf.
    pub(crate) fn node<S: Store>(&self, store: &S, range: &Range) -> Result<Option<LiveNode>, StoreError> {
        let key = range.key();
        let value = match self.unsaved.get(&key) {
            Some(value) => value.clone(),
            None => store.get(Table::Tree, &key)?,
        };
        let decode = |value: Vec<u8>| codec::decode(&value).map_err(overlay::damaged);
        let node: Option<(u64, [u8; 32])> = value.map(decode).transpose()?;
        Ok(node.map(|(count, hash)| LiveNode { count, hash }))
    }

    /// The node of a range as it would be if its replica had written nothing after `upto`; everything must be up to
    /// date. Costs the path to `upto`, not what lies below it.
    pub(crate) fn bounded<S: Store>(
        &self,
        store: &S,
        range: Range,
        upto: u64,
    ) -> Result<Option<LiveNode>, StoreError> {
        if range.first() > upto {
            return Ok(None);
        }
        if range.last() <= upto
            && let Some(node) = self.node(store, &range)?
        {
            return Ok(Some(node));
        }
        if let Live::All(dots) = scan_live(store, &range, upto, self.leaf_dots)? {
            return Ok(leaf(&dots));
        }
        let children = self.bounded_children(store, range, upto)?;
        let count = children.iter().map(|(_, node)| node.count).sum();
        let hash = tree::live_inner(children.iter().map(|(index, node)| (*index, node.hash)));
        Ok(Some(LiveNode { count, hash }))
    }

    /// The children of such a node that are not empty.
    pub(crate) fn bounded_children<S: Store>(
        &self,
        store: &S,
        range: Range,
        upto: u64,
    ) -> Result<Vec<(u8, LiveNode)>, StoreError> {
        let mut children = Vec::with_capacity(1 << RADIX_BITS);
        for (index, child) in range.children() {
            children.extend(self.bounded(store, child, upto)?.map(|node| (index, node)));
        }
        Ok(children)
    }

    fn keep(&mut self, range: &Range, node: Option<LiveNode>) {
        self.unsaved.insert(range.key(), node.map(|node| codec::encode(&(node.count, node.hash))));
    }

    /// Brings the node of a range up to date, given the blocks in it that are not. `inner` says that its parent was an
    /// inner node before: then a node that is not kept has nothing live below it.
    fn refresh<S: Store>(
        &mut self,
        store: &S,
        range: Range,
        blocks: &[u64],
        inner: bool,
    ) -> Result<Option<LiveNode>, StoreError> {
        let kept = self.node(store, &range)?;
        if blocks.is_empty() && (kept.is_some() || inner) {
            return Ok(kept);
        }
        let was_inner = kept.is_some_and(|node| !self.is_leaf(&node));
        let node = if was_inner {
            self.refresh_inner(store, range, blocks, true)?
        } else {
            match scan_live(store, &range, u64::MAX, self.leaf_dots)? {
                Live::All(dots) => {
                    self.forget_former_tops(store, &range)?;
                    leaf(&dots)
                }
                Live::More => self.refresh_inner(store, range, blocks, false)?,
            }
        };
        if node != kept {
            self.keep(&range, node);
        }
        Ok(node)
    }

    fn refresh_inner<S: Store>(
        &mut self,
        store: &S,
        range: Range,
        blocks: &[u64],
        was_inner: bool,
    ) -> Result<Option<LiveNode>, StoreError> {
        let mut children = Vec::with_capacity(1 << RADIX_BITS);
        for (index, child) in range.children() {
            let node = self.refresh(store, child, child.within(blocks), was_inner)?;
            children.extend(node.map(|node| (index, node)));
        }
        let count = children.iter().map(|(_, node)| node.count).sum();
        let hash = tree::live_inner(children.iter().map(|(index, node)| (*index, node.hash)));
        let node = LiveNode { count, hash };
        if !self.is_leaf(&node) {
            return Ok(Some(node));
        }
        // Few are left: one leaf takes the place of what is below.
        range.children().try_for_each(|(_, child)| self.forget(store, child))?;
        match scan_live(store, &range, u64::MAX, self.leaf_dots)? {
            Live::All(dots) => Ok(leaf(&dots)),
            Live::More => Err(StoreError::Damaged("the tree counts fewer dots than there are".into())),
        }
    }
}

fn leaf(dots: &[(u64, ContentHash)]) -> Option<LiveNode> {
    (!dots.is_empty()).then(|| LiveNode { count: dots.len() as u64, hash: tree::live_leaf(dots) })
}

/// The live dots of a range.
pub(crate) enum Live {
    All(Vec<(u64, ContentHash)>),
    /// There are more than was asked for.
    More,
}

/// Reads the live dots of a range that are not above `upto`, up to a number of them.
pub(crate) fn scan_live<S: Store>(
    store: &S,
    range: &Range,
    upto: u64,
    most: usize,
) -> Result<Live, StoreError> {
    let mut dots = Vec::new();
    let mut failed = None;
    let last = range.last().min(upto);
    store.scan(Table::Dots, &Dot::new(range.replica, range.first()).to_bytes(), &mut |key, value| {
        match decode_dot_hash(key, value) {
            Ok((dot, _)) if dot.replica != range.replica || dot.seq > last => return ControlFlow::Break(()),
            Ok((dot, hash)) => dots.push((dot.seq, hash)),
            Err(error) => failed = Some(error),
        }
        if failed.is_some() || dots.len() > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    match failed {
        Some(error) => Err(error),
        None if dots.len() > most => Ok(Live::More),
        None => Ok(Live::All(dots)),
    }
}
