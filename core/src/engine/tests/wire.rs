//! What a frame of deltas leaves out comes back byte for byte, or is asked for.

use alloc::collections::BTreeMap;
use core::ops::ControlFlow;

use quickcheck::quickcheck;

use super::*;
use crate::id::ReplicaId;
use crate::row::RowKey;
use crate::state::{LogRecord, Replaced};
use crate::sync::deltas::{Linker, Tails, Unlinked};
use crate::sync::message::{Deltas, Intro, Key};
use crate::sync::pack::{Packer, short};

fn row(number: u8) -> RowKey {
    Object::new(Kind(200), "t").unwrap().row(&[number]).unwrap()
}

/// A transaction on up to three of a few rows, made durable or left to gather with the next.
fn act(pair: &mut Pair, number: usize, act: u8) {
    let payload = |by: u8| Payload::new(alloc::vec![by, act, act]).unwrap();
    let _ = pair.engines[number].write(NOW, |tx| -> Result<(), WriteError> {
        for step in 0..=act % 3 {
            let key = row((act >> 2).wrapping_add(step * 3) % 5);
            if (act >> step) % 4 == 3 { tx.remove(key)? } else { tx.put(key, payload(step))? }
        }
        Ok(())
    });
    if !act.is_multiple_of(5) {
        pair.save();
    }
}

/// What one engine's log holds from `from` on.
fn records(engine: &Engine<MemoryStore>, from: u64) -> Vec<LogRecord> {
    let mut records = Vec::new();
    engine
        .space
        .read_log(from, &mut |record| {
            records.push(record);
            ControlFlow::Continue(())
        })
        .unwrap();
    records
}

const KEY: Key = Key([9; 8]);

/// Those as a frame for another engine, there and back.
fn packed(pair: &Pair, records: &[LogRecord], replaced: Option<&Replaced>) -> Deltas {
    let mut packer = Packer::new(Some(KEY));
    for record in records {
        let replica = record.delta.replica;
        let news = pair.engines[1].space.heads.get(&replica).is_none();
        let head = pair.engines[0].space.heads.get(&replica).filter(|_| news);
        let intro = head.map(|head| Intro { device: head.device, nonce: head.nonce });
        packer.push(record, short(&record.previous), intro, replaced);
    }
    let message = Message::Deltas(packer.finish());
    let Ok(Message::Deltas(deltas)) = frame::open(&frame::seal(&message)) else { panic!("it was sealed") };
    assert_eq!(Message::Deltas(deltas.clone()), message);
    deltas
}

/// The canonical bytes that another engine makes of a frame, and how many rows were named.
fn unpacked(pair: &Pair, frame: &Deltas, may_name: bool) -> Result<(Vec<Vec<u8>>, usize), Unlinked> {
    let space = &pair.engines[1].space;
    let names: BTreeMap<_, ReplicaId> = space.heads.iter().map(|(id, _)| (KEY.replica(id), *id)).collect();
    let mut tails = Tails::default();
    let mut linker = Linker::new(space, &mut tails);
    (linker.names, linker.may_name) = (Some((KEY, &names)), may_name);
    let received = linker.unpack(frame)?;
    let named = received.iter().map(|received| received.replaces.len()).sum();
    Ok((received.into_iter().map(|received| received.bytes).collect(), named))
}

quickcheck! {
    /// Two write by turns and meet; then the first goes on, and the other may too.
    fn a_stretch_of_a_log_comes_back_byte_for_byte(before: Vec<u8>, after: Vec<u8>, theirs: Vec<u8>) -> bool {
        let mut pair = apart(1 << 20);
        for (turn, step) in before.into_iter().enumerate() {
            act(&mut pair, turn % 2, step);
            if step % 3 == 0 {
                pair.meet(turn as u64 + 10, |_, _| {});
            }
        }
        pair.save();
        pair.meet(1000, |_, _| {});
        let from = pair.engines[0].space.durable.log.next;
        after.into_iter().for_each(|step| act(&mut pair, 0, step));
        let writes_too = !theirs.is_empty();
        theirs.into_iter().for_each(|step| act(&mut pair, 1, step));
        pair.save();
        let records = records(&pair.engines[0], from);
        let canonical: Vec<Vec<u8>> = records.iter().map(|record| record.delta.encode()).collect();
        let replaced = &pair.engines[0].space.replaced;
        let named = packed(&pair, &records, Some(replaced));
        // Everything that either wrote is at the end of its log: nothing has to be asked for.
        let (bytes, count) = unpacked(&pair, &named, true).ok().unwrap();
        let replaces = |record: &LogRecord| record.delta.put_rows().filter(|(dot, _)| replaced.by(dot).is_some()).count();
        let known: usize = records.iter().map(replaces).sum();
        let refused = matches!(unpacked(&pair, &named, false), Err(Unlinked::Row));
        let spelled = packed(&pair, &records, None);
        let with_keys = unpacked(&pair, &spelled, false).ok().unwrap();
        bytes == canonical && count == known && refused == (count > 0) && with_keys == (canonical, 0)
            && (writes_too || pair.engines[1].stats().keys_asked == 0)
    }
}

