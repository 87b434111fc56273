//! Disks that fail and disks that are full: S5 and S6 of the catalogue of faults.

use rejoin_core::store::{Commit, MemoryStore, StoreError};
use rejoin_net::store::{OpenOptions, RedbStore, Writer};

use crate::conformance::open;
use crate::disk::{Fault, TestDisk};
use crate::script::{commits, contents, models};

/// A store on a disk that fails from some moment on, and what the host knows about it.
struct Run {
    disk: TestDisk,
    store: RedbStore,
    writer: Writer,
    /// All that was reported as durable.
    durable: MemoryStore,
    /// What the store has to show.
    shown: MemoryStore,
    refused: Vec<(Commit, StoreError)>,
}

impl Run {
    fn new(image: &[u8], fault: Fault) -> Self {
        let disk = TestDisk::new(image.to_vec());
        // Without a cache every page is read from the disk each time, and written as soon as it is full.
        let options = OpenOptions { cache_bytes: 0, ..OpenOptions::default() };
        let (store, writer) = RedbStore::open_with_backend(disk.clone(), &options).unwrap();
        disk.fail(fault);
        let (durable, shown) = Default::default();
        Self { disk, store, writer, durable, shown, refused: Vec::new() }
    }

    fn commit(&mut self, commit: &Commit) {
        let reads_fail = matches!(self.disk.state().fault, Fault::Read(_));
        match self.writer.commit(commit) {
            Ok(_) => {
                self.durable.apply(commit).unwrap();
                match self.store.show() {
                    Ok(()) => self.shown = self.durable.clone(),
                    Err(error) => assert!(reads_fail, "commit {} cannot be shown: {error}", commit.id),
                }
            }
            Err(error) => self.refused.push((commit.clone(), error)),
        }
        match contents(&self.store) {
            Ok(contents) => assert!(contents == self.shown, "wrong contents after commit {}", commit.id),
            Err(error) => assert!(reads_fail, "reads must go on: {error}"),
        }
    }

    /// Ends it and reads the disk anew.
    fn reopened(self) -> MemoryStore {
        self.disk.fail(Fault::None);
        drop((self.store, self.writer));
        contents(&open(&self.disk).0).unwrap()
    }
}

/// An empty store, a script for it, and how much the script does: readings, changes, blocks before and after.
fn prepared(seed: u64, count: usize) -> (Vec<u8>, Vec<Commit>, [usize; 4]) {
    let disk = TestDisk::new(Vec::new());
    open(&disk).0.close().unwrap();
    let (image, script) = (disk.bytes(), commits(count, seed));
    let mut run = Run::new(&image, Fault::None);
    let before = run.disk.state().used.len();
    script.iter().for_each(|commit| run.commit(commit));
    assert!(run.refused.is_empty());
    let state = run.disk.state();
    let amounts = [state.reads, state.changes, before, state.used.len()];
    drop(state);
    (image, script, amounts)
}

#[test]
fn one_failed_change_loses_nothing_and_heals_by_itself() {
    let (image, script, [_, changes, ..]) = prepared(11, 9);
    let mut refused = 0;
    for n in 1..=changes {
        let mut run = Run::new(&image, Fault::Change(n));
        script.iter().for_each(|commit| run.commit(commit));
        assert!(run.refused.len() <= 1, "change {n} failed and {} commits with it", run.refused.len());
        refused += run.refused.len();
        let durable = run.durable.clone();
        assert!(run.reopened() == durable, "change {n}");
    }
    println!(
        "each of {changes} changes failed once: {refused} commits refused, the others were there after all"
    );
    assert!(refused > 0 && refused < changes);
}

#[test]
fn one_failed_reading_loses_nothing_and_heals_by_itself() {
    let (image, script, [reads, ..]) = prepared(12, 9);
    let mut refused = 0;
    for n in 1..=reads {
        let mut run = Run::new(&image, Fault::Read(n));
        script.iter().for_each(|commit| run.commit(commit));
        assert!(run.refused.len() <= 1, "reading {n} failed and {} commits with it", run.refused.len());
        refused += run.refused.len();
        let durable = run.durable.clone();
        assert!(run.reopened() == durable, "reading {n}");
    }
    println!("each of {reads} readings failed once: {refused} commits refused");
}

#[test]
fn a_disk_that_takes_no_more_changes_is_still_read() {
    let (image, script, [_, changes, ..]) = prepared(13, 9);
    let (mut healed, mut there) = (0, 0);
    for n in 1..=changes {
        let mut run = Run::new(&image, Fault::ChangesFrom(n));
        script.iter().for_each(|commit| run.commit(commit));
        let (first, _) = run.refused.first().cloned().expect("the last changes are those of the last commit");
        // The disk comes back. Then the next commit goes through, unless the one that failed first was there after all,
        // which could not be seen while the disk was away.
        run.disk.fail(Fault::None);
        let before = run.refused.len();
        run.commit(&script[0]);
        let mut expected = run.durable.clone();
        if run.refused.len() > before {
            expected.apply(&first).unwrap();
            there += 1;
        } else {
            healed += 1;
        }
        assert!(run.reopened() == expected, "change {n}");
    }
    println!("no changes from each of {changes} on: {healed} healed, {there} had to be opened again");
    assert!(healed > 10 * there);
}

#[test]
fn a_full_disk_refuses_commits_until_there_is_room() {
    let (image, script, [_, _, before, after]) = prepared(14, 20);
    let mut refused = 0;
    for blocks in before..after {
        let mut run = Run::new(&image, Fault::Full(blocks));
        script.iter().for_each(|commit| run.commit(commit));
        assert!(!run.refused.is_empty(), "{blocks} blocks do not hold it all");
        for (commit, error) in &run.refused {
            assert!(matches!(error, StoreError::Full(_)), "commit {}: {error}", commit.id);
        }
        refused += run.refused.len();
        run.refused.clear();
        run.disk.fail(Fault::None);
        script.iter().for_each(|commit| run.commit(commit));
        assert!(run.refused.is_empty(), "there is room again");
        let durable = run.durable.clone();
        assert!(run.reopened() == durable, "{blocks} blocks");
    }
    println!("full at each of {} sizes: {refused} commits refused", after - before);
}

#[test]
fn a_commit_whose_last_sync_failed_is_there_and_waits_to_be_shown() {
    let (image, script, _) = prepared(15, 2);
    let mut there = 0;
    for n in 1.. {
        let mut run = Run::new(&image, Fault::Change(n));
        let result = run.writer.commit(&script[0]);
        if run.disk.state().changes < n {
            break;
        }
        if result.is_err() {
            continue;
        }
        there += 1;
        assert!(contents(&run.store).unwrap() == MemoryStore::new(), "it is not shown yet");
        assert!(
            run.writer.set_host(b"name", Some(b"x")).is_err(),
            "pages that are read must not be overwritten"
        );
        run.store.show().unwrap();
        run.durable.apply(&script[0]).unwrap();
        assert!(contents(&run.store).unwrap() == run.durable);
        run.writer.set_host(b"name", Some(b"x")).unwrap();
        assert!(run.reopened() == models(&script)[1]);
    }
    assert!(there > 0);
}
