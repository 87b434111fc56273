//! Numbers of records in the order of their keys.
//!
//! They lie in blocks, as in the leaves of a B-tree (Bayer and McCreight, 1972): a number costs four bytes where a key in
//! a map of its own costs its bytes and two words. A key that has to be fetched to be compared costs some three misses of
//! the cache, and a binary search in a million of them twenty such fetches. So each block keeps what all its keys begin
//! with and, of each, the four bytes after that (Bayer and Unterauer, 1977: prefix B-trees): only keys that agree in those,
//! too, are fetched.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::store::memory::records::Records;

/// Most numbers in a block. Larger ones are moved more slowly, smaller ones are more to look through. Tests split and
/// empty blocks all the time.
const BLOCK: usize = if cfg!(test) { 4 } else { 512 };

/// See the module page.
#[derive(Clone, Default)]
pub(super) struct Order {
    blocks: Vec<Block>,
    /// Of the bounds of all blocks but the first, below which there is nothing.
    bounds: Heads,
}

#[derive(Clone)]
struct Block {
    /// Above the keys of the blocks before, and not above those in this one.
    bound: Box<[u8]>,
    numbers: Vec<u32>,
    heads: Heads,
}

/// Where a number lies, or would.
#[derive(Clone, Copy)]
pub(super) struct Place {
    block: usize,
    at: usize,
}

impl Order {
    /// Where the number with this key lies, or where it would.
    pub(super) fn find(&self, key: &[u8], records: &Records) -> Result<Place, Place> {
        let block = self.block_of(key);
        let place = |at| Place { block, at };
        let Some(Block { numbers, heads, .. }) = self.blocks.get(block) else { return Err(place(0)) };
        heads.find(key, numbers, |number| records.key(*number)).map(place).map_err(place)
    }

    /// The block in which a key lies, if it is there.
    fn block_of(&self, key: &[u8]) -> usize {
        let bounded = self.blocks.get(1..).unwrap_or_default();
        self.bounds.find(key, bounded, |block| &*block.bound).map_or_else(|at| at, |at| at + 1)
    }

    pub(super) fn number(&self, place: Place) -> u32 {
        self.blocks[place.block].numbers[place.at]
    }

    /// Adds the number of a record where [`Order::find`] said that it would lie.
    pub(super) fn insert(&mut self, place: Place, number: u32, records: &Records) {
        let Place { block: index, at } = place;
        let Some(block) = self.blocks.get_mut(index) else {
            return self.insert_block(index, Block::of(alloc::vec![number], records));
        };
        if block.numbers.len() < BLOCK {
            return block.insert(at, number, records);
        }
        if at == BLOCK {
            // Keys that rise leave full blocks behind.
            return self.insert_block(index + 1, Block::of(alloc::vec![number], records));
        }
        let mut right = block.split_off(BLOCK / 2, records);
        if at <= BLOCK / 2 {
            block.insert(at, number, records);
        } else {
            right.insert(at - BLOCK / 2, number, records);
        }
        self.insert_block(index + 1, right);
    }

    fn insert_block(&mut self, index: usize, block: Block) {
        if let Some(at) = index.checked_sub(1) {
            self.bounds.insert(at, &block.bound, &self.blocks[1..], |block| &*block.bound);
        }
        self.blocks.insert(index, block);
    }

    /// Takes a number out.
    pub(super) fn remove(&mut self, place: Place) -> u32 {
        let block = &mut self.blocks[place.block];
        let number = block.numbers.remove(place.at);
        block.heads.remove(place.at);
        if block.numbers.is_empty() {
            self.blocks.remove(place.block);
            if !self.blocks.is_empty() {
                // Without the first block the second one is first.
                self.bounds.remove(place.block.saturating_sub(1));
            }
        }
        number
    }

    /// Numbers from a key on, ascending.
    pub(super) fn from<'a>(&'a self, first: &[u8], records: &'a Records) -> impl Iterator<Item = u32> + 'a {
        let Place { block, at } = self.find(first, records).unwrap_or_else(|place| place);
        let blocks = self.blocks.get(block..).unwrap_or_default();
        blocks.iter().flat_map(|block| &block.numbers).copied().skip(at)
    }

    /// Numbers below a key, descending.
    pub(super) fn below<'a>(&'a self, end: &[u8], records: &'a Records) -> impl Iterator<Item = u32> + 'a {
        let Place { block, at } = self.find(end, records).unwrap_or_else(|place| place);
        let in_block = self.blocks.get(block).map_or(&[][..], |block| &block.numbers[..at]);
        let before = self.blocks[..block].iter().rev().flat_map(|block| block.numbers.iter().rev());
        in_block.iter().rev().chain(before).copied()
    }
}

impl Block {
    /// A block of at least one number.
    fn of(numbers: Vec<u32>, records: &Records) -> Self {
        let key = |number: &u32| records.key(*number);
        Self { bound: key(&numbers[0]).into(), heads: Heads::of(&numbers, key), numbers }
    }

    fn insert(&mut self, at: usize, number: u32, records: &Records) {
        self.heads.insert(at, records.key(number), &self.numbers, |number| records.key(*number));
        self.numbers.insert(at, number);
    }

    fn split_off(&mut self, at: usize, records: &Records) -> Self {
        let key = |number: &u32| records.key(*number);
        let numbers = self.numbers.split_off(at);
        let heads = self.heads.split_off(at, &self.numbers, &numbers, key);
        Self { bound: key(&numbers[0]).into(), heads, numbers }
    }
}

/// What keys in their order begin with. The keys themselves, or what they are found by, lie in a slice beside it.
#[derive(Clone, Default)]
struct Heads {
    /// All of them begin with this.
    prefix: Box<[u8]>,
    /// For each the four bytes after that, zeros where it ends before; they ascend as the keys do.
    heads: Vec<u32>,
}

