//! Maps, lists and texts that every device makes alike.
//!
//! Problem: an object of Automerge is named by the operation that made it. Two devices that first write into `body` while
//! they are apart make two texts, and when they meet, one is hidden, with all that was written into it.
//!
//! Idea: what makes a container at a path follows from the path. It is a change of an actor that is a hash of path and kind,
//! with no time, that stands on nothing but the changes that make the containers around it. So it has the same hash on
//! each device, and Automerge takes the second for the first.

use alloc::string::String;

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, Automerge, Change, ObjId, ObjType, ROOT, ReadDoc, Value};

use super::{content, empty, wrong};
use crate::id::{domain, hash};
use crate::row::DataError;

/// What a name leads to.
pub(super) enum Step {
    /// An object of the right kind.
    There(ObjId),
    /// Nothing.
    Missing,
}

/// Follows a name. What is there and of another kind is an error: it is not written over.
pub(super) fn step(doc: &Automerge, at: &ObjId, name: &str, kind: ObjType) -> Result<Step, DataError> {
    let found = doc.get(at, content::prop(doc, at, name)?)?;
    match found {
        None => Ok(Step::Missing),
        Some((Value::Object(there), object)) if there == kind => Ok(Step::There(object)),
        // A path goes through lists too.
        Some((Value::Object(ObjType::List), object)) if kind == ObjType::Map => Ok(Step::There(object)),
        Some((Value::Object(there), _)) => {
            Err(wrong(std::format!("there is a {there} at '{name}', and no {kind}")))
        }
        Some((Value::Scalar(_), _)) => {
            Err(wrong(std::format!("there is a value at '{name}', and no {kind}: remove it first")))
        }
    }
}

/// All kinds of containers.
pub(super) const fn kinds() -> [ObjType; 3] {
    [ObjType::Map, ObjType::List, ObjType::Text]
}

/// The actor that makes the container of this kind at a path.
fn actor(path: &[String], kind: ObjType) -> ActorId {
    let kind: &[u8] = match kind {
        ObjType::Map | ObjType::Table => b"map",
        ObjType::List => b"list",
        ObjType::Text => b"text",
    };
    // Names have no NUL.
    let path = path.join("\0");
    ActorId::from(&hash(domain::DOCUMENT_CONTAINER, &[kind, b"\0", path.as_bytes()])[..16])
}

/// The object that [`change`] makes.
pub(super) fn object(path: &[String], kind: ObjType) -> ObjId {
    ObjId::Id(path.len() as u64, actor(path, kind), 0)
}

/// The change that makes the container of this kind at a path of maps.
pub(super) fn change(path: &[String], kind: ObjType) -> Change {
    let (mut doc, mut at, mut last) = (empty(), ROOT, None);
    for (depth, name) in path.iter().enumerate() {
        let part = &path[..=depth];
        let kind = if part.len() == path.len() { kind } else { ObjType::Map };
        doc.set_actor(actor(part, kind));
        let mut tx = doc.transaction();
        at = tx.put_object(&at, name.as_str(), kind).expect("what it is in was made just now");
        (last, _) = tx.commit_with(CommitOptions::default().with_time(0));
    }
    last.and_then(|hash| doc.get_change_by_hash(&hash)).expect("a path has a name")
}

/// The object at a path of maps.
pub(super) fn find(doc: &Automerge, path: &[String]) -> Option<ObjId> {
    let mut at = ROOT;
    for name in path {
        let (_, object) = doc.get(&at, name.as_str()).ok()??;
        at = object;
    }
    Some(at)
}
