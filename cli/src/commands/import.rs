//! Many writes at once: imports, and transactions given as JSON lines.

use std::time::Duration;

use rejoin::core::crdt::LwwMapView;
use rejoin::core::value::{encode_element, to_value};
use rejoin::{Batch, Error, Node, Space};
use serde::Deserialize;
use serde_json::{Value, json};

use super::bounded::Whole;
use super::{Answer, settle, target};
use crate::failure::{Failure, NOT_CONFIRMED};

/// Rows and bytes of one transaction of an import: well below what a transaction may hold.
const ROWS: usize = 2000;
const BYTES: usize = 512 * 1024;

/// A row to be: its key, its value, and how many bytes they take.
struct Pair {
    key: Value,
    value: Value,
    bytes: usize,
}

/// Puts pairs into a map, in as few transactions as they fit in. Nothing is written when any of it cannot be.
pub(super) async fn import(
    node: &Node,
    at: &str,
    input: &str,
    receipt: Option<(usize, Duration)>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let (space, path) = target(node, at)?;
    let view = LwwMapView::at(path).map_err(Error::from)?;
    let pairs = pairs(input, &view)?;
    let map = space.map::<Value, Value>(path);
    let (rows, mut transactions) = (pairs.len(), 0_u64);
    let mut pairs = pairs.into_iter().peekable();
    let (mut last, mut written, mut saved) = (None, 0, 0);
    while pairs.peek().is_some() {
        let (mut bytes, mut part) = (0, Vec::new());
        while part.len() < ROWS
            && bytes < BYTES
            && let Some(pair) = pairs.next()
        {
            bytes += pair.bytes;
            part.push((pair.key, pair.value));
        }
        let commit = space.batch(|batch| {
            part.into_iter().for_each(|(key, value)| batch.put(&map, key, value));
            Ok(())
        });
        transactions += 1;
        // One waits for the disk while the next is written.
        if let Some(before) = last.replace(commit) {
            settle(before, None).await.map_err(|failure| unfinished(failure, saved, rows))?;
            saved = written;
        }
        written = rows - pairs.len();
    }
    if let Some(last) = last {
        settle(last, receipt).await.map_err(|failure| unfinished(failure, saved, rows))?;
    }
    answer.say(json!({ "rows": rows, "transactions": transactions }));
    Ok(())
}

/// What of an import is there when it fails half-way. Doing it again does no harm: each row is put again.
fn unfinished(failure: Failure, saved: usize, rows: usize) -> Failure {
    // What is not confirmed is saved here all the same.
    if failure.code == NOT_CONFIRMED {
        return failure;
    }
    let words = format!("{}; of {rows} rows {saved} are saved, import again", failure.words);
    Failure { words, ..failure }
}

/// Everything to import, held against every limit.
fn pairs(input: &str, map: &LwwMapView) -> Result<Vec<Pair>, Failure> {
    if let Ok(Value::Object(object)) = serde_json::from_str(input)
        && !is_pair(&object)
    {
        let pair = |(key, value): (String, Value)| {
            let shown: String = key.chars().take(40).collect();
            pair(key.into(), value, map)
                .map_err(|error| bad(&format!("the value at \"{shown}\""), &error.to_string()))
        };
        return object.into_iter().map(pair).collect();
    }
    let lines = input.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(number, line): (usize, &str)| {
        let place = format!("line {}", number + 1);
        let object = serde_json::from_str(line).map_err(|error: serde_json::Error| {
            // Each line is parsed alone, so its own number in the message would only confuse.
            let why = error.to_string().replace(" at line 1 column ", " at character ");
            bad(&place, &format!("it is no JSON object: {why}"))
        })?;
        if !is_pair(&object) {
            return Err(bad(&place, "it is not {\"key\": .., \"value\": ..}"));
        }
        let mut object: Object = object;
        let [key, value] = ["key", "value"].map(|field| object.remove(field).unwrap_or_default());
        pair(key, value, map).map_err(|error| bad(&place, &error.to_string()))
    };
    lines.map(read).collect()
}

type Object = serde_json::Map<String, Value>;

fn is_pair(object: &Object) -> bool {
    object.len() == 2 && object.contains_key("key") && object.contains_key("value")
}

fn pair(key: Value, value: Value, map: &LwwMapView) -> Result<Pair, Error> {
    let element = encode_element(&to_value(&key)?)?;
    let row = map.object().row(&element)?;
    let bytes = row.as_bytes().len() + to_value(&value)?.encode()?.len();
    Ok(Pair { key, value, bytes })
}

fn bad(place: &str, why: &str) -> Failure {
    Failure::other(format!("{place} cannot be imported: {why}; nothing was written"))
}

/// One line of a transaction.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Act {
    Put { map: String, put: Value, value: Value },
    Delete { map: String, rm: Value },
    Insert { set: String, add: Value },
    Remove { set: String, rm: Value },
    Add { counter: String, add: i64 },
    Increment { bounded: String, add: u64 },
    Decrement { bounded: String, take: u64 },
    Transfer { bounded: String, give: u64, to: Whole },
    Set { register: String, put: Value },
    Push { list: String, push: Value },
    Append { log: String, append: Value },
}

