//! Self-describing values (under construction).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("stub")]
pub struct ValueError;
#[derive(Clone, Debug)]
pub struct Value;
