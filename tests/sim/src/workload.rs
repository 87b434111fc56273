//! What the apps on the machines write.
//!
//! A transaction touches 1 to 4 rows, few enough overall that writes often meet: plain rows that are replaced and
//! removed, rows keyed by their author that hold a running total, and now and then all rows of an object removed at once.

use std::ops::ControlFlow;

use rejoin_core::engine::WriteError;
use rejoin_core::row::{DataError, Entry, Kind, Object, Payload, RowKey, WriteRows};

use crate::draw::Draw;

/// Kinds that no view claims: the engine moves rows, whatever they mean.
const PLAIN: [Kind; 3] = [Kind(200), Kind(201), Kind(202)];
const TALLY: Kind = Kind(210);

/// One act within a transaction.
#[derive(Clone, Debug)]
pub enum Act {
    /// Replace a row with this many bytes.
    Put(RowKey, usize),
    /// Remove a row.
    Remove(RowKey),
    /// Add to the author's own total.
    Add(u64),
    /// Remove all rows of an object.
    Clear(Object),
}

/// The rows that a schedule's apps choose from.
#[derive(Clone, Debug)]
pub struct Workload {
    keys: Vec<RowKey>,
    objects: Vec<Object>,
    tally: Object,
    /// Payloads made so far: each carries its number, so no two are the same.
    pub payloads: u64,
}

/// What a transaction did: the rows, and what each holds now.
pub type Done = Vec<(RowKey, Option<Payload>)>;

impl Workload {
    /// A workload over `rows` rows.
    pub fn new(rows: usize) -> Self {
        let object = |kind, path: &str| Object::new(kind, path).expect("a short path");
        let objects: Vec<Object> = PLAIN.iter().map(|kind| object(*kind, "a")).collect();
        let key = |n: usize| objects[n % objects.len()].row(&(n as u64).to_be_bytes()[6..]).expect("short");
        Self { keys: (0..rows).map(key).collect(), tally: object(TALLY, "t/sum"), objects, payloads: 0 }
    }

    /// Every row that can be named before anybody wrote.
    pub fn keys(&self) -> &[RowKey] {
        &self.keys
    }

    /// Draws a transaction.
    pub fn draw(&self, draw: &mut Draw) -> Vec<Act> {
        let removals_only = draw.chance(250);
        let acts = draw.range(1, 4);
        (0..acts).map(|_| self.act(draw, removals_only)).collect()
    }

    fn act(&self, draw: &mut Draw, removal: bool) -> Act {
        if draw.chance(15) {
            return Act::Clear(if draw.chance(300) {
                self.tally.clone()
            } else {
                self.objects[draw.index(self.objects.len())].clone()
            });
        }
        let key = self.keys[draw.index(self.keys.len())].clone();
        match draw.below(10) {
            _ if removal => Act::Remove(key),
            0 | 1 => Act::Remove(key),
            2 => Act::Add(draw.range(1, 100)),
            _ => Act::Put(key, size(draw)),
        }
    }

    /// Runs acts in a transaction, checking that it reads its own writes.
    pub fn run<T>(&mut self, tx: &mut T, acts: &[Act]) -> Result<Done, WriteError>
    where
        T: WriteRows<Error = WriteError>,
    {
        let mut done = Done::new();
        for act in acts {
            match act {
                Act::Put(key, size) => self.put(tx, key.clone(), 0, *size, &mut done)?,
                Act::Remove(key) => remove(tx, key.clone(), &mut done)?,
                Act::Add(by) => {
                    let key = self.tally.row(tx.author().as_bytes()).map_err(DataError::from)?;
                    let held = tx.entries(&key)?.last().map_or(0, |entry| total(&entry.payload));
                    self.put(tx, key, held + by, 8, &mut done)?;
                }
                Act::Clear(object) => {
                    let mut keys = Vec::new();
                    tx.scan(object, &[], &mut |key, _| {
                        keys.push(key.clone());
                        ControlFlow::Continue(())
                    })?;
                    for key in keys {
                        remove(tx, key, &mut done)?;
                    }
                }
            }
        }
        Ok(done)
    }

    fn put<T>(
        &mut self,
        tx: &mut T,
        key: RowKey,
        total: u64,
        size: usize,
        done: &mut Done,
    ) -> Result<(), WriteError>
    where
        T: WriteRows<Error = WriteError>,
    {
        self.payloads += 1;
        let mut bytes = self.payloads.to_le_bytes().to_vec();
        bytes.extend_from_slice(&total.to_le_bytes());
        bytes.resize(16 + size, 0xa5);
        let payload = Payload::new(bytes).expect("small payloads");
        tx.put(key.clone(), payload.clone())?;
        let shown = tx.entries(&key)?;
        let own = |entry: &Entry| entry.payload == payload;
        assert!(shown.len() == 1 && shown.iter().all(own), "a transaction does not read its own write");
        done.retain(|(other, _)| *other != key);
        done.push((key, Some(payload)));
        Ok(())
    }
}

fn remove<T>(tx: &mut T, key: RowKey, done: &mut Done) -> Result<(), WriteError>
where
    T: WriteRows<Error = WriteError>,
{
    tx.remove(key.clone())?;
    assert!(tx.entries(&key)?.is_empty(), "a transaction does not read its own removal");
    done.retain(|(other, _)| *other != key);
    done.push((key, None));
    Ok(())
}

/// Mostly small values; now and then one that fills chunks and windows, or does not fit in gossip.
fn size(draw: &mut Draw) -> usize {
    let size = match draw.below(500) {
        0 => draw.range(15_000, 20_000),
        1..10 => draw.magnitude(100, 4000),
        _ => draw.below(24),
    };
    usize::try_from(size).unwrap_or(0)
}

/// The number of a payload: no two puts have the same.
pub fn number(payload: &[u8]) -> u64 {
    payload.get(..8).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
}

/// The running total in a payload.
fn total(payload: &Payload) -> u64 {
    payload.get(8..16).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
}
