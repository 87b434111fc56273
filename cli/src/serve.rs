//! The running node.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rejoin::core::engine::Event;
use rejoin::{Incident, Multiaddr, Node, Quarantined, Space, What};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::arguments::{self, Serve};
use crate::failure::{Failure, talk};
use crate::socket::Socket;

/// How long incidents wait for addresses to be told first.
const FIRST: Duration = Duration::from_secs(3);
/// How often there may be more to tell.
const LOOK: Duration = Duration::from_millis(500);

/// Runs until SIGINT or SIGTERM.
pub(crate) async fn run(data: &Path, options: &Serve) -> Result<(), Failure> {
    let Serve { listen, peer, no_mdns } = options;
    let mut builder = Node::builder(data).mdns(!no_mdns).hub(true);
    if !listen.is_empty() {
        builder = builder.listen(listen.clone());
    }
    for address in peer {
        builder = builder.peer(address.clone());
    }
    let mut signals = Signals::listen()?;
    let node = arguments::tuned(builder).open().await?;
    for (space, why) in node.unusable() {
        talk(&format!("the space {space} cannot be used: {why}"));
    }
    let socket = Socket::open(data)?;
    let listens = Notify::new();
    tokio::select! {
        () = announce(&node, &listens) => {}
        () = tell_incidents(&node, &listens) => {}
        () = socket.serve(&node) => {}
        () = signals.come() => {}
    }
    drop(socket);
    node.close().await?;
    Ok(())
}

/// Lets others use a node while something long goes on with it. Ends with that, or when told to.
pub(crate) async fn beside(
    data: &Path,
    node: &Node,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let socket = Socket::open(data)?;
    tokio::select! {
        outcome = work => outcome,
        () = socket.serve(node) => Ok(()),
        () = signals.come() => Ok(()),
    }
}

/// What tells a node to end.
struct Signals {
    interrupted: Signal,
    terminated: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| Failure::other(format!("cannot wait for signals: {error}"));
        let interrupted = signal(SignalKind::interrupt()).map_err(cannot)?;
        let terminated = signal(SignalKind::terminate()).map_err(cannot)?;
        Ok(Self { interrupted, terminated })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }
}

fn print(event: &Value) {
    let line = format!("{event}\n");
    // Whoever started this and reads no further must not end it.
    let _ = std::io::stdout().write_all(line.as_bytes()).and_then(|()| std::io::stdout().flush());
}

/// Prints what an operator may want to know of each space, those that come later too. Addresses come first.
async fn tell_incidents(node: &Node, listens: &Notify) {
    // A node that cannot listen tells them all the same.
    let _ = tokio::time::timeout(FIRST, listens.notified()).await;
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        for space in node.spaces() {
            let seen = told.entry(space.id().to_string()).or_default();
            // A space that is closed has nothing to tell any more.
            for Incident { number, what } in space.incidents().get().unwrap_or_default() {
                if number >= *seen {
                    *seen = number + 1;
                    print(&describe(space.name(), &what));
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The same for people, of commands that end at once: what they have to know about their data.
pub(crate) fn incidents(spaces: &[Space]) -> Vec<String> {
    let mut said = Vec::new();
    for space in spaces {
        let name = space.name();
        for Incident { what, .. } in space.incidents().get().unwrap_or_default() {
            match what {
                What::Engine(Event::NewIncarnation { .. }) => said.push(format!(
                    "{name} lies elsewhere than it was written, so it is a copy: it writes under a new id from now on"
                )),
                What::Engine(Event::Fork { replica }) => said.push(format!(
                    "{name} was written in two places under the id {replica}: what both wrote under one name is settled, and \
                     `rejoin lost {name}` lists what had to give way"
                )),
                _ => {}
            }
        }
    }
    said
}

fn describe(space: &str, what: &What) -> Value {
    match what {
        What::Quarantined(Quarantined { file, why, unsynced }) => json!({
            "event": "quarantined", "space": space, "file": file.display().to_string(), "why": why,
            "unsynced": unsynced,
        }),
        What::Engine(Event::NewIncarnation { old }) => {
            json!({ "event": "new-id", "space": space, "old": old.to_string() })
        }
        What::Engine(Event::Fork { replica }) => {
            json!({ "event": "fork", "space": space, "replica": replica.to_string() })
        }
        What::Engine(Event::Renamed { old, new }) => {
            json!({
                "event": "renamed", "space": space, "old": old.replica.to_string(), "after": old.seq,
                "new": new.to_string(),
            })
        }
        What::Engine(Event::StoreFailed { error }) => {
            json!({ "event": "store-failed", "space": space, "error": error.to_string() })
        }
        What::Engine(Event::Lost { error, .. }) => {
            json!({ "event": "lost", "space": space, "error": error.to_string() })
        }
        What::Engine(Event::Diverged { .. }) => json!({ "event": "diverged", "space": space }),
        other => json!({ "event": "other", "space": space, "what": format!("{other:?}") }),
    }
}

/// Prints addresses as the system gives them, and what they become.
async fn announce(node: &Node, listens: &Notify) {
    let Some(network) = node.network() else { return };
    let mut listening = network.listening();
    let mut told: Vec<Multiaddr> = Vec::new();
    loop {
        let now = listening.borrow_and_update().clone();
        for address in now.iter().filter(|address| !told.contains(address)) {
            let address = format!("{address}/p2p/{}", node.id());
            print(&json!({ "event": "listening", "addr": address }));
            listens.notify_one();
        }
        told = now;
        if listening.changed().await.is_err() {
            // The network has ended; the signal that ended it comes next.
            std::future::pending::<()>().await;
        }
    }
}
