//! The table of dots, as far as it follows from the table of rows: which row holds the entry of a dot.
//!
//! Dots of one replica lie side by side in blocks: eight bytes each.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::id::Dot;

/// Most dots in a block.
const BLOCK: usize = 512;
/// The first block of a replica begins at a multiple of this, so that dots that fall do not make a block each.
const SPAN: u64 = 1 << 16;

/// See the module page.
#[derive(Clone, Default)]
pub(super) struct Dots {
    /// By a dot that is above those of the blocks before, and not above those in it: how far behind it, and the row.
    blocks: BTreeMap<Dot, Vec<(u32, u32)>>,
}

impl Dots {
    /// The number of the row that holds the entry of a dot.
    pub(super) fn row(&self, dot: &Dot) -> Option<u32> {
        let (bound, block) = self.blocks.range(..=*dot).next_back()?;
        let behind = behind(bound, dot)?;
        block.binary_search_by_key(&behind, |(behind, _)| *behind).ok().map(|at| block[at].1)
    }

    pub(super) fn put(&mut self, dot: Dot, row: u32) {
        let last = self.blocks.range_mut(..=dot).next_back();
        let last = last.filter(|(bound, _)| bound.replica == dot.replica);
        let Some((bound, block)) = last else {
            let bound = Dot::new(dot.replica, dot.seq / SPAN * SPAN);
            let far = behind(&bound, &dot).expect("it lies within the span");
            self.blocks.insert(bound, alloc::vec![(far, row)]);
            return;
        };
        let bound = *bound;
        let Some(far) = behind(&bound, &dot) else {
            self.blocks.insert(dot, alloc::vec![(0, row)]);
            return;
        };
        match block.binary_search_by_key(&far, |(behind, _)| *behind) {
            Ok(at) => block[at].1 = row,
            Err(at) if block.len() < BLOCK => block.insert(at, (far, row)),
            Err(BLOCK) => {
                self.blocks.insert(dot, alloc::vec![(0, row)]);
            }
            Err(at) => {
                block.insert(at, (far, row));
                let mut right = block.split_off(BLOCK / 2);
                let first = right[0].0;
                right.iter_mut().for_each(|(behind, _)| *behind -= first);
                self.blocks.insert(Dot::new(bound.replica, bound.seq + u64::from(first)), right);
            }
        }
    }

    pub(super) fn remove(&mut self, dot: &Dot) -> Option<u32> {
        let (bound, block) = self.blocks.range_mut(..=*dot).next_back()?;
        let behind = behind(bound, dot)?;
        let at = block.binary_search_by_key(&behind, |(behind, _)| *behind).ok()?;
        let (_, row) = block.remove(at);
        if block.is_empty() {
            let bound = *bound;
            self.blocks.remove(&bound);
        }
        Some(row)
    }

    /// Dots and their rows from a dot on, ascending.
    pub(super) fn from(&self, first: Dot) -> impl Iterator<Item = (Dot, u32)> {
        let bound = self.blocks.range(..=first).next_back().map_or(first, |(bound, _)| *bound);
        let blocks = self.blocks.range(bound..);
        blocks.flat_map(move |(bound, block)| {
            let at = block.partition_point(|(behind, _)| at(bound, *behind) < first);
            block[at..].iter().map(|(behind, row)| (self::at(bound, *behind), *row))
        })
    }

    /// Dots and their rows below a dot, descending.
    pub(super) fn below(&self, end: Dot) -> impl Iterator<Item = (Dot, u32)> {
        self.blocks.range(..end).rev().flat_map(move |(bound, block)| {
            let at = block.partition_point(|(behind, _)| at(bound, *behind) < end);
            block[..at].iter().rev().map(|(behind, row)| (self::at(bound, *behind), *row))
        })
    }
}

/// How far a dot lies behind the bound of a block, if it can lie in it.
fn behind(bound: &Dot, dot: &Dot) -> Option<u32> {
    let far = dot.seq.checked_sub(bound.seq).filter(|_| bound.replica == dot.replica)?;
    u32::try_from(far).ok()
}

fn at(bound: &Dot, behind: u32) -> Dot {
    Dot::new(bound.replica, bound.seq + u64::from(behind))
}
