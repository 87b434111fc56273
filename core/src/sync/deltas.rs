//! Taking frames of deltas apart: whose they are, which rows they mean, what they go on from.
//!
//! A put may name its row by what it replaces there ([`super::pack`]): that dot is looked for among the live ones, among
//! those of deltas that wait for their signature, and at the end of the log, where it is when both sides replaced it at one
//! time. If it is in none of them, the peer is told so once ([`Message::Keys`]), and gives keys for the rest of the stream.
//!
//! Every delta is linked to the chain of its author as it is known here, so a run that continues another history is
//! noticed at once. A row resolved wrongly (a forked dot has two) makes other canonical bytes, another chain, and no
//! signature holds. It cannot be told from a lie, so then too keys are asked for; what fails with keys is one.
//!
//! [`Message::Keys`]: crate::sync::message::Message::Keys

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::clock::Timestamp;
use crate::codec::BoundedVec;
use crate::id::{Chain, Dot, ReplicaId, SpaceId};
use crate::limits::{DELTA_BYTES, FRAME_BYTES};
use crate::row::{Delta, Deps, DotRuns, Put, RowKey};
use crate::state::{Head, Received, SignedHead, Space};
use crate::store::{Store, StoreError};
use crate::sync::frame::{Killed, Row, WireDelta, WireDeps, WirePut};
use crate::sync::message::{Deltas, Gossiped, Intro, Key, Name, Previous, Run, Tag};

/// A frame that no honest replica sends.
pub(crate) struct Nonsense;

/// Why a frame's deltas cannot be linked to what is known here.
pub(crate) enum Unlinked {
    Nonsense,
    /// Something before one of them is not known here.
    Gap,
    /// A row is named by a dot that is not known here any more.
    Row,
    /// One of them continues another history: up to this head of it, if the frame says enough to tell.
    Fork(Option<Box<SignedHead>>),
    Store(StoreError),
}

impl From<Nonsense> for Unlinked {
    fn from(_: Nonsense) -> Self {
        Self::Nonsense
    }
}

impl From<StoreError> for Unlinked {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// How far an author is known, here or in what was received before and not yet applied.
#[derive(Clone, Copy)]
pub(crate) struct Tail {
    pub(crate) seq: u64,
    pub(crate) chain: Chain,
    pub(crate) intro: Intro,
}

/// What was received and not yet applied.
#[derive(Default)]
pub(crate) struct Tails {
    heads: BTreeMap<ReplicaId, Tail>,
    /// Replicas that are known from there only.
    tags: BTreeMap<Tag, ReplicaId>,
    /// Rows that it puts something into.
    rows: BTreeMap<Dot, RowKey>,
    /// Some of those rows were named by what was replaced there.
    pub(crate) named: bool,
}

impl Tails {
    /// Nothing yet, on top of these heads.
    pub(crate) fn at(heads: BTreeMap<ReplicaId, Tail>) -> Self {
        Self { heads, ..Self::default() }
    }
}

/// Where the runs of a frame begin.
pub(crate) struct Linker<'a, S> {
    pub(crate) space: &'a Space<S>,
    pub(crate) tails: &'a mut Tails,
    /// The key of the stream, and replicas by their names on it; nothing where replicas and rows are spelled out.
    pub(crate) names: Option<(Key, &'a BTreeMap<Tag, ReplicaId>)>,
    /// Rows may be named by what was replaced there.
    pub(crate) may_name: bool,
    /// Set when a run begins with what is known: nothing but its signature tells whether it goes on from the same.
    pub(crate) overlaps: bool,
    /// Rows of what was put of late, once somebody asked.
    recent: Option<BTreeMap<Dot, RowKey>>,
    /// How many bytes the deltas of the frame may still come to.
    budget: usize,
}

/// A replica that a frame names, with its key where the frame tells it.
type Named = (ReplicaId, Option<Intro>);

impl<'a, S: Store> Linker<'a, S> {
    pub(crate) const fn new(space: &'a Space<S>, tails: &'a mut Tails) -> Self {
        Self {
            space,
            tails,
            names: None,
            may_name: false,
            overlaps: false,
            recent: None,
            budget: FRAME_BYTES,
        }
    }

