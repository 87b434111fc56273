//! Queries by what values hold: in step with what others write, over restarts, page by page, live.

use std::time::Duration;

use rejoin::{Error, Grant};
use serde::{Deserialize, Serialize};

use crate::{PATIENCE, equal, folder, node};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    owner: String,
    due: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    city: String,
}

fn task(owner: &str, due: i64) -> Task {
    Task { owner: owner.into(), due, place: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_follows_both_nodes_and_a_restart() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let copy = bo.join(&board.ticket(Grant::Write).await.expect("a ticket")).await.expect("joined");
    let (tasks, same) = (board.map::<String, Task>("tasks"), copy.map::<String, Task>("tasks"));
    for n in 0..30 {
        let who = if n % 3 == 0 { "ada" } else { "bo" };
        tasks.put(format!("t{n:02}"), task(who, 100 - n)).detach().expect("written");
    }
    let index = tasks.index(&["owner", "due"]).await.expect("built");
    let elsewhere = Task { place: Some(Place { city: "Bern".into() }), ..task("zoe", 0) };
    same.put("t99".into(), elsewhere.clone()).confirmed(1, PATIENCE).await.expect("ada has it");
    equal(&board, &copy).await;

    let keys = |query: rejoin::Query<String, Task>| query.keys().expect("found");
    assert_eq!(keys(index.query().equal("ada").limit(2)), ["t27", "t24"]);
    assert_eq!(keys(index.query().equal("ada").backwards().limit(2)), ["t00", "t03"]);
    assert_eq!(keys(index.query().equal("bo").from(97).below(99)), ["t02"]);
    assert_eq!(keys(index.query().equal("bo").above(98).to(99)), ["t01"]);
    assert_eq!(keys(index.query().starting("z")), ["t99"]);
    assert_eq!(keys(index.query().limit(0)), [""; 0]);
    let by_city = tasks.index(&["place/city"]).await.expect("built");
    assert_eq!(by_city.query().equal("Bern").entries().expect("found"), [("t99".to_owned(), elsewhere)]);
    assert_eq!(keys(by_city.query().equal(())).len(), 30, "those that have none");

    // Page by page, both ways, each entry once.
    for back in [false, true] {
        let (mut all, mut last): (Vec<String>, Option<(String, Task)>) = (Vec::new(), None);
        loop {
            let mut query = index.query().limit(7);
            query = if back { query.backwards() } else { query };
            query = match &last {
                Some((key, value)) => query.after(key, value),
                None => query,
            };
            let page = query.entries().expect("found");
            let Some(end) = page.last() else { break };
            last = Some(end.clone());
            all.extend(page.into_iter().map(|(key, _)| key));
        }
        let mut whole = index.query();
        whole = if back { whole.backwards() } else { whole };
        assert_eq!((all.len(), &all), (31, &keys(whole)));
    }

    // A snapshot stays, and what it finds belongs together.
    let snapshot = board.snapshot().expect("taken");
    let first = index.query().limit(1);
    let before = snapshot.query(&first).expect("found");
    tasks.remove(&before[0].0).await.expect("on disk");
    assert_eq!(snapshot.query(&first).expect("found"), before);
    assert_ne!(first.entries().expect("found"), before);

    ada.close().await.expect("closed");
    let ada = node(&home).await;
    let board = ada.space("board").expect("it is here");
    let tasks = board.map::<String, Task>("tasks");
    board.verify().await.expect("sound");
    let index = tasks.index(&["owner", "due"]).await.expect("there");
    assert_eq!(keys(index.query().equal("ada").limit(1)), ["t24"]);
    let other = index.clone();
    index.drop().await.expect("dropped");
    assert!(matches!(other.query().keys(), Err(Error::NoIndex)));
    board.verify().await.expect("sound");
    ada.close().await.expect("closed");
    bo.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_query_tells_what_others_write() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let copy = bo.join(&board.ticket(Grant::Write).await.expect("a ticket")).await.expect("joined");
    let index = board.map::<String, Task>("tasks").index(&["due"]).await.expect("built");
    let mut live = index.query().from(10).limit(2).watch();
    assert_eq!(live.next().await.expect("open"), []);
    let tasks = copy.map::<String, Task>("tasks");
    for (key, due) in [("a", 12), ("b", 5), ("c", 11), ("d", 13)] {
        tasks.put(key.into(), task("bo", due)).await.expect("on disk");
    }
    let wait = async {
        loop {
            let found = live.next().await.expect("open");
            if found.iter().map(|(key, _)| key.as_str()).eq(["c", "a"]) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE + Duration::from_secs(1), wait).await.expect("it is told");
    ada.close().await.expect("closed");
    assert!(live.next().await.is_none());
    bo.close().await.expect("closed");
}
