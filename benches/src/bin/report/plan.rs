//! What is measured: the workloads with their sizes, who takes part, and the goals.
//!
//! To add a peer: a program in `src/bin/`, its name in [`MAPS`]. To add a workload: a function in the library's
//! `workload`, a section here.

use crate::Amount;
use crate::goal::Better::{self, Less, More};
use crate::goal::Goal::{self, Figure, Steady, Times};

/// A workload.
pub(crate) struct Section {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// What is done, and what is special about some contender here.
    pub(crate) about: &'static str,
    pub(crate) cases: Vec<Case>,
}

/// A workload in one size.
pub(crate) struct Case {
    pub(crate) label: &'static str,
    setting: Setting,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) metrics: Vec<Metric>,
}

/// The numbers of a case.
#[derive(Clone, Copy)]
struct Setting {
    workload: &'static str,
    rows: usize,
    batch: usize,
    changed: usize,
    writes: usize,
    replicas: usize,
    values: &'static str,
}

/// Who takes part, and with which program.
#[derive(Clone)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) program: String,
    /// Behind the name of the workload, for programs that know several forms of one.
    form: &'static str,
    log: bool,
}

/// A figure of a case.
pub(crate) struct Metric {
    /// As the programs print it.
    pub(crate) name: &'static str,
    /// As people read it.
    pub(crate) label: &'static str,
    pub(crate) better: Better,
    pub(crate) goal: Goal,
    /// Whose figure is held against the goal.
    pub(crate) who: &'static str,
    /// Why the goal is missed, while it is.
    pub(crate) why: &'static str,
}

const BASE: Setting =
    Setting { workload: "W1", rows: 100_000, batch: 100, changed: 0, writes: 0, replicas: 1, values: "hex" };

/// Peers with a map.
const MAPS: [&str; 5] = ["automerge", "yrs", "loro", "crdts", "iroh-docs"];
const OURS: &str = "rejoin";
const ALONE: &str = "rejoin value";
const NO_LOG: &str = "rejoin, no log";
const FILE: &str = "rejoin file";
const MEMORY: &str = "rejoin in memory";

impl Case {
    /// Names it among all.
    pub(crate) fn key(&self) -> String {
        self.key_of(self.label)
    }

    /// Names another case of the same workload.
    pub(crate) fn key_of(&self, label: &str) -> String {
        format!("{} {label}", self.setting.workload)
    }

    /// The command line of a contender.
    pub(crate) fn words(&self, contender: &Contender, amount: Amount) -> Vec<String> {
        let Setting { workload, rows, batch, changed, writes, replicas, values } = self.setting;
        let tenth =
            |number: usize| if amount == Amount::Quick && number > 1000 { number / 10 } else { number };
        vec![
            format!("{workload}{}", contender.form),
            format!("rows={}", tenth(rows)),
            format!("batch={batch}"),
            format!("changed={changed}"),
            format!("writes={}", tenth(writes)),
            format!("replicas={replicas}"),
            format!("values={values}"),
            format!("log={}", u8::from(contender.log)),
        ]
    }
}

fn contender(name: &'static str) -> Contender {
    let program = format!("bench-{name}");
    let (program, form, log) = match name {
        OURS => (program, "", true),
        ALONE => ("bench-rejoin".into(), "-alone", true),
        NO_LOG => ("bench-rejoin".into(), "", false),
        FILE => ("bench-node".into(), "-file", true),
        _ => (program, "", true),
    };
    Contender { name, program, form, log }
}

fn node(name: &'static str, form: &'static str) -> Contender {
    Contender { name, program: "bench-node".into(), form, log: true }
}

fn with(ours: &[&'static str], peers: &[&'static str]) -> Vec<Contender> {
    ours.iter().chain(peers).map(|name| contender(name)).collect()
}

fn metric(name: &'static str, label: &'static str, better: Better, goal: Goal) -> Metric {
    Metric { name, label, better, goal, who: OURS, why: "" }
}

impl Metric {
    fn of(self, who: &'static str) -> Self {
        Self { who, ..self }
    }

    fn why(self, why: &'static str) -> Self {
        Self { why, ..self }
    }
}

/// All of them, in the order of the goals.
pub(crate) fn sections() -> Vec<Section> {
    vec![
        writes(),
        scaling(),
        set(),
        counter(),
        merge(),
        few_writers(),
        many_writers(),
        documents(),
        many_objects(),
        reconcile(),
        bulk(),
        keep(),
        overwrite(),
        text(),
        durable(),
        live(),
    ]
}

