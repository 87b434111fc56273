//! Old bytes stay readable: a data directory and two conversations, written once and kept.
//!
//! `tests/fixtures/store-N` is a data directory as a node left it; it must open, verify, show what it held, and sync.
//! `tests/fixtures/wire-N.txt` holds what two engines said to each other, by log replay and by bulk; a peer that says
//! just that must be understood. `tests/fixtures/image-N` is a backup of such a directory; it must be restored, and name the
//! root that it had. The formats have versions of their own. A change of one comes with a fixture of its own beside these:
//! `REJOIN_WRITE_FIXTURES=5 cargo test --test golden wire` (or `store`) writes it (`REJOIN_WRITE_IMAGE=2` a backup), and the
//! older ones stay as long as their version is read or spoken.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use rejoin::core::crdt::{LwwMapView, OrSetView, PnCounterView};
use rejoin::core::engine::{Config, Engine, Event, Input, Now, Output, Role, SessionId, WriteError};
use rejoin::core::identity::Ed25519;
use rejoin::core::store::MemoryStore;
use rejoin::core::{SpaceId, Value};
use rejoin::{Grant, Node, Restore, Space};

/// All stores that were ever kept.
const STORES: [&str; 5] = ["1", "2", "3", "4", "5"];
/// The conversations in versions that are spoken; what is said today is the last.
const WIRES: [&str; 1] = ["3"];

/// Formats of backups, each with the root that its space had.
const IMAGES: [(&str, &str); 1] = [("1", "c93d874416f4d2037b3da7ad49bafa277af0cd45aed04463ffdaeddbc8da3170")];

const LINK: SessionId = SessionId(1);
const NOW: Now = Now { mono_ms: 0, wall_ms: 1_700_000_000_000 };

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn wanted_version() -> Option<String> {
    std::env::var("REJOIN_WRITE_FIXTURES").ok()
}

/// One side of a conversation.
struct Side {
    engine: Engine<MemoryStore>,
    in_sync: bool,
}

impl Side {
    fn new(seed: u8, log_bytes: u64) -> Self {
        let mut config = Config::new(SpaceId([7; 32]));
        config.log_bytes = log_bytes;
        let identity = Box::new(Ed25519::from_seed([seed; 32]));
        let engine = Engine::open(config, identity, MemoryStore::new(), [seed; 32]).expect("an empty store");
        Self { engine, in_sync: false }
    }

    fn write(&mut self, from: i64, to: i64) {
        let (map, set) = (LwwMapView::at("tasks").expect("a path"), OrSetView::at("tags").expect("a path"));
        let count = PnCounterView::at("likes").expect("a path");
        for n in from..to {
            let written = self.engine.write(NOW, |tx| -> Result<(), WriteError> {
                map.put(tx, n % 7, n)?;
                set.insert(tx, format!("tag {n}"))?;
                set.remove(tx, format!("tag {}", n - 2))?;
                count.add(tx, n)
            });
            written.expect("written");
            self.drain();
        }
    }

    fn input(&mut self, input: Input) -> Vec<Vec<u8>> {
        self.engine.handle(NOW, input);
        self.drain()
    }

    fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist(commit) => {
                    let result = self.engine.store_mut().apply(&commit);
                    self.engine.handle(NOW, Input::Persisted { commit: commit.id, result });
                }
                Output::Send { frame, .. } => frames.push(frame),
                Output::Disconnect { reason, .. } => panic!("disconnected: {reason:?}"),
                Output::Event(Event::InSync { .. }) => self.in_sync = true,
                Output::Publish { .. } | Output::Judged { .. } | Output::Event(_) => {}
            }
        }
        frames
    }
}

/// Two replicas that wrote apart, one after having seen the other.
fn pair(log_bytes: u64) -> (Side, Side) {
    let (mut ada, mut bo) = (Side::new(1, log_bytes), Side::new(2, log_bytes));
    ada.write(0, 10);
    converse(&mut ada, &mut bo);
    for side in [&mut ada, &mut bo] {
        side.input(Input::Disconnected { session: LINK });
        side.in_sync = false;
    }
    ada.write(10, 20);
    bo.write(30, 40);
    (ada, bo)
}

