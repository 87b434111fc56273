//! Round trips, every kind of damage, and stores that contradict themselves.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::boundary::{Config, Event, Input, Now, Output, Role, SessionId};
use crate::clock::Timestamp;
use crate::codec;
use crate::engine::Engine;
use crate::id::{Dot, ReplicaId};
use crate::identity::{Ed25519, Identity};
use crate::row::{Entry, Kind, Object, Payload, RowKey, WriteRows};
use crate::state::WriteError;
use crate::store::{Change, Commit, MemoryStore, Store, Table};

const NOW: Now = Now { mono_ms: 1, wall_ms: 1_800_000_000_000 };
const SPACE: SpaceId = SpaceId([7; 32]);

fn identity() -> Ed25519 {
    Ed25519::from_seed([1; 32])
}

fn engine(device: u8, store: MemoryStore) -> Engine<MemoryStore> {
    seeded(device, device, store)
}

fn seeded(device: u8, seed: u8, store: MemoryStore) -> Engine<MemoryStore> {
    let identity = Box::new(Ed25519::from_seed([device; 32]));
    Engine::open(Config::new(SPACE), identity, store, [seed; 32]).unwrap()
}

fn key(number: u32) -> RowKey {
    Object::new(Kind::LWW_MAP, "tasks").unwrap().row(format!("key {number:05}").as_bytes()).unwrap()
}

fn write(engine: &mut Engine<MemoryStore>, numbers: core::ops::Range<u32>, text: &str) {
    for number in numbers {
        let payload = Payload::new(format!("{text} {}", number * 7919).as_bytes()).unwrap();
        let written = engine.write(NOW, |tx| tx.put(key(number), payload));
        assert!(written.is_ok_and(|((), dot): ((), _)| dot.is_some()));
        drain(engine);
    }
}

fn drain(engine: &mut Engine<MemoryStore>) -> (Vec<Vec<u8>>, Vec<Event>) {
    let (mut frames, mut events) = (Vec::new(), Vec::new());
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Persist(commit) => {
                let result = engine.store_mut().apply(&commit);
                engine.handle(NOW, Input::Persisted { commit: commit.id, result });
            }
            Output::Send { frame, .. } => frames.push(frame),
            Output::Event(event) => events.push(event),
            Output::Publish { .. } | Output::Judged { .. } | Output::Disconnect { .. } => {}
        }
    }
    (frames, events)
}

fn meet(a: &mut Engine<MemoryStore>, b: &mut Engine<MemoryStore>, session: u64) {
    let session = SessionId(session);
    a.handle(NOW, Input::Connected { session, role: Role::Initiator });
    b.handle(NOW, Input::Connected { session, role: Role::Responder });
    loop {
        let (to_b, to_a) = (drain(a).0, drain(b).0);
        if to_a.is_empty() && to_b.is_empty() {
            break;
        }
        to_b.into_iter().for_each(|frame| b.handle(NOW, Input::Received { session, frame }));
        to_a.into_iter().for_each(|frame| a.handle(NOW, Input::Received { session, frame }));
    }
    for side in [a, b] {
        side.handle(NOW, Input::Disconnected { session });
        drain(side);
    }
}

/// Rows of two replicas, some written by both at once, some removed; more than a block.
fn lived() -> Engine<MemoryStore> {
    let (mut ada, mut bo) = (engine(1, MemoryStore::new()), engine(2, MemoryStore::new()));
    write(&mut ada, 0..600, "ada");
    write(&mut bo, 550..700, "bo");
    meet(&mut ada, &mut bo, 1);
    for number in (0..600).step_by(9) {
        let removed = ada.write(NOW, |tx| -> Result<(), WriteError> { tx.remove(key(number)) });
        assert!(removed.is_ok());
        drain(&mut ada);
    }
    write(&mut ada, 3..5, "ada again");
    assert_eq!(ada.root().unwrap(), ada.root().unwrap());
    ada
}

fn facts() -> Vec<Fact> {
    vec![("name".into(), b"board".to_vec())]
}

fn image(engine: &mut Engine<MemoryStore>) -> Result<Vec<u8>, crate::store::StoreError> {
    let moment = engine.moment()?;
    let mut bytes = Vec::new();
    let mut sink = |part: &[u8]| {
        bytes.extend_from_slice(part);
        Ok(())
    };
    let mut writer = ImageWriter::begin(&mut sink)?;
    writer.space(&moment, 5, 9, &facts(), &mut sink, &mut |_| {})?;
    writer.end(&mut sink)?;
    Ok(bytes)
}

