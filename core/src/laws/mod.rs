//! The laws that every view obeys, as properties over random histories.
//!
//! Problem: a data type that merges wrongly does so in one history of a thousand, months later, on somebody's phone.
//! Idea: state the laws once, for all types. A *history* lets 3 to 5 replicas write, in transactions of one or several
//! updates, and receive each other's states: late, twice, out of order or never. It is run twice, once on [`Rows`] through
//! the view, and once as a plain list of updates, each with the set of updates that it had seen. Then these hold:
//!
//! | law | of any states A, B, C that occur in the history, ⊔ being the join |
//! |---|---|
//! | commutative | A ⊔ B = B ⊔ A |
//! | associative | (A ⊔ B) ⊔ C = A ⊔ (B ⊔ C) |
//! | idempotent | A ⊔ A = A, and A ⊔ B ⊔ B = A ⊔ B; vectors join to their maximum |
//! | delta = state | A ⊔ (B since A) = A ⊔ (B since anything that A has seen) = A ⊔ B, also as a chain of deltas from version to version of B; a delta since more than A has seen is refused and changes nothing |
//! | restriction | A under any vector is below A: joining the two in either order gives A |
//! | single dots | A is the join, in any order, of its parts A under {r → s}, one for each dot (r, s) that A has seen; and of its parts under the causal past of each transaction in it |
//! | encoding | decode(encode(x)) = x for states, deltas between states, and transactions |
//! | convergence | equal vectors mean equal states, at any moment; after everybody has merged everybody all are equal |
//! | replay | applying one by one the transactions that A contains gives A |
//! | meaning | at any moment the view reads what the naive model makes of the updates that the replica has received |
//!
//! The parts of the law *single dots* have vectors because a state always comes with one: the least vector that covers
//! the dot (r, s) is {r → s}. Restrictions are points of the lattice of joins, not states that anybody was ever in: what
//! was killed since is missing in them.
//!
//! The model ([`Lawful::expected`]) sees a [`Record`] and nothing else: no rows, no vectors, no merge.
//!
//! ```
//! use rejoin_core::crdt::FlagView;
//! let checked = rejoin_core::laws::check_laws::<FlagView>();
//! assert!(checked.concurrent * 10 >= checked.cases * 3);
//! ```

mod arbitrary;
mod bounded;
mod check;
#[cfg(feature = "document")]
mod document;
mod history;
mod models;

use alloc::format;
use alloc::string::String;
use core::fmt::Debug;
use core::ops::Range;

use quickcheck::{Arbitrary, Gen};

pub use bounded::BoundedUpdate;
#[cfg(feature = "document")]
pub use document::DocumentUpdate;
pub use history::{History, Record, Step, Write};
pub use models::{
    FlagUpdate, GCounterUpdate, ListUpdate, LogUpdate, MapUpdate, PATH, PnCounterUpdate, RegisterUpdate,
    SetUpdate,
};

use crate::clock::Timestamp;
use crate::crdt::Draft;
use crate::id::{Dot, ReplicaId};
use crate::row::{DataError, Delta, Rows, WriteRows};
use crate::value::Value;
use check::Broken;
use history::Universe;

/// How many histories [`check_laws`] tries. Each one tries every law.
pub const CASES: u64 = 1000;
/// How many of a hundred histories must hold concurrent updates about one thing, else the laws would prove little.
pub const CONCURRENT_PERCENT: u64 = 30;
/// The size that generators are given: how long their vectors get.
const SIZE: usize = 16;

/// A view under test: how its updates are written and read, and what they mean.
pub trait Lawful: Sized {
    /// One update. Generate few different keys, so that replicas meet on them.
    type Update: Arbitrary + Debug;
    /// All that the view shows.
    type Read: PartialEq + Debug;

    /// Writes one update through the view.
    fn update<W: WriteRows>(rows: &mut W, update: &Self::Update) -> Result<(), W::Error>;

    /// Reads all that the view shows.
    fn read(rows: &Rows) -> Self::Read;

    /// What must be read after exactly these updates, by a model that is too simple to be wrong.
    fn expected(record: &Record<'_, Self::Update>) -> Self::Read;

    /// What the update is about: its key or element. Concurrent updates about one thing are what the laws are for. The
    /// default suits a type that is one thing as a whole.
    fn about(_update: &Self::Update) -> Value {
        Value::Null
    }

    /// Makes a transaction of updates; `None` if it changes nothing. Only a test that plants a mistake replaces this.
    fn transact(
        rows: &mut Rows,
        author: ReplicaId,
        timestamp: Timestamp,
        updates: &[Self::Update],
    ) -> Result<Option<Delta>, DataError> {
        let next = Dot::new(author, rows.version_vector().seq(&author) + 1);
        let mut draft = Draft::new(rows, next, timestamp);
        updates.iter().try_for_each(|update| Self::update(&mut draft, update))?;
        let writes = draft.into_writes();
        if writes.rows.is_empty() { Ok(None) } else { Ok(Some(rows.commit(author, timestamp, writes)?)) }
    }

    /// Joins two states. Only a test that plants a mistake replaces this.
    fn merge(into: &mut Rows, from: &Rows) {
        into.merge(from);
    }
}

/// What [`check_laws`] went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Histories.
    pub cases: u64,
    /// Histories with concurrent updates about one thing.
    pub concurrent: u64,
}

/// Checks all laws of the view on [`CASES`] histories; the same ones every time.
///
/// # Panics
/// When a law is broken, with the smallest history found that breaks it; and when fewer than [`CONCURRENT_PERCENT`] of
/// the histories hold concurrent updates about one thing.
pub fn check_laws<V: Lawful>() -> Checked {
    match violation::<V>(0..CASES) {
        Ok(checked) => {
            assert!(
                checked.concurrent * 100 >= checked.cases * CONCURRENT_PERCENT,
                "only {} of {} histories hold concurrent updates about one thing: generate fewer different keys",
                checked.concurrent,
                checked.cases
            );
            checked
        }
        Err(report) => panic!("{report}"),
    }
}

/// Checks all laws of the view on a history for each seed. A broken law is reported with the seed and with the smallest
/// history found that breaks it.
pub fn violation<V: Lawful>(seeds: Range<u64>) -> Result<Checked, String> {
    let mut checked = Checked { cases: 0, concurrent: 0 };
    for seed in seeds {
        let history = History::arbitrary(&mut Gen::from_size_and_seed(SIZE, seed));
        checked.cases += 1;
        match broken_law::<V>(&history) {
            Ok(concurrent) => checked.concurrent += u64::from(concurrent),
            Err(broken) => {
                let (history, broken) = smallest::<V>(history, broken);
                return Err(format!("{broken}\nseed {seed}, smallest history that breaks it: {history:#?}"));
            }
        }
    }
    Ok(checked)
}

/// Runs a history. Whether it holds concurrent updates about one thing, or else the law that it breaks.
fn broken_law<V: Lawful>(history: &History<V::Update>) -> Result<bool, Broken> {
    let universe = Universe::<V>::run(history)?;
    check::all(&universe)?;
    Ok(universe.is_concurrent())
}

/// Takes away from a history what is not needed to break the law.
fn smallest<V: Lawful>(mut history: History<V::Update>, mut broken: Broken) -> (History<V::Update>, Broken) {
    while let Some(smaller) = history.shrink().find_map(|smaller| {
        let still = broken_law::<V>(&smaller).err()?;
        (still.law == broken.law).then_some((smaller, still))
    }) {
        (history, broken) = smaller;
    }
    (history, broken)
}
