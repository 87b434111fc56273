//! Presence between nodes: also of those that are connected through others only.

use rejoin::{Error, Grant, Here, Node, Space};
use tokio::time::timeout;

use crate::PATIENCE;

async fn listening() -> Node {
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    Node::memory_builder().known_peers(false).listen([listen]).open().await.expect("opens")
}

/// Waits until a device shows these of the others, in any order.
async fn shows(space: &Space, wanted: &[&str]) -> Vec<Here<String>> {
    let mut watch = space.presence::<String>().watch();
    let look = async {
        loop {
            let others = watch.next().await.expect("open");
            let mut values: Vec<&str> = others.iter().map(|other| other.value.as_str()).collect();
            values.sort_unstable();
            if values == wanted {
                return others;
            }
        }
    };
    timeout(PATIENCE, look).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_are_connected_see_who_is_here_and_nothing_of_it_is_stored() {
    let (ada, bo, cy) = (listening().await, listening().await, listening().await);
    let board = ada.create("board").await.expect("created");
    let ticket = board.ticket(Grant::Write).await.expect("a ticket");
    let spaces = [board, bo.join(&ticket).await.expect("joined"), cy.join(&ticket).await.expect("joined")];
    let [first, middle, last] = &spaces;
    let root = first.root().expect("read");
    first.presence().set(&"ada".to_owned()).expect("said");
    middle.presence().set(&"bo".to_owned()).expect("said");
    last.presence().set(&"cy".to_owned()).expect("said");
    // A line: the ends know nothing of each other but what the middle passes on.
    let meet = bo.addresses()[0].clone();
    for node in [&ada, &cy] {
        node.network().expect("one").dial(meet.clone()).await.expect("connected");
    }
    shows(first, &["bo", "cy"]).await;
    shows(middle, &["ada", "cy"]).await;
    let others = shows(last, &["ada", "bo"]).await;
    assert_ne!(others[0].device, others[1].device);

    first.presence().set(&"ada types".to_owned()).expect("said");
    shows(last, &["ada types", "bo"]).await;
    // Who leaves says so; should that be lost, it is seen when its time is over.
    first
        .presence::<String>()
        .set_for(&"gone soon".to_owned(), std::time::Duration::from_secs(10))
        .expect("said");
    shows(last, &["bo", "gone soon"]).await;
    ada.close().await.expect("closed");
    shows(last, &["bo"]).await;
    middle.presence::<String>().clear().expect("said");
    shows(last, &[]).await;

    let long = last.presence().set(&"x".repeat(2000));
    assert!(matches!(long, Err(Error::PresenceTooLong { bytes: 2003, most: 1024 })), "{long:?}");
    // What another app says there is not shown to who cannot read it.
    middle.presence::<u32>().set(&7).expect("said");
    let mut numbers = last.presence::<u32>().watch();
    let seven = async { while numbers.next().await.expect("open").len() != 1 {} };
    timeout(PATIENCE, seven).await.expect("in time");
    assert!(last.presence::<String>().others().expect("read").is_empty());
    for space in [middle, last] {
        assert_eq!(space.root().expect("read"), root);
        assert!(space.version().expect("read").is_empty());
    }
    bo.close().await.expect("closed");
    cy.close().await.expect("closed");
}