impl Act {
    fn apply(self, space: &Space, batch: &mut Batch<'_, '_>) {
        match self {
            Self::Put { map, put, value } => batch.put(&space.map::<Value, Value>(&map), put, value),
            Self::Delete { map, rm } => batch.delete(&space.map::<Value, Value>(&map), &rm),
            Self::Insert { set, add } => batch.insert(&space.set::<Value>(&set), add),
            Self::Remove { set, rm } => batch.remove(&space.set::<Value>(&set), &rm),
            Self::Add { counter, add } => batch.add(&space.counter(&counter), add),
            Self::Increment { bounded, add } => batch.increment(&space.bounded_counter(&bounded), add),
            Self::Decrement { bounded, take } => batch.decrement(&space.bounded_counter(&bounded), take),
            Self::Transfer { bounded, give, to } => {
                batch.transfer(&space.bounded_counter(&bounded), &to.0, give);
            }
            Self::Set { register, put } => batch.set(&space.register::<Value>(&register), put),
            Self::Push { list, push } => batch.push(&space.list::<Value>(&list), push),
            Self::Append { log, append } => batch.append(&space.log::<Value>(&log), append),
        }
    }
}

/// The acts on each kind of object, as the fields that each takes beside the object: what [`Act`] reads.
const FORMS: [(&str, &[&[&str]]); 6] = [
    ("map", &[&["put", "value"], &["rm"]]),
    ("set", &[&["add"], &["rm"]]),
    ("counter", &[&["add"]]),
    ("register", &[&["put"]]),
    ("list", &[&["push"]]),
    ("log", &[&["append"]]),
];

/// Why a line is no [`Act`], by the field that is to blame: an untagged enum only says that nothing fits.
fn what_is_wrong(line: &Value) -> String {
    let Value::Object(fields) = line else { return "it is no JSON object".into() };
    let names: Vec<&str> = FORMS.iter().map(|(object, _)| *object).collect();
    let named: Vec<_> = FORMS.iter().filter(|(object, _)| fields.contains_key(*object)).collect();
    let (object, acts) = match named.as_slice() {
        [] => {
            let known =
                |field: &&String| FORMS.iter().any(|(_, acts)| acts.concat().contains(&field.as_str()));
            let unknown = fields.keys().find(|field| !known(field));
            let unknown =
                unknown.map(|field| format!("`{field}` is no field of any act, and ")).unwrap_or_default();
            return format!("{unknown}no object is named by one of {}", names.join(", "));
        }
        [(object, acts)] => (*object, *acts),
        [(one, _), (other, _), ..] => return format!("it names both a {one} and a {other}"),
    };
    let forms: Vec<String> = acts.iter().map(|act| format!("`{}`", act.join("` and `"))).collect();
    let forms = forms.join(", or ");
    let others: Vec<&str> = fields.keys().map(String::as_str).filter(|field| *field != object).collect();
    if let Some(unknown) = others.iter().find(|field| !acts.concat().contains(field)) {
        return format!("`{unknown}` is no field of a {object}, which takes {forms}");
    }
    if !acts.iter().any(|act| act.len() == others.len() && act.iter().all(|field| others.contains(field))) {
        return format!("a {object} takes {forms}, and nothing else");
    }
    if !fields[object].is_string() {
        return format!("`{object}` is to be a path, as text");
    }
    // All other fields take any value.
    "`add` of a counter is to be a whole number".into()
}

/// All lines as one transaction.
pub(super) async fn batch(
    node: &Node,
    name: &str,
    input: &str,
    once: Option<&str>,
    receipt: Option<(usize, Duration)>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let space = super::space(node, name)?;
    let lines = input.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(number, line): (usize, &str)| {
        let json: Value =
            serde_json::from_str(line).map_err(|error| not_an_act(number, &error.to_string()))?;
        let act = Act::deserialize(&json);
        act.map_err(|_| not_an_act(number, &what_is_wrong(&json)))
    };
    let acts = lines.map(read).collect::<Result<Vec<_>, _>>()?;
    let count = acts.len();
    let commit = space.batch(|batch| {
        let is_first = once.map_or(Ok(true), |key| batch.once(key))?;
        if is_first {
            acts.into_iter().for_each(|act| act.apply(&space, batch));
        }
        Ok(is_first)
    });
    let is_first = settle(commit, receipt).await?;
    let mut said = json!({ "acts": if is_first { count } else { 0 } });
    if once.is_some() {
        said["done_before"] = (!is_first).into();
    }
    answer.say(said);
    Ok(())
}

fn not_an_act(number: usize, why: &str) -> Failure {
    let number = number + 1;
    Failure::other(format!(
        "line {number} cannot be done: {why}; nothing was written; `rejoin batch --help` shows the forms"
    ))
}
