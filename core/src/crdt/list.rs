//! The list.
//!
//! Problem: an order that replicas change at once: they insert at one place, move, edit and remove, and nothing is doubled,
//! lost or mixed up.
//!
//! Idea: an item has a name for life, and a *spot* between its neighbours (spot.rs: the order of Fugue). A row holds its
//! value and the spot where it was when that was written; a second row, its spot after a move, is there only once it was
//! moved. Items are read in the order of their spots.
//!
//! | element | payload | meaning |
//! |---|---|---|
//! | name (24 bytes), 1 | length of the spot (varint), spot, value | the item |
//! | name, 0 | spot | where it was moved to |
//!
//! Concurrent cases: *insert and insert* at one place: both, and what each writer inserts in a row stays together. *Move and
//! move*: one of the two places, never a copy. *Edit and remove*: the edit wins, and the item stays where its writer saw it.
//! *Move and remove*: removed. *Edit and edit*: the newest shows. *Edit and move*: both. *Insert and make room* (where spots have
//! become too long, items around get new ones): what is inserted between two of these lies before or behind all of them.
//!
//! Cost: an item is a row of about 40 bytes beside its value, a moved one two rows. Positions are found by reading all of
//! the list: it is for hundreds or thousands of items. For more, or where the order follows from the data, sort a map.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::ops::ControlFlow;
use core::str::FromStr;

use super::spot::Spot;
use super::{OnceKey, Standalone, view::view};
use crate::error::CodecError;
use crate::id::{Dot, domain, hash, parse_hex, write_hex};
use crate::row::stored::{push_varint, take_varint};
use crate::row::{DataError, Entry, Payload, ReadRows, RowKey, WriteRows};
use crate::value::Value;

view!(
    /// A list where what each writer inserts stays together. See the [module page](crate::crdt).
    ListView, LIST
);

/// A [`ListView`] that stands alone.
pub type List = Standalone<ListView>;

/// Items on each side that move first where there is no room for one more.
const ROOM: usize = 8;
/// Bytes of a name.
const NAME: usize = 24;

/// The name of an item, for life: who inserted it, and a hash of when by its own count, where, and what. Two stores that
/// write under one id, one of them a copy of the other that nobody noticed, give the same counts; what they insert has two
/// names all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId([u8; NAME]);

impl ItemId {
    fn new(fresh: &Dot, home: &Payload) -> Self {
        let hash = hash(domain::LIST_ITEM, &[&fresh.to_bytes(), home]);
        let mut name = [0; NAME];
        name[..16].copy_from_slice(fresh.replica.as_bytes());
        name[16..].copy_from_slice(&hash[..NAME - 16]);
        Self(name)
    }

    /// 24 bytes.
    pub const fn to_bytes(self) -> [u8; NAME] {
        self.0
    }

    /// Reads [`ItemId::to_bytes`] back.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// 48 hexadecimal digits.
impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.to_bytes())
    }
}

impl FromStr for ItemId {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        parse_hex(text).map(Self).ok_or(CodecError::Malformed)
    }
}

/// An item as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its name.
    pub id: ItemId,
    /// The newest value.
    pub value: Value,
}

/// What the rows of one item say.
#[derive(Default)]
struct Found {
    moved: Option<Spot>,
    home: Option<(Spot, Value)>,
    /// The row that moved it is there, whatever it says.
    is_moved: bool,
}

/// An item with its spot.
struct Placed {
    spot: Spot,
    item: Item,
    is_moved: bool,
}

/// All items in their order, and rows that move what is there no more.
#[derive(Default)]
struct Whole {
    items: Vec<Placed>,
    strays: Vec<RowKey>,
}

const VALUE: u8 = 1;
const MOVED: u8 = 0;

/// The newest entry that decodes.
fn newest<T>(entries: &[Entry], decode: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let readable = entries.iter().filter_map(|entry| Some((entry.rank(), decode(&entry.payload)?)));
    readable.max_by_key(|(rank, _)| *rank).map(|(_, found)| found)
}

fn decode_home(mut bytes: &[u8]) -> Option<(Spot, Value)> {
    let length = usize::try_from(take_varint(&mut bytes).ok()?).ok()?;
    let (spot, value) = bytes.split_at_checked(length)?;
    Some((Spot::from_bytes(spot)?, Value::decode(value).ok()?))
}