    /// Takes a frame apart: its deltas in order, those that are known already left out.
    pub(crate) fn unpack(&mut self, frame: &Deltas) -> Result<Vec<Received>, Unlinked> {
        let names = frame.names.iter().map(|name| self.name(name)).collect::<Result<Vec<_>, _>>()?;
        let mut next: Vec<u64> = Vec::with_capacity(frame.runs.len());
        for run in frame.runs.iter() {
            let (replica, _) = *names.get(run.name as usize).ok_or(Nonsense)?;
            let starts = run.previous != Previous::Start || run.first_seq == 1;
            if run.first_seq == 0 || !starts {
                return Err(Unlinked::Nonsense);
            }
            next.push(run.first_seq);
            let (seq, chain) = self.known(&replica);
            if run.first_seq == seq + 1 && !run.previous.matches(&chain) {
                return Err(Unlinked::Fork(self.other_head(frame, &names, run)));
            }
        }
        let last_of_run: BTreeMap<u32, usize> =
            frame.deltas.iter().enumerate().map(|(index, delta)| (delta.run, index)).collect();
        let mut received = Vec::new();
        for (index, wire) in frame.deltas.iter().enumerate() {
            let run = frame.runs.get(wire.run as usize).ok_or(Nonsense)?;
            let end = next[wire.run as usize].checked_add(wire.len).ok_or(Nonsense)?;
            let first_seq = core::mem::replace(&mut next[wire.run as usize], end);
            let (replica, intro) = names[run.name as usize];
            let (known, previous) = self.known(&replica);
            if end - 1 <= known {
                self.overlaps = true;
                continue;
            }
            if first_seq != known + 1 {
                // Half of it known: another history. All of it beyond: something is missing.
                let fork = first_seq <= known;
                return Err(if fork {
                    Unlinked::Fork(self.other_head(frame, &names, run))
                } else {
                    Unlinked::Gap
                });
            }
            let intro = self.intro(&replica, intro).ok_or(Nonsense)?;
            let mut link = self.link(&names, run, wire, (first_seq, previous, intro))?;
            link.signature = run.signature.filter(|_| last_of_run[&wire.run] == index);
            received.push(link);
        }
        Ok(received)
    }

    /// The next delta of its author, which is known up to it.
    fn link(
        &mut self,
        names: &[Named],
        run: &Run,
        wire: &WireDelta,
        (first_seq, previous, intro): (u64, Chain, Intro),
    ) -> Result<Received, Unlinked> {
        let (delta, replaces) = self.rebuild(names, run, first_seq, wire)?;
        let bytes = delta.encode();
        self.budget = self.budget.checked_sub(bytes.len()).ok_or(Nonsense)?;
        if bytes.len() > DELTA_BYTES {
            return Err(Unlinked::Nonsense);
        }
        let chain = delta.chain(&self.space.id, &previous, &bytes);
        if let Some((key, _)) = self.names {
            if self.space.heads.get(&delta.replica).is_none() {
                self.tails.tags.insert(key.replica(&delta.replica), delta.replica);
            }
            self.tails.rows.extend(delta.put_rows().map(|(dot, row)| (dot, row.clone())));
        }
        self.tails.named |= !replaces.is_empty();
        self.tails.heads.insert(delta.replica, Tail { seq: delta.last_seq(), chain, intro });
        let Intro { device, nonce } = intro;
        let (signature, vouched) = (None, false);
        Ok(Received { delta, bytes, previous, chain, signature, vouched, device, nonce, replaces })
    }

    /// The head at the end of a run whose whole chain is told and leaves the signed history known here. Whether it is
    /// signed is for the caller to find out; then it proves that there are two.
    fn other_head(&mut self, frame: &Deltas, names: &[Named], run: &Run) -> Option<Box<SignedHead>> {
        let (replica, _) = *names.get(run.name as usize)?;
        let head = self.space.heads.get(&replica)?;
        let (known, known_chain) = (head.seq, head.chain);
        let Previous::Whole(mut chain) = run.previous else { return None };
        let mut seq = run.first_seq - 1;
        let mut leaves = seq == known && chain != known_chain;
        for wire in frame.deltas.iter().filter(|wire| frame.runs.get(wire.run as usize) == Some(run)) {
            let (delta, _) = self.rebuild(names, run, seq + 1, wire).ok()?;
            leaves |= delta.first_seq <= known && known < delta.last_seq();
            chain = delta.chain(&self.space.id, &chain, &delta.encode());
            seq = delta.last_seq();
            leaves |= seq == known && chain != known_chain;
        }
        let signature = run.signature?;
        leaves.then(|| Box::new(SignedHead { replica, seq, chain, signature }))
    }

    fn known(&self, replica: &ReplicaId) -> (u64, Chain) {
        let here = self.space.heads.get(replica).map(|head| (head.seq, head.chain));
        let here = here.unwrap_or_else(|| (0, crate::row::chain_start(&self.space.id, replica)));
        match self.tails.heads.get(replica) {
            Some(tail) if tail.seq >= here.0 => (tail.seq, tail.chain),
            _ => here,
        }
    }

