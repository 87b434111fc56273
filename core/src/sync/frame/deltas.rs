//! The deltas of a session's frame, as columns.
//!
//! | column | what |
//! |---|---|
//! | count | of deltas, by itself |
//! | run | whose each is |
//! | spare | dots that it burns beyond its last put; without puts, beyond one |
//! | times | |
//! | deps | how many dots, at most 16; 17 for a digest |
//! | names, seqs | of those dots: index of the replica; difference to the last dot of it that a delta here depends on |
//! | digests | 16 bytes each |
//! | puts | how many |
//! | gaps | dots between each put and the one before in its delta |
//! | rows | 0: the key follows; n: the row of the n-th dot that this delta kills |
//! | keys | texts, of the rows that are 0 |
//! | payloads | texts |
//! | killed | of how many replicas it kills dots |
//! | names, runs | index of each, and how many runs of its dots, less one |
//! | first | the first dot of each, as the difference to the last one killed before |
//! | gaps, lengths | between each further run and the one before, less one; dots in each run, less one |
//!
//! Once deflated, a column that says the same for every delta costs two bytes, and runs of a thinned out range cost a bit
//! or so for each of its dots: a bitmap would not be shorter.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::codec::BoundedVec;
use crate::id::VectorDigest;
use crate::limits::{
    DELTA_KILL_RUNS, DELTA_PUTS, DEPS, FRAME_BYTES, FRAME_DELTAS, FRAME_NAMED, KEY_BYTES, PAYLOAD_BYTES,
};
use crate::row::{Payload, RowKey, Runs};
use crate::sync::frame::column::{
    Columnar, Columns, Numbers, Texts, TextsRead, Times, apart, difference, push,
};

/// A delta in a frame. With its run and the replicas that the frame names it turns back into its canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WireDelta {
    /// Index of its run.
    pub(crate) run: u32,
    pub(crate) len: u64,
    pub(crate) timestamp: u64,
    pub(crate) deps: WireDeps,
    pub(crate) puts: Vec<WirePut>,
    /// By index of the replica.
    pub(crate) kills: Vec<(u32, Runs)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WireDeps {
    Dots(BoundedVec<(u32, u64), DEPS>),
    Digest(VectorDigest),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WirePut {
    pub(crate) offset: u32,
    pub(crate) row: Row,
    pub(crate) payload: Payload,
}

/// Which row a put is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Key(RowKey),
    /// That of this one of the dots that the delta kills.
    OfKilled(u32),
}

/// What the deps column says for a digest.
const DIGEST: u64 = DEPS as u64 + 1;

/// Columns being written.
#[derive(Default)]
struct Draft {
    runs: Vec<u8>,
    spare: Vec<u8>,
    times: Times,
    deps: Vec<u8>,
    dep_names: Vec<u8>,
    dep_seqs: Vec<u8>,
    digests: Vec<u8>,
    puts: Vec<u8>,
    gaps: Vec<u8>,
    rows: Vec<u8>,
    keys: Texts,
    payloads: Texts,
    killed: Vec<u8>,
    kill_names: Vec<u8>,
    kill_runs: Vec<u8>,
    kill_firsts: Vec<u8>,
    kill_gaps: Vec<u8>,
    kill_lengths: Vec<u8>,
    near: Near,
}

/// The dots near which others are likely to be, by replica: the last that was depended on, and the last killed.
#[derive(Default)]
struct Near {
    deps: BTreeMap<u64, u64>,
    kills: BTreeMap<u64, u64>,
}

impl Draft {
    fn push(&mut self, delta: &WireDelta) {
        push(&mut self.runs, delta.run.into());
        let needed = delta.puts.last().map_or(1, |put| u64::from(put.offset) + 1);
        push(&mut self.spare, delta.len - needed);
        self.times.push(delta.timestamp);
        self.push_deps(&delta.deps);
        self.push_puts(&delta.puts);
        self.push_kills(&delta.kills);
    }

    fn push_deps(&mut self, deps: &WireDeps) {
        match deps {
            WireDeps::Digest(digest) => {
                push(&mut self.deps, DIGEST);
                self.digests.extend_from_slice(&digest.0);
            }
            WireDeps::Dots(dots) => {
                push(&mut self.deps, dots.len() as u64);
                for (name, seq) in dots.iter() {
                    push(&mut self.dep_names, (*name).into());
                    let near = self.near.deps.insert((*name).into(), *seq).unwrap_or(0);
                    push(&mut self.dep_seqs, difference(near, *seq));
                }
            }
        }
    }

