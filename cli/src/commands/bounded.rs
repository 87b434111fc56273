//! Bounded counters.

use std::time::Duration;

use rejoin::core::ReplicaId;
use rejoin::core::error::CodecError;
use rejoin::{BoundedCounter, Node};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, settle, target};
use crate::arguments::Bounded;
use crate::failure::Failure;

pub(super) async fn bounded(
    node: &Node,
    command: &Bounded,
    receipt: Option<(usize, Duration)>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let (Bounded::Add { target: at, .. }
    | Bounded::Take { target: at, .. }
    | Bounded::Give { target: at, .. }
    | Bounded::Get { target: at }
    | Bounded::Rights { target: at }) = command;
    let (space, path) = target(node, at)?;
    let counter = space.bounded_counter(path);
    match command {
        Bounded::Add { n, .. } => settle(counter.increment(*n), receipt).await?,
        Bounded::Take { n, .. } => settle(counter.decrement(*n), receipt).await?,
        Bounded::Give { replica, n, .. } => {
            settle(counter.transfer(&named(&counter, replica)?, *n), receipt).await?;
        }
        Bounded::Get { .. } => {}
        Bounded::Rights { .. } => {
            let (own, mut all) = (space.author()?, counter.all_rights()?);
            // Others need its id to give it any.
            if let Some(own) = own {
                all.entry(own).or_insert(0);
            }
            let shown = all.into_iter().map(|(replica, rights)| {
                json!({ "replica": replica.to_string(), "rights": rights, "own": Some(replica) == own })
            });
            answer.say(shown.collect());
            return Ok(());
        }
    }
    answer.say(json!({ "value": counter.value()?, "rights": counter.rights()? }));
    Ok(())
}

/// An id as it is printed, for lines of a batch.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Whole(pub(super) ReplicaId);

impl TryFrom<String> for Whole {
    type Error = CodecError;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        word.parse().map(Self)
    }
}

/// A whole id, or the beginning of one that has or had rights.
fn named(counter: &BoundedCounter, word: &str) -> Result<ReplicaId, Failure> {
    if let Ok(replica) = word.parse() {
        return Ok(replica);
    }
    let all = counter.all_rights()?;
    let mut fitting = all.keys().filter(|replica| replica.to_string().starts_with(word));
    match (fitting.next(), fitting.next()) {
        (Some(replica), None) if !word.is_empty() => Ok(*replica),
        (Some(_), _) => {
            Err(Failure::usage(format!("`{word}` is the beginning of several ids: write more of it")))
        }
        (None, _) => Err(Failure::usage(format!(
            "`{word}` is no id, nor the beginning of one that has rights: `bounded rights` on the other device shows its id"
        ))),
    }
}