/// Lets two sides talk until both are silent, and writes down who said what.
fn converse(ada: &mut Side, bo: &mut Side) -> Vec<(char, Vec<u8>)> {
    let mut said: Vec<(char, Vec<u8>)> = Vec::new();
    bo.input(Input::Connected { session: LINK, role: Role::Responder });
    let mut waiting: std::collections::VecDeque<(char, Vec<u8>)> = ada
        .input(Input::Connected { session: LINK, role: Role::Initiator })
        .into_iter()
        .map(|frame| ('a', frame))
        .collect();
    while let Some((from, frame)) = waiting.pop_front() {
        said.push((from, frame.clone()));
        let (to, name) = if from == 'a' { (&mut *bo, 'b') } else { (&mut *ada, 'a') };
        let answers = to.input(Input::Received { session: LINK, frame });
        waiting.extend(answers.into_iter().map(|frame| (name, frame)));
    }
    said
}

const CONVERSATIONS: [(&str, u64); 2] = [("replay", 1 << 20), ("bulk", 0)];

fn transcript() -> String {
    let mut text = String::new();
    for (name, log_bytes) in CONVERSATIONS {
        let (mut ada, mut bo) = pair(log_bytes);
        writeln!(text, "# {name}").expect("memory");
        for (from, frame) in converse(&mut ada, &mut bo) {
            writeln!(text, "{from} {}", HEXLOWER.encode(&frame)).expect("memory");
        }
        assert!(ada.in_sync && bo.in_sync, "{name}");
    }
    text
}

#[test]
fn what_is_said_on_the_wire_today_is_what_was_said() {
    if let Some(version) = wanted_version() {
        fs::write(fixtures().join(format!("wire-{version}.txt")), transcript()).expect("written");
    }
    let version = WIRES[WIRES.len() - 1];
    let kept = wire(version);
    for (line, (now, then)) in transcript().lines().zip(kept.lines()).enumerate() {
        assert_eq!(
            now,
            then,
            "line {} of the conversation has changed: is it still version {version}?",
            line + 1
        );
    }
    assert_eq!(transcript().lines().count(), kept.lines().count());
}

fn wire(version: &str) -> String {
    fs::read_to_string(fixtures().join(format!("wire-{version}.txt"))).expect("kept")
}

#[test]
fn a_peer_on_the_wire_that_speaks_as_then_is_understood() {
    WIRES.iter().for_each(|version| understands(version));
}

fn understands(version: &str) {
    let kept = wire(version);
    let mut kinds = std::collections::BTreeSet::new();
    for (name, log_bytes) in CONVERSATIONS {
        let section = kept.split("# ").find(|section| section.starts_with(name)).expect("both are there");
        // Bo is real; Ada is a recording.
        let (mut ada, mut bo) = pair(log_bytes);
        bo.input(Input::Connected { session: LINK, role: Role::Responder });
        for line in section.lines().filter_map(|line| line.strip_prefix("a ")) {
            let frame = HEXLOWER.decode(line.as_bytes()).expect("hexadecimal");
            // The highest bit says that it is deflated.
            kinds.insert(frame[0] & 0x7f);
            bo.input(Input::Received { session: LINK, frame });
        }
        converse_silently(&mut ada);
        let map = LwwMapView::at("tasks").expect("a path");
        for n in 0..7 {
            let value = map.get(&bo.engine.reader(), Value::Int(n)).expect("read");
            assert!(value.is_some(), "{name}: what the recording brought is there");
        }
        let known = ada.engine.version_vector();
        assert!(bo.engine.version_vector().covers(&known), "{name}: all of what Ada had written has arrived");
        bo.engine.check().expect("sound");
    }
    assert!(kinds.len() >= 8, "the recordings hold most kinds of messages: {kinds:?}");
}

