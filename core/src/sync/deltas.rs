//! Packing stretches of the log into frames, and taking them apart again.
//!
//! A frame names each replica once and numbers it. Unpacking links every delta to the chain of its author as it is known
//! here, so a run that continues another history is noticed at once.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::clock::Timestamp;
use crate::codec::BoundedVec;
use crate::id::{Chain, Dot, ReplicaId, SpaceId, cut};
use crate::limits::{FRAME_DELTAS, FRAME_REPLICAS};
use crate::row::{Delta, Deps, DotRuns};
use crate::state::{Head, Heads, LogRecord, Received, SignedHead};
use crate::sync::message::{Deltas, Intro, Previous, Run, WireDelta, WireDeps};

/// Numbers replicas in the order in which a frame names them.
#[derive(Default)]
struct Names {
    ids: Vec<ReplicaId>,
    index: BTreeMap<ReplicaId, u32>,
}

impl Names {
    fn of(&mut self, replica: ReplicaId) -> u32 {
        *self.index.entry(replica).or_insert_with(|| {
            self.ids.push(replica);
            u32::try_from(self.ids.len() - 1).expect("a frame names fewer than 2^32 replicas")
        })
    }
}

/// A frame in the making.
pub(crate) struct Packer {
    names: Names,
    runs: Vec<Run>,
    run_of: BTreeMap<ReplicaId, u32>,
    deltas: Vec<WireDelta>,
    bytes: usize,
}

impl Packer {
    pub(crate) fn new() -> Self {
        let (names, runs, run_of, deltas) = Default::default();
        Self { names, runs, run_of, deltas, bytes: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deltas.is_empty()
    }

    /// Whether `record` still fits in a frame of about `bytes`. The first one always does.
    pub(crate) fn has_room(&self, record: &LogRecord, bytes: usize) -> bool {
        let replicas = record.delta.kills.iter().count() + record.delta.deps.dots().len() + 1;
        self.is_empty()
            || (self.bytes + record.size <= bytes
                && self.deltas.len() < FRAME_DELTAS
                && self.names.ids.len() + replicas <= FRAME_REPLICAS)
    }

    /// Adds the next delta of its author. `previous` is asked for the chain before the author's first delta here.
    pub(crate) fn push(&mut self, record: &LogRecord, previous: Previous, intro: Option<Intro>) {
        let delta = &record.delta;
        let id = self.names.of(delta.replica);
        let run = *self.run_of.entry(delta.replica).or_insert_with(|| {
            self.runs.push(Run { id, first_seq: delta.first_seq, previous, intro, signature: None });
            u32::try_from(self.runs.len() - 1).expect("a frame has fewer than 2^32 runs")
        });
        // Only the newest signature is worth its bytes: it vouches for all before it.
        self.runs[run as usize].signature = record.signature;
        let deps = match &delta.deps {
            Deps::Digest(digest) => WireDeps::Digest(*digest),
            Deps::Dots(dots) => {
                let dots = dots.iter().map(|dot| (self.names.of(dot.replica), dot.seq)).collect();
                WireDeps::Dots(BoundedVec::new(dots).expect("as many as in the delta"))
            }
        };
        let kills = delta.kills.iter().map(|(id, runs)| (self.names.of(*id), runs.clone())).collect();
        self.deltas.push(WireDelta {
            run,
            len: delta.len,
            timestamp: delta.timestamp().0,
            deps,
            puts: delta.puts.clone(),
            kills: BoundedVec::new(kills).expect("checked by has_room, or bounded by the delta's size"),
        });
        self.bytes += record.size;
    }

    pub(crate) fn finish(self) -> Deltas {
        let bounded = "kept within the bounds by has_room";
        Deltas {
            ids: BoundedVec::new(self.names.ids).expect(bounded),
            runs: BoundedVec::new(self.runs).expect(bounded),
            deltas: BoundedVec::new(self.deltas).expect(bounded),
        }
    }
}

/// A frame that no honest replica sends.
pub(crate) struct Nonsense;

/// Why a frame's deltas cannot be linked to what is known here.
pub(crate) enum Unlinked {
    Nonsense,
    /// Something before one of them is not known here.
    Gap,
    /// One of them continues another history: up to this head of it, if the frame says enough to tell.
    Fork(Option<Box<SignedHead>>),
}

impl From<Nonsense> for Unlinked {
    fn from(_: Nonsense) -> Self {
        Self::Nonsense
    }
}

/// How far an author is known, here or in what was received before and not yet applied.
#[derive(Clone, Copy)]
pub(crate) struct Tail {
    pub(crate) seq: u64,
    pub(crate) chain: Chain,
    pub(crate) intro: Intro,
}

pub(crate) type Tails = BTreeMap<ReplicaId, Tail>;

/// Where the runs of a frame begin.
pub(crate) struct Linker<'a> {
    pub(crate) space: &'a SpaceId,
    pub(crate) heads: &'a Heads,
    pub(crate) tails: &'a mut Tails,
    /// Set when a run begins with what is known: nothing but its signature tells whether it goes on from the same.
    pub(crate) overlaps: bool,
}