impl Heads {
    fn of<'a, T>(items: &'a [T], key: impl Fn(&'a T) -> &'a [u8]) -> Self {
        let ends = items.first().zip(items.last()).map(|(first, last)| (key(first), key(last)));
        let prefix = ends.map_or(&[][..], |(first, last)| &first[..common(first, last)]);
        let heads = items.iter().map(|item| head(&key(item)[prefix.len()..])).collect();
        Self { prefix: prefix.into(), heads }
    }

    /// Where a key is, or where it would be.
    fn find<'a, T>(
        &self,
        wanted: &[u8],
        items: &'a [T],
        key: impl Fn(&'a T) -> &'a [u8],
    ) -> Result<usize, usize> {
        let Some(rest) = wanted.strip_prefix(&*self.prefix) else {
            return Err(if *wanted < *self.prefix { 0 } else { self.heads.len() });
        };
        let head = head(rest);
        let first = self.heads.partition_point(|other| *other < head);
        let same = self.heads[first..].partition_point(|other| *other == head);
        let found = items[first..first + same].binary_search_by(|item| key(item).cmp(wanted));
        found.map(|at| first + at).map_err(|at| first + at)
    }

    /// Adds a key; `others` are those that are there already.
    fn insert<'a, T>(&mut self, at: usize, added: &[u8], others: &'a [T], key: impl Fn(&'a T) -> &'a [u8]) {
        if others.is_empty() {
            self.prefix = added.into();
        }
        if !added.starts_with(&self.prefix) {
            self.prefix = added[..common(added, &self.prefix)].into();
            self.take_heads(others, key);
        }
        self.heads.insert(at, head(&added[self.prefix.len()..]));
    }

    fn remove(&mut self, at: usize) {
        self.heads.remove(at);
    }

    /// Splits as the keys were split.
    fn split_off<'a, T>(
        &mut self,
        at: usize,
        left: &'a [T],
        right: &'a [T],
        key: impl Fn(&'a T) -> &'a [u8],
    ) -> Self {
        let mut split = Self { prefix: self.prefix.clone(), heads: self.heads.split_off(at) };
        self.tighten(left, &key);
        split.tighten(right, &key);
        split
    }

    /// Fewer keys may have more in common.
    fn tighten<'a, T>(&mut self, items: &'a [T], key: impl Fn(&'a T) -> &'a [u8]) {
        let Some((first, last)) = items.first().zip(items.last()) else { return };
        let (first, last) = (key(first), key(last));
        let common = common(first, last);
        if common > self.prefix.len() {
            self.prefix = first[..common].into();
            self.take_heads(items, key);
        }
    }

    fn take_heads<'a, T>(&mut self, items: &'a [T], key: impl Fn(&'a T) -> &'a [u8]) {
        self.heads.clear();
        self.heads.extend(items.iter().map(|item| head(&key(item)[self.prefix.len()..])));
    }
}

fn head(rest: &[u8]) -> u32 {
    let mut head = [0; 4];
    let length = rest.len().min(4);
    head[..length].copy_from_slice(&rest[..length]);
    u32::from_be_bytes(head)
}

/// How many bytes two keys begin with in common.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use quickcheck::{Arbitrary, Gen, quickcheck};

    use super::*;

    /// Keys that begin alike, end early, and hold zeros where others end.
    #[derive(Clone, Debug)]
    struct Key(Vec<u8>);

    impl Arbitrary for Key {
        fn arbitrary(g: &mut Gen) -> Self {
            let stem: &[u8] = g.choose(&[&b""[..], b"m", b"map\0", b"map\0some element"]).unwrap();
            let length = usize::arbitrary(g) % 8;
            let tail = (0..length).map(|_| *g.choose(&[0, 0, 1, 128, 255]).unwrap());
            Self(stem.iter().copied().chain(tail).collect())
        }
    }

    fn record(key: &[u8]) -> Box<[u8]> {
        let length = u16::try_from(key.len()).unwrap().to_le_bytes();
        [&length, key].concat().into()
    }

    /// Whether it is in order, and a key and the keys around it are found where a sorted map has them.
    fn alike(order: &Order, records: &Records, model: &BTreeMap<Vec<u8>, u32>, key: &[u8]) -> bool {
        let found = order.find(key, records).ok().map(|place| order.number(place));
        let from = model.range(key.to_vec()..).map(|(_, number)| *number);
        let below = model.range(..key.to_vec()).rev().map(|(_, number)| *number);
        order.blocks.iter().all(|block| (1..=BLOCK).contains(&block.numbers.len()))
            && order.bounds.heads.len() == order.blocks.len().saturating_sub(1)
            && found == model.get(key).copied()
            && order.from(key, records).eq(from)
            && order.below(key, records).eq(below)
    }

    quickcheck! {
        fn numbers_lie_in_the_order_of_their_keys(steps: Vec<(Key, bool)>) -> bool {
            let (mut order, mut records, mut model) = (Order::default(), Records::default(), BTreeMap::new());
            steps.iter().all(|(Key(key), add)| {
                match order.find(key, &records) {
                    Err(place) if *add => {
                        let number = records.add(record(key));
                        order.insert(place, number, &records);
                        model.insert(key.clone(), number);
                    }
                    Ok(place) if !add => {
                        records.remove(order.remove(place));
                        model.remove(key);
                    }
                    _ => {}
                }
                alike(&order, &records, &model, key)
                    && steps.iter().all(|(Key(other), _)| alike(&order, &records, &model, other))
            })
        }
    }
}
