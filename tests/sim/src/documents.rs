//! An app that writes a document: words into one text, and the whole document saved in place of its changes now and then.
//!
//! To the oracle these are rows. What a document promises on top is checked when all is quiet: everybody shows the same text,
//! and each word is in it whose writer's transaction is not lost, whoever saved the document meanwhile without having seen it.

use rejoin_core::crdt::DocumentView;
use rejoin_core::crdt::document::text;
use rejoin_core::engine::{ReadError, WriteError};
use rejoin_core::row::WriteRows;

use crate::counters::Sometimes;
use crate::draw::Draw;
use crate::oracle::{Violation, broken};
use crate::world::World;

const TEXT: &str = "body";

/// A word, and the transaction that wrote it.
#[derive(Debug)]
pub struct Word {
    author: usize,
    seq: u64,
    word: String,
}

fn view() -> DocumentView {
    DocumentView::at("views/x").expect("a path")
}

/// Writes a word somewhere into the text, before, behind or between others, or saves the document whole; the words that were written.
pub fn write<W: WriteRows<Error = WriteError>>(
    tx: &mut W,
    draw: &mut Draw,
) -> Result<Vec<String>, WriteError> {
    let mut loaded = view().load(tx)?;
    if draw.chance(300) {
        loaded.save(tx)?;
        return Ok(Vec::new());
    }
    let word = format!("<{:x}>", draw.below(1 << 40));
    let is = text(loaded.doc(), TEXT)?.unwrap_or_default();
    let begins = is.match_indices('<').map(|(at, _)| at).chain([is.len()]);
    let at = *draw.pick(&begins.collect::<Vec<usize>>()).expect("the end is one");
    loaded.splice(tx, TEXT, at, 0, &word)?;
    Ok(vec![word])
}

impl World {
    /// Remembers what a transaction has written.
    pub(crate) fn wrote_words(&mut self, author: usize, seq: u64, words: Vec<String>) {
        self.counters.add(Sometimes::WordWritten, words.len() as u64);
        self.words.extend(words.into_iter().map(|word| Word { author, seq, word }));
    }

    /// Dots of an author from one on are used again: what was written there is lost.
    pub(crate) fn lost_words(&mut self, author: usize, first: u64) {
        self.words.retain(|word| word.author != author || word.seq < first);
    }

    /// All is quiet and equal: everybody shows all words.
    pub(crate) fn check_words(&self) -> Result<(), Violation> {
        let mut shown: Option<String> = None;
        for machine in &self.machines {
            let read = |machine: &crate::machine::Machine| -> Result<String, ReadError> {
                let loaded = view().load(&machine.engine().reader())?;
                Ok(text(loaded.doc(), TEXT)?.unwrap_or_default())
            };
            let is = read(machine).or_else(|error| broken("store", format!("{error}")))?;
            let covers = |word: &&Word| machine.view.vector.seq(word.author) >= word.seq;
            let mut words = self.words.iter().filter(covers);
            if let Some(lost) = words.find(|word| !is.contains(&word.word)).filter(|_| self.oracle.exact) {
                return broken("document", format!("{lost:?} is not in {is:?}"));
            }
            if shown.get_or_insert_with(|| is.clone()) != &is {
                return broken("document", format!("{is:?} here, {shown:?} elsewhere"));
            }
        }
        Ok(())
    }
}
