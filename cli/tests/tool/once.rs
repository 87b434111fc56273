//! Acts that are asked for again after a crash, and tokens that are carried from device to device.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Home, Process, Random, wait_for};

const NOT_IN_TIME: i32 = 3;
const USAGE: i32 = 2;

fn get(home: &Home) -> Value {
    home.json(&["counter", "get", "board/n"])["value"].clone()
}

#[test]
fn a_node_that_is_killed_between_commit_and_answer_counts_once() {
    let home = Home::with_space("board");
    let serving = home.serve(&[]);
    let add = ["counter", "add", "board/n", "5", "--once", "order-17"];
    let lines = b"{\"counter\":\"n\",\"add\":7}\n{\"list\":\"steps\",\"push\":\"paid\"}\n";
    let file = home.folder().join("acts");
    std::fs::write(&file, lines).expect("written");
    let file = file.to_str().expect("text");
    let batch = ["batch", "board", file, "--once", "order-18"];
    // Nobody can confirm it, so it is committed, and the answer waits.
    let slow = ["--confirm", "1", "--within", "60"];
    let asking = [&add[..], &batch[..]].map(|act| Process::start(home.command(&[&slow[..], act].concat())));
    wait_for("both to be shown", || get(&home) == 12);
    // What is written later is on the disk no sooner.
    home.json(&["counter", "add", "board/other"]);
    serving.process.kill();
    for asked in asking {
        assert_ne!(asked.finish().code, 0, "no answer");
    }
    // Asked again, without a node and with one.
    let again = home.json(&add);
    assert_eq!((&again["value"], &again["done_before"]), (&12.into(), &true.into()));
    let serving = home.serve(&[]);
    assert_eq!(home.json(&batch)["done_before"], true);
    assert_eq!(home.json(&batch)["acts"], 0);
    assert_eq!(
        (get(&home), home.json(&["list", "ls", "board/steps"]).as_array().map(Vec::len)),
        (12.into(), Some(1))
    );
    // Another key is another act; none is none.
    let other = home.json(&["counter", "add", "board/n", "5", "--once", "order-19"]);
    assert_eq!((&other["value"], &other["done_before"]), (&17.into(), &false.into()));
    assert_eq!(home.json(&["counter", "add", "board/n", "5"])["value"], 22);
    assert_eq!(home.json(&["forget-once", "board", "--days", "30"])["forgotten"], 0);
    // Three records, and what the counter kept for three keys.
    assert_eq!(home.json(&["forget-once", "board", "--days", "0"])["forgotten"], 6);
    assert_eq!(get(&home), 22, "what they did stays");
    serving.stop();
    home.json(&["verify"]);
}

#[test]
fn whoever_asks_until_there_is_an_answer_is_counted_once_wherever_a_kill_hits() {
    let home = Home::with_space("board");
    let mut random = Random(17);
    for round in 0..8_i64 {
        let key = format!("order-{round}");
        let add = ["counter", "add", "board/n", "1", "--once", &key];
        for _ in 0..3 {
            let mut asking = Process::start(home.command(&add));
            std::thread::park_timeout(Duration::from_millis(random.below(120) as u64));
            if asking.has_ended() {
                break;
            }
            asking.kill();
        }
        assert_eq!(home.json(&add)["value"], round + 1);
    }
}

#[test]
fn a_token_is_waited_for_on_another_device() {
    let (ada, bo) = (Home::with_space("board"), Home::empty());
    let serving = ada.serve(&[]);
    let ticket = ada.json(&["ticket", "board"])["ticket"].as_str().expect("text").to_owned();
    bo.json(&["join", &ticket]);
    let said = ada.run(&["counter", "add", "board/n", "5", "--token"]).fine();
    let (value, token) = said.trim().split_once('\n').expect("the answer and the token");
    assert_eq!((value, token), ("5", ada.run(&["token", "board"]).fine().trim()));
    // Without a network nothing can arrive: that is told at once, with what is missing.
    let missing = ["--after", token, "counter", "get", "board/n"];
    bo.refused(&missing, NOT_IN_TIME, "not seen here after 0 s: change 1 of ");
    let other = bo.serve(&["--peer", &serving.address]);
    assert_eq!(bo.run(&missing).fine(), "5\n");
    other.stop();
    assert_eq!(bo.run(&missing).fine(), "5\n", "seen is seen");
    serving.stop();
    let bad = bo.run(&["--after", "x", "counter", "get", "board/n"]);
    assert!(bad.code == USAGE && bad.err.contains("`rejoin token SPACE` prints one"), "{bad:?}");
    bo.refused(&["--after", token, "spaces"], USAGE, "not about one space");
}
