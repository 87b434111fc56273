//! Backups of a node that goes on, and what damage to them does.
//!
//! How many places of a backup are damaged: `REJOIN_BACKUP_FLIPS`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rejoin::core::id::Root;
use rejoin::{Grant, Node, Restore, Space, verify_backup};
use tempfile::TempDir;

/// Who writes while backups are made.
const WRITERS: u64 = 4;

async fn offline(path: &Path) -> Node {
    Node::builder(path).offline(true).open().await.expect("opens")
}

async fn listening(path: &Path) -> Node {
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    Node::builder(path).mdns(false).listen([listen]).open().await.expect("opens")
}

/// Restores a backup into a new directory.
async fn restored(backup: &Path, path: &Path) -> (Node, Space, Root) {
    let node = listening(path).await;
    let mut restored = node.restore(backup, Restore::default(), |_| {}).await.expect("a sound backup");
    let (space, saved) = restored.remove(0);
    (node, space, saved.about.root)
}

/// Writes whole transactions: a row of its own in each, the number of it beside, and one more in a counter.
async fn write(space: Space, writer: u64, stop: Arc<AtomicBool>) -> u64 {
    let (map, last) = (space.map::<String, u64>("rows"), space.map::<u64, u64>("last"));
    let count = space.counter("count");
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let commit = space.batch(|batch| {
            batch.put(&map, format!("{writer}-{number}"), number);
            batch.put(&last, writer, number);
            batch.add(&count, 1);
            if number > 20 {
                batch.delete(&map, &format!("{writer}-{}", number - 20));
            }
            Ok(())
        });
        // Some wait for the disk, and some gather behind one that does.
        if number % 7 == 0 { commit.await.expect("on disk") } else { drop(commit.detach()) }
    }
    number
}

/// What a backup shows is a state that existed: of each writer the transactions up to one, each of them whole.
fn assert_existed(space: &Space) -> u64 {
    let map = space.map::<String, u64>("rows");
    let (mut total, mut rows) = (0, 0);
    for writer in 0..WRITERS {
        let last = space.map::<u64, u64>("last").get(&writer).expect("read").unwrap_or(0);
        total += last;
        for number in last.saturating_sub(19).max(1)..=last {
            assert_eq!(map.get(&format!("{writer}-{number}")).expect("read"), Some(number), "of {writer}");
            rows += 1;
        }
    }
    assert_eq!(map.entries().expect("read").len(), rows, "nothing more is there");
    assert_eq!(space.counter("count").get().expect("read"), i64::try_from(total).expect("small"));
    total
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_node_that_writes_is_a_state_that_existed() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = listening(&folder.path().join("node")).await;
    let space = node.create("board").await.expect("created");
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write(space.clone(), writer, stop.clone()))).collect();
    let mut backups = Vec::new();
    for number in 0..6 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        let backup = folder.path().join(format!("backup-{number}"));
        let saved = space.backup(&backup).await.expect("room");
        backups.push((backup, saved.about.root));
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.expect("it ends");
    }
    assert_eq!(assert_existed(&space), written);
    space.verify().await.expect("sound");

    let mut before = 0;
    for (number, (backup, root)) in backups.iter().enumerate() {
        let copy = offline(&folder.path().join(format!("copy-{number}"))).await;
        let mut found = copy.restore(backup, Restore::default(), |_| {}).await.expect("a sound backup");
        let (space, saved) = found.remove(0);
        // The root was named by the engine for that moment; restoring recomputes it from the rows.
        assert_eq!((saved.about.root, space.root().expect("read")), (*root, *root));
        let total = assert_existed(&space);
        assert!((before..=written).contains(&total), "later backups show more");
        before = total;
        space.verify().await.expect("sound");
        copy.close().await.expect("closed");
    }
    // What comes back from the first meets the original that went on.
    let (late, copy, _) = restored(&backups[0].0, &folder.path().join("late")).await;
    copy.map::<String, u64>("rows").put("of the copy".into(), 1).await.expect("on disk");
    late.sync(&copy, &node.addresses()[0]).await.expect("in sync");
    assert_eq!(copy.root().expect("read"), space.root().expect("read"));
    assert_eq!(space.map::<String, u64>("rows").get("of the copy").expect("read"), Some(1));
    assert_eq!(space.counter("count").get().expect("read"), i64::try_from(written).expect("small"));
    late.close().await.expect("closed");
    node.close().await.expect("closed");
}

/// A backup with rows of two devices, conflicts, removals and every kind of object.
async fn small_backup(folder: &TempDir) -> PathBuf {
    let (ada, bo) = (listening(&folder.path().join("ada")).await, listening(&folder.path().join("bo")).await);
    let board = ada.create("board").await.expect("created");
    let copy = bo.join(&board.ticket(Grant::Write).await.expect("a ticket")).await.expect("joined");
    for space in [&board, &copy] {
        let tasks = space.map::<u64, String>("tasks");
        for number in 0..60 {
            drop(tasks.put(number, format!("{number:>20}")).detach());
        }
        tasks.remove(&3).await.expect("on disk");
        space.counter("likes").add(2).await.expect("on disk");
    }
    bo.sync(&copy, &ada.addresses()[0]).await.expect("in sync");
    let backup = folder.path().join("backup");
    board.backup(&backup).await.expect("room");
    ada.close().await.expect("closed");
    bo.close().await.expect("closed");
    backup
}

#[tokio::test(flavor = "multi_thread")]
async fn no_damage_to_a_backup_is_silent_and_none_is_restored() {
    let damages =
        std::env::var("REJOIN_BACKUP_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(2000);
    let folder = tempfile::tempdir().expect("a folder");
    let backup = small_backup(&folder).await;
    let sound = fs::read(&backup).expect("read");
    let node = offline(&folder.path().join("node")).await;
    let spaces = folder.path().join("node/spaces");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).expect("31 bits") % bound
    };
    for round in 0..damages {
        let mut bytes = sound.clone();
        match round % 8 {
            0 => bytes.truncate(below(sound.len())),
            1 => bytes.extend_from_slice(&sound[..1 + below(40)]),
            _ => bytes[below(sound.len())] ^= 1 << below(8),
        }
        fs::write(&backup, &bytes).expect("written");
        assert!(verify_backup(&backup, |_| {}).await.is_err(), "damage {round} went unnoticed");
        assert!(node.restore(&backup, Restore::default(), |_| {}).await.is_err());
        assert_eq!(fs::read_dir(&spaces).expect("read").count(), 0, "damage {round}: something was made");
    }
    assert!(node.spaces().is_empty());
    println!("{damages} damaged backups of {} bytes: 0 silent, nothing made", sound.len());
    fs::write(&backup, &sound).expect("written");
    node.restore(&backup, Restore::default(), |_| {}).await.expect("as it was");
    node.close().await.expect("closed");
}
