//! What a person gets wrong. Each time: one line that says what to do, the right exit code, and nothing lost.

use std::net::TcpListener;

use serde_json::json;

use crate::support::{Home, Process, rows};

const ERROR: i32 = 1;
const USAGE: i32 = 2;
const NOT_CONFIRMED: i32 = 3;

#[test]
fn a_wrong_ticket_says_how_it_is_wrong() {
    let (ada, bo) = (Home::with_space("board"), Home::empty());
    let ticket = ada.run(&["ticket", "board"]).fine().trim().to_owned();
    bo.refused(&["join", "garbage"], ERROR, "a ticket begins with `rejoin:`");
    bo.refused(&["join", ""], ERROR, "a ticket begins with `rejoin:`");
    for cut in [8, 20, ticket.len() / 2, ticket.len() - 1] {
        let missing = format!("missing at its end: {}", ticket.len() - cut);
        let words = if cut < 11 { "cut off" } else { &missing };
        bo.refused(&["join", &ticket[..cut]], ERROR, words);
    }
    for at in (14..ticket.len()).step_by(9) {
        let other = if ticket[at..].starts_with('a') { "b" } else { "a" };
        let changed = [&ticket[..at], other, &ticket[at + 1..]].concat();
        bo.refused(&["join", &changed], ERROR, "copy it again");
    }
    bo.refused(&["join", &format!("{ticket}aaaaaaaa")], ERROR, "copy it again");
    // The first byte is the version: 2 instead of 1.
    let newer = ticket.replacen("rejoin:ae", "rejoin:ai", 1);
    assert_ne!(newer, ticket);
    bo.refused(&["join", &newer], ERROR, "update it to join");
    assert_eq!(bo.json(&["spaces"]), json!([]), "nothing was joined");
    assert_eq!(bo.run(&["join", &ticket.to_ascii_uppercase()]).fine(), "board\n");
    assert_eq!(bo.run(&["join", &ticket]).fine(), "board\n", "again is no error");
}

#[test]
fn a_wrong_file_is_not_imported_at_all() {
    let home = Home::with_space("board");
    home.json(&["map", "put", "board/m", "before", "1"]);
    let file = home.folder().join("file");
    let name = file.to_str().expect("text").to_owned();
    home.refused(&["import", "board/m", &name], ERROR, "No such file");
    home.refused(&["import", "board/m", home.folder().to_str().expect("text")], ERROR, "cannot read");
    let good = rows(0..3000, 8);
    let long_key = format!("{{\"key\":\"{}\",\"value\":1}}\n", "k".repeat(1100));
    let long_value = format!("{{\"key\":\"k\",\"value\":\"{}\"}}\n", "v".repeat(300 * 1024));
    let deep = format!("{{\"key\":\"k\",\"value\":{}1{}}}\n", "[".repeat(40), "]".repeat(40));
    for (bad, words) in [
        ("not json\n", "it is no JSON object"),
        ("[1,2]\n", "it is no JSON object"),
        ("{\"key\":1}\n", "it is not {\"key\": .., \"value\": ..}"),
        ("{\"key\":1,\"value\":2,\"more\":3}\n", "it is not {\"key\": .., \"value\": ..}"),
        ("{\"key\":1 \"value\":2}\n", "at character 10"),
        ("{\"key\":18446744073709551615,\"value\":2}\n", "store a larger one as text"),
        (long_key.as_str(), "keep long data in the value"),
        (long_value.as_str(), "keep it outside"),
        (deep.as_str(), "nest at most 32 deep"),
    ] {
        std::fs::write(&file, [&good, bad, &good].concat()).expect("written");
        let said = home.refused(&["import", "board/m", &name], ERROR, words);
        assert!(said.contains("line 3001 ") && said.contains("nothing was written"), "{said}");
    }
    std::fs::write(&file, b"\xff\xfe\x00").expect("written");
    home.refused(&["import", "board/m", &name], ERROR, "UTF-8");
    std::fs::write(&file, format!("{{\"a\":1,\"b\":{{\"c\":{}}}}}", u64::MAX)).expect("written");
    home.refused(&["import", "board/m", &name], ERROR, "the value at \"b\"");
    std::fs::write(&file, "[{\"key\":1,\"value\":2}]").expect("written");
    home.refused(&["import", "board/m", &name], ERROR, "line 1 ");
    assert_eq!(home.json(&["export", "board/m"]), json!({ "before": 1 }));
}

