//! What people read: one transcript of every command, kept in tests/cli/words.txt.
//!
//! `REJOIN_WRITE_FIXTURES=1` writes it anew.

use std::fmt::Write;
use std::path::Path;

use crate::normal;
use crate::support::Home;

/// Words, and what comes on standard input.
const SCRIPT: &[(&[&str], &str)] = &[
    (&["status"], ""),
    (&["init"], ""),
    (&["new", "board"], ""),
    (&["status"], ""),
    (&["ticket", "board"], ""),
    (&["counter", "add", "board/likes"], ""),
    (&["status"], ""),
    (&["counter", "add", "board/likes", "2"], ""),
    (&["counter", "get", "board/likes"], ""),
    (&["bounded", "add", "board/stock", "10"], ""),
    (&["bounded", "take", "board/stock"], ""),
    (&["bounded", "give", "board/stock", "00000000-0000-8000-8000-000000000001", "5"], ""),
    (&["bounded", "give", "board/stock", "0000", "1"], ""),
    (&["bounded", "give", "board/stock", "nobody", "1"], ""),
    (&["bounded", "take", "board/stock", "4"], ""),
    (&["bounded", "get", "board/stock"], ""),
    (&["bounded", "rights", "board/stock"], ""),
    (&["set", "add", "board/tags", "red"], ""),
    (&["set", "add", "board/tags", "null"], ""),
    (&["set", "has", "board/tags", "blue"], ""),
    (&["set", "rm", "board/tags", "blue"], ""),
    (&["set", "ls", "board/tags"], ""),
    (&["map", "put", "board/tasks", "t1", "{\"title\":\"Ship\"}"], ""),
    (&["map", "put", "board/tasks", "t2", "null"], ""),
    (&["map", "get", "board/tasks", "t1"], ""),
    (&["map", "ls", "board/tasks"], ""),
    (&["map", "rm", "board/tasks", "t2"], ""),
    (&["map", "get", "board/tasks", "t2"], ""),
    (&["register", "put", "board/title", "Board"], ""),
    (&["register", "get", "board/title"], ""),
    (&["list", "push", "board/steps", "build"], ""),
    (&["list", "push", "board/steps", "ship"], ""),
    (&["list", "insert", "board/steps", "1", "test"], ""),
    (&["list", "mv", "board/steps", "2", "0"], ""),
    (&["list", "set", "board/steps", "1", "compile"], ""),
    (&["list", "rm", "board/steps", "0"], ""),
    (&["list", "rm", "board/steps", "7"], ""),
    (&["list", "ls", "board/steps"], ""),
    (&["log", "append", "board/history", "begun"], ""),
    (&["log", "append", "board/history", "{\"done\":1}"], ""),
    (&["log", "ls", "board/history"], ""),
    (&["log", "trim", "board/history", "--keep", "1"], ""),
    (&["log", "ls", "board/history", "--from", "here"], ""),
    (&["doc", "text", "board/plan", "body", "We build."], ""),
    (&["doc", "splice", "board/plan", "body", "3", "5", "ship"], ""),
    (&["doc", "splice", "board/plan", "body", "30", "5", "ship"], ""),
    (&["doc", "set", "board/plan", "owner/name", "Ada"], ""),
    (&["doc", "get", "board/plan", "owner"], ""),
    (&["doc", "get", "board/plan", "nobody"], ""),
    (&["doc", "text", "board/plan", "owner", "x"], ""),
    (&["doc", "get", "board/plan", "--at", "nowhere"], ""),
    (&["import", "board/cities", "-"], "{\"Bern\":1}"),
    (&["batch", "board"], "{\"counter\":\"likes\",\"add\":4}"),
    (&["ls", "board"], ""),
    (&["export", "board/cities"], ""),
    (&["export", "board/likes"], ""),
    (&["spaces"], ""),
    (&["peers"], ""),
    (&["verify"], ""),
    (&["new", "plan"], ""),
    (&["status"], ""),
    (&["new", "plan"], ""),
    (&["ls", "nowhere"], ""),
    (&["map", "conflicts", "board/tasks", "t1"], ""),
    (&["counter", "add", "board/likes", "5", "--once", "k1"], ""),
    (&["counter", "add", "board/likes", "5", "--once", "k1", "--token"], ""),
    (&["forget-once", "board", "--days", "0"], ""),
    (&["undo", "board"], ""),
    (&["undo", "board", "--keep", "2"], ""),
    (&["undo", "board"], ""),
    (&["counter", "add", "board/likes", "100"], ""),
    (&["undo", "board"], ""),
    (&["redo", "board", "--token"], ""),
    (&["token", "board"], ""),
    (&["spaces", "--token"], ""),
];

