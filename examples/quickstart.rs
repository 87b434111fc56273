//! A shared board on two devices: run it once, then again elsewhere with the ticket that it prints.

use std::time::Duration;

use rejoin::{Grant, Node, Result};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Task {
    title: String,
    done: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "board.rejoin".into());
    let node = Node::open(folder).await?; // on disk; Node::memory() for tests
    let board = match arguments.next() {
        Some(ticket) => node.join(&ticket.parse()?).await?, // works offline too: joins when a peer appears
        None => match node.space("board") {
            Ok(board) => board,
            Err(_) => node.create("board").await?,
        },
    };
    println!("share: {}", board.ticket(Grant::Write).await?);

    let likes = board.counter("likes"); // typed handles: cheap, cloneable
    let tags = board.set::<String>("tags");
    let tasks = board.map::<String, Task>("tasks");

    likes.add(1).await?; // .await = safe on this disk
    let task = Task { title: "Ship".into(), done: false };
    let shared = tasks.put("t1".into(), task).confirmed(1, Duration::from_secs(2)).await; // = on another device as well
    println!("{}", shared.map_or_else(|error| error.to_string(), |()| "another device has it".into()));
    board
        .batch(|b| {
            b.add(&likes, 2);
            b.insert(&tags, "red".into());
            Ok(())
        })
        .await?; // all or nothing

    let (mut seen, mut peers) = (likes.watch(), board.peers());
    let enough = tokio::time::sleep(Duration::from_secs(1)); // an app would wait for its user instead
    tokio::pin!(enough);
    loop {
        tokio::select! {
            Some(n) = seen.next() => println!("likes: {n}"),
            Some(p) = peers.next() => println!("online: {}", p.iter().filter(|p| p.online).count()),
            () = &mut enough => break,
        }
    }
    node.close().await // flush, say goodbye, release the lock
}
