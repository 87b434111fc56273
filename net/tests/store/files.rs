//! Files: what is no store is not touched, a copy is noticed, and one process works in a directory.

use std::fs;
use std::path::Path;

use redb::TableDefinition;
use rejoin_core::codec;
use rejoin_core::store::Table;
use rejoin_net::store::{DirLock, FORMAT, LockError, OpenError, OpenOptions, RedbStore, lineage};
use tempfile::TempDir;

use crate::script::{commits, contents, models};

const META: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");

fn open(path: &Path) -> Result<RedbStore, OpenError> {
    RedbStore::open(path, &OpenOptions::default()).map(|(store, _)| store)
}

/// A directory with a store in it, closed.
fn store(commits_in_it: usize) -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let (store, writer) = RedbStore::open(&path, &OpenOptions::default()).unwrap();
    commits(commits_in_it, 41).iter().for_each(|commit| drop(writer.commit(commit).unwrap()));
    store.close().unwrap();
    (directory, path)
}

/// The error of opening it, which leaves every byte as it is.
fn refused(path: &Path) -> OpenError {
    let before = fs::read(path).unwrap();
    let names = || fs::read_dir(path.parent().unwrap()).unwrap().count();
    let files = names();
    let error = open(path).expect_err("it is no store");
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!((fs::read(path).unwrap(), names()), (before, files));
    error
}

#[test]
fn a_store_is_made_and_found_again() {
    let (directory, path) = store(20);
    assert_eq!(contents(&open(&path).unwrap()).unwrap(), models(&commits(20, 41))[20]);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing but the store is left");
    assert!(open(&path).unwrap().file_bytes().unwrap() >= 72 * 1024);
    assert!(matches!(open(&directory.path().join("no/store")), Err(OpenError::NoAccess { .. })));
}

#[test]
fn a_creation_that_was_cut_off_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    fs::write(directory.path().join("store.new"), [0; 70_000]).unwrap();
    assert_eq!(open(&path).unwrap().count(Table::Rows).unwrap(), 0);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

#[test]
fn what_is_no_store_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    for text in ["", "x", "redb", "Dear diary,\n", &"words ".repeat(20_000)] {
        fs::write(&path, text).unwrap();
        assert!(matches!(refused(&path), OpenError::NotAStore { .. }));
    }
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::NotAFile { .. }), "{error}");
}

#[test]
fn the_database_of_another_program_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other");
    let database = redb::Database::create(&path).unwrap();
    drop(database);
    assert!(matches!(refused(&path), OpenError::NotAStore { .. }));
    for table in [TableDefinition::<&[u8], &[u8]>::new("meta"), TableDefinition::new("things")] {
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(table).unwrap().insert(b"a".as_slice(), b"b".as_slice()).unwrap();
        transaction.commit().unwrap();
        drop(database);
        assert!(matches!(refused(&path), OpenError::NotAStore { .. }));
    }
}

#[test]
fn a_newer_store_is_not_touched() {
    let (directory, path) = store(5);
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let format = codec::encode(&(FORMAT + 1));
    transaction.open_table(META).unwrap().insert(b"format".as_slice(), format.as_slice()).unwrap();
    transaction.commit().unwrap();
    // As a crash leaves it: redb would repair it when it opens it.
    let unclean = directory.path().join("unclean");
    fs::copy(&path, &unclean).unwrap();
    drop(database);
    for path in [path, unclean] {
        let error = refused(&path);
        assert!(
            matches!(error, OpenError::Newer { found, known: FORMAT, .. } if found == FORMAT + 1),
            "{error}"
        );
    }
}

#[test]
fn another_file_format_of_redb_is_not_touched() {
    let (_directory, path) = store(5);
    let bytes = fs::read(&path).unwrap();
    for (slot, found) in [(64, 2), (64, 4), (192, 1), (192, 77)] {
        let mut bytes = bytes.clone();
        bytes[slot] = found;
        fs::write(&path, bytes).unwrap();
        let error = refused(&path);
        assert!(matches!(error, OpenError::OtherFile { found: seen, .. } if seen == found), "{error}");
    }
}

#[test]
fn a_missing_table_is_damage() {
    let (_directory, path) = store(5);
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.delete_table(TableDefinition::<&[u8], &[u8]>::new("dots")).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refused(&path);
    assert!(matches!(error, OpenError::Damaged { .. }) && error.to_string().contains("dots"), "{error}");
}

#[test]
fn a_store_in_use_is_refused() {
    let (_directory, path) = store(5);
    let (store, writer) = RedbStore::open(&path, &OpenOptions::default()).unwrap();
    assert!(matches!(refused(&path), OpenError::InUse { .. }));
    assert!(redb::Database::open(&path).is_err(), "other programs are kept out too");
    store.close().unwrap();
    open(&path).unwrap();
    assert!(writer.set_host(b"late", None).is_err());
}

#[test]
fn a_copy_has_another_lineage() {
    let (directory, path) = store(1);
    let (copy, moved) = (directory.path().join("copy"), directory.path().join("moved"));
    fs::copy(&path, &copy).unwrap();
    let name = lineage(&path).unwrap();
    assert_ne!(lineage(&copy).unwrap(), name);
    open(&path).unwrap().close().unwrap();
    assert_eq!(lineage(&path).unwrap(), name);
    fs::rename(&path, &moved).unwrap();
    assert_eq!(lineage(&moved).unwrap(), name);
    assert!(lineage(&path).is_err());
}

#[test]
fn a_locked_directory_says_by_whom() {
    let directory = tempfile::tempdir().unwrap();
    let lock = DirLock::take(directory.path()).unwrap();
    let error = DirLock::take(directory.path()).unwrap_err();
    let pid = Some(std::process::id());
    assert_eq!(error, LockError::Locked { path: lock.path().to_owned(), pid });
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    let path = lock.path().to_owned();
    drop(lock);
    assert_eq!(fs::read(path).unwrap(), b"", "a number left behind would mislead");
    DirLock::take(directory.path()).unwrap();
    assert!(matches!(DirLock::take(&directory.path().join("no")), Err(LockError::Io { .. })));
}
