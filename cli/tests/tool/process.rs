//! Signals, locks, kills, commands at the same moment, long paths.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::{Duration, Instant};

use crate::support::{Home, PATIENCE, Process, rejoin, said, wait_for};

const LOCKED: i32 = 5;

#[test]
fn signals_end_a_node_well() {
    let home = Home::with_space("board");
    for name in ["INT", "TERM"] {
        let serving = home.serve(&[]);
        home.json(&["counter", "add", "board/n"]);
        serving.process.signal(name);
        let said = serving.process.finish();
        assert!(said.code == 0 && said.err.is_empty(), "SIG{name}: {said:?}");
        assert!(!home.data().join("rejoin.sock").exists(), "the socket is gone");
        // The lock is free: this would wait for seconds otherwise, and then fail.
        let begin = Instant::now();
        home.json(&["counter", "add", "board/n"]);
        assert!(begin.elapsed() < PATIENCE, "at once");
    }
    assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 4);
    let watching = Process::start(home.command(&["watch", "board"]));
    wait_for("the watch to take commands", || home.data().join("rejoin.sock").exists());
    watching.signal("INT");
    watching.finish().fine();
}

#[test]
fn a_second_node_on_a_directory_is_told_who_has_it() {
    let home = Home::with_space("board");
    let serving = home.serve(&[]);
    let process = format!("process {}", serving.process.id());
    home.refused(&["serve", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"], LOCKED, &process);
    assert_eq!(home.json(&["counter", "add", "board/n"])["value"], 1, "the first goes on");
    serving.stop();
}

#[test]
fn a_killed_node_is_started_again() {
    let home = Home::with_space("board");
    for round in 1..=3 {
        let serving = home.serve(&[]);
        assert_eq!(home.json(&["counter", "add", "board/n"])["value"], round);
        serving.process.kill();
        let socket = home.data().join("rejoin.sock");
        assert!(socket.exists(), "a kill leaves the socket behind");
        assert_eq!(home.json(&["counter", "get", "board/n"])["value"], round, "which is in nobody's way");
    }
    // Nor is a plain file of that name.
    std::fs::remove_file(home.data().join("rejoin.sock")).expect("left behind");
    std::fs::write(home.data().join("rejoin.sock"), "").expect("written");
    home.json(&["counter", "get", "board/n"]);
    home.serve(&[]).stop();
}

#[test]
fn commands_at_the_same_moment_wait_for_each_other() {
    let home = Home::with_space("board");
    let all: Vec<Process> =
        (0..6).map(|_| Process::start(home.command(&["counter", "add", "board/n"]))).collect();
    for one in all {
        one.finish().fine();
    }
    assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 6);
    let serving = home.serve(&[]);
    let all: Vec<Process> =
        (0..12).map(|_| Process::start(home.command(&["counter", "add", "board/n"]))).collect();
    for one in all {
        one.finish().fine();
    }
    assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 18);
    serving.stop();
}

#[test]
fn what_starts_while_a_command_holds_the_directory_waits_for_it() {
    let home = Home::with_space("board");
    // Nobody can confirm, so this holds the directory for as long as it waits.
    let holds = || {
        let holding =
            Process::start(home.command(&["--confirm", "1", "--within", "1", "counter", "add", "board/n"]));
        wait_for("the lock to be held", || {
            std::fs::read(home.data().join("lock")).is_ok_and(|pid| !pid.is_empty())
        });
        holding
    };
    let holding = holds();
    assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 1);
    assert_eq!(holding.finish().code, 3);
    let holding = holds();
    let serving = home.serve(&[]);
    assert_eq!(holding.finish().code, 3);
    assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 2);
    serving.stop();
}

#[test]
fn a_very_long_path_works_however_it_is_written() {
    let home = Home::empty();
    let mut data = home.folder().to_owned();
    (0..4).for_each(|_| data.push("a-folder-with-a-rather-long-name-for-a-folder"));
    let home = home.at(data.clone());
    home.json(&["new", "board"]);
    let serving = home.serve(&[]);
    assert_eq!(home.json(&["counter", "add", "board/n"])["value"], 1);
    // The same directory by a short name.
    let mut relative = rejoin();
    let name = data.file_name().expect("it has one");
    relative
        .current_dir(data.parent().expect("it has one"))
        .arg("--data")
        .arg(name)
        .args(["counter", "add", "board/n"]);
    let begin = Instant::now();
    assert_eq!(said(relative).fine(), "2\n");
    assert!(begin.elapsed() < PATIENCE);
    home.refused(&["serve", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"], LOCKED, "process ");
    serving.stop();
    assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 2);
}

#[test]
fn secrets_are_for_their_owner_only() {
    let home = Home::with_space("board");
    let serving = home.serve(&[]);
    let socket = home.data().join("rejoin.sock");
    assert!(std::fs::metadata(&socket).expect("it is there").file_type().is_socket());
    for file in [socket, home.data().join("device.key"), home.file()] {
        let mode = std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    serving.stop();
}

#[test]
fn the_data_directory_comes_from_the_environment_too() {
    let home = Home::with_space("board");
    let mut command = rejoin();
    command.env("REJOIN_DATA", home.data()).args(["counter", "add", "board/n"]);
    assert_eq!(said(command).fine(), "1\n");
    let mut command = rejoin();
    command.env_remove("HOME").env_remove("APPDATA").arg("status");
    said(command).refused(1, "--data DIR");
    let mut command = rejoin();
    command.env("HOME", home.folder()).args(["new", "plan"]);
    said(command).fine();
    assert!(home.folder().join(".local/share/rejoin/spaces").is_dir());
}

#[test]
fn a_node_that_goes_away_ends_a_watch() {
    let home = Home::with_space("board");
    let serving = home.serve(&[]);
    let watching = Process::start(home.command(&["watch", "board"]));
    wait_for("the watch to begin", || {
        home.json(&["counter", "add", "board/n"]);
        watching.line_within(Duration::from_millis(200)).is_some()
    });
    serving.process.kill();
    let said = watching.finish();
    assert!(said.code == 1 && said.err.contains("the running node went away"), "{said:?}");
}

#[test]
fn a_connection_may_ask_ahead() {
    let home = Home::with_space("board");
    let serving = home.serve(&[]);
    let mut socket =
        std::os::unix::net::UnixStream::connect(home.data().join("rejoin.sock")).expect("it answers");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time");
    // The second question is there before the first is answered.
    let question = "{\"args\":[\"counter\",\"add\",\"board/n\"]}\n";
    std::io::Write::write_all(&mut socket, question.repeat(20).as_bytes()).expect("it reads");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(socket)).take(20);
    let answers: Vec<String> = lines.map(|line| line.expect("an answer")).collect();
    assert!(answers[19].contains("\"value\":20"), "{answers:?}");
    serving.stop();
}