fn encode_home(spot: &Spot, value: &Value) -> Result<Payload, DataError> {
    let mut bytes = Vec::new();
    push_varint(spot.as_bytes().len() as u64, &mut bytes);
    bytes.extend_from_slice(spot.as_bytes());
    bytes.extend_from_slice(&value.encode()?);
    Payload::new(bytes).ok_or(DataError::Value(crate::value::ValueError::TooLong))
}

impl ListView {
    fn row(&self, id: ItemId, part: u8) -> Result<RowKey, DataError> {
        let mut element = id.to_bytes().to_vec();
        element.push(part);
        Ok(self.0.row(&element)?)
    }

    fn whole<R: ReadRows>(&self, rows: &R) -> Result<Whole, R::Error> {
        let mut found: BTreeMap<ItemId, Found> = BTreeMap::new();
        rows.scan(&self.0, &[], &mut |key, entries| {
            if let Some((part, id)) = key.element().split_last()
                && let Some(id) = ItemId::from_bytes(id)
            {
                match *part {
                    MOVED => {
                        let found = found.entry(id).or_default();
                        found.is_moved = true;
                        found.moved = newest(entries, Spot::from_bytes);
                    }
                    VALUE => found.entry(id).or_default().home = newest(entries, decode_home),
                    _ => {}
                }
            }
            ControlFlow::Continue(())
        })?;
        let mut whole = Whole::default();
        for (id, Found { moved, home, is_moved }) in found {
            match home {
                Some((home, value)) => {
                    let (spot, item) = (moved.unwrap_or(home), Item { id, value });
                    whole.items.push(Placed { spot, item, is_moved });
                }
                None if is_moved => whole.strays.push(self.row(id, MOVED)?),
                None => {}
            }
        }
        // Names decide where two stand at one spot.
        whole.items.sort_by(|one, other| one.spot.cmp(&other.spot));
        Ok(whole)
    }

    /// The item that a row of a list is about.
    pub fn item_of(row: &RowKey) -> Option<ItemId> {
        let (_, id) = row.element().split_last()?;
        ItemId::from_bytes(id)
    }

    /// The value in an entry of a list; none in one that only moves an item.
    pub fn value_of(entry: &Entry) -> Option<Value> {
        decode_home(&entry.payload).map(|(_, value)| value)
    }

    /// The items in their order.
    pub fn items<R: ReadRows>(&self, rows: &R) -> Result<Vec<Item>, R::Error> {
        Ok(self.whole(rows)?.items.into_iter().map(|placed| placed.item).collect())
    }

    /// How many items there are. Reads all of them.
    pub fn len<R: ReadRows>(&self, rows: &R) -> Result<usize, R::Error> {
        Ok(self.whole(rows)?.items.len())
    }

    /// Whether there is none. Reads all of them.
    pub fn is_empty<R: ReadRows>(&self, rows: &R) -> Result<bool, R::Error> {
        Ok(self.len(rows)? == 0)
    }

    /// The value of an item, if it is there.
    pub fn get<R: ReadRows>(&self, rows: &R, id: ItemId) -> Result<Option<Value>, R::Error> {
        let entries = rows.entries(&self.row(id, VALUE)?)?;
        Ok(newest(&entries, decode_home).map(|(_, value)| value))
    }

    /// Inserts an item before the one at `index`, or at the end. Beyond the end is an error.
    pub fn insert<W: WriteRows>(
        &self,
        rows: &mut W,
        index: usize,
        value: impl Into<Value>,
    ) -> Result<ItemId, W::Error> {
        let whole = self.whole(rows)?;
        let spot = self.spot_at(rows, &whole.items.iter().collect::<Vec<_>>(), index)?;
        let name = rows.fresh();
        let home = encode_home(&spot, &value.into())?;
        let id = ItemId::new(&name, &home);
        rows.put(self.row(id, VALUE)?, home)?;
        Ok(id)
    }

    /// Adds an item at the end.
    pub fn push<W: WriteRows>(&self, rows: &mut W, value: impl Into<Value>) -> Result<ItemId, W::Error> {
        let length = self.len(rows)?;
        self.insert(rows, length, value)
    }

