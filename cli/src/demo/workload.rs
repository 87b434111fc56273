//! What a side does: seeded random edits, drawn so that the sides of a cut get in each other's way.

use serde_json::{Map, Value, json};

use super::data::Airport;

pub(super) const AIRPORTS: &str = "airports";
pub(super) const VISITED: &str = "visited";
pub(super) const COUNTERS: [&str; 2] = ["edits", "passengers"];
/// Airports that most edits go to, so that both sides of a cut edit the same ones.
const HOT: u64 = 600;
/// Elements of the set.
const PLACES: u64 = 240;
/// Removed airports that a hand remembers, to put some back.
const REMEMBERED: usize = 24;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): ten lines, and the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly from `0..bound`, near enough for a demo.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// The rows of one hand in one phase: those whose number leaves this rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) rest: u64,
    pub(super) of: u64,
}

impl Share {
    /// Moves a number to one of this share below `bound`.
    fn within(self, number: u64, bound: u64) -> u64 {
        let parts = (bound / self.of).max(1);
        (number % parts * self.of + self.rest).min(bound - 1)
    }
}

/// One of the hands of a side; it sends one unit after the other.
pub(super) struct Hand<'a> {
    name: String,
    random: Random,
    airports: &'a [Airport],
    share: Share,
    removed: Vec<usize>,
    count: u64,
}

impl<'a> Hand<'a> {
    /// `name` marks what it writes; no two hands of a run have the same.
    pub(super) fn new(name: String, seed: u64, airports: &'a [Airport], share: Share) -> Self {
        Self { name, random: Random::new(seed), airports, share, removed: Vec::new(), count: 0 }
    }

    /// The next unit: mostly one edit, sometimes several that belong together.
    pub(super) fn unit(&mut self) -> Vec<Value> {
        self.count += 1;
        let edits = if self.random.below(12) == 0 { 3 + self.random.below(4) } else { 1 };
        (0..edits).map(|_| self.edit()).collect()
    }

    fn edit(&mut self) -> Value {
        match self.random.below(100) {
            0..42 => self.put(),
            42..64 => self.remove(),
            64..76 => self.put_back(),
            76..86 => {
                let counter = COUNTERS[usize::from(self.random.below(2) == 0)];
                let n = i64::try_from(self.random.below(20)).unwrap_or_default() - 5;
                json!({ "counter": counter, "add": n })
            }
            86..94 => json!({ "set": VISITED, "add": self.place() }),
            _ => json!({ "set": VISITED, "rm": self.place() }),
        }
    }

    fn put(&mut self) -> Value {
        let index = self.airport();
        self.put_at(index)
    }

    /// The airport with a mark that no other put has: a value that comes back is told from the one that replaced it.
    fn put_at(&mut self, index: usize) -> Value {
        let Airport { key, value } = &self.airports[index];
        let mut value: Map<String, Value> = value.clone();
        let mark = format!("{}-{}-{}", self.name, self.count, self.random.below(1 << 20));
        value.insert("checked".to_owned(), mark.into());
        json!({ "map": AIRPORTS, "put": key, "value": value })
    }

    fn remove(&mut self) -> Value {
        let index = self.airport();
        if self.removed.len() == REMEMBERED {
            self.removed.remove(0);
        }
        self.removed.push(index);
        json!({ "map": AIRPORTS, "rm": self.airports[index].key })
    }

    fn put_back(&mut self) -> Value {
        match self.removed.len() {
            0 => self.put(),
            count => {
                let which = self.random.below(count as u64);
                let index = self.removed.swap_remove(usize::try_from(which).unwrap_or_default());
                self.put_at(index)
            }
        }
    }

    fn airport(&mut self) -> usize {
        let all = self.airports.len() as u64;
        let number = self.random.next() >> 1;
        let bound = if self.random.below(10) < 7 { HOT.min(all) } else { all };
        usize::try_from(self.share.within(number, bound)).unwrap_or_default()
    }

    fn place(&mut self) -> String {
        let number = self.random.next() >> 1;
        format!("place-{}", self.share.within(number, PLACES))
    }
}

/// The words of one edit as a command of its own.
pub(super) fn command(space: &str, edit: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut words: Vec<String> = Vec::new();
    for (kind, verb) in [("map", "put"), ("map", "rm"), ("counter", "add"), ("set", "add"), ("set", "rm")] {
        if let (Some(path), false) = (edit[kind].as_str(), edit[verb].is_null()) {
            words = vec![kind.to_owned(), verb.to_owned(), format!("{space}/{path}"), text(&edit[verb])];
        }
    }
    words.extend(edit.get("value").map(Value::to_string));
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rows(edits: &[Value]) -> BTreeSet<String> {
        let row = |edit: &Value| match edit["map"].is_null() {
            true => format!("{}{}", edit["set"], edit.get("add").unwrap_or(&edit["rm"])),
            false => format!("{}{}", edit["map"], edit.get("put").unwrap_or(&edit["rm"])),
        };
        edits.iter().filter(|edit| edit["counter"].is_null()).map(row).collect()
    }

    fn edits(seed: u64, share: Share) -> Vec<Value> {
        let airports = super::super::data::airports(4000).unwrap();
        let mut hand = Hand::new("x".to_owned(), seed, &airports, share);
        (0..2000).flat_map(|_| hand.unit()).collect()
    }

    #[test]
    fn the_same_seed_does_the_same() {
        let share = Share { rest: 1, of: 3 };
        assert_eq!(edits(7, share), edits(7, share));
        assert_ne!(edits(7, share), edits(8, share));
    }

    #[test]
    fn shares_are_apart_and_sides_of_a_cut_meet() {
        let [even, odd] = [0, 1].map(|rest| rows(&edits(3, Share { rest, of: 2 })));
        let all = rows(&edits(4, Share { rest: 0, of: 1 }));
        assert!(even.is_disjoint(&odd));
        let both = even.intersection(&all).count();
        assert!(both > 150, "only {both} rows in common");
    }

    #[test]
    fn no_two_puts_are_alike() {
        let puts: Vec<Value> =
            edits(5, Share { rest: 0, of: 1 }).into_iter().filter(|edit| edit["put"].is_string()).collect();
        let marks: BTreeSet<String> = puts.iter().map(|put| put["value"]["checked"].to_string()).collect();
        assert_eq!(marks.len(), puts.len());
    }

    #[test]
    fn an_edit_becomes_words() {
        let put = json!({ "map": "m", "put": "k", "value": { "a": 1 } });
        assert_eq!(command("s", &put), ["map", "put", "s/m", "k", r#"{"a":1}"#]);
        assert_eq!(command("s", &json!({ "counter": "c", "add": -3 })), ["counter", "add", "s/c", "-3"]);
        assert_eq!(command("s", &json!({ "set": "t", "rm": "e" })), ["set", "rm", "s/t", "e"]);
    }
}
