//! Verification of the kept trees: everything again from the index of dots.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::{BLOCK_BITS, Live, LiveNode, LiveTree, NODE, Range, leaf, scan_live};
use crate::id::ReplicaId;
use crate::store::{Store, StoreError, Table};
use crate::tree::{self, RADIX_BITS};

/// The live root of a replica known up to `seq`, from nothing but the index of dots.
pub(crate) fn live_from_scratch<S: Store>(
    store: &S,
    replica: &ReplicaId,
    seq: u64,
    leaf_dots: usize,
) -> Result<[u8; 32], StoreError> {
    let node = node_from_scratch(store, Range::top(*replica, seq), leaf_dots)?;
    Ok(node.map_or_else(|| tree::live_leaf(&[]), |node| node.hash))
}

fn node_from_scratch<S: Store>(
    store: &S,
    range: Range,
    leaf_dots: usize,
) -> Result<Option<LiveNode>, StoreError> {
    if let Live::All(dots) = scan_live(store, &range, u64::MAX, leaf_dots)? {
        return Ok(leaf(&dots));
    }
    let mut children = Vec::new();
    for (index, child) in range.children() {
        children.extend(node_from_scratch(store, child, leaf_dots)?.map(|node| (index, node)));
    }
    let count = children.iter().map(|(_, node)| node.count).sum();
    let hash = tree::live_inner(children.into_iter().map(|(index, node)| (index, node.hash)));
    Ok(Some(LiveNode { count, hash }))
}

impl LiveTree {
    /// Whether every kept node is up to date.
    pub(crate) fn is_fresh(&self) -> bool {
        self.stale.is_empty()
    }

    /// How many nodes are kept.
    pub(crate) fn node_count<S: Store>(&self, store: &S) -> Result<u64, StoreError> {
        let mut count = self.unsaved.values().flatten().count() as u64;
        store.scan(Table::Tree, &[NODE], &mut |key, _| {
            count += u64::from(!self.unsaved.contains_key(key));
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// The live root below `top` from scratch; in words, the first kept node that says something else. Counts the kept
    /// nodes that it meets.
    pub(crate) fn audit<S: Store>(&self, store: &S, top: Range, met: &mut u64) -> Result<[u8; 32], String> {
        let node = self.audit_node(store, top, false, met)?;
        Ok(node.map_or_else(|| tree::live_leaf(&[]), |node| node.hash))
    }

    /// How many nodes are kept of a topmost one that is none any more: its replica wrote on, and nobody asked since.
    fn former_top<S: Store>(&self, store: &S, range: &Range) -> Result<u64, StoreError> {
        for bits in (0..range.bits).step_by(RADIX_BITS as usize).rev() {
            let below = self.kept_below(store, Range { bits, ..*range })?;
            if below > 0 {
                return Ok(below);
            }
        }
        Ok(0)
    }

    fn kept_below<S: Store>(&self, store: &S, range: Range) -> Result<u64, StoreError> {
        let Some(node) = self.node(store, &range)? else { return Ok(0) };
        let mut count = 1;
        if !self.is_leaf(&node) {
            for (_, child) in range.children() {
                count += self.kept_below(store, child)?;
            }
        }
        Ok(count)
    }

    /// `expected`: the parent is an inner node and up to date.
    fn audit_node<S: Store>(
        &self,
        store: &S,
        range: Range,
        expected: bool,
        met: &mut u64,
    ) -> Result<Option<LiveNode>, String> {
        let words = |error: StoreError| format!("{error}");
        let kept = self.node(store, &range).map_err(words)?;
        *met += u64::from(kept.is_some());
        let (first, last) = (range.first() >> BLOCK_BITS, range.last() >> BLOCK_BITS);
        let fresh = self.stale.range((range.replica, first)..=(range.replica, last)).next().is_none();
        let node = match scan_live(store, &range, u64::MAX, self.leaf_dots).map_err(words)? {
            Live::All(dots) => {
                if kept.is_none() && range.index == 0 {
                    *met += self.former_top(store, &range).map_err(words)?;
                }
                leaf(&dots)
            }
            Live::More => {
                let inner = fresh && kept.is_some();
                let mut children = Vec::new();
                for (index, child) in range.children() {
                    let node = self.audit_node(store, child, inner, met)?;
                    children.extend(node.map(|node| (index, node)));
                }
                let count = children.iter().map(|(_, node)| node.count).sum();
                let hash = tree::live_inner(children.into_iter().map(|(index, node)| (index, node.hash)));
                Some(LiveNode { count, hash })
            }
        };
        if fresh && kept != node && (kept.is_some() || expected) {
            return Err(format!("{range:?} is kept as {kept:?}, its dots make {node:?}"));
        }
        Ok(node)
    }
}
