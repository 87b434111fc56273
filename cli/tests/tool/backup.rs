//! Backups through the command: what comes back, what is refused, and what a kill or a full disk leaves behind.
//!
//! How many places of a backup are flipped: `REJOIN_BACKUP_FLIPS`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::disk::Disk;
use crate::support::{Home, Process, Random, rows, wait_for};

const ERROR: i32 = 1;
const DAMAGED: i32 = 4;

/// Two spaces with something of everything.
fn lived() -> Home {
    let home = Home::with_space("board");
    home.run_with(&["import", "board/m", "-"], rows(0..300, 60).as_bytes()).fine();
    home.json(&["set", "add", "board/s", "red"]);
    home.json(&["counter", "add", "board/n", "7"]);
    home.json(&["map", "rm", "board/m", "k000007"]);
    home.json(&["new", "plan"]);
    home.json(&["register", "put", "plan/title", "Plan"]);
    home
}

/// A path beside the data directory, as words.
fn beside(home: &Home, name: &str) -> String {
    home.folder().join(name).into_os_string().into_string().expect("text")
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files
}

#[test]
fn what_is_saved_comes_back_elsewhere() {
    let home = lived();
    let (all, one) = (beside(&home, "all"), beside(&home, "one"));
    let saved = home.json(&["backup", &all]);
    assert_eq!(saved["spaces"].as_array().map(Vec::len), Some(2), "{saved}");
    home.json(&["backup", "plan", &one]);
    let serving = home.serve(&[]);
    home.json(&["backup", &all]);
    serving.stop();

    let other = Home::empty();
    let restored = other.json(&["restore", &all]);
    for (space, restored) in
        home.json(&["spaces"]).as_array().expect("two").iter().zip(restored.as_array().expect("two"))
    {
        let name = space["name"].as_str().expect("a name");
        let found = other.json(&["spaces"]);
        let found = found.as_array().and_then(|all| all.iter().find(|found| found["name"] == name));
        assert_eq!(found.expect("restored")["root"], space["root"], "{restored}");
        assert_eq!(other.json(&["export", name]), home.json(&["export", name]));
    }
    other.json(&["verify"]);
    let third = Home::empty();
    assert_eq!(third.json(&["restore", &all, "plan", "--as", "copy"])[0]["name"], "copy");
    third.refused(&["restore", &all], ERROR, "is here already");
    assert_eq!(third.json(&["restore", &all, "board"])[0]["name"], "board");
    assert_eq!(third.json(&["spaces"]).as_array().map(Vec::len), Some(2));
    // Through a running node, by a path of this folder.
    let fourth = Home::empty();
    let serving = fourth.serve(&[]);
    let mut relative = fourth.command(&["--json", "restore", "one"]);
    relative.current_dir(home.folder());
    assert_eq!(crate::support::said(relative).json()[0]["name"], "plan");
    assert_eq!(fourth.json(&["register", "get", "plan/title"])["value"], "Plan");
    serving.stop();
}

#[test]
fn what_cannot_be_saved_or_restored_is_told_and_nothing_is_changed() {
    let home = lived();
    let backup = beside(&home, "b");
    let other = beside(&home, "letter");
    fs::write(&other, "dear all").expect("written");
    home.refused(&["backup", "board", &other], ERROR, "is no backup: choose another name");
    assert_eq!(fs::read(&other).expect("read"), b"dear all");
    let file = home.files()[0].clone();
    let before = home.json(&["spaces"]);
    home.refused(&["backup", "board", file.to_str().expect("text")], ERROR, "is no backup");
    assert_eq!(home.json(&["spaces"]), before);
    home.refused(&["backup", "nowhere", &backup], ERROR, "there is no space `nowhere`");
    home.refused(&["backup", &beside(&home, "no/such/folder")], ERROR, "No such file");
    home.refused(&["backup", "board", home.data().to_str().expect("text")], ERROR, "is no backup");
    home.refused(&["backup", "-"], 2, "needs a file");
    Home::empty().refused(&["backup", &backup], ERROR, "there is no space yet");
    home.json(&["backup", "board", &backup]);
    home.refused(&["restore", &backup], ERROR, "is here already");
    home.refused(&["restore", &backup, "plan"], ERROR, "there is board");
    let empty = Home::empty();
    empty.refused(&["restore", &other], ERROR, "is not a backup");
    empty.refused(&["restore", &backup, "board", "--as", "a b"], ERROR, "cannot name a space");
    empty.refused(&["restore", &beside(&home, "none")], ERROR, "No such file");
    assert_eq!(empty.json(&["spaces"]), serde_json::json!([]));
    // A later version.
    let mut newer = fs::read(&backup).expect("read");
    newer[8] = 200;
    fs::write(&backup, newer).expect("written");
    empty.refused(&["restore", &backup], ERROR, "update rejoin");
}

