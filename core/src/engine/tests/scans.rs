//! What reads see: a transaction over what gathers, over what is on its way to the disk, over the store.

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::ControlFlow;

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;
use crate::id::Dot;
use crate::row::RowKey;

/// What happens to an engine.
#[derive(Clone, Debug)]
enum Act {
    Put(u8),
    Remove(u8),
    /// What has gathered leaves for the disk, unless something is on its way.
    Leave,
    /// What is on its way is durable.
    Arrive,
}

impl Arbitrary for Act {
    fn arbitrary(g: &mut Gen) -> Self {
        let row = u8::arbitrary(g) % 12;
        match u8::arbitrary(g) % 8 {
            0..4 => Self::Put(row),
            4 | 5 => Self::Remove(row),
            6 => Self::Leave,
            _ => Self::Arrive,
        }
    }
}

fn object(path: &str) -> Object {
    Object::new(Kind(200), path).unwrap()
}

fn row(row: u8) -> RowKey {
    object("t").row(&[row]).unwrap()
}

/// An engine, the commit on its way, and what is there.
struct Layers {
    engine: Engine<MemoryStore>,
    leaving: Option<Commit>,
    model: BTreeMap<u8, u8>,
    count: u8,
}

impl Layers {
    fn new() -> Self {
        let mut engine = engine(1, 1, 0, MemoryStore::new());
        // A neighbour on each side: scans stay within their object.
        for path in ["s", "u"] {
            let key = object(path).row(&[0]).unwrap();
            engine.write(NOW, |tx| tx.put(key, Payload::default())).unwrap();
        }
        Self { engine, leaving: None, model: BTreeMap::new(), count: 0 }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Put(at) => {
                self.count = self.count.wrapping_add(1);
                let payload = Payload::new([self.count].as_slice()).unwrap();
                self.engine.write(NOW, |tx| tx.put(row(*at), payload)).unwrap();
                self.model.insert(*at, self.count);
            }
            Act::Remove(at) => {
                self.engine.write(NOW, |tx| tx.remove(row(*at))).unwrap();
                self.model.remove(at);
            }
            Act::Leave => self.drain(),
            Act::Arrive => {
                if let Some(commit) = self.leaving.take() {
                    let result = self.engine.store_mut().apply(&commit);
                    self.engine.handle(NOW, Input::Persisted { commit: commit.id, result });
                }
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            if let Output::Persist(commit) = output {
                self.leaving = Some(commit);
            }
        }
    }
}

/// At most five rows from a bound on, and five below it; and those from each end.
fn seen<R: ReadRows>(rows: &R, bound: u8) -> Option<[Vec<(u8, u8)>; 4]> {
    let read = |from: Option<&[u8]>, back: bool| {
        let (object, mut out) = (object("t"), Vec::new());
        let mut visit = |key: &RowKey, entries: &[crate::row::Entry]| {
            out.push((key.element()[0], entries[0].payload[0]));
            if out.len() < 5 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let done = if back {
            rows.scan_back(&object, from, &mut visit)
        } else {
            rows.scan(&object, from.unwrap_or_default(), &mut visit)
        };
        done.ok().map(|()| out)
    };
    let bound = [bound];
    Some([read(Some(&bound), false)?, read(Some(&bound), true)?, read(None, false)?, read(None, true)?])
}

fn expected(model: &BTreeMap<u8, u8>, bound: u8) -> [Vec<(u8, u8)>; 4] {
    let pair = |(row, value): (&u8, &u8)| (*row, *value);
    [
        model.range(bound..).map(pair).take(5).collect(),
        model.range(..bound).rev().map(pair).take(5).collect(),
        model.iter().map(pair).take(5).collect(),
        model.iter().rev().map(pair).take(5).collect(),
    ]
}

quickcheck! {
    fn scans_see_every_layer_in_both_directions(acts: Vec<Act>, staged: Vec<Act>, bound: u8) -> bool {
        let (mut layers, bound) = (Layers::new(), bound % 13);
        let committed = acts.iter().all(|act| {
            layers.act(act);
            seen(&layers.engine.reader(), bound) == Some(expected(&layers.model, bound))
        });
        let mut model = layers.model;
        let within = layers.engine.write(NOW, |tx| -> Result<bool, WriteError> {
            for act in &staged {
                match act {
                    Act::Put(at) => {
                        tx.put(row(*at), Payload::new([7].as_slice()).unwrap())?;
                        model.insert(*at, 7);
                    }
                    Act::Remove(at) => {
                        tx.remove(row(*at))?;
                        model.remove(at);
                    }
                    _ => {}
                }
            }
            Ok(seen(tx, bound) == Some(expected(&model, bound)))
        });
        committed && within.unwrap().0
    }

    /// Whatever else a transaction does, and whether it comes before or after a commit.
    fn a_name_is_given_once(acts: Vec<(Act, u8, u8)>) -> bool {
        let (mut layers, mut given) = (Layers::new(), BTreeSet::<Dot>::new());
        acts.into_iter().all(|(act, names, kept)| {
            layers.act(&act);
            let names = layers.engine.write(NOW, |tx| -> Result<Vec<Dot>, WriteError> {
                let names: Vec<Dot> = (0..names % 4).map(|_| tx.fresh()).collect();
                let kept = names.iter().take(usize::from(kept % 4));
                for name in kept {
                    tx.put(object("names").row(&name.to_bytes()).unwrap(), Payload::default())?;
                }
                Ok(names)
            });
            // One that wrote nothing has named nothing.
            let (names, dot) = names.unwrap();
            dot.is_none() || names.into_iter().all(|name| given.insert(name))
        })
    }
}

#[test]
fn a_transaction_writes_when_its_entries_say() {
    let mut layers = Layers::new();
    for (wall, act) in [(5_000, Act::Leave), (4_000, Act::Arrive), (9_000, Act::Leave)] {
        let now = Now { wall_ms: NOW.wall_ms + wall, ..NOW };
        let written = layers.engine.write(now, |tx| -> Result<_, WriteError> {
            tx.put(row(1), Payload::default())?;
            Ok(tx.time())
        });
        let shown = layers.engine.reader().entries(&row(1)).unwrap();
        assert_eq!(written.unwrap().0, shown[0].timestamp());
        layers.act(&act);
    }
}
