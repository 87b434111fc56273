//! A read model in SQLite whose process is killed a hundred times while it follows a space: it never begins anew, and what it
//! holds is at any time what a fresh fold of the same space gives.
//!
//! Not under the test harness, since the program starts itself: `cargo test --test projection`. `REJOIN_PROJECTION_KILLS`
//! says how often.

#[path = "../examples/read_model/tasks.rs"]
mod tasks;

use std::env;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rejoin::core::row::Kind;
use rejoin::{Node, Scope, Space};
use rusqlite::Connection;
use tasks::{Task, Tasks};

/// The folder that a started copy works in.
const FOLDER: &str = "REJOIN_PROJECTION_FOLDER";

fn scope() -> Scope {
    Scope::Object(Kind::LWW_MAP, "tasks".into())
}

fn model(folder: &Path) -> Tasks {
    Tasks::open(Connection::open(folder.join("model.sqlite")).expect("a database")).expect("a schema")
}

async fn node(folder: &Path) -> Node {
    Node::builder(folder.join("node")).offline(true).open().await.expect("it opens")
}

/// Numbers without a pattern, from a seed.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Writes and follows until it is killed.
async fn work(folder: &Path) {
    let node = node(folder).await;
    let board = node.space("board").expect("it was made");
    let writer = board.clone();
    let mut state = u64::from(std::process::id());
    tokio::spawn(async move {
        let map = writer.map::<String, Task>("tasks");
        loop {
            let id = format!("t{}", draw(&mut state) % 40);
            let task = Task {
                owner: format!("o{}", draw(&mut state) % 5),
                done: draw(&mut state).is_multiple_of(3),
            };
            let commit = if draw(&mut state).is_multiple_of(4) { map.remove(&id) } else { map.put(id, task) };
            // Some wait for the disk, others pile up in one commit.
            if draw(&mut state).is_multiple_of(2) {
                commit.await.expect("room");
            } else {
                commit.detach().expect("written");
            }
        }
    });
    board.project(scope(), &mut model(folder)).await.expect("it follows");
}

/// What the model holds once it is level, against a fold from nothing and against the map itself.
async fn check(space: &Space, folder: &Path) -> i64 {
    let (mut kept, mut fresh) =
        (model(folder), Tasks::open(Connection::open_in_memory().expect("memory")).expect("one"));
    space.project_now(scope(), &mut kept).await.expect("it catches up");
    space.project_now(scope(), &mut fresh).await.expect("it folds");
    assert_eq!(kept.all().expect("read"), fresh.all().expect("read"));
    assert_eq!(kept.open_by_owner().expect("read"), fresh.open_by_owner().expect("read"));
    let held = space.map::<String, Task>("tasks").entries().expect("read");
    assert_eq!(kept.all().expect("read"), held);
    kept.begun().expect("read")
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself, which the check that follows finds out.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main]
async fn main() {
    if let Some(folder) = env::var_os(FOLDER) {
        return work(Path::new(&folder)).await;
    }
    let kills = env::var("REJOIN_PROJECTION_KILLS").map_or(100, |kills| kills.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let begin = node(folder.path()).await;
    let board = begin.create("board").await.expect("created");
    // It begins here: one that is killed while it begins has no place yet, and begins again.
    assert_eq!(check(&board, folder.path()).await, 1);
    begin.close().await.expect("closed");
    let (mut state, mut behind) = (7, 0);
    for kill in 0..kills {
        let copy = Command::new(env::current_exe().expect("this program"))
            .env(FOLDER, folder.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        let copy = Killed(copy);
        tokio::time::sleep(Duration::from_millis(20 + draw(&mut state) % 120)).await;
        drop(copy);
        let node = node(folder.path()).await;
        let board = node.space("board").expect("it is there");
        let before = model(folder.path()).all().expect("read");
        let begun = check(&board, folder.path()).await;
        behind += u32::from(before != model(folder.path()).all().expect("read"));
        assert_eq!(begun, 1, "after {kill} kills it began anew");
        node.close().await.expect("closed");
    }
    let held = model(folder.path()).all().expect("read").len();
    println!("{kills} kills: the model had to catch up after {behind} of them, and is level ({held} tasks)");
    assert!(kills < 20 || (held > 0 && behind > 0), "nothing was ever written, or nothing was ever cut off");
}
