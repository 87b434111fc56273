//! What people see while the demo works: one line per node, redrawn in place on a terminal, and plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

/// How often the table is redrawn, and how often a line is printed where there is no terminal.
const REDRAW: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(3);
/// Cells of the progress bar.
const BAR: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Terminal,
    Lines,
    Json,
}

#[derive(Clone, Debug, Default)]
struct Line {
    name: &'static str,
    state: &'static str,
    rows: u64,
    root: String,
    unsynced: u64,
    in_sync: usize,
    connected: usize,
    writes: usize,
}

#[derive(Default)]
struct Inner {
    title: String,
    /// What the phase waits for: done, of, unit.
    progress: Option<(u64, u64, &'static str)>,
    lines: Vec<Line>,
    /// Lines of the table that stand on the terminal.
    drawn: usize,
}

pub(super) struct Board {
    mode: Mode,
    began: Instant,
    inner: Mutex<Inner>,
}

impl Board {
    pub(super) fn new(json: bool, names: &[&'static str]) -> Self {
        let mode = match (json, std::io::stdout().is_terminal()) {
            (true, _) => Mode::Json,
            (false, true) => Mode::Terminal,
            (false, false) => Mode::Lines,
        };
        let line =
            |name: &&'static str| Line { name, state: "starting", root: "-".to_owned(), ..Line::default() };
        let lines = names.iter().map(line).collect();
        Self { mode, began: Instant::now(), inner: Mutex::new(Inner { lines, ..Inner::default() }) }
    }

    /// A phase begins.
    pub(super) fn phase(&self, title: &str) {
        let mut inner = self.lock();
        self.erase(&mut inner);
        title.clone_into(&mut inner.title);
        inner.progress = None;
        match self.mode {
            Mode::Terminal => self.table(&mut inner),
            Mode::Lines => print(&format!("[{:5.1} s] {title}", self.seconds())),
            Mode::Json => {}
        }
    }

    /// A phase has ended: words for people, the value for programs.
    pub(super) fn done(&self, words: &str, mut value: Value) {
        let mut inner = self.lock();
        self.erase(&mut inner);
        match self.mode {
            Mode::Json => {
                value["seconds_since_start"] = json!(rounded(self.seconds()));
                print(&value.to_string());
            }
            Mode::Terminal => print(&format!("[{:5.1} s] {}: {words}", self.seconds(), inner.title)),
            Mode::Lines => print(&format!("[{:5.1} s]   {words}", self.seconds())),
        }
    }

    pub(super) fn state(&self, node: usize, state: &'static str) {
        self.lock().lines[node].state = state;
    }

    pub(super) fn states(&self, state: &'static str) {
        self.lock().lines.iter_mut().for_each(|line| line.state = state);
    }

    pub(super) fn wrote(&self, node: usize, edits: usize) {
        self.lock().lines[node].writes += edits;
    }

    pub(super) fn writes(&self) -> usize {
        self.lock().lines.iter().map(|line| line.writes).sum()
    }

    pub(super) fn progress(&self, done: u64, of: u64, unit: &'static str) {
        self.lock().progress = Some((done, of, unit));
    }

    /// What a node said about its space.
    pub(super) fn sample(&self, node: usize, space: &Value) {
        let number = |field: &str| space[field].as_u64().unwrap_or_default();
        let peers = space["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let count = |field: &str| peers.iter().filter(|peer| peer[field] == true).count();
        let line = &mut self.lock().lines[node];
        (line.rows, line.unsynced) = (number("rows"), number("unsynced"));
        (line.connected, line.in_sync) = (count("connected"), count("in_sync"));
        line.root = short(space["root"].as_str().unwrap_or("-"));
    }

    /// Redraws until it is dropped.
    pub(super) async fn keep_drawing<T>(&self) -> T {
        let every = if self.mode == Mode::Terminal { REDRAW } else { LINE };
        loop {
            tokio::time::sleep(every).await;
            let mut inner = self.lock();
            match self.mode {
                Mode::Terminal => {
                    self.erase(&mut inner);
                    self.table(&mut inner);
                }
                Mode::Lines => {
                    let cells: Vec<String> = inner.lines.iter().map(Line::brief).collect();
                    print(&format!("[{:5.1} s]   {}", self.seconds(), cells.join("  |  ")));
                }
                Mode::Json => {}
            }
        }
    }

    /// Prints what stays, below everything that was drawn.
    pub(super) fn end(&self, text: &str) {
        self.erase(&mut self.lock());
        print(text);
    }

    pub(super) fn is_json(&self) -> bool {
        self.mode == Mode::Json
    }

    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn erase(&self, inner: &mut Inner) {
        if inner.drawn > 0 {
            // Up to the first line of the table, and clear to the end of the screen.
            print_raw(&format!("\x1b[{}A\r\x1b[J", inner.drawn));
            inner.drawn = 0;
        }
    }

    fn table(&self, inner: &mut Inner) {
        let mut text = format!("[{:5.1} s] {}", self.seconds(), inner.title);
        if let Some((done, of, unit)) = inner.progress {
            text.push_str(&format!("  {} {done} of {of} {unit}", bar(done, of)));
        }
        let heading = ["node", "state", "rows", "root", "unsynced", "in sync", "writes"];
        text.push_str(&format!(
            "\n  {:<6}{:<12}{:>8}  {:<10}{:>9}{:>10}{:>9}\n",
            heading[0], heading[1], heading[2], heading[3], heading[4], heading[5], heading[6]
        ));
        for line in &inner.lines {
            let Line { name, state, rows, root, unsynced, in_sync, connected, writes } = line;
            let peers = format!("{in_sync} of {connected}");
            text.push_str(&format!(
                "  {name:<6}{state:<12}{rows:>8}  {root:<10}{unsynced:>9}{peers:>10}{writes:>9}\n"
            ));
        }
        inner.drawn = text.matches('\n').count();
        print_raw(&text);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn brief(&self) -> String {
        let Self { name, state, rows, root, unsynced, in_sync, connected, writes } = self;
        format!(
            "{name} {state}, {rows} rows, {root}, {unsynced} unsynced, in sync {in_sync}/{connected}, {writes} writes"
        )
    }
}

/// The first hex digits of a root.
pub(super) fn short(root: &str) -> String {
    root.chars().take(8).collect()
}

/// To a tenth.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn bar(done: u64, of: u64) -> String {
    let cells = usize::try_from(done.min(of) * BAR as u64 / of.max(1)).unwrap_or(BAR);
    format!("[{}{}]", "#".repeat(cells), ".".repeat(BAR - cells))
}

fn print(text: &str) {
    print_raw(&format!("{text}\n"));
}

/// A reader that went away must not end the demo before its nodes are stopped.
fn print_raw(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[test]
fn the_bar_fills() {
    assert_eq!(bar(0, 10), format!("[{}]", ".".repeat(BAR)));
    assert_eq!(bar(5, 10), format!("[{}{}]", "#".repeat(BAR / 2), ".".repeat(BAR / 2)));
    assert_eq!(bar(20, 10), format!("[{}]", "#".repeat(BAR)));
    assert_eq!(bar(0, 0), format!("[{}]", ".".repeat(BAR)));
}