fn writes() -> Section {
    let case = |label, batch, times, why| Case {
        label,
        setting: Setting { batch, ..BASE },
        contenders: with(&[OURS, ALONE], &MAPS),
        metrics: vec![metric("rows/s", "rows/s", More, Times(times, "yrs")).why(why)],
    };
    Section {
        id: "W1",
        title: "Writing rows",
        about: "100,000 rows into an empty map. rejoin commits once for every 1,000 rows, signs each commit, and has its \
                root computed at the end; the peers sign nothing, and only automerge and iroh-docs hash.",
        cases: vec![
            case("one row a transaction", 1, 1.5, WRITES_WHY),
            case("100 rows a transaction", 100, 1.0, WRITES_WHY),
        ],
    }
}

fn scaling() -> Section {
    let case = |label, rows, goal, peers: &[&'static str]| Case {
        label,
        setting: Setting { workload: "W1", rows, ..BASE },
        contenders: with(&[OURS, ALONE], peers),
        metrics: vec![metric("rows/s", "rows/s", More, goal)],
    };
    Section {
        id: "W1n",
        title: "Writing rows, by size",
        about: "The same in transactions of 100 rows, for maps of all sizes.",
        cases: vec![
            case("1k rows", 1000, Goal::None, &MAPS),
            case("10k rows", 10_000, Goal::None, &MAPS),
            case("100k rows", 100_000, Goal::None, &MAPS),
            case("1M rows", 1_000_000, Steady(2.5, "1k rows"), &MAPS[..4]),
        ],
    }
}

fn set() -> Section {
    Section {
        id: "W2",
        title: "A set",
        about: "100,000 elements of 16 characters added one by one, then removed one by one. `left` is what a removed \
                element still costs in a saved state. What rejoin saves is an image, as a backup holds it.",
        cases: vec![Case {
            label: "100k elements",
            setting: Setting { workload: "W2", ..BASE },
            contenders: with(&[OURS, NO_LOG, ALONE], &MAPS[..4]),
            metrics: vec![
                metric("adds/s", "adds/s", More, Times(1.0, "crdts")).why(WRITES_WHY),
                metric("removes/s", "removes/s", More, Goal::None),
                metric("heap", "heap B per element", Less, Figure(96.0)).of(NO_LOG).why(HEAP_WHY),
                metric("saved", "saved B per element", Less, Figure(27.0)).why(SAVED_WHY),
                metric("left", "left B per removed", Less, Figure(0.01)),
            ],
        }],
    }
}

fn counter() -> Section {
    Section {
        id: "W3",
        title: "A counter",
        about: "16 replicas count up 10,000 times each, an increment a transaction; then one takes in what the others \
                counted. yrs has no counter: there it is a map from each writer to its total.",
        cases: vec![Case {
            label: "16 replicas",
            setting: Setting { workload: "W3", writes: 160_000, replicas: 16, ..BASE },
            contenders: with(&[OURS, ALONE], &MAPS[..4]),
            metrics: vec![
                metric("increments/s", "increments/s", More, Times(5.0, "yrs")).why(
                    "each increment reads and rewrites its row in memory; group commit saves the disk and the \
                     signature, not that",
                ),
                metric("merge ms", "merge ms", Less, Figure(0.05))
                    .why("each of the 150 commits that were published is verified, at some 50 us, and is a commit here"),
                metric("merge ms", "merge ms", Less, Figure(0.05)).of(ALONE).why("a merge copies what it compares"),
                metric("saved", "saved B per row", Less, Figure(40.0)).of(ALONE).why(
                    "a value that stands alone is saved as rows, each with its replica id in the key and in the dot, its path, \
                     time and hash",
                ),
            ],
        }],
    }
}

fn merge() -> Section {
    Section {
        id: "W4",
        title: "Merging two replicas",
        about: "Two replicas have written 50,000 rows each and become one, both of them. rejoin does it by its sync \
                protocol, with signatures checked and equal roots at the end.",
        cases: vec![Case {
            label: "100k rows",
            setting: Setting { workload: "W4", ..BASE },
            contenders: with(&[OURS, ALONE], &MAPS),
            metrics: vec![metric("rows/s", "rows/s", More, Times(2.0, "yrs")).why(WRITES_WHY)],
        }],
    }
}

const BUT_CRDTS: [&str; 5] = ["automerge", "yrs", "loro", "iroh-docs", "negentropy"];
const SYNCED: [&str; 6] = ["automerge", "yrs", "loro", "crdts", "iroh-docs", "negentropy"];

