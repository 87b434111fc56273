//! libp2p: connections to peers, discovery, gossip, and whom to dial again.
//!
//! libp2p's swarm lives in one task (`task.rs`); everybody else holds a [`Network`].

mod behaviour;
mod connections;
mod dialer;
mod task;

use std::sync::Arc;
use std::time::Duration;

use libp2p::StreamProtocol;
use libp2p::identity::Keypair;
use tokio::sync::mpsc;

use crate::host::{spawn, timeout};
use crate::network::{COMMANDS, Network, NetworkError, Opener, Routes, Settings, Stream};
use crate::wire::Patience;
use task::Task;

/// The sync protocol; its messages are in rejoin-core.
pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/rejoin/sync/1");
/// How long a peer may take to agree to a stream.
const STREAM_TIME: Duration = Duration::from_secs(10);

impl Network {
    /// Joins the network: listens, and begins to dial. Runs on the runtime of the caller.
    pub async fn join(keys: Keypair, settings: Settings) -> Result<Self, NetworkError> {
        let routes = Arc::new(Routes::default());
        let (commands, orders) = mpsc::channel(COMMANDS);
        let (task, control, peers, listening) = Task::new(keys, &settings, routes.clone(), orders)?;
        let (local, patience) = (task.local(), settings.stream_patience());
        spawn(task.run());
        accept(control.clone(), routes.clone(), patience);
        let opener = opener(control);
        let network = Self { local, commands, opener, routes, patience, peers, listening };
        for address in settings.listen {
            network.listen(address).await?;
        }
        Ok(network)
    }
}

fn opener(control: libp2p_stream::Control) -> Opener {
    Arc::new(move |peer| {
        let mut control = control.clone();
        Box::pin(async move {
            match timeout(STREAM_TIME, control.open_stream(peer, PROTOCOL)).await {
                Ok(Ok(stream)) => Ok(Stream::new(stream)),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("the peer did not agree to a stream in time".into()),
            }
        })
    })
}

/// Takes streams that peers open, and gives each to the replica that it greets.
fn accept(mut control: libp2p_stream::Control, routes: Arc<Routes>, patience: Patience) {
    let mut streams = control.accept(PROTOCOL).expect("accepted once per node");
    spawn(async move {
        while let Some((peer, stream)) = futures::StreamExt::next(&mut streams).await {
            routes.welcome(peer, Stream::new(stream), patience);
        }
    });
}
