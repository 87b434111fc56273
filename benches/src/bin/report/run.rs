//! One process for each round of each cell of the tables, and the median of what the rounds say.
//!
//! The rounds of a cell stop early when they have taken their time: what takes long is steady anyway. Each cell is noted in
//! a file as soon as it is known, so that a run that was interrupted goes on where it ended.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rejoin_benches::measure::Measures;
use rejoin_benches::program::CANNOT;

use crate::Amount;
use crate::plan::{Case, Contender, Section};

/// Figures by case, contender and name.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    figures: BTreeMap<(String, String, String), f64>,
    /// Cells that a program could not do well: what happened, in a few words.
    troubles: BTreeMap<(String, String), String>,
    notes: PathBuf,
    /// Some figures are those of an earlier, interrupted run.
    pub(crate) is_resumed: bool,
}

/// What one cell came to.
enum Cell {
    Figures(Measures),
    /// The contender has no such thing.
    Cannot,
    Trouble(String),
}

impl Outcomes {
    /// Measures what `notes` does not know yet.
    pub(crate) fn measure(sections: &[Section], amount: Amount, notes: &Path) -> Result<Self, String> {
        let mut outcomes = Self { notes: notes.to_owned(), ..Self::default() };
        // Without notes it is a new run.
        let known = std::fs::read_to_string(notes).unwrap_or_default();
        outcomes.is_resumed = !known.is_empty();
        for line in known.lines() {
            if let [case, contender, name, value] = line.split('\t').collect::<Vec<_>>()[..] {
                let key = [case, contender, name].map(str::to_owned).into();
                outcomes.figures.insert(key, value.parse().map_err(|_| format!("`{line}` is no note"))?);
            }
        }
        for section in sections {
            for case in &section.cases {
                eprintln!("{} {}", section.id, case.label);
                for contender in &case.contenders {
                    if !outcomes.knows(&case.key(), contender.name) {
                        outcomes.cell(case, contender, amount)?;
                    }
                }
            }
        }
        Ok(outcomes)
    }

    fn knows(&self, case: &str, contender: &str) -> bool {
        self.figures.keys().any(|key| key.0 == case && key.1 == contender)
    }

    fn note(&self) -> Result<(), String> {
        let mut text = String::new();
        for ((case, contender, name), value) in &self.figures {
            let _ = writeln!(text, "{case}\t{contender}\t{name}\t{value}");
        }
        let cannot = |error| format!("cannot write {}: {error}", self.notes.display());
        std::fs::write(&self.notes, text).map_err(cannot)
    }

    fn cell(&mut self, case: &Case, contender: &Contender, amount: Amount) -> Result<(), String> {
        let words = case.words(contender, amount);
        match rounds(&contender.program, &words, amount)? {
            Cell::Figures(measures) => {
                let shown: Vec<String> = measures
                    .0
                    .iter()
                    .map(|(name, value)| format!("{name} {}", crate::goal::human(*value)))
                    .collect();
                eprintln!("    {:<16} {}", contender.name, shown.join(", "));
                let key = |name| (case.key(), contender.name.to_owned(), name);
                self.figures.extend(measures.0.into_iter().map(|(name, value)| (key(name), value)));
                self.note()?;
            }
            Cell::Cannot => {}
            Cell::Trouble(words) => {
                eprintln!("    {:<16} {words}", contender.name);
                self.troubles.insert((case.key(), contender.name.to_owned()), words);
            }
        }
        Ok(())
    }

    /// A figure, if it was measured.
    pub(crate) fn figure(&self, case: &str, contender: &str, name: &str) -> Option<f64> {
        self.figures.get(&(case.to_owned(), contender.to_owned(), name.to_owned())).copied()
    }

    /// What went wrong in a cell.
    pub(crate) fn trouble(&self, case: &str, contender: &str) -> Option<&str> {
        self.troubles.get(&(case.to_owned(), contender.to_owned())).map(String::as_str)
    }
}

/// Measuring programs lie beside this one.
pub(crate) fn beside(program: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    Ok(own.with_file_name(program))
}

fn rounds(program: &str, words: &[String], amount: Amount) -> Result<Cell, String> {
    let (most, enough, patience) = match amount {
        Amount::Full => (5, Duration::from_secs(6), Duration::from_secs(1800)),
        Amount::Quick => (2, Duration::from_secs(2), Duration::from_secs(60)),
    };
    let (mut all, start) = (Vec::new(), Instant::now());
    while all.len() < most && (all.is_empty() || start.elapsed() < enough) {
        match once(program, words, patience)? {
            Cell::Figures(measures) => all.push(measures),
            other => return Ok(other),
        }
    }
    Ok(Cell::Figures(median(&all)))
}

fn once(program: &str, words: &[String], patience: Duration) -> Result<Cell, String> {
    let path = beside(program)?;
    if !path.exists() {
        return Ok(Cell::Trouble("not built".into()));
    }
    let mut command = Command::new("timeout");
    command.arg(patience.as_secs().to_string()).arg(path).args(words).stdout(Stdio::piped());
    let output = command.output().map_err(|error| format!("cannot start {program}: {error}"))?;
    Ok(match output.status.code() {
        Some(0) => Cell::Figures(Measures::parse(&String::from_utf8_lossy(&output.stdout))),
        Some(code) if code == i32::from(CANNOT) => Cell::Cannot,
        Some(124) => Cell::Trouble(format!("over {} s", patience.as_secs())),
        _ => {
            let words = String::from_utf8_lossy(&output.stderr);
            eprintln!("{program} {}: {words}", output.status);
            Cell::Trouble("failed".into())
        }
    })
}

/// For each name the value in the middle.
fn median(all: &[Measures]) -> Measures {
    let names = all.first().map(|measures| measures.0.iter()).into_iter().flatten();
    let middle = names.map(|(name, _)| {
        let mut values: Vec<f64> = all
            .iter()
            .flat_map(|round| round.0.iter().filter(|(other, _)| other == name))
            .map(|pair| pair.1)
            .collect();
        values.sort_by(f64::total_cmp);
        (name.clone(), values[values.len() / 2])
    });
    Measures(middle.collect())
}