    /// Adds an item at the end under a key: one item, whoever adds under it. Of tries that had not seen each other the
    /// newest shows; one that had not seen the removal of the item brings it back.
    pub fn push_once<W: WriteRows>(
        &self,
        rows: &mut W,
        key: &OnceKey,
        value: impl Into<Value>,
    ) -> Result<ItemId, W::Error> {
        let id = ItemId(key.cut());
        let row = self.row(id, VALUE)?;
        if rows.entries(&row)?.is_empty() {
            let whole = self.whole(rows)?;
            let items: Vec<&Placed> = whole.items.iter().collect();
            let spot = self.spot_at(rows, &items, items.len())?;
            rows.put(row, encode_home(&spot, &value.into())?)?;
        }
        Ok(id)
    }

    /// Gives an item another value. One that is not there is an error.
    pub fn set<W: WriteRows>(
        &self,
        rows: &mut W,
        id: ItemId,
        value: impl Into<Value>,
    ) -> Result<(), W::Error> {
        let key = self.row(id, VALUE)?;
        let (home, _) = newest(&rows.entries(&key)?, decode_home).ok_or(DataError::NoItem)?;
        let moved = newest(&rows.entries(&self.row(id, MOVED)?)?, Spot::from_bytes);
        rows.put(key, encode_home(&moved.unwrap_or(home), &value.into())?)
    }

    /// Moves an item to where it will be the one at `index`. One that is not there is an error, and so is an index beyond
    /// the end.
    pub fn move_to<W: WriteRows>(&self, rows: &mut W, id: ItemId, index: usize) -> Result<(), W::Error> {
        let whole = self.whole(rows)?;
        let others: Vec<&Placed> = whole.items.iter().filter(|placed| placed.item.id != id).collect();
        if others.len() == whole.items.len() {
            return Err(DataError::NoItem.into());
        }
        let spot = self.spot_at(rows, &others, index)?;
        self.put_moved(rows, id, &spot)
    }

    /// A spot before the item at `index`. Where spots have become too long the items around it move, in their order, to a run of
    /// new ones between neighbours that are further away; between both ends of the list there always is one.
    fn spot_at<W: WriteRows>(&self, rows: &mut W, items: &[&Placed], index: usize) -> Result<Spot, W::Error> {
        let (length, fresh) = (items.len(), rows.fresh());
        if index > length {
            return Err(DataError::OutOfList { index, length }.into());
        }
        let mut around = 0;
        loop {
            let (from, to) = (index.saturating_sub(around), length.min(index + around));
            let left = from.checked_sub(1).map(|left| &items[left].spot);
            let right = items.get(to).map(|right| &right.spot);
            if let Some(mut spots) = Spot::run_between(left, right, fresh, to - from + 1) {
                let spot = spots.remove(index - from);
                for (placed, spot) in items[from..to].iter().zip(spots) {
                    self.put_moved(rows, placed.item.id, &spot)?;
                }
                return Ok(spot);
            }
            around = 2 * around + ROOM;
        }
    }

    fn put_moved<W: WriteRows>(&self, rows: &mut W, id: ItemId, spot: &Spot) -> Result<(), W::Error> {
        let payload = Payload::new(spot.as_bytes()).expect("a spot is shorter than a payload may be");
        rows.put(self.row(id, MOVED)?, payload)
    }

    /// Removes an item as far as the writer sees it. Nothing is written for one that is not there.
    pub fn remove<W: WriteRows>(&self, rows: &mut W, id: ItemId) -> Result<(), W::Error> {
        let whole = self.whole(rows)?;
        rows.remove(self.row(id, VALUE)?)?;
        if whole.items.iter().any(|placed| placed.item.id == id && placed.is_moved) {
            rows.remove(self.row(id, MOVED)?)?;
        }
        // Moves of what others removed meanwhile are left over, and nobody else misses them.
        whole.strays.into_iter().try_for_each(|stray| rows.remove(stray))
    }
}

impl List {
    /// Inserts an item; see [`ListView::insert`].
    pub fn insert(&mut self, index: usize, value: impl Into<Value>) -> Result<ItemId, DataError> {
        self.write(|view, rows| view.insert(rows, index, value))
    }

    /// Adds an item at the end.
    pub fn push(&mut self, value: impl Into<Value>) -> Result<ItemId, DataError> {
        self.write(|view, rows| view.push(rows, value))
    }

