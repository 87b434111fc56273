//! Backups whose every check is right and which are wrong all the same.

use std::fs;

use rejoin_core::engine::WriteError;
use rejoin_core::image::{Fact, ImageWriter};
use rejoin_core::row::{Kind, Object, Payload, WriteRows};
use rejoin_core::store::Table;
use rejoin_net::backup::{BackupError, load, verify};
use rejoin_net::store::{FreshStore, OpenOptions, RedbStore};

use crate::damage::{drive, engine};
use crate::disk::TestDisk;

/// Magic and version; kind and length.
const BEGIN: usize = 9;
const HEAD: usize = 5;
const CHECK: usize = 8;
/// Where the block of a space has the root: behind space id, format, and six bytes of milliseconds.
const ROOT: usize = 32 + 1 + 1;

fn image() -> Vec<u8> {
    let disk = TestDisk::new(Vec::new());
    let (store, writer) = RedbStore::open_with_backend(disk, &OpenOptions::default()).unwrap();
    let mut engine = engine(store);
    let object = Object::new(Kind::LWW_MAP, "tasks").unwrap();
    for number in 0..400_u32 {
        let key = object.row(&number.to_be_bytes()).unwrap();
        let payload = Payload::new(format!("value {number}").into_bytes()).unwrap();
        let written =
            engine.write(crate::damage::NOW, |tx| -> Result<(), WriteError> { tx.put(key, payload) });
        written.unwrap();
    }
    drive(&mut engine, &writer);
    let moment = engine.moment().unwrap();
    let (mut bytes, facts) = (Vec::new(), Vec::<Fact>::new());
    let mut sink = |part: &[u8]| {
        bytes.extend_from_slice(part);
        Ok(())
    };
    let mut image = ImageWriter::begin(&mut sink).unwrap();
    image.space(&moment, 1, 400, &facts, &mut sink, &mut |_| {}).unwrap();
    image.end(&mut sink).unwrap();
    bytes
}

/// Makes the check of the first block and the hash of all right again.
fn resealed(mut image: Vec<u8>) -> Vec<u8> {
    let block = |number: u64, kind: u8, bytes: &[u8]| {
        let domain = b"rejoin/1/image";
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[14]).update(domain).update(&number.to_le_bytes()).update(&[kind]).update(bytes);
        hasher.finalize().as_bytes()[..CHECK].to_vec()
    };
    let length = usize::from(image[BEGIN + 1]);
    let first = BEGIN + HEAD..BEGIN + HEAD + length;
    let check = block(0, image[BEGIN], &image[first.clone()]);
    image[first.end..first.end + CHECK].copy_from_slice(&check);
    let mut blocks = 0;
    let mut at = BEGIN;
    while image[at] != 7 {
        let length = u32::from_le_bytes(image[at + 1..at + HEAD].try_into().unwrap());
        at += HEAD + usize::try_from(length).unwrap() + CHECK;
        blocks += 1;
    }
    let whole = blake3::hash(&image[..at]);
    let end = [&[1], whole.as_bytes().as_slice()].concat();
    let check = block(blocks, 7, &end);
    image.truncate(at + HEAD);
    [image, end, check].concat()
}

#[test]
fn a_backup_that_names_another_root_makes_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("backup"), folder.path().join("store"));
    let sound = image();
    assert_eq!(resealed(sound.clone()), sound);
    let mut begin = |_: &_| {
        Ok(Some((FreshStore::begin(&store, &OpenOptions::default())?, vec![(b"name".to_vec(), None)])))
    };
    let mut other = sound.clone();
    other[BEGIN + HEAD + ROOT] ^= 1;
    fs::write(&file, resealed(other)).unwrap();
    verify(&file, &mut |_| {}).unwrap();
    let refused = load(&file, &mut begin, &mut |_| {});
    assert!(matches!(refused, Err(BackupError::OtherRoot { .. })), "{refused:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left of the store");

    fs::write(&file, sound).unwrap();
    let (made, saved) = load(&file, &mut begin, &mut |_| {}).unwrap().remove(0);
    assert!(!store.exists(), "nobody finds it before it is in its place");
    made.put_in_place().unwrap();
    let (store, _) = RedbStore::open(&store, &OpenOptions::default()).unwrap();
    assert_eq!((store.count(Table::Rows).unwrap(), saved.contents.rows), (400, 400));
    assert_eq!(engine(store).root().unwrap(), saved.about.root);
}
