//! Reading and writing objects.

use std::time::Duration;

use rejoin::core::row::Kind;
use rejoin::{Change, Node, Space};
use serde_json::{Value, json};

use super::{Answer, sequences, settle, target, value};
use crate::arguments::{Counter, Map, Register, Set};
use crate::failure::Failure;

type Receipt = Option<(usize, Duration)>;

pub(super) async fn counter(
    node: &Node,
    command: &Counter,
    receipt: Receipt,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let (Counter::Add { target: at, .. } | Counter::Get { target: at }) = command;
    let (space, path) = target(node, at)?;
    let counter = space.counter(path);
    let mut said = json!({});
    match command {
        Counter::Add { n, once: Some(key), .. } => {
            let add = space.batch(|batch| {
                let is_first = batch.once(key)?;
                if is_first {
                    batch.add(&counter, *n);
                }
                Ok(is_first)
            });
            said["done_before"] = (!settle(add, receipt).await?).into();
        }
        Counter::Add { n, once: None, .. } => settle(counter.add(*n), receipt).await?,
        Counter::Get { .. } => {}
    }
    said["value"] = counter.get()?.into();
    answer.say(said);
    Ok(())
}

pub(super) async fn set(
    node: &Node,
    command: &Set,
    receipt: Receipt,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let (Set::Add { target: at, .. }
    | Set::Rm { target: at, .. }
    | Set::Has { target: at, .. }
    | Set::Ls { target: at }) = command;
    let (space, path) = target(node, at)?;
    let set = space.set::<Value>(path);
    let present =
        |element: &Value| Ok::<_, Failure>(json!({ "element": element, "present": set.contains(element)? }));
    let said = match command {
        Set::Add { element, ttl, .. } => {
            let element = value(element);
            let write = match ttl {
                Some(seconds) => set.insert_for(element.clone(), Duration::from_secs(*seconds)),
                None => set.insert(element.clone()),
            };
            settle(write, receipt).await?;
            present(&element)?
        }
        Set::Rm { element, .. } => {
            let element = value(element);
            settle(set.remove(&element), receipt).await?;
            present(&element)?
        }
        Set::Has { element, .. } => present(&value(element))?,
        Set::Ls { .. } => set.elements()?.into(),
    };
    answer.say(said);
    Ok(())
}

pub(super) async fn map(
    node: &Node,
    command: &Map,
    receipt: Receipt,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let at = command.target();
    let (space, path) = target(node, at)?;
    let map = space.map::<Value, Value>(path);
    let said = match command {
        Map::Put { key, value: word, ttl, .. } => {
            let value = value(word);
            let write = match ttl {
                Some(seconds) => {
                    map.put_for(key.as_str().into(), value.clone(), Duration::from_secs(*seconds))
                }
                None => map.put(key.as_str().into(), value.clone()),
            };
            settle(write, receipt).await?;
            json!({ "key": key, "value": value })
        }
        Map::Get { key, .. } => {
            let value = map.get(key)?.ok_or_else(|| nothing(&format!("{at} {key}")))?;
            json!({ "key": key, "value": value })
        }
        Map::Conflicts { key, .. } => map.conflicts(key)?.into(),
        Map::Rm { key, .. } => {
            settle(map.remove(key), receipt).await?;
            json!({ "key": key })
        }
        Map::Ls { .. } => {
            map.entries()?.into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
        }
    };
    answer.say(said);
    Ok(())
}

pub(super) async fn register(
    node: &Node,
    command: &Register,
    receipt: Receipt,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let at = command.target();
    let (space, path) = target(node, at)?;
    let register = space.register::<Value>(path);
    let said = match command {
        Register::Put { value: word, ttl, .. } => {
            let value = value(word);
            let write = match ttl {
                Some(seconds) => register.put_for(value.clone(), Duration::from_secs(*seconds)),
                None => register.put(value.clone()),
            };
            settle(write, receipt).await?;
            value
        }
        Register::Get { .. } => register.get()?.ok_or_else(|| nothing(at))?,
        Register::Conflicts { .. } => {
            answer.say(register.conflicts()?.into());
            return Ok(());
        }
    };
    answer.say(json!({ "value": said }));
    Ok(())
}