/// Both sides replace the row that has been there for longer than either log reaches back.
fn one_old_row_written_on_both_sides() -> Pair {
    // Such a log holds two or three of these deltas.
    let mut pair = apart(300);
    pair.meet(1, |_, _| {});
    for number in [0, 1] {
        for n in 0..3 {
            write(&mut pair.engines[number], 10, "busy");
            write(&mut pair.engines[number], 20 + n, "busy");
            pair.save();
        }
        pair.meet(2, |_, _| {});
    }
    let asked = pair.engines.each_ref().map(|engine| engine.stats().keys_asked);
    assert_eq!(asked, [0, 0], "rows that only one side writes are found");
    write(&mut pair.engines[0], 3, "of a");
    write(&mut pair.engines[1], 3, "of b");
    pair.save();
    pair
}

#[test]
fn a_row_that_is_not_known_any_more_is_asked_for_once() {
    let mut pair = one_old_row_written_on_both_sides();
    let mut asked = [0, 0];
    pair.meet(3, |to, message| asked[to] += u32::from(*message == Message::Keys));
    assert_eq!(asked, [1, 1]);
    assert_eq!(pair.closed, []);
    pair.check_same();
}

/// A peer that goes on naming rows is not looked up to, and not listened to: its frames are let go of.
#[test]
fn a_peer_that_does_not_give_keys_costs_no_more() {
    let mut pair = one_old_row_written_on_both_sides();
    let mut asked = 0;
    pair.connect(3);
    pair.carry(3, |to, message| {
        if (to, &*message) == (0, &Message::Keys) {
            asked += 1;
            // Lost on its way, as if: a peer that does not listen.
            *message = Message::BulkAbort(77);
        }
    });
    assert_eq!(asked, 1, "once a stream");
    let [theirs, known] = [0, 1].map(|number| pair.engines[number].version_vector());
    assert!(!known.covers(&theirs));
    pair.engines.iter().for_each(|engine| engine.check().unwrap());
    pair.engines
        .iter_mut()
        .for_each(|engine| engine.handle(NOW, Input::Disconnected { session: SessionId(3) }));
    pair.meet(4, |_, _| {});
    assert_eq!(pair.closed, []);
    pair.check_same();
}

/// A row that a name leads to may be another than the one that was meant: then no signature holds.
#[test]
fn a_row_resolved_wrongly_is_noticed_and_asked_for() {
    let mut pair = apart(1 << 20);
    write(&mut pair.engines[1], 9, "b");
    pair.meet(1, |_, _| {});
    write(&mut pair.engines[0], 3, "new");
    write(&mut pair.engines[0], 4, "new");
    pair.save();
    let mut tampered = 0;
    let mut asked = 0;
    pair.meet(2, |to, message| {
        asked += u32::from(*message == Message::Keys);
        let Message::Deltas(deltas) = message else { return };
        for delta in &mut deltas.deltas.0 {
            for put in &mut delta.puts {
                if to == 1 && matches!(put.row, frame::Row::OfKilled(_)) && asked == 0 {
                    // The other row of the two.
                    put.row = frame::Row::OfKilled(1 - tampered);
                    tampered = 1;
                }
            }
        }
    });
    assert_eq!((tampered, asked, pair.closed.len()), (1, 1, 0));
    pair.check_same();
    // With keys a signature that does not hold is a lie.
    write(&mut pair.engines[0], 3, "newer");
    pair.save();
    pair.meet(3, |to, message| {
        let Message::Deltas(deltas) = message else { return };
        for put in deltas.deltas.0.iter_mut().flat_map(|delta| &mut delta.puts).filter(|_| to == 1) {
            put.row = frame::Row::Key(row(8));
        }
    });
    assert_eq!(pair.closed, [(1, Reason::Misbehaved)]);
}

/// Whatever else another version of a hello says, who it greets and which version it is stand where they always did.
#[test]
fn another_version_is_greeted_and_refused() {
    let mut pair = apart(0);
    pair.connect(1);
    let (to, mut hello) = pair.wire.pop_front().unwrap();
    assert!(greets(&hello, &SpaceId([7; 32])) && !greets(&hello, &SpaceId([8; 32])));
    hello[1] += 1;
    hello.truncate(20);
    assert!(greets(&hello, &SpaceId([7; 32])), "of that version");
    pair.engines[to].handle(NOW, Input::Received { session: SessionId(1), frame: hello });
    pair.drain(to);
    assert_eq!(pair.closed, [(to, Reason::Incompatible)]);
}
