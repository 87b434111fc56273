//! Nodes that are no longer kept, where a topmost one moves or a leaf takes the place of what is below it.

use super::{LiveTree, Range};
use crate::store::{Store, StoreError};
use crate::tree::RADIX_BITS;

impl LiveTree {
    /// The topmost node moves up as a replica writes; where it is a leaf, nothing may be left of those that were.
    pub(super) fn forget_former_tops<S: Store>(
        &mut self,
        store: &S,
        range: &Range,
    ) -> Result<(), StoreError> {
        if range.index != 0 {
            return Ok(());
        }
        (RADIX_BITS..range.bits)
            .step_by(RADIX_BITS as usize)
            .try_for_each(|bits| self.forget(store, Range { bits, ..*range }))
    }

    /// Drops what is kept of topmost nodes above `top`, and all below them that is not below `top` too.
    pub(super) fn forget_above<S: Store>(&mut self, store: &S, top: &Range) -> Result<(), StoreError> {
        for bits in (top.bits + RADIX_BITS..=u64::BITS).step_by(RADIX_BITS as usize) {
            let former = Range { bits, ..*top };
            former.children().skip(1).try_for_each(|(_, child)| self.forget(store, child))?;
            if self.node(store, &former)?.is_some() {
                self.keep(&former, None);
            }
        }
        Ok(())
    }

    /// Drops a node and all below it.
    pub(super) fn forget<S: Store>(&mut self, store: &S, range: Range) -> Result<(), StoreError> {
        let Some(node) = self.node(store, &range)? else { return Ok(()) };
        if !self.is_leaf(&node) {
            range.children().try_for_each(|(_, child)| self.forget(store, child))?;
        }
        self.keep(&range, None);
        Ok(())
    }
}
