//! Entries of a map in the order of what their values hold.

use rejoin::core::value::to_value;
use rejoin::{Node, Value as Data};
use serde_json::{Value, json};

use super::{Answer, target, value};
use crate::arguments::Query;
use crate::failure::Failure;

pub(super) async fn query(node: &Node, asked: &Query, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let (space, path) = target(node, &asked.target)?;
    let fields: Vec<&str> = asked.by.iter().map(String::as_str).collect();
    let index = space.map::<Data, Data>(path).index(&fields).await?;
    if asked.drop {
        index.drop().await?;
        answer.say(json!([]));
        return Ok(());
    }
    let data = |word: &String| to_value(&value(word)).map_err(|error| Failure::usage(error.to_string()));
    let mut query = index.query().limit(asked.limit);
    for word in &asked.equal {
        query = query.equal(data(word)?);
    }
    if let Some(word) = &asked.from {
        query = query.from(data(word)?);
    }
    if let Some(word) = &asked.to {
        query = query.to(data(word)?);
    }
    if let Some(text) = &asked.starting {
        query = query.starting(text);
    }
    if asked.back {
        query = query.backwards();
    }
    let entry = |(key, value)| json!({ "key": key, "value": value });
    answer.say(query.entries()?.into_iter().map(entry).collect::<Vec<Value>>().into());
    Ok(())
}
