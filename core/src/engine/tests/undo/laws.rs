//! With nobody else about, undo and redo walk through the states that were: any transactions of all types.

use alloc::format;
use alloc::string::String;

use quickcheck::quickcheck;

use super::*;
use crate::crdt::{
    BoundedCounterView, FlagView, Keys, ListView, LogView, LwwRegisterView, MvRegisterView, OnceKey, Place,
};

/// All that views show.
fn shown(engine: &Engine<MemoryStore>) -> String {
    let rows = engine.reader();
    let mut keys = Vec::new();
    LwwMapView::at("m")
        .unwrap()
        .visit(&rows, &Keys::All, |key, value| {
            keys.push((key, value));
            core::ops::ControlFlow::Continue(())
        })
        .unwrap();
    let mut elements = Vec::new();
    OrSetView::at("s")
        .unwrap()
        .visit(&rows, &Keys::All, |element| {
            elements.push(element);
            core::ops::ControlFlow::Continue(())
        })
        .unwrap();
    let lines = LogView::at("log").unwrap().tail(&rows, 999).unwrap();
    let lines: Vec<_> = lines.into_iter().map(|line| (line.place, line.value)).collect();
    let bounded = BoundedCounterView::at("b").unwrap();
    format!(
        "{:?}",
        (
            (
                count(engine),
                bounded.value(&rows).unwrap(),
                bounded.rights(&rows).unwrap().into_values().sum::<i64>()
            ),
            (keys, elements, lines, ListView::at("l").unwrap().items(&rows).unwrap()),
            LwwRegisterView::at("r").unwrap().get(&rows).unwrap(),
            MvRegisterView::at("mv").unwrap().values(&rows).unwrap(),
            FlagView::at("f").unwrap().is_enabled(&rows).unwrap(),
            [0, 1, 2].map(|row| values(engine, row)),
        )
    )
}

/// One of the writes that types offer. What cannot be done now is not done.
fn step(tx: &mut Tx<'_>, what: u8, n: u8) -> Result<(), WriteError> {
    let (list, log) = (ListView::at("l").unwrap(), LogView::at("log").unwrap());
    let (map, set) = (LwwMapView::at("m").unwrap(), OrSetView::at("s").unwrap());
    let (bounded, small) = (BoundedCounterView::at("b").unwrap(), i64::from(n % 3));
    let items = list.items(tx)?;
    let item = items.get(usize::from(n) % items.len().max(1)).map(|item| item.id);
    match what % 22 {
        0 => counter().add(tx, i64::from(n) - 100),
        1 => counter().reset(tx),
        2 => counter().clear(tx),
        3 => counter().add_once(tx, &OnceKey::new(&format!("{}", n % 4)), 7).map(drop),
        4 => counter().forget_once(tx, crate::Timestamp(u64::MAX), 2).map(drop),
        5 => set.insert(tx, small),
        6 => set.remove(tx, small),
        7 => map.put(tx, small, i64::from(n)),
        8 => map.remove(tx, small),
        9 => map.clear(tx),
        10 => LwwRegisterView::at("r").unwrap().put(tx, i64::from(n)),
        11 => MvRegisterView::at("mv").unwrap().put(tx, i64::from(n)),
        12 => FlagView::at("f").unwrap().enable(tx),
        13 => FlagView::at("f").unwrap().disable(tx),
        14 => list.insert(tx, usize::from(n) % (items.len() + 1), i64::from(n)).map(drop),
        15 => item.map_or(Ok(()), |id| list.move_to(tx, id, usize::from(n) % items.len())),
        16 => item.map_or(Ok(()), |id| list.set(tx, id, i64::from(n))),
        17 => item.map_or(Ok(()), |id| list.remove(tx, id)),
        18 => log.append(tx, i64::from(n)).map(drop),
        19 => log.trim(tx, &Place::END, usize::from(n % 3)).map(drop),
        20 => match bounded.decrement(tx, u64::from(n % 5)) {
            Err(WriteError::Data(_)) => bounded.increment(tx, u64::from(n)),
            done => done,
        },
        _ => {
            let key = Object::new(Kind(200), "t").unwrap().row(&[n % 3]).unwrap();
            if n < 200 { tx.put(key, Payload::new([n]).unwrap()) } else { tx.remove(key) }
        }
    }
}

quickcheck! {
    /// With nobody else about, undos lead back through all states that were, and redos forth again. Some wait for one
    /// commit with others, some are saved, and the store may be opened again in between.
    fn undos_lead_back_and_redos_forth(acts: Vec<(Vec<(u8, u8)>, u8)>, rests: Vec<u8>) -> bool {
        let (mut pair, mut seed) = (alone(), 10);
        let mut rests = rests.into_iter().cycle();
        let mut rest = |pair: &mut Pair, rest: Option<u8>| match rest.unwrap_or(0) % 5 {
            0 => pair.save(),
            1 => {
                seed += 1;
                reopen(pair, seed);
            }
            _ => {}
        };
        let mut states = alloc::vec![shown(&pair.engines[0])];
        for (steps, after) in acts.into_iter().take(30) {
            let write = |tx: &mut Tx<'_>| steps.into_iter().take(5).try_for_each(|(what, n)| step(tx, what, n));
            if pair.engines[0].write(NOW, write).unwrap().1.is_some() {
                states.push(shown(&pair.engines[0]));
            }
            rest(&mut pair, Some(after));
        }
        let mut sound = pair.engines[0].undo_depth() == (states.len() - 1, 0);
        for before in states.iter().rev().skip(1) {
            sound &= undo(&mut pair.engines[0]).is_some_and(|[_, left, kept]| left + kept == 0);
            sound &= shown(&pair.engines[0]) == *before;
            rest(&mut pair, rests.next());
        }
        for after in states.iter().skip(1) {
            sound &= redo(&mut pair.engines[0]).is_some_and(|[_, left, kept]| left + kept == 0);
            sound &= shown(&pair.engines[0]) == *after;
            rest(&mut pair, rests.next());
        }
        for before in states.iter().rev().skip(1) {
            undo(&mut pair.engines[0]);
            sound &= shown(&pair.engines[0]) == *before;
        }
        pair.save();
        pair.engines[0].check().unwrap();
        sound && undo(&mut pair.engines[0]).is_none()
    }
}
