//! A disk that is full, and one that cannot be written.
//!
//! Needs the right to mount; without it each test says so on standard error and ends.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Home, rows, wait_for};

const ERROR: i32 = 1;

/// A file system of a few MiB in memory.
pub(crate) struct Disk(TempDir);

impl Disk {
    /// None, after a word, where mounting is not allowed.
    pub(crate) fn mount(options: &str) -> Option<Self> {
        let disk = Self(tempfile::tempdir().expect("a folder"));
        match disk.run(&["-t", "tmpfs", "-o", options, "rejoin-test"]) {
            Ok(()) => Some(disk),
            Err(why) => {
                // Past the test harness, which keeps to itself what a passing test prints.
                let _ = writeln!(std::io::stderr(), "\nSKIPPED: no file system of a limited size: {why}");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        self.run(&["-o", &format!("remount,{options}")]).expect("it was mounted");
    }

    fn run(&self, arguments: &[&str]) -> Result<(), String> {
        let output = Command::new("mount").args(arguments).arg(self.path()).output();
        let output = output.map_err(|error| format!("mount: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process may be on its way out. Where mounting failed there is nothing to undo.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// Imports until the disk is full; how many rows were acknowledged, and what was said in the end.
fn fill(home: &Home) -> (usize, String) {
    for round in 0..200 {
        let (from, to) = (round * 200, (round + 1) * 200);
        let said = home.run_with(&["import", "board/m", "-"], rows(from..to, 400).as_bytes());
        if said.code != 0 {
            let words = said.refused(ERROR, "No space left");
            assert!(words.contains("of 200 rows 0 are saved, import again"), "{words}");
            return (from, words);
        }
    }
    panic!("the disk does not fill up");
}

fn assert_all_there(home: &Home, acknowledged: usize) {
    let map = home.json(&["export", "board/m"]);
    for n in 0..acknowledged {
        assert_eq!(map[format!("k{n:06}")], format!("{n:0>400}"), "{n} of {acknowledged} was acknowledged");
    }
}

#[test]
fn a_full_disk_loses_nothing_and_is_read_from() {
    let Some(disk) = Disk::mount("size=3m") else { return };
    let home = Home::empty().at(disk.path().join("data"));
    home.json(&["new", "board"]);
    home.json(&["counter", "add", "board/n", "7"]);
    let (acknowledged, said) = fill(&home);
    println!("3 MiB: {acknowledged} rows acknowledged, then: {said}");
    assert!(acknowledged > 0, "some fit");
    // Whatever is left is taken too: there may be no room even for the number of the process.
    let filler = disk.path().join("filler");
    let _ = std::fs::write(&filler, vec![1; 3 << 20]);
    assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 7);
    assert_all_there(&home, acknowledged);
    let said = home.run(&["--json", "verify"]);
    assert_eq!(said.json()[0]["sound"], true);
    home.refused(&["new", "other"], ERROR, "No space left");
    assert_eq!(home.json(&["spaces"]).as_array().map(Vec::len), Some(1), "no half-made space is left");

    std::fs::remove_file(&filler).expect("it is there");
    disk.remount("size=64m");
    assert_all_there(&home, acknowledged);
    home.run_with(&["import", "board/m", "-"], rows(acknowledged..acknowledged + 500, 400).as_bytes()).fine();
    assert_all_there(&home, acknowledged + 500);
    home.json(&["new", "other"]);
    home.json(&["verify"]);
}

#[test]
fn a_running_node_goes_on_reading_and_recovers_by_itself() {
    let Some(disk) = Disk::mount("size=3m") else { return };
    let home = Home::empty().at(disk.path().join("data"));
    home.json(&["new", "board"]);
    let ticket = home.json(&["ticket", "board"])["ticket"].as_str().expect("a ticket").to_owned();
    let serving = home.serve(&[]);
    let (acknowledged, said) = fill(&home);
    println!("3 MiB, through a running node: {acknowledged} rows acknowledged, then: {said}");
    assert_all_there(&home, acknowledged);
    // It still gives others what it has.
    let other = Home::empty();
    other.json(&["join", &ticket]);
    other.json(&["sync", "board", &serving.address]);
    assert_all_there(&other, acknowledged);

    disk.remount("size=64m");
    wait_for("it to write again", || home.run(&["counter", "add", "board/n"]).code == 0);
    home.run_with(&["import", "board/m", "-"], rows(acknowledged..acknowledged + 500, 400).as_bytes()).fine();
    let found: Value = home.json(&["verify"]);
    assert_eq!(found[0]["sound"], true);
    assert_all_there(&home, acknowledged + 500);
    serving.stop();
    assert_all_there(&home, acknowledged + 500);
}

#[test]
fn a_directory_that_cannot_be_written_is_told() {
    let Some(disk) = Disk::mount("size=8m") else { return };
    let home = Home::empty().at(disk.path().join("data"));
    home.json(&["new", "board"]);
    home.json(&["counter", "add", "board/n", "7"]);
    disk.remount("ro");
    for arguments in
        [&["counter", "add", "board/n"][..], &["new", "other"], &["status"], &["serve", "--no-mdns"]]
    {
        home.refused(arguments, ERROR, "Read-only file system");
    }
    let fresh = Home::empty().at(disk.path().join("other"));
    fresh.refused(&["init"], ERROR, "Read-only file system");
    disk.remount("rw");
    assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 7);
}
