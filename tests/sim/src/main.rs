//! `rejoin-sim run | replay | twice | traces | planted | forks`: see `USAGE`.

use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rejoin_core::planted::Planted;
#[cfg(feature = "planted")]
use rejoin_core::planted::Rule;
use rejoin_sim::forks::compare::{self, Header, Images, Row};
use rejoin_sim::run::{self, Options};
use rejoin_sim::{Outcome, Plan, Simulation, forks, seeds, shrink};

const USAGE: &str = "\
rejoin-sim run [--schedules N] [--seed BASE] [--threads T] [--no-shrink] [--keep-going]
    Runs schedules, the kept seeds first, until the first violation; with --keep-going all of them.
rejoin-sim replay SEED|FILE [--trace] [--shrink]
    Runs one schedule again.
rejoin-sim twice [--seeds N] [--seed BASE]
    Runs each schedule twice and compares what happened.
rejoin-sim traces [--seeds N] [--seed BASE]
    Prints each seed and the hash of all that happened, for another machine to compare.
rejoin-sim planted [--schedules N] [--seed BASE] [--threads T] [--rule NAME]
    Breaks one rule of the engine after the other; each must be caught. Needs the feature `planted`.
rejoin-sim forks [--schedules N] [--seed BASE] [--threads T] [--rule NAME] [--images KIND]
    Compares rules about forks in a model. Images are of machines that are `stopped`, of the `disk` of running ones,
    which is the default, or of their `memory` as well.";

/// A run of at least this many schedules must have met everything.
const LONG_RUN: u64 = 10_000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args = Args(&args);
    let done = match args.0.first().map(String::as_str) {
        Some("run") => run_many(&args),
        Some("replay") => replay(&args),
        Some("twice") => twice(&args),
        Some("traces") => traces(&args),
        Some("planted") => planted(&args),
        Some("forks") => compare_forks(&args),
        _ => None,
    };
    match done {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

struct Args<'a>(&'a [String]);

impl Args<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|arg| arg == name)
    }

    /// The word after an option.
    fn word(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|arg| arg == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    /// The number after an option; `None` when it is no number.
    fn number(&self, name: &str, default: u64) -> Option<u64> {
        match self.0.iter().position(|arg| arg == name) {
            Some(at) => self.0.get(at + 1)?.parse().ok(),
            None => Some(default),
        }
    }

    fn base(&self) -> Option<u64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        self.number("--seed", u64::try_from(now % 1_000_000_007).unwrap_or(0))
    }

    fn threads(&self) -> Option<usize> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        usize::try_from(self.number("--threads", cores as u64)?).ok()
    }
}

fn run_many(args: &Args<'_>) -> Option<bool> {
    let (schedules, base, threads) = (args.number("--schedules", 1000)?, args.base()?, args.threads()?);
    for (name, plan) in seeds::kept().expect("the kept seeds can be read") {
        let outcome = Simulation::new(plan).run();
        if let Some(failure) = outcome.failure {
            println!("kept seed {name}: {failure}");
            return Some(false);
        }
    }
    println!("base seed {base}");
    let start = Instant::now();
    let keep_going = args.has("--keep-going");
    let options = Options { base, schedules, threads, planted: Planted::default(), keep_going };
    let done = run::run(options);
    let took = start.elapsed().as_secs_f64();
    println!("{}", done.counters);
    let (count, events) = (done.counters.schedules, done.counters.events);
    let hours = done.counters.time_us / 3_600_000_000;
    println!("{count} schedules, {events} events, {hours} simulated hours in {took:.1} s");
    let schedules_run = u32::try_from(count).map_or(f64::INFINITY, f64::from);
    println!("{:.0} schedules/s, {} events per schedule", schedules_run / took, events / count.max(1));
    for ((rule, forked), (times, _, seed)) in &done.violations {
        let forked = if *forked { " after a fork" } else { "" };
        println!("{times:>9} x {rule}{forked}, first with seed {seed}");
    }
    if let Some((index, plan, outcome)) = &done.failed {
        report(*index, plan, outcome, !args.has("--no-shrink"));
        return Some(false);
    }
    let missing = done.counters.missing();
    if schedules >= LONG_RUN && !missing.is_empty() {
        println!("never met: {}", missing.join(", "));
        return Some(false);
    }
    println!(
        "no violation: at 95 % confidence fewer than {:.1e} of such schedules fail",
        3.0 / schedules_run
    );
    Some(true)
}

