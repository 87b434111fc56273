//! Stores that are in two places, went back in time, or are damaged: nothing that anybody has is lost, nothing that was
//! removed comes back, and it is said.

use std::fs;
use std::process::Command;

use rejoin::core::store::{Commit, Table};
use rejoin::net::store::{OpenOptions, RedbStore};
use serde_json::{Value, json};

use crate::shapes::check;
use crate::support::{Home, Said, Serving, rows, said, wait_for};

const DAMAGED: i32 = 4;

/// `cp -r` of a data directory.
fn copied(home: &Home) -> Home {
    let copy = Home::empty();
    let status =
        Command::new("cp").arg("-r").arg(home.data()).arg(copy.data()).status().expect("cp is there");
    assert!(status.success());
    copy
}

/// The next event of this kind.
fn event(serving: &Serving, kind: &str) -> Value {
    loop {
        let line = serving.process.line().unwrap_or_else(|| panic!("`{kind}` is told"));
        let event: Value = serde_json::from_str(&line).expect("JSON");
        if event["event"] == kind {
            return event;
        }
    }
}

fn root(home: &Home) -> Value {
    home.json(&["spaces"])[0]["root"].clone()
}

/// Lets everybody meet the first until all name one root.
fn meet(homes: &[&Home]) {
    let (first, others) = homes.split_first().expect("somebody");
    let serving = first.serve(&[]);
    let others_serving: Vec<Serving> =
        others.iter().map(|home| home.serve(&["--peer", &serving.address])).collect();
    wait_for("equal roots", || others.iter().all(|home| root(home) == root(first)));
    others_serving.into_iter().for_each(Serving::stop);
    serving.stop();
    for home in homes {
        let verified = home.json(&["verify"]);
        assert_eq!(verified[0]["sound"], true, "{verified}");
    }
}

fn import(home: &Home, keys: std::ops::Range<usize>) -> Said {
    home.run_with(&["import", "board/m", "-"], rows(keys, 40).as_bytes())
}

/// Exactly these keys, each with what was imported.
#[track_caller]
fn assert_rows(home: &Home, keys: impl Iterator<Item = usize>) {
    let map = home.json(&["export", "board/m"]);
    let map = map.as_object().expect("a map");
    let mut expected = 0;
    for n in keys {
        assert_eq!(map.get(&format!("k{n:06}")), Some(&format!("{n:0>40}").into()), "row {n}");
        expected += 1;
    }
    assert_eq!(map.len(), expected, "nothing else is there");
}

#[test]
fn a_copied_store_and_its_original_lose_nothing() {
    let home = Home::with_space("board");
    import(&home, 0..500).fine();
    home.json(&["map", "rm", "board/m", "k000007"]);
    let ticket = home.json(&["ticket", "board"])["ticket"].as_str().expect("a ticket").to_owned();
    let copy = copied(&home);
    // Neither knows of the other while they write.
    let serving = copy.serve(&[]);
    let event = event(&serving, "new-id");
    assert_eq!(event["space"], "board");
    import(&copy, 1000..2000).fine();
    serving.stop();
    import(&home, 2000..3000).fine();

    meet(&[&home, &copy]);
    let third = Home::empty();
    third.json(&["join", &ticket]);
    meet(&[&copy, &third]);
    meet(&[&home, &copy, &third]);
    assert_eq!(root(&home), root(&third));
    for home in [&home, &copy, &third] {
        assert_rows(home, (0..500).chain(1000..3000).filter(|n| *n != 7));
    }
}

#[test]
fn a_copy_says_so_whatever_it_is_asked_first() {
    let home = Home::with_space("board");
    import(&home, 0..10).fine();
    let copy = copied(&home);
    let said = import(&copy, 10..20);
    assert!(said.code == 0 && said.err.contains("it is a copy: it writes under a new id"), "{said:?}");
    import(&copy, 20..30).fine();
    import(&home, 30..40).fine();
    meet(&[&home, &copy]);
    assert_rows(&home, 0..40);
}

