//! One path, one kind: a slip is told before it makes a second object beside the one that was meant.
//!
//! Kinds are namespaces of their own, so that a counter and a set that two devices begin apart at one path both live once
//! they meet: neither could be given up without losing somebody's work. But who writes `likes` as a set where everybody
//! counts has mistyped. So the first write of an object looks whether another kind is at its path; an object that has
//! rows, wherever they came from, is written without a question.

use std::ops::ControlFlow;

use rejoin_core::engine::Transaction;
use rejoin_core::row::{Kind, Object, ReadRows};
use rejoin_net::replica::Storage;

use crate::{Error, Result};

/// Refuses the first write of an object at whose path another kind has rows.
pub(crate) fn check_first(rows: &Transaction<'_, Storage>, object: &Object) -> Result<()> {
    if has_rows(rows, object)? {
        return Ok(());
    }
    let row = object.row(&[])?;
    let others = Kind::KNOWN.iter().map(|(kind, _)| *kind);
    for kind in others.filter(|kind| ![row.kind(), Kind::ONCE].contains(kind)) {
        if has_rows(rows, &Object::new(kind, row.path())?)? {
            return Err(Error::WrongKind { path: row.path().to_owned(), is: kind, asked: row.kind() });
        }
    }
    Ok(())
}

fn has_rows(rows: &Transaction<'_, Storage>, object: &Object) -> Result<bool> {
    let mut found = false;
    rows.scan(object, &[], &mut |_, _| {
        found = true;
        ControlFlow::Break(())
    })?;
    Ok(found)
}
