//! Packing stretches of the log into frames.
//!
//! A frame names each replica once and numbers it: by eight bytes if the receiver knows it, by key and nonce if not. A put
//! that replaces something may leave out its row key and name what it replaces, by its number among the dots that the delta
//! kills anyway. What was killed is gone here, and a delta does not say which of its kills was in which row: only for what
//! is remembered ([`Replaced`]) can it be said.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::codec::BoundedVec;
use crate::id::{Chain, ReplicaId, cut};
use crate::limits::{FRAME_BYTES, FRAME_DELTAS, FRAME_NAMED, FRAME_REPLICAS};
use crate::row::{Deps, Put};
use crate::state::{LogRecord, Replaced};
use crate::sync::frame::{Killed, Row, Table, WireDelta, WireDeps, WirePut};
use crate::sync::message::{Deltas, Intro, Key, Name, Previous, Run};

/// Numbers replicas in the order in which a frame names them.
struct Names {
    /// What they are named by; without it in full.
    key: Option<Key>,
    names: Vec<Name>,
    index: BTreeMap<ReplicaId, u32>,
}

impl Names {
    fn of(&mut self, replica: ReplicaId) -> u32 {
        *self.index.entry(replica).or_insert_with(|| {
            self.names.push(self.key.map_or(Name::Whole(replica), |key| Name::Known(key.replica(&replica))));
            u32::try_from(self.names.len() - 1).expect("a frame names fewer than 2^32 replicas")
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
    named: usize,
}

impl Packer {
    /// A frame for a stream with this key, to a receiver that knows all replicas without an intro; or for anybody.
    pub(crate) fn new(key: Option<Key>) -> Self {
        let (names, index, runs, run_of, deltas) = Default::default();
        Self { names: Names { key, names, index }, runs, run_of, deltas, bytes: 0, named: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deltas.is_empty()
    }

    /// Whether `record` still fits in a frame of about `bytes`. The first one always does.
    pub(crate) fn has_room(&self, record: &LogRecord, bytes: usize) -> bool {
        let replicas = record.delta.kills.iter().count() + record.delta.deps.dots().len() + 1;
        self.is_empty()
            || (self.bytes + record.size <= bytes.min(FRAME_BYTES / 2)
                && self.deltas.len() < FRAME_DELTAS
                && self.names.names.len() + replicas <= FRAME_REPLICAS)
    }

    /// Adds the next delta of its author. `previous` says the chain before the author's first delta here, `replaced` what
    /// rows may be named by.
    pub(crate) fn push(
        &mut self,
        record: &LogRecord,
        previous: Previous,
        intro: Option<Intro>,
        replaced: Option<&Replaced>,
    ) {
        let delta = &record.delta;
        let name = self.names.of(delta.replica);
        let run = *self.run_of.entry(delta.replica).or_insert_with(|| {
            let first_seq = delta.first_seq;
            let is_start = first_seq == 1 && matches!(previous, Previous::Short(_));
            let previous = if is_start { Previous::Start } else { previous };
            self.runs.push(Run { name, first_seq, previous, signature: None });
            u32::try_from(self.runs.len() - 1).expect("a frame has fewer than 2^32 runs")
        });
        if let Some(intro) = intro {
            self.names.names[name as usize] = Name::New(intro);
        }
        // Only the newest signature is worth its bytes: it vouches for all before it.
        self.runs[run as usize].signature = record.signature;
        let deps = match &delta.deps {
            Deps::Digest(digest) => WireDeps::Digest(*digest),
            Deps::Dots(dots) => {
                let dots = dots.iter().map(|dot| (self.names.of(dot.replica), dot.seq)).collect();
                WireDeps::Dots(BoundedVec::new(dots).expect("as many as in the delta"))
            }
        };
        let kills: Vec<_> = delta.kills.iter().map(|(id, runs)| (self.names.of(*id), runs.clone())).collect();
        let is_proof = matches!(self.runs[run as usize].previous, Previous::Whole(_));
        let killed = replaced.filter(|_| !kills.is_empty() && !is_proof).map(|by| (by, Killed::new(&kills)));
        let mut puts = Vec::with_capacity(delta.puts.len());
        for (Put { offset, key, payload }, (dot, _)) in delta.puts.iter().zip(delta.put_rows()) {
            let number = killed.as_ref().filter(|_| self.named < FRAME_NAMED).and_then(|(by, killed)| {
                let dot = by.by(&dot)?;
                killed.number(*self.names.index.get(&dot.replica)?, dot.seq)
            });
            self.named += usize::from(number.is_some());
            let row = number.map_or_else(|| Row::Key(key.clone()), Row::OfKilled);
            puts.push(WirePut { offset: *offset, row, payload: payload.clone() });
        }
        let (len, timestamp) = (delta.len, delta.timestamp().0);
        self.deltas.push(WireDelta { run, len, timestamp, deps, puts, kills });
        self.bytes += record.size;
    }

    pub(crate) fn finish(self) -> Deltas {
        let bounded = "kept within the bounds by has_room, or bounded by the delta's size";
        Deltas {
            names: BoundedVec::new(self.names.names).expect(bounded),
            runs: BoundedVec::new(self.runs).expect(bounded),
            deltas: Table(self.deltas),
        }
    }
}

/// The short form of a chain.
pub(crate) fn short(chain: &Chain) -> Previous {
    Previous::Short(cut(&chain.0))
}