/// A disk image is put back and nobody notices: what was written after it, here and by the life before, has the same
/// names, and both were told already.
#[test]
fn what_gives_way_to_another_history_can_be_looked_at() {
    let (home, other) = (Home::with_space("board"), Home::empty());
    import(&home, 0..20).fine();
    let ticket = home.json(&["ticket", "board"])["ticket"].as_str().expect("a ticket").to_owned();
    other.json(&["join", &ticket]);
    meet(&[&home, &other]);
    let image = fs::read(home.file()).expect("read");
    import(&home, 100..110).fine();
    meet(&[&home, &other]);
    fs::write(home.file(), &image).expect("written");
    import(&home, 200..210).fine();
    // Opened once more: from here on what it holds counts as told.
    meet(&[&home, &other]);

    // Of each pair the one that went is kept where it was, and where it was brought.
    let lost = home.json(&["lost", "board"]);
    assert_eq!(lost, other.json(&["lost", "board"]));
    let lost = lost.as_array().expect("a list");
    let map = home.json(&["export", "board/m"]);
    let map = map.as_object().expect("a map");
    assert_eq!(map, other.json(&["export", "board/m"]).as_object().expect("a map"));
    for n in (0..20).chain(100..110).chain(200..210) {
        let (key, value) = (format!("k{n:06}"), json!(format!("{n:0>40}")));
        let is_lost = lost.iter().any(|lost| lost["key"] == key.as_str() && lost["value"] == value);
        assert_eq!(is_lost, map.get(&key) != Some(&value), "row {n} is in one place: {lost:#?}");
    }
    assert_eq!((map.len(), lost.len()), (30, 10));
    let mut shape = lost[0].clone();
    (shape["key"], shape["value"]) = (json!("a key"), json!("a value"));
    check("lost", &["lost", "board"], None, &[json!([shape])]);
    for home in [&home, &other] {
        home.json(&["lost", "board", "--forget"]);
        assert_eq!(home.json(&["lost", "board"]), json!([]), "for good");
    }
}

#[test]
fn what_comes_back_from_a_backup_loses_nothing_and_brings_nothing_back() {
    let home = Home::with_space("board");
    import(&home, 0..500).fine();
    home.json(&["counter", "add", "board/n", "5"]);
    let backup = home.folder().join("b").into_os_string().into_string().expect("text");
    let old = home.json(&["backup", "board", &backup])["spaces"][0]["root"].clone();
    // The original lives on.
    import(&home, 1000..2000).fine();
    home.json(&["map", "rm", "board/m", "k000007"]);
    home.json(&["counter", "add", "board/n", "2"]);

    // On the same device, where the old id would be its own.
    let other = Home::empty();
    fs::create_dir(other.data()).expect("made");
    fs::copy(home.data().join("device.key"), other.data().join("device.key")).expect("copied");
    let serving = other.serve(&[]);
    let restored = other.json(&["restore", &backup]);
    assert_eq!(restored[0]["root"], old);
    assert!(restored[0]["retired"].is_string(), "{restored}");
    assert_eq!(event(&serving, "new-id")["old"], restored[0]["retired"]);
    assert_eq!(root(&other), old, "the state that was saved");
    import(&other, 2000..3000).fine();
    other.json(&["counter", "add", "board/n", "10"]);
    other.json(&["map", "rm", "board/m", "k000008"]);
    serving.stop();

    meet(&[&home, &other]);
    let third = Home::empty();
    let ticket = home.json(&["ticket", "board"])["ticket"].as_str().expect("a ticket").to_owned();
    third.json(&["join", &ticket]);
    meet(&[&other, &third]);
    meet(&[&home, &other, &third]);
    for home in [&home, &other, &third] {
        assert_rows(home, (0..500).chain(1000..3000).filter(|n| ![7, 8].contains(n)));
        assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 17);
    }
}

