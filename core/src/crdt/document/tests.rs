//! Documents over rows in memory: apart and together, saved whole, damaged, and at their limits.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::ControlFlow;

use automerge::transaction::Transactable;
use automerge::{ObjType, ROOT, ReadDoc};

use super::compact::is_boundary;
use super::pieces::Piece;
use super::*;
use crate::id::ReplicaId;
use crate::row::WriteRows;
use crate::value::Value;

const A: ReplicaId = ReplicaId::from_u128(1);
const B: ReplicaId = ReplicaId::from_u128(2);
const C: ReplicaId = ReplicaId::from_u128(3);

fn loaded(document: &Document) -> Loaded {
    document.load()
}

/// Everything in the rows that the document does not show.
fn hidden(document: &Document) -> usize {
    loaded(document).strays()
}

#[test]
fn two_devices_that_write_a_text_apart_write_one_text() {
    let (mut a, mut b) = (Document::new(A), Document::new(B));
    a.splice("note/body", 0, 0, "from a. ").unwrap();
    b.splice("note/body", 0, 0, "from b. ").unwrap();
    a.merge(&b);
    b.merge(&a);
    let both = a.text("note/body").unwrap();
    assert_eq!(Some(both.clone()), b.text("note/body"));
    assert!(both.contains("from a. ") && both.contains("from b. "), "{both}");
    assert_eq!(a, b);
    // The changes that make the map and the text are rows that both wrote; each is there once.
    assert_eq!(history(loaded(&a).doc()).iter().filter(|edit| edit.author.is_none()).count(), 2);
}

#[test]
fn a_container_that_was_removed_is_made_anew() {
    let mut a = Document::new(A);
    a.splice("body", 0, 0, "old").unwrap();
    a.write(|view, rows| view.load(rows)?.remove(rows, "body")).unwrap();
    assert_eq!(a.text("body"), None);
    a.splice("body", 0, 0, "new").unwrap();
    assert_eq!(a.text("body"), Some("new".into()));
    let mut b = a.fork(B);
    b.splice("body", 3, 0, "er").unwrap();
    a.merge(&b);
    assert_eq!(a.text("body"), Some("newer".into()));
}

#[test]
fn values_go_in_and_come_out_and_what_is_there_is_not_written_over_by_a_text() {
    let mut a = Document::new(A);
    let value = Value::Map(
        [
            ("done".to_string(), Value::Bool(false)),
            ("tags".to_string(), Value::List(alloc::vec!["x".into(), Value::Null, Value::Float(0.5)])),
            ("when".to_string(), Value::Time(7)),
            ("raw".to_string(), Value::Bytes(alloc::vec![0, 255])),
        ]
        .into(),
    );
    let mut document = Loaded::new(a.view().clone());
    a.write(|_, rows| document.put(rows, "tasks/first", &value)).unwrap();
    a.write(|_, rows| document.push(rows, "order", &"first".into())).unwrap();
    a.write(|_, rows| document.insert(rows, "order", 0, &Value::List(alloc::vec![1.into()]))).unwrap();
    a.write(|_, rows| document.put(rows, "tasks/first/tags/0", &"y".into())).unwrap();
    let get = |path: &str| super::value(loaded(&a).doc(), path).unwrap();
    assert_eq!(get("tasks/first/when"), Some(Value::Time(7)));
    assert_eq!(
        get("tasks/first/tags"),
        Some(Value::List(alloc::vec!["y".into(), Value::Null, Value::Float(0.5)]))
    );
    assert_eq!(get("order/0/0"), Some(1.into()));
    assert_eq!(get("order/9"), None);
    assert_eq!(get("tasks/first/done/deeper"), None);
    let error = a.splice("tasks/first/done", 0, 0, "text").unwrap_err();
    assert!(error.to_string().contains("there is a value at 'done', and no text"), "{error}");
    let error = a.write(|_, rows| document.insert(rows, "order", 5, &1.into())).unwrap_err();
    assert_eq!(error, DataError::OutOfList { index: 5, length: 2 });
    let error = a.splice("note", 1, 0, "x").unwrap_err();
    assert!(error.to_string().contains("the text has 0 characters"), "{error}");
    assert_eq!(a.text("note"), None, "what failed left nothing behind");
    assert!(a.splice("a//b", 0, 0, "x").is_err() && a.splice("", 0, 0, "x").is_err());
}

