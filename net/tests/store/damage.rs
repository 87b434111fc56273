//! Bits that flip and files that are cut: S7 of the catalogue of faults.

use std::ops::ControlFlow;
use std::panic::catch_unwind;

use rejoin_core::SpaceId;
use rejoin_core::engine::{Config, Engine, Input, Now, Output, WriteError};
use rejoin_core::identity::Ed25519;
use rejoin_core::row::{Kind, Object, Payload, WriteRows};
use rejoin_core::store::{MemoryStore, Store, Table};
use rejoin_net::store::{FORMAT, OpenError, OpenOptions, RedbStore, Writer};

use crate::disk::TestDisk;
use crate::script::{Random, amount, contents};

pub(crate) const NOW: Now = Now { mono_ms: 0, wall_ms: 1_700_000_000_000 };

/// How an opening of a damaged store may end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Refused,
    ReadingFailed,
    /// The engine's check finds what is wrong: a key that a scan meets and a look-up misses, or other content.
    Noticed,
    /// It reads back differently, and the engine's check is content.
    Silent,
    Equal,
}

pub(crate) fn engine(store: RedbStore) -> Engine<RedbStore> {
    let identity = Box::new(Ed25519::from_seed([5; 32]));
    Engine::open(Config::new(SpaceId([1; 32])), identity, store, [9; 32]).unwrap()
}

/// Carries out what the engine asks for, as a host does.
pub(crate) fn drive(engine: &mut Engine<RedbStore>, writer: &Writer) {
    while let Some(output) = engine.poll_output() {
        if let Output::Persist(commit) = output {
            let merged = writer.commit(&commit).unwrap();
            engine.store_mut().show().unwrap();
            engine.handle(NOW, Input::Persisted { commit: commit.id, result: Ok(merged) });
        }
    }
}

/// A store that an engine wrote and a host closed.
fn written() -> (Vec<u8>, MemoryStore) {
    let disk = TestDisk::new(Vec::new());
    let (store, writer) = RedbStore::open_with_backend(disk.clone(), &OpenOptions::default()).unwrap();
    let mut engine = engine(store);
    let object = Object::new(Kind::LWW_MAP, "tasks").unwrap();
    let mut random = Random(31);
    for number in 0..60_usize {
        let key = object.row(&(number % 40).to_be_bytes()).unwrap();
        let payload = Payload::new(random.bytes(200)).unwrap();
        let write = engine.write(NOW, |tx| -> Result<(), WriteError> {
            if number % 9 == 8 { tx.remove(key) } else { tx.put(key, payload) }
        });
        write.unwrap();
        drive(&mut engine, &writer);
    }
    engine.check().unwrap();
    let store = engine.into_store();
    let contents = contents(&store).unwrap();
    store.close().unwrap();
    (disk.bytes(), contents)
}

/// Opens it, reads all of it, and runs the engine's check.
fn end(bytes: &[u8], options: &OpenOptions, whole: &MemoryStore) -> End {
    let disk = TestDisk::new(bytes.to_vec());
    let store = match RedbStore::open_with_backend(disk.clone(), options) {
        Ok((store, _)) => store,
        Err(error) => {
            assert!(!matches!(error, OpenError::Unready { .. }), "nothing fails but the bytes: {error}");
            assert_eq!(disk.bytes(), bytes, "a store that is refused is not touched");
            return End::Refused;
        }
    };
    let found = contents(&store);
    let identity = Box::new(Ed25519::from_seed([5; 32]));
    let opened = Engine::open(Config::new(SpaceId([1; 32])), identity, store, [9; 32]);
    let check = opened.map_err(|error| error.to_string()).and_then(|engine| engine.check());
    match (found, check) {
        (Err(_), _) => End::ReadingFailed,
        (Ok(found), Ok(())) if found == *whole => End::Equal,
        (Ok(_), Err(_)) => End::Noticed,
        (Ok(found), Ok(())) => {
            // What the engine's own hashes cover.
            for table in [Table::Rows, Table::Dots, Table::Replicas] {
                assert!(entries(&found, table) == entries(whole, table), "{table:?} is wrong and checks");
            }
            End::Silent
        }
    }
}

fn entries(store: &MemoryStore, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let scan = store.scan(table, &[], &mut |key, value| {
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    scan.unwrap();
    entries
}

fn flips(options: &OpenOptions) -> Vec<End> {
    let (bytes, whole) = written();
    assert_eq!(end(&bytes, options, &whole), End::Equal);
    let mut random = Random(amount("REJOIN_SEED", 32) as u64);
    let flip = |_| {
        let bit = random.below(bytes.len() * 8);
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        catch_unwind(|| end(&bytes, options, &whole)).unwrap_or_else(|_| panic!("bit {bit} makes it panic"))
    };
    (0..amount("REJOIN_BIT_FLIPS", 400)).map(flip).collect()
}

fn tally(ends: &[End]) -> String {
    let count = |wanted: &End| ends.iter().filter(|end| *end == wanted).count();
    let names = [End::Refused, End::ReadingFailed, End::Noticed, End::Silent, End::Equal];
    names.iter().map(|end| format!("{end:?} {}", count(end))).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_flipped_bit_is_never_read() {
    let ends = flips(&OpenOptions::default());
    println!("{} flips: {}", ends.len(), tally(&ends));
    assert!(ends.iter().all(|end| matches!(end, End::Refused | End::Equal)));
    assert!(ends.contains(&End::Refused));
}

/// Why the file is read whole at each opening as long as that is cheap.
#[test]
fn a_flipped_bit_is_read_when_checksums_are_not_compared() {
    let ends = flips(&OpenOptions { verify_bytes: 0, ..OpenOptions::default() });
    println!("{} flips without comparing: {}", ends.len(), tally(&ends));
    assert!(ends.iter().any(|end| matches!(end, End::Noticed | End::Silent | End::ReadingFailed)));
}

#[test]
fn a_file_that_was_cut_is_refused() {
    let (bytes, whole) = written();
    let mut lengths: Vec<usize> = (0..bytes.len()).step_by(4096).chain([1, 9, 63, 319, 320, 321]).collect();
    let mut random = Random(33);
    lengths.extend((0..100).map(|_| random.below(bytes.len())));
    for length in lengths.into_iter().filter(|length| *length > 0) {
        for options in [OpenOptions::default(), OpenOptions { verify_bytes: 0, ..OpenOptions::default() }] {
            assert_eq!(end(&bytes[..length], &options, &whole), End::Refused, "{length} bytes");
        }
    }
}

#[test]
fn the_format_that_the_engine_writes_is_known() {
    let (_, whole) = written();
    let format = whole.get(Table::Meta, b"format").unwrap();
    assert_eq!(format, Some(rejoin_core::codec::encode(&FORMAT)));
}
