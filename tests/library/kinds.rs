//! One path, two kinds: a slip on one device is refused, what two devices begin apart lives.

use rejoin::core::row::Kind;
use rejoin::{Error, Grant};

use crate::{equal, folder, node};

#[tokio::test(flavor = "multi_thread")]
async fn two_kinds_begun_apart_both_live_and_a_slip_is_told() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let ticket = board.ticket(Grant::Write).await.expect("a ticket");

    board.counter("likes").add(2).await.expect("on disk");
    let slip = board.set::<String>("likes").insert("red".into()).await.expect_err("a slip");
    assert!(matches!(&slip, Error::WrongKind { is: Kind::PN_COUNTER, asked: Kind::OR_SET, .. }), "{slip:?}");
    assert_eq!(
        slip.to_string(),
        "`likes` is a counter on this device, and you asked for a set: use it as a counter, or choose another path"
    );
    let batch = board.batch(|batch| {
        batch.add(&board.counter("likes"), 5);
        batch.push(&board.list::<String>("likes"), "x".into());
        Ok(())
    });
    assert!(matches!(batch.await, Err(Error::WrongKind { asked: Kind::LIST, .. })));
    assert_eq!(board.counter("likes").get().expect("read"), 2, "all of the batch or nothing");

    // Bo has not met anybody yet: to him the path is free.
    let away_from = bo.join_as(&rejoin::Ticket::new(board.id(), "board", []), "board").await.expect("joined");
    away_from.set::<String>("likes").insert("red".into()).await.expect("on disk");
    bo.join(&ticket).await.expect("here already");
    bo.sync(&away_from, &ada.addresses()[0]).await.expect("in sync");
    equal(&board, &away_from).await;
    for space in [&board, &away_from] {
        assert_eq!(space.counter("likes").get().expect("read"), 2);
        assert!(space.set::<String>("likes").contains("red").expect("read"));
    }
    for space in [&board, &away_from] {
        space.counter("likes").add(1).await.expect("never an error after a merge");
        space.set::<String>("likes").insert("blue".into()).await.expect("nor here");
        let third = space.register::<String>("likes").put("x".into()).await;
        assert!(matches!(third, Err(Error::WrongKind { .. })), "{third:?}");
    }
    ada.close().await.expect("closed");
    bo.close().await.expect("closed");
}
