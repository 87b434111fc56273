//! Local reads and writes: what the app sees, at once.
//!
//! A transaction replaces or removes whole rows; it kills exactly the dots that are live in them here. Transactions that
//! wait for the same commit form one delta, so a burst of writes costs one signature and one fsync, and a value that
//! was overwritten before anybody could see it ships no payload (its dot is burnt). A delta is sealed, and never changes
//! again, when its commit leaves or when anything from elsewhere is about to be applied: its dependencies are then
//! exactly what its transactions saw.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::{Bound, ControlFlow};

use thiserror::Error;

use crate::boundary::Now;
use crate::clock::{Timestamp, VersionVector};
use crate::codec::BoundedVec;
use crate::id::{Dot, ReplicaId};
use crate::identity::signed_head;
use crate::limits::{DELTA_BYTES, DELTA_DOTS, DELTA_KILL_RUNS, DELTA_PUTS, DEPS};
use crate::planted::Rule;
use crate::row::expiry::{is_expired, show_lasting};
use crate::row::{
    DataError, Delta, Deps, DotRuns, Entry, Object, Payload, Put, ReadRows, RowKey, VisitRows, WriteRows,
    Writes, scan_under,
};
use crate::state::feed::Origin;
use crate::state::head::Incarnation;
use crate::state::index::IndexSpec;
use crate::state::overlay::Overlay;
use crate::state::told::Step;
use crate::state::{Head, Received, Space};
use crate::store::{Store, StoreError};
use crate::value::Span;

/// A transaction that was not made. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum WriteError {
    /// The data cannot be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It does not fit in one delta.
    #[error("the transaction is too large: at most {DELTA_PUTS} rows and {DELTA_BYTES} bytes; split it")]
    TooLarge,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A read that was not made.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ReadError {
    /// What was asked for cannot exist.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ReadError> for WriteError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Data(error) => Self::Data(error),
            ReadError::Store(error) => Self::Store(error),
        }
    }
}

/// Reads of the state in memory: all own writes, and everything applied.
pub struct Reader<'a, S> {
    pub(crate) overlay: &'a Overlay<S>,
    /// What has [expired](crate::row::expiry()) by then is not shown.
    pub(crate) wall_ms: u64,
}

/// The state in memory at one moment, kept while everything else goes on.
pub struct Snapshot<S> {
    overlay: Overlay<S>,
    wall_ms: u64,
}

impl<S: Store> Snapshot<S> {
    /// Reads it, as often as wanted; all reads see the same moment.
    pub fn reader(&self) -> Reader<'_, S> {
        Reader { overlay: &self.overlay, wall_ms: self.wall_ms }
    }

    /// Visits live rows from a key on, in key order; all of them from nothing on. Expired ones are among them.
    pub fn visit_rows(&self, from: &[u8], visit: VisitRows<'_>) -> Result<(), StoreError> {
        self.overlay.scan_rows(&[], from, visit)
    }
}

impl<S: Store + Clone> Space<S> {
    pub(crate) fn snapshot(&self, wall_ms: u64) -> Snapshot<S> {
        Snapshot { overlay: self.overlay.clone(), wall_ms }
    }

    /// The durable state at this moment.
    pub(crate) fn durable_snapshot(&self) -> Result<Snapshot<S>, StoreError> {
        let mut overlay = Overlay::new(self.overlay.store().clone());
        overlay.read_indexes()?;
        Ok(Snapshot { overlay, wall_ms: self.wall_ms })
    }
}