    fn push_puts(&mut self, puts: &[WirePut]) {
        push(&mut self.puts, puts.len() as u64);
        let mut next = 0;
        for WirePut { offset, row, payload } in puts {
            push(&mut self.gaps, u64::from(offset - next));
            next = offset + 1;
            match row {
                Row::Key(key) => {
                    push(&mut self.rows, 0);
                    self.keys.push(key.as_bytes());
                }
                Row::OfKilled(index) => push(&mut self.rows, u64::from(*index) + 1),
            }
            self.payloads.push(payload);
        }
    }

    fn push_kills(&mut self, kills: &[(u32, Runs)]) {
        push(&mut self.killed, kills.len() as u64);
        for (name, runs) in kills {
            push(&mut self.kill_names, (*name).into());
            push(&mut self.kill_runs, runs.len() as u64 - 1);
            let mut end = None;
            for (first, last) in runs.iter() {
                match end {
                    None => {
                        let near = self.near.kills.get(&(*name).into()).copied().unwrap_or(0);
                        push(&mut self.kill_firsts, difference(near, first));
                    }
                    Some(end) => push(&mut self.kill_gaps, first - end - 2),
                }
                push(&mut self.kill_lengths, last - first);
                end = Some(last);
            }
            self.near.kills.extend(end.map(|end| ((*name).into(), end)));
        }
    }

    fn end(self, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        push(&mut all, count as u64);
        all.extend([self.runs, self.spare].concat());
        self.times.end(&mut all);
        all.extend([self.deps, self.dep_names, self.dep_seqs, self.digests].concat());
        all.extend([self.puts, self.gaps, self.rows].concat());
        all.extend([self.killed, self.kill_names, self.kill_runs, self.kill_firsts].concat());
        all.extend([self.kill_gaps, self.kill_lengths].concat());
        self.keys.end(&mut all);
        self.payloads.end(&mut all);
        all
    }
}

impl Columnar for WireDelta {
    fn write(items: &[Self]) -> Vec<u8> {
        let mut draft = Draft::default();
        items.iter().for_each(|delta| draft.push(delta));
        draft.end(items.len())
    }

    fn read(mut columns: Columns<'_>) -> Option<Vec<Self>> {
        let count = columns.count(FRAME_DELTAS)?;
        let (mut runs, mut spare) = (columns.numbers(count)?, columns.numbers(count)?);
        let mut times = columns.times(count)?;
        let mut deps = ReadDeps::new(&mut columns, count)?;
        let mut puts = ReadPuts::shape(&mut columns, count)?;
        let mut kills = ReadKills::new(&mut columns, count)?;
        let mut texts = puts.texts(&mut columns)?;
        let mut deltas = Vec::with_capacity(count);
        for _ in 0..count {
            let (run, spare, timestamp) = (runs.small()?, spare.next()?, times.next()?);
            let (deps, puts, kills) = (deps.next()?, puts.next(&mut texts)?, kills.next()?);
            let needed = puts.last().map_or(1, |put| u64::from(put.offset) + 1);
            deltas.push(Self { run, len: spare.checked_add(needed)?, timestamp, deps, puts, kills });
        }
        columns.is_empty().then_some(deltas)
    }
}

struct ReadDeps<'a> {
    counts: Numbers<'a>,
    names: Numbers<'a>,
    seqs: Numbers<'a>,
    digests: &'a [u8],
    near: BTreeMap<u64, u64>,
}

impl<'a> ReadDeps<'a> {
    fn new(columns: &mut Columns<'a>, count: usize) -> Option<Self> {
        let counts = columns.numbers(count)?;
        if counts.clone().any(|count| count > DIGEST) {
            return None;
        }
        let digests = counts.clone().filter(|count| *count == DIGEST).count();
        let dots = counts.total(count * (DEPS + 1))? - digests * (DEPS + 1);
        let (names, seqs) = (columns.numbers(dots)?, columns.numbers(dots)?);
        Some(Self { counts, names, seqs, digests: columns.bytes(digests * 16)?, near: BTreeMap::new() })
    }

