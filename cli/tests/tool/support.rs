//! Running the command: in a data directory of its own, with a limit on everything that is waited for.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than any command takes, on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_millis(20);
/// Lines of a process that wait to be read.
const LINES: usize = 10_000;

/// A data directory.
pub(crate) struct Home {
    folder: TempDir,
    data: PathBuf,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    /// A directory that does not exist yet.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        Self { folder, data }
    }

    /// One with a space of this name.
    pub(crate) fn with_space(name: &str) -> Self {
        let home = Self::empty();
        home.json(&["new", name]);
        home
    }

    /// The directory around the data directory, for other files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The same with the data elsewhere.
    pub(crate) fn at(mut self, data: PathBuf) -> Self {
        self.data = data;
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = rejoin();
        command.arg("--data").arg(&self.data).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments))
    }

    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Said {
        said_with(self.command(arguments), input)
    }

    /// Runs a command that has to succeed, as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[&["--json"], arguments].concat()).json()
    }

    /// Runs a command that has to fail with one line of words.
    pub(crate) fn refused(&self, arguments: &[&str], code: i32, words: &str) -> String {
        self.run(arguments).refused(code, words)
    }

    /// The file of the only space.
    pub(crate) fn file(&self) -> PathBuf {
        let mut files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.data.join("spaces")).expect("made by the first command");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
        files.sort();
        files
    }

    /// Starts `serve` on a free port of loopback, and waits until it listens.
    pub(crate) fn serve(&self, more: &[&str]) -> Serving {
        let all = [&["serve", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"], more].concat();
        let process = Process::start(self.command(&all));
        let Some(line) = process.line() else { panic!("serve does not listen: {:?}", process.finish()) };
        let event: Value = serde_json::from_str(&line).expect("an event");
        assert_eq!(event["event"], "listening", "{event}");
        let address = event["addr"].as_str().expect("an address").to_owned();
        // The socket opens just after the network; until it answers, a command waits for the lock.
        self.json(&["status"]);
        Serving { process, address }
    }
}

impl Said {
    fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Self {
            // Killed by a signal: no code.
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        assert!(!said.err.contains("panicked"), "{said:?}");
        said
    }

    /// It succeeded, without a word on standard error.
    #[track_caller]
    pub(crate) fn fine(self) -> String {
        assert!(self.code == 0 && self.err.is_empty(), "{self:?}");
        self.out
    }

    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let out = self.fine();
        assert_eq!(out.lines().count(), 1, "JSON is one value on one line: {out}");
        serde_json::from_str(&out).expect("JSON")
    }

    /// It failed with this code and one line that holds these words.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, words: &str) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "", "an error is no data");
        assert!(self.err.starts_with("rejoin: ") && self.err.lines().count() == 1, "one line: {}", self.err);
        assert!(self.err.contains(words), "`{words}` is not in: {}", self.err);
        self.err
    }
}

/// The command, without what the environment of whoever runs the tests adds to it.
pub(crate) fn rejoin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rejoin"));
    for name in ["REJOIN_DATA", "REJOIN_LOG_BYTES", "XDG_DATA_HOME"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn said(command: Command) -> Said {
    Process::start(command).finish()
}

pub(crate) fn said_with(mut command: Command, input: &[u8]) -> Said {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary runs");
    let (mut stdin, input) = (child.stdin.take().expect("piped"), input.to_owned());
    // A command that refuses to read is no failure of the test.
    thread::spawn(move || drop(stdin.write_all(&input)));
    Process::of(child).finish()
}

/// A command that runs. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    err: Receiver<String>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        Self::of(command.spawn().expect("the binary runs"))
    }

    fn of(mut child: Child) -> Self {
        let (say, lines) = sync_channel(LINES);
        let stdout = child.stdout.take().expect("piped");
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 0)
                && say.send(line.split_off(0)).is_ok()
            {}
        });
        let (say_err, err) = sync_channel(1);
        let mut stderr = child.stderr.take().expect("piped");
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // What cannot be read is missed by whoever looks for it.
            let _ = stderr.read_to_end(&mut bytes);
            let _ = say_err.send(String::from_utf8_lossy(&bytes).into_owned());
        });
        Self { child, lines, err }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its standard output; `None` when it has ended, or says nothing for too long.
    pub(crate) fn line(&self) -> Option<String> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    pub(crate) fn line_within(&self, time: Duration) -> Option<String> {
        self.lines.recv_timeout(time).ok()
    }

    /// Waits for its end, and says what it said that nobody has read.
    pub(crate) fn finish(mut self) -> Said {
        let mut status = None;
        wait_for("the command to end", || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        });
        let out: String = std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).collect();
        let err = self.err.recv_timeout(PATIENCE).unwrap_or_default();
        let status = status.expect("it has ended");
        Said::new(&Output { status, stdout: out.into_bytes(), stderr: err.into_bytes() })
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_some()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ends");
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    fn stop(self) -> Said {
        self.signal("TERM");
        self.finish()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A shell has `kill` built in, so nothing has to be installed for it.
pub(crate) fn signal(id: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().expect("a shell");
    assert!(sent.success(), "it still runs");
}

/// A running `serve`.
pub(crate) struct Serving {
    pub(crate) process: Process,
    /// Where it listens, with its id.
    pub(crate) address: String,
}

impl Serving {
    /// SIGTERM; it has to end well.
    pub(crate) fn stop(self) {
        let said = self.process.stop();
        assert!(said.code == 0 && said.err.is_empty(), "{said:?}");
    }

    pub(crate) fn port(&self) -> u16 {
        let mut parts = self.address.split('/').skip_while(|part| *part != "tcp");
        parts.nth(1).and_then(|port| port.parse().ok()).expect("a port")
    }
}

/// Looks until it is so.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited {} s for {what}", PATIENCE.as_secs());
        thread::park_timeout(PAUSE);
    }
}

/// JSON lines for an import: keys from a range, and values of a length.
pub(crate) fn rows(keys: std::ops::Range<usize>, length: usize) -> String {
    let row = |n| format!("{{\"key\":\"k{n:06}\",\"value\":\"{n:0>length$}\"}}\n");
    keys.map(row).collect()
}

/// Numbers that are the same in each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Xorshift.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below a usize")
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| u8::try_from(self.below(256)).expect("below 256")).collect()
    }
}
