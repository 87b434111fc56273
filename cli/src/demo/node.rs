//! A node of the demo: `rejoin serve` as a child process with a data directory of its own.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long a node may take to start, a command to end, a node to stop.
const START_TIME: Duration = Duration::from_secs(20);
const COMMAND_TIME: Duration = Duration::from_secs(20);
const STOP_TIME: Duration = Duration::from_secs(15);
/// Lines of standard error that are kept for the message when something goes wrong.
const TAIL: usize = 12;

/// What the running process said last on standard error.
type Tail = Arc<Mutex<VecDeque<String>>>;

pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) data: PathBuf,
    /// Addresses to stay connected to.
    peers: Vec<String>,
    child: Mutex<Option<Child>>,
    port: AtomicU16,
    tail: Tail,
}

impl Node {
    pub(super) fn new(name: &'static str, data: PathBuf) -> Self {
        Self {
            name,
            data,
            peers: Vec::new(),
            child: Mutex::default(),
            port: AtomicU16::new(0),
            tail: Tail::default(),
        }
    }

    /// Dials this port of this machine whenever it serves, from the next start on.
    pub(super) fn dial(&mut self, port: u16) {
        self.peers.push(address(port));
    }

    /// The port that it listens on.
    pub(super) fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    pub(super) fn address(&self) -> String {
        address(self.port())
    }

    /// One command as a process of its own, before the node serves.
    pub(super) async fn once(&self, words: &[&str]) -> Result<Value> {
        let mut command = self.command()?;
        command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
        let what = format!("`rejoin {}` of node {}", words.join(" "), self.name);
        let output = timeout(COMMAND_TIME, command.output()).await;
        let output =
            output.map_err(|_| anyhow!("{what} did not end in time"))?.with_context(|| what.clone())?;
        if !output.status.success() {
            bail!("{what} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("the answer of {what}"))
    }

    /// Starts the process and waits until it listens.
    pub(super) async fn start(&self) -> Result<()> {
        let mut command = self.command()?;
        command.args(["serve", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]);
        for peer in &self.peers {
            command.args(["--peer", peer]);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start node {}", self.name))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        *self.child() = Some(child);
        let (out, err) = out.zip(err).context("the pipes of a child were asked for")?;
        let tail = Arc::clone(&self.tail);
        tokio::spawn(async move {
            let mut lines = BufReader::new(err).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                if tail.len() == TAIL {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
        });
        match timeout(START_TIME, listening(out)).await {
            Ok(Some(port)) => self.port.store(port, Ordering::Relaxed),
            Ok(None) => bail!("node {} ended before it listened{}", self.name, self.last_words()),
            Err(_) => {
                bail!("node {} did not listen within {START_TIME:?}{}", self.name, self.last_words())
            }
        }
        Ok(())
    }

    /// SIGKILL, and nothing else: it has no chance to write anything.
    pub(super) async fn kill(&self) -> Result<()> {
        let mut child = self.child().take().with_context(|| format!("node {} does not run", self.name))?;
        child.kill().await.with_context(|| format!("cannot kill node {}", self.name))
    }

    /// SIGTERM, as an administrator would; the node must exit with 0.
    pub(super) async fn stop(&self) -> Result<()> {
        let Some(mut child) = self.child().take() else { return Ok(()) };
        let id = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(id) = id {
            rustix::process::kill_process(id, rustix::process::Signal::TERM)
                .with_context(|| format!("cannot stop node {}", self.name))?;
        }
        match timeout(STOP_TIME, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(status) => bail!("node {} did not stop well: {status:?}{}", self.name, self.last_words()),
            Err(_) => bail!("node {} did not stop within {STOP_TIME:?}{}", self.name, self.last_words()),
        }
    }

    /// The end of its standard error, for an error message.
    pub(super) fn last_words(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        match tail.is_empty() {
            true => String::new(),
            false => {
                let lines: Vec<&str> = tail.iter().map(String::as_str).collect();
                format!("; node {} said last:\n  {}", self.name, lines.join("\n  "))
            }
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self) -> Result<Command> {
        let program = std::env::current_exe().context("cannot find this program itself")?;
        let mut command = Command::new(program);
        // Whatever happens to the demo, its nodes end with it.
        command.arg("--data").arg(&self.data).arg("--json").stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }
}

/// Of a port of this machine.
pub(super) fn address(port: u16) -> String {
    format!("/ip4/127.0.0.1/tcp/{port}")
}

/// The port that a node says it listens on. What it says later is read and dropped, so that its pipe never fills.
async fn listening(out: ChildStdout) -> Option<u16> {
    let mut lines = BufReader::new(out).lines();
    let port = loop {
        let line = lines.next_line().await.ok()??;
        if let Some(port) = port_of(&line) {
            break port;
        }
    };
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Some(port)
}

fn port_of(line: &str) -> Option<u16> {
    let event: Value = serde_json::from_str(line).ok()?;
    let address = event["addr"].as_str().filter(|_| event["event"] == "listening")?;
    address.strip_prefix("/ip4/127.0.0.1/tcp/")?.split('/').next()?.parse().ok()
}

#[test]
fn the_port_is_read_from_the_event() {
    let line = r#"{"event":"listening","addr":"/ip4/127.0.0.1/tcp/4711/p2p/12D3KooW"}"#;
    assert_eq!(port_of(line), Some(4711));
    assert_eq!(port_of(r#"{"event":"other"}"#), None);
    assert_eq!(port_of("no json"), None);
}
