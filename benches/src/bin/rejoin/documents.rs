//! Documents: a text in one, and many in one space.

use rejoin_benches::host::Host;
use rejoin_benches::measure::{Measures, cpu, heap};
use rejoin_benches::peer::TextReplica;
use rejoin_benches::program::Task;
use rejoin_benches::rows::rows;
use rejoin_benches::trace::Edit;
use rejoin_core::Value;
use rejoin_core::crdt::DocumentView;
use rejoin_core::crdt::document::automerge::ObjType;
use rejoin_core::crdt::document::automerge::transaction::Transactable;
use rejoin_core::crdt::document::{Loaded, text, value};
use rejoin_core::engine::{Push, WriteError};
use rejoin_core::row::{DataError, ReadRows};

use crate::replica::to_value;

const READS: &str = "a store in memory can be read";
const BODY: &str = "body";

/// A text in a document of a space, kept in memory by whoever writes it.
pub(crate) struct Text {
    host: Host,
    loaded: Loaded,
}

impl Text {
    fn over(host: Host) -> Self {
        let mut loaded = Loaded::new(document("note"));
        loaded.refresh(&host.engine.reader()).expect(READS);
        Self { host, loaded }
    }
}

impl TextReplica for Text {
    fn new(id: u64) -> Self {
        Self::over(Host::new(id, Push::Off))
    }

    fn edit(&mut self, edits: &[Edit], letters: &str) {
        let loaded = &mut self.loaded;
        self.host.write(1, |tx| {
            loaded.edit_at(tx, BODY, ObjType::Text, |tx, text| {
                let mut rest = letters;
                edits.iter().try_for_each(|edit| {
                    let (insert, left) = rest.split_at(edit.insert);
                    rest = left;
                    let delete = isize::try_from(edit.delete).expect("a part of a paper");
                    tx.splice_text(text, edit.at, delete, insert)
                        .map_err(DataError::from)
                        .map_err(WriteError::from)
                })
            })
        });
        let state = self.host.engine.reader().state().expect("an engine numbers its states");
        self.loaded.written(self.loaded.edits(), state);
    }

    fn settle(&mut self) {
        self.host.settle();
    }

    fn length(&mut self) -> usize {
        text(self.loaded.doc(), BODY).expect("a path").map_or(0, |text| text.len())
    }

    fn save(&mut self) -> Vec<u8> {
        self.host.image()
    }

    fn load(bytes: &[u8]) -> Self {
        Self::over(Host::from_image(bytes, 2, Push::Off))
    }
}

fn document(path: &str) -> DocumentView {
    DocumentView::at(path).expect("the path is sound")
}

fn put(host: &mut Host, index: usize, title: &Value) {
    let mut loaded = Loaded::new(document(&format!("notes/{index:06}")));
    host.write(1, |tx| loaded.put(tx, "title", title));
}

/// W6 in one space: nobody has a document loaded that it does not write.
pub(crate) fn many(task: &Task) -> Measures {
    let titles: Vec<Value> = rows(3, task.values).iter().map(|row| to_value(&row.value)).collect();
    let before = heap();
    let mut left = Host::new(1, Push::Off);
    (0..task.rows).for_each(|index| put(&mut left, index, &titles[0]));
    left.settle();
    let held = heap() - before;
    let mut right = Host::new(2, Push::Off);
    left.sync(&mut right);
    let step = task.rows / task.changed.max(1);
    let mut wanted = Vec::new();
    for (host, offset) in [(&mut left, 0), (&mut right, 1)] {
        for index in (0..task.changed).map(|index| index * step + offset) {
            put(host, index, &titles[1 + offset]);
            host.commit();
            wanted.push((index, titles[1 + offset].clone()));
        }
    }
    let (traffic, seconds) = cpu(|| left.sync(&mut right));
    for host in [&left, &right] {
        for (index, title) in &wanted {
            let loaded = document(&format!("notes/{index:06}")).load(&host.engine.reader()).expect(READS);
            assert_eq!(
                value(loaded.doc(), "title").expect("a path").as_ref(),
                Some(title),
                "a change is missing"
            );
        }
    }
    Measures::default()
        .with("bytes", traffic.bytes as f64)
        .with("messages", traffic.messages as f64)
        .with("cpu ms", seconds * 1e3)
        .with("heap", held / task.rows as f64)
}
