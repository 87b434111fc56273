//! Recomputes everything that a store says about itself.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use core::ops::ControlFlow;

use crate::id::{ContentHash, Dot, ReplicaId};
use crate::row::RowKey;
use crate::state::live_tree::Range;
use crate::state::{Space, read_heads};
use crate::store::Store;
use crate::tree::ReplicaNode;

impl<S: Store> Space<S> {
    /// Compares memory, tables and hashes with each other; the first contradiction, in words. Reads the whole store.
    pub(crate) fn check(&self) -> Result<(), String> {
        let fail = |what: &str, error: crate::store::StoreError| format!("{what}: {error}");
        let mut by_dot: BTreeMap<Dot, (ContentHash, RowKey)> = BTreeMap::new();
        let mut wrong = None;
        let rows = self.overlay.scan_rows(&[], &[], &mut |key, entries| {
            by_dot.extend(entries.iter().map(|entry| (entry.dot, (entry.hash, key.clone()))));
            ControlFlow::Continue(())
        });
        rows.map_err(|error| fail("rows", error))?;
        let mut indexed = 0_usize;
        let first = Dot::new(ReplicaId::from_u128(0), 0);
        let dots = self.overlay.scan_dots(&first, &mut |dot, indexed_as| {
            indexed += 1;
            match indexed_as.place(dot) {
                Ok(place) if by_dot.get(dot) == Some(&place) => {
                    if !self.heads.contains(dot) {
                        wrong = Some(format!("{dot:?} is live and the vector does not cover it"));
                    }
                }
                Ok(_) => wrong = Some(format!("{dot:?} is indexed and no row holds it so")),
                Err(error) => wrong = Some(format!("the index of dots: {error}")),
            }
            if wrong.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        dots.map_err(|error| fail("dots", error))?;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        if indexed != by_dot.len() {
            return Err(format!("{indexed} dots are indexed, {} are live in rows", by_dot.len()));
        }
        super::feed::check(self.overlay.store())?;
        super::index::check(self.overlay.store())?;
        self.check_heads()
    }

    /// The durable heads as stored, vouched for, and the root as recomputed.
    fn check_heads(&self) -> Result<(), String> {
        let stored = read_heads(self.overlay.store()).map_err(|error| format!("replicas: {error}"))?;
        if stored.0 != self.durable.heads.0 {
            return Err("the stored heads differ from those in memory".into());
        }
        let mut nodes = alloc::vec::Vec::new();
        let (store, tree) = (self.overlay.store(), &self.durable.tree);
        let mut kept = 0;
        for (replica, head) in stored.iter() {
            if !head.is_vouched_for(&self.id, replica, self.identity.as_ref()) {
                return Err(format!("the head of {replica:?} at {} is not signed", head.seq));
            }
            if head.floor > head.seq {
                return Err(format!("the floor of {replica:?} lies above its seq"));
            }
            let top = Range::top(*replica, head.seq);
            let live = tree.audit(store, top, &mut kept).map_err(|wrong| format!("tree: {wrong}"))?;
            nodes.push(ReplicaNode { replica: *replica, seq: head.seq, chain: head.chain, live });
        }
        let stored = tree.node_count(store).map_err(|error| format!("tree: {error}"))?;
        if tree.is_fresh() && stored != kept {
            return Err(format!("the tree has {stored} nodes, {kept} belong to it"));
        }
        if self.agrees_with_cache(nodes) { Ok(()) } else { Err("the root is not that of the rows".into()) }
    }
}
