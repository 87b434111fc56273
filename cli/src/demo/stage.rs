//! The stage: three nodes, the wires to the one that will be cut off, and the waits for equal roots.
//!
//! Nodes A and B reach each other directly. Every connection from or to node C goes through a [`Forwarder`]: C dials A and
//! B through one each, and A and B dial C through a third. The space is begun before anybody listens, so its ticket
//! names no address, and nobody learns a way around the forwarders.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::board::{Board, short};
use super::control::Control;
use super::data::Airport;
use super::forwarder::Forwarder;
use super::hands::{SPACE, Side};
use super::journal::Journal;
use super::node::{Node, address};

pub(super) const NAMES: [&str; 3] = ["A", "B", "C"];
pub(super) const A: usize = 0;
/// The one that is killed.
pub(super) const B: usize = 1;
/// The one that is cut off.
pub(super) const C: usize = 2;

/// How long nodes that are connected may take to hold the same.
const SETTLE_TIME: Duration = Duration::from_secs(40);
/// How often a node is asked while something is waited for, and for the table.
const POLL: Duration = Duration::from_millis(100);
const SAMPLE: Duration = Duration::from_millis(400);

/// The wires to and from node C.
pub(super) struct Wires {
    to_a: Forwarder,
    to_b: Forwarder,
    to_c: Forwarder,
}

impl Wires {
    async fn open() -> Result<Self> {
        Ok(Self {
            to_a: Forwarder::open().await?,
            to_b: Forwarder::open().await?,
            to_c: Forwarder::open().await?,
        })
    }

    fn all(&self) -> [&Forwarder; 3] {
        [&self.to_a, &self.to_b, &self.to_c]
    }

    pub(super) fn cut(&self) {
        self.all().iter().for_each(|wire| wire.cut());
    }

    pub(super) fn heal(&self) {
        self.all().iter().for_each(|wire| wire.heal());
    }

    pub(super) fn forwarded(&self) -> u64 {
        self.all().iter().map(|wire| wire.forwarded()).sum()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.all().iter().map(|wire| wire.dropped()).sum()
    }
}

pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) airports: Arc<[Airport]>,
    pub(super) nodes: [Node; 3],
    pub(super) journals: [Journal; 3],
    pub(super) wires: Wires,
    pub(super) is_killed: AtomicBool,
    pub(super) board: Arc<Board>,
    /// Asks for the table; they end with the stage.
    _samplers: JoinSet<()>,
}

impl Stage {
    /// Begins the space, and starts the nodes.
    pub(super) async fn set(folder: PathBuf, airports: Vec<Airport>, board: Arc<Board>) -> Result<Self> {
        let mut nodes = NAMES.map(|name| Node::new(name, folder.join(name.to_lowercase())));
        let begun = nodes[A].once(&["new", SPACE]).await?;
        let ticket = begun["ticket"].as_str().context("`rejoin new` printed no ticket")?;
        for node in &nodes[B..] {
            node.once(&["join", ticket, "--as", SPACE]).await?;
        }
        let wires = Wires::open().await?;
        nodes[A].dial(wires.to_c.port());
        nodes[A].start().await?;
        wires.to_a.lead_to(nodes[A].port());
        let port = nodes[A].port();
        nodes[B].dial(port);
        nodes[B].dial(wires.to_c.port());
        nodes[B].start().await?;
        wires.to_b.lead_to(nodes[B].port());
        nodes[C].dial(wires.to_a.port());
        nodes[C].dial(wires.to_b.port());
        nodes[C].start().await?;
        wires.to_c.lead_to(nodes[C].port());

        let journal = |name: &str| Journal::create(folder.join(format!("side-{name}.jsonl")));
        let journals = [journal(NAMES[A])?, journal(NAMES[B])?, journal(NAMES[C])?];
        let mut samplers = JoinSet::new();
        for (index, node) in nodes.iter().enumerate() {
            samplers.spawn(sample(index, node.data.clone(), Arc::clone(&board)));
        }
        let (airports, is_killed) = (airports.into(), AtomicBool::new(false));
        Ok(Self { folder, airports, nodes, journals, wires, is_killed, board, _samplers: samplers })
    }

    pub(super) fn side(&self, node: usize) -> Side<'_> {
        let (data, journal) = (self.nodes[node].data.as_path(), &self.journals[node]);
        Side { node, data, journal, board: &self.board, is_killed: &self.is_killed }
    }

    /// What a node says about the space.
    pub(super) async fn status(&self, node: usize) -> Result<Value> {
        let mut control = Control::connect(&self.nodes[node].data).await?;
        status(&mut control).await.with_context(|| format!("node {}", NAMES[node]))
    }

    /// What a node holds at a path, or in the whole space.
    pub(super) async fn export(&self, node: usize, target: &str) -> Result<Value> {
        let mut control = Control::connect(&self.nodes[node].data).await?;
        control.one(&["export", target]).await.with_context(|| format!("node {}", NAMES[node]))
    }

    /// The address under which node C reaches another.
    pub(super) fn through_to(&self, node: usize) -> String {
        let wire = if node == A { &self.wires.to_a } else { &self.wires.to_b };
        address(wire.port())
    }

    /// Waits until these nodes name the same root, which is returned. Nobody may be writing: what each holds is then
    /// fixed but for what it lacks, and equal roots mean that none lacks anything.
    pub(super) async fn settle(&self, which: &[usize]) -> Result<String> {
        let end = Instant::now() + SETTLE_TIME;
        loop {
            let mut roots = Vec::new();
            for node in which {
                let status = self.status(*node).await?;
                self.board.sample(*node, &status);
                roots.push(status["root"].as_str().context("a status without a root")?.to_owned());
            }
            if roots.iter().all(|root| *root == roots[0]) {
                return Ok(roots.swap_remove(0));
            }
            if Instant::now() > end {
                let said: Vec<String> = which
                    .iter()
                    .zip(&roots)
                    .map(|(node, root)| format!("{} {}", NAMES[*node], short(root)))
                    .collect();
                let words: String = which.iter().map(|node| self.nodes[*node].last_words()).collect();
                bail!("no equal roots within {SETTLE_TIME:?}: {}{words}", said.join(", "));
            }
            sleep(POLL).await;
        }
    }

    /// Starts the killed node again, at another port.
    pub(super) async fn start_again(&self) -> Result<()> {
        self.nodes[B].start().await?;
        self.wires.to_b.lead_to(self.nodes[B].port());
        Ok(())
    }

    /// Ends every node in good order.
    pub(super) async fn close(&self) -> Result<()> {
        let [a, b, c] = &self.nodes;
        let ended = tokio::join!(a.stop(), b.stop(), c.stop());
        ended.0.and(ended.1).and(ended.2)
    }
}

async fn status(control: &mut Control) -> Result<Value> {
    let mut status = control.one(&["status"]).await?;
    let spaces = status["spaces"].as_array_mut().context("a status without spaces")?;
    let space = spaces.iter_mut().find(|space| space["name"] == SPACE);
    Ok(space.context("the space is gone")?.take())
}

/// Keeps a line of the table true. A node that is down is asked again.
async fn sample(node: usize, data: PathBuf, board: Arc<Board>) {
    loop {
        if let Ok(mut control) = Control::connect(&data).await {
            while let Ok(space) = status(&mut control).await {
                board.sample(node, &space);
                sleep(SAMPLE).await;
            }
        }
        sleep(SAMPLE).await;
    }
}
