//! Lists and logs.

use std::time::Duration;

use rejoin::core::crdt::{ItemId, Place};
use rejoin::{Line, Node};
use serde_json::{Value, json};

use super::{Answer, settle, target, value};
use crate::arguments::{List, Log};
use crate::failure::Failure;

type Receipt = Option<(usize, Duration)>;

pub(super) async fn list(
    node: &Node,
    command: &List,
    receipt: Receipt,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let at = command.target();
    let (space, path) = target(node, at)?;
    let list = space.list::<Value>(path);
    let item = |word: &str| {
        let items = list.items()?;
        let found = match word.parse::<usize>() {
            Ok(index) => items.get(index),
            Err(_) => word.parse::<ItemId>().ok().and_then(|id| items.iter().find(|(other, _)| *other == id)),
        };
        let missing = || {
            let count = items.len();
            Failure::other(format!("{at} has no item {word}: it has {count}, and `list ls` shows them"))
        };
        found.cloned().ok_or_else(missing)
    };
    let shown = |id: ItemId, value: &Value| json!({ "id": id.to_string(), "value": value });
    let said = match command {
        List::Push { value: word, .. } => {
            let value = value(word);
            shown(settle(list.push(value.clone()), receipt).await?, &value)
        }
        List::Insert { index, value: word, .. } => {
            let value = value(word);
            shown(settle(list.insert(*index, value.clone()), receipt).await?, &value)
        }
        List::Set { item: word, value: new, .. } => {
            let ((id, _), value) = (item(word)?, value(new));
            settle(list.set(id, value.clone()), receipt).await?;
            shown(id, &value)
        }
        List::Mv { item: word, index, .. } => {
            let (id, value) = item(word)?;
            settle(list.move_to(id, *index), receipt).await?;
            shown(id, &value)
        }
        List::Rm { item: word, .. } => {
            let (id, value) = item(word)?;
            settle(list.remove(id), receipt).await?;
            shown(id, &value)
        }
        List::Ls { .. } => list.items()?.iter().map(|(id, value)| shown(*id, value)).collect(),
    };
    answer.say(said);
    Ok(())
}

pub(super) async fn log(
    node: &Node,
    command: &Log,
    receipt: Receipt,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let (Log::Append { target: at, .. } | Log::Ls { target: at, .. } | Log::Trim { target: at, .. }) =
        command;
    let (space, path) = target(node, at)?;
    let log = space.log::<Value>(path);
    let said = match command {
        Log::Append { value: word, .. } => {
            let place = settle(log.append(value(word)), receipt).await?;
            json!({ "place": place.to_string() })
        }
        Log::Ls { from: Some(from), last, .. } => {
            let from: Place = from.parse().map_err(|_| {
                Failure::usage(format!("`{from}` is no place in a log: `log ls --json` shows them"))
            })?;
            log.range(&from, last.unwrap_or(usize::MAX))?.iter().map(line).collect()
        }
        Log::Ls { from: None, last, .. } => log.tail(last.unwrap_or(usize::MAX))?.iter().map(line).collect(),
        Log::Trim { keep, .. } => {
            let kept = log.tail(*keep)?;
            let trim = log.trim(kept.first().map_or(&Place::END, |first| &first.place));
            let removed = match receipt {
                Some((devices, within)) => trim.confirmed(devices, within).await?,
                None => trim.await?,
            };
            json!({ "removed": removed })
        }
    };
    answer.say(said);
    Ok(())
}

pub(super) fn line(line: &Line<Value>) -> Value {
    json!({
        "place": line.place.to_string(), "author": line.author.to_string(), "time": line.time.millis(),
        "value": line.value,
    })
}
