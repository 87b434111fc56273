//! The running node.

use std::io::Write;
use std::path::Path;

use rejoin::{Multiaddr, Node};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::{self, Serve};
use crate::failure::{Failure, talk};
use crate::socket::Socket;

/// Runs until SIGINT or SIGTERM.
pub(crate) async fn run(data: &Path, options: &Serve) -> Result<(), Failure> {
    let Serve { listen, peer, no_mdns } = options;
    let mut builder = Node::builder(data).mdns(!no_mdns);
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
    tokio::select! {
        () = announce(&node) => {}
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

/// Prints addresses as the system gives them, and what they become.
async fn announce(node: &Node) {
    let Some(network) = node.network() else { return };
    let mut listening = network.listening();
    let mut told: Vec<Multiaddr> = Vec::new();
    loop {
        let now = listening.borrow_and_update().clone();
        for address in now.iter().filter(|address| !told.contains(address)) {
            let address = format!("{address}/p2p/{}", node.id());
            let line = format!("{}\n", json!({ "event": "listening", "addr": address }));
            // Whoever started this and reads no further must not end it.
            let _ = std::io::stdout().write_all(line.as_bytes()).and_then(|()| std::io::stdout().flush());
        }
        told = now;
        if listening.changed().await.is_err() {
            // The network has ended; the signal that ended it comes next.
            std::future::pending::<()>().await;
        }
    }
}
