//! Rows with a time to live, as apps see them: shown, watched, and gone.

use std::time::{Duration, SystemTime};

use rejoin::{Grant, Node};
use tokio::time::timeout;

use crate::{PATIENCE, equal};

const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_is_shown_no_longer_and_is_removed_by_who_wrote_it() {
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    let soon = Node::memory_builder().remove_expired_after(Duration::ZERO);
    let ada = soon.listen([listen]).open().await.expect("opens");
    let bo = Node::memory_builder().open().await.expect("opens");
    let board = ada.create("board").await.expect("created");
    let copy = bo.join(&board.ticket(Grant::Write).await.expect("a ticket")).await.expect("joined");
    let codes = board.map::<String, u32>("codes");
    let by_value = codes.index(&[""]).await.expect("built");
    let before = SystemTime::now();
    codes.put("stays".into(), 1).await.expect("kept");
    let (all, online) = (board.set::<String>("all"), board.set::<String>("online"));
    let batch = board.batch(|batch| {
        batch.put_for(&codes, "goes".into(), 2, SHORT);
        batch.put_for(&codes, "later".into(), 3, LONG);
        batch.insert_for(&online, "ada".into(), SHORT);
        batch.insert(&all, "ada".into());
        Ok(())
    });
    batch.confirmed(1, PATIENCE).await.expect("bo has it");
    board.register::<u8>("mark").put_for(9, SHORT).await.expect("kept");
    let snapshot = board.snapshot().expect("taken");
    let expires = codes.expires("goes").expect("read").expect("it does");
    // The clock of rows has milliseconds.
    let about = Duration::from_millis(1);
    assert!(expires + about >= before + SHORT && expires <= SystemTime::now() + SHORT, "{expires:?}");
    assert_eq!(codes.expires("stays").expect("read"), None);

    // A watch tells it, on the device that wrote it and on the other.
    for space in [&board, &copy] {
        let mut watch = space.map::<String, u32>("codes").watch();
        let gone = async { while watch.next().await.expect("open").iter().any(|(key, _)| key == "goes") {} };
        timeout(PATIENCE, gone).await.expect("in time");
        let set = space.set::<String>("online");
        assert!(set.is_empty().expect("read") && !set.contains("ada").expect("read"));
        assert_eq!(space.map::<String, u32>("codes").get("goes").expect("read"), None);
    }
    assert_eq!(by_value.query().keys().expect("found"), ["stays", "later"]);
    assert_eq!(snapshot.get(&codes, "goes").expect("read"), Some(2), "a snapshot is of one moment");
    assert_eq!(snapshot.value(&board.register::<u8>("mark")).expect("read"), Some(9));
    drop(snapshot);

    // Its author removes it for good; the other hears of that as of any change.
    let rows = |space: &rejoin::Space| space.status().expect("read").rows;
    let swept = async {
        while rows(&copy) != 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, swept).await.expect("in time");
    equal(&board, &copy).await;
    assert_eq!(codes.entries().expect("read"), [("later".into(), 3), ("stays".into(), 1)]);
    let paths: Vec<String> = copy.objects().expect("read").into_iter().map(|object| object.path).collect();
    assert_eq!(paths, ["all", "codes"]);
    // Put anew it lasts.
    codes.put("later".into(), 4).await.expect("kept");
    assert_eq!(codes.expires("later").expect("read"), None);
    ada.close().await.expect("closed");
    bo.close().await.expect("closed");
}
