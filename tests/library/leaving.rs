//! Leaving a space, joining it again, and deleting it.

use rejoin::{Error, Grant};

use crate::{PATIENCE, equal, folder, node};

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_keeps_what_is_here_and_who_forgets_keeps_nothing() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let ticket = board.ticket(Grant::Write).await.expect("a ticket");
    let copy = bo.join(&ticket).await.expect("joined");
    board.counter("likes").add(2).confirmed(1, PATIENCE).await.expect("bo has it");

    let left = bo.leave(&copy).await.expect("left");
    assert!(
        left.is_left().expect("read") && copy.counter("likes").get().is_err(),
        "the old handle is closed"
    );
    left.counter("likes").add(1).await.expect("on disk");
    board.counter("likes").add(10).await.expect("on disk");
    let refused = bo.sync(&left, &ada.addresses()[0]).await.expect_err("left");
    assert_eq!(refused.to_string(), "this device has left `board`: join it again with a ticket to sync it");
    bo.close().await.expect("closed");
    let bo = node(&away).await;
    let left = bo.space("board").expect("it is still here");
    assert_eq!((left.is_left().expect("read"), left.counter("likes").get().expect("read")), (true, 3));
    let asked = ada.sync(&board, &bo.addresses()[0]).await;
    assert!(asked.is_err(), "nor does it answer others: {asked:?}");

    let only_here = bo.forget(&left, false).await.expect_err("one change is nowhere else");
    assert!(matches!(&only_here, Error::OnlyHere { changes: 1, .. }), "{only_here:?}");
    assert_eq!(left.counter("likes").get().expect("untouched"), 3);
    let again = bo.join(&ticket).await.expect("joined");
    bo.sync(&again, &ada.addresses()[0]).await.expect("in sync");
    equal(&board, &again).await;
    assert_eq!(again.counter("likes").get().expect("read"), 13);

    bo.forget(&again, false).await.expect("all of it is elsewhere");
    assert!(matches!(bo.space("board"), Err(Error::UnknownSpace { .. })));
    bo.close().await.expect("closed");
    let bo = node(&away).await;
    assert!(bo.spaces().is_empty() && bo.unusable().is_empty(), "the file is gone");
    let anew = bo.join(&ticket).await.expect("joined");
    bo.sync(&anew, &ada.addresses()[0]).await.expect("in sync");
    assert_eq!(anew.counter("likes").get().expect("read"), 13);
    ada.close().await.expect("closed");
    bo.close().await.expect("closed");
}