    fn next(&mut self) -> Option<WireDeps> {
        let count = self.counts.next()?;
        if count == DIGEST {
            let (digest, rest) = self.digests.split_first_chunk()?;
            self.digests = rest;
            return Some(WireDeps::Digest(VectorDigest(*digest)));
        }
        let dot = |_| {
            let name = self.names.small()?;
            let near = self.near.entry(name.into()).or_default();
            *near = apart(*near, self.seqs.next()?);
            Some((name, *near))
        };
        Some(WireDeps::Dots(BoundedVec::new((0..count).map(dot).collect::<Option<_>>()?)?))
    }
}

struct ReadPuts<'a> {
    counts: Numbers<'a>,
    gaps: Numbers<'a>,
    rows: Numbers<'a>,
    count: usize,
}

/// Keys and payloads, and how many bytes they may still grow to.
struct ReadTexts<'a> {
    keys: TextsRead<'a>,
    payloads: TextsRead<'a>,
    budget: usize,
}

impl<'a> ReadPuts<'a> {
    fn shape(columns: &mut Columns<'a>, count: usize) -> Option<Self> {
        let counts = columns.numbers(count)?;
        if counts.clone().any(|count| count > DELTA_PUTS as u64) {
            return None;
        }
        let count = counts.total(FRAME_BYTES)?;
        Some(Self { counts, gaps: columns.numbers(count)?, rows: columns.numbers(count)?, count })
    }

    fn texts(&self, columns: &mut Columns<'a>) -> Option<ReadTexts<'a>> {
        let named = self.rows.clone().filter(|row| *row > 0).count();
        if named > FRAME_NAMED {
            return None;
        }
        let keys = columns.texts(self.count - named, KEY_BYTES)?;
        Some(ReadTexts { keys, payloads: columns.texts(self.count, PAYLOAD_BYTES)?, budget: FRAME_BYTES })
    }

    fn next(&mut self, texts: &mut ReadTexts<'a>) -> Option<Vec<WirePut>> {
        let mut next = 0_u32;
        let put = |_| {
            let offset = next.checked_add(self.gaps.small()?)?;
            next = offset.checked_add(1)?;
            let row = match self.rows.small()? {
                0 => Row::Key(RowKey::from_bytes(texts.keys.next(&mut texts.budget)?).ok()?),
                named => Row::OfKilled(named - 1),
            };
            let payload = Payload::new(texts.payloads.next(&mut texts.budget)?)?;
            Some(WirePut { offset, row, payload })
        };
        (0..self.counts.next()?).map(put).collect()
    }
}

struct ReadKills<'a> {
    counts: Numbers<'a>,
    names: Numbers<'a>,
    runs: Numbers<'a>,
    firsts: Numbers<'a>,
    gaps: Numbers<'a>,
    lengths: Numbers<'a>,
    near: BTreeMap<u64, u64>,
}

impl<'a> ReadKills<'a> {
    fn new(columns: &mut Columns<'a>, count: usize) -> Option<Self> {
        let counts = columns.numbers(count)?;
        let sets = counts.total(FRAME_BYTES)?;
        let (names, runs) = (columns.numbers(sets)?, columns.numbers(sets)?);
        let firsts = columns.numbers(sets)?;
        let further = runs.total(FRAME_BYTES)?;
        let (gaps, lengths) = (columns.numbers(further)?, columns.numbers(sets + further)?);
        Some(Self { counts, names, runs, firsts, gaps, lengths, near: BTreeMap::new() })
    }

    fn next(&mut self) -> Option<Vec<(u32, Runs)>> {
        (0..self.counts.next()?).map(|_| self.set()).collect()
    }

    /// The dots of one replica.
    fn set(&mut self) -> Option<(u32, Runs)> {
        let name = self.names.small()?;
        let further = self.runs.next().filter(|runs| *runs < DELTA_KILL_RUNS as u64)?;
        let near = self.near.entry(name.into()).or_default();
        let mut runs = Runs::default();
        let mut first = apart(*near, self.firsts.next()?);
        for run in 0..=further {
            if run > 0 {
                first = near.checked_add(2)?.checked_add(self.gaps.next()?)?;
            }
            *near = first.checked_add(self.lengths.next()?).filter(|last| *last < u64::MAX)?;
            runs.insert_range(first, *near);
        }
        Some((name, runs))
    }
}
