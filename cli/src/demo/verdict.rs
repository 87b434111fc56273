//! The end of the demo: what the nodes hold is held against what the sides wrote down, and everything is summed up.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Plant;
use super::acts::Rejoined;
use super::board::{rounded, short};
use super::check::{Found, Unit, Wrong, judge, legal, read};
use super::control::Control;
use super::hands::SPACE;
use super::stage::{C, NAMES, Stage};
use super::workload::{AIRPORTS, COUNTERS};

/// Things that are wrong, told one by one; beyond it they are counted.
const TOLD: usize = 10;

/// What the judge found.
pub(super) struct Verdict {
    /// What is wrong, and on which nodes.
    wrong: BTreeMap<Wrong, Vec<&'static str>>,
    rows: usize,
    units: usize,
    unanswered: usize,
}

/// Really changes something on node C, behind the back of the record; the words say what.
pub(super) async fn plant(stage: &Stage, plant: Plant) -> Result<String> {
    let units = record(stage)?;
    let rows = legal(units.iter());
    let without = legal(units.iter().filter(|unit| unit.answered));
    // Rows of which the record leaves no doubt, whatever became of the units without an answer.
    let certain = |is_there: bool| {
        let fits = |may: &[Option<Value>]| may.len() == 1 && may[0].is_some() == is_there;
        let mut rows = rows.iter().filter(|(row, may)| row.0 == AIRPORTS && fits(may));
        rows.find(|(row, may)| without.get(row) == Some(may))
            .map(|((_, key), _)| key.clone())
            .context("no row that a fault could be planted in")
    };
    let target = format!("{SPACE}/{AIRPORTS}");
    let words: Vec<String> = match plant {
        Plant::LoseRow => ["map", "rm", &target, &certain(true)?].map(str::to_owned).to_vec(),
        Plant::ResurrectRow => {
            ["map", "put", &target, &certain(false)?, "{\"back\":true}"].map(str::to_owned).to_vec()
        }
        Plant::WrongCounter => {
            ["counter", "add", &format!("{SPACE}/{}", COUNTERS[0]), "1"].map(str::to_owned).to_vec()
        }
    };
    let mut control = Control::connect(&stage.nodes[C].data).await?;
    control.ask(&words, None).await?;
    // Spread to all, so that equal roots alone would call it well.
    stage.settle(&[0, 1, 2]).await?;
    Ok(words.join(" "))
}