/// Types so many letters, one change each; says which of the changes were boundaries.
fn type_letters(document: &mut Document, loaded: &mut Loaded, count: usize) -> usize {
    let mut boundaries = 0;
    for n in 0..count {
        let letter = char::from(b'a' + u8::try_from(n % 26).unwrap());
        document.write(|_, rows| loaded.splice(rows, "body", 0, 0, letter.encode_utf8(&mut [0; 4]))).unwrap();
        let head = loaded.doc().get_heads()[0];
        boundaries += usize::from(is_boundary(&head, loaded.doc().stats().num_changes));
    }
    boundaries
}

#[test]
fn a_document_of_many_changes_lies_in_few_rows_and_reads_the_same() {
    let mut a = Document::new(A);
    let mut kept = Loaded::new(a.view().clone());
    let boundaries = type_letters(&mut a, &mut kept, 500);
    assert!((5..40).contains(&boundaries), "{boundaries}");
    let rows = a.rows().iter().count();
    assert!(rows < 200, "{rows} rows of 500 changes");
    let fresh = loaded(&a);
    assert_eq!(version(fresh.doc()), version(kept.doc()));
    assert_eq!(history(fresh.doc()).len(), 501);
    assert_eq!(super::text(fresh.doc(), "body"), super::text(kept.doc(), "body"));
    assert_eq!(fresh.pieces, kept.pieces, "who writes knows its rows without reading them");
    // Somebody who kept up with it, a few changes at a time, has it too.
    let mut b = Document::new(B);
    let mut follower = Loaded::new(b.view().clone());
    for _ in 0..20 {
        type_letters(&mut a, &mut kept, 10);
        b.merge(&a);
        assert!(follower.refresh(b.rows()).unwrap());
        assert_eq!(version(follower.doc()), version(kept.doc()));
    }
    assert!(!follower.refresh(b.rows()).unwrap());
}

#[test]
fn more_changes_than_a_transaction_removes_go_in_several() {
    let mut a = Document::new(A);
    let mut kept = Loaded::new(a.view().clone());
    kept.refresh(a.rows()).unwrap();
    // Changes that lie about, as if no boundary had come for long.
    let mut other = kept.doc().as_ref().clone();
    for n in 0..3500_i64 {
        let mut tx = other.transaction();
        tx.put(ROOT, "n", n).unwrap();
        tx.commit();
    }
    let changes = other.get_changes(&[]);
    for part in changes.chunks(1000) {
        a.write(|view, rows| {
            let mut pieces = part.iter().map(|change| (Piece::Change(change.hash()), change.raw_bytes()));
            pieces.try_for_each(|(piece, bytes)| piece.put(view.object(), rows, bytes))
        })
        .unwrap();
    }
    let value = |document: &Document| super::value(loaded(document).doc(), "n").unwrap();
    assert!(a.write(|_, rows| kept.save(rows)).unwrap());
    assert_eq!((a.rows().iter().count(), value(&a)), (3500 - 3000 + 1, Some(3499.into())));
    a.edit(|tx| Ok(tx.put(ROOT, "n", 1)?)).unwrap();
    assert!(a.write(|_, rows| kept.save(rows)).unwrap());
    assert_eq!((a.rows().iter().count(), value(&a)), (2, Some(1.into())));
}

