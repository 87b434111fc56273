//! The hands of a side: each sends unit after unit to its node, writes down what it is about to do, and goes on when the
//! node was killed and is back.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::board::Board;
use super::control::{Control, Failed};
use super::journal::Journal;
use super::workload::{self, Hand};

/// The space of the demo.
pub(super) const SPACE: &str = "demo";

/// How long a hand leaves a node alone that was killed.
const GRACE: Duration = Duration::from_millis(200);

/// A side: its node, and the record of what it did there.
pub(super) struct Side<'a> {
    /// Which node, on the board.
    pub(super) node: usize,
    pub(super) data: &'a Path,
    pub(super) journal: &'a Journal,
    pub(super) board: &'a Board,
    /// The node was killed by the demo: answers may be missing, and it comes back.
    pub(super) is_killed: &'a AtomicBool,
}

/// How long a hand works.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) phase: u64,
    pub(super) until: Instant,
    pub(super) units: u64,
}

impl Side<'_> {
    /// Lets one hand work.
    pub(super) async fn work(&self, mut hand: Hand<'_>, plan: Plan) -> Result<()> {
        let mut control = Control::connect(self.data).await?;
        for _ in 0..plan.units {
            if Instant::now() >= plan.until {
                break;
            }
            let edits = hand.unit();
            let unit = self.journal.begin(plan.phase, &edits)?;
            match send(&mut control, &edits).await {
                Ok(()) => self.journal.answered(unit)?,
                // The unit stays without an answer: nobody knows whether it happened. Units are never repeated.
                Err(Failed::Gone(_)) if self.is_killed.load(Ordering::SeqCst) => {
                    // A process that is being killed may still take connections for a moment.
                    sleep(GRACE).await;
                    control = Control::connect(self.data).await.context("after the node was killed")?;
                }
                Err(failed) => return Err(failed.into()),
            }
            self.board.wrote(self.node, edits.len());
        }
        Ok(())
    }

    /// One unit by a hand that has nothing else to do.
    pub(super) async fn once(&self, phase: u64, edits: &[Value]) -> Result<()> {
        let mut control = Control::connect(self.data).await?;
        let unit = self.journal.begin(phase, edits)?;
        send(&mut control, edits).await?;
        self.board.wrote(self.node, edits.len());
        self.journal.answered(unit)
    }
}

/// One edit is a command of its own; several are a transaction.
async fn send(control: &mut Control, edits: &[Value]) -> Result<(), Failed> {
    match edits {
        [edit] => control.ask(&workload::command(SPACE, edit), None).await?,
        edits => {
            let lines: Vec<String> = edits.iter().map(Value::to_string).collect();
            control.ask(&["batch", SPACE, "-"], Some(&lines.join("\n"))).await?
        }
    };
    Ok(())
}