/// Nothing is left to say.
fn converse_silently(side: &mut Side) {
    assert!(side.drain().is_empty());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("read") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else if path.file_name().is_some_and(|name| name != "lock") {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

async fn listening(path: &Path) -> Node {
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    Node::builder(path).mdns(false).listen([listen]).open().await.expect("opens")
}

/// Two replicas, a removed row, a conflict, every kind of object.
async fn write_store(to: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    let (home, away) = (folder.path().join("ada"), folder.path().join("bo"));
    let (ada, bo) = (listening(&home).await, listening(&away).await);
    let board = ada.create("board").await.expect("created");
    let copied = bo.join(&board.ticket(Grant::Write).await.expect("a ticket")).await.expect("joined");
    copied.counter("likes").add(-3).await.expect("on disk");
    copied.map::<String, i64>("tasks").put("both".into(), 1).await.expect("on disk");
    bo.sync(&copied, &ada.addresses()[0]).await.expect("in sync");
    bo.close().await.expect("closed");
    board.counter("likes").add(8).await.expect("on disk");
    let tasks = board.map::<String, i64>("tasks");
    for (key, value) in [("one", 1), ("two", 2), ("gone", 3)] {
        tasks.put(key.into(), value).await.expect("on disk");
    }
    tasks.remove("gone").await.expect("on disk");
    board.set::<String>("tags").insert("red".into()).await.expect("on disk");
    board.register::<String>("title").put("Board".into()).await.expect("on disk");
    board.multi_register::<String>("mottos").put("Keep going".into()).await.expect("on disk");
    board.flag("open").enable().await.expect("on disk");
    ada.close().await.expect("closed");
    copy(&home, to);
}

async fn assert_contents(board: &Space) {
    board.verify().await.expect("sound");
    assert_eq!(board.counter("likes").get().expect("read"), 5);
    let tasks = board.map::<String, i64>("tasks").entries().expect("read");
    let expected = [("both", 1), ("one", 1), ("two", 2)].map(|(key, value)| (key.to_owned(), value));
    assert_eq!(tasks, expected);
    assert_eq!(board.set::<String>("tags").elements().expect("read"), ["red"]);
    assert_eq!(board.register::<String>("title").get().expect("read").as_deref(), Some("Board"));
    assert_eq!(board.multi_register::<String>("mottos").values().expect("read"), ["Keep going"]);
    assert!(board.flag("open").get().expect("read"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_then_opens_and_syncs() {
    if let Some(version) = wanted_version() {
        write_store(&fixtures().join(format!("store-{version}"))).await;
    }
    for version in STORES {
        opens_and_syncs(version).await;
    }
}

async fn opens_and_syncs(version: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&fixtures().join(format!("store-{version}")), &folder.path().join("old"));
    let old = listening(&folder.path().join("old")).await;
    let board = old.space("board").expect("it is there");
    assert_contents(&board).await;

    let new = listening(&folder.path().join("new")).await;
    let ticket = board.ticket(Grant::Write).await.expect("a ticket");
    let joined = new.join(&ticket).await.expect("joined");
    new.sync(&joined, &old.addresses()[0]).await.expect("in sync");
    assert_contents(&joined).await;
    // It was copied, so it writes under a new id, and its writes arrive.
    board.counter("likes").add(1).confirmed(1, Duration::from_secs(20)).await.expect("the other has it");
    assert_eq!(joined.counter("likes").get().expect("read"), 6);
    old.close().await.expect("closed");
    new.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_then_is_restored() {
    let folder = tempfile::tempdir().expect("a folder");
    if let Ok(version) = std::env::var("REJOIN_WRITE_IMAGE") {
        let newest = STORES.last().expect("there is one");
        copy(&fixtures().join(format!("store-{newest}")), &folder.path().join("old"));
        let old = listening(&folder.path().join("old")).await;
        let board = old.space("board").expect("it is there");
        let saved = board.backup(fixtures().join(format!("image-{version}"))).await.expect("room");
        println!("image {version} has the root {}", saved.about.root);
        old.close().await.expect("closed");
    }
    for (version, root) in IMAGES {
        let node = listening(&folder.path().join(version)).await;
        let image = fixtures().join(format!("image-{version}"));
        let mut restored = node.restore(image, Restore::default(), |_| {}).await.expect("it is sound");
        let (board, saved) = restored.remove(0);
        assert_eq!((board.name(), board.root().expect("read").to_string().as_str()), ("board", root));
        assert_eq!((saved.contents.replicas, saved.about.root.to_string().as_str()), (2, root));
        assert_contents(&board).await;
        node.close().await.expect("closed");
    }
}