#[test]
fn what_a_compaction_had_not_seen_stays_and_shows() {
    let mut a = Document::new(A);
    a.splice("body", 0, 0, "start").unwrap();
    let mut b = a.fork(B);
    let mut c = a.fork(C);
    b.splice("body", 5, 0, " b").unwrap();
    assert!(a.write(|view, rows| view.load(rows)?.save(rows)).unwrap());
    assert_eq!(a.rows().iter().count(), 2, "the last change, and all of it");
    c.splice("body", 5, 0, " c").unwrap();
    assert!(c.write(|view, rows| view.load(rows)?.save(rows)).unwrap());
    a.merge(&b);
    assert_eq!(hidden(&a), 0);
    a.merge(&c);
    assert_eq!(hidden(&a), 0);
    let text = a.text("body").unwrap();
    assert!(text.contains(" b") && text.contains(" c"), "{text}");
    // Two heads: a change that stands on both is what the next one is named by.
    assert!(a.write(|view, rows| view.load(rows)?.save(rows)).unwrap());
    assert_eq!((a.rows().iter().count(), a.text("body")), (2, Some(text)));
    let before = a.version_vector().clone();
    assert!(a.write(|view, rows| view.load(rows)?.save(rows)).unwrap());
    assert_eq!(*a.version_vector(), before, "there is nothing left to do");
    assert!(!Document::new(A).write(|view, rows| view.load(rows)?.save(rows)).unwrap());
}

/// The mistake that the rule is there against: a document that was loaded before, saved over all rows that are there now.
fn save_carelessly(document: &mut Document, stale: &Loaded) {
    let head = stale.doc().get_heads()[0];
    let bytes = stale.doc().save();
    document
        .write(|view, rows| {
            view.clear(rows)?;
            Piece::Saved(head).put(view.object(), rows, &bytes)
        })
        .unwrap();
}

#[test]
fn a_compaction_of_what_was_not_read_loses_a_change_and_that_is_noticed() {
    let mut a = Document::new(A);
    a.splice("body", 0, 0, "start").unwrap();
    let stale = loaded(&a);
    let mut b = a.fork(B);
    b.splice("body", 5, 0, " b").unwrap();
    a.merge(&b);
    let mut careless = a.fork(C);
    save_carelessly(&mut careless, &stale);
    assert_eq!(careless.text("body"), Some("start".into()), "the change of b is lost");
    // The real one takes in what is there first.
    let mut stale = stale;
    assert!(a.write(|_, rows| stale.save(rows)).unwrap());
    assert_eq!(a.text("body"), Some("start b".into()));
}

#[test]
fn a_clear_is_seen_by_who_has_it_in_memory_and_an_edit_beside_it_is_kept_for_later() {
    let mut a = Document::new(A);
    let mut kept = Loaded::new(a.view().clone());
    type_letters(&mut a, &mut kept, 3);
    let mut b = a.fork(B);
    a.write(|view, rows| view.clear(rows)).unwrap();
    assert!(kept.refresh(a.rows()).unwrap());
    assert_eq!((super::text(kept.doc(), "body"), version(kept.doc())), (Ok(None), Version::default()));
    let before = b.fork(C);
    b.splice("body", 0, 0, "late ").unwrap();
    a.merge(&b);
    assert_eq!((a.text("body"), hidden(&a)), (None, 1));
    // It begins anew under other numbers, and what comes back shows again.
    a.splice("body", 0, 0, "new").unwrap();
    assert_eq!(a.text("body"), Some("new".into()));
    let mut lost = before;
    lost.write(|view, rows| view.load(rows)?.save(rows).map(drop)).unwrap();
    a.merge(&lost);
    let text = a.text("body").unwrap();
    assert!(text.contains("late ") && text.contains("new") && hidden(&a) == 0, "{text}");
}

#[test]
fn changes_of_a_transaction_that_failed_are_not_in_memory_either() {
    let mut a = Document::new(A);
    let mut kept = Loaded::new(a.view().clone());
    type_letters(&mut a, &mut kept, 2);
    let failed: Result<(), DataError> = a.write(|_, rows| {
        kept.splice(rows, "body", 0, 0, "lost")?;
        Err(DataError::NoItem)
    });
    assert!(failed.is_err());
    let actors = |loaded: &Loaded| loaded.doc().stats().num_actors;
    let before = actors(&loaded(&a));
    a.write(|_, rows| kept.splice(rows, "body", 0, 0, "kept ")).unwrap();
    assert_eq!(a.text("body"), Some("kept ba".into()));
    assert_eq!(super::text(kept.doc(), "body"), Ok(Some("kept ba".into())));
    assert_eq!(actors(&loaded(&a)), before + 1, "a number is not given to two changes");
}

