//! Undo and redo of this device's transactions.

use std::time::Duration;

use rejoin::{Node, Space};
use serde_json::{Value, json};

use super::{Answer, settle, space};
use crate::failure::Failure;

type Receipt = Option<(usize, Duration)>;

pub(super) async fn undo(
    node: &Node,
    name: &str,
    keep: Option<u32>,
    receipt: Receipt,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let space = space(node, name)?;
    match keep {
        Some(limit) => {
            space.keep_undo(limit).await?;
            answer.say(depth(&space)?);
        }
        None => {
            let undone = settle(space.undo(), receipt).await?;
            answer.say(told(&space, undone)?);
        }
    }
    Ok(())
}

pub(super) async fn redo(
    node: &Node,
    name: &str,
    receipt: Receipt,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let space = space(node, name)?;
    let redone = settle(space.redo(), receipt).await?;
    answer.say(told(&space, redone)?);
    Ok(())
}

/// What is kept: how many at most, and how many can be taken back and done again.
fn depth(space: &Space) -> Result<Value, Failure> {
    let (keep, undo, redo) = space.undo_depth()?;
    Ok(json!({ "keep": keep, "undo": undo, "redo": redo }))
}

fn told(space: &Space, undone: Option<rejoin::Undone>) -> Result<Value, Failure> {
    let (done, undone) = (undone.is_some(), undone.unwrap_or_default());
    let mut told = depth(space)?;
    told["done"] = json!(done);
    told["rows"] = json!(undone.rows);
    told["left"] = json!(undone.left);
    told["fixed"] = json!(undone.fixed);
    Ok(told)
}
