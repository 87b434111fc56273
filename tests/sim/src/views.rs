//! Apps that use data types: lists, logs, bounded counters, documents, and maps whose rows expire, now and then, in schedules with a
//! change feed.
//!
//! To the oracle their transactions are rows like all others, as a recorder sees them on their way, so everything that it
//! checks holds for them too. What the types promise on top is checked here: a bounded counter is never below zero while no
//! id has two histories, whoever crashed, was restored or renamed what it wrote; a list shows each item once; a log is in order;
//! a row is shown until it expires and no longer, and nobody removes one that has not, or not for long. What is taken back at
//! once is as it was before.
//!
//! The ledger of forks tells puts by the number that each payload begins with. Payloads of types have none, so it leaves
//! them out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use rejoin_core::clock::Timestamp;
use rejoin_core::crdt::{BoundedCounterView, ItemId, Keys, ListView, LogView, LwwMapView};
use rejoin_core::engine::{Now, ReadError, Transaction, WriteError};
use rejoin_core::row::{DataError, Entry, Object, Payload, ReadRows, RowKey, VisitRows, WriteRows, expiry};
use rejoin_core::store::MemoryStore;
use rejoin_core::{Dot, ReplicaId, Value};

use crate::counters::Sometimes;
use crate::documents;
use crate::draw::Draw;
use crate::machine::Machine;
use crate::oracle::{Violation, broken};
use crate::workload::Done;
use crate::world::World;

/// The objects that they use.
struct Views {
    list: ListView,
    log: LogView,
    stock: BoundedCounterView,
    map: LwwMapView,
}

impl Views {
    fn new() -> Self {
        let path = "views/x";
        Self {
            list: ListView::at(path).expect("a path"),
            log: LogView::at(path).expect("a path"),
            stock: BoundedCounterView::at(path).expect("a path"),
            map: LwwMapView::at(path).expect("a path"),
        }
    }
}

/// Whether a row is one of a data type: those of the workload are of kinds that no view claims.
pub fn is_view(key: &RowKey) -> bool {
    key.kind().0 < 200
}

/// A transaction that remembers what was written.
struct Recorder<'a, 'b> {
    tx: &'a mut Transaction<'b, MemoryStore>,
    done: BTreeMap<RowKey, Option<Payload>>,
}

impl ReadRows for Recorder<'_, '_> {
    type Error = WriteError;

    fn entries(&self, key: &RowKey) -> Result<Vec<Entry>, WriteError> {
        self.tx.entries(key)
    }

    fn scan(&self, object: &Object, from: &[u8], visit: VisitRows<'_>) -> Result<(), WriteError> {
        self.tx.scan(object, from, visit)
    }

    fn scan_back(&self, object: &Object, end: Option<&[u8]>, visit: VisitRows<'_>) -> Result<(), WriteError> {
        self.tx.scan_back(object, end, visit)
    }
}

impl WriteRows for Recorder<'_, '_> {
    fn author(&self) -> ReplicaId {
        self.tx.author()
    }

    fn time(&self) -> Timestamp {
        self.tx.time()
    }

    fn wall_ms(&self) -> u64 {
        self.tx.wall_ms()
    }

    fn fresh(&mut self) -> Dot {
        self.tx.fresh()
    }

    fn put(&mut self, key: RowKey, payload: Payload) -> Result<(), WriteError> {
        self.done.insert(key.clone(), Some(payload.clone()));
        self.tx.put(key, payload)
    }

    fn remove(&mut self, key: RowKey) -> Result<(), WriteError> {
        self.done.insert(key.clone(), None);
        self.tx.remove(key)
    }
}

