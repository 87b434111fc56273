//! The change feed on the command line: scripts that go on where they were.

use serde_json::{Value, json};

use crate::support::Home;

/// Runs it and gives what it said: its changes as (key, before, after), whether it began anew, and the cursor.
fn feed(home: &Home, more: &[&str]) -> (Vec<(Value, Value, Value)>, bool, String) {
    let page = home.json(&[&["feed", "board/tasks"], more].concat());
    let change = |change: &Value| {
        let side = |side: &str| change[side]["value"].clone();
        (change["key"].clone(), side("before"), side("after"))
    };
    let changes = page["changes"].as_array().expect("a list").iter().map(change).collect();
    (changes, page["anew"] == true, page["cursor"].as_str().expect("a text").to_owned())
}

#[test]
fn a_feed_goes_on_where_it_was_and_begins_anew_when_it_cannot() {
    let home = Home::with_space("board");
    let null = Value::Null;
    home.json(&["map", "put", "board/tasks", "t1", "1"]);
    let (changes, anew, first) = feed(&home, &[]);
    assert_eq!((changes, anew), (vec![(json!("t1"), null.clone(), json!(1))], true));
    home.json(&["map", "put", "board/other", "not", "this"]);
    home.json(&["map", "put", "board/tasks", "t1", "2"]);
    home.json(&["map", "rm", "board/tasks", "t1"]);
    let (changes, anew, second) = feed(&home, &["--since", &first]);
    let told = [(json!("t1"), json!(1), json!(2)), (json!("t1"), json!(2), null)];
    assert_eq!((changes, anew), (told.to_vec(), false));
    assert_eq!(feed(&home, &["--since", &second]), (Vec::new(), false, second.clone()), "nothing since");
    assert_eq!(feed(&home, &["--since", &first]).0.len(), 2, "from any place, as often as wanted");

    // The same through a running node, and in words.
    let serving = home.serve(&[]);
    home.json(&["map", "put", "board/tasks", "t2", "soon"]);
    let text = home.run(&["feed", "board/tasks", "--since", &second]).fine();
    assert!(text.starts_with("tasks\tt2\t-\tsoon\ncursor\t"), "{text}");
    serving.stop();

    let off = home.json(&["feed", "board", "--off"]);
    assert_eq!(off, json!({ "changes": [], "cursor": null }));
    let (changes, anew, _) = feed(&home, &["--since", &second, "--days", "30"]);
    assert_eq!((changes.len(), anew), (1, true), "what was not noted cannot be told");
    let bad = home.run(&["feed", "board", "--since", "17"]);
    assert!(bad.err.contains("`rejoin feed SPACE` prints one"), "{}", bad.err);
}
