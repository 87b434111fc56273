//! Many writes at once: imports, and transactions given as JSON lines.

use std::time::Duration;

use rejoin::{Batch, Error, Node, Space};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, settle, target};
use crate::failure::Failure;

/// Rows and bytes of one transaction of an import: well below what a transaction may hold.
const ROWS: usize = 2000;
const BYTES: usize = 512 * 1024;

#[derive(Deserialize)]
struct Pair {
    key: Value,
    value: Value,
}

/// Puts pairs into a map, in as few transactions as they fit in. Nothing is written when any of it does not parse.
pub(super) async fn import(
    node: &Node,
    at: &str,
    input: &str,
    receipt: Option<(usize, Duration)>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let (space, path) = target(node, at)?;
    let pairs = pairs(input)?;
    let map = space.map::<Value, Value>(path);
    let (rows, mut transactions) = (pairs.len(), 0_u64);
    let mut pairs = pairs.into_iter().peekable();
    let mut last = None;
    while pairs.peek().is_some() {
        let (mut bytes, mut part) = (0, Vec::new());
        while part.len() < ROWS
            && bytes < BYTES
            && let Some((key, value, size)) = pairs.next()
        {
            bytes += size;
            part.push((key, value));
        }
        let commit = space.batch(|batch| {
            part.into_iter().for_each(|(key, value)| batch.put(&map, key, value));
            Ok(())
        });
        transactions += 1;
        // One waits for the disk while the next is written.
        if let Some(before) = last.replace(commit) {
            settle(before, None).await?;
        }
    }
    if let Some(last) = last {
        settle(last, receipt).await?;
    }
    answer.say(json!({ "rows": rows, "transactions": transactions }));
    Ok(())
}

/// Keys, values, and about how many bytes each pair takes.
fn pairs(input: &str) -> Result<Vec<(Value, Value, usize)>, Failure> {
    let size = |key: &Value, value: &Value| key.to_string().len() + value.to_string().len();
    if let Ok(Value::Object(object)) = serde_json::from_str(input)
        && !(object.len() == 2 && object.contains_key("key") && object.contains_key("value"))
    {
        return Ok(object
            .into_iter()
            .map(|(key, value)| {
                let key = Value::String(key);
                let bytes = size(&key, &value);
                (key, value, bytes)
            })
            .collect());
    }
    let lines = input.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let pair: Pair = serde_json::from_str(line).map_err(|error| bad_line(number, &error))?;
            let bytes = size(&pair.key, &pair.value);
            Ok((pair.key, pair.value, bytes))
        })
        .collect()
}

fn bad_line(number: usize, error: &serde_json::Error) -> Failure {
    let number = number + 1;
    Failure::other(format!(
        "line {number} is neither a JSON object nor {{\"key\": .., \"value\": ..}}: {error}; nothing was written"
    ))
}

/// One line of a transaction.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    map: Option<String>,
    set: Option<String>,
    counter: Option<String>,
    register: Option<String>,
    put: Option<Value>,
    value: Option<Value>,
    add: Option<Value>,
    rm: Option<Value>,
}

impl Act {
    fn apply(self, space: &Space, batch: &mut Batch<'_, '_>) -> Result<(), ()> {
        let Self { map, set, counter, register, put, value, add, rm } = self;
        match (map, set, counter, register) {
            (Some(path), None, None, None) => {
                let map = space.map::<Value, Value>(&path);
                match (put, value, rm, add) {
                    (Some(key), Some(value), None, None) => batch.put(&map, key, value),
                    (None, None, Some(key), None) => batch.delete(&map, &key),
                    _ => return Err(()),
                }
            }
            (None, Some(path), None, None) => {
                let set = space.set::<Value>(&path);
                match (add, rm, put, value) {
                    (Some(element), None, None, None) => batch.insert(&set, element),
                    (None, Some(element), None, None) => batch.remove(&set, &element),
                    _ => return Err(()),
                }
            }
            (None, None, Some(path), None) => {
                let n = add.as_ref().and_then(Value::as_i64).ok_or(())?;
                batch.add(&space.counter(&path), n);
            }
            (None, None, None, Some(path)) => batch.set(&space.register::<Value>(&path), put.ok_or(())?),
            _ => return Err(()),
        }
        Ok(())
    }
}

/// All lines as one transaction.
pub(super) async fn batch(
    node: &Node,
    name: &str,
    input: &str,
    receipt: Option<(usize, Duration)>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let space = node.space(name)?;
    let lines = input.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let acts = lines
        .map(|(number, line)| {
            let act = serde_json::from_str::<Act>(line);
            act.map(|act| (number, act)).map_err(|error| not_an_act(number, &error.to_string()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let count = acts.len();
    let mut bad = None;
    let commit = space.batch(|batch| {
        for (number, act) in acts {
            if act.apply(&space, batch).is_err() {
                bad = Some(number);
                // Any error undoes the batch; what is told is the line.
                return Err(Error::OtherSpace);
            }
        }
        Ok(())
    });
    if let Some(number) = bad {
        drop(commit.detach());
        return Err(not_an_act(number, "it names no object, or no single act on one"));
    }
    settle(commit, receipt).await?;
    answer.say(json!({ "acts": count }));
    Ok(())
}

fn not_an_act(number: usize, why: &str) -> Failure {
    let number = number + 1;
    Failure::other(format!(
        "line {number} cannot be done: {why}; nothing was written; `rejoin batch --help` shows the forms"
    ))
}
