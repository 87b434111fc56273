//! Two engines brought together by hand: no socket, no file, no clock. The whole contract of a host is `Host::run`.

use std::collections::VecDeque;

use rejoin::core::crdt::{OrSetView, PnCounterView};
use rejoin::core::engine::{Config, Engine, Input, Now, Output, Role, SessionId, WriteError};
use rejoin::core::identity::Ed25519;
use rejoin::core::store::MemoryStore;
use rejoin::core::{SpaceId, Value};

const LINK: SessionId = SessionId(1);
const NOW: Now = Now { mono_ms: 0, wall_ms: 1_700_000_000_000 };

struct Host {
    engine: Engine<MemoryStore>,
    inbox: VecDeque<Vec<u8>>,
}

impl Host {
    fn new(seed: u8) -> Self {
        let identity = Box::new(Ed25519::from_seed([seed; 32]));
        let config = Config::new(SpaceId([7; 32]));
        let engine =
            Engine::open(config, identity, MemoryStore::new(), [seed; 32]).expect("an empty store opens");
        Self { engine, inbox: VecDeque::new() }
    }

    /// One mutation, then every output carried out in order. Returns the frames for the other side.
    fn run(&mut self, input: Option<Input>) -> Vec<Vec<u8>> {
        if let Some(input) = input {
            self.engine.handle(NOW, input);
        }
        let mut frames = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist(commit) => {
                    let result = self.engine.store_mut().apply(&commit);
                    self.engine.handle(NOW, Input::Persisted { commit: commit.id, result });
                }
                Output::Send { frame, .. } => frames.push(frame),
                Output::Disconnect { reason, .. } => panic!("disconnected: {reason:?}"),
                Output::Publish { .. } | Output::Judged { .. } => {}
                Output::Event(event) => println!("{event:?}"),
            }
        }
        frames
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut ada, mut bo) = (Host::new(1), Host::new(2));
    let (tags, likes) = (OrSetView::at("tags")?, PnCounterView::at("likes")?);

    // Apart: each writes, and reads its own write at once.
    ada.engine.write(NOW, |tx| tags.insert(tx, "red").and_then(|()| likes.add(tx, 2)))?;
    bo.engine.write(NOW, |tx| -> Result<(), WriteError> { likes.add(tx, 3) })?;
    assert!(tags.contains(&ada.engine.reader(), "red")?);
    ada.run(None);
    bo.run(None);

    // Together: frames back and forth until both are silent.
    let connect = |role| Some(Input::Connected { session: LINK, role });
    ada.inbox.extend(bo.run(connect(Role::Responder)));
    bo.inbox.extend(ada.run(connect(Role::Initiator)));
    let mut bytes = 0;
    while !(ada.inbox.is_empty() && bo.inbox.is_empty()) {
        for (host, other) in [(0, 1), (1, 0)] {
            let hosts = [&mut ada, &mut bo];
            let Some(frame) = hosts[host].inbox.pop_front() else { continue };
            bytes += frame.len();
            let answers = hosts[host].run(Some(Input::Received { session: LINK, frame }));
            hosts[other].inbox.extend(answers);
        }
    }

    assert_eq!(ada.engine.root()?, bo.engine.root()?);
    assert_eq!(likes.value(&bo.engine.reader())?, 5);
    assert!(tags.contains(&bo.engine.reader(), Value::from("red"))?);
    println!("equal roots after {bytes} bytes");
    Ok(())
}
