//! `rejoin-fuzz seeds FOLDER | run TARGET FILE...`: writes the corpora that a fuzzer starts from; runs inputs that it kept.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use rejoin_fuzz::{TARGETS, Target, seeds};

const USAGE: &str = "\
rejoin-fuzz seeds FOLDER
    Writes FOLDER/TARGET/NUMBER for every target, from real sessions and stores.
rejoin-fuzz run TARGET FILE...
    Runs inputs again, without a fuzzer.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["seeds", folder] => write(Path::new(folder)),
        ["run", name, files @ ..] => match TARGETS.iter().find(|(target, _)| target == name) {
            Some((_, target)) => run(*target, files),
            None => return usage(),
        },
        _ => return usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rejoin-fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn write(folder: &Path) -> io::Result<()> {
    for (name, _) in TARGETS {
        let corpus = folder.join(name);
        fs::create_dir_all(&corpus)?;
        for (number, seed) in seeds::of(name).iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}

fn run(target: Target, files: &[&str]) -> io::Result<()> {
    for file in files {
        println!("{file}");
        target(&fs::read(file)?);
    }
    Ok(())
}