impl World {
    /// After a transaction of plain rows one that uses data types may follow.
    pub(crate) fn maybe_use_views(&mut self, number: usize) -> Result<(), Violation> {
        let Some(feeds) = self.feeds.as_mut().filter(|feeds| feeds.views) else { return Ok(()) };
        if !feeds.draw.chance(350) {
            return Ok(());
        }
        let mut draw = Draw::new(feeds.draw.number(), 0);
        let others: Vec<ReplicaId> =
            self.machines.iter().filter_map(crate::machine::Machine::replica).collect();
        let Self { machines, now, .. } = self;
        let machine = &mut machines[number];
        let clocks = machine.now(*now);
        let before = Shown::at(machine, clocks)?;
        let written = machine.engine_mut().write(clocks, |tx| {
            let mut recorder = Recorder { tx, done: BTreeMap::new() };
            let words = act(&mut recorder, &others, &mut draw)?;
            Ok::<_, WriteError>((recorder.done.into_iter().collect::<Done>(), words))
        });
        let ((done, words), dot) = match written {
            Ok(written) => written,
            // Nobody may take what there is not, or move what is gone.
            Err(WriteError::Data(DataError::NoRights { .. } | DataError::NoItem)) => {
                return self.after(number);
            }
            Err(error) => return broken("write", format!("a data type was refused: {error}")),
        };
        self.counters.saw(Sometimes::ViewUsed);
        let say =
            format_args!("uses types {dot:?}: {:?}", done.iter().map(|(key, _)| key).collect::<Vec<_>>());
        self.trace.note(self.now, number, b"views", say);
        self.record(number, &done, dot, Some(BTreeMap::new()))?;
        self.after(number)?;
        if let Some(dot) = dot {
            let author = self.oracle.record.enter(dot.replica, number);
            self.wrote_words(author, dot.seq, words);
            let after = Shown::at(&self.machines[number], clocks)?;
            self.maybe_take_back(number, &mut draw, [&before, &after])?;
        }
        self.sweep(number)?;
        self.check_views(number)
    }

    /// Takes back what was done just now, and does it again: nobody has written since, so all is as it was, and as it became.
    fn maybe_take_back(
        &mut self,
        number: usize,
        draw: &mut Draw,
        [before, after]: [&Shown; 2],
    ) -> Result<(), Violation> {
        // Kept from the second time on: what was done before that cannot be taken back.
        if self.machines[number].engine().undo_limit() == 0 {
            let kept = self.machines[number].engine_mut().keep_undo(20);
            kept.or_else(|error| broken("write", format!("undo is refused: {error}")))?;
            return self.after(number);
        }
        let turns = usize::try_from(draw.below(3)).unwrap_or(0);
        for (turn, wanted) in [before, after].into_iter().take(turns).enumerate() {
            let (machine, now) = (&mut self.machines[number], self.now);
            let clocks = machine.now(now);
            let rows = sound(machine.rows().map_err(ReadError::from))?;
            let engine = machine.engine_mut();
            let undone = if turn == 0 { engine.undo(clocks) } else { engine.redo(clocks) };
            let (undone, dot) =
                undone.or_else(|error| broken("write", format!("undo is refused: {error}")))?;
            if undone.is_none() {
                return broken("undo", "what was just done cannot be taken back");
            }
            let done = changed(&rows, &sound(machine.rows().map_err(ReadError::from))?);
            let is = Shown::at(machine, clocks)?;
            if is != *wanted {
                return broken("undo", format!("turn {turn} shows {is:?}, not {wanted:?}"));
            }
            self.counters.saw(Sometimes::TakenBack);
            self.record(number, &done, dot, Some(BTreeMap::new()))?;
            self.after(number)?;
        }
        Ok(())
    }

    /// Lets a machine remove what has expired long ago, as its host does from time to time.
    fn sweep(&mut self, number: usize) -> Result<(), Violation> {
        let Self { machines, now, .. } = self;
        let machine = &mut machines[number];
        let before: BTreeMap<_, _> = sound(machine.rows().map_err(ReadError::from))?.into_iter().collect();
        let (clocks, leave) = (machine.now(*now), machine.config.sweep_after_ms);
        let swept = machine.engine_mut().sweep(clocks);
        let swept = swept.or_else(|error| broken("write", format!("a sweep was refused: {error}")))?;
        for key in &swept.rows {
            let is_over = |entry: &Entry| {
                expiry(key.kind(), &entry.payload).is_some_and(|at| at + leave <= clocks.wall_ms)
            };
            if !before.get(key).is_some_and(|row| row.iter().all(is_over)) {
                return broken("expiry", format!("{key:?} was removed before its time"));
            }
        }
        if swept.dot.is_some() {
            self.counters.saw(Sometimes::Swept);
        }
        let done = swept.rows.into_iter().map(|key| (key, None)).collect();
        self.record(number, &done, swept.dot, Some(BTreeMap::new()))?;
        self.after(number)
    }

