//! Files that were cut off, flipped, or written by a later version: right data or a plain word, never wrong data, and
//! never at the expense of another space.
//!
//! How many places are flipped: `REJOIN_FLIPS`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rejoin::core::codec;
use rejoin::core::store::{Commit, Table};
use rejoin::net::store::{FORMAT, OpenOptions, RedbStore};
use serde_json::{Value, json};

use crate::support::{Home, Random, rows, said};

const ERROR: i32 = 1;
const DAMAGED: i32 = 4;

/// A data directory with a space that will be damaged and one that will not.
struct Pair {
    home: Home,
    victim: PathBuf,
    id: String,
    sound: Vec<u8>,
    export: Value,
}

impl Pair {
    fn new() -> Self {
        let home = Home::with_space("board");
        let id = home.json(&["spaces"])[0]["id"].as_str().expect("an id").to_owned();
        let victim = home.file();
        home.run_with(&["import", "board/m", "-"], rows(0..300, 60).as_bytes()).fine();
        home.json(&["set", "add", "board/s", "red"]);
        home.json(&["map", "rm", "board/m", "k000007"]);
        home.json(&["new", "other"]);
        home.json(&["counter", "add", "other/n", "7"]);
        let export = home.json(&["export", "board"]);
        let sound = fs::read(&victim).expect("read");
        Self { home, victim, id, sound, export }
    }