/// Changes a store behind its engine's back, and leaves it as one that was cut off.
fn tamper(home: &Home, table: Table, change: impl Fn(&[u8], &[u8]) -> Option<Vec<u8>>) {
    use rejoin::core::store::Store;
    let (store, writer) = RedbStore::open(&home.file(), &OpenOptions::default()).expect("a store");
    let mut middle = Vec::new();
    store
        .scan(table, &[], &mut |key, value| {
            middle.push((key.to_vec(), value.to_vec()));
            std::ops::ControlFlow::Continue(())
        })
        .expect("read");
    let (key, value) = middle.swap_remove(middle.len() / 2);
    let value = change(&key, &value);
    writer.commit(&Commit::new(0, vec![(table, key, value)])).expect("written");
    store.leave_open();
}

/// A store with 20 rows that another device has too, 10 that it has not, and an addition that it has not; and that other,
/// where one row was removed since.
fn apart() -> (Home, Home) {
    let (home, other) = (Home::with_space("board"), Home::empty());
    import(&home, 0..20).fine();
    home.json(&["counter", "add", "board/n", "5"]);
    let ticket = home.json(&["ticket", "board"])["ticket"].as_str().expect("a ticket").to_owned();
    other.json(&["join", &ticket]);
    meet(&[&home, &other]);
    other.json(&["map", "rm", "board/m", "k000003"]);
    other.json(&["counter", "add", "board/n", "100"]);
    import(&home, 20..30).fine();
    home.json(&["counter", "add", "board/n", "2"]);
    (home, other)
}

/// The damaged store is not served, is set aside as it is, begins anew, and what only it holds is written again.
fn comes_back(home: &Home, other: &Home, damaged: &[u8], lost: usize) {
    home.refused(&["export", "board"], DAMAGED, "damaged");
    assert!(
        fs::read(home.file()).expect("read")[320..] == damaged[320..],
        "it was looked at, and not changed"
    );
    let serving = home.serve(&[]);
    let event = event(&serving, "quarantined");
    let aside = event["file"].as_str().expect("a path").to_owned();
    assert!(event["why"].as_str().is_some_and(|why| why.contains("damaged")), "{event}");
    assert_eq!(event["unsynced"], 11, "ten rows and an addition: {event}");
    assert!(fs::read(&aside).expect("read")[320..] == damaged[320..], "nothing of it is gone");
    assert_eq!(home.json(&["status"])["quarantined"], json!([aside]));
    home.refused(&["salvage", &aside], 1, "let it sync first");

    let also_serving = other.serve(&["--peer", &serving.address]);
    let space = home.json(&["spaces"]);
    assert_eq!(space[0]["name"], "board", "what could be read of its name");
    wait_for("the other to give what it has", || root(home) == root(other));
    assert_rows(home, (0..20).filter(|n| *n != 3));
    wait_for("the proof", || home.json(&["status"])["spaces"][0]["peers"][0]["in_sync"] == true);
    let salvaged = home.json(&["salvage", &aside]);
    assert_eq!(salvaged["written"], 11 - lost, "{salvaged}");
    assert!(salvaged["removed"].as_u64() >= Some(1), "{salvaged}");
    let again = home.json(&["salvage", &aside]);
    assert_eq!((&again["written"], &again["counted_before"]), (&json!(0), &json!(1)), "{again}");
    wait_for("equal roots", || root(home) == root(other));
    also_serving.stop();
    serving.stop();
    for home in [home, other] {
        assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 107);
        let map = home.json(&["export", "board/m"]);
        assert_eq!(map.as_object().map(serde_json::Map::len), Some(29 - lost), "{map}");
        assert!(map.get("k000003").is_none(), "what was removed stays removed");
        assert_eq!(home.json(&["verify"])[0]["sound"], true);
    }
}

#[test]
fn a_row_that_is_not_what_was_written_is_never_served() {
    let (home, other) = apart();
    tamper(&home, Table::Rows, |_, value| {
        let mut value = value.to_vec();
        *value.last_mut().expect("a hash") ^= 1;
        Some(value)
    });
    let damaged = fs::read(home.file()).expect("read");
    comes_back(&home, &other, &damaged, 0);
}