fn report(index: u64, plan: &Plan, outcome: &Outcome, smaller: bool) {
    let Some(failure) = &outcome.failure else { return };
    println!("schedule {index}, seed {}: {failure}", plan.seed);
    println!("replay it with: cargo run -p rejoin-sim --profile ci -- replay {} --trace", plan.seed);
    if smaller {
        shrink_and_keep(plan, outcome);
    }
}

fn shrink_and_keep(plan: &Plan, outcome: &Outcome) {
    let small = shrink::shrink(plan, outcome);
    let why = Simulation::new(small.clone()).run().failure.map(|failure| failure.to_string());
    match seeds::keep(&small, outcome.steps, &why.unwrap_or_default()) {
        Ok(path) => println!("shrunk and kept as {}", path.display()),
        Err(error) => println!("the shrunk schedule cannot be kept: {error}"),
    }
}

fn replay(args: &Args<'_>) -> Option<bool> {
    let what = args.0.get(1)?;
    let mut plan = match what.parse() {
        Ok(seed) => Plan::new(seed),
        Err(_) => seeds::parse(&std::fs::read_to_string(what).ok()?)?,
    };
    plan.print = args.has("--trace");
    let outcome = Simulation::new(plan.clone()).run();
    match &outcome.failure {
        Some(failure) => println!("{failure}"),
        None => println!("no violation"),
    }
    if args.has("--shrink") && outcome.failure.is_some() {
        plan.print = false;
        shrink_and_keep(&plan, &outcome);
    }
    Some(outcome.failure.is_none())
}

fn twice(args: &Args<'_>) -> Option<bool> {
    let (count, base) = (args.number("--seeds", 100)?, args.base()?);
    println!("base seed {base}");
    for index in 0..count {
        let seed = run::seed_of(base, index);
        let [a, b] = [0, 1].map(|_| Simulation::new(Plan::new(seed)).run().trace);
        if a != b {
            println!("seed {seed} runs differently the second time");
            return Some(false);
        }
    }
    println!("{count} seeds, the same twice");
    Some(true)
}

fn traces(args: &Args<'_>) -> Option<bool> {
    let (count, base) = (args.number("--seeds", 200)?, args.base()?);
    for seed in (0..count).map(|index| run::seed_of(base, index)) {
        println!("{seed} {}", Simulation::new(Plan::new(seed)).run().trace);
    }
    Some(true)
}

#[cfg(feature = "planted")]
fn planted(args: &Args<'_>) -> Option<bool> {
    let (schedules, base, threads) = (args.number("--schedules", 50_000)?, args.base()?, args.threads()?);
    println!("base seed {base}\n{:<18} {:>9}  {:>16}  violated", "rule left out", "schedules", "seed");
    let mut all = true;
    let only = args.word("--rule");
    let start = Instant::now();
    let rules = Rule::ALL.into_iter().filter(|rule| only.is_none_or(|only| format!("{rule:?}") == only));
    for catch in rules.map(|rule| rejoin_sim::planted::hunt(rule, base, schedules, threads)) {
        let rule = format!("{:?}", catch.rule);
        match catch.caught {
            Some((count, seed, what)) => println!("{rule:<18} {count:>9}  {seed:>16}  {what}"),
            None => {
                println!("{rule:<18} survived {schedules} schedules");
                all = false;
            }
        }
    }
    println!("in {:.0} s", start.elapsed().as_secs_f64());
    Some(all)
}

#[cfg(not(feature = "planted"))]
fn planted(_args: &Args<'_>) -> Option<bool> {
    eprintln!("build it with --features planted");
    None
}

fn compare_forks(args: &Args<'_>) -> Option<bool> {
    let (schedules, base, threads) = (args.number("--schedules", 10_000)?, args.base()?, args.threads()?);
    let rules = match args.word("--rule") {
        Some(name) => vec![forks::Rule::named(name)?],
        None => forks::Rule::ALL.to_vec(),
    };
    let images = args.word("--images").map_or(Some(Images::default()), Images::named)?;
    let options = compare::Options { base, schedules, threads, images };
    println!("base seed {base}, {schedules} schedules for each rule\n{Header}");
    let start = Instant::now();
    let mut forked = 0;
    for rule in &rules {
        let counts = compare::run(*rule, options);
        forked = forked.max(counts.forked);
        println!("{}", Row(*rule, counts));
    }
    println!("up to {forked} schedules with a fork, in {:.0} s", start.elapsed().as_secs_f64());
    for rule in &rules {
        println!("{:<11} {}", rule.name, rule.about);
    }
    Some(true)
}