fn parts(bytes: &[u8]) -> Result<Vec<Part>, ImageError> {
    let mut rest = bytes;
    let mut source = |buffer: &mut [u8]| {
        // A file may give less than was asked for.
        let length = buffer.len().min(rest.len()).min(1000);
        let (given, left) = rest.split_at(length);
        buffer[..length].copy_from_slice(given);
        rest = left;
        Ok(length)
    };
    let identity = identity();
    let mut reader = ImageReader::begin(&mut source, &identity)?;
    let mut parts = Vec::new();
    while let Some(part) = reader.next_part()? {
        parts.push(part);
    }
    Ok(parts)
}

/// A store of what an image holds, and the root that it should have.
fn loaded(bytes: &[u8]) -> (MemoryStore, Root, Contents) {
    let (mut store, mut root, mut contents) = (MemoryStore::new(), None, None);
    let apply = |store: &mut MemoryStore, changes: Vec<Change>| {
        store.apply(&Commit::new(0, changes)).unwrap();
    };
    for part in parts(bytes).unwrap() {
        match part {
            Part::Space(about) => {
                assert_eq!((about.space, about.made_ms, &about.facts), (SPACE, 5, &facts()));
                root = Some(about.root);
            }
            Part::Changes(changes) => apply(&mut store, changes),
            Part::Close(found, changes) => {
                apply(&mut store, changes);
                contents = Some(found);
            }
            Part::End { spaces } => assert_eq!(spaces, 1),
        }
    }
    let (found, dots, changes) = completed(&store).unwrap();
    apply(&mut store, changes);
    assert_eq!((Some(found), dots), (root, contents.unwrap().entries));
    (store, found, contents.unwrap())
}

#[test]
fn a_space_comes_back_from_its_image() {
    let mut ada = lived();
    let bytes = image(&mut ada).unwrap();
    let (store, root, contents) = loaded(&bytes);
    assert_eq!((root, contents.replicas), (ada.root().unwrap(), 2));
    assert_eq!(
        (contents.rows, contents.entries),
        (700 - 67, 700 - 67 + 45),
        "fifty were written by both, five of them removed"
    );

    let old = ada.replica().unwrap();
    let mut again = seeded(1, 9, store);
    let (_, events) = drain(&mut again);
    assert!(events.contains(&Event::NewIncarnation { old }), "it may live on elsewhere: {events:?}");
    again.check().unwrap();
    again.moment().unwrap().check(&identity()).unwrap();
    assert_eq!((again.root().unwrap(), again.version_vector()), (root, ada.version_vector()));

    write(&mut again, 700..720, "again");
    write(&mut ada, 720..740, "ada lives on");
    meet(&mut again, &mut ada, 2);
    again.check().unwrap();
    ada.check().unwrap();
    assert_eq!(again.root().unwrap(), ada.root().unwrap());
    let mut rows = 0;
    again.visit_rows(&mut |_, _| rows += 1).unwrap();
    assert_eq!(rows, 700 - 67 + 40, "nothing is lost, nothing comes back");
}

#[test]
fn an_image_is_the_same_for_the_same_state() {
    let mut ada = lived();
    let bytes = image(&mut ada).unwrap();
    assert_eq!(image(&mut ada).unwrap(), bytes);
    // A store that was loaded makes the same, but for the id that it gave up.
    let mut empty = engine(3, MemoryStore::new());
    assert_eq!(loaded(&image(&mut empty).unwrap()).2, Contents::default());
}

