//! What arrives by gossip is judged at once, and its signature is looked at once, however long it has to wait.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::id::{DeviceKey, Signature};

/// Counts what it verifies.
struct Counting(Ed25519, Arc<AtomicUsize>);

impl Identity for Counting {
    fn device(&self) -> DeviceKey {
        self.0.device()
    }

    fn sign(&self, message: &[u8; 32]) -> Signature {
        self.0.sign(message)
    }

    fn verify(&self, key: &DeviceKey, message: &[u8; 32], signature: &Signature) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.verify(key, message, signature)
    }
}

fn gossiping(identity: Box<dyn Identity>, seed: u8) -> Engine<MemoryStore> {
    let config = Config { push: Push::Gossip, ..Config::new(SpaceId([7; 32])) };
    Engine::open(config, identity, MemoryStore::new(), [seed; 32]).unwrap()
}

/// Makes everything durable; what was published meanwhile, and how gossip was judged.
fn drain(engine: &mut Engine<MemoryStore>) -> (Vec<Vec<u8>>, Vec<Verdict>) {
    let (mut published, mut verdicts) = (Vec::new(), Vec::new());
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Persist(commit) => {
                let result = engine.store_mut().apply(&commit);
                engine.handle(NOW, Input::Persisted { commit: commit.id, result });
            }
            Output::Publish { frame } => published.push(frame),
            Output::Judged { verdict, .. } => verdicts.push(verdict),
            _ => {}
        }
    }
    (published, verdicts)
}

#[test]
fn a_delta_that_waits_is_verified_once() {
    let writer = gossiping(Box::new(Ed25519::from_seed([1; 32])), 1);
    let mut pair = Pair::new([writer, engine(2, 2, 1 << 20, MemoryStore::new())]);
    pair.meet(1, |_, _| {});
    let mut frames = Vec::new();
    for (row, value) in [(1, "first"), (2, "second")] {
        write(&mut pair.engines[0], row, value);
        frames.extend(drain(&mut pair.engines[0]).0);
    }
    let [first, second] = <[Vec<u8>; 2]>::try_from(frames).unwrap();
    let verified = Arc::new(AtomicUsize::new(0));
    let mut reader = gossiping(Box::new(Counting(Ed25519::from_seed([3; 32]), verified.clone())), 3);
    let mut hear = |frame: Vec<u8>| {
        reader.handle(NOW, Input::Gossiped { id: GossipId(1), frame });
        let (_, verdicts) = drain(&mut reader);
        (verdicts, values(&reader, 1).len() + values(&reader, 2).len(), verified.load(Ordering::Relaxed))
    };
    for at in 0..second.len() {
        let mut damaged = second.clone();
        damaged[at] ^= 1;
        let (verdicts, rows, _) = hear(damaged);
        assert_eq!((verdicts, rows), ([Verdict::Reject].into(), 0), "byte {at}");
    }
    let before = hear(second).2;
    let (verdicts, rows, after) = hear(first);
    assert_eq!((verdicts, rows, after - before), ([Verdict::Relay].into(), 2, 1));
}