    /// Puts bytes in place of the file, in the same place on the disk. Says what came of it.
    fn with(&self, bytes: &[u8], what: &str) -> Outcome {
        fs::write(&self.victim, bytes).expect("written");
        let verified = self.home.run(&["--json", "verify"]);
        let found: Value =
            serde_json::from_str(&verified.out).unwrap_or_else(|_| panic!("{what}: {verified:?}"));
        let other = found.as_array().and_then(|all| all.iter().find(|space| space["name"] == "other"));
        assert_eq!(other.expect("the other is there")["sound"], true, "{what}");
        let board = found.as_array().and_then(|all| all.iter().find(|space| space["id"] == self.id.as_str()));
        let board = board.unwrap_or_else(|| panic!("{what}: the damaged one is not named: {found}"));
        let exported = self.home.run(&["--json", "export", "board"]);
        if exported.code == 0 {
            let export: Value = serde_json::from_str(&exported.out).expect("JSON");
            assert_eq!(export, self.export, "{what}: wrong data was served");
        } else {
            assert_eq!(exported.out, "", "{what}");
            assert!(exported.err.lines().count() == 1, "{what}: {exported:?}");
        }
        if board["sound"] == true {
            assert_eq!((verified.code, exported.code), (0, 0), "{what}: sound, and then not: {exported:?}");
            return Outcome::Right;
        }
        assert!(board["error"].as_str().is_some_and(|words| !words.is_empty()), "{what}: {board}");
        match (verified.code, exported.code) {
            (DAMAGED, 0) => Outcome::FoundByVerify,
            (DAMAGED, DAMAGED) => Outcome::Damaged,
            // No longer recognised as a store, or as one of this version.
            (ERROR, ERROR) => Outcome::Refused,
            _ => panic!("{what}: {verified:?} {exported:?}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Right,
    FoundByVerify,
    Damaged,
    Refused,
}

/// How often each outcome was seen.
#[derive(Default)]
struct Tally([AtomicUsize; 4]);

impl Tally {
    fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, outcome: Outcome) -> usize {
        self.0[outcome as usize].load(Ordering::Relaxed)
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: {} served right, {} found by verify alone, {} said damaged, {} refused; wrong data: 0",
            self.of(Outcome::Right),
            self.of(Outcome::FoundByVerify),
            self.of(Outcome::Damaged),
            self.of(Outcome::Refused),
        );
    }
}

#[test]
fn a_store_that_was_cut_off_is_said_to_be() {
    let (pair, tally) = (Pair::new(), Tally::default());
    let whole = pair.sound.len();
    let mut lengths = vec![0, 1, 8, 9, 10, 63, 64, 200, 319, 320, 321, 4095, 4096, 4097, whole - 1];
    lengths.extend((1..16).map(|part| whole * part / 16));
    for length in lengths {
        let outcome = pair.with(&pair.sound[..length], &format!("cut to {length} of {whole} bytes"));
        assert_ne!(outcome, Outcome::Right, "cut to {length} of {whole} bytes");
        tally.count(outcome);
    }
    tally.print("cut off");
    let longer = [&pair.sound[..], &[0xa5; 5000]].concat();
    pair.with(&longer, "with something behind it");
    assert_eq!(pair.with(&pair.sound, "as it was"), Outcome::Right);
    assert_eq!(pair.home.json(&["counter", "get", "other/n"])["value"], 7);
}

#[test]
fn a_flipped_store_serves_right_data_or_says_that_it_is_damaged() {
    let flips = std::env::var("REJOIN_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(200_usize);
    let tally = Tally::default();
    thread::scope(|scope| {
        for seed in [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03] {
            let tally = &tally;
            scope.spawn(move || {
                let (pair, mut random) = (Pair::new(), Random(seed));
                for round in 0..flips / 2 {
                    let mut bytes = pair.sound.clone();
                    // Some in the header, which is small and matters most.
                    let within = if round % 5 == 0 { 320 } else { bytes.len() };
                    let (at, bit) = (random.below(within), random.below(8));
                    bytes[at] ^= 1 << bit;
                    tally.count(pair.with(&bytes, &format!("bit {bit} of byte {at} flipped")));
                }
                assert_eq!(pair.with(&pair.sound, "as it was"), Outcome::Right);
            });
        }
    });
    tally.print("bits flipped");
    assert!(tally.of(Outcome::Damaged) > 0, "some were noticed");
}

#[test]
fn a_damaged_space_is_named_by_whatever_is_asked_of_it() {
    let pair = Pair::new();
    let mut bytes = pair.sound.clone();
    let middle = bytes.len() / 2;
    bytes[4096..middle].fill(0x5a);
    assert_eq!(pair.with(&bytes, "pages overwritten"), Outcome::Damaged);
    for name in ["board", &pair.id, &pair.id[..8]] {
        pair.home.refused(&["map", "get", &format!("{name}/m"), "k000001"], DAMAGED, "is damaged");
        pair.home.refused(&["verify", name], DAMAGED, "is damaged");
    }
    let status = pair.home.json_in_spite_of(&["status"], &pair.id);
    assert_eq!(status["unusable"][0]["id"], pair.id.as_str());
    // What another space does goes on, with a word about this one on standard error.
    let added = pair.home.run(&["--json", "counter", "add", "other/n"]);
    assert!(added.code == 0 && added.err.contains(&pair.id) && added.err.lines().count() == 1, "{added:?}");
    assert_eq!(added.out, "{\"value\":8}\n");
    assert_eq!(fs::read(&pair.victim).expect("read"), bytes, "not one byte of the damaged file was changed");
}

impl Home {
    /// Runs a command that succeeds and says a word about a space that cannot be used.
    fn json_in_spite_of(&self, arguments: &[&str], id: &str) -> Value {
        let said = said(self.command(&[&["--json"], arguments].concat()));
        assert!(said.code == 0 && said.err.contains(id), "{said:?}");
        serde_json::from_str(&said.out).expect("JSON")
    }
}

/// Writes a later format into a store, as a later version would.
fn make_newer(file: &Path) {
    let (mut store, writer) = RedbStore::open(file, &OpenOptions::default()).expect("a store");
    let changes = vec![(Table::Meta, b"format".to_vec(), Some(codec::encode(&(FORMAT + 1))))];
    writer.commit(&Commit::new(1, changes)).expect("written");
    store.show().expect("shown");
    drop(writer);
    store.close().expect("closed");
}

#[test]
fn a_store_of_a_later_version_is_left_untouched() {
    let pair = Pair::new();
    make_newer(&pair.victim);
    let before = fs::read(&pair.victim).expect("read");
    for arguments in [
        &["map", "get", "board/m", "k000001"][..],
        &["map", "put", "board/m", "k", "1"],
        &["export", "board"],
        &["verify", &pair.id],
        &["ticket", &pair.id[..8]],
    ] {
        pair.home.refused(arguments, ERROR, "update rejoin");
    }
    let verified = pair.home.run(&["--json", "verify"]);
    assert_eq!(verified.code, ERROR, "a later version is no damage: {verified:?}");
    let serving = pair.home.command(&["serve", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    let serving = crate::support::Process::start(serving);
    serving.line().expect("it serves the others");
    pair.home.refused(&["map", "put", "board/m", "k", "1"], ERROR, "update rejoin");
    assert_eq!(pair.home.json(&["counter", "get", "other/n"]), json!({ "value": 7 }));
    serving.signal("TERM");
    let said = serving.finish();
    assert!(said.code == 0 && said.err.contains("update rejoin"), "{said:?}");
    let after = fs::read(&pair.victim).expect("read");
    assert!(before == after, "the file was changed");
}

#[test]
fn what_is_no_store_is_left_untouched() {
    let pair = Pair::new();
    for bytes in [&b""[..], b"hello", &[0xff; 9000], &[&pair.sound[..9], &[0; 9000]].concat()] {
        assert_ne!(pair.with(bytes, "no store"), Outcome::Right);
        assert_eq!(fs::read(&pair.victim).expect("read"), bytes);
    }
}
