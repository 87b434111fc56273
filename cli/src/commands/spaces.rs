//! Spaces: begin, join, list, invite.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rejoin::{Grant, Node, Space};
use serde_json::json;

use super::Answer;
use crate::failure::Failure;

pub(super) fn init(node: &Node, answer: &mut Answer<'_>) {
    answer.say(json!({ "id": node.id().to_string() }));
}

pub(super) async fn new(node: &Node, name: &str, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let space = node.create(name).await?;
    let ticket = space.ticket(Grant::Write).await?.to_string();
    answer.say(json!({ "name": space.name(), "id": space.id().to_string(), "ticket": ticket }));
    Ok(())
}

pub(super) async fn join(
    node: &Node,
    ticket: &str,
    name: Option<&str>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let ticket = ticket.parse().map_err(rejoin::Error::from)?;
    let space = match name {
        Some(name) => node.join_as(&ticket, name).await?,
        None => node.join(&ticket).await?,
    };
    answer.say(json!({ "name": space.name(), "id": space.id().to_string() }));
    Ok(())
}

pub(super) async fn leave(node: &Node, space: &str, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let space = node.leave(&super::space(node, space)?).await?;
    answer.say(json!({ "name": space.name(), "id": space.id().to_string() }));
    Ok(())
}

pub(super) async fn forget(
    node: &Node,
    name: &str,
    again: &str,
    even_so: bool,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let space = super::space(node, name)?;
    if name != again {
        let words =
            format!("to delete `{name}` from this device, name it twice: rejoin forget {name} {name}");
        return Err(Failure::usage(words));
    }
    let (name, id) = (space.name().to_owned(), space.id().to_string());
    node.forget(&space, even_so).await?;
    answer.say(json!({ "name": name, "id": id }));
    Ok(())
}

pub(super) fn list(node: &Node, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let describe = |space: Space| {
        let status = space.status()?;
        let (id, root) = (space.id().to_string(), status.root.to_string());
        Ok::<_, Failure>(json!({ "name": space.name(), "id": id, "rows": status.rows, "root": root }))
    };
    let spaces = node.spaces().into_iter().map(describe).collect::<Result<Vec<_>, _>>()?;
    answer.say(spaces.into());
    Ok(())
}

pub(super) async fn ticket(node: &Node, space: &str, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let ticket = super::space(node, space)?.ticket(Grant::Write).await?;
    answer.say(json!({ "ticket": ticket.to_string() }));
    Ok(())
}

pub(super) fn objects(node: &Node, space: &str, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let objects = super::space(node, space)?.objects()?;
    let describe = |object: rejoin::ObjectInfo| json!({ "path": object.path, "kind": object.kind.to_string(), "rows": object.rows });
    answer.say(objects.into_iter().map(describe).collect());
    Ok(())
}

pub(super) async fn forget_once(
    node: &Node,
    space: &str,
    days: u32,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let age = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    let before = SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH);
    let forgotten = super::space(node, space)?.forget_once(before).await?;
    answer.say(json!({ "forgotten": forgotten }));
    Ok(())
}