fn transcript(home: &Home) -> String {
    let mut text = String::new();
    for (arguments, input) in SCRIPT {
        let said = home.run_with(arguments, input.as_bytes());
        writeln!(text, "$ rejoin {}", arguments.join(" ")).expect("memory");
        text.push_str(&normal::words(&said.out));
        text.push_str(&normal::words(&said.err));
        if said.code != 0 {
            writeln!(text, "[exit code {}]", said.code).expect("memory");
        }
    }
    text
}

/// Without how many rows and changes there are: a document is saved whole in place of its changes by whoever makes one whose
/// hash says so, so that differs from run to run.
fn steady(line: &str) -> String {
    if !line.starts_with("plan\tdoc\t") && !line.starts_with("board") {
        return line.to_owned();
    }
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let word = |word: &str| {
        let number = word.trim_end_matches(' ');
        if is_number(number) { word.replace(number, "<n>") } else { word.to_owned() }
    };
    line.split_inclusive([' ', '\t'])
        .map(|part| match part.strip_suffix('\t') {
            Some(cell) => word(cell) + "\t",
            None => word(part),
        })
        .collect()
}

#[test]
fn people_read_the_same_with_and_without_a_running_node() {
    let (alone, served) = (Home::empty(), Home::empty());
    let serving = served.serve(&[]);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/words.txt");
    let now = transcript(&alone);
    if std::env::var_os("REJOIN_WRITE_FIXTURES").is_some() {
        std::fs::write(&file, &now).expect("written");
    }
    let kept = std::fs::read_to_string(&file).expect("kept");
    // The one thing that is said otherwise: what runs need not be started.
    let served = transcript(&served).replace("yet: give", "yet: run `rejoin serve`, and give");
    for (name, now) in [("alone", &now), ("through a running node", &served)] {
        for (now, kept) in now.lines().zip(kept.lines()) {
            assert_eq!(steady(now), steady(kept), "{name}");
        }
        assert_eq!(now.lines().count(), kept.lines().count(), "{name}");
    }
    serving.stop();
}

#[test]
fn status_says_who_is_in_sync() {
    let (ada, bo) = (Home::with_space("board"), Home::empty());
    let ticket = ada.run(&["ticket", "board"]).fine();
    assert_eq!(bo.run(&["join", ticket.trim(), "--as", "plan"]).fine(), "plan\n");
    ada.run(&["counter", "add", "board/likes"]).fine();
    let serving = ada.serve(&[]);
    let pretty = bo.run(&["sync", "plan", &serving.address]).fine();
    assert!(pretty.contains("\"round_trips\": ") && pretty.lines().count() == 8, "{pretty}");
    let also_serving = bo.serve(&["--peer", &serving.address]);
    let mut status = String::new();
    crate::support::wait_for("both to be in sync", || {
        status = bo.run(&["status"]).fine();
        status.contains("in sync (proven ")
    });
    assert!(status.starts_with("plan  1 row, all of it on another device too; "), "{status}");
    let peers = bo.run(&["peers"]).fine();
    let cells: Vec<&str> = peers.trim_end().split('\t').collect();
    assert_eq!((cells[0], cells[3], cells[4], cells[5]), ("plan", "true", "true", "0"), "{peers}");
    serving.stop();
    crate::support::wait_for("the other to be away", || bo.run(&["status"]).fine().contains("away"));
    also_serving.stop();
}
