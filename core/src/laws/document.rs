//! What the updates of a document mean. Automerge's own order of characters, and which of two values shows, are
//! Automerge's business; that nothing is lost or comes back is ours.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use automerge::{ROOT, ReadDoc};
use quickcheck::{Arbitrary, Gen};

use super::models::{key, one_in, tested};
use super::{Lawful, Record};
use crate::crdt::DocumentView;
use crate::crdt::document::text;
use crate::row::{Rows, WriteRows};
use crate::value::Value;

/// Where the text of the updates is, and the map that they put into.
const TEXT: &str = "notes/body";

/// An update of a [`DocumentView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentUpdate {
    /// Inserts a letter at the end of a text.
    Type(u8),
    /// Deletes every such letter that is seen.
    Erase(u8),
    /// Puts a number at a key.
    Put(u8, u32),
    /// Removes a key.
    Remove(u8),
    /// Saves the document in place of its changes.
    Save,
}

impl Arbitrary for DocumentUpdate {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 6 {
            0 | 1 => Self::Type(key(g)),
            2 => Self::Erase(key(g)),
            // Numbers that do not occur twice: Automerge writes nothing where the same is put again.
            3 => Self::Put(key(g), u32::from_be_bytes([0; 4].map(|_: u8| u8::arbitrary(g)))),
            4 if one_in(g, 2) => Self::Remove(key(g)),
            _ => Self::Save,
        }
    }
}

fn letter(number: u8) -> char {
    char::from(b'a' + number)
}

fn name(key: u8) -> String {
    alloc::format!("numbers/{}", letter(key))
}

/// The letters of the text, sorted: those that no erasing of their kind had seen. All numbers at each key: those that no
/// other write to the key had seen.
impl Lawful for DocumentView {
    type Update = DocumentUpdate;
    type Read = (Vec<char>, BTreeMap<u8, Vec<Value>>);

    fn update<W: WriteRows>(rows: &mut W, update: &DocumentUpdate) -> Result<(), W::Error> {
        let mut loaded = tested::<Self>().load(rows)?;
        match *update {
            DocumentUpdate::Type(c) => {
                let end = text(loaded.doc(), TEXT)?.map_or(0, |text| text.chars().count());
                loaded.splice(rows, TEXT, end, 0, letter(c).encode_utf8(&mut [0; 4]))
            }
            DocumentUpdate::Erase(c) => {
                let Some(text) = text(loaded.doc(), TEXT)? else { return Ok(()) };
                loaded.update_text(rows, TEXT, &text.replace(letter(c), ""))
            }
            DocumentUpdate::Put(key, number) => loaded.put(rows, &name(key), &Value::Int(number.into())),
            DocumentUpdate::Remove(key) => loaded.remove(rows, &name(key)),
            DocumentUpdate::Save => loaded.save(rows).map(drop),
        }
    }

    fn read(rows: &Rows) -> Self::Read {
        let loaded = tested::<Self>().load(rows).expect("rows in memory can be read");
        let doc = loaded.doc();
        let mut letters: Vec<char> =
            text(doc, TEXT).expect("it is a path").unwrap_or_default().chars().collect();
        letters.sort_unstable();
        let mut numbers = BTreeMap::new();
        if let Ok(Some((_, map))) = doc.get(ROOT, "numbers") {
            for name in doc.keys(&map) {
                let key = name.bytes().next().expect("keys are letters") - b'a';
                let all = doc.get_all(&map, &*name).expect("the key is there");
                let values = all.into_iter().filter_map(|(value, _)| value.as_i64().map(Value::Int));
                let mut values: Vec<Value> = values.collect();
                values.sort();
                numbers.insert(key, values);
            }
        }
        (letters, numbers)
    }

    fn expected(record: &Record<'_, DocumentUpdate>) -> Self::Read {
        let (mut letters, mut numbers) = (Vec::new(), BTreeMap::<u8, Vec<Value>>::new());
        for write in record.iter() {
            let is_over = |update: &DocumentUpdate| match (&write.update, update) {
                (DocumentUpdate::Type(c), DocumentUpdate::Erase(erased)) => c == erased,
                (
                    DocumentUpdate::Put(key, _),
                    DocumentUpdate::Put(other, _) | DocumentUpdate::Remove(other),
                ) => key == other,
                _ => false,
            };
            match write.update {
                _ if record.is_seen_by(write, is_over) => {}
                DocumentUpdate::Type(c) => letters.push(letter(c)),
                DocumentUpdate::Put(key, number) => {
                    numbers.entry(key).or_default().push(Value::Int(number.into()))
                }
                _ => {}
            }
        }
        letters.sort_unstable();
        numbers.values_mut().for_each(|values| values.sort());
        (letters, numbers)
    }
}
