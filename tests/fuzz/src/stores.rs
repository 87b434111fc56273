//! Bytes as damage: to the entries of a store in memory, and to the file of one on disk.
//!
//! The first byte chooses which; the rest is a list of damages.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::OnceLock;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use rejoin::core::engine::{Config, Engine, Input, Now, Output, Role, SessionId};
use rejoin::core::feed::Retention;
use rejoin::core::store::{Commit, MemoryStore, Store, Table};
use rejoin::net::store::{OpenOptions, RedbStore};

use crate::draw::Draw;
use crate::host::{Host, config, payload, row, shown};
use crate::identity::Device;

const DEVICE: Device = Device { number: 1, credulous: false };

/// Opens a damaged store. It is refused, or it is used: whatever comes of that is an error and no panic.
pub fn stores(data: &[u8]) {
    let mut draw = Draw::new(data);
    match draw.byte() % 8 {
        0 | 4 => file(&mut draw, &OpenOptions::default()),
        1 | 5 => file(&mut draw, &OpenOptions { verify_bytes: 0, ..OpenOptions::default() }),
        7 => entries(&mut draw, with_feed()),
        _ => entries(&mut draw, image()),
    }
}

/// A store that holds something in every table but that of forks: rows, a log, and the stage of a bulk that was cut off.
pub(crate) fn image() -> &'static MemoryStore {
    static IMAGE: OnceLock<MemoryStore> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let small = Config { chunk_bytes: 1, window_bytes: 1, ..config(1 << 20) };
        let open = |number, config| {
            let device = Device { number, credulous: false };
            Host::open(device, 0, config, MemoryStore::new()).expect("an empty store")
        };
        let (mut host, mut peer) = (open(1, small), open(2, Config { log_bytes: 0, ..small }));
        for number in 0..6 {
            host.put(number, "of this store").expect("a small transaction");
            peer.put(number + 6, "of the peer").expect("a small transaction");
        }
        host.remove(1).expect("a small transaction");
        let session = SessionId(1);
        peer.input(Input::Connected { session, role: Role::Responder });
        host.input(Input::Connected { session, role: Role::Initiator });
        // Cut off as soon as a part of the bulk is staged.
        let mut wire = VecDeque::new();
        while host.engine.staged().expect("it reads").len() < 3 {
            wire.extend(std::mem::take(&mut host.sent).into_iter().map(|(_, frame)| (true, frame)));
            wire.extend(std::mem::take(&mut peer.sent).into_iter().map(|(_, frame)| (false, frame)));
            let (to_peer, frame) = wire.pop_front().expect("the bulk is still under way");
            let to = if to_peer { &mut peer } else { &mut host };
            to.input(Input::Received { session, frame });
        }
        host.crash(true).engine.into_store()
    })
}

/// The same with a change feed that holds a few changes.
fn with_feed() -> &'static MemoryStore {
    static IMAGE: OnceLock<MemoryStore> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut host = Host::open(DEVICE, 1, config(1 << 20), image().clone()).expect("its own store");
        host.engine.keep_feed(Some(Retention { bytes: 1 << 20, millis: u64::MAX }));
        for number in [1, 2, 1, 3] {
            host.put(number, "noted").expect("a small transaction");
        }
        assert!(host.engine.feed_end().is_some_and(|end| end.position() >= 4), "changes are noted");
        host.crash(true).engine.into_store()
    })
}

