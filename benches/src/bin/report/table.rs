//! The page: a summary against the goals, then a table for each workload.

use std::fmt::Write;

use crate::Amount;
use crate::goal::{Better, Goal, human};
use crate::machine;
use crate::plan::{Case, Metric, Section};
use crate::run::Outcomes;

const HEAD: &str = "\
# Benchmarks

rejoin beside its peers: the same work for everybody, each in a process of its own, all in one run. Rows are keys of 16
hexadecimal characters with values of 32 (48 bytes raw, 24 of entropy) unless a table says otherwise.

Written by `cargo xtask bench`; `--only W5` measures one workload, `--quick` a tenth of everything.

";

const METHOD: &str = "
Times are CPU seconds of the measuring process, the median of up to five rounds; good to 30 %. Where a disk or a network is
waited for they are by the wall, and the table says so. Heap is counted by the allocator; bytes and messages are exact. Every
program proves that it did the work (all rows read back, both replicas equal) or it counts as failed.
";

const MISSING: &str = "
## What the peers do not do

| | signed, checked | durable by itself | removal leaves nothing | sync proves equality | sync follows what differs | history |
|---|---|---|---|---|---|---|
| rejoin | yes, each commit | yes (redb) | yes | yes, by root | yes | no; a bounded log |
| rejoin value | no | no | yes | no | no: a delta lists what is live | no |
| automerge | no (changes are hashed) | no | no, keeps all | by heads | nearly (Bloom filters) | yes |
| yrs | no | no | a range | no | yes, and all deletions | some |
| loro | no | no | no, keeps all | by versions | yes | yes |
| crdts | no | no | yes | no | no: the whole state | no |
| iroh-docs | yes, each entry | yes (redb) | no, an empty entry | by fingerprint | yes | no |
| negentropy | no | no | | by fingerprint | yes, in rounds | no |

Not measured here: W6 (many documents), W9 (text), W10 (bytes of the npm package) and W14 (a mesh of a thousand nodes): rejoin
has no documents, no text type and no package yet, and the mesh belongs to the simulator.
";

/// All of it, in Markdown.
pub(crate) fn page(sections: &[Section], outcomes: &Outcomes, amount: Amount) -> String {
    let mut page = HEAD.to_owned();
    for fact in machine::facts() {
        let _ = writeln!(page, "* {fact}");
    }
    if outcomes.is_resumed {
        page.push_str("* Measured in several parts on one day, beside other work\n");
    }
    if amount == Amount::Quick {
        page.push_str(
            "* **A quick run**: a tenth of the rows, fewer rounds. Goals are those of the full one.\n",
        );
    }
    page.push_str(METHOD);
    page.push_str(&summary(sections, outcomes));
    let pictured = sections.len() > 1;
    for section in sections {
        page.push_str(&table(section, outcomes));
        if let Some((title, file)) = crate::plot::picture(section.id).filter(|_| pictured) {
            let _ = writeln!(page, "\n![{title}]({file})");
        }
    }
    page.push_str(MISSING);
    page
}

/// The best of the peers at something.
fn best<'a>(case: &'a Case, metric: &Metric, outcomes: &Outcomes) -> Option<(&'a str, f64)> {
    let peers = case.contenders.iter().filter(|contender| !contender.name.starts_with("rejoin"));
    let figures =
        peers.filter_map(|peer| Some((peer.name, outcomes.figure(&case.key(), peer.name, metric.name)?)));
    match metric.better {
        Better::Less => figures.min_by(|a, b| a.1.total_cmp(&b.1)),
        Better::More => figures.max_by(|a, b| a.1.total_cmp(&b.1)),
    }
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "",
    }
}

fn summary(sections: &[Section], outcomes: &Outcomes) -> String {
    let mut text = "\n## Against the goals\n\n\
        | workload | what | rejoin | best peer | rejoin / best | goal | |\n|---|---|--:|--:|--:|---|---|\n"
        .to_owned();
    let mut reasons: Vec<(&str, String)> = Vec::new();
    for (section, case, metric) in goals(sections) {
        let Some(figure) = outcomes.figure(&case.key(), metric.who, metric.name) else { continue };
        let met = metric.goal.is_met(figure, metric.better, (case, metric.name), outcomes);
        let peer = best(case, metric, outcomes);
        let best = peer.map_or(String::new(), |(name, value)| format!("{name} {}", human(value)));
        let ratio = peer.filter(|peer| peer.1 > 0.0);
        let ratio = ratio.map_or(String::new(), |peer| format!("{} x", human(figure / peer.1)));
        let who = if metric.who == "rejoin" { String::new() } else { format!(" ({})", metric.who) };
        let goal = metric.goal.words(metric.better);
        let (id, label, case) = (section.id, metric.label, case.label);
        let _ = writeln!(
            text,
            "| {id} | {label}, {case}{who} | {} | {best} | {ratio} | {goal} | {} |",
            human(figure),
            verdict(met)
        );
        if met == Some(false) && !metric.why.is_empty() {
            match reasons.iter_mut().find(|(why, _)| *why == metric.why) {
                Some((_, places)) if places.contains(&format!("{id} {label}")) => {}
                Some((_, places)) => places.push_str(&format!(", {id} {label}")),
                None => reasons.push((metric.why, format!("{id} {label}"))),
            }
        }
    }
    if !reasons.is_empty() {
        text.push_str("\nWhy the missed ones are missed:\n\n");
    }
    for (why, places) in reasons {
        let _ = writeln!(text, "* {places}: {why}.");
    }
    text
}

/// Every figure that has a goal.
fn goals(sections: &[Section]) -> impl Iterator<Item = (&Section, &Case, &Metric)> {
    let cases = sections.iter().flat_map(|section| section.cases.iter().map(move |case| (section, case)));
    let all =
        cases.flat_map(|(section, case)| case.metrics.iter().map(move |metric| (section, case, metric)));
    all.filter(|(_, _, metric)| metric.goal != Goal::None)
}

fn table(section: &Section, outcomes: &Outcomes) -> String {
    let mut names: Vec<&str> = Vec::new();
    for contender in section.cases.iter().flat_map(|case| &case.contenders) {
        if !names.contains(&contender.name) {
            names.push(contender.name);
        }
    }
    let mut text = format!("\n## {}: {}\n\n{}\n\n| |", section.id, section.title, section.about);
    names.iter().for_each(|name| text.push_str(&format!(" {name} |")));
    text.push_str(" goal |\n|---|");
    names.iter().for_each(|_| text.push_str("--:|"));
    text.push_str("---|\n");
    for case in &section.cases {
        for (index, metric) in case.metrics.iter().enumerate() {
            // Two contenders may be held against one goal; their figures stand in one row.
            if case.metrics[..index].iter().any(|before| before.name == metric.name) {
                continue;
            }
            let _ = write!(text, "| {}, {} |", case.label, metric.label);
            let cells = names.iter().map(|name| cell(case, name, metric, outcomes));
            cells.for_each(|cell| text.push_str(&format!(" {cell} |")));
            let _ = writeln!(text, " {} |", metric.goal.words(metric.better));
        }
    }
    text
}

fn cell(case: &Case, name: &str, metric: &Metric, outcomes: &Outcomes) -> String {
    let takes_part = case.contenders.iter().any(|contender| contender.name == name);
    match outcomes.figure(&case.key(), name, metric.name) {
        Some(figure) => human(figure),
        None if takes_part => outcomes.trouble(&case.key(), name).unwrap_or_default().to_owned(),
        None => String::new(),
    }
}
