//! Bytes as a backup, whole or as damage to the blocks of one.
//!
//! The first byte chooses which. No damage gets past the checks of blocks, so those are made right again: what lies behind
//! them has to hold against whoever can compute a hash.

use std::sync::OnceLock;

use rejoin::core::engine::{Config, Engine, Now, Output};
use rejoin::core::image::{ImageReader, ImageWriter, Part, completed};
use rejoin::core::store::{Change, Commit, MemoryStore};

use crate::draw::Draw;
use crate::host::{Host, config, shown};
use crate::identity::Device;

const DEVICE: Device = Device { number: 1, credulous: false };
/// Magic and version.
const BEGIN: usize = 9;
const CHECK: usize = 8;
const END: u8 = 7;

/// Reads a backup. It is refused, or a store is made of it: one that names the root of the backup is sound.
pub fn images(data: &[u8]) {
    let mut draw = Draw::new(data);
    if draw.byte().is_multiple_of(2) {
        read(data.get(1..).unwrap_or_default());
        return;
    }
    let mut blocks = blocks(sound());
    while !draw.is_empty() {
        let (at, other) = (draw.below(blocks.len()), draw.below(blocks.len()));
        let bytes = &mut blocks[at].1;
        match draw.byte() % 8 {
            0 => bytes.truncate(draw.below(bytes.len() + 1)),
            1 => bytes.extend_from_slice(draw.bytes()),
            2 => blocks[at].0 = draw.byte() % 8,
            3 => blocks.swap(at, other),
            4 => {
                let twice = blocks[at].clone();
                blocks.insert(other, twice);
            }
            _ => {
                let place = draw.below(bytes.len());
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= draw.byte();
                }
            }
        }
    }
    read(&framed(blocks));
}

/// The backup of a store that holds something of everything.
fn sound() -> &'static [u8] {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    SOUND.get_or_init(|| {
        let mut host =
            Host::open(DEVICE, 0, config(0), crate::stores::image().clone()).expect("its own store");
        let moment = host.engine.moment().expect("memory reads");
        let mut bytes = Vec::new();
        let mut sink = |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok(())
        };
        let mut writer = ImageWriter::begin(&mut sink).expect("memory");
        let facts = [("name".to_owned(), b"board".to_vec())];
        writer.space(&moment, 1, 2, &facts, &mut sink, &mut |_| {}).expect("a sound store");
        writer.end(&mut sink).expect("memory");
        bytes
    })
}

/// Kinds and bytes of the blocks of a sound backup, without its end.
fn blocks(mut image: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut blocks = Vec::new();
    image = &image[BEGIN..];
    while let [kind, a, b, c, d, rest @ ..] = image {
        let length = u32::from_le_bytes([*a, *b, *c, *d]);
        let (bytes, rest) = rest.split_at(usize::try_from(length).expect("small"));
        if *kind != END {
            blocks.push((*kind, bytes.to_vec()));
        }
        image = &rest[CHECK..];
    }
    blocks
}

/// A backup of these blocks, with every check right.
fn framed(blocks: Vec<(u8, Vec<u8>)>) -> Vec<u8> {
    let mut image = sound()[..BEGIN].to_vec();
    let ended = blocks.len() as u64;
    for (number, (kind, bytes)) in (0..).zip(blocks) {
        frame(number, kind, &bytes, &mut image);
    }
    let end = [&[1], blake3::hash(&image).as_bytes().as_slice()].concat();
    frame(ended, END, &end, &mut image);
    image
}

fn frame(number: u64, kind: u8, bytes: &[u8], image: &mut Vec<u8>) {
    let domain = b"rejoin/1/image";
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[u8::try_from(domain.len()).expect("short")]).update(domain);
    hasher.update(&number.to_le_bytes()).update(&[kind]).update(bytes);
    image.push(kind);
    image.extend_from_slice(&u32::try_from(bytes.len()).expect("small").to_le_bytes());
    image.extend_from_slice(bytes);
    image.extend_from_slice(&hasher.finalize().as_bytes()[..CHECK]);
}

/// Reads an image to its end; whether a sound store came of it.
pub(crate) fn read(image: &[u8]) -> bool {
    let mut rest = image;
    let mut source = |buffer: &mut [u8]| {
        let (given, left) = rest.split_at(buffer.len().min(rest.len()));
        buffer[..given.len()].copy_from_slice(given);
        rest = left;
        Ok(given.len())
    };
    let Ok(mut reader) = ImageReader::begin(&mut source, &DEVICE) else { return false };
    let (mut store, mut about) = (MemoryStore::new(), None);
    let apply = |store: &mut MemoryStore, changes: Vec<Change>| {
        store.apply(&Commit::new(0, changes)).expect("listed changes");
    };
    let mut contents = None;
    loop {
        match reader.next_part() {
            Ok(Some(Part::Space(begun))) => {
                (store, about) = (MemoryStore::new(), Some(begun));
            }
            Ok(Some(Part::Changes(changes))) => apply(&mut store, changes),
            Ok(Some(Part::Close(found, changes))) => {
                apply(&mut store, changes);
                contents = Some(found);
            }
            Ok(Some(Part::End { .. })) => {}
            Ok(None) => break,
            Err(_) => return false,
        }
    }
    let (Some(about), Some(contents)) = (about, contents) else { return false };
    let Ok((root, dots, changes)) = completed(&store) else { return false };
    if (root, dots) != (about.root, contents.entries) {
        return false;
    }
    apply(&mut store, changes);
    let mut engine = Engine::open(Config::new(about.space), Box::new(DEVICE), store, [9; 32])
        .expect("what was read whole opens");
    engine.check().expect("what names its root is sound");
    assert!(shown(&engine).is_ok());
    let now = Now { mono_ms: 0, wall_ms: 1_800_000_000_000 };
    let written = engine.write(now, |tx| {
        rejoin::core::row::WriteRows::put(tx, crate::host::row(9), crate::host::payload("again"))
    });
    written.map(|((), _)| ()).expect("room");
    while let Some(output) = engine.poll_output() {
        if let Output::Persist(commit) = output {
            let result = engine.store_mut().apply(&commit);
            let input = rejoin::core::engine::Input::Persisted { commit: commit.id, result };
            engine.handle(now, input);
        }
    }
    true
}

/// A sound backup, and one of each kind of damage.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![[&[0], sound()].concat(), vec![1]];
    for kind in 0..8 {
        for block in 0..5 {
            seeds.push(vec![1, block, 0, 0, 1, 0, 0, kind, 20, 0, 0, 8]);
        }
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_backup_is_taken_and_framed_as_it_is_written() {
        assert!(read(sound()));
        assert_eq!(framed(blocks(sound())), sound());
    }
}