impl<S: Store> Reader<'_, S> {
    /// Visits the live entries that a vector does not cover, with their rows, by rising dot: what came since it was taken, and
    /// is still there. Costs that, and a look for each replica.
    pub fn visit_since(
        &self,
        since: &VersionVector,
        visit: &mut dyn FnMut(&RowKey, &Dot),
    ) -> Result<(), StoreError> {
        let (mut from, mut failed) = (Some(Dot::new(ReplicaId::from_u128(0), 0)), None);
        while let Some(first) = from.take() {
            self.overlay.scan_dots(&first, &mut |dot, indexed| {
                if since.contains(dot) {
                    // All up to there are known: on behind it.
                    from = since.seq(&dot.replica).checked_add(1).map(|seq| Dot::new(dot.replica, seq));
                    return ControlFlow::Break(());
                }
                match indexed.place(dot) {
                    Ok((_, key)) => visit(&key, dot),
                    Err(error) => failed = Some(error),
                }
                if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Visits the rows of an object in the order of an [index](crate::index), the other way round if `back`, until the visitor
    /// breaks. `false` when there is no such index, or it is not complete yet.
    pub fn scan_index(
        &self,
        index: &IndexSpec,
        span: &Span,
        back: bool,
        visit: VisitRows<'_>,
    ) -> Result<bool, StoreError> {
        self.overlay.scan_index(index, span, back, &mut |key, entries| self.show(key, entries, visit))
    }

    /// Visits the rows of all objects, in key order.
    pub fn visit_rows(&self, visit: &mut dyn FnMut(&RowKey, &[Entry])) -> Result<(), StoreError> {
        self.overlay.scan_rows(&[], &[], &mut |key, entries| {
            show_lasting(key, entries, self.wall_ms, |entries| visit(key, entries));
            ControlFlow::Continue(())
        })
    }

    fn show(&self, key: &RowKey, entries: &[Entry], visit: VisitRows<'_>) -> ControlFlow<()> {
        let shown = show_lasting(key, entries, self.wall_ms, |entries| visit(key, entries));
        shown.unwrap_or(ControlFlow::Continue(()))
    }
}

impl<S: Store> ReadRows for Reader<'_, S> {
    type Error = ReadError;

    fn entries(&self, key: &RowKey) -> Result<Vec<Entry>, ReadError> {
        let mut entries = self.overlay.row(key)?;
        entries.retain(|entry| !is_expired(key, entry, self.wall_ms));
        Ok(entries)
    }

    fn state(&self) -> Option<u64> {
        Some(self.overlay.changes())
    }

    fn scan(&self, object: &Object, from: &[u8], visit: VisitRows<'_>) -> Result<(), ReadError> {
        let from = object.row(from).map_err(DataError::from)?;
        let show = &mut |key: &RowKey, entries: &[Entry]| self.show(key, entries, visit);
        Ok(self.overlay.scan_rows(object.prefix(), from.as_bytes(), show)?)
    }

    fn scan_back(&self, object: &Object, end: Option<&[u8]>, visit: VisitRows<'_>) -> Result<(), ReadError> {
        let end = object.bytes_below(end).map_err(DataError::from)?;
        let show = &mut |key: &RowKey, entries: &[Entry]| self.show(key, entries, visit);
        Ok(self.overlay.scan_rows_back(object.prefix(), &end, show)?)
    }
}

/// A transaction being written. Its reads see its own writes; nothing else sees them before it ends.
pub struct Transaction<'a, S> {
    reader: Reader<'a, S>,
    own: Incarnation,
    /// The dot and time that rows written here show to reads within the transaction.
    provisional: (Dot, Timestamp),
    staged: BTreeMap<RowKey, Option<Payload>>,
    /// How many fresh names it gave.
    names: u64,
}

impl<S: Store> Transaction<'_, S> {
    /// Rows written so far between two keys, as reads see them.
    fn staged(&self, first: &[u8], end: &[u8]) -> impl DoubleEndedIterator<Item = (&RowKey, Option<Entry>)> {
        let rows = self.staged.range::<[u8], _>((Bound::Included(first), Bound::Excluded(end)));
        rows.map(|(key, payload)| (key, self.shown(key, payload.as_ref())))
    }

    fn shown(&self, key: &RowKey, payload: Option<&Payload>) -> Option<Entry> {
        let entry = Entry::new(key, self.provisional.0, self.provisional.1, payload?.clone());
        (!is_expired(key, &entry, self.reader.wall_ms)).then_some(entry)
    }
}