#[test]
fn no_flipped_bit_and_no_cut_goes_unnoticed() {
    let bytes = image(&mut lived()).unwrap();
    for at in (0..bytes.len()).step_by(211).chain(0..64).chain(bytes.len() - 64..bytes.len()) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(parts(&flipped).is_err(), "a bit of byte {at}");
        assert!(parts(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(matches!(parts(&[&*bytes, b"x"].concat()), Err(ImageError::Damaged { .. })));
    assert_eq!(parts(b"redb"), Err(ImageError::NotAnImage));
    let mut newer = bytes;
    newer[8] = 9;
    assert_eq!(parts(&newer), Err(ImageError::Newer { found: 9, known: 1 }));
}

#[test]
fn a_store_that_contradicts_itself_makes_no_image() {
    let sound = lived().into_store();
    let of = |table, key: Vec<u8>, value: Option<Vec<u8>>| {
        let mut store = sound.clone();
        store.apply(&Commit::new(0, vec![(table, key, value)])).unwrap();
        let mut engine = engine(1, store);
        let made = image(&mut engine);
        let checked = engine.moment().map(|moment| moment.check(&identity()).is_ok());
        assert_eq!(checked.unwrap_or(false), made.is_ok(), "what makes no image is not sound");
        made
    };
    let row = key(1).as_bytes().to_vec();
    assert!(of(Table::Forks, vec![1], None).is_ok(), "as it is");
    assert!(of(Table::Rows, row.clone(), None).is_err(), "a row is missing");
    let mut other = sound.get(Table::Rows, &row).unwrap().unwrap();
    *other.last_mut().unwrap() ^= 1;
    assert!(of(Table::Rows, row.clone(), Some(other)).is_err(), "a row is not what its hash says");
    let dot = codec::decode::<Vec<Entry>>(&sound.get(Table::Rows, &row).unwrap().unwrap()).unwrap()[0].dot;
    assert!(of(Table::Dots, dot.to_bytes().to_vec(), None).is_err(), "a dot is missing");
    let ids = [Table::Tree, Table::Replicas].map(|table| {
        let mut last = Vec::new();
        sound
            .scan(table, &[1], &mut |key, _| {
                last = key.to_vec();
                core::ops::ControlFlow::Continue(())
            })
            .unwrap();
        last
    });
    let node = sound.get(Table::Tree, &ids[0]).unwrap().unwrap();
    let wrong = node.iter().map(|byte| byte ^ 4).collect();
    // The kept tree is what the root is of; a wrong node makes a root that is not that of the rows, or cannot be read.
    assert!(of(Table::Tree, ids[0].clone(), Some(wrong)).is_err(), "a node is wrong");
    assert!(of(Table::Replicas, ids[1].clone(), None).is_err(), "a head is missing");
}

#[test]
fn entries_of_any_shape_come_back_from_a_block() {
    let mut random = 1_u64;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for round in 0..20 {
        let (mut gathered, mut expected) = (entries::Gathered::default(), Vec::new());
        let mut rows: Vec<RowKey> =
            (0..=draw(200)).map(|_| key(u32::try_from(draw(9999)).unwrap())).collect();
        rows.sort();
        rows.dedup();
        for (number, row) in rows.iter().enumerate() {
            let author = usize::try_from(draw(3)).unwrap();
            let (seq, time) = (number as u64 * 3 + 1 + draw(2), Timestamp(draw(1 << 20) << draw(28)));
            let payload = vec![b'x'; usize::try_from(draw(5) * draw(40)).unwrap()];
            let dot = Dot::new(ReplicaId::from_u128(author as u128), seq);
            let entry = Entry::new(row, dot, time, Payload::new(payload.clone()).unwrap());
            gathered.add(row.as_bytes(), author, &entry);
            expected.push(entries::Told {
                key: row.as_bytes().to_vec(),
                author,
                seq,
                timestamp: time,
                payload,
            });
        }
        let bytes = gathered.encode();
        assert_eq!(entries::decode(&bytes, 3), Some(expected), "round {round}");
        assert_eq!(entries::decode(&bytes, 0), None, "of nobody");
        for at in (0..bytes.len()).step_by(5) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            // No hash here: whatever comes of it, it ends.
            let _ = entries::decode(&flipped, 3);
        }
    }
}

#[test]
fn heads_have_to_be_signed() {
    struct Nobody;
    impl Identity for Nobody {
        fn device(&self) -> crate::id::DeviceKey {
            identity().device()
        }
        fn sign(&self, message: &[u8; 32]) -> crate::id::Signature {
            identity().sign(message)
        }
        fn verify(&self, _: &crate::id::DeviceKey, _: &[u8; 32], _: &crate::id::Signature) -> bool {
            false
        }
    }
    let bytes = image(&mut lived()).unwrap();
    let mut rest = &*bytes;
    let mut source = |buffer: &mut [u8]| {
        let (given, left) = rest.split_at(buffer.len());
        buffer.copy_from_slice(given);
        rest = left;
        Ok(given.len())
    };
    let mut reader = ImageReader::begin(&mut source, &Nobody).unwrap();
    assert!(matches!(reader.next_part(), Ok(Some(Part::Space(_)))));
    assert!(matches!(reader.next_part(), Err(ImageError::Damaged { why, .. }) if why.contains("not signed")));
}