#[test]
fn of_two_changes_with_one_number_the_larger_hash_shows_everywhere() {
    let mut a = Document::new(A);
    let mut kept = Loaded::new(a.view().clone());
    type_letters(&mut a, &mut kept, 2);
    // A machine that was saved with the document in its memory, and ran on twice.
    let twins: Vec<(Document, String)> = ["left", "right"]
        .into_iter()
        .map(|word| {
            let mut twin = a.fork(A);
            let mut again = Loaded::new(a.view().clone());
            again.refresh(twin.rows()).unwrap();
            again.editor = kept.editor.clone();
            twin.write(|_, rows| again.splice(rows, "body", 0, 0, word)).unwrap();
            (twin, word.to_string())
        })
        .collect();
    let hashes: Vec<_> = twins.iter().map(|(twin, word)| (twin.load().doc().get_heads()[0], word)).collect();
    let (_, winner) = hashes.iter().max().unwrap();
    // Under a name of its own each row arrives, in either order.
    let rows: Vec<_> = twins.iter().map(|(twin, _)| changes(twin)).collect();
    for order in [[0, 1], [1, 0]] {
        let mut reader = Document::new(B);
        let mut follower = Loaded::new(a.view().clone());
        for index in order {
            for (piece, bytes) in &rows[index] {
                reader.write(|view, rows| piece.put(view.object(), rows, bytes)).unwrap();
            }
            follower.refresh(reader.rows()).unwrap();
        }
        let text = super::text(follower.doc(), "body").unwrap().unwrap();
        assert!(text.starts_with(winner.as_str()), "{text}");
        assert_eq!((reader.text("body").unwrap(), follower.strays()), (text, 1));
        // Whoever goes on, goes on from what shows.
        reader.splice("body", 0, 0, "and ").unwrap();
        assert!(reader.text("body").unwrap().starts_with("and "));
    }
}

/// What lies in the rows of a document.
fn changes(document: &Document) -> Vec<(Piece, Vec<u8>)> {
    super::pieces::Pieces::read(document.view().object(), document.rows(), &BTreeSet::new()).unwrap().fresh
}

#[test]
fn rows_that_are_not_what_they_say_are_passed_over() {
    let mut a = Document::new(A);
    a.splice("body", 0, 0, "sound").unwrap();
    let sound = changes(&a);
    let (piece, bytes) = sound.last().unwrap();
    let mut liar = Document::new(B);
    liar.write(|view, rows| {
        Piece::Change(automerge::ChangeHash([7; 32])).put(view.object(), rows, bytes)?;
        Piece::Saved(*piece.hash()).put(view.object(), rows, b"nonsense")?;
        Piece::Saved(automerge::ChangeHash([9; 32])).put(view.object(), rows, &loaded(&a).doc().save())?;
        Piece::Change(automerge::ChangeHash([8; 32])).put(view.object(), rows, &[])?;
        rows.put(view.object().row(&[5])?, crate::row::Payload::default())
    })
    .unwrap();
    a.merge(&liar);
    assert_eq!((a.text("body"), hidden(&a)), (Some("sound".into()), 3));
    a.splice("body", 0, 0, "still ").unwrap();
    assert_eq!(a.text("body"), Some("still sound".into()));
    a.write(|view, rows| view.load(rows)?.save(rows).map(drop)).unwrap();
    assert_eq!(a.text("body"), Some("still sound".into()));
}

