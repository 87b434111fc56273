//! Finding out what died: two trees compared from the top, so that a bulk costs what differs.
//!
//! What a peer has not seen is told in chunks; of what it has seen, only deaths are news. Both sides hold a hash over the
//! live dots of each range of seqs, cut off where the peer's knowledge ends. The taker asks about parts that differ, the
//! server answers with the hashes of the next smaller parts, or with the live dots of a leaf: one message goes down two
//! levels. What the taker holds there and the server does not is dead.
//!
//! The server's vector was fixed with its offer, before anything was compared, and its tail goes out after the last answer:
//! so whatever died under the vector is found here, and whatever died later is in the tail.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::codec::BoundedVec;
use crate::id::{Dot, ReplicaId};
use crate::limits::{COMPARE_PARTS, COMPARED_PARTS};
use crate::row::{DotSet, Runs};
use crate::state::{Live, LiveNode, Range, decode_dot_hash, scan_live};
use crate::store::{Store, StoreError, Table};
use crate::sync::message::{Compare, Compared, Key, Leaf, LiveSet, Message, Offer, Part, Place, Tag};
use crate::sync::session::{Context, End, MISBEHAVED, Session};

/// What the taker of a bulk compares.
#[derive(Default)]
pub(super) struct Comparison {
    /// The replicas of the offer that are known here: which, how much of it there is, and up to where it is compared.
    pub(super) offered: BTreeMap<u32, Known>,
    /// Parts that differ and were not asked about yet: the deepest last, so that there are never many.
    queue: Vec<(u32, Range)>,
    /// How many parts the answer that is awaited may still have.
    awaited: Option<usize>,
    /// What is live here and dead at the peer.
    pub(super) dead: DotSet,
}

/// Whether a comparison can begin.
pub(super) enum Begin {
    Now(Comparison),
    /// Something that the peer thinks is known here is on its way to the disk.
    Later,
    /// Something that the peer thinks is known here is not.
    Unknown,
}

/// One replica of an offer.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) replica: ReplicaId,
    pub(super) seq: u64,
    pub(super) seen: u64,
}

impl Comparison {
    /// Looks an offer up in what is durable here.
    pub(super) fn begin<S: Store>(
        cx: &mut Context<'_, S>,
        key: Key,
        tags: &BTreeMap<Tag, ReplicaId>,
        offer: &Offer,
    ) -> Result<Begin, StoreError> {
        cx.space.durable_state()?;
        let mut comparison = Self::default();
        for (at, offered) in (0..).zip(offer.replicas.iter()).filter(|(_, offered)| offered.seen > 0) {
            let known = tags.get(&offered.replica).filter(|id| cx.space.heads.seq(id) >= offered.seen);
            let Some(replica) = known.copied() else { return Ok(Begin::Unknown) };
            if cx.space.durable.heads.seq(&replica) < offered.seen {
                return Ok(Begin::Later);
            }
            let (seq, seen) = (offered.seq, offered.seen);
            comparison.offered.insert(at, Known { replica, seq, seen });
            let top = Range::top(replica, seen);
            if let Some(node) = bounded(cx, top, seen)?
                && key.node(&node.hash) != offered.live
            {
                comparison.queue.push((at, top));
            }
        }
        Ok(Begin::Now(comparison))
    }

    /// The next question, if there is anything left to ask.
    fn ask<S: Store>(&mut self, cx: &Context<'_, S>, key: Key) -> Result<Vec<Part>, StoreError> {
        let mut parts = Vec::new();
        while parts.len() < COMPARE_PARTS
            && let Some((at, range)) = self.queue.pop()
        {
            let Some(of) = self.offered.get(&at) else { continue };
            if let Some(node) = bounded(cx, range, of.seen)? {
                parts.push(part(cx, key, at, range, of.seen, &node)?);
            }
        }
        Ok(parts)
    }

