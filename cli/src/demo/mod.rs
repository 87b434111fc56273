//! `rejoin demo`: the main job on real input, with three nodes that are processes of their own.
//!
//! Three `rejoin serve` load a published data set. One is cut off by a forwarder while it keeps running, all sides edit,
//! another is killed and restarted, then they rejoin. Each side writes down what it does before it does it; at the end a
//! judge that shares no code with rejoin holds what the nodes have against what was written down.
//!
//! | module | what it holds |
//! |---|---|
//! | [`data`] | the data set |
//! | [`node`], [`control`] | a node as a child process, and commands to it |
//! | [`forwarder`] | the wire that is cut |
//! | [`workload`], [`hands`] | what is edited, and who does it |
//! | [`journal`] | the record of each side |
//! | [`stage`], [`acts`] | who is connected to whom, and what happens in which order |
//! | [`check`], [`verdict`] | the judge, and what it found |
//! | [`board`] | the table on the terminal |

mod acts;
mod board;
mod check;
#[cfg(test)]
mod check_tests;
mod control;
mod data;
mod forwarder;
mod hands;
mod journal;
mod node;
mod stage;
mod verdict;
mod workload;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use board::Board;
use stage::{NAMES, Stage};

/// Rows that the demo needs to have something to edit.
const FEWEST_ROWS: usize = 60;

/// How to run the demo.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Draws the same edits again (when they happen is up to the machine).
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long the cut lasts.
    #[arg(long, default_value_t = 12.0)]
    pub(crate) seconds: f64,
    /// Most units of work of a side in a phase.
    #[arg(long, default_value_t = 6000)]
    pub(crate) edits: u64,
    /// Rows of the data set to load; all of them by default.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    pub(crate) rows: usize,
    /// Changes something at the end behind the back of the record: the demo must notice, and fails.
    #[arg(long, value_enum)]
    pub(crate) plant: Option<Plant>,
    /// Keeps the folder with the stores, the record and what each node exported.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Set by the command line's own `--json`.
    #[arg(skip)]
    pub(crate) json: bool,
}

/// A fault to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Plant {
    /// A row is removed.
    LoseRow,
    /// A removed row is put back.
    ResurrectRow,
    /// A counter is added to.
    WrongCounter,
}

/// Runs the demo: exit code 0 when nothing was lost and nothing came back, 1 otherwise.
pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("rejoin-demo-").tempdir().context("no temporary folder")?;
    let board = Arc::new(Board::new(options.json, &NAMES));
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let mut terminated = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let outcome = tokio::select! {
        outcome = play(&options, folder.path(), &board) => outcome,
        never = board.keep_drawing() => never,
        // Everything is dropped on the way out, and the nodes end with it.
        _ = interrupted.recv() => Err(anyhow!("interrupted")),
        _ = terminated.recv() => Err(anyhow!("terminated")),
    };
    if options.keep {
        let kept = folder.keep();
        board.end(&match board.is_json() {
            true => json!({ "phase": "kept", "folder": kept }).to_string(),
            false => format!("  kept          {}", kept.display()),
        });
    }
    outcome
}

async fn play(options: &Options, folder: &Path, board: &Arc<Board>) -> Result<ExitCode> {
    let airports = data::airports(options.rows)?;
    ensure!(airports.len() >= FEWEST_ROWS, "the demo needs at least {FEWEST_ROWS} rows: give --rows more");
    board.phase("three nodes start");
    let stage = Stage::set(folder.to_owned(), airports, Arc::clone(board)).await?;
    acts::load(&stage).await?;
    acts::together(&stage, options).await?;
    acts::apart(&stage, options).await?;
    let rejoined = acts::rejoin(&stage).await?;
    if let Some(plant) = options.plant {
        board.phase("a fault is planted");
        let words = verdict::plant(&stage, plant).await?;
        board.done(
            &format!("behind the back of the record: {words}"),
            json!({ "phase": "plant", "did": words }),
        );
    }
    board.phase("what the nodes hold is held against the record");
    let verdict = verdict::reach(&stage).await?;
    stage.close().await?;
    let loaded = stage.airports.len();
    let (seconds, work) = (board.seconds(), (loaded, board.writes() - loaded));
    let value: Value = verdict.value(&rejoined, seconds, work);
    board.end(&if options.json { value.to_string() } else { verdict.words(&rejoined, seconds, work) });
    Ok(if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