    /// Gives an item another value; see [`ListView::set`].
    pub fn set(&mut self, id: ItemId, value: impl Into<Value>) -> Result<(), DataError> {
        self.write(|view, rows| view.set(rows, id, value))
    }

    /// Moves an item; see [`ListView::move_to`].
    pub fn move_to(&mut self, id: ItemId, index: usize) -> Result<(), DataError> {
        self.write(|view, rows| view.move_to(rows, id, index))
    }

    /// Removes an item; see [`ListView::remove`].
    pub fn remove(&mut self, id: ItemId) -> Result<(), DataError> {
        self.write(|view, rows| view.remove(rows, id))
    }

    /// The items in their order.
    pub fn items(&self) -> Vec<Item> {
        self.view().items(self.rows()).expect("a whole list can be read")
    }

    /// The values in their order.
    pub fn values(&self) -> Vec<Value> {
        self.items().into_iter().map(|item| item.value).collect()
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec;

    use quickcheck::quickcheck;

    use super::*;
    use crate::id::ReplicaId;

    fn list(replica: u8) -> List {
        List::new(ReplicaId::from_u128(replica.into()))
    }

    fn texts(list: &List) -> Vec<Value> {
        list.values()
    }

    fn values(texts: &[&str]) -> Vec<Value> {
        texts.iter().map(|text| Value::from(*text)).collect()
    }

    /// Two replicas with the same three items.
    fn pair() -> (List, List, [ItemId; 3]) {
        let mut a = list(1);
        let ids = ["a", "b", "c"].map(|text| a.push(text).unwrap());
        let b = a.fork(ReplicaId::from_u128(2));
        (a, b, ids)
    }

    fn meet(a: &mut List, b: &mut List) {
        a.merge(b);
        b.merge(a);
        assert_eq!(a, b);
    }

    /// Two that insert between the newest items of each other, again and again: spots nest, until room is made.
    #[test]
    fn there_is_always_room_and_the_order_stays() {
        let (mut a, mut b, _) = pair();
        let (mut order, mut moved) = (texts(&a), 0);
        for n in 0..600 {
            let lists = if n % 2 == 0 { [&mut a, &mut b] } else { [&mut b, &mut a] };
            let [writer, other] = lists;
            // Between the last two, now the one and then the other first.
            let at = 1 + n / 4 + usize::from(n % 4 > 1);
            writer.insert(at, i64::try_from(n).unwrap()).unwrap();
            order.insert(at, Value::from(i64::try_from(n).unwrap()));
            meet(other, writer);
            assert_eq!(texts(writer), order, "after {n}");
            let whole = writer.view().whole(writer.rows()).unwrap();
            assert!(whole.items.iter().all(|placed| placed.spot.as_bytes().len() <= 1024));
            moved = whole.items.iter().filter(|placed| placed.is_moved).count();
        }
        assert!(moved > 0, "nothing had to move: this tests nothing");
        let (last, first) = (a.items()[301].id, a.items()[299].id);
        a.move_to(last, 300).unwrap();
        b.move_to(first, 301).unwrap();
        meet(&mut a, &mut b);
        assert_eq!(a.len(), 603);
    }

    quickcheck! {
        /// Items that are not moved never change sides, in any state of any replica, and each is inserted where it was
        /// asked to be.
        fn items_keep_their_order(steps: Vec<(u8, u8, u8)>) -> bool {
            let mut lists = [list(1), list(2), list(3)];
            let mut after: BTreeSet<(ItemId, ItemId)> = BTreeSet::new();
            steps.into_iter().all(|(who, what, at)| {
                let (who, other) = (usize::from(who % 3), usize::from(at % 3));
                let place = usize::from(at) % (lists[who].len() + 1);
                match what % 4 {
                    0 if who != other => {
                        let other = lists[other].clone();
                        lists[who].merge(&other);
                    }
                    1 if place < lists[who].len() => {
                        let id = lists[who].items()[place].id;
                        lists[who].remove(id).unwrap();
                    }
                    _ => {
                        let id = lists[who].insert(place, Value::Int(at.into())).unwrap();
                        if lists[who].items()[place].id != id {
                            return false;
                        }
                    }
                }
                let ids: Vec<ItemId> = lists[who].items().iter().map(|item| item.id).collect();
                let pairs = (0..ids.len()).flat_map(|left| (left + 1..ids.len()).map(move |right| (left, right)));
                let pairs: Vec<_> = pairs.map(|(left, right)| (ids[left], ids[right])).collect();
                let sound = pairs.iter().all(|(left, right)| !after.contains(&(*right, *left)));
                after.extend(pairs);
                sound
            })
        }
    }

    #[test]
    fn what_each_inserts_in_a_row_stays_together() {
        let (mut a, mut b, _) = pair();
        for (index, text) in ["1", "2", "3"].into_iter().enumerate() {
            a.insert(1 + index, text).unwrap();
            // From the last one to the first one.
            b.insert(1, ["z", "y", "x"][index]).unwrap();
        }
        meet(&mut a, &mut b);
        let (one, other) = (["1", "2", "3"], ["x", "y", "z"]);
        let orders = [[one, other], [other, one]]
            .map(|[first, second]| values(&[&["a"], &first[..], &second[..], &["b", "c"]].concat()));
        assert!(orders.contains(&texts(&a)), "{:?}", texts(&a));
    }

    #[test]
    fn a_move_against_a_move_is_one_of_them_and_against_an_edit_both() {
        let (mut a, mut b, [first, second, _]) = pair();
        a.move_to(first, 2).unwrap();
        b.move_to(first, 1).unwrap();
        b.set(second, "B").unwrap();
        a.move_to(second, 0).unwrap();
        assert_eq!(texts(&a), values(&["b", "c", "a"]));
        assert_eq!(texts(&b), values(&["B", "a", "c"]));
        meet(&mut a, &mut b);
        let shown = texts(&a);
        assert!([values(&["B", "c", "a"]), values(&["B", "a", "c"])].contains(&shown), "{shown:?}");
        a.move_to(first, 0).unwrap();
        assert_eq!(texts(&a), values(&["a", "B", "c"]));
    }

    #[test]
    fn an_edit_beats_a_removal_where_it_was_seen_and_a_move_does_not() {
        let (mut a, mut b, [first, second, third]) = pair();
        a.move_to(first, 2).unwrap();
        meet(&mut a, &mut b);
        a.remove(first).unwrap();
        b.set(first, "A").unwrap();
        a.remove(second).unwrap();
        b.move_to(second, 2).unwrap();
        meet(&mut a, &mut b);
        assert_eq!(texts(&a), values(&["c", "A"]));
        assert_eq!(a.view().get(a.rows(), second).unwrap(), None);
        // What the move left behind goes with the next removal.
        assert_eq!(a.rows().iter().count(), 3);
        a.remove(third).unwrap();
        assert_eq!(a.rows().iter().count(), 1);
        assert_eq!(texts(&a), values(&["A"]));
    }

    #[test]
    fn what_is_not_there_is_an_error_or_nothing() {
        let (mut a, _, [first, ..]) = pair();
        a.remove(first).unwrap();
        let seen = a.version_vector().clone();
        assert_eq!(a.insert(3, "x"), Err(DataError::OutOfList { index: 3, length: 2 }));
        assert_eq!(a.set(first, "x"), Err(DataError::NoItem));
        assert_eq!(a.move_to(first, 0), Err(DataError::NoItem));
        a.remove(first).unwrap();
        assert_eq!(a.version_vector(), &seen, "nothing was written");
        assert!(!a.is_empty());
    }

    #[test]
    fn a_copy_that_nobody_noticed_inserts_items_of_its_own() {
        let (a, _, _) = pair();
        let inserted = ["x", "y"].map(|text| a.clone().push(text).unwrap());
        assert_ne!(inserted[0], inserted[1]);
    }

    #[test]
    fn rows_of_strangers_are_left_out() {
        let (mut a, _, [first, ..]) = pair();
        let row = |element: &[u8]| a.view().object().row(element).unwrap();
        let name = first.to_bytes();
        let strange = [
            (row(&[7]), vec![1]),
            (row(&[&name[..], &[9]].concat()), vec![]),
            (row(&[&name[..], &[MOVED]].concat()), vec![3, 3, 3]),
            (row(&[&[8; 24][..], &[VALUE]].concat()), vec![200, 1]),
        ];
        a.write(|_, rows| {
            strange.into_iter().try_for_each(|(key, bytes)| rows.put(key, Payload::new(bytes).unwrap()))
        })
        .unwrap();
        assert_eq!(texts(&a), values(&["a", "b", "c"]));
    }
}
