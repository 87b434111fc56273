//! The JSON of every command, held against the fixtures in tests/cli: keys, types, and whatever is the same in each run.
//!
//! A fixture is `{"args": [words], "input": text or null, "prints": [values]}`. `REJOIN_WRITE_FIXTURES=1` writes them
//! anew; what then differs is a change of an interface that scripts rely on, and belongs into CHANGELOG.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::normal;
use crate::support::{Home, Process, wait_for};

/// The id of a replica that is not here. It sorts before any that is.
const SOMEBODY: &str = "00000000-0000-8000-8000-000000000001";

/// (fixture, words, standard input), in the order in which one data directory sees them.
const SCRIPT: &[(&str, &[&str], Option<&str>)] = &[
    ("init", &["init"], None),
    ("status-empty", &["status"], None),
    ("new", &["new", "board"], None),
    ("ticket", &["ticket", "board"], None),
    ("counter-add", &["counter", "add", "board/likes", "3"], None),
    ("counter-get", &["counter", "get", "board/likes"], None),
    ("bounded-add", &["bounded", "add", "board/stock", "10"], None),
    ("bounded-take", &["bounded", "take", "board/stock", "2"], None),
    ("bounded-give", &["bounded", "give", "board/stock", SOMEBODY, "3"], None),
    ("bounded-get", &["bounded", "get", "board/stock"], None),
    ("bounded-rights", &["bounded", "rights", "board/stock"], None),
    ("set-add", &["set", "add", "board/tags", "red"], None),
    ("set-add-json", &["set", "add", "board/tags", r#"{"n":1}"#], None),
    ("set-has", &["set", "has", "board/tags", "red"], None),
    ("set-ls", &["set", "ls", "board/tags"], None),
    ("set-rm", &["set", "rm", "board/tags", r#"{"n":1}"#], None),
    (
        "map-put",
        &["map", "put", "board/tasks", "t1", r#"{"title":"Ship","done":false,"cost":2.5,"by":null}"#],
        None,
    ),
    ("map-put-word", &["map", "put", "board/tasks", "t2", "soon"], None),
    ("map-get", &["map", "get", "board/tasks", "t1"], None),
    ("map-ls", &["map", "ls", "board/tasks"], None),
    ("map-rm", &["map", "rm", "board/tasks", "t2"], None),
    ("register-put", &["register", "put", "board/title", "Board"], None),
    ("register-get", &["register", "get", "board/title"], None),
    ("list-push", &["list", "push", "board/steps", "build"], None),
    ("list-insert", &["list", "insert", "board/steps", "0", r#"{"n":1}"#], None),
    ("list-set", &["list", "set", "board/steps", "1", "compile"], None),
    ("list-mv", &["list", "mv", "board/steps", "0", "1"], None),
    ("list-ls", &["list", "ls", "board/steps"], None),
    ("list-rm", &["list", "rm", "board/steps", "0"], None),
    ("log-append", &["log", "append", "board/history", "begun"], None),
    ("log-ls", &["log", "ls", "board/history", "--last", "1"], None),
    ("log-trim", &["log", "trim", "board/history", "--keep", "0"], None),
    ("doc-set", &["doc", "set", "board/plan", "owner/name", "Ada"], None),
    ("doc-push", &["doc", "push", "board/plan", "steps", "build"], None),
    ("doc-insert", &["doc", "insert", "board/plan", "steps", "0", r#"{"n":1}"#], None),
    ("doc-text", &["doc", "text", "board/plan", "body", "We build."], None),
    ("doc-splice", &["doc", "splice", "board/plan", "body", "3", "5", "ship"], None),
    ("doc-get", &["doc", "get", "board/plan"], None),
    ("doc-get-path", &["doc", "get", "board/plan", "steps/0/n"], None),
    ("doc-get-at", &["doc", "get", "board/plan", "--at", "0"], None),
    ("doc-rm", &["doc", "rm", "board/plan", "steps/1"], None),
    ("doc-history", &["doc", "history", "board/plan"], None),
    ("doc-compact", &["doc", "compact", "board/plan"], None),
    ("import", &["import", "board/cities", "-"], Some("{\"Bern\": 134591, \"Genf\": {\"n\": 203856}}")),
    (
        "import-lines",
        &["import", "board/ids", "-"],
        Some("{\"key\":1,\"value\":\"a\"}\n\n{\"value\":\"b\",\"key\":[2]}\n"),
    ),
    (
        "batch",
        &["batch", "board"],
        Some(
            "{\"map\":\"tasks\",\"put\":\"t3\",\"value\":1}\n{\"counter\":\"likes\",\"add\":-1}\n{\"set\":\"tags\",\"add\":7}\n\
             {\"list\":\"steps\",\"push\":[1]}\n{\"log\":\"history\",\"append\":null}\n\
             {\"bounded\":\"stock\",\"add\":2}\n{\"bounded\":\"stock\",\"take\":1}\n\
             {\"bounded\":\"stock\",\"give\":1,\"to\":\"00000000-0000-8000-8000-000000000001\"}\n",
        ),
    ),
    ("ls", &["ls", "board"], None),
    ("export", &["export", "board"], None),
    ("export-map", &["export", "board/cities"], None),
    ("export-pairs", &["export", "board/ids"], None),
    ("export-counter", &["export", "board/likes"], None),
    ("spaces", &["spaces"], None),
    ("status", &["status"], None),
    ("peers-none", &["peers"], None),
    ("verify", &["verify"], None),
    ("verify-one", &["verify", "board"], None),
    ("lost-none", &["lost", "board"], None),
    ("map-conflicts", &["map", "conflicts", "board/tasks", "t1"], None),
    ("register-conflicts", &["register", "conflicts", "board/title"], None),
    ("counter-add-once", &["counter", "add", "board/likes", "5", "--once", "k1"], None),
    ("counter-add-again", &["counter", "add", "board/likes", "5", "--once", "k1"], None),
    ("batch-once", &["batch", "board", "--once", "k2"], Some("{\"counter\":\"likes\",\"add\":-1}\n")),
    ("forget-once", &["forget-once", "board", "--days", "30"], None),
    ("token", &["token", "board"], None),
    ("leave", &["leave", "board"], None),
    ("query", &["query", "board/cities", "--by", "n", "--by", "", "--back", "--limit", "2"], None),
    ("query-equal", &["query", "board/cities", "--by", "n", "--equal", "203856", "--limit", "1"], None),
    ("query-drop", &["query", "board/cities", "--by", "n", "--drop"], None),
    ("feed-anew", &["feed", "board/ti"], None),
    ("feed-off", &["feed", "board", "--off"], None),
    ("undo-keep", &["undo", "board", "--keep", "100"], None),
    ("undo-none", &["undo", "board"], None),
    ("undo-of", &["map", "put", "board/tasks", "t1", "undone"], None),
    ("undo", &["undo", "board"], None),
    ("redo", &["redo", "board"], None),
    ("undo-off", &["undo", "board", "--keep", "0"], None),
    ("here-set", &["here", "board", "--set", "me"], None),
    ("here-clear", &["here", "board", "--clear"], None),
    ("here", &["here", "board"], None),
    ("forget", &["forget", "board", "board", "--even-so"], None),
];

/// Fixtures of what needs a second node, checked below; `lost` where two histories meet.
const TOGETHER: [&str; 8] = ["join", "join-as", "sync", "watch", "serve", "status-met", "peers-met", "lost"];

/// Fixtures of what works on a file, checked below.
const ON_FILES: [&str; 6] =
    ["backup", "backup-one", "verify-backup", "verify-no-backup", "restore-one", "salvage"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli")
}

pub(crate) fn check(name: &str, arguments: &[&str], input: Option<&str>, printed: &[Value]) {
    // What differs from run to run may be among the words too.
    let arguments: Vec<String> = arguments.iter().map(|word| normal::words(word)).collect();
    let printed: Vec<Value> = printed.iter().map(normal::json).collect();
    let now = json!({ "args": arguments, "input": input, "prints": printed });
    let file = folder().join(format!("{name}.json"));
    if std::env::var_os("REJOIN_WRITE_FIXTURES").is_some() {
        fs::write(&file, format!("{now:#}\n")).expect("written");
    }
    let kept = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let kept: Value = serde_json::from_str(&kept).expect("a fixture is JSON");
    assert_eq!(now, kept, "`{}` prints another shape than {}", arguments.join(" "), file.display());
}

fn run_script(home: &Home) {
    for (name, arguments, input) in SCRIPT {
        let all = [&["--json"], *arguments].concat();
        let said = match input {
            Some(input) => home.run_with(&all, input.as_bytes()),
            None => home.run(&all),
        };
        check(name, arguments, *input, &[said.json()]);
    }
}

#[test]
fn commands_print_their_shapes_without_a_running_node() {
    run_script(&Home::empty());
}

#[test]
fn commands_print_the_same_shapes_through_a_running_node() {
    let home = Home::empty();
    let serving = home.serve(&[]);
    run_script(&home);
    assert_ne!(home.json(&["status"])["addresses"], json!([]), "it says where it listens");
    serving.stop();
}

#[test]
fn two_nodes_print_their_shapes() {
    let (ada, bo) = (Home::with_space("board"), Home::empty());
    ada.json(&["map", "put", "board/tasks", "t1", "1"]);
    // Made while nobody listens, it names no address: else both nodes would sync by themselves beside the sync below.
    let ticket = ada.json(&["ticket", "board"])["ticket"].as_str().expect("a ticket").to_owned();
    let serving = ada.serve(&[]);
    let event = json!({ "event": "listening", "addr": serving.address });
    check("serve", &["serve"], None, &[event]);
    check("join", &["join", &ticket], None, &[bo.json(&["join", &ticket])]);
    let other = Home::empty();
    check(
        "join-as",
        &["join", &ticket, "--as", "plan"],
        None,
        &[other.json(&["join", &ticket, "--as", "plan"])],
    );
    let synced = bo.json(&["sync", "board", &serving.address]);
    check("sync", &["sync", "board", &serving.address], None, std::slice::from_ref(&synced));
    assert_eq!(synced["root"], ada.json(&["spaces"])[0]["root"], "equal roots");

    let also_serving = bo.serve(&["--peer", &serving.address]);
    wait_for("both to have proven that they are in sync", || {
        [&ada, &bo].iter().all(|home| home.json(&["status"])["spaces"][0]["peers"][0]["in_sync"] == true)
    });
    check("status-met", &["status"], None, &[bo.json(&["status"])]);
    check("peers-met", &["peers"], None, &[bo.json(&["peers"])]);
    also_serving.stop();
    serving.stop();
}

#[test]
fn what_works_on_files_prints_its_shapes_with_and_without_a_running_node() {
    let home = Home::with_space("board");
    home.json(&["map", "put", "board/tasks", "t1", "1"]);
    let path = |name: &str| home.folder().join(name).into_os_string().into_string().expect("text");
    let (backup, copy, letter) = (path("backup"), path("copy"), path("letter"));
    fs::write(&letter, "dear all").expect("written");
    fs::copy(home.file(), &copy).expect("copied");
    for is_running in [false, true] {
        let serving = is_running.then(|| home.serve(&[]));
        let other = Home::empty();
        let also_serving = is_running.then(|| other.serve(&[]));
        check("backup", &["backup", "FILE"], None, &[home.json(&["backup", &backup])]);
        check("backup-one", &["backup", "board", "FILE"], None, &[home.json(&["backup", "board", &backup])]);
        check("verify-backup", &["verify", "FILE"], None, &[home.json(&["verify", &backup])]);
        let found = home.run(&["--json", "verify", &letter]);
        let mut found: Value = serde_json::from_str(&found.out).expect("JSON");
        found[0]["error"] = found[0]["error"].as_str().expect("words").replace(&letter, "FILE").into();
        check("verify-no-backup", &["verify", "FILE"], None, &[found]);
        let restored = other.json(&["restore", &backup, "board", "--as", "copy"]);
        check("restore-one", &["restore", "FILE", "board", "--as", "copy"], None, &[restored]);
        check("salvage", &["salvage", "FILE", "--alone"], None, &[home.json(&["salvage", &copy, "--alone"])]);
        serving.into_iter().chain(also_serving).for_each(crate::support::Serving::stop);
    }
}

/// A watch says nothing when it begins, so changes are made until it has seen one.
fn watched(home: &Home) -> Value {
    let watching = Process::start(home.command(&["--json", "watch", "board/tasks"]));
    let mut line = None;
    wait_for("a change to be told", || {
        home.json(&["map", "put", "board/other", "not", "this"]);
        home.json(&["map", "put", "board/tasks", "t1", "1"]);
        line = watching.line_within(std::time::Duration::from_millis(200));
        line.is_some()
    });
    watching.kill();
    serde_json::from_str(&line.expect("it was told")).expect("JSON")
}

#[test]
fn a_watch_prints_its_shape_and_leaves_the_node_to_others() {
    let home = Home::with_space("board");
    check("watch", &["watch", "board/tasks"], None, &[watched(&home)]);
    let serving = home.serve(&[]);
    check("watch", &["watch", "board/tasks"], None, &[watched(&home)]);
    serving.stop();
}

#[test]
fn every_command_has_a_fixture_and_every_fixture_a_command() {
    let named: BTreeSet<String> = SCRIPT
        .iter()
        .map(|(name, ..)| *name)
        .chain(TOGETHER)
        .chain(ON_FILES)
        .map(|name| format!("{name}.json"))
        .collect();
    let entries = fs::read_dir(folder()).expect("the fixtures");
    let files = entries.map(|entry| entry.expect("readable").file_name().into_string().expect("a name"));
    let files: BTreeSet<String> = files.filter(|name| name.ends_with(".json")).collect();
    assert_eq!(files, named);
    for command in crate::manners::commands(&[]) {
        // Talks to people alone.
        if command == "demo" {
            continue;
        }
        let is_covered = named
            .iter()
            .any(|name| name.strip_prefix(command.as_str()).is_some_and(|rest| rest.starts_with(['.', '-'])));
        assert!(is_covered, "`{command}` has no fixture");
    }
}
