//! The judge of the demo: from what each side wrote down, what may be there at the end?
//!
//! A sceptic can read this file alone: it imports nothing from rejoin and shares no code with it. It is given the JSON
//! lines of every side and what one node exported, and knows four rules:
//!
//! 1. Phases: each ended with equal roots and began after that, so of a row only its latest phase counts; whoever wrote
//!    in it had seen all earlier ones, and replaced them.
//! 2. In a phase a side's last word on a row counts: it had seen its own earlier ones. The sides are concurrent.
//! 3. Puts win: if any side's last word is a put, one of those values is there. Only if all of them are removals is the
//!    row gone. Elements of sets are rows too, with the value `true`. A counter is one row, the sum of what was added.
//! 4. A unit (one edit, or a transaction) whose answer never came, because its node was killed, happened whole or not
//!    at all: one choice for all of these units must explain everything that is found.

use std::collections::BTreeMap;

use serde_json::Value;

/// (path, key) of a row of a map, or of an element of a set; (path, nothing) of a counter.
pub(super) type Row = (String, String);
/// What a node exported.
pub(super) type Found = BTreeMap<Row, Value>;
/// All that may be in a row; `None` for gone.
type Legal = BTreeMap<Row, Vec<Option<Value>>>;
/// By side; `None` for a removal.
type LastWords<'a> = BTreeMap<usize, Option<&'a Value>>;

/// The value of an element of a set.
static ADDED: Value = Value::Bool(true);

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    /// A row that somebody put and nobody removed is not there, or has a value that was replaced.
    Lost(String),
    /// A row is there that was removed by somebody who had seen it, or that nobody ever put.
    Resurrected(String),
    /// A counter is not the sum of what was added.
    Miscounted(String),
}

/// One unit of work of one side.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    side: usize,
    phase: u64,
    pub(super) answered: bool,
    edits: Vec<Value>,
}

/// Reads the record: for each side its lines, `{"unit", "phase", "edits"}` and later `{"unit", "answered"}`.
pub(super) fn read(sides: &[String]) -> Result<Vec<Unit>, serde_json::Error> {
    let mut units = BTreeMap::new();
    for (side, line) in
        sides.iter().enumerate().flat_map(|(side, text)| text.lines().map(move |line| (side, line)))
    {
        let line: Value = serde_json::from_str(line)?;
        let (number, phase) = (line["unit"].as_u64(), line["phase"].as_u64().unwrap_or_default());
        if let Some(edits) = line["edits"].as_array() {
            units.insert((side, number), Unit { side, phase, answered: false, edits: edits.clone() });
        } else if let Some(unit) = units.get_mut(&(side, number)) {
            unit.answered = line["answered"] == true;
        }
    }
    Ok(units.into_values().collect())
}

/// What is wrong with what was found, under the choice of the unanswered units that explains most of it.
pub(super) fn judge(units: &[Unit], found: &Found) -> Vec<Wrong> {
    let open: Vec<&Unit> = units.iter().filter(|unit| !unit.answered).collect();
    assert!(open.len() <= 10, "{} units without an answer: the demo is broken, not a node", open.len());
    let choices = (0..1_u32 << open.len()).map(|choice| {
        let is_chosen =
            |unit: &Unit| (0..open.len()).any(|bit| choice >> bit & 1 == 1 && std::ptr::eq(open[bit], unit));
        compare(&legal(units.iter().filter(|unit| unit.answered || is_chosen(unit))), found)
    });
    choices.min_by_key(Vec::len).unwrap_or_default()
}

/// What may be there when exactly these units happened, each side's in their order.
pub(super) fn legal<'a>(happened: impl Iterator<Item = &'a Unit>) -> Legal {
    // For each row its latest phase, and in it the last word of each side.
    let mut words: BTreeMap<(&str, &str), (u64, LastWords<'_>)> = BTreeMap::new();
    let mut sums: BTreeMap<Row, i64> = BTreeMap::new();
    for (unit, edit) in happened.flat_map(|unit| unit.edits.iter().map(move |edit| (unit, edit))) {
        let text = |name: &str| edit[name].as_str();
        if let Some(counter) = text("counter") {
            *sums.entry((counter.to_owned(), String::new())).or_default() +=
                edit["add"].as_i64().unwrap_or_default();
        } else if let Some((path, key)) =
            text("map").or(text("set")).zip(text("put").or(text("add")).or(text("rm")))
        {
            let word = edit.get("rm").is_none().then(|| edit.get("value").unwrap_or(&ADDED));
            let (phase, sides) = words.entry((path, key)).or_default();
            if unit.phase > *phase {
                (*phase, *sides) = (unit.phase, BTreeMap::new());
            }
            if unit.phase == *phase {
                sides.insert(unit.side, word);
            }
        }
    }
    let rows = words.into_iter().map(|(row, (_, sides))| {
        let puts: Vec<_> =
            sides.into_values().filter(Option::is_some).map(Option::<&Value>::cloned).collect();
        let row = (row.0.to_owned(), row.1.to_owned());
        (row, if puts.is_empty() { vec![None] } else { puts })
    });
    rows.chain(sums.into_iter().map(|(row, sum)| (row, vec![Some(Value::from(sum))]))).collect()
}

fn compare(legal: &Legal, found: &Found) -> Vec<Wrong> {
    let nowhere = vec![None];
    let strangers = found.keys().filter(|row| !legal.contains_key(row));
    let judge = |row: &Row| {
        let (may, is) = (legal.get(row).unwrap_or(&nowhere), found.get(row));
        if may.iter().any(|value| value.as_ref() == is) {
            return None;
        }
        let name = if row.1.is_empty() { row.0.clone() } else { format!("{}/{}", row.0, row.1) };
        Some(match is {
            None => Wrong::Lost(format!("{name}: was put, and is gone")),
            Some(is) if *may == nowhere => Wrong::Resurrected(format!("{name}: is there again, as {is}")),
            Some(is) if row.1.is_empty() => {
                let sum = may[0].as_ref().unwrap_or(&Value::Null);
                Wrong::Miscounted(format!("{name}: is {is}, and what was added makes {sum}"))
            }
            Some(is) => Wrong::Lost(format!("{name}: its last value is gone, there is {is}")),
        })
    };
    legal.keys().chain(strangers).filter_map(judge).collect()
}
