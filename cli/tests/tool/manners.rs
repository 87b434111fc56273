//! Help, values, standard input, pipes.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Home, Process, rejoin, rows, said, wait_for};

fn help(words: &[&str]) -> String {
    let mut command = rejoin();
    command.args(words).arg("--help");
    said(command).fine()
}

/// The commands that the help of a command lists.
pub(crate) fn commands(words: &[&str]) -> Vec<String> {
    let help = help(words);
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    listed
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn help_reads_well() {
    let all = commands(&[]);
    assert!(all.len() >= 19, "{all:?}");
    for command in &all {
        let inner = commands(&[command]);
        let mut pages = vec![vec![command.as_str()]];
        pages.extend(inner.iter().map(|inner| vec![command.as_str(), inner]));
        for page in pages {
            let text = help(&page);
            let about = text.lines().next().unwrap_or_default();
            assert!(
                about.len() > 8 && about.len() <= 110,
                "`{}` says what it does in a line: {about}",
                page.join(" ")
            );
            let arguments = text
                .lines()
                .skip_while(|line| *line != "Arguments:")
                .skip(1)
                .take_while(|line| !line.is_empty());
            for argument in arguments {
                let words = argument.split_whitespace().count();
                assert!(words > 1, "`{}` explains {argument}", page.join(" "));
            }
        }
    }
    let top = help(&[]);
    for code in ["0 done", "1 error", "2 usage", "3 not confirmed in time", "4 damage found", "5 locked"] {
        assert!(top.contains(code), "the exit codes are told: {code}");
    }
}

#[test]
fn help_is_fast() {
    let time = |_| {
        let begin = Instant::now();
        help(&[]);
        begin.elapsed()
    };
    let best = (0..5).map(time).min().expect("five");
    println!("rejoin --help: {} ms at best of 5", best.as_millis());
    assert!(best < Duration::from_millis(500), "{best:?}");
}

#[test]
fn a_near_miss_is_named() {
    let said = Home::empty().run(&["cuonter"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(said.err.contains("counter"), "{}", said.err);
}

#[test]
fn negative_numbers_and_bare_words_are_taken() {
    let home = Home::with_space("board");
    for (arguments, value) in [
        (&["counter", "add", "board/x", "-3"][..], json!(-3)),
        (&["counter", "add", "--", "board/x", "-3"], json!(-6)),
        (&["counter", "add", "board/x", "--", "-3"], json!(-9)),
        (&["counter", "add", "board/x"], json!(-8)),
        (&["register", "put", "board/r", "-"], json!("-")),
        (&["register", "put", "board/r", "-1.5"], json!(-1.5)),
        (&["register", "put", "board/r", "--", "--json"], json!("--json")),
        (&["map", "put", "board/m", "k", "-"], json!("-")),
        (&["map", "put", "board/m", "k", "-x"], json!("-x")),
        (&["map", "put", "board/m", "k", "two words"], json!("two words")),
        (&["map", "put", "board/m", "k", "\"7\""], json!("7")),
        (&["map", "put", "board/m", "k", "7"], json!(7)),
        (&["map", "put", "board/m", "k", "null"], json!(null)),
        (&["map", "put", "board/m", "k", "{broken"], json!("{broken")),
        (&["map", "put", "board/m", "", "é"], json!("é")),
    ] {
        assert_eq!(home.json(arguments)["value"], value, "{arguments:?}");
    }
    assert_eq!(home.run(&["map", "get", "board/m", "k"]).fine(), "{broken\n");
    home.json(&["map", "put", "board/m", "k", "null"]);
    assert_eq!(home.run(&["map", "get", "board/m", "k"]).fine(), "null\n");
}

#[test]
fn words_that_look_like_options_go_through_a_running_node_too() {
    let home = Home::with_space("board");
    let serving = home.serve(&[]);
    for word in ["--json", "--data", "--within", "--"] {
        assert_eq!(home.json(&["register", "put", "board/r", "--", word])["value"], word);
    }
    let said = home.run(&["counter", "add", "--json", "board/x", "-3"]);
    assert_eq!(said.json(), json!({ "value": -3 }));
    serving.stop();
}

#[test]
fn standard_input_is_read_at_a_dash() {
    let home = Home::with_space("board");
    let lines = home.run_with(&["import", "board/m", "-"], rows(0..5000, 10).as_bytes());
    assert_eq!(lines.fine(), "5000\n");
    let object = home.run_with(&["--json", "import", "board/o", "-"], b" {\"a\": 1}\n").json();
    assert_eq!(object, json!({ "rows": 1, "transactions": 1 }));
    let nothing = home.run_with(&["--json", "import", "board/o", "-"], b"").json();
    assert_eq!(nothing, json!({ "rows": 0, "transactions": 0 }));
    let acts = home.run_with(&["batch", "board", "-"], b"{\"counter\":\"n\",\"add\":2}\n");
    assert_eq!(acts.fine(), "1\n");
    assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 2);
}

#[test]
fn large_numbers_of_a_few_letters_fit_into_transactions() {
    // Nine bytes each in a row, two in JSON: what counts is the former.
    let home = Home::with_space("board");
    let list = format!("[{}1]", "1,".repeat(9999));
    let lines: String = (0..60).map(|n| format!("{{\"key\":{n},\"value\":{list}}}\n")).collect();
    assert_eq!(home.run_with(&["import", "board/m", "-"], lines.as_bytes()).fine(), "60\n");
}

/// Runs a command whose reader goes away at once.
fn cut_short(mut command: Command) {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
    drop(child.stdout.take());
    wait_for("the command to end", || child.try_wait().expect("it is ours").is_some());
    let mut err = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
    assert_eq!(err, "");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::with_space("board");
    home.run_with(&["import", "board/m", "-"], rows(0..3000, 40).as_bytes()).fine();
    let mut top = rejoin();
    top.arg("--help");
    cut_short(top);
    cut_short(home.command(&["export", "board"]));
    let serving = home.serve(&[]);
    cut_short(home.command(&["map", "ls", "board/m"]));
    serving.stop();
}

#[test]
fn a_watch_ends_with_its_reader() {
    let home = Home::with_space("board");
    let watch_until_told = || {
        let mut child = home.command(&["watch", "board"]).spawn().expect("the binary runs");
        drop(child.stdout.take());
        wait_for("the watch to end", || {
            home.json(&["counter", "add", "board/n"]);
            child.try_wait().expect("it is ours").is_some()
        });
        child.wait().expect("it has ended").code()
    };
    assert_eq!(watch_until_told(), Some(0), "alone");
    let serving = home.serve(&[]);
    assert_eq!(watch_until_told(), Some(0), "through a running node");
    serving.stop();
}

#[test]
fn serve_goes_on_when_nobody_reads_its_addresses() {
    let home = Home::with_space("board");
    let arguments = [
        "serve",
        "--no-mdns",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        "--listen",
        "/ip4/127.0.0.1/udp/0/quic-v1",
    ];
    let mut command = home.command(&arguments);
    command.stdout(Stdio::from(closed_pipe()));
    let mut child = command.spawn().expect("the binary runs");
    wait_for("it to answer", || {
        let status = home.run(&["--json", "status"]);
        status.code == 0
            && status.json()["addresses"].as_array().is_some_and(|addresses| addresses.len() == 2)
    });
    assert!(child.try_wait().expect("it is ours").is_none(), "it runs");
    crate::support::signal(child.id(), "INT");
    wait_for("it to end", || child.try_wait().expect("it is ours").is_some());
    assert_eq!(child.wait().expect("it has ended").code(), Some(0));
}

/// The writing end of a pipe that nobody reads.
fn closed_pipe() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer
}

#[test]
fn colour_is_nobodys_business() {
    let home = Home::with_space("board");
    for variable in ["NO_COLOR", "CLICOLOR_FORCE"] {
        let mut command = home.command(&["status"]);
        command.env(variable, "1");
        let said = Process::start(command).finish().fine();
        assert!(!said.contains('\u{1b}'), "{variable}: {said:?}");
    }
}
