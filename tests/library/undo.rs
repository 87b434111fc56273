//! Undo and redo over stores on disk, across restarts, and beside what others write.

use rejoin::{Error, Grant};

use super::{PATIENCE, equal, folder, node};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_a_restart_is_taken_back_after_it() {
    let home = folder();
    let ada = node(&home).await;
    let board = ada.create("board").await.expect("created");
    assert!(matches!(board.undo().await, Err(Error::UndoOff)));
    board.keep_undo(100).await.expect("on");
    let (title, likes) = (board.register::<String>("title"), board.counter("likes"));
    title.put("Board".into()).await.expect("on disk");
    let written = board.batch(|batch| {
        batch.set(&title, "Boart".into());
        batch.add(&likes, 5);
        Ok(())
    });
    written.await.expect("on disk");
    ada.close().await.expect("closed");

    let ada = node(&home).await;
    let board = ada.space("board").expect("there");
    let (title, likes) = (board.register::<String>("title"), board.counter("likes"));
    let undone = board.undo().await.expect("on disk").expect("something");
    assert_eq!((undone.rows, undone.left, undone.fixed), (2, 0, 0));
    assert_eq!((title.get().expect("read").as_deref(), likes.get().expect("read")), (Some("Board"), 0));
    ada.close().await.expect("closed");

    let ada = node(&home).await;
    let board = ada.space("board").expect("there");
    assert_eq!(board.undo_depth().expect("read"), (100, 1, 1));
    board.redo().await.expect("on disk").expect("something");
    assert_eq!(board.counter("likes").get().expect("read"), 5);
    assert_eq!(board.redo().await.expect("nothing to write"), None);
    board.verify().await.expect("sound");
    board.keep_undo(0).await.expect("off");
    ada.close().await.expect("closed");
    let ada = node(&home).await;
    let board = ada.space("board").expect("there");
    assert!(matches!(board.undo().await, Err(Error::UndoOff)), "also after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_wrote_is_left_alone() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    let other = bo.join(&board.ticket(Grant::Write).await.expect("a ticket")).await.expect("joined");
    board.keep_undo(9).await.expect("on");
    let tasks = board.map::<String, i64>("tasks");
    for n in [1, 2] {
        tasks.put(format!("t{n}"), n).confirmed(1, PATIENCE).await.expect("bo has it");
    }
    other.map("tasks").put("t2".to_owned(), 7).confirmed(1, PATIENCE).await.expect("ada has it");
    let undone = board.undo().await.expect("made").expect("something");
    assert_eq!((undone.rows, undone.left), (0, 1));
    board.undo().confirmed(1, PATIENCE).await.expect("bo has it").expect("something");
    equal(&board, &other).await;
    let all = other.map::<String, i64>("tasks").entries().expect("read");
    assert_eq!(all, [("t2".to_owned(), 7)]);
}

/// Changes of a document stay, and the document in memory goes on from what its rows say.
#[cfg(feature = "document")]
#[tokio::test(flavor = "multi_thread")]
async fn a_document_stays_as_it_is() {
    let home = folder();
    let ada = node(&home).await;
    let board = ada.create("board").await.expect("created");
    board.keep_undo(9).await.expect("on");
    let plan = board.document("plan");
    plan.put("owner", "Ada").await.expect("on disk");
    let undone = board.undo().await.expect("made").expect("something");
    assert_eq!((undone.rows, undone.left), (0, 0));
    assert!(undone.fixed > 0);
    plan.put("reader", "Bo").await.expect("on disk");
    board.undo().await.expect("made").expect("something");
    for (path, name) in [("owner", "Ada"), ("reader", "Bo")] {
        assert_eq!(plan.get::<String>(path).expect("read").as_deref(), Some(name));
    }
}
