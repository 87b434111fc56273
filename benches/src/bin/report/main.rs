//! Runs every measuring program on every workload, one process after the other, and writes down how rejoin stands.
//!
//! | module | what it holds |
//! |---|---|
//! | [`plan`] | the workloads with their sizes, who takes part, what is measured, and the goals |
//! | [`goal`] | what a goal is, and whether it is met |
//! | [`run`] | one process for each round; medians |
//! | [`table`] | the page in Markdown |
//! | [`plot`] | the pictures |
//! | [`instructions`] | instructions a row, when asked for |
//! | [`machine`] | what it was measured on, and with what |

mod goal;
mod instructions;
mod machine;
mod plan;
mod plot;
mod run;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::run::Outcomes;

/// How much to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// As the goals say.
    Full,
    /// A tenth, and fewer rounds: to see that all of it works.
    Quick,
}

struct Arguments {
    amount: Amount,
    only: Option<String>,
    instructions: bool,
    /// Where the page and its pictures go; the terminal otherwise.
    docs: Option<PathBuf>,
    /// Figures of a run that was interrupted.
    resume: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, String> {
    let mut found =
        Arguments { amount: Amount::Full, only: None, instructions: false, docs: None, resume: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
        match word.as_str() {
            "--quick" => found.amount = Amount::Quick,
            "--instructions" => found.instructions = true,
            "--only" => found.only = Some(value()?),
            "--resume" => found.resume = Some(PathBuf::from(value()?)),
            "--docs" => found.docs = Some(PathBuf::from(value()?)),
            _ => {
                return Err(format!(
                    "`{word}` is not known; there are --quick, --only W5, --resume FILE and --docs FOLDER"
                ));
            }
        }
    }
    Ok(found)
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| report(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench-report: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn report(arguments: &Arguments) -> Result<(), String> {
    if arguments.instructions {
        print!("{}", instructions::table()?);
        return Ok(());
    }
    let mut sections = plan::sections();
    if let Some(only) = &arguments.only {
        sections.retain(|section| section.id == only);
        if sections.is_empty() {
            return Err(format!("no workload is called `{only}`"));
        }
    }
    let name = format!("rejoin-bench-{}.tsv", std::process::id());
    let notes = arguments.resume.clone().unwrap_or_else(|| std::env::temp_dir().join(name));
    eprintln!("figures are noted in {0}; after an interruption go on with --resume {0}", notes.display());
    let outcomes = Outcomes::measure(&sections, arguments.amount, &notes)?;
    let page = table::page(&sections, &outcomes, arguments.amount);
    let Some(folder) = &arguments.docs else {
        print!("{page}");
        return Ok(());
    };
    let file = folder.join("benchmarks.md");
    std::fs::write(&file, page).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    plot::draw(&outcomes, folder)?;
    println!("written: {}", file.display());
    Ok(())
}
