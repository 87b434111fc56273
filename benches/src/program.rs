//! The command line of a measuring program: one task, one process, figures on its output.
//!
//! `bench-yrs W5 rows=100000 changed=10 values=random` prints a figure a line and ends with 0. A program that cannot do a
//! task ends with [`CANNOT`]. One that did it wrong aborts, and the report shows that instead of a figure.

use std::process::ExitCode;

use crate::measure::Measures;
use crate::rows::Kind;

/// The exit code for a task that an engine cannot do.
pub const CANNOT: u8 = 3;

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Which, as the goals number them.
    pub workload: String,
    /// Live rows, elements or keys.
    pub rows: usize,
    /// Rows in one transaction.
    pub batch: usize,
    /// Rows changed on each side.
    pub changed: usize,
    /// Writes, where there are more of them than rows.
    pub writes: usize,
    /// Replicas that write.
    pub replicas: usize,
    /// What the rows hold.
    pub values: Kind,
    /// Whether an engine with a bounded log keeps one.
    pub log: bool,
}

impl Default for Task {
    fn default() -> Self {
        Self {
            workload: String::new(),
            rows: 1000,
            batch: 1,
            changed: 0,
            writes: 0,
            replicas: 1,
            values: Kind::Hex,
            log: true,
        }
    }
}

impl Task {
    /// Reads a task from the words of a command line.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let (workload, settings) = words.split_first().ok_or("no workload given")?;
        let mut task = Self { workload: workload.clone(), ..Self::default() };
        for word in settings {
            let (name, value) = word.split_once('=').ok_or(format!("`{word}` is no setting"))?;
            let number = || value.parse().map_err(|_| format!("`{word}` needs a number"));
            match (name, value) {
                ("rows", _) => task.rows = number()?,
                ("batch", _) => task.batch = number()?,
                ("changed", _) => task.changed = number()?,
                ("writes", _) => task.writes = number()?,
                ("replicas", _) => task.replicas = number()?,
                ("log", _) => task.log = number()? > 0,
                ("values", "hex") => task.values = Kind::Hex,
                ("values", "random") => task.values = Kind::Random,
                _ => return Err(format!("nothing is called `{name}`, or it cannot be `{value}`")),
            }
        }
        Ok(task)
    }
}

/// The `main` of a measuring program. `run` answers `None` to a task that the engine cannot do.
pub fn main(run: impl FnOnce(&Task) -> Option<Measures>) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match Task::parse(&words).map(|task| run(&task)) {
        Ok(Some(measures)) => {
            print!("{}", measures.lines());
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::from(CANNOT),
        Err(problem) => {
            eprintln!("{problem}; for example: W1 rows=1000 batch=100 values=hex");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_read_word_by_word_and_nothing_is_guessed() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let task = Task::parse(&words("W5 rows=7 changed=2 values=random")).expect("a task");
        let wanted =
            Task { workload: "W5".into(), rows: 7, changed: 2, values: Kind::Random, ..Task::default() };
        assert_eq!(task, wanted);
        assert!(Task::parse(&words("W5 rows")).is_err() && Task::parse(&words("W5 values=x")).is_err());
    }
}