#[test]
fn what_is_not_there_is_named() {
    let home = Home::empty();
    home.refused(&["map", "get", "board/m", "k"], ERROR, "there is no space `board` here; there is none yet");
    home.json(&["new", "board"]);
    home.refused(&["map", "get", "bord/m", "k"], ERROR, "there is no space `bord` here; there is board");
    home.refused(&["map", "get", "board/m", "k"], ERROR, "there is nothing at board/m k");
    home.refused(&["register", "get", "board/r"], ERROR, "there is nothing at board/r");
    home.refused(&["export", "board/m"], ERROR, "there is nothing at board/m");
    home.refused(&["map", "ls", "board"], USAGE, "write SPACE/PATH, such as board/tasks");
    for path in ["board/", "board//x", "board/x/", "board/a//b"] {
        home.refused(&["counter", "add", path], ERROR, "a path is one or more non-empty names");
    }
    for command in ["ticket", "ls", "export", "watch", "verify"] {
        home.refused(&[command, "nowhere"], ERROR, "there is no space `nowhere`");
    }
    for name in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
        home.refused(&["new", name], ERROR, "use 1 to 64 letters");
    }
    home.refused(&["new", "board"], ERROR, "choose another name");
    assert_eq!(home.json(&["status"])["spaces"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_is_too_long_is_refused_before_anything_is_written() {
    let home = Home::with_space("board");
    let long = "x".repeat(1100);
    home.refused(&["set", "add", "board/s", &long], ERROR, "keep long data in the value");
    home.refused(&["map", "put", "board/m", &long, "1"], ERROR, "keep long data in the value");
    let path = format!("board/{long}");
    home.refused(&["counter", "add", &path], ERROR, "1024 bytes");
    let value = "v".repeat(100 * 1024);
    let list = format!("[{0:?},{0:?},{0:?}]", value);
    let acts = format!("{{\"map\":\"m\",\"put\":\"k\",\"value\":{list}}}\n");
    home.run_with(&["batch", "board"], acts.as_bytes()).refused(ERROR, "keep it outside");
    let acts: String =
        (0..4500).map(|n| format!("{{\"map\":\"m\",\"put\":\"k{n}\",\"value\":\"{n:0>300}\"}}\n")).collect();
    home.run_with(&["batch", "board"], acts.as_bytes()).refused(ERROR, "split it");
    for (bad, words) in [
        ("{\"map\":\"m\",\"put\":\"a\",\"value\":1}\n{\"map\":\"m\"}\n", "line 2 cannot be done"),
        ("{\"map\":\"m\",\"put\":\"a\",\"value\":1}\nnonsense\n", "line 2 cannot be done"),
        ("{\"counter\":\"c\",\"add\":1.5}\n", "line 1 cannot be done"),
        ("{\"counter\":\"c\",\"set\":\"s\",\"add\":1}\n", "line 1 cannot be done"),
        // The field that is to blame is named.
        (
            "{\"map\":\"m\",\"put\":\"a\",\"valeu\":1}\n",
            "line 1 cannot be done: `valeu` is no field of a map",
        ),
        ("\n{\"cuonter\":\"c\",\"add\":1}\n", "line 2 cannot be done: `cuonter` is no field of any act"),
        ("{\"add\":1}\n", "no object is named by one of map, set, counter"),
        ("{\"map\":\"m\",\"put\":\"a\"}\n", "a map takes `put` and `value`, or `rm`"),
        ("{\"map\":\"m\",\"put\":\"a\",\"value\":1,\"rm\":\"a\"}\n", "and nothing else"),
        ("{\"set\":7,\"add\":1}\n", "`set` is to be a path"),
        ("{\"counter\":\"c\",\"add\":\"1\"}\n", "`add` of a counter is to be a whole number"),
        ("{\"set\":\"s\",\"map\":\"m\",\"rm\":1}\n", "both a map and a set"),
        ("[1]\n", "no JSON object"),
    ] {
        home.run_with(&["batch", "board"], bad.as_bytes()).refused(ERROR, words);
    }
    assert_eq!(home.json(&["ls", "board"]), json!([]), "not one row");
    home.json(&["verify"]);
}

#[test]
fn nobody_there_to_confirm_is_told_in_time_and_the_change_stays() {
    let home = Home::with_space("board");
    let add = ["--confirm", "1", "--within", "1", "counter", "add", "board/n"];
    home.refused(&add, NOT_CONFIRMED, "0 of 1 devices have it after 1 s; the change is kept");
    let serving = home.serve(&[]);
    home.refused(&add, NOT_CONFIRMED, "0 of 1 devices have it after 1 s; the change is kept");
    // A trim is several transactions, and waits for the last one.
    home.json(&["log", "append", "board/l", "one"]);
    let trim = ["--confirm", "1", "--within", "1", "log", "trim", "board/l", "--keep", "0"];
    home.refused(&trim, NOT_CONFIRMED, "0 of 1 devices have it after 1 s; the change is kept");
    serving.stop();
    assert_eq!(home.json(&["counter", "get", "board/n"])["value"], 2);
    assert_eq!(home.json(&["log", "ls", "board/l"]), json!([]));
}

#[test]
fn a_port_in_use_is_told() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}");
    let home = Home::with_space("board");
    home.refused(&["serve", "--no-mdns", "--listen", &address], ERROR, "choose another port");
    home.json(&["counter", "add", "board/n"]);
    drop(listener);
    // Nodes share ports with themselves; two of them must not.
    let (ada, quick) = (Home::empty(), "/ip4/127.0.0.1/udp/0/quic-v1");
    let serving = ada.serve(&["--listen", quick]);
    let taken = format!("/ip4/127.0.0.1/tcp/{}", serving.port());
    home.refused(&["serve", "--no-mdns", "--listen", &taken], ERROR, "choose another port");
    let addresses = ada.json(&["status"])["addresses"].clone();
    let udp = addresses.as_array().and_then(|all| {
        all.iter().find_map(|address| {
            address.as_str().filter(|address| address.contains("/udp/")).map(str::to_owned)
        })
    });
    home.refused(
        &["serve", "--no-mdns", "--listen", &udp.expect("it listens there")],
        ERROR,
        "choose another port",
    );
    serving.stop();
    for nonsense in ["localhost:80", "/ip4/1.2.3/tcp/1", "/ip4/127.0.0.1/tcp/99999"] {
        let said = home.run(&["serve", "--listen", nonsense]);
        assert_eq!(said.code, USAGE, "{said:?}");
    }
    for unsupported in ["/ip4/127.0.0.1", "/memory/1"] {
        home.refused(&["serve", "--no-mdns", "--listen", unsupported], ERROR, "cannot listen on");
    }
}