impl Linker<'_> {
    /// Takes a frame apart: its deltas in order, those that are known already left out.
    pub(crate) fn unpack(&mut self, frame: &Deltas) -> Result<Vec<Received>, Unlinked> {
        let mut next: Vec<(u64, Option<Intro>)> = Vec::with_capacity(frame.runs.len());
        for run in frame.runs.iter() {
            let replica = *frame.ids.get(run.id as usize).ok_or(Nonsense)?;
            if run.first_seq == 0 {
                return Err(Unlinked::Nonsense);
            }
            next.push((run.first_seq, self.intro(&replica, run.intro)?));
            let (seq, chain) = self.known(&replica);
            if run.first_seq == seq + 1 && !run.previous.matches(&chain) {
                return Err(Unlinked::Fork(self.other_head(frame, run)));
            }
        }
        let last_of_run: BTreeMap<u32, usize> =
            frame.deltas.iter().enumerate().map(|(index, delta)| (delta.run, index)).collect();
        let mut received = Vec::new();
        for (index, wire) in frame.deltas.iter().enumerate() {
            let run = frame.runs.get(wire.run as usize).ok_or(Nonsense)?;
            let (seq, intro) = &mut next[wire.run as usize];
            let delta = rebuild(frame, run, *seq, wire)?;
            *seq = delta.last_seq() + 1;
            let replica = delta.replica;
            let (known, previous) = self.known(&replica);
            if delta.last_seq() <= known {
                self.overlaps = true;
                continue;
            }
            if delta.first_seq != known + 1 {
                // Half of it known: another history. All of it beyond: something is missing.
                let fork = delta.first_seq <= known;
                return Err(if fork { Unlinked::Fork(self.other_head(frame, run)) } else { Unlinked::Gap });
            }
            let bytes = delta.encode();
            let chain = delta.chain(self.space, &previous, &bytes);
            let signature = run.signature.filter(|_| last_of_run[&wire.run] == index);
            let intro = intro.ok_or(Nonsense)?;
            self.tails.insert(replica, Tail { seq: delta.last_seq(), chain, intro });
            let Intro { device, nonce } = intro;
            received.push(Received { delta, bytes, previous, chain, signature, device, nonce });
        }
        Ok(received)
    }

    /// The head at the end of a run whose whole chain is told and leaves the signed history known here. Whether it is
    /// signed is for the caller to find out; then it proves that there are two.
    fn other_head(&self, frame: &Deltas, run: &Run) -> Option<Box<SignedHead>> {
        let replica = *frame.ids.get(run.id as usize)?;
        let head = self.heads.get(&replica)?;
        let Previous::Whole(mut chain) = run.previous else { return None };
        let mut seq = run.first_seq - 1;
        let mut leaves = seq == head.seq && chain != head.chain;
        for wire in frame.deltas.iter().filter(|wire| frame.runs.get(wire.run as usize) == Some(run)) {
            let delta = rebuild(frame, run, seq + 1, wire).ok()?;
            leaves |= delta.first_seq <= head.seq && head.seq < delta.last_seq();
            chain = delta.chain(self.space, &chain, &delta.encode());
            seq = delta.last_seq();
            leaves |= seq == head.seq && chain != head.chain;
        }
        let signature = run.signature?;
        leaves.then(|| Box::new(SignedHead { replica, seq, chain, signature }))
    }

    fn known(&self, replica: &ReplicaId) -> (u64, Chain) {
        let here = self.heads.get(replica).map(|head| (head.seq, head.chain));
        let here = here.unwrap_or_else(|| (0, crate::row::chain_start(self.space, replica)));
        match self.tails.get(replica) {
            Some(tail) if tail.seq >= here.0 => (tail.seq, tail.chain),
            _ => here,
        }
    }

    /// The author's key: as known here, or as introduced and proven by the id itself.
    fn intro(&self, replica: &ReplicaId, given: Option<Intro>) -> Result<Option<Intro>, Nonsense> {
        if let Some(Head { device, nonce, .. }) = self.heads.get(replica) {
            return Ok(Some(Intro { device: *device, nonce: *nonce }));
        }
        if let Some(tail) = self.tails.get(replica) {
            return Ok(Some(tail.intro));
        }
        match given {
            Some(intro) if ReplicaId::derive(&intro.device, self.space, &intro.nonce) != *replica => {
                Err(Nonsense)
            }
            given => Ok(given),
        }
    }
}

