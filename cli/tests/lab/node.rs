//! A node as a process, in a folder of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Node {
    name: &'static str,
    folder: TempDir,
    data: PathBuf,
    settings: Vec<(&'static str, u64)>,
    running: Option<Child>,
}

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rejoin"));
    command.arg("--data").arg(data).args(["--json"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs one command; the error is what it said.
pub(crate) fn rejoin(data: &Path, arguments: &[&str]) -> Result<Value, String> {
    outcome(command(data, arguments).output().expect("the binary runs"))
}

fn outcome(output: Output) -> Result<Value, String> {
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    } else {
        Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}

impl Node {
    pub(crate) fn new(name: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join(name);
        Self { name, folder, data, settings: Vec::new(), running: None }
    }

    pub(crate) fn name(&self) -> &str {
        self.name
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Sets something in the environment of its processes.
    pub(crate) fn set(&mut self, name: &'static str, value: u64) {
        self.settings.push((name, value));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.data, arguments);
        command.envs(self.settings.iter().map(|(name, value)| (name, value.to_string())));
        command
    }

    /// Runs one command that has to succeed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).output().expect("the binary runs");
        outcome(output).unwrap_or_else(|error| panic!("{} on {}: {error}", arguments.join(" "), self.name))
    }

    /// The same with something on standard input.
    pub(crate) fn json_with(&self, arguments: &[&str], input: &str) -> Value {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the binary runs");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        outcome(output).unwrap_or_else(|error| panic!("{} on {}: {error}", arguments.join(" "), self.name))
    }

    /// Starts a command and lets it run.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the binary runs")
    }

    /// Starts to serve; the first address, once it listens.
    pub(crate) fn serve(&mut self, arguments: &[&str]) -> String {
        let mut all = vec!["serve", "--no-mdns"];
        all.extend_from_slice(arguments);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let mut child = self.command(&all).stderr(Stdio::inherit()).spawn().expect("the binary runs");
            let mut line = String::new();
            let stdout = child.stdout.take().expect("piped");
            BufReader::new(stdout).read_line(&mut line).expect("it speaks");
            if let Ok(event) = serde_json::from_str::<Value>(&line) {
                self.running = Some(child);
                return event["addr"].as_str().expect("an address").to_owned();
            }
            // The port of a killed process may be taken for a moment longer.
            let _ = child.wait();
            assert!(Instant::now() < deadline, "{} does not come up", self.name);
            thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().expect("it ran");
            child.wait().expect("it ends");
        }
    }

    pub(crate) fn root(&self, space: &str) -> String {
        let spaces = self.json(&["spaces"]);
        let found = spaces.as_array().expect("a list").iter().find(|found| found["name"] == space);
        found.expect("it is there")["root"].as_str().expect("a root").to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            println!("{}: {}", self.name, self.folder.path().display());
        }
    }
}

/// Waits for a process; whether it ended in time.
pub(crate) fn wait(child: &mut Child, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if child.try_wait().expect("it is ours").is_some() {
            return true;
        }
        thread::park_timeout(Duration::from_millis(1));
    }
    false
}

/// Waits until all nodes name the same root.
pub(crate) fn agree(nodes: &[&Node], space: &str, patience: Duration) {
    let deadline = Instant::now() + patience;
    loop {
        let roots: Vec<String> = nodes.iter().map(|node| node.root(space)).collect();
        if roots.windows(2).all(|pair| pair[0] == pair[1]) {
            return;
        }
        if Instant::now() > deadline {
            for node in nodes {
                println!("{}: {}", node.name(), node.json(&["status"]));
            }
            panic!("no equal roots after {} s", patience.as_secs());
        }
        thread::park_timeout(Duration::from_millis(200));
    }
}

/// An amount, larger where the environment says so.
pub(crate) fn amount(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// A random number: when to strike is nobody's choice.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(Instant::now())
}