fn few_writers() -> Section {
    let case = |label, rows, changed, values, peers: &[&'static str], times| {
        let bytes = match changed {
            0 => Figure(160.0),
            _ => Times(times, "yrs"),
        };
        let cpu = match (changed, rows) {
            (10, 100_000) if values == "hex" => Times(0.1, "yrs"),
            (1000, _) => Times(0.1, "yrs"),
            _ => Goal::None,
        };
        Case {
            label,
            setting: Setting { workload: "W5", rows, changed, values, ..BASE },
            contenders: with(&[OURS], peers),
            metrics: vec![
                metric("bytes", "bytes", Less, bytes).why(
                    "two hellos, two proofs, two signatures and the key of a new writer are half of a small session",
                ),
                metric("messages", "messages", Less, Goal::None),
                metric("half trips", "half trips", Less, Goal::None),
                metric("data trips", "round trips until the last data", Less, Figure(1.0)),
                metric("cpu ms", "CPU ms", Less, cpu).why(ROOT_WHY),
            ],
        }
    };
    Section {
        id: "W5",
        title: "Sync between few writers",
        about: "Two replicas hold the same rows, change some of them each (every change a transaction and a commit of its \
                own), and sync. Bytes and messages count both directions; two half trips are a round trip. rejoin's \
                initiator speaks first, its bytes are signed, and after the data both prove that they are equal; yrs and \
                loro are let speak at once. negentropy only finds what differs: the rows are added at 56 bytes. iroh-docs' values are added at 32 bytes.",
        cases: vec![
            case("nothing changed", 100_000, 0, "hex", &SYNCED, 1.0),
            case("10 changed of 10k", 10_000, 10, "hex", &SYNCED, 1.0),
            case("10 changed", 100_000, 10, "hex", &SYNCED, 1.0),
            case("10 changed, random bytes", 100_000, 10, "random", &BUT_CRDTS, 1.25),
            case("100 changed", 100_000, 100, "hex", &SYNCED, 1.0),
            case("1000 changed", 100_000, 1000, "hex", &SYNCED, 1.0),
            case("1000 changed, random bytes", 100_000, 1000, "random", &BUT_CRDTS, 1.25),
        ],
    }
}

fn many_writers() -> Section {
    Section {
        id: "W11",
        title: "Sync between replicas that many have written",
        about: "10,000 rows written by 1,000 replicas, held by two; each changes one row, and they sync.",
        cases: vec![Case {
            label: "1 changed",
            setting: Setting { workload: "W11", rows: 10_000, changed: 1, replicas: 1000, ..BASE },
            contenders: with(&[OURS], &SYNCED),
            metrics: vec![
                metric("bytes", "bytes", Less, Figure(600.0))
                    .why("two signatures, the keys of two new writers and their hellos are most of it"),
                metric("messages", "messages", Less, Goal::None),
                metric("half trips", "half trips", Less, Goal::None),
                metric("cpu ms", "CPU ms", Less, Goal::None),
            ],
        }],
    }
}

fn documents() -> Section {
    Section {
        id: "W6",
        title: "Many documents",
        about: "10,000 documents with a title, held on both sides; each side changes 10 of them, every change a commit of its own, \
                and they sync. rejoin has them in one space, as Automerge documents that are not loaded; the peers have a \
                replica for each, and a session for each.",
        cases: vec![Case {
            label: "10 changed of 10k",
            setting: Setting { workload: "W6", rows: 10_000, changed: 10, ..BASE },
            contenders: with(&[OURS], &["automerge", "yrs", "loro"]),
            metrics: vec![
                metric("bytes", "bytes", Less, Figure(2000.0)),
                metric("messages", "messages", Less, Figure(6.0)),
                metric("cpu ms", "CPU ms", Less, Figure(1.0)),
                metric("heap", "heap B per document", Less, Figure(2000.0)),
            ],
        }],
    }
}

fn text() -> Section {
    let case = |label, batch, goal| Case {
        label,
        setting: Setting { workload: "W9", batch, ..BASE },
        contenders: with(&[OURS], &["automerge", "yrs", "loro"]),
        metrics: vec![
            metric("ms", "ms", Less, goal),
            metric("saved", "saved B", Less, Goal::None),
            metric("load ms", "load ms", Less, Goal::None),
            metric("heap", "heap B", Less, Goal::None),
        ],
    };
    Section {
        id: "W9",
        title: "Writing a text",
        about: "The 259,778 edits by which a paper was written, by place and length, with other letters. rejoin writes them into \
                an Automerge document, puts each change into a row, signs and hashes; what it saves is an image, and \
                loading it checks it and loads the document.",
        cases: vec![
            case("an edit a transaction", 1, Goal::None),
            case("100 edits a transaction", 100, Times(1.0, "automerge")),
        ],
    }
}

