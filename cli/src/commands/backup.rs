//! Backups: made, checked, restored; and what a damaged file still gives.

use std::path::{Path, PathBuf};

use rejoin::{Error, Node, Progress, Restore, Salvage, Salvaged, Saved, Space, verify_backup};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Answer;
use crate::failure::{DAMAGED, Failure};

/// The file as the node that does the work has to name it: that may run in another folder.
pub(crate) fn absolute(file: &str) -> Result<String, Failure> {
    if file.is_empty() || file == "-" {
        return Err(Failure::usage("a backup needs a file: give its path".into()));
    }
    let cannot = |why: &str| Failure::other(format!("cannot use {file}: {why}"));
    let path = std::path::absolute(file).map_err(|error| cannot(&error.to_string()))?;
    path.into_os_string().into_string().map_err(|_| cannot("the folder that it is in has no name in Unicode"))
}

pub(super) async fn backup(
    node: &Node,
    space: Option<&str>,
    file: &str,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let file = PathBuf::from(absolute(file)?);
    let spaces = match space {
        Some(space) => vec![super::space(node, space)?],
        None => all(node)?,
    };
    let (tell, told) = watch::channel(None);
    let work = node.backup(&spaces, file.clone(), move |now| _ = tell.send_replace(Some(now)));
    let saved = with_progress(work, told, answer).await?;
    let bytes = std::fs::metadata(&file).map_or(0, |facts| facts.len());
    let spaces: Vec<Value> = saved.iter().map(describe).collect();
    answer.say(json!({ "file": file.display().to_string(), "bytes": bytes, "spaces": spaces }));
    Ok(())
}

/// Every space. A backup of all must not leave one out without a word.
fn all(node: &Node) -> Result<Vec<Space>, Failure> {
    if let Some((id, why)) = node.unusable().first() {
        let words = format!("the space {id} cannot be used: {why}; name the spaces to save, one by one");
        return Err(Failure { words, ..Failure::from(why.as_ref()) });
    }
    match node.spaces() {
        spaces if spaces.is_empty() => {
            Err(Failure::other("there is no space yet: begin one with `rejoin new NAME`".into()))
        }
        spaces => Ok(spaces),
    }
}

pub(super) async fn restore(
    node: &Node,
    file: &str,
    what: Restore,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let file = PathBuf::from(absolute(file)?);
    let (tell, told) = watch::channel(None);
    let work = node.restore(file, what, move |now| _ = tell.send_replace(Some(now)));
    let spaces = with_progress(work, told, answer).await?;
    let mut restored = Vec::new();
    for (space, saved) in spaces {
        let mut described = describe(&saved);
        described["name"] = space.name().into();
        described["retired"] = saved.about.replica.map(|old| old.to_string()).into();
        restored.push(described);
    }
    answer.say(restored.into());
    Ok(())
}

pub(super) async fn salvage(
    node: &Node,
    file: &str,
    what: Salvage,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let Salvaged { written, here, removed, overtaken, of_others, counted_before, unreadable } =
        node.salvage(absolute(file)?, what).await?;
    answer.say(json!({
        "written": written, "here": here, "removed": removed, "overtaken": overtaken, "of_others": of_others,
        "counted_before": counted_before, "unreadable": unreadable,
    }));
    Ok(())
}

/// Checks a file that holds a backup, without a node.
pub(crate) async fn verify(file: &Path, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let (tell, told) = watch::channel(None);
    let work = verify_backup(file, move |now| _ = tell.send_replace(Some(now)));
    let found = match with_progress(work, told, answer).await {
        Ok(saved) => saved.iter().map(|saved| sound(&describe(saved))).collect(),
        Err(error) => {
            let failure = Failure::from(&error);
            answer.bad_news(if failure.code == DAMAGED { DAMAGED } else { failure.code });
            vec![json!({ "name": null, "id": null, "sound": false, "error": failure.words })]
        }
    };
    answer.say(Value::Array(found));
    Ok(())
}

fn sound(described: &Value) -> Value {
    let mut found = described.clone();
    found["sound"] = true.into();
    found["error"] = Value::Null;
    found
}

fn describe(saved: &Saved) -> Value {
    json!({
        "name": rejoin::name_in(saved),
        "id": saved.about.space.to_string(),
        "rows": saved.contents.rows,
        "root": saved.about.root.to_string(),
        "made_at": saved.about.made_ms,
    })
}

/// Waits, and says how far it has come each time that a percent is done.
async fn with_progress<T>(
    work: impl Future<Output = Result<T, Error>>,
    mut told: watch::Receiver<Option<Progress>>,
    answer: &mut Answer<'_>,
) -> Result<T, Error> {
    tokio::pin!(work);
    let mut last = 0;
    loop {
        tokio::select! {
            outcome = &mut work => return outcome,
            Ok(()) = told.changed() => {
                let Some(Progress { done, of, .. }) = *told.borrow_and_update() else { continue };
                let percent = (done.saturating_mul(100) / of.max(1)).min(100);
                if percent != last {
                    last = percent;
                    answer.say(json!({ "progress": percent }));
                }
            }
        }
    }
}