#[test]
fn a_peer_that_is_not_there_is_told() {
    let (ada, bo) = (Home::with_space("board"), Home::with_space("other"));
    let port = TcpListener::bind(("127.0.0.1", 0)).expect("a free port").local_addr().expect("bound").port();
    let nobody = format!("/ip4/127.0.0.1/tcp/{port}");
    ada.refused(&["sync", "board", &nobody], ERROR, "is a node listening there?");
    let serving = bo.serve(&[]);
    ada.refused(&["sync", "board", &serving.address], ERROR, "does it hold this space?");
    // The right place, and another peer than the one that was meant.
    let stranger = ada.json(&["init"])["id"].as_str().expect("an id").to_owned();
    let wrong = format!("/ip4/127.0.0.1/tcp/{}/p2p/{stranger}", serving.port());
    let other = Home::with_space("board");
    let said = other.refused(&["sync", "board", &wrong], ERROR, "cannot reach");
    assert!(said.len() < 400, "{said}");
    serving.stop();
}

#[test]
fn a_data_directory_that_is_none_is_told() {
    let home = Home::empty();
    let file = home.folder().join("file");
    std::fs::write(&file, "mine").expect("written");
    let home = home.at(file.clone());
    for command in [&["status"][..], &["new", "board"], &["serve", "--no-mdns"]] {
        home.refused(command, ERROR, "Not a directory");
    }
    assert_eq!(std::fs::read(&file).expect("read"), b"mine");
}

#[test]
fn a_directory_with_a_name_that_is_no_text_works() {
    use std::os::unix::ffi::OsStrExt;
    let home = Home::empty();
    let data = home.folder().join(std::ffi::OsStr::from_bytes(b"na\xffme"));
    let home = home.at(data);
    assert_eq!(home.json(&["new", "board"])["name"], "board");
    let serving = home.serve(&[]);
    assert_eq!(home.json(&["counter", "add", "board/n"])["value"], 1);
    serving.stop();
    let mut command = crate::support::rejoin();
    command.args(["map", "put", "board/m", "k"]).arg(std::ffi::OsStr::from_bytes(b"\xff"));
    assert_eq!(Process::start(command).finish().code, USAGE);
}

#[test]
fn a_damaged_key_is_told_and_kept() {
    let home = Home::with_space("board");
    let key = home.data().join("device.key");
    let secret = std::fs::read(&key).expect("read");
    std::fs::write(&key, &secret[..31]).expect("written");
    home.refused(&["status"], ERROR, "restore it from a backup");
    assert_eq!(std::fs::read(&key).expect("read"), &secret[..31]);
    std::fs::write(&key, &secret).expect("written");
    home.json(&["counter", "add", "board/n"]);
}