impl<S: Store> ReadRows for Transaction<'_, S> {
    type Error = WriteError;

    fn entries(&self, key: &RowKey) -> Result<Vec<Entry>, WriteError> {
        match self.staged.get(key) {
            Some(payload) => Ok(self.shown(key, payload.as_ref()).into_iter().collect()),
            None => Ok(self.reader.entries(key)?),
        }
    }

    /// As it was before, until it writes: what it will be afterwards has no number yet.
    fn state(&self) -> Option<u64> {
        self.reader.state().filter(|_| self.staged.is_empty())
    }

    fn scan(&self, object: &Object, from: &[u8], visit: VisitRows<'_>) -> Result<(), WriteError> {
        let first = object.row(from).map_err(DataError::from)?;
        let end = object.end();
        let staged = self.staged(first.as_bytes(), &end);
        let scan = |visit: VisitRows<'_>| Ok(self.reader.scan(object, from, visit)?);
        scan_under(scan, staged, Ordering::Greater, visit)
    }

    fn scan_back(&self, object: &Object, end: Option<&[u8]>, visit: VisitRows<'_>) -> Result<(), WriteError> {
        let above = object.bytes_below(end).map_err(DataError::from)?;
        let staged = self.staged(object.prefix(), &above).rev();
        let scan = |visit: VisitRows<'_>| Ok(self.reader.scan_back(object, end, visit)?);
        scan_under(scan, staged, Ordering::Less, visit)
    }
}

impl<S: Store> WriteRows for Transaction<'_, S> {
    fn author(&self) -> ReplicaId {
        self.own.replica
    }

    fn time(&self) -> Timestamp {
        self.provisional.1
    }

    fn wall_ms(&self) -> u64 {
        self.reader.wall_ms
    }

    fn fresh(&mut self) -> Dot {
        let first = self.provisional.0;
        self.names += 1;
        Dot::new(first.replica, first.seq + self.names - 1)
    }

    fn put(&mut self, key: RowKey, payload: Payload) -> Result<(), WriteError> {
        self.staged.insert(key, Some(payload));
        Ok(())
    }

    fn remove(&mut self, key: RowKey) -> Result<(), WriteError> {
        self.staged.insert(key, None);
        Ok(())
    }
}

/// Own transactions that wait for a commit: one delta in the making. Its effects are in memory already.
pub(super) struct Pending {
    first: u64,
    pub(super) timestamp: Timestamp,
    /// By offset.
    puts: BTreeMap<u32, (RowKey, Payload)>,
    kills: DotRuns,
    /// At least the canonical bytes of puts and kills.
    bytes: usize,
}

/// What one row of a transaction does: what dies, and what takes its place.
pub(super) struct RowChange {
    pub(super) key: RowKey,
    pub(super) live: Vec<Entry>,
    pub(super) payload: Option<Payload>,
}

impl RowChange {
    /// An upper bound on its canonical bytes: varints of ten bytes, and a run with a replica id for each kill.
    fn size(&self) -> usize {
        let put = self.payload.as_ref().map_or(0, |payload| self.key.as_bytes().len() + payload.len() + 30);
        put + self.live.len() * 40
    }
}

/// Room for the fields of a delta other than puts and kills.
pub(super) const DELTA_FIELDS: usize = 1024;

