//! What lasts for a while only: rows with a time to live, and who is here.

use serde_json::{Value, json};

use crate::support::{Home, wait_for};

#[test]
fn rows_go_when_their_time_is_over() {
    let home = Home::with_space("board");
    home.json(&["map", "put", "board/codes", "ada", "4711", "--ttl", "1"]);
    home.json(&["map", "put", "board/codes", "bo", "17", "--ttl", "3600"]);
    home.json(&["set", "add", "board/online", "ada", "--ttl", "0"]);
    assert_eq!(home.json(&["set", "ls", "board/online"]), json!([]));
    home.json(&["register", "put", "board/mark", "x", "--ttl", "3600"]);
    assert_eq!(home.json(&["register", "get", "board/mark"])["value"], "x");
    wait_for("it", || home.json(&["map", "ls", "board/codes"]) == json!([{ "key": "bo", "value": 17 }]));
    let gone = home.run(&["map", "get", "board/codes", "ada"]);
    assert!(gone.err.contains("there is nothing at"), "{}", gone.err);
    home.json(&["verify"]);
}

#[test]
fn two_that_serve_see_each_other() {
    let (home, away) = (Home::with_space("board"), Home::empty());
    let serving = home.serve(&[]);
    let ticket = home.json(&["ticket", "board"])["ticket"].as_str().expect("a ticket").to_owned();
    away.json(&["join", &ticket]);
    let other = away.serve(&["--peer", &serving.address]);
    assert_eq!(home.json(&["here", "board", "--set", r#"{"name":"Ada"}"#]), json!([]));
    let seen = |home: &Home| -> Vec<Value> {
        let here = home.json(&["here", "board"]);
        here.as_array().expect("a list").iter().map(|here| here["value"].clone()).collect()
    };
    away.json(&["here", "board", "--set", "Bo"]);
    wait_for("it", || seen(&home) == [json!("Bo")] && seen(&away) == [json!({ "name": "Ada" })]);
    let text = home.run(&["here", "board"]).fine();
    assert!(text.starts_with("Bo\t"), "{text}");
    home.json(&["here", "board", "--clear"]);
    wait_for("it", || seen(&away).is_empty());
    other.stop();
    wait_for("it", || seen(&home).is_empty());
    serving.stop();
    assert_eq!(home.json(&["here", "board"]), json!([]), "nobody is here where nobody serves");
}