fn many_objects() -> Section {
    Section {
        id: "objects",
        title: "Sync of many objects in one space",
        about: "100,000 maps in one space, held by two replicas; each changes 10 of them, every change a commit of its own, and \
                they sync.",
        cases: vec![Case {
            label: "10 changed",
            setting: Setting { workload: "objects", changed: 10, ..BASE },
            contenders: with(&[OURS], &[]),
            metrics: vec![
                metric("bytes", "bytes", Less, Goal::None),
                metric("messages", "messages", Less, Goal::None),
                metric("cpu ms", "CPU ms", Less, Goal::None),
            ],
        }],
    }
}

fn reconcile() -> Section {
    let case = |label, workload, rows, changed| Case {
        label,
        setting: Setting { workload, rows, changed, ..BASE },
        contenders: with(&[NO_LOG], if workload == "old-puts" { &["negentropy"] } else { &[] }),
        metrics: vec![
            metric("bytes", "bytes", Less, Goal::None),
            metric("limit", "bytes that name the rows, at least", Less, Goal::None),
            metric("data trips", "round trips until the last data", Less, Goal::None),
            metric("cpu ms", "CPU ms", Less, Goal::None),
        ],
    };
    Section {
        id: "old",
        title: "Reconciling old changes",
        about: "Two replicas held the same rows; one has changed some since, in transactions of up to 1,000 rows, and no log \
                reaches back: the trees are compared. Bytes are those of the whole session, hellos, heads, a signature and \
                the proof included. The limit is log2 C(N, d) / 8: the bytes that say which d of N rows differ, and nothing \
                else; new values of 32 characters come on top. negentropy starts with equal hashes of ranges of keys.",
        cases: vec![
            case("nothing of 10k", "old-removals", 10_000, 0),
            case("1 removed of 10k", "old-removals", 10_000, 1),
            case("10 removed of 10k", "old-removals", 10_000, 10),
            case("1000 removed of 10k", "old-removals", 10_000, 1000),
            case("nothing of 100k", "old-removals", 100_000, 0),
            case("1 removed of 100k", "old-removals", 100_000, 1),
            case("10 removed of 100k", "old-removals", 100_000, 10),
            case("1000 removed of 100k", "old-removals", 100_000, 1000),
            case("nothing of 1M", "old-removals", 1_000_000, 0),
            case("1 removed of 1M", "old-removals", 1_000_000, 1),
            case("10 removed of 1M", "old-removals", 1_000_000, 10),
            case("1000 removed of 1M", "old-removals", 1_000_000, 1000),
            case("1 put of 10k", "old-puts", 10_000, 1),
            case("10 put of 10k", "old-puts", 10_000, 10),
            case("1000 put of 10k", "old-puts", 10_000, 1000),
            case("1 put of 100k", "old-puts", 100_000, 1),
            case("10 put of 100k", "old-puts", 100_000, 10),
            case("1000 put of 100k", "old-puts", 100_000, 1000),
            case("1 put of 1M", "old-puts", 1_000_000, 1),
            case("10 put of 1M", "old-puts", 1_000_000, 10),
            case("1000 put of 1M", "old-puts", 1_000_000, 1000),
        ],
    }
}

fn bulk() -> Section {
    Section {
        id: "bulk",
        title: "Filling an empty store on disk",
        about: "A store of 10 million rows, no log that reaches back, fills an empty one by bulk sync; both are redb files with \
                caches of 64 MiB, and both engines are in the measured process. The goal is 64 MiB beside the cache, for \
                each of the two: 256 MiB. Keys ascend, and the time ends when both have named the same root.",
        cases: vec![Case {
            label: "10M rows",
            setting: Setting { workload: "bulk", rows: 10_000_000, ..BASE },
            contenders: vec![node(OURS, "")],
            metrics: vec![
                metric("peak heap", "peak heap MiB, both", Less, Figure(256.0)),
                metric("bytes", "bytes per row", Less, Goal::None),
                metric("rows/s", "rows/s", More, Goal::None),
            ],
        }],
    }
}