/// Judges what each node holds.
pub(super) async fn reach(stage: &Stage) -> Result<Verdict> {
    let units = record(stage)?;
    let unanswered = units.iter().filter(|unit| !unit.answered).count();
    let mut verdict = Verdict { wrong: BTreeMap::new(), rows: 0, units: units.len(), unanswered };
    let mut last: Option<(Found, Vec<Wrong>)> = None;
    for (node, name) in NAMES.into_iter().enumerate() {
        let exported = stage.export(node, SPACE).await?;
        let file = stage.folder.join(format!("node-{name}.json"));
        fs::write(&file, exported.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        let found = found(&exported)?;
        // The same is not judged twice.
        let (found, wrong) = last.take().filter(|(before, _)| *before == found).unwrap_or_else(|| {
            let wrong = judge(&units, &found);
            (found, wrong)
        });
        verdict.rows = found.len();
        for wrong in &wrong {
            verdict.wrong.entry(wrong.clone()).or_default().push(name);
        }
        last = Some((found, wrong));
    }
    Ok(verdict)
}

fn record(stage: &Stage) -> Result<Vec<Unit>> {
    let read_file = |path: &std::path::Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let texts = stage.journals.iter().map(|journal| read_file(journal.path())).collect::<Result<Vec<_>>>()?;
    read(&texts).context("the record is damaged")
}

/// Takes an export apart.
fn found(exported: &Value) -> Result<Found> {
    let mut found = Found::default();
    for object in exported.as_array().context("the export is no list of objects")? {
        let path = object["path"].as_str().context("an exported object has no path")?.to_owned();
        match (object["kind"].as_str(), &object["value"]) {
            (Some("map"), Value::Object(rows)) => {
                found.extend(rows.iter().map(|(key, value)| ((path.clone(), key.clone()), value.clone())));
            }
            (Some("set"), Value::Array(elements)) => {
                let element = |element: &Value| element.as_str().unwrap_or_default().to_owned();
                found.extend(elements.iter().map(|each| ((path.clone(), element(each)), Value::Bool(true))));
            }
            (Some("counter"), sum @ Value::Number(_)) => {
                found.insert((path, String::new()), sum.clone());
            }
            (kind, _) => ensure!(false, "the export holds a {kind:?} that nobody wrote"),
        }
    }
    Ok(found)
}

impl Verdict {
    pub(super) fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }

    fn count(&self, is_kind: impl Fn(&Wrong) -> bool) -> usize {
        self.wrong.keys().filter(|wrong| is_kind(wrong)).count()
    }

    fn counts(&self) -> [usize; 3] {
        [
            self.count(|wrong| matches!(wrong, Wrong::Lost(_))),
            self.count(|wrong| matches!(wrong, Wrong::Resurrected(_))),
            self.count(|wrong| matches!(wrong, Wrong::Miscounted(_))),
        ]
    }

    /// Everything in words.
    pub(super) fn words(&self, rejoined: &Rejoined, seconds: f64, (loaded, edits): (usize, usize)) -> String {
        let [lost, resurrected, miscounted] = self.counts();
        let Rejoined { root, seconds: took, bytes, sync, proven } = rejoined;
        let proof = proven.map_or_else(
            || "; not all said so of each other".to_owned(),
            |at| format!("; after {at:.1} s each said so of each other"),
        );
        let kilobytes = rounded(*bytes as f64 / 1000.0);
        let counters = if miscounted == 0 {
            "counters exact".to_owned()
        } else {
            format!("{miscounted} counters wrong")
        };
        let mut lines = vec![
            String::new(),
            format!("  rejoined      {took:.1} s until all three named one root{proof}"),
            format!(
                "  moved         {kilobytes} kB to and from the node that was cut off, connections included"
            ),
            format!("  its sync      {}", by_hand(sync)),
            format!("  root          {} on {}", short(root), NAMES.join(", ")),
            format!(
                "  record        {loaded} rows loaded and {edits} edits in {} units of work, {} without an answer \
                 when B was killed",
                self.units, self.unanswered
            ),
            format!(
                "  verdict       {lost} lost, {resurrected} resurrected, {counters}; {} rows on each node",
                self.rows
            ),
        ];
        for (wrong, nodes) in self.wrong.iter().take(TOLD) {
            lines.push(format!("    {}, on {}", sentence(wrong), nodes.join(", ")));
        }
        if self.wrong.len() > TOLD {
            lines.push(format!("    and {} more", self.wrong.len() - TOLD));
        }
        lines.push(format!("  time          {seconds:.1} s in all"));
        lines.join("\n")
    }

    /// The same for programs.
    pub(super) fn value(&self, rejoined: &Rejoined, seconds: f64, (loaded, edits): (usize, usize)) -> Value {
        let [lost, resurrected, miscounted] = self.counts();
        let wrong =
            self.wrong.iter().map(|(wrong, nodes)| json!({ "what": sentence(wrong), "nodes": nodes }));
        json!({
            "phase": "verdict",
            "ok": self.is_good(),
            "lost": lost,
            "resurrected": resurrected,
            "miscounted": miscounted,
            "wrong": wrong.collect::<Vec<_>>(),
            "rows": self.rows,
            "loaded": loaded,
            "edits": edits,
            "units": self.units,
            "unanswered": self.unanswered,
            "root": rejoined.root,
            "rejoin": { "seconds": rounded(rejoined.seconds), "bytes": rejoined.bytes, "sync": rejoined.sync, "proven_seconds": rejoined.proven.map(rounded) },
            "seconds": rounded(seconds),
        })
    }
}

/// What the sync by hand took. Nodes that were connected also sync by themselves, and may have been faster.
fn by_hand(sync: &Value) -> String {
    let number = |field: &str| sync[field].as_u64().unwrap_or_default();
    let (trips, proof) = (number("round_trips"), number("proof_round_trips"));
    let took = format!("{} bytes, {trips} round trips for data and {proof} for the proof", number("bytes"));
    match (number("rows_in"), number("rows_out")) {
        (0, 0) => format!("{took}; what was missing had come by itself before"),
        (rows_in, rows_out) => format!("{took}, {rows_in} rows in, {rows_out} rows out"),
    }
}

fn sentence(wrong: &Wrong) -> String {
    match wrong {
        Wrong::Lost(words) => format!("lost: {words}"),
        Wrong::Resurrected(words) => format!("resurrected: {words}"),
        Wrong::Miscounted(words) => format!("miscounted: {words}"),
    }
}

#[test]
fn an_export_is_taken_apart() {
    let exported = json!([
        { "path": "m", "kind": "map", "value": { "k": 1 } },
        { "path": "s", "kind": "set", "value": ["e"] },
        { "path": "c", "kind": "counter", "value": -4 },
    ]);
    let apart = found(&exported).unwrap();
    let at = |path: &str, key: &str| &apart[&(path.to_owned(), key.to_owned())];
    assert_eq!((at("m", "k"), at("s", "e"), at("c", "")), (&json!(1), &json!(true), &json!(-4)));
    assert!(found(&json!([{ "path": "r", "kind": "register", "value": 1 }])).is_err());
}
