//! A read model beside each machine: it folds the change feed, keeps its place with what it folded, and outlives crashes and
//! restored disks, as an app's own database does.
//!
//! What it must come to is known at any moment: the durable rows. And each change must begin where the one before it of its
//! row ended, so a change that is missing, doubled or of another history shows at once, not at the end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rejoin_core::feed::{Cursor, Record, Retention};
use rejoin_core::index::IndexSpec;
use rejoin_core::row::{Entry, Kind, RowKey};

use crate::counters::Sometimes;
use crate::draw::{Draw, stream};
use crate::machine::Machine;
use crate::oracle::{Violation, broken};
use crate::world::World;

type Rows = BTreeMap<RowKey, Vec<Entry>>;

/// See the module page.
#[derive(Debug, Default)]
pub struct Reader {
    rows: Rows,
    /// Behind what it has folded; none before it has begun.
    place: Option<Cursor>,
    /// The feed was off, or kept so little, that a gap is no surprise.
    may_miss: bool,
}

/// How much of the feed machines keep, and when their readers read.
#[derive(Debug)]
pub struct Feeds {
    retention: Retention,
    /// Rows are listed by what they hold, too: [`Engine::check`](rejoin_core::engine::Engine::check) compares.
    indexes: Vec<IndexSpec>,
    /// Apps use data types, too.
    pub(crate) views: bool,
    pub(crate) draw: Draw,
}

impl Feeds {
    /// Those of a seed.
    pub fn of(seed: u64) -> Self {
        let mut draw = Draw::new(seed, stream::FEED + 1);
        let retention = match draw.below(4) {
            0 => Retention { bytes: draw.range(1, 3000), millis: u64::MAX },
            1 => Retention { bytes: u64::MAX, millis: draw.magnitude(1, 10_000_000) },
            _ => Retention { bytes: u64::MAX, millis: u64::MAX },
        };
        let kinds = [200, 201, 202].into_iter().filter(|_| draw.chance(300));
        let indexes = kinds.map(|kind| IndexSpec::new(Kind(kind), "a", &[""]).expect("a path")).collect();
        Self { retention, indexes, views: draw.chance(500), draw }
    }
}

impl World {
    /// A machine was opened: its feed is kept from here on, if it was not before; now and then it is switched off for a
    /// life, or while it runs.
    pub(crate) fn keep_feed(&mut self, number: usize) -> Result<(), Violation> {
        let Some(feeds) = &mut self.feeds else { return Ok(()) };
        let machine = &mut self.machines[number];
        let wanted = if feeds.draw.chance(100) { None } else { Some(feeds.retention) };
        machine.reader.may_miss |= wanted.is_none() || feeds.retention.bytes < u64::MAX;
        machine.reader.may_miss |=
            feeds.retention.millis < u64::MAX || machine.engine().feed_retention().is_none();
        if machine.engine().feed_retention() != wanted {
            machine.engine_mut().keep_feed(wanted);
        }
        for index in &feeds.indexes {
            let engine = machine.engine_mut();
            let drops = feeds.draw.chance(200);
            let done = if drops { engine.drop_index(index) } else { engine.build_index(index) };
            done.or_else(|error| broken("store", format!("{error}")))?;
        }
        Ok(())
    }

    /// After any input a reader may read, or not.
    pub(crate) fn maybe_read_feed(&mut self, number: usize) -> Result<(), Violation> {
        let reads = self.feeds.as_mut().is_some_and(|feeds| feeds.draw.chance(60));
        if reads { self.read_feed(number) } else { Ok(()) }
    }

    /// A reader reads all that there is, and must then hold what is durable.
    pub(crate) fn read_feed(&mut self, number: usize) -> Result<(), Violation> {
        let machine = &mut self.machines[number];
        let Some(end) = machine.engine().feed_end().filter(|_| self.feeds.is_some()) else { return Ok(()) };
        let mut reader = core::mem::take(&mut machine.reader);
        let (durable, at) = durable_rows(machine)?;
        assert_eq!(at, Some(end), "nothing happened in between");
        let folded = match reader.place {
            None => false,
            Some(place) => reader.fold(machine, place)?,
        };
        if folded {
            self.counters.saw(Sometimes::FeedFolded);
        } else {
            if reader.place.is_some() {
                self.counters.saw(Sometimes::FeedGap);
                if !reader.may_miss && !machine.went_back && self.oracle.exact {
                    return broken("feed", format!("a gap behind {:?} for no reason", reader.place));
                }
            }
            reader.rows.clone_from(&durable);
        }
        reader.place = Some(end);
        if reader.rows != durable {
            return broken("feed", format!("machine {number}: what was folded is not what is durable"));
        }
        // What was switched off is on again, and this reader has caught up with it.
        reader.may_miss &= self
            .feeds
            .as_ref()
            .is_some_and(|feeds| feeds.retention.bytes < u64::MAX || feeds.retention.millis < u64::MAX);
        self.machines[number].reader = reader;
        Ok(())
    }
}

fn durable_rows(machine: &Machine) -> Result<(Rows, Option<Cursor>), Violation> {
    let snapshot = machine.engine().durable_snapshot();
    let (snapshot, end) = snapshot.or_else(|error| broken("store", format!("{error}")))?;
    let mut rows = Rows::new();
    let visited = snapshot.visit_rows(&[], &mut |key, entries| {
        rows.insert(key.clone(), entries.to_vec());
        ControlFlow::Continue(())
    });
    visited.or_else(|error| broken("store", format!("{error}")))?;
    Ok((rows, end))
}

impl Reader {
    /// Folds what lies behind a place; `false` at a gap.
    fn fold(&mut self, machine: &Machine, place: Cursor) -> Result<bool, Violation> {
        let (mut wrong, mut commit, mut at) = (None, 0, place.position());
        let read = machine.engine().read_feed(&place, &mut |record| {
            at += 1;
            let is_next = record.cursor.position() == at && (commit..=at).contains(&record.commit);
            commit = record.commit;
            wrong = if is_next { self.take(record) } else { Some(format!("{record:?} is not the next")) };
            if wrong.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match (wrong, read) {
            (Some(wrong), _) => broken("feed", wrong),
            (None, Err(error)) => broken("store", format!("{error}")),
            (None, Ok(end)) => Ok(end.is_some_and(|end| Some(end) == machine.engine().feed_end())),
        }
    }

    /// Takes a change; says what is wrong with it.
    fn take(&mut self, record: Record) -> Option<String> {
        let held = self.rows.remove(&record.key).unwrap_or_default();
        let wrong = (held != record.before || record.before == record.after)
            .then(|| format!("{record:?} does not follow from {held:?}"));
        if !record.after.is_empty() {
            self.rows.insert(record.key, record.after);
        }
        wrong
    }
}