    /// What an answer says about parts.
    fn hear<S: Store>(&mut self, cx: &Context<'_, S>, key: Key, answer: &Compared) -> Result<(), End> {
        let count = answer.children.len() + answer.leaves.len();
        let Some(left) = self.awaited.and_then(|awaited| awaited.checked_sub(count)) else {
            return Err(MISBEHAVED);
        };
        self.awaited = (!answer.last).then_some(left);
        for part in answer.children.iter() {
            let of = *self.offered.get(&part.place.at).ok_or(MISBEHAVED)?;
            let range = range(&part.place, of.replica).filter(|range| range.bits > 0).ok_or(MISBEHAVED)?;
            let theirs = children(part).ok_or(MISBEHAVED)?;
            let tree = &cx.space.durable.tree;
            for (index, node) in tree.bounded_children(cx.space.overlay.store(), range, of.seen)? {
                let child = range.child(index);
                match theirs.get(&index) {
                    Some(tag) if *tag == key.node(&node.hash) => {}
                    Some(_) => self.queue.push((part.place.at, child)),
                    None => bury(cx, &mut self.dead, &child, of.seen, &Runs::default())?,
                }
            }
        }
        for Leaf { place, live } in answer.leaves.iter() {
            let of = *self.offered.get(&place.at).ok_or(MISBEHAVED)?;
            let range = range(place, of.replica).ok_or(MISBEHAVED)?;
            let live = live.seqs(range.first(), range.last()).ok_or(MISBEHAVED)?;
            bury(cx, &mut self.dead, &range, of.seen, &live)?;
        }
        Ok(())
    }
}

impl Session {
    /// Asks on, or says that everything was compared. Says whether it was.
    pub(super) fn compare_on<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        round: u32,
        comparison: &mut Comparison,
    ) -> Result<bool, End> {
        let key = self.key.ok_or(MISBEHAVED)?;
        cx.space.durable_state()?;
        let parts = comparison.ask(cx, key)?;
        let done = parts.is_empty();
        cx.space.stats.compared_parts += parts.len() as u64;
        // An answer has at most sixteen parts for each that was asked about.
        comparison.awaited = (!done).then_some(parts.len() * 16);
        let parts = BoundedVec::new(parts).expect("asked for no more");
        cx.send(&Message::Compare(Compare { round, parts }));
        Ok(done)
    }

    pub(super) fn on_compared<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        answer: &Compared,
    ) -> Result<(), End> {
        let key = self.key.ok_or(MISBEHAVED)?;
        let round = answer.round;
        let Some(take) = Self::taking(cx, round) else { return Ok(()) };
        let Some(mut comparison) = take.comparison.take() else { return Err(MISBEHAVED) };
        cx.space.durable_state()?;
        comparison.hear(cx, key, answer)?;
        let done = answer.last && self.compare_on(cx, round, &mut comparison)?;
        let Some(take) = Self::taking(cx, round) else { return Ok(()) };
        if done {
            take.dead = comparison.dead;
        } else {
            take.comparison = Some(comparison);
        }
        Ok(())
    }

    /// Answers a question about parts of this side's trees.
    pub(super) fn on_compare<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        question: &Compare,
    ) -> Result<(), End> {
        let key = self.key.ok_or(MISBEHAVED)?;
        let Some(serving) = self.serving.as_mut().filter(|serving| serving.round == question.round) else {
            return Ok(());
        };
        if question.parts.is_empty() {
            serving.compared = true;
            return Ok(());
        }
        cx.space.durable_state()?;
        let mut answer = Answer { key, children: Vec::new(), leaves: Vec::new() };
        for asked in question.parts.iter() {
            let (replica, seen) = serving.compared_at(asked.place.at).ok_or(MISBEHAVED)?;
            let range = range(&asked.place, replica).ok_or(MISBEHAVED)?;
            let theirs = children(asked).ok_or(MISBEHAVED)?;
            answer.about(cx, asked.place.at, range, seen, &theirs)?;
        }
        answer.send(cx, question.round);
        Ok(())
    }
}

/// An answer in the making.
struct Answer {
    key: Key,
    children: Vec<Part>,
    leaves: Vec<Leaf>,
}

impl Answer {
    /// What the taker needs of a part whose children it named.
    fn about<S: Store>(
        &mut self,
        cx: &Context<'_, S>,
        at: u32,
        range: Range,
        seen: u64,
        theirs: &BTreeMap<u8, Tag>,
    ) -> Result<(), StoreError> {
        let node = bounded(cx, range, seen)?;
        let Some(node) = node.filter(|node| !cx.space.durable.tree.is_leaf(node)) else {
            return self.leaf(cx, at, range, seen);
        };
        if theirs.is_empty() {
            let part = part(cx, self.key, at, range, seen, &node)?;
            self.children.push(part);
            return Ok(());
        }
        for (index, tag) in theirs {
            let child = range.child(*index);
            match bounded(cx, child, seen)? {
                Some(node) if self.key.node(&node.hash) == *tag => {}
                Some(node) if !cx.space.durable.tree.is_leaf(&node) => {
                    let part = part(cx, self.key, at, child, seen, &node)?;
                    self.children.push(part);
                }
                _ => self.leaf(cx, at, child, seen)?,
            }
        }
        Ok(())
    }