    /// What the types promise, on one machine.
    pub(crate) fn check_views(&self, number: usize) -> Result<(), Violation> {
        if self.feeds.as_ref().is_none_or(|feeds| !feeds.views) {
            return Ok(());
        }
        let (views, clocks) = (Views::new(), self.machines[number].now(self.now));
        let reader = self.machines[number].engine().reader_at(clocks);
        let items = sound(views.list.items(&reader))?;
        let names: BTreeSet<String> = items.iter().map(|item| item.id.to_string()).collect();
        if names.len() != items.len() {
            return broken("list", "an item is shown twice");
        }
        let lines = sound(views.log.tail(&reader, usize::MAX))?;
        if !lines.is_sorted_by(|one, next| one.place <= next.place) {
            return broken("log", "entries are not in the order of their places");
        }
        let stock = sound(views.stock.value(&reader))?;
        if stock < 0 && self.oracle.exact {
            return broken("bound", format!("the bounded counter stands at {stock}"));
        }
        for (key, row) in sound(self.machines[number].rows().map_err(ReadError::from))? {
            let lasts =
                |entry: &&Entry| expiry(key.kind(), &entry.payload).is_none_or(|at| at > clocks.wall_ms);
            if is_view(&key) && sound(reader.entries(&key))?.len() != row.iter().filter(lasts).count() {
                return broken("expiry", format!("{key:?} does not show what has not expired"));
            }
        }
        Ok(())
    }
}

/// What types that can be taken back exactly show.
#[derive(Debug, PartialEq)]
struct Shown {
    list: Vec<(ItemId, Value)>,
    log: Vec<Value>,
    map: Vec<(Value, Value)>,
}

impl Shown {
    fn at(machine: &Machine, clocks: Now) -> Result<Self, Violation> {
        let (views, reader) = (Views::new(), machine.engine().reader_at(clocks));
        let list = sound(views.list.items(&reader))?;
        let log = sound(views.log.tail(&reader, usize::MAX))?;
        let mut map = Vec::new();
        sound(views.map.visit(&reader, &Keys::All, |key, value| {
            map.push((key, value));
            ControlFlow::Continue(())
        }))?;
        let list = list.into_iter().map(|item| (item.id, item.value)).collect();
        Ok(Self { list, log: log.into_iter().map(|line| line.value).collect(), map })
    }
}

/// What an own transaction has done between two states.
fn changed(before: &[(RowKey, Vec<Entry>)], after: &[(RowKey, Vec<Entry>)]) -> Done {
    let before: BTreeMap<&RowKey, &Vec<Entry>> = before.iter().map(|(key, row)| (key, row)).collect();
    let after: BTreeMap<&RowKey, &Vec<Entry>> = after.iter().map(|(key, row)| (key, row)).collect();
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| ((*key).clone(), None));
    let new = after.iter().filter(|(key, row)| before.get(*key) != Some(*row));
    let new = new.map(|(key, row)| ((*key).clone(), row.first().map(|entry| entry.payload.clone())));
    let all: BTreeMap<RowKey, Option<Payload>> = gone.chain(new).collect();
    all.into_iter().collect()
}

fn sound<T>(read: Result<T, ReadError>) -> Result<T, Violation> {
    read.or_else(|error| broken("store", format!("{error}")))
}

fn act(tx: &mut Recorder<'_, '_>, others: &[ReplicaId], draw: &mut Draw) -> Result<Vec<String>, WriteError> {
    let (views, mut words) = (Views::new(), Vec::new());
    // A document is loaded whole for this.
    if draw.chance(300) {
        words.extend(documents::write(tx, draw)?);
    }
    for _ in 0..draw.range(1, 3) {
        let items = views.list.items(tx)?;
        let item = draw.pick(&items).map(|item| item.id);
        let value = i64::try_from(draw.below(1 << 40)).unwrap_or(0);
        match (draw.below(15), item) {
            (0 | 1, _) => drop(views.list.push(tx, value)?),
            (2, _) => drop(views.list.insert(tx, draw.index(items.len() + 1), value)?),
            (3, Some(item)) => views.list.set(tx, item, value)?,
            (4, Some(item)) => views.list.move_to(tx, item, draw.index(items.len()))?,
            (5, Some(item)) => views.list.remove(tx, item)?,
            (6, _) => drop(views.log.append(tx, value)?),
            (7, _) => {
                let lines = views.log.tail(tx, 4)?;
                if let Some(line) = draw.pick(&lines) {
                    views.log.trim(tx, &line.place, 100)?;
                }
            }
            (8, _) => views.stock.increment(tx, draw.range(1, 20))?,
            (9, _) => match draw.pick(others) {
                Some(other) if *other != tx.author() => views.stock.transfer(tx, other, draw.range(1, 5))?,
                _ => {}
            },
            (10 | 11, _) => {
                let lives = Duration::from_millis(draw.magnitude(1, 100_000));
                views.map.put_for(tx, i64::try_from(draw.below(5)).unwrap_or(0), value, lives)?;
            }
            (12, _) => views.map.put(tx, i64::try_from(draw.below(5)).unwrap_or(0), value)?,
            _ => views.stock.decrement(tx, draw.range(1, 6))?,
        }
    }
    Ok(words)
}
