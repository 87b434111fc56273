//! Many objects in one space: a document store, where each document is a map of its own.

use std::collections::BTreeMap;

use rejoin_benches::host::Host;
use rejoin_benches::measure::{Measures, cpu};
use rejoin_benches::program::Task;
use rejoin_core::Value;
use rejoin_core::crdt::LwwMapView;
use rejoin_core::engine::Push;

fn object(index: usize) -> LwwMapView {
    LwwMapView::at(&format!("notes/{index:06}")).expect("the path is sound")
}

/// Writes one field of some objects.
fn write(host: &mut Host, objects: impl Iterator<Item = usize>, text: &str) {
    for index in objects {
        host.write(1, |tx| object(index).put(tx, "title", Value::from(format!("{text} {index}").as_str())));
    }
}

/// Two replicas hold so many objects, change some each, every change a commit of its own, and sync.
pub(crate) fn sync(task: &Task) -> Measures {
    let (mut left, mut right) = (Host::new(1, Push::Off), Host::new(2, Push::Off));
    write(&mut left, 0..task.rows, "first");
    left.settle();
    left.sync(&mut right);
    let step = task.rows / task.changed.max(1);
    let mut wanted = BTreeMap::new();
    for (host, offset, text) in [(&mut left, 0, "left"), (&mut right, 1, "right")] {
        for index in (0..task.changed).map(|index| index * step + offset) {
            write(host, std::iter::once(index), text);
            host.commit();
            wanted.insert(index, format!("{text} {index}"));
        }
    }
    let (traffic, seconds) = cpu(|| left.sync(&mut right));
    for host in [&left, &right] {
        for (index, text) in &wanted {
            let title = object(*index).get(&host.engine.reader(), "title").expect("memory can be read");
            assert_eq!(title, Some(Value::from(text.as_str())), "a change is missing");
        }
    }
    Measures::default()
        .with("bytes", traffic.bytes as f64)
        .with("messages", traffic.messages as f64)
        .with("cpu ms", seconds * 1e3)
}