    /// Who is meant.
    fn name(&self, name: &Name) -> Result<Named, Unlinked> {
        match name {
            Name::New(intro) => {
                Ok((ReplicaId::derive(&intro.device, &self.space.id, &intro.nonce), Some(*intro)))
            }
            Name::Whole(replica) => Ok((*replica, None)),
            Name::Known(tag) => {
                let named =
                    self.names.and_then(|(_, names)| names.get(tag)).or_else(|| self.tails.tags.get(tag));
                // Something before it was dropped.
                named.map(|replica| (*replica, None)).ok_or(Unlinked::Gap)
            }
        }
    }

    /// The author's key: as known here, or as introduced.
    fn intro(&self, replica: &ReplicaId, given: Option<Intro>) -> Option<Intro> {
        let known = self.space.heads.get(replica);
        let known = known.map(|Head { device, nonce, .. }| Intro { device: *device, nonce: *nonce });
        known.or_else(|| self.tails.heads.get(replica).map(|tail| tail.intro)).or(given)
    }

    /// A delta as its author made it; and what was replaced by which of its puts, where rows are named by that.
    fn rebuild(
        &mut self,
        names: &[Named],
        run: &Run,
        first_seq: u64,
        wire: &WireDelta,
    ) -> Result<(Delta, Vec<(Dot, Dot)>), Unlinked> {
        let id = |index: u32| names.get(index as usize).map(|(id, _)| *id).ok_or(Nonsense);
        let deps = match &wire.deps {
            WireDeps::Digest(digest) => Deps::Digest(*digest),
            WireDeps::Dots(dots) => {
                let dots = dots.iter().map(|(index, seq)| Ok(Dot::new(id(*index)?, *seq)));
                Deps::Dots(BoundedVec::new(dots.collect::<Result<_, Nonsense>>()?).ok_or(Nonsense)?)
            }
        };
        let mut kills = DotRuns::default();
        for (index, runs) in &wire.kills {
            kills.insert_runs(id(*index)?, runs);
        }
        let (mut killed, mut replaces) = (None, Vec::new());
        let mut puts = Vec::with_capacity(wire.puts.len());
        for WirePut { offset, row, payload } in &wire.puts {
            let key = match row {
                Row::Key(key) => key.clone(),
                Row::OfKilled(_) if matches!(run.previous, Previous::Whole(_)) => {
                    return Err(Unlinked::Nonsense);
                }
                Row::OfKilled(number) => {
                    let killed = killed.get_or_insert_with(|| Killed::new(&wire.kills));
                    let (index, seq) = killed.nth(*number).ok_or(Nonsense)?;
                    let dot = Dot::new(id(index)?, seq);
                    let put = first_seq.checked_add((*offset).into()).ok_or(Nonsense)?;
                    replaces.push((Dot::new(id(run.name)?, put), dot));
                    self.row(&dot)?
                }
            };
            puts.push(Put { offset: *offset, key, payload: payload.clone() });
        }
        let first = Dot::new(id(run.name)?, first_seq);
        let delta = Delta::new(first, wire.len, Timestamp(wire.timestamp), deps, puts, kills);
        Ok((delta.map_err(|_| Nonsense)?, replaces))
    }

    /// The row of a dot that is replaced.
    fn row(&mut self, dot: &Dot) -> Result<RowKey, Unlinked> {
        if !self.may_name {
            return Err(Unlinked::Row);
        }
        if let Some(row) = self.tails.rows.get(dot) {
            return Ok(row.clone());
        }
        if let Some(row) = self.space.live_row(dot)? {
            return Ok(row);
        }
        let recent = match &mut self.recent {
            Some(recent) => recent,
            None => self.recent.insert(self.space.recent_rows()?),
        };
        recent.get(dot).cloned().ok_or(Unlinked::Row)
    }
}

/// Takes a gossiped delta on its own word. `None` when it is none of its author.
pub(crate) fn unpack_alone(space: &SpaceId, gossiped: &Gossiped) -> Option<Received> {
    let Intro { device, nonce } = gossiped.intro;
    let delta = Delta::decode(&gossiped.delta).ok()?;
    if ReplicaId::derive(&device, space, &nonce) != delta.replica {
        return None;
    }
    let (bytes, previous) = (gossiped.delta.to_vec(), gossiped.previous);
    let chain = delta.chain(space, &previous, &bytes);
    let (signature, vouched, replaces) = (Some(gossiped.signature), false, Vec::new());
    Some(Received { delta, bytes, previous, chain, signature, vouched, device, nonce, replaces })
}
