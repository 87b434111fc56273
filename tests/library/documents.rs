//! Documents of two nodes, of threads, and with typed data.

use rejoin::{Error, Grant, Node};

use super::{Task, equal, folder, node};

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_two_begin_apart_is_one_text() {
    let (home, away) = (folder(), folder());
    let (ada, bo) = (node(&home).await, node(&away).await);
    let board = ada.create("board").await.expect("created");
    board.document("note").splice("body", 0, 0, "from ada. ").await.expect("on disk");
    let ticket = board.ticket(Grant::Write).await.expect("a ticket");
    let copy = bo.join(&ticket).await.expect("joined");
    copy.document("note").splice("body", 0, 0, "from bo. ").await.expect("on disk");
    equal(&board, &copy).await;
    let text = board.document("note").text("body").expect("read").expect("a text");
    assert!(text.contains("from ada. ") && text.contains("from bo. "), "{text}");
    assert_eq!(copy.document("note").text("body").expect("read"), Some(text));
    assert_eq!(
        copy.document("note").version().expect("read"),
        board.document("note").version().expect("read")
    );
    ada.close().await.expect("closed");
    bo.close().await.expect("closed");
}

#[derive(Clone, Debug, PartialEq, autosurgeon::Hydrate, autosurgeon::Reconcile)]
struct Plan {
    title: String,
    steps: Vec<String>,
}

#[tokio::test]
async fn documents_take_typed_data_and_keep_their_versions() {
    let home = folder();
    let ada = node(&home).await;
    let board = ada.create("board").await.expect("created");
    let document = board.document("plan");
    let keep = |plan: Plan| {
        document.edit(move |tx| {
            autosurgeon::reconcile(tx, &plan).expect("fits");
            Ok(())
        })
    };
    let mut plan = Plan { title: "Ship".into(), steps: vec!["build".into()] };
    keep(plan.clone()).await.expect("on disk");
    let before = document.version().expect("read");
    plan.steps.push("test".into());
    keep(plan.clone()).await.expect("on disk");
    assert_eq!(autosurgeon::hydrate::<_, Plan>(&*document.load().expect("read")).expect("a plan"), plan);
    let then: Plan = autosurgeon::hydrate(&document.at(&before).expect("known")).expect("a plan");
    assert_eq!(then.steps, ["build"]);

    let task = Task { title: "Write".into(), done: false };
    document.put("tasks/first", &task).await.expect("on disk");
    assert_eq!(document.get("tasks/first").expect("read"), Some(task));
    assert!(document.get::<Task>("title").is_err(), "a text is no task");
    let cursor = {
        document.splice("body", 0, 0, "words").await.expect("on disk");
        document.cursor("body", 2).expect("read").expect("a text")
    };
    document.splice("body", 0, 0, "some ").await.expect("on disk");
    assert_eq!(document.position("body", &cursor).expect("read"), Some(7));
    document
        .mark("body", 0..4, "bold", &true.into(), rejoin::automerge::marks::ExpandMark::None)
        .await
        .expect("on disk");
    assert_eq!(document.marks("body").expect("read").len(), 1);

    // A batch with a document in it is whole, too.
    let failed = board.batch(|batch| {
        batch.splice(&document, "body", 0, 0, "lost ");
        batch.add(&board.counter("likes"), 1);
        Err::<(), _>(Error::OtherSpace)
    });
    assert!(failed.await.is_err());
    board
        .batch(|batch| {
            batch.splice(&document, "body", 0, 4, "few");
            batch.put_at(&document, "count", &1);
            Ok(())
        })
        .await
        .expect("on disk");
    assert_eq!(document.text("body").expect("read").as_deref(), Some("few words"));
    ada.close().await.expect("closed");

    let again = node(&home).await;
    let document = again.space("board").expect("open").document("plan");
    assert_eq!(document.text("body").expect("read").as_deref(), Some("few words"));
    assert_eq!(document.get::<i64>("count").expect("read"), Some(1));
    document.clear().await.expect("on disk");
    assert_eq!(document.get::<rejoin::Value>("").expect("read"), Some(rejoin::Value::Map([].into())));
    again.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_that_edit_one_document_and_many_others_lose_nothing() {
    // Room for next to nothing: documents come and go.
    let node = Node::memory_builder().document_memory(40_000).open().await.expect("opens");
    let space = node.create("notes").await.expect("created");
    let writers = (0..4).map(|writer: usize| {
        let space = space.clone();
        tokio::task::spawn_blocking(move || {
            for n in 0..40 {
                space.document("shared").splice("body", 0, 0, "x").detach().expect("written");
                let own = space.document(&format!("own/{writer}/{}", n % 5));
                own.splice("body", 0, 0, "y").detach().expect("written");
                let failed = space.batch(|batch| {
                    batch.splice(&space.document("shared"), "body", 0, 0, "lost");
                    Err::<(), _>(Error::OtherSpace)
                });
                assert!(failed.detach().is_err());
            }
        })
    });
    for writer in writers {
        writer.await.expect("no panic");
    }
    let text = space.document("shared").text("body").expect("read").expect("a text");
    assert_eq!(text, "x".repeat(160));
    for writer in 0..4 {
        for n in 0..5 {
            let own = space.document(&format!("own/{writer}/{n}")).text("body").expect("read");
            assert_eq!(own.as_deref(), Some("yyyyyyyy"));
        }
    }
    node.close().await.expect("closed");
}
