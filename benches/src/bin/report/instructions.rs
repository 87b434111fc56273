//! Instructions a row, counted by valgrind: the one figure of speed that no other work on the machine disturbs.
//!
//! Each program writes two numbers of rows, and the difference is divided: starting and ending fall out, making the rows does
//! not, and is the same for everybody.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::goal::human;
use crate::run::beside;

const SMALL: u32 = 4000;
const LARGE: u32 = 8000;
/// (name, program, workload)
const CONTENDERS: [(&str, &str, &str); 7] = [
    ("rejoin", "bench-rejoin", "W1"),
    ("rejoin value", "bench-rejoin", "W1-alone"),
    ("automerge", "bench-automerge", "W1"),
    ("yrs", "bench-yrs", "W1"),
    ("loro", "bench-loro", "W1"),
    ("crdts", "bench-crdts", "W1"),
    ("iroh-docs", "bench-iroh-docs", "W1"),
];

/// A table in Markdown.
pub(crate) fn table() -> Result<String, String> {
    let mut text = format!(
        "Instructions a row, between {SMALL} and {LARGE} rows\n\n| | one row a transaction | 100 rows |\n|---|--:|--:|\n"
    );
    for (name, program, workload) in CONTENDERS {
        let path = beside(program)?;
        let cells = [1, 100].map(|batch| {
            let count = |rows| count(&path, workload, rows, batch);
            Ok::<f64, String>((count(LARGE)? - count(SMALL)?) / f64::from(LARGE - SMALL))
        });
        let [one, many] = cells;
        let _ = writeln!(text, "| {name} | {} | {} |", human(one?.round()), human(many?.round()));
    }
    Ok(text)
}

fn count(program: &Path, workload: &str, rows: u32, batch: u32) -> Result<f64, String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.args([workload.to_owned(), format!("rows={rows}"), format!("batch={batch}")]);
    let output = command.output().map_err(|error| format!("cannot start valgrind: {error}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    let collected = words.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, number)| number);
    let number = collected.and_then(|number| number.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("valgrind says nothing of {}: {words}", program.display()))
}
