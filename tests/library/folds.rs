//! Folds of a log that go on where they were: the same as folds from nothing, also when something comes in before.

use rejoin::{Checkpoints, Grant, Line, Node};

use crate::equal;

/// Order matters to it, so a fold that missed or moved an entry shows.
fn step(sum: u64, line: Line<u64>) -> u64 {
    sum.wrapping_mul(31).wrapping_add(line.value)
}

/// The fold that goes on, the fold from nothing, and what is kept of the first as bytes: all the same; and nothing new costs
/// no step.
fn check(log: &rejoin::Log<u64>, kept: &mut Checkpoints<u64>) {
    let on = log.fold_on(kept, step).expect("read");
    assert_eq!(on, log.fold(7, step).expect("read"));
    let text = serde_json::to_string(kept).expect("JSON");
    let mut again: Checkpoints<u64> = serde_json::from_str(&text).expect("they read back");
    assert_eq!(log.fold_on(&mut again, step).expect("read"), on);
    let (mut steps, before) = (0, kept.clone());
    let count = |sum: u64, line| {
        steps += 1;
        step(sum, line)
    };
    assert_eq!(log.fold_on(kept, count).expect("read"), on);
    assert_eq!((steps, &*kept), (0, &before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_goes_on_is_the_fold_from_nothing_whatever_comes_in_before() {
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    let ada = Node::memory_builder().listen([listen]).open().await.expect("opens");
    let bo = Node::memory_builder().known_peers(false).open().await.expect("opens");
    let board = ada.create("board").await.expect("created");
    let copy = bo.join(&board.ticket(Grant::Write).await.expect("a ticket")).await.expect("joined");
    let log = board.log::<u64>("log");
    let mut kept = Checkpoints::new(7);
    assert_eq!((log.fold_on(&mut kept, step).expect("read"), kept.is_empty()), (7, true));
    let batch = |from: u64, to: u64, on: &rejoin::Space| {
        let log = on.log::<u64>("log");
        on.batch(|batch| {
            (from..to).for_each(|n| batch.append(&log, n));
            Ok(())
        })
    };
    // What the other one writes in between arrives late, after much else.
    for part in 0..8 {
        batch(part * 1000, part * 1000 + 1000, &board).await.expect("kept");
        batch(part, part + 3, &copy).await.expect("kept");
        board.counter("noise").add(1).detach().expect("kept");
        check(&log, &mut kept);
    }
    assert!((10..=24).contains(&kept.len()), "{}", kept.len());
    bo.sync(&copy, &ada.addresses()[0]).await.expect("in sync");
    equal(&board, &copy).await;
    assert_eq!(log.len().expect("read"), 8024);
    check(&log, &mut kept);

    // As it was: a version, and the token of all that is shown.
    let lines = log.tail(usize::MAX).expect("read");
    let (version, token) = (board.version().expect("read"), board.token().expect("read"));
    assert_eq!(
        board.version_at(&token).expect("read").as_ref(),
        Some(&version),
        "all that is shown is its past"
    );
    let mut steps = 0;
    log.append(1).await.expect("kept");
    let count = |sum: u64, line| {
        steps += 1;
        step(sum, line)
    };
    log.fold_on(&mut kept, count).expect("read");
    assert_eq!(steps, 1, "one more costs one step");
    assert_eq!(log.at(&version).expect("read"), lines);
    // A past that later changes lie beside can be told as long as the log reaches back.
    assert!(board.version_at(&token).expect("read").is_none_or(|known| known == version));
    assert_eq!(log.at(&board.version().expect("read")).expect("read").len(), lines.len() + 1);

    // Retention: what was folded stays in the result.
    let result = log.fold_on(&mut kept, step).expect("read");
    log.trim(&lines[5000].place).await.expect("kept");
    assert_eq!(log.fold_on(&mut kept, step).expect("read"), result);
    log.append(2).await.expect("kept");
    let on = log.fold_on(&mut kept, step).expect("read");
    assert_eq!(on, result.wrapping_mul(31).wrapping_add(2));
    ada.close().await.expect("closed");
    bo.close().await.expect("closed");
}