impl<S: Store> Space<S> {
    /// Runs a transaction and applies it to memory. `None` when it changed nothing.
    pub(crate) fn transact<T, E: From<WriteError>>(
        &mut self,
        now: Now,
        write: impl FnOnce(&mut Transaction<'_, S>) -> Result<T, E>,
    ) -> Result<(T, Option<Dot>), E> {
        let own = self.incarnation.unwrap_or_else(|| self.mint());
        let shown = Dot::new(own.replica, self.heads.seq(&own.replica) + 1);
        // What its entries will say, unless the pending delta is full.
        let mut clock = self.clock;
        let time = self.pending.as_ref().map_or_else(|| clock.tick(now.wall_ms), |pending| pending.timestamp);
        let reader = Reader { overlay: &self.overlay, wall_ms: now.wall_ms };
        let (staged, names) = Default::default();
        let mut transaction = Transaction { reader, own, provisional: (shown, time), staged, names };
        let result = write(&mut transaction)?;
        let writes = Writes { rows: transaction.staged, names: transaction.names };
        let dot = self.apply_local(now, own, writes).map_err(E::from)?;
        Ok((result, dot))
    }

    fn apply_local(&mut self, now: Now, own: Incarnation, writes: Writes) -> Result<Option<Dot>, WriteError> {
        let mut changes = Vec::with_capacity(writes.rows.len());
        for (key, payload) in writes.rows {
            let live = self.overlay.row(&key)?;
            if payload.is_some() || !live.is_empty() {
                changes.push(RowChange { key, live, payload });
            }
        }
        if changes.is_empty() {
            return Ok(None);
        }
        self.make_room(own, &changes, writes.names)?;
        self.incarnation = Some(own);
        let first = self.open_pending(now, own);
        let puts = changes.iter().filter(|change| change.payload.is_some()).count() as u64;
        if puts == 0 && !self.planted.keeps(Rule::H4RemovalBurns) {
            for entry in changes.iter().flat_map(|change| &change.live) {
                self.overlay.remove_dot(&entry.dot)?;
            }
            return Ok(Some(Dot::new(own.replica, first - 1)));
        }
        let mut act = self.begin_act(own);
        let mut seq = first;
        self.overlay.acting = Some(Origin { author: own.replica, local: true });
        for change in changes {
            self.note_act(&mut act, &change, Dot::new(own.replica, seq));
            seq += u64::from(self.apply_change(own, seq, change));
        }
        self.overlay.acting = None;
        // A transaction without puts burns a dot all the same, and so does each name that it gave.
        let last = Dot::new(own.replica, (seq - 1).max(first + writes.names.saturating_sub(1)));
        self.heads.0.get_mut(&own.replica).expect("its head was made when the delta was begun").seq =
            last.seq;
        self.touch_head(own.replica);
        self.keep_act(act, last);
        self.stats.writes += 1;
        Ok(Some(last))
    }

    /// Refuses a transaction that fits in no delta; seals the pending one when they do not fit together.
    fn make_room(&mut self, own: Incarnation, changes: &[RowChange], names: u64) -> Result<(), WriteError> {
        let size: usize = changes.iter().map(RowChange::size).sum();
        let kills: usize = changes.iter().map(|change| change.live.len()).sum();
        let too_large = |puts: usize, kills: usize, bytes: usize, dots: u64| {
            puts > DELTA_PUTS
                || kills > DELTA_KILL_RUNS
                || bytes > DELTA_BYTES - DELTA_FIELDS
                || dots > DELTA_DOTS
        };
        let dots = names.max(changes.len() as u64);
        if too_large(changes.len(), kills, size, dots) {
            return Err(WriteError::TooLarge);
        }
        let full = self.pending.as_ref().is_some_and(|pending| {
            let burnt = self.heads.seq(&own.replica) + 1 - pending.first;
            let runs = pending.kills.run_count();
            too_large(pending.puts.len() + changes.len(), runs + kills, pending.bytes + size, burnt + dots)
        });
        if full {
            self.seal()?;
        }
        Ok(())
    }

    /// Begins a delta unless one is pending; returns the seq of the next own dot.
    fn open_pending(&mut self, now: Now, own: Incarnation) -> u64 {
        let device = self.identity.device();
        let space = self.id;
        let start = || Head::start(&space, &own.replica, device, own.nonce);
        let head = self.heads.0.entry(own.replica).or_insert_with(start);
        let first = head.seq + 1;
        if self.pending.is_none() {
            let timestamp = self.clock.tick(now.wall_ms);
            let (puts, kills) = Default::default();
            self.pending = Some(Pending { first, timestamp, puts, kills, bytes: 0 });
        }
        first
    }

    /// Applies one row to memory and to the pending delta; says whether it put something at `seq`.
    fn apply_change(&mut self, own: Incarnation, seq: u64, change: RowChange) -> bool {
        let pending = self.pending.as_mut().expect("a delta is pending");
        pending.bytes += change.size();
        let names_own = self.carry.named(&change.key).is_some_and(|(id, _)| id == own.replica);
        let mut killed = None;
        for entry in &change.live {
            let earlier = entry.dot.replica == own.replica && entry.dot.seq < pending.first;
            if names_own && earlier {
                let (entry, cleared) = (entry.clone(), change.payload.is_none());
                self.told.replace(&change.key, Step { entry, by: seq, cleared });
            }
            // A put of this same delta never leaves this replica; its dot is burnt.
            if entry.dot.replica == own.replica && entry.dot.seq >= pending.first {
                pending.puts.remove(&offset(pending.first, entry.dot.seq));
                killed = killed.or(self.replaced.inherit(&entry.dot));
            } else {
                pending.kills.insert(entry.dot);
                killed = Some(entry.dot);
            }
        }
        let dot = Dot::new(own.replica, seq);
        let entry = |payload: &Payload| Entry::new(&change.key, dot, pending.timestamp, payload.clone());
        self.overlay.replace_row(&change.key, &change.live, change.payload.as_ref().map(entry));
        let Some(payload) = change.payload else { return false };
        pending.puts.insert(offset(pending.first, seq), (change.key, payload));
        self.replaced.note(dot, killed.filter(|_| self.log_limit > 0));
        true
    }

    /// Ends the pending delta: chains, signs and logs it.
    pub(super) fn seal(&mut self) -> Result<(), StoreError> {
        match self.incarnation {
            Some(own) => self.seal_under(own),
            None => Ok(()),
        }
    }

    pub(super) fn seal_under(&mut self, own: Incarnation) -> Result<(), StoreError> {
        let Some(sealed) = self.close_pending(own) else { return Ok(()) };
        self.note_meanwhile(|| sealed.clone());
        self.append_log(sealed.bytes, sealed.previous, sealed.signature)
    }

    /// The same without the log, which takes the delta in later or not at all.
    pub(super) fn close_pending(&mut self, own: Incarnation) -> Option<Received> {
        let pending = self.pending.take()?;
        let last_seq = self.heads.seq(&own.replica);
        // A delta whose transactions all turned out to burn nothing is none; only a planted fault gets here.
        if last_seq < pending.first {
            return None;
        }
        let deps = self.deps(own.replica, pending.first);
        let first = Dot::new(own.replica, pending.first);
        let puts = pending.puts.into_iter().map(|(offset, (key, payload))| Put { offset, key, payload });
        let len = last_seq - pending.first + 1;
        let delta = Delta::new(first, len, pending.timestamp, deps, puts.collect(), pending.kills)
            .expect("a pending delta was kept within its limits");
        let bytes = delta.encode();
        assert!(bytes.len() <= DELTA_BYTES, "a pending delta was kept within its limits");
        let head = self.heads.0.get_mut(&own.replica).expect("its head was made when the delta was begun");
        let previous = head.chain;
        head.advance(last_seq, delta.chain(&self.id, &previous, &bytes), pending.first - 1);
        head.signature = self.identity.sign(&signed_head(&self.id, &own.replica, last_seq, &head.chain));
        let (signature, chain) = (head.signature, head.chain);
        let (device, nonce) = (head.device, head.nonce);
        self.told.wrote(last_seq, chain);
        self.frontier.advance(delta.last(), pending.first - 1, &[], true);
        self.stats.deltas_written += 1;
        self.touch_head(own.replica);
        let (signature, replaces) = (Some(signature), Vec::new());
        Some(Received { delta, bytes, previous, chain, signature, vouched: false, device, nonce, replaces })
    }

    /// What a delta beginning at `first` depends on: everything known here, as the other replicas' maximal dots. Its
    /// author's own past needs no mention.
    fn deps(&self, own: ReplicaId, first: u64) -> Deps {
        let dots: Vec<Dot> = self.frontier.dots().filter(|dot| dot.replica != own).collect();
        if dots.len() <= DEPS {
            return Deps::Dots(BoundedVec::new(dots).expect("not over the bound"));
        }
        let before = |(replica, head): (&ReplicaId, &Head)| {
            let seq = if *replica == own { first - 1 } else { head.seq };
            (seq > 0).then_some((*replica, seq))
        };
        Deps::Digest(crate::clock::digest_of(self.heads.iter().filter_map(before)))
    }
}

fn offset(first: u64, seq: u64) -> u32 {
    u32::try_from(seq - first).expect("a delta burns fewer than 2^32 dots")
}
