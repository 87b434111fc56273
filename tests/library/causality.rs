//! Tokens, keys of acts that are done once, and transactions that are waited for.

use std::time::Duration;

use rejoin::{Causality, Error, Grant, Node, Token};

use super::{PATIENCE, equal, folder, node};

#[tokio::test(flavor = "multi_thread")]
async fn a_trim_of_more_than_one_transaction_is_whole_and_can_be_confirmed() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let ticket = board.ticket(Grant::Write).await.expect("a ticket");
    let copy = bo.join(&ticket).await.expect("joined");
    let history = board.log::<u64>("history");
    // Two transactions of a trim are full, and the third is not.
    let lines = 2 * 4096 + 100;
    for part in 0..9 {
        let written = board.batch(|batch| {
            (part * 1000..lines.min((part + 1) * 1000)).for_each(|line| batch.append(&history, line));
            Ok(())
        });
        written.await.expect("on disk");
    }
    let kept = history.tail(50).expect("read");
    assert_eq!((history.len().expect("read") as u64, kept[0].value), (lines, lines - 50));
    let removed = history.trim(&kept[0].place).confirmed(1, PATIENCE).await.expect("bo has it");
    assert_eq!(removed as u64, lines - 50);
    assert_eq!(copy.log::<u64>("history").len().expect("read"), 50, "bo has all of it, not a part");
    assert_eq!(history.tail(100).expect("read"), kept);
    assert_eq!(history.trim(&kept[0].place).await.expect("nothing to do"), 0);
    assert_eq!(history.trim(&kept[1].place).await.expect("on disk"), 1);
    // What is removed in whole transactions ends with one that removes nothing: the one before is waited for.
    for _ in 0..2 {
        let written = board.batch(|batch| {
            (0..2048).for_each(|line| batch.append(&history, line));
            Ok(())
        });
        written.await.expect("on disk");
    }
    let end = history.tail(1).expect("read")[0].place;
    history.trim(&kept[49].place).await.expect("on disk");
    assert_eq!(history.len().expect("read"), 4097);
    assert_eq!(history.trim(&end).confirmed(1, PATIENCE).await.expect("bo has it"), 4096);
    assert_eq!(copy.log::<u64>("history").len().expect("read"), 1);
    // Nobody else is there to confirm it: it is removed here all the same.
    bo.close().await.expect("closed");
    let late = history.trim(&rejoin::core::crdt::Place::END).confirmed(2, Duration::from_millis(200)).await;
    assert!(matches!(late, Err(Error::NotConfirmed { wanted: 2, .. })), "{late:?}");
    assert!(history.is_empty().expect("read"));
    ada.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_carries_what_was_seen_to_another_device() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let ticket = board.ticket(Grant::Write).await.expect("a ticket");
    let copy = bo.join(&ticket).await.expect("joined");
    let title = board.register::<String>("title");
    let put = title.put("Ada".into());
    let token: Token = put.token().expect("changed").to_string().parse().expect("a token");
    put.await.expect("on disk");
    assert_eq!(board.token().expect("read"), token);
    copy.read_after(&token, PATIENCE).await.expect("arrives");
    assert_eq!(copy.register::<String>("title").get().expect("read").as_deref(), Some("Ada"));
    assert!(copy.has_seen(&token).expect("read"));
    // One that waits already is answered when it arrives.
    let later = board.token().expect("read").dots().next().expect("one");
    let later = Token::of_write(rejoin::core::Dot::new(later.replica, later.seq + 1));
    let (waited, written) = tokio::join!(copy.read_after(&later, PATIENCE), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        title.put("Ada again".into()).await
    });
    written.expect("on disk");
    waited.expect("arrives");
    assert_eq!(board.compare(&token, &later).expect("read"), Some(Causality::Before));
    assert_eq!(copy.compare(&later, &token).expect("read"), Some(Causality::After));
    let versions = (board.version().expect("read"), copy.version().expect("read"));
    assert_eq!(versions.0.compare(&versions.1), Causality::Equal);
    // What nobody wrote does not come.
    let never = Token::of_write(rejoin::core::Dot::new(rejoin::core::ReplicaId::from_u128(1), 3));
    let late = copy.read_after(&never, Duration::from_millis(100)).await.expect_err("nobody wrote it");
    let words = late.to_string();
    assert!(words.contains("change 3 of") && words.contains("no device that was met"), "{words}");
    assert!(late.is_retryable() && matches!(late, Error::NotSeen { missing, .. } if missing.len() == 1));
    ada.close().await.expect("closed");
    assert!(board.token().is_err(), "closed");
    bo.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_devices_did_once_each_before_they_met_is_done_once() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let ticket = board.ticket(Grant::Write).await.expect("a ticket");
    bo.join(&ticket).await.expect("joined");
    let copy = bo.space("board").expect("joined");
    board.counter("paid").add(1).confirmed(1, PATIENCE).await.expect("bo has it");
    equal(&board, &copy).await;
    ada.close().await.expect("closed");
    bo.close().await.expect("closed");

    // Apart, both are asked for the same, twice.
    for (folder, name) in [(&home, "ada"), (&away, "bo")] {
        let offline = Node::builder(folder.path().join("node")).offline(true).open().await.expect("opens");
        let space = offline.space("board").expect("it is here");
        let pay = || {
            space.batch(|batch| {
                let is_first = batch.once("order-17")?;
                if is_first {
                    batch.add(&space.counter("paid"), 5);
                    batch.add(&space.counter("paid"), -2);
                    batch.push(&space.list::<String>("steps"), "paid".into());
                    batch.push(&space.list::<String>("steps"), "sent".into());
                    batch.insert(&space.set::<String>("orders"), "order-17".into());
                    batch.put(&space.map::<String, u8>("state"), "order-17".into(), 1);
                    batch.append(&space.log::<String>("history"), name.into());
                }
                Ok(is_first)
            })
        };
        assert!(pay().await.expect("on disk"));
        assert!(!pay().await.expect("nothing to do"));
        assert_eq!(space.counter("paid").get().expect("read"), 4);
        offline.close().await.expect("closed");
    }

    let (ada, bo) = (node(&home).await, node(&away).await);
    let (board, copy) = (ada.space("board").expect("it is here"), bo.space("board").expect("it is here"));
    bo.sync(&copy, &ada.addresses()[0]).await.expect("in sync");
    for space in [&board, &copy] {
        assert_eq!(space.counter("paid").get().expect("read"), 4);
        assert_eq!(space.list::<String>("steps").values().expect("read"), ["paid", "sent"]);
        assert_eq!(space.set::<String>("orders").elements().expect("read"), ["order-17"]);
        assert_eq!(space.map::<String, u8>("state").entries().expect("read").len(), 1);
        assert_eq!(space.log::<String>("history").len().expect("read"), 2, "a log is not exact");
    }
    // Keys are kept until they are forgotten, and what they did stays.
    let (long_ago, now) = (std::time::UNIX_EPOCH, std::time::SystemTime::now() + PATIENCE);
    assert_eq!(board.forget_once(long_ago).await.expect("nothing"), 0);
    let forgotten = board.forget_once(now).await.expect("on disk");
    equal(&board, &copy).await;
    let rest = copy.forget_once(now).await.expect("on disk");
    // The record, and two rows of the counter: by whoever had the newest try.
    assert_eq!(forgotten + rest, 3);
    equal(&board, &copy).await;
    assert_eq!(
        (board.counter("paid").get().expect("read"), copy.counter("paid").get().expect("read")),
        (4, 4)
    );
    ada.close().await.expect("closed");
    bo.close().await.expect("closed");
}
