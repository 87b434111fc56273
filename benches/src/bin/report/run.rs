//! One process for each round of each cell of the tables, and the median of what the rounds say.
//!
//! The rounds of a cell stop early when they have taken their time: what takes long is steady anyway.

use std::collections::BTreeMap;
use std::path::PathBuf;
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
    /// The whole of it, by the wall.
    pub(crate) seconds: f64,
}

/// What one cell came to.
enum Cell {
    Figures(Measures),
    /// The contender has no such thing.
    Cannot,
    Trouble(String),
}

impl Outcomes {
    pub(crate) fn measure(sections: &[Section], amount: Amount) -> Result<Self, String> {
        let (mut outcomes, start) = (Self::default(), Instant::now());
        for section in sections {
            for case in &section.cases {
                eprintln!("{} {}", section.id, case.label);
                for contender in &case.contenders {
                    outcomes.cell(case, contender, amount)?;
                }
            }
        }
        outcomes.seconds = start.elapsed().as_secs_f64();
        Ok(outcomes)
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
        Amount::Full => (5, Duration::from_secs(6), Duration::from_secs(300)),
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