/// Takes a gossiped run apart on its own word: one author, its key, its whole chain. `None` when it is no such run.
pub(crate) fn unpack_alone(space: &SpaceId, frame: &Deltas) -> Option<Vec<Received>> {
    let [run] = &*frame.runs else { return None };
    let replica = *frame.ids.get(run.id as usize)?;
    let Intro { device, nonce } = run.intro?;
    let Previous::Whole(start) = run.previous else { return None };
    if ReplicaId::derive(&device, space, &nonce) != replica || run.first_seq == 0 {
        return None;
    }
    let (mut seq, mut previous) = (run.first_seq, start);
    let mut received = Vec::new();
    for (index, wire) in frame.deltas.iter().enumerate() {
        let delta = rebuild(frame, run, seq, wire).ok().filter(|_| wire.run == 0)?;
        seq = delta.last_seq() + 1;
        let bytes = delta.encode();
        let chain = delta.chain(space, &previous, &bytes);
        let signature = run.signature.filter(|_| index + 1 == frame.deltas.len());
        received.push(Received { delta, bytes, previous, chain, signature, device, nonce });
        previous = chain;
    }
    Some(received)
}

fn rebuild(frame: &Deltas, run: &Run, first_seq: u64, wire: &WireDelta) -> Result<Delta, Nonsense> {
    let id = |index: u32| frame.ids.get(index as usize).copied().ok_or(Nonsense);
    let deps = match &wire.deps {
        WireDeps::Digest(digest) => Deps::Digest(*digest),
        WireDeps::Dots(dots) => {
            let dots = dots.iter().map(|(index, seq)| Ok(Dot::new(id(*index)?, *seq)));
            Deps::Dots(BoundedVec::new(dots.collect::<Result<_, Nonsense>>()?).ok_or(Nonsense)?)
        }
    };
    let mut kills = DotRuns::default();
    for (index, runs) in wire.kills.iter() {
        kills.insert_runs(id(*index)?, runs);
    }
    let first = Dot::new(id(run.id)?, first_seq);
    let puts = wire.puts.to_vec();
    Delta::new(first, wire.len, Timestamp(wire.timestamp), deps, puts, kills).map_err(|_| Nonsense)
}

/// The short form of a chain.
pub(crate) fn short(chain: &Chain) -> Previous {
    Previous::Short(cut(&chain.0))
}