#[test]
fn an_index_that_is_wrong_is_never_believed() {
    for change in [|_: &[u8], _: &[u8]| None, |_: &[u8], value: &[u8]| Some([&value[1..], &[0]].concat())] {
        let (home, other) = apart();
        tamper(&home, Table::Dots, change);
        let damaged = fs::read(home.file()).expect("read");
        comes_back(&home, &other, &damaged, 0);
    }
}

#[test]
fn a_store_that_was_killed_and_is_sound_is_used() {
    let home = Home::with_space("board");
    import(&home, 0..100).fine();
    let serving = home.serve(&[]);
    import(&home, 100..200).fine();
    serving.process.kill();
    assert_rows(&home, 0..200);
    home.serve(&[]).stop();
    assert_eq!(home.json(&["status"])["quarantined"], json!([]));
    assert_rows(&home, 0..200);
}

#[test]
fn what_verify_finds_is_found_again_by_whoever_opens_it_next() {
    let (home, _) = apart();
    tamper(&home, Table::Dots, |_, _| None);
    // Closed as it should be: nothing tells that it has to be looked at.
    let (store, _) = RedbStore::open(&home.file(), &OpenOptions::default()).expect("a store");
    store.close().expect("closed");
    let found = home.run(&["verify", "board"]);
    assert!(found.code == DAMAGED && found.out.contains("the index names 30 entries"), "{found:?}");
    home.refused(&["map", "get", "board/m", "k000001"], DAMAGED, "damaged");
}

#[test]
fn a_store_with_pages_overwritten_gives_what_it_still_can() {
    let (home, other) = apart();
    let mut bytes = fs::read(home.file()).expect("read");
    let length = bytes.len();
    for page in (2..length / 4096).step_by(3) {
        bytes[page * 4096..(page + 1) * 4096].fill(0x5a);
    }
    fs::write(home.file(), &bytes).expect("written");
    home.refused(&["export", "board"], DAMAGED, "damaged");
    let serving = home.serve(&[]);
    let aside = event(&serving, "quarantined")["file"].as_str().expect("a path").to_owned();
    assert!(fs::read(&aside).expect("read") == bytes, "byte for byte");
    let also_serving = other.serve(&["--peer", &serving.address]);
    wait_for("the other to give what it has", || root(&home) == root(&other));
    wait_for("the proof", || home.json(&["status"])["spaces"][0]["peers"][0]["in_sync"] == true);
    let salvaged = home.run(&["--json", "salvage", &aside]);
    println!("every third page overwritten: {salvaged:?}");
    assert!([0, 1, DAMAGED].contains(&salvaged.code) && salvaged.err.lines().count() <= 1, "{salvaged:?}");
    let map = home.json(&["export", "board/m"]);
    assert!(map.get("k000003").is_none(), "what was removed stays removed");
    for (key, value) in map.as_object().expect("a map") {
        let n: usize = key[1..].parse().expect("a number");
        assert_eq!(value, &json!(format!("{n:0>40}")), "nothing wrong is written");
    }
    also_serving.stop();
    serving.stop();
    assert_eq!(home.json(&["verify"])[0]["sound"], true);
}

#[test]
fn a_file_that_is_no_store_any_more_begins_anew_too() {
    let (home, other) = apart();
    let file = home.file();
    for bytes in [&b""[..], &[0x5a; 20_000]] {
        fs::write(&file, bytes).expect("written");
        let serving = home.serve(&[]);
        let event = event(&serving, "quarantined");
        assert_eq!(event["unsynced"], Value::Null);
        assert_eq!(fs::read(event["file"].as_str().expect("a path")).expect("read"), bytes);
        // Its addresses went with it, so the other has to come.
        let also_serving = other.serve(&["--peer", &serving.address]);
        wait_for("the other to give what it has", || root(&home) == root(&other));
        also_serving.stop();
        serving.stop();
    }
    assert_eq!(home.json(&["status"])["quarantined"].as_array().map(Vec::len), Some(2));
    drop(said(home.command(&["verify"])).fine());
}