fn nothing(at: &str) -> Failure {
    Failure::other(format!("there is nothing at {at}"))
}

/// What two histories of one device lost; with `forget` for the last time.
pub(super) fn lost(node: &Node, space: &str, forget: bool, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let space = super::space(node, space)?;
    let mut told = Vec::new();
    for lost in space.lost()? {
        told.push(json!({
            "path": lost.path, "kind": lost.kind.to_string(), "key": lost.key, "value": lost.value,
            "author": lost.author.to_string(), "time": lost.time.millis(),
        }));
        if forget {
            space.forget_lost(&lost)?;
        }
    }
    answer.say(told.into());
    Ok(())
}

/// A map as a JSON object, a set as an array, all else as it is; a space as an array of its objects.
pub(super) fn export(node: &Node, at: &str, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let (name, path) = at.split_once('/').map_or((at, None), |(name, path)| (name, Some(path)));
    let space = super::space(node, name)?;
    let wanted = |object: &&rejoin::ObjectInfo| path.is_none_or(|path| object.path == path);
    let objects = space.objects()?;
    let mut exported = Vec::new();
    for object in objects.iter().filter(wanted) {
        let value = object_value(&space, object)?;
        exported.push(json!({ "path": object.path, "kind": object.kind.to_string(), "value": value }));
    }
    if path.is_none() {
        answer.say(exported.into());
        return Ok(());
    }
    match exported.len() {
        0 => return Err(nothing(at)),
        1 => answer.say(exported[0]["value"].take()),
        // Objects of several kinds share the path.
        _ => answer.say(exported.into()),
    }
    Ok(())
}

fn object_value(space: &Space, object: &rejoin::ObjectInfo) -> Result<Value, Failure> {
    let path = &object.path;
    Ok(match object.kind {
        Kind::PN_COUNTER => space.counter(path).get()?.into(),
        Kind::BOUNDED_COUNTER => space.bounded_counter(path).value()?.into(),
        Kind::OR_SET => space.set::<Value>(path).elements()?.into(),
        Kind::LWW_MAP => {
            let entries = space.map::<Value, Value>(path).entries()?;
            if entries.iter().all(|(key, _)| key.is_string()) {
                let text = |key: Value| key.as_str().unwrap_or_default().to_owned();
                Value::Object(entries.into_iter().map(|(key, value)| (text(key), value)).collect())
            } else {
                entries.into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
            }
        }
        Kind::LWW_REGISTER => space.register::<Value>(path).get()?.unwrap_or_default(),
        Kind::MV_REGISTER => space.multi_register::<Value>(path).values()?.into(),
        Kind::FLAG => space.flag(path).get()?.into(),
        Kind::LIST => space.list::<Value>(path).values()?.into(),
        Kind::LOG => space.log::<Value>(path).tail(usize::MAX)?.iter().map(sequences::line).collect(),
        Kind::DOCUMENT => space.document(path).get("")?.unwrap_or_default(),
        _ => json!({ "rows": object.rows }),
    })
}

/// Until whoever watches goes away, or the node is closed.
pub(super) async fn watch(node: &Node, at: &str, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let (name, wanted) = at.split_once('/').map_or((at, None), |(name, path)| (name, Some(path)));
    let mut changes = super::space(node, name)?.changes();
    while let Some(change) = changes.next().await {
        match change {
            Change::Row { kind: of, path, key, value, author, time }
                if wanted.is_none_or(|wanted| wanted == path) =>
            {
                let time = time.map(|time| time.millis());
                let author = author.map(|author| author.to_string());
                answer.say(json!({
                    "path": path, "kind": of.to_string(), "key": key, "value": value, "author": author, "time": time,
                }));
            }
            Change::Missed { reports } => answer.say(json!({ "missed": reports })),
            _ => {}
        }
        if !answer.is_heard() {
            break;
        }
    }
    Ok(())
}
