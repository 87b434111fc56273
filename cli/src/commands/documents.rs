//! Documents.

use std::time::Duration;

use rejoin::{Edit, Node, Version};
use serde_json::{Value, json};

use super::{Answer, settle, target, value};
use crate::arguments::Doc;
use crate::failure::Failure;

pub(super) async fn doc(
    node: &Node,
    command: &Doc,
    receipt: Option<(usize, Duration)>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let at = command.target();
    let (space, path) = target(node, at)?;
    let document = space.document(path);
    let within = |path: &str| json!({ "path": path });
    let said = match command {
        Doc::Get { path, at: None, .. } => {
            let found = document.get::<Value>(path)?;
            json!({ "path": path, "value": found.ok_or_else(|| missing(at, path))? })
        }
        Doc::Get { path, at: Some(word), .. } => {
            let version: Version = word.parse().map_err(|_| {
                Failure::usage(format!("`{word}` is no version of a document: `doc history` shows them"))
            })?;
            let then = rejoin::core::crdt::document::value(&document.at(&version)?, path);
            let found = then.map_err(rejoin::Error::from)?.ok_or_else(|| missing(at, path))?;
            json!({ "path": path, "value": rejoin::core::value::from_value::<Value>(found).map_err(other)? })
        }
        Doc::Set { path, value: word, .. } => {
            let value = value(word);
            settle(document.put(path, &value), receipt).await?;
            json!({ "path": path, "value": value })
        }
        Doc::Insert { path, index, value: word, .. } => {
            let value = value(word);
            settle(document.insert(path, *index, &value), receipt).await?;
            json!({ "path": path, "value": value })
        }
        Doc::Push { path, value: word, .. } => {
            let value = value(word);
            settle(document.push(path, &value), receipt).await?;
            json!({ "path": path, "value": value })
        }
        Doc::Splice { path, at, delete, text, .. } => {
            settle(document.splice(path, *at, *delete, text), receipt).await?;
            json!({ "path": path, "value": document.text(path)? })
        }
        Doc::Text { path, text, .. } => {
            settle(document.update_text(path, text), receipt).await?;
            json!({ "path": path, "value": text })
        }
        Doc::Rm { path, .. } => {
            settle(document.remove(path), receipt).await?;
            within(path)
        }
        Doc::History { .. } => document.history()?.iter().map(edit).collect(),
        Doc::Compact { .. } => json!({ "compacted": settle(document.compact(), receipt).await? }),
    };
    answer.say(said);
    Ok(())
}

fn other(error: impl std::fmt::Display) -> Failure {
    Failure::other(error.to_string())
}

fn missing(document: &str, path: &str) -> Failure {
    Failure::other(format!(
        "there is nothing at `{path}` in {document}: `doc get {document}` shows what there is"
    ))
}

fn edit(edit: &Edit) -> Value {
    json!({
        "version": edit.version.to_string(), "author": edit.author.map(|author| author.to_string()),
        "time": edit.seconds * 1000, "operations": edit.operations, "message": edit.message,
    })
}
