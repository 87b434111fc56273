//! Every target over its seeds, over seeds with bytes changed, and over what once broke it.

use std::panic::catch_unwind;

use crate::{TARGETS, seeds};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("a byte")
    }

    /// One to four changes: bytes replaced, removed, added, or a stretch of another seed.
    fn change(&mut self, input: &mut Vec<u8>, others: &[Vec<u8>]) {
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            match self.below(4) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => drop(input.remove(at)),
                2 => input.insert(at, self.byte()),
                _ => {
                    let other = &others[self.below(others.len())];
                    let from = self.below(other.len() + 1);
                    let to = from + self.below(other.len() - from + 1);
                    input.splice(at..at, other[from..to].iter().copied());
                }
            }
        }
    }
}

const INPUTS: usize = 300;

#[test]
fn every_target_survives_its_seeds_changed() {
    for (name, target) in TARGETS {
        let seeds = seeds::of(name);
        let mut random = Random(1);
        let changed = (0..INPUTS).map(|_| {
            let mut input = seeds[random.below(seeds.len())].clone();
            random.change(&mut input, &seeds);
            input
        });
        for input in seeds.iter().cloned().chain(changed.collect::<Vec<_>>()) {
            let run = catch_unwind(|| target(&input));
            assert!(run.is_ok(), "{name} breaks on {input:?}");
        }
    }
}

#[test]
fn seeds_reach_what_they_are_for() {
    let changed = |mode| {
        let mut victim = crate::frames::victim(mode);
        let before = victim.engine.version_vector();
        let mut peer = crate::frames::peer(mode);
        crate::frames::carry(&mut victim, &mut peer, rejoin::core::engine::SessionId(1), &mut |_, _| {});
        victim.engine.version_vector() != before
    };
    assert!((0..32).all(changed), "the session that is recorded brings something");
    assert!(!crate::stores::image().eq(&rejoin::core::store::MemoryStore::new()));
}

/// What fuzzers found, in the bytes that they found it with.
#[test]
fn what_broke_a_target_once_does_not_again() {
    // Automerge takes this change, and what it saves with it cannot be loaded: it must not replace the changes.
    crate::documents(&[
        0, 0, 16, 25, 136, 147, 46, 250, 148, 12, 8, 102, 112, 107, 237, 138, 215, 184, 50, 1, 1, 0, 0, 0, 5,
        21, 6, 52, 1, 66, 2, 86, 2, 112, 2, 125, 4, 98, 111, 100, 121, 1, 127, 4, 127, 0, 127, 0,
    ]);
    // Automerge panics at this one.
    crate::documents(&[
        0, 0, 16, 182, 25, 136, 147, 46, 250, 148, 12, 8, 102, 112, 107, 237, 138, 215, 184, 50, 1, 1, 0, 0,
        0, 5, 21, 6, 52, 1, 66, 2, 86, 2, 112, 2, 127, 4, 98, 111, 100, 121, 1, 127, 4, 127, 0, 127, 0,
    ]);
    // A delta that is known already: it changes nothing, which the target took for a loss.
    let mut known = crate::deltas::base().1[0].clone();
    known.first_seq = 1;
    known.deps = rejoin::core::row::Deps::Dots(Default::default());
    known.kills = Default::default();
    crate::deltas(&known.encode());
    // The store's own id has a bit flipped, and its format is gone: it opens, and writes under an id that is not its own.
    crate::stores(b"s%aegW\x00eW\x00");
}

/// The wrappers are compiled by a nightly compiler only; this much of them can be seen without.
#[test]
fn every_target_has_its_wrapper() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).expect("it is there");
    let manifest = read("Cargo.toml");
    for (name, _) in TARGETS {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name} in fuzz/Cargo.toml"
        );
        let wrapper = read(&format!("fuzz_targets/{name}.rs"));
        assert!(wrapper.contains(&format!("rejoin_fuzz::{name}(data)")), "{name} calls another function");
    }
    let wrappers = std::fs::read_dir(folder.join("fuzz_targets")).expect("it is there").count();
    assert_eq!(wrappers, TARGETS.len());
}