fn keep() -> Section {
    Section {
        id: "W7",
        title: "Holding, saving and loading",
        about: "100,000 rows. `load` ends with the first value read. What rejoin saves is an image as a backup \
                holds it, and loading it checks every hash and the root; as a file it is a store of redb with each commit on \
                the disk, and loading is opening it. crdts has no format; postcard is used. iroh-docs' store in memory has none.",
        cases: vec![Case {
            label: "100k rows",
            setting: Setting { workload: "W7", ..BASE },
            contenders: with(&[OURS, NO_LOG, FILE, ALONE], &MAPS),
            metrics: vec![
                metric("heap", "heap B per row", Less, Figure(128.0)).of(NO_LOG).why(HEAP_WHY),
                metric("saved", "saved B per row", Less, Figure(30.0)).why(SAVED_WHY),
                metric("file", "file B per row", Less, Goal::None).of(FILE),
                metric("save ms", "save ms", Less, Goal::None),
                metric("load ms", "load and first get ms", Less, Times(0.1, "yrs")).of(FILE).why(
                    "all checksums of a file of up to 256 MiB are compared whenever it is opened; larger ones open at once",
                ),
                metric("heap after opening", "heap B per row, just opened", Less, Goal::None).of(FILE),
            ],
        }],
    }
}

fn overwrite() -> Section {
    Section {
        id: "W8",
        title: "Many writes to few keys",
        about: "1,000,000 writes to 100 keys, in transactions that write each key once. rejoin's log is bounded (8 MiB \
                unless told otherwise) and shown apart.",
        cases: vec![Case {
            label: "100 keys",
            setting: Setting { workload: "W8", rows: 100, writes: 1_000_000, ..BASE },
            contenders: with(&[OURS, NO_LOG, ALONE], &MAPS[..4]),
            metrics: vec![
                metric("writes/s", "writes/s", More, Times(1.0, "crdts")).why(WRITES_WHY),
                metric("heap", "heap B per key", Less, Figure(160.0)).of(NO_LOG).why(
                    "own deltas that nobody was told of are remembered, so that they can be renamed, and an engine that \
                    holds next to nothing has some twenty kilobytes of its own",
                ),
                metric("saved", "saved B per key", Less, Figure(80.0)).why(SAVED_WHY),
            ],
        }],
    }
}

fn durable() -> Section {
    Section {
        id: "W12",
        title: "Durable writes",
        about: "64 tasks write a row each and wait until it is on the disk, over and over; what waits together is one \
                commit. redb: the same rows, keys and values alone, in groups of 64 with the same two-phase commit. By the \
                wall, since both wait for the disk.",
        cases: vec![Case {
            label: "group commit",
            setting: Setting { workload: "W12", rows: 20_000, batch: 64, replicas: 64, ..BASE },
            contenders: vec![node(OURS, ""), node("redb", "-redb")],
            metrics: vec![
                metric("writes/s", "writes/s", More, Times(0.5, "redb")).why(
                    "a row is four entries on the disk (row, dot, its delta in the log, head) and redb's bare insert is one",
                ),
                metric("group", "rows in a commit", More, Goal::None),
            ],
        }],
    }
}

fn live() -> Section {
    let why = "an update crosses more queues than a byte on a stream: engine, commit, driver, frame, engine, commit, watch";
    Section {
        id: "W13",
        title: "Live updates",
        about: "A row written on one node is seen on the other, which answers with a row, and so on: the time from a write \
                to seeing the answer, by the wall, on loopback over TCP. libp2p: 64 bytes there and back on one raw stream \
                over the same transport. On disk each of the two writes is durable on its own node before it is sent.",
        cases: vec![Case {
            label: "there and back",
            setting: Setting { workload: "W13", writes: 2000, ..BASE },
            contenders: vec![node(OURS, ""), node(MEMORY, "-memory"), node("libp2p", "-libp2p")],
            metrics: vec![
                metric("p50 ms", "p50 ms", Less, Times(2.0, "libp2p")).of(MEMORY).why(why),
                metric("p99 ms", "p99 ms", Less, Times(4.0, "libp2p")).of(MEMORY).why(why),
            ],
        }],
    }
}

const WRITES_WHY: &str = "a row is found by its key three times over: in the transaction, in memory above the store, in the store, \
    and its dot in the last two; comparing keys and allocating take a quarter of the instructions, hashes a tenth";
const ROOT_WHY: &str = "roots prove at the beginning and at the end that both hold the same: where one of 256 rows has changed, all of \
    them are hashed again; and every change is a row and a dot in sorted tables of bytes";
const HEAP_WHY: &str =
    "a row is one record with its key, time and hash in full, and its place by key and by dot";
const SAVED_WHY: &str =
    "an image holds the key, nonce, chain and signature of each replica, and a checksum for each block";