#[test]
fn a_change_too_large_for_a_row_lies_in_several() {
    let mut a = Document::new(A);
    // What does not compress, else it would fit.
    let mut seed = 1_u32;
    let long: String = (0..300_000)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b' ' + u8::try_from((seed >> 24) % 94).unwrap())
        })
        .collect();
    a.splice("body", 0, 0, &long).unwrap();
    assert_eq!(a.rows().iter().count(), 3, "the text in two, and what makes it");
    assert_eq!(a.text("body"), Some(long.clone()));
    a.splice("body", 0, 0, "x").unwrap();
    a.write(|view, rows| view.load(rows)?.save(rows).map(drop)).unwrap();
    assert_eq!(a.text("body").map(|text| text.len()), Some(long.len() + 1));
    // A part that is missing makes the whole wait.
    let mut parts = Vec::new();
    crate::row::ReadRows::scan(a.rows(), a.view().object(), &[], &mut |key, _| {
        parts.extend((key.element().len() > 33).then(|| key.clone()));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(parts.len(), 2);
    a.write(|_, rows| rows.remove(parts[0].clone())).unwrap();
    assert_eq!(a.text("body"), None);
}

#[test]
fn versions_are_read_again_and_name_who_wrote_what() {
    let mut a = Document::new(A);
    a.splice("body", 0, 0, "one").unwrap();
    let first = version(loaded(&a).doc());
    let mut b = a.fork(B);
    a.splice("body", 3, 0, " two").unwrap();
    b.splice("body", 3, 0, " three").unwrap();
    a.merge(&b);
    let document = loaded(&a);
    let both = version(document.doc());
    assert_eq!(both.to_string().parse(), Ok(both.clone()));
    assert_eq!("0".parse(), Ok(Version::default()));
    assert!("zz".parse::<Version>().is_err());
    let text_at = |version: &Version| super::text(&at(document.doc(), version).unwrap(), "body").unwrap();
    assert_eq!(text_at(&first), Some("one".into()));
    assert_eq!(text_at(&both), a.text("body"));
    assert_eq!(text_at(&Version::default()), None);
    let error = at(loaded(&Document::new(C)).doc(), &first).unwrap_err();
    assert!(error.to_string().contains("is not on this device"), "{error}");
    let authors: Vec<_> = history(document.doc()).into_iter().map(|edit| edit.author).collect();
    assert_eq!(authors[..2], [None, Some(A)]);
    assert!(authors.contains(&Some(B)));
}

#[test]
fn containers_are_made_by_the_bytes_that_they_always_were_made_by() {
    // A change of these would part documents that were begun before from those begun after it.
    let path = ["note".to_string(), "body".to_string()];
    let hashes: Vec<String> =
        [(&path[..1], ObjType::Map), (&path[..], ObjType::Text), (&path[..1], ObjType::List)]
            .map(|(path, kind)| super::containers::change(path, kind).hash().to_string())
            .into();
    let before = [
        "a79a3247d08749f3628a130962b38157f3f02ec757a21ab7c7713884401f4f61",
        "1e6deada740181117ec4c33fb5b084ed618d9a0c7f34b7591542b13530271653",
        "82598f6b214946a50c227fe5d4addfbad41c0f4939517fbd93a6fde008e7ad03",
    ];
    assert_eq!(hashes, before);
}

#[test]
fn all_that_automerge_can_do_is_there() {
    let mut a = Document::new(A);
    a.splice("body", 0, 0, "bold words").unwrap();
    a.edit(|tx| {
        let (_, text) = tx.get(ROOT, "body")?.expect("it was made");
        let mark = automerge::marks::Mark::new("bold".into(), true, 0, 4);
        Ok(tx.mark(&text, mark, automerge::marks::ExpandMark::None)?)
    })
    .unwrap();
    let document = loaded(&a);
    let (_, text) = document.doc().get(ROOT, "body").unwrap().unwrap();
    assert_eq!(document.doc().marks(&text).unwrap().len(), 1);
    let cursor = document.doc().get_cursor(&text, 5, None).unwrap();
    a.splice("body", 0, 0, "very ").unwrap();
    assert_eq!(loaded(&a).doc().get_cursor_position(&text, &cursor, None).unwrap(), 10);
    let failed: Result<(), DataError> = a.edit(|tx| {
        tx.put(ROOT, "k", 1)?;
        Err(DataError::NoItem)
    });
    assert!(failed.is_err() && super::value(loaded(&a).doc(), "k").unwrap().is_none());
    let before = a.version_vector().clone();
    a.edit(|_| Ok(())).unwrap();
    assert_eq!(*a.version_vector(), before, "what changes nothing writes nothing");
}