/// All entries of a store.
fn listed(store: &MemoryStore) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    for table in Table::ALL {
        let scan = store.scan(table, &[], &mut |key, value| {
            all.push((table, key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        scan.expect("memory reads");
    }
    all
}

/// Damages entries of the store in memory.
fn entries(draw: &mut Draw<'_>, image: &MemoryStore) {
    let mut store = image.clone();
    let mut of_itself = false;
    while !draw.is_empty() {
        let all = listed(&store);
        let (table, key, mut value) = match draw.byte() % 8 {
            0 => (draw.pick(Table::ALL), draw.bytes().to_vec(), Vec::new()),
            _ if all.is_empty() => return,
            _ => all[usize::from(draw.byte()) % all.len()].clone(),
        };
        let change = match draw.byte() % 8 {
            0 => None,
            1 => Some(draw.bytes().to_vec()),
            2 => {
                value.truncate(draw.below(value.len() + 1));
                Some(value)
            }
            3 => {
                value.extend_from_slice(draw.bytes());
                Some(value)
            }
            _ => {
                let at = draw.below(value.len());
                if let Some(byte) = value.get_mut(at) {
                    *byte ^= draw.byte();
                }
                Some(value)
            }
        };
        of_itself |= table == Table::Meta;
        store.apply(&Commit::new(0, vec![(table, key, change)])).expect("listed changes");
    }
    if let Ok(host) = Host::open(DEVICE, 9, config(1 << 20), store) {
        used(host, of_itself);
    }
}

/// Uses a store that opened: reads all of it, writes, and meets a peer. A host that found it unsound would not, but one
/// that did not look must not be brought down. What a store says of itself (its own id among it) no hash covers: where that
/// is damaged, what it writes from then on may not be vouched for, and no more than that.
fn used(mut host: Host, of_itself: bool) {
    let sound = host.engine.check().is_ok();
    let read = shown(&host.engine).is_ok();
    assert!(read || !sound, "it cannot be read, and checks");
    let place = host.engine.feed_end();
    let wrote = host.put(9, "after the damage").is_ok();
    for place in place.into_iter().chain(host.engine.feed_end()) {
        host.engine.read_feed(&place, &mut |_| ControlFlow::Continue(())).expect("memory reads");
    }
    let device = Device { number: 3, credulous: false };
    let mut peer = Host::open(device, 0, config(0), MemoryStore::new()).expect("an empty store");
    peer.put(1, "of another peer").expect("a small transaction");
    crate::frames::carry(&mut host, &mut peer, SessionId(1), &mut |_, _| {});
    peer.engine.check().unwrap_or_else(|wrong| panic!("damage spreads: {wrong}"));
    if sound && wrote && !of_itself {
        host.engine.check().unwrap_or_else(|wrong| panic!("a sound store became unsound: {wrong}"));
    }
}

/// The bytes of the same store in a file.
fn file_image() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let backend = Shared::default();
        let (store, writer) =
            RedbStore::open_with_backend(backend.clone(), &OpenOptions::default()).expect("an empty disk");
        let changes = listed(image()).into_iter().map(|(table, key, value)| (table, key, Some(value)));
        writer.commit(&Commit::new(0, changes.collect())).expect("room");
        store.close().expect("it closes");
        backend.bytes()
    })
}

/// Damages bytes of the file.
fn file(draw: &mut Draw<'_>, options: &OpenOptions) {
    let mut bytes = file_image().to_vec();
    while !draw.is_empty() {
        match draw.byte() % 8 {
            0 => bytes.truncate(draw.below(bytes.len() + 1)),
            1 => bytes.resize(bytes.len() + draw.below(8192), draw.byte()),
            2 => {
                let (from, to) = (draw.below(bytes.len()), draw.below(bytes.len()));
                let length = draw.below(4096).min(bytes.len() - from.max(to));
                bytes.copy_within(from..from + length, to);
            }
            what => {
                // The header decides most.
                let at = draw.below(if what < 5 { 320 } else { bytes.len() });
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= draw.byte();
                }
            }
        }
    }
    let Ok((store, writer)) = RedbStore::open_with_backend(Shared::new(&bytes), options) else { return };
    let Ok(mut engine) = Engine::open(config(1 << 20), Box::new(DEVICE), store, [9; 32]) else { return };
    let sound = engine.check().is_ok();
    assert!(shown(&engine).is_ok() || !sound, "it cannot be read, and checks");
    let now = Now { mono_ms: 0, wall_ms: 1_800_000_000_000 };
    // Whether it still takes a write is for the disk to say.
    let _ =
        engine.write(now, |tx| rejoin::core::row::WriteRows::put(tx, row(9), payload("after the damage")));
    while let Some(output) = engine.poll_output() {
        if let Output::Persist(commit) = output {
            let result = writer.commit(&commit).and_then(|merged| engine.store_mut().show().map(|()| merged));
            engine.handle(now, Input::Persisted { commit: commit.id, result });
        }
    }
}

/// A disk whose bytes can be had back.
#[derive(Clone, Debug, Default)]
struct Shared(std::sync::Arc<InMemoryBackend>);

impl Shared {
    fn new(bytes: &[u8]) -> Self {
        let disk = Self::default();
        disk.0.set_len(bytes.len() as u64).expect("memory");
        disk.0.write(0, bytes).expect("memory");
        disk
    }

    fn bytes(&self) -> Vec<u8> {
        let length = usize::try_from(self.0.len().expect("memory")).expect("it is in memory");
        let mut bytes = vec![0; length];
        self.0.read(0, &mut bytes).expect("memory");
        bytes
    }
}

impl StorageBackend for Shared {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        // The backend in memory panics there; a disk has an error.
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| self.0.len().is_ok_and(|len| end > len)) {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }
}
