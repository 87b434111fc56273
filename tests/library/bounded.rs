//! Bounded counters of two nodes, and of nodes that were copied, restored and salvaged.

use std::fs;
use std::path::{Path, PathBuf};

use rejoin::core::row::DataError;
use rejoin::{Error, Grant, Node, Restore, Salvage};

use super::{PATIENCE, equal, folder, node};

/// Copies a folder with all that is in it, as `cp -r` does.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("read") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            drop(fs::copy(entry.path(), target))
        }
    }
}

/// What a refusal says: how much was wanted, how much may be taken here, and what there is.
fn refusal(refused: Result<(), Error>) -> (u64, i64, i64) {
    match refused {
        Err(Error::Data(DataError::NoRights { wanted, here, value })) => (wanted, here, value),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_sell_a_stock_without_asking_each_other() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let other = bo.join(&board.ticket(Grant::Write).await.expect("a ticket")).await.expect("joined");
    let (stock, same) = (board.bounded_counter("stock"), other.bounded_counter("stock"));
    assert_eq!((board.author().expect("read"), stock.rights().expect("read")), (None, 0));
    stock.increment(10).confirmed(1, PATIENCE).await.expect("bo has it");
    assert_eq!(refusal(same.decrement(1).await), (1, 0, 10), "ada's, until she gives");
    other.flag("here").enable().confirmed(1, PATIENCE).await.expect("ada has it");
    let bo_id = other.author().expect("read").expect("it has written");
    stock.transfer(&bo_id, 4).confirmed(1, PATIENCE).await.expect("bo has it");
    assert_eq!((stock.rights().expect("read"), same.rights().expect("read")), (6, 4));
    assert_eq!(stock.rights_of(&bo_id).expect("read"), 4);

    // One transaction, all of it or nothing.
    let too_much = other.batch(|batch| {
        batch.decrement(&same, 3);
        batch.decrement(&same, 2);
        Ok(())
    });
    assert_eq!(refusal(too_much.await), (2, 1, 7));
    let back = board.author().expect("read").expect("it has written");
    let sold = other.batch(|batch| {
        batch.decrement(&same, 3);
        batch.increment(&same, 1);
        batch.transfer(&same, &back, 2);
        Ok(())
    });
    sold.confirmed(1, PATIENCE).await.expect("ada has it");
    stock.decrement(8).confirmed(1, PATIENCE).await.expect("bo has it");
    equal(&board, &other).await;
    for (space, counter) in [(&board, &stock), (&other, &same)] {
        assert_eq!(counter.value().expect("read"), 0);
        assert!(counter.all_rights().expect("read").values().all(|rights| *rights == 0));
        assert_eq!(space.snapshot().expect("taken").bounded_counter(counter).expect("read"), 0);
        assert_eq!(refusal(counter.decrement(1).await), (1, 0, 0));
    }
    ada.close().await.expect("closed");
    bo.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_or_restored_node_takes_nothing_from_a_stock_before_it_is_given_some() {
    let home = folder();
    let offline = |path: PathBuf| async { Node::builder(path).offline(true).open().await.expect("opens") };
    let ada = offline(home.path().join("node")).await;
    let board = ada.create("board").await.expect("created");
    board.bounded_counter("stock").increment(10).await.expect("on disk");
    board.backup(home.path().join("backup")).await.expect("room");
    ada.close().await.expect("closed");
    copy(&home.path().join("node"), &home.path().join("copy"));
    let restored = offline(home.path().join("restored")).await;
    restored.restore(home.path().join("backup"), Restore::default(), |_| {}).await.expect("a sound backup");
    let copied = offline(home.path().join("copy")).await;

    for node in [&restored, &copied] {
        let stock = node.space("board").expect("it is here").bounded_counter("stock");
        assert_eq!((stock.value().expect("read"), stock.rights().expect("read")), (10, 0));
        assert_eq!(refusal(stock.decrement(1).await), (1, 0, 10));
        stock.increment(2).await.expect("on disk");
        stock.decrement(2).await.expect("what it adds is its own");
        assert_eq!(refusal(stock.decrement(1).await), (1, 0, 10));
    }
    restored.close().await.expect("closed");
    copied.close().await.expect("closed");

    // The original goes on with what it had, and gives the copy some.
    let (ada, copied) = (node(&home).await, Node::builder(home.path().join("copy")).mdns(false));
    let copied = copied.open().await.expect("opens");
    let (board, copy) = (ada.space("board").expect("here"), copied.space("board").expect("here"));
    board.bounded_counter("stock").decrement(7).await.expect("on disk");
    copied.sync(&copy, &ada.addresses()[0]).await.expect("in sync");
    let id = copy.author().expect("read").expect("it has written");
    board.bounded_counter("stock").transfer(&id, 3).await.expect("on disk");
    copied.sync(&copy, &ada.addresses()[0]).await.expect("in sync");
    copy.bounded_counter("stock").decrement(3).await.expect("on disk");
    copied.sync(&copy, &ada.addresses()[0]).await.expect("in sync");
    assert_eq!(board.bounded_counter("stock").value().expect("read"), 0);
    assert_eq!(refusal(board.bounded_counter("stock").decrement(1).await), (1, 0, 0));
    ada.close().await.expect("closed");
    copied.close().await.expect("closed");
}

/// What a file that was set aside sold is sold, and what it gave away is not: nobody has heard of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_salvaged_of_a_stock_was_taken_and_is_not_given() {
    let (home, away, new) = (folder(), folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let ticket = board.ticket(Grant::Write).await.expect("a ticket");
    let other = bo.join(&ticket).await.expect("joined");
    board.bounded_counter("stock").increment(10).confirmed(1, PATIENCE).await.expect("bo has it");
    other.flag("here").enable().confirmed(1, PATIENCE).await.expect("ada has it");
    let (old, bo_id) =
        (board.author().expect("read").expect("an id"), other.author().expect("read").expect("an id"));
    board.bounded_counter("stock").transfer(&bo_id, 1).confirmed(1, PATIENCE).await.expect("bo has it");
    ada.close().await.expect("closed");
    let ada = Node::builder(home.path().join("node")).offline(true).open().await.expect("opens");
    let stock = ada.space("board").expect("it is here").bounded_counter("stock");
    stock.increment(2).await.expect("on disk");
    stock.decrement(5).await.expect("on disk");
    stock.transfer(&bo_id, 4).await.expect("on disk");
    ada.close().await.expect("closed");

    let file =
        fs::read_dir(home.path().join("node/spaces")).expect("read").next().expect("one").expect("readable");
    let aside = home.path().join("aside");
    fs::copy(file.path(), &aside).expect("copied");
    let cy = node(&new).await;
    let space = cy.join(&ticket).await.expect("joined");
    cy.sync(&space, &bo.addresses()[0]).await.expect("in sync");
    let stock = space.bounded_counter("stock");
    assert_eq!(stock.value().expect("read"), 10);
    cy.salvage(&aside, Salvage::default()).await.expect("a sound file");
    cy.salvage(&aside, Salvage::default()).await.expect("and again does no harm");
    assert_eq!(stock.value().expect("read"), 7);
    let rights = [old, bo_id].map(|id| stock.rights_of(&id).expect("read"));
    assert_eq!(
        (rights, stock.rights().expect("read")),
        ([9, 1], -3),
        "it owes what it took from the old id's"
    );
    cy.close().await.expect("closed");
    bo.close().await.expect("closed");
}
