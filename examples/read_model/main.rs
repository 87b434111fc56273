//! A read model beside a space: the tasks of a shared map as tables in SQLite, level with the space whatever crashes.
//!
//! Run it with `cargo run --example read_model`. It writes while the model follows, forgets the model for a while as if its
//! process had been stopped, and lets it catch up from the place that it had reached.

mod tasks;

use rejoin::core::row::Kind;
use rejoin::{Node, Scope};
use rusqlite::Connection;
use tasks::{Task, Tasks, Wrong};

#[tokio::main]
async fn main() -> Result<(), Wrong> {
    let node = Node::memory().await?;
    let board = node.create("board").await?;
    let map = board.map::<String, Task>("tasks");
    let scope = || Scope::Object(Kind::LWW_MAP, "tasks".into());
    let task = |owner: &str, done| Task { owner: owner.into(), done };

    let mut model = Tasks::open(Connection::open_in_memory()?)?;
    map.put("paint".into(), task("ada", false)).await?;
    map.put("glue".into(), task("bo", false)).await?;
    board.project_now(scope(), &mut model).await?;
    println!("open tasks:           {:?}", model.open_by_owner()?);

    // The model is not there; the space goes on.
    map.put("paint".into(), task("ada", true)).await?;
    map.put("sand".into(), task("bo", false)).await?;
    map.remove("glue").await?;
    map.put("varnish".into(), task("bo", false)).await?;

    board.project_now(scope(), &mut model).await?;
    println!("after it caught up:   {:?}", model.open_by_owner()?);
    assert_eq!(model.open_by_owner()?, [("bo".to_owned(), 2)]);
    assert_eq!(model.all()?.len(), map.len()?);
    assert_eq!(model.begun()?, 1, "the second time it went on where it was");
    Ok(node.close().await?)
}
