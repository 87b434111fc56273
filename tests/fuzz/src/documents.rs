//! Documents in which another member of the space has put what it liked.
//!
//! A change of Automerge begins with a checksum that no fuzzer would find, and its row is named by the hash of it. So the
//! bytes are what comes after: they are given the beginning and the name that go with them.

use rejoin::automerge::transaction::Transactable;
use rejoin::automerge::{ObjType, ReadDoc};
use rejoin::core::ReplicaId;
use rejoin::core::crdt::document::{Loaded, history, text, value};
use rejoin::core::crdt::{Document, DocumentView};
use rejoin::core::row::{DataError, Payload, WriteRows};
use sha2::{Digest, Sha256};

const AUTHOR: ReplicaId = ReplicaId::from_u128(1);
const LIAR: ReplicaId = ReplicaId::from_u128(2);
const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// Automerge's types of chunks, and the tags of the elements that hold them.
const CHUNKS: [(u8, u8); 2] = [(1, 0), (0, 1)];

/// Reads, edits and saves a document with a row that holds the bytes: no panic, and what is written then
/// is there when it is read again.
pub fn documents(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let mut document = begun();
    let mut follower = Loaded::new(document.view().clone());
    follower.refresh(document.rows()).expect("memory can be read");
    let mut liar = Document::new(LIAR);
    let (chunk, tag) = CHUNKS[usize::from(*kind) % CHUNKS.len()];
    let Some((name, chunk)) = chunk_of(chunk, body) else { return };
    let written = liar.write(|view, rows| {
        // A saved document is named by the last change in it, which is not the hash of the whole.
        let name = if tag == 1 { document.load().doc().get_heads()[0].0 } else { name };
        put(view, rows, tag, &name, &chunk)
    });
    if written.is_err() {
        return;
    }
    document.merge(&liar);
    follower.refresh(document.rows()).expect("memory can be read");
    let loaded = document.load();
    look(&follower);
    look(&loaded);
    // What may fail may not take anything along.
    let edited = document.edit(|tx| {
        tx.put(rejoin::automerge::ROOT, "seen", true)?;
        Ok(())
    });
    let saved = document.write(|view, rows| view.load(rows)?.save(rows));
    if edited.is_ok() && saved == Ok(true) {
        let again = document.load();
        assert_eq!(value(again.doc(), "seen"), Ok(Some(true.into())));
        assert!(history(again.doc()).len() > history(loaded.doc()).len());
    }
}

fn look(loaded: &Loaded) {
    let doc = loaded.doc();
    let _ = (text(doc, "body"), value(doc, ""), history(doc).len(), loaded.strays(), loaded.memory());
    if let Ok(Some((_, body))) = doc.get(rejoin::automerge::ROOT, "body")
        && doc.object_type(&body) == Ok(ObjType::Text)
    {
        let _ = (doc.marks(&body), doc.length(&body));
    }
}

/// A document with some of everything.
fn begun() -> Document {
    let mut document = Document::new(AUTHOR);
    document.splice("body", 0, 0, "some words").expect("a small document");
    document.splice("body", 4, 1, "").expect("a small document");
    let edit = document.edit(|tx| {
        tx.put(rejoin::automerge::ROOT, "n", 7)?;
        let list = tx.put_object(rejoin::automerge::ROOT, "list", ObjType::List)?;
        tx.insert(&list, 0, 1.5)?;
        tx.insert(&list, 1, "x")?;
        tx.delete(&list, 0)?;
        Ok::<_, DataError>(())
    });
    edit.expect("a small document");
    document
}

fn put<W: WriteRows>(
    view: &DocumentView,
    rows: &mut W,
    tag: u8,
    name: &[u8],
    chunk: &[u8],
) -> Result<(), W::Error> {
    let element = [&[tag], name].concat();
    let payload = Payload::new(chunk.to_vec()).ok_or(DataError::NoItem)?;
    rows.put(view.object().row(&element).map_err(DataError::from)?, payload)
}

/// The chunk of a type with this content, and its hash.
fn chunk_of(kind: u8, body: &[u8]) -> Option<([u8; 32], Vec<u8>)> {
    let mut rest = vec![kind];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7f).ok()?;
        length >>= 7;
        rest.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    rest.extend_from_slice(body);
    let hash: [u8; 32] = Sha256::digest(&rest).into();
    Some((hash, [&MAGIC, &hash[..4], &rest].concat()))
}

/// The content of a chunk.
fn body_of(chunk: &[u8]) -> Vec<u8> {
    let after = &chunk[9..];
    let length = after.iter().position(|byte| byte & 0x80 == 0).expect("a length ends") + 1;
    after[length..].to_vec()
}

/// The content of every change of a document, and of the document when it is saved.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let document = begun().load();
    let changes = document.doc().get_changes(&[]);
    let changes = changes.iter().map(|change| [&[0][..], &body_of(change.raw_bytes())].concat());
    let saved = [&[1][..], &body_of(&document.doc().save_nocompress())].concat();
    changes.chain([saved]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_what_automerge_makes_of_its_content() {
        for change in begun().load().doc().get_changes(&[]) {
            let (hash, chunk) = chunk_of(1, &body_of(change.raw_bytes())).expect("a small change");
            assert_eq!((hash, chunk.as_slice()), (change.hash().0, change.raw_bytes()));
        }
    }
}
