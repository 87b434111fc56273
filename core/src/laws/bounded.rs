//! What the updates of a bounded counter mean: a ledger of who may take how much.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use quickcheck::{Arbitrary, Gen};

use super::models::tested;
use super::{Lawful, Record, Write};
use crate::crdt::BoundedCounterView;
use crate::id::ReplicaId;
use crate::row::{Rows, WriteRows};

/// An update of a [`BoundedCounterView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundedUpdate {
    /// Adds a number.
    Increment(u8),
    /// Takes a number, if the writer may.
    Decrement(u8),
    /// Gives so many rights to a replica, if the writer may.
    Transfer(u8, u8),
}

impl Arbitrary for BoundedUpdate {
    fn arbitrary(g: &mut Gen) -> Self {
        let n = 1 + u8::arbitrary(g) % 5;
        match u8::arbitrary(g) % 7 {
            0 | 1 => Self::Increment(n),
            2..5 => Self::Decrement(n),
            _ => Self::Transfer(u8::arbitrary(g) % 5, n),
        }
    }
}

impl BoundedUpdate {
    /// To whom a transfer goes: one of the first five replicas.
    fn receiver(to: u8) -> ReplicaId {
        ReplicaId::from_u128(1 + u128::from(to))
    }

    /// What it adds to the rights of each replica when it is not refused.
    fn changes(&self, writer: ReplicaId) -> [(ReplicaId, i64); 2] {
        match *self {
            Self::Increment(n) => [(writer, n.into()), (writer, 0)],
            Self::Decrement(n) => [(writer, -i64::from(n)), (writer, 0)],
            Self::Transfer(to, n) => [(writer, -i64::from(n)), (Self::receiver(to), n.into())],
        }
    }
}

/// Rights by replica, without those that have none.
type Ledger = BTreeMap<ReplicaId, i64>;

/// The value, the rights of each replica, and that none of it is below the bound. An update was refused when the writer's
/// rights, after all that it had seen, were not enough.
impl Lawful for BoundedCounterView {
    type Update = BoundedUpdate;
    type Read = (i64, Ledger, bool);

    fn update<W: WriteRows>(rows: &mut W, update: &BoundedUpdate) -> Result<(), W::Error> {
        let view: Self = tested();
        let done = match update {
            BoundedUpdate::Increment(n) => view.increment(rows, (*n).into()),
            BoundedUpdate::Decrement(n) => view.decrement(rows, (*n).into()),
            BoundedUpdate::Transfer(to, n) => view.transfer(rows, &BoundedUpdate::receiver(*to), (*n).into()),
        };
        // The model knows by itself what is refused.
        done.or(Ok(()))
    }

    fn read(rows: &Rows) -> Self::Read {
        let view: Self = tested();
        let value = view.value(rows).expect("the path is short");
        let mut rights = view.rights(rows).expect("the path is short");
        rights.retain(|_, rights| *rights != 0);
        let sound = value >= 0 && rights.values().all(|rights| *rights > 0);
        (value, rights, sound)
    }

    fn expected(record: &Record<'_, BoundedUpdate>) -> Self::Read {
        let mut done: Vec<&Write<BoundedUpdate>> = Vec::new();
        for write in record.iter() {
            let before = ledger(done.iter().copied().filter(|earlier| write.seen.contains(&earlier.id)));
            let own = before.get(&write.replica).copied().unwrap_or(0);
            let needs = match write.update {
                BoundedUpdate::Increment(_) => 0,
                BoundedUpdate::Decrement(n) | BoundedUpdate::Transfer(_, n) => n.into(),
            };
            if own >= needs {
                done.push(write);
            }
        }
        let rights = ledger(done.into_iter());
        (rights.values().sum(), rights, true)
    }
}

fn ledger<'a>(done: impl Iterator<Item = &'a Write<BoundedUpdate>>) -> Ledger {
    let mut ledger = Ledger::new();
    for write in done {
        for (replica, change) in write.update.changes(write.replica) {
            *ledger.entry(replica).or_default() += change;
        }
    }
    ledger.retain(|_, rights| *rights != 0);
    ledger
}