    fn leaf<S: Store>(
        &mut self,
        cx: &Context<'_, S>,
        at: u32,
        range: Range,
        seen: u64,
    ) -> Result<(), StoreError> {
        let most = crate::tree::LEAF_DOTS;
        let Live::All(dots) = scan_live(cx.space.overlay.store(), &range, seen, most)? else {
            return Err(StoreError::Damaged("a leaf of the tree has too many dots".into()));
        };
        let seqs: Vec<u64> = dots.into_iter().map(|(seq, _)| seq).collect();
        let live = LiveSet::new(range.first(), &seqs);
        self.leaves.push(Leaf { place: place(at, &range), live });
        Ok(())
    }

    /// In frames of a bounded number of parts; the last one says so.
    fn send<S: Store>(self, cx: &mut Context<'_, S>, round: u32) {
        let bounded = "chunked, and sixteen for each of the question at most";
        let children = BoundedVec::<_, COMPARED_PARTS>::new(self.children).expect(bounded);
        let chunks: Vec<&[Leaf]> = self.leaves.chunks(COMPARED_PARTS / 4).collect();
        let mut first = Some(children);
        for (index, chunk) in chunks.iter().enumerate() {
            let leaves = BoundedVec::new(chunk.to_vec()).expect(bounded);
            let children = first.take().unwrap_or_default();
            let last = index + 1 == chunks.len();
            cx.send(&Message::Compared(Compared { round, children, leaves, last }));
        }
        if let Some(children) = first {
            cx.send(&Message::Compared(Compared {
                round,
                children,
                leaves: BoundedVec::default(),
                last: true,
            }));
        }
    }
}

fn bounded<S: Store>(cx: &Context<'_, S>, range: Range, seen: u64) -> Result<Option<LiveNode>, StoreError> {
    cx.space.durable.tree.bounded(cx.space.overlay.store(), range, seen)
}

/// A node as a message names it: with its children, unless it is a leaf.
fn part<S: Store>(
    cx: &Context<'_, S>,
    key: Key,
    at: u32,
    range: Range,
    seen: u64,
    node: &LiveNode,
) -> Result<Part, StoreError> {
    let tree = &cx.space.durable.tree;
    let children = match tree.is_leaf(node) {
        true => Vec::new(),
        false => tree.bounded_children(cx.space.overlay.store(), range, seen)?,
    };
    let mask = children.iter().fold(0, |mask, (index, _)| mask | 1 << index);
    let tags = children.iter().map(|(_, node)| key.node(&node.hash)).collect();
    Ok(Part { place: place(at, &range), mask, tags: BoundedVec::new(tags).expect("sixteen at most") })
}

/// The hashes of a part's children by their index.
fn children(part: &Part) -> Option<BTreeMap<u8, Tag>> {
    let indices = (0..16_u8).filter(|index| part.mask >> index & 1 == 1);
    (part.mask.count_ones() as usize == part.tags.len())
        .then(|| indices.zip(part.tags.iter().copied()).collect())
}

fn place(at: u32, range: &Range) -> Place {
    Place { at, bits: range.bits.to_be_bytes()[3], index: range.index }
}

fn range(place: &Place, replica: ReplicaId) -> Option<Range> {
    Range::new(replica, u32::from(place.bits), place.index)
}

/// Notes what is live here in a range up to `seen` and not at the peer.
fn bury<S: Store>(
    cx: &Context<'_, S>,
    dead: &mut DotSet,
    range: &Range,
    seen: u64,
    live: &Runs,
) -> Result<(), StoreError> {
    let last = Dot::new(range.replica, range.last().min(seen)).to_bytes();
    let mut failed = None;
    let first = Dot::new(range.replica, range.first()).to_bytes();
    cx.space.overlay.store().scan(Table::Dots, &first, &mut |key, value| {
        if key > last.as_slice() {
            return ControlFlow::Break(());
        }
        match decode_dot_hash(key, value) {
            Ok((dot, _)) if !live.contains(dot.seq) => dead.insert(dot),
            Ok(_) => {}
            Err(error) => failed = Some(error),
        }
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    failed.map_or(Ok(()), Err)
}