#[test]
fn no_damaged_backup_is_restored() {
    let flips =
        std::env::var("REJOIN_BACKUP_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(24_usize);
    let home = lived();
    let backup = beside(&home, "b");
    home.json(&["backup", &backup]);
    let sound = fs::read(&backup).expect("read");
    let other = Home::empty();
    other.json(&["init"]);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for round in 0..flips {
        let mut bytes = sound.clone();
        if round % 4 == 0 {
            bytes.truncate(random.below(bytes.len()));
        } else {
            bytes[random.below(sound.len())] ^= 1 << random.below(8);
        }
        fs::write(&backup, &bytes).expect("written");
        let verified = other.run(&["--json", "verify", &backup]);
        let found: Value = serde_json::from_str(&verified.out).expect("JSON");
        assert_eq!(found[0]["sound"], false, "{verified:?}");
        // Where the first bytes are gone it is no backup any more, and a flipped version is a later one.
        assert!([DAMAGED, ERROR].contains(&verified.code), "{verified:?}");
        let restored = other.run(&["restore", &backup]);
        assert_eq!(restored.code, verified.code, "{restored:?}");
        assert_eq!(files_in(&other.data().join("spaces")), Vec::<PathBuf>::new(), "nothing was made");
    }
    println!("{flips} damaged backups: all refused, nothing made");
    fs::write(&backup, &sound).expect("written");
    assert_eq!(other.json(&["verify", &backup])[0]["sound"], true);
    other.json(&["restore", &backup]);
}

/// Kills a command again and again, later each time, until one gets to its end.
fn killed(what: &str, start: impl Fn() -> Process, after: &mut dyn FnMut()) {
    let mut kills = 0;
    for round in 0_u64.. {
        let mut process = start();
        std::thread::park_timeout(Duration::from_millis(2 * round * round));
        if process.has_ended() {
            assert_eq!(process.finish().code, 0);
            break;
        }
        process.kill();
        kills += 1;
        after();
    }
    println!("{what}: {kills} kills, nothing half");
}

#[test]
fn a_killed_backup_leaves_the_one_before() {
    let home = Home::with_space("board");
    home.run_with(&["import", "board/m", "-"], rows(0..3000, 60).as_bytes()).fine();
    let backup = beside(&home, "b");
    let start = || Process::start(home.command(&["backup", &backup]));
    let other = Home::empty();
    killed("backup, none before", start, &mut || {
        if Path::new(&backup).exists() {
            other.json(&["verify", &backup]);
        }
    });
    let before = home.json(&["spaces"])[0]["root"].clone();
    home.json(&["map", "put", "board/m", "one more", "1"]);
    let after = home.json(&["spaces"])[0]["root"].clone();
    killed("backup over another", start, &mut || {
        let found = other.json(&["verify", &backup]);
        assert!(found[0]["root"] == before || found[0]["root"] == after, "{found}");
    });
    assert_eq!(other.json(&["verify", &backup])[0]["root"], after);
    assert!(!Path::new(&format!("{backup}.new")).exists(), "what kills left was taken over");
}

#[test]
fn a_killed_restore_leaves_nothing_or_all() {
    let home = Home::with_space("board");
    home.run_with(&["import", "board/m", "-"], rows(0..3000, 60).as_bytes()).fine();
    let backup = beside(&home, "b");
    let root = home.json(&["backup", &backup])["spaces"][0]["root"].clone();
    let other = Home::empty();
    let start = || Process::start(other.command(&["restore", &backup]));
    killed("restore", start, &mut || {
        // Where the kill came after the end, the first who opens it says that it is a copy.
        other.run(&["spaces"]);
        let spaces = other.json(&["spaces"]);
        if spaces != serde_json::json!([]) {
            assert_eq!(spaces[0]["root"], root);
            other.json(&["verify"]);
            fs::remove_dir_all(other.data()).expect("removed");
        }
    });
    assert_eq!(other.json(&["spaces"])[0]["root"], root);
    assert_eq!(other.files().len(), 1, "what kills left was taken over");
}

#[test]
fn a_full_disk_ends_a_backup_and_leaves_nothing_of_it() {
    let Some(disk) = Disk::mount("size=16k") else { return };
    let home = lived();
    home.run_with(&["import", "board/m", "-"], rows(0..20_000, 60).as_bytes()).fine();
    let backup = disk.path().join("b");
    let path = backup.to_str().expect("text");
    home.refused(&["backup", path], ERROR, "was not written: the disk is full");
    assert_eq!(files_in(disk.path()), Vec::<PathBuf>::new(), "the temporary file is gone");
    home.json(&["backup", "plan", path]);
    let before = fs::read(&backup).expect("read");
    home.refused(&["backup", path], ERROR, "the disk is full");
    assert_eq!(files_in(disk.path()), std::slice::from_ref(&backup));
    assert!(fs::read(&backup).expect("read") == before, "the older one is still there");
    // Nor does a restore leave anything where there is no room.
    let large = beside(&home, "large");
    home.json(&["backup", &large]);
    let small = Home::empty().at(disk.path().join("data"));
    let said = small.run(&["restore", &large]);
    assert!(said.code == ERROR && said.err.contains("No space left"), "{said:?}");
    assert_eq!(files_in(&small.data().join("spaces")), Vec::<PathBuf>::new());
}

#[test]
fn two_backups_to_one_name_do_not_mix() {
    let home = Home::with_space("board");
    home.run_with(&["import", "board/m", "-"], rows(0..5000, 60).as_bytes()).fine();
    let backup = beside(&home, "b");
    let serving = home.serve(&[]);
    let all: Vec<Process> = (0..6).map(|_| Process::start(home.command(&["backup", &backup]))).collect();
    let codes: Vec<_> = all.into_iter().map(Process::finish).collect();
    assert!(codes.iter().any(|said| said.code == 0), "{codes:?}");
    for said in codes.iter().filter(|said| said.code != 0) {
        assert!(said.err.contains("another backup is being written"), "{said:?}");
    }
    assert_eq!(home.json(&["verify", &backup])[0]["sound"], true);
    wait_for("it to be alone", || !Path::new(&format!("{backup}.new")).exists());
    serving.stop();
}
