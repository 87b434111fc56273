//! What has changed since a place: the change feed, for scripts that go on where they were.

use std::time::Duration;

use rejoin::{Changed, Cursor, Node, Scope, Shown, Step};
use serde_json::{Value, json};

use super::Answer;
use crate::failure::Failure;

/// What is asked of a feed.
pub(super) struct Asked<'a> {
    pub(super) target: &'a str,
    pub(super) since: Option<Cursor>,
    pub(super) keep: Option<u64>,
    pub(super) days: Option<u32>,
    pub(super) off: bool,
}

pub(super) async fn feed(node: &Node, asked: Asked<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let (name, prefix) = asked.target.split_once('/').unwrap_or((asked.target, ""));
    let space = super::space(node, name)?;
    if asked.off {
        space.drop_feed().await?;
        answer.say(json!({ "changes": [], "cursor": null }));
        return Ok(());
    }
    if asked.keep.is_some() || asked.days.is_some() {
        // Days alone: as many bytes as that takes.
        let bytes = asked.keep.map_or(u64::MAX, |megabytes| megabytes.saturating_mul(1024 * 1024));
        let age = asked.days.map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60));
        space.keep_feed(bytes, age).await?;
    }
    let scope = if prefix.is_empty() { Scope::Space } else { Scope::Under(prefix.to_owned()) };
    let mut feed = space.feed(scope, asked.since).await?;
    let mut said = false;
    while let Some(step) = feed.ready()? {
        said = true;
        match step {
            Step::Changes(page) => page_of(answer, false, &page.changes, page.cursor),
            Step::Anew(anew) => {
                let cursor = anew.cursor;
                anew.visit(&mut |rows: &[Changed]| -> Result<(), Failure> {
                    page_of(answer, true, rows, cursor);
                    Ok(())
                })?;
            }
            _ => {}
        }
        if !answer.is_heard() {
            return Ok(());
        }
    }
    // Nothing is news too, and the next call needs a place.
    if let Some(cursor) = feed.cursor().filter(|_| !said) {
        page_of(answer, false, &[], cursor);
    }
    Ok(())
}

fn page_of(answer: &mut Answer<'_>, anew: bool, changes: &[Changed], cursor: Cursor) {
    let changes: Vec<Value> = changes.iter().map(change).collect();
    answer.say(json!({ "anew": anew, "changes": changes, "cursor": cursor.to_string() }));
}

fn change(change: &Changed) -> Value {
    let origin =
        change.origin.map(|origin| json!({ "author": origin.author.to_string(), "local": origin.local }));
    json!({
        "path": change.path, "kind": change.kind.to_string(), "key": change.key, "commit": change.commit, "origin": origin,
        "before": change.before.as_ref().map(shown), "after": change.after.as_ref().map(shown),
    })
}

fn shown(shown: &Shown) -> Value {
    let others = Some(&shown.others).filter(|others| !others.is_empty());
    json!({
        "value": shown.value, "others": others, "author": shown.author.to_string(), "time": shown.time.millis(),
    })
}
