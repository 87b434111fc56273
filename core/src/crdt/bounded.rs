//! Bounded counters.
//!
//! Problem: a number that must not fall below zero, such as a stock or a budget, and several replicas that take from it
//! while they cannot talk to each other. A sum of changes made apart passes any bound.
//!
//! Idea: escrow (O'Neil, The escrow transactional method, ACM TODS 11(4), 1986), in the form that Balegas, Serra, Duarte,
//! Ferreira, Shapiro, Rodrigues and Preguiça gave it for replicas (Extending eventually consistent cloud databases for
//! enforcing numeric invariants, SRDS 2015). The value is divided into *rights*. Whoever adds n holds n rights more, a
//! transfer hands rights on, and whoever takes n spends n rights of its own, or is refused. A replica knows all that it
//! made, gave and spent, and at least part of what it was given, so what it counts as its own it really has.
//!
//! | element | payload (canonical varints), written by the first replica that the element names |
//! |---|---|
//! | 16 bytes: replica id | all that it added, all that it took |
//! | 32 bytes: two replica ids | all that the first one gave to the second |
//!
//! Running totals, as in [`super::counter`]: space follows the replicas and the pairs that gave, not the changes. An entry in
//! another replica's row than its writer's counts for nothing. The sum of all rights is the value, since a transfer takes
//! from one what it gives to another, whether or not the other has heard of it.
//!
//! Concurrent cases:
//! * *Changes of any two replicas*: different rows, all count. Each was paid for by rights of its own.
//! * *A transfer and a decrement of its receiver*: until the transfer arrives the receiver does not count on it.
//! * *There is no `clear`*, and no reset. Rights of another replica are its to spend, and it may be spending them now: a
//!   clear of its total while it takes one more would bring back all that it ever took and not what others had added, so
//!   the value would fall below zero. Who wants the counter at nothing takes what it has, and so does everybody else.
//!
//! **What can go below zero.** Rights bind writers that are honest and have one history. A store that was restored or copied
//! writes under a new id and holds nothing until somebody gives it rights; the old id's rights wait for whoever still
//! writes under it. Where nobody notices (a machine image put back), both copies spend the same rights. When they meet, what
//! one of them told nobody goes on under a new id ([`super::carry`]): all that it added, all that it took (it happened),
//! and nothing of what it gave (nobody has heard of it, and the other copy may have spent the same). So the sum stays
//! true, and if it says that more was taken than there was, the value is below zero and says by how much. A replica whose
//! rights are below zero has spent what another copy of it may spend as well; from then on nobody who has seen it takes
//! more than the value. Of what both copies told others under one id, one total remains, as with every type; the other is
//! set aside as lost.

use alloc::collections::BTreeMap;
use core::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::counter::{Totals, payload, replica_of, total_row};
use super::view::view;
use super::{Keys, Standalone, view as rows_of};
use crate::codec;
use crate::id::ReplicaId;
use crate::row::{DataError, Entry, Object, ReadRows, RowKey, WriteRows};

view!(
    /// A counter that does not fall below zero. See the [module page](crate::crdt).
    BoundedCounterView, BOUNDED_COUNTER, kept
);

/// A [`BoundedCounterView`] that stands alone.
pub type BoundedCounter = Standalone<BoundedCounterView>;

impl BoundedCounterView {
    /// Adds `n`, and as many rights of the writer's. Nothing is written for 0. Fails with [`DataError::CounterFull`] when
    /// all that the writer ever added would pass 2^64 - 1.
    pub fn increment<W: WriteRows>(&self, rows: &mut W, n: u64) -> Result<(), W::Error> {
        self.recount(rows, n, 0)
    }

    /// Takes `n`, and spends as many rights of the writer's. Nothing is written for 0. Fails with [`DataError::NoRights`]
    /// when it has fewer, even if the whole counter has more.
    pub fn decrement<W: WriteRows>(&self, rows: &mut W, n: u64) -> Result<(), W::Error> {
        self.check_rights(rows, n)?;
        self.recount(rows, 0, n)
    }

    /// Gives `n` rights of the writer's to another replica. The value stays. Nothing is written for 0, nor for a gift to
    /// oneself. Fails with [`DataError::NoRights`] when the writer has fewer. Rights that are given to an id which nobody
    /// writes under any more are out of reach.
    pub fn transfer<W: WriteRows>(&self, rows: &mut W, to: &ReplicaId, n: u64) -> Result<(), W::Error> {
        let from = rows.author();
        if n == 0 || from == *to {
            return Ok(());
        }
        self.check_rights(rows, n)?;
        let key = transfer_row(&self.0, &from, to)?;
        let given = own(&rows.entries(&key)?, &from).fold(0, u64::max);
        let given = given.checked_add(n).ok_or(DataError::CounterFull)?;
        rows.put(key, payload(&given))
    }

    /// Counts what the writer added and took under another id, where that is lost to everybody else. It has happened, so
    /// no rights are asked for: they may fall below zero, and so may the value.
    pub fn recount<W: WriteRows>(&self, rows: &mut W, added: u64, taken: u64) -> Result<(), W::Error> {
        if (added, taken) == (0, 0) {
            return Ok(());
        }
        let author = rows.author();
        let key = total_row(&self.0, &author)?;
        let own = own(&rows.entries(&key)?, &author).fold(Totals::default(), Totals::max);
        let up = own.up.checked_add(added).ok_or(DataError::CounterFull)?;
        let down = own.down.checked_add(taken).ok_or(DataError::CounterFull)?;
        rows.put(key, payload(&Totals { up, down }))
    }

    /// What was added less what was taken. Below zero only after two copies of one store have spent the same rights, or
    /// a writer that does not ask for rights. A value outside of `i64` reads as the nearest `i64`.
    pub fn value<R: ReadRows>(&self, rows: &R) -> Result<i64, R::Error> {
        Ok(nearest(sum(&self.accounts(rows)?)))
    }

    /// What a replica may take or give, as far as is known here: it may know of more. Below zero when it has spent what it
    /// did not have.
    pub fn rights_of<R: ReadRows>(&self, rows: &R, replica: &ReplicaId) -> Result<i64, R::Error> {
        Ok(nearest(self.accounts(rows)?.get(replica).copied().unwrap_or(0)))
    }

    /// The same of every replica that ever had any. They add up to the value.
    pub fn rights<R: ReadRows>(&self, rows: &R) -> Result<BTreeMap<ReplicaId, i64>, R::Error> {
        Ok(self.accounts(rows)?.into_iter().map(|(replica, rights)| (replica, nearest(rights))).collect())
    }

    /// The counter that a row belongs to.
    pub(super) fn of(row: &RowKey) -> Self {
        Self(row.object())
    }

    /// Whether the writer may take so much.
    pub(super) fn has_rights<W: WriteRows>(&self, rows: &W, n: u64) -> Result<bool, W::Error> {
        Ok(self.refusal(rows, n)?.is_none())
    }

    /// Nobody takes or gives what it has not got, nor, where others have overspent, more than there is.
    fn check_rights<W: WriteRows>(&self, rows: &W, n: u64) -> Result<(), W::Error> {
        self.refusal(rows, n)?.map_or(Ok(()), |refusal| Err(refusal.into()))
    }

    fn refusal<W: WriteRows>(&self, rows: &W, n: u64) -> Result<Option<DataError>, W::Error> {
        if n == 0 {
            return Ok(None);
        }
        let accounts = self.accounts(rows)?;
        let value = sum(&accounts);
        let here = accounts.get(&rows.author()).copied().unwrap_or(0).min(value.max(0));
        let refusal = || DataError::NoRights { wanted: n, here: nearest(here), value: nearest(value) };
        Ok((here < i128::from(n)).then(refusal))
    }

    fn accounts<R: ReadRows>(&self, rows: &R) -> Result<BTreeMap<ReplicaId, i128>, R::Error> {
        let mut accounts = BTreeMap::<ReplicaId, i128>::new();
        let mut book = |replica, change: i128| {
            let account = accounts.entry(replica).or_default();
            *account = account.saturating_add(change);
        };
        rows_of::scan(&self.0, rows, &Keys::All, |element, entries| {
            if let Some(replica) = replica_of(element) {
                let Totals { up, down } = own(entries, &replica).fold(Totals::default(), Totals::max);
                book(replica, i128::from(up) - i128::from(down));
            } else if let Some((from, to)) = pair_of(element) {
                let given = i128::from(own(entries, &from).fold(0, u64::max));
                book(from, -given);
                book(to, given);
            }
            ControlFlow::Continue(())
        })?;
        Ok(accounts)
    }
}

impl BoundedCounter {
    /// Adds `n`; see [`BoundedCounterView::increment`].
    pub fn increment(&mut self, n: u64) -> Result<(), DataError> {
        self.write(|view, rows| view.increment(rows, n))
    }

    /// Takes `n`; see [`BoundedCounterView::decrement`].
    pub fn decrement(&mut self, n: u64) -> Result<(), DataError> {
        self.write(|view, rows| view.decrement(rows, n))
    }

    /// Gives rights to another replica; see [`BoundedCounterView::transfer`].
    pub fn transfer(&mut self, to: &ReplicaId, n: u64) -> Result<(), DataError> {
        self.write(|view, rows| view.transfer(rows, to, n))
    }

    /// What was added less what was taken; see [`BoundedCounterView::value`].
    pub fn value(&self) -> i64 {
        self.view().value(self.rows()).expect("a counter reads no keys that could be refused")
    }

    /// What may be taken or given here.
    pub fn rights(&self) -> i64 {
        self.rights_of(&self.replica())
    }

    /// What a replica may take or give; see [`BoundedCounterView::rights_of`].
    pub fn rights_of(&self, replica: &ReplicaId) -> i64 {
        let rights = self.view().rights_of(self.rows(), replica);
        rights.expect("a counter reads no keys that could be refused")
    }
}

fn sum(accounts: &BTreeMap<ReplicaId, i128>) -> i128 {
    accounts.values().copied().fold(0, i128::saturating_add)
}

fn nearest(number: i128) -> i64 {
    i64::try_from(number.clamp(i64::MIN.into(), i64::MAX.into())).expect("clamped")
}

/// The row in which `from` says what it gave to `to`.
pub(super) fn transfer_row(object: &Object, from: &ReplicaId, to: &ReplicaId) -> Result<RowKey, DataError> {
    Ok(object.row(&[*from.as_bytes(), *to.as_bytes()].concat())?)
}

/// Who gives and who gets. A gift to oneself is none.
pub(super) fn pair_of(element: &[u8]) -> Option<(ReplicaId, ReplicaId)> {
    let (from, to) = element.split_at_checked(16)?;
    let pair = (replica_of(from)?, replica_of(to)?);
    (pair.0 != pair.1).then_some(pair)
}

/// What `replica` itself wrote. More than one entry means a fork; totals only grow, so whoever reads takes the largest.
fn own<T: Serialize + for<'de> Deserialize<'de>>(
    entries: &[Entry],
    replica: &ReplicaId,
) -> impl Iterator<Item = T> {
    let own = entries.iter().filter(move |entry| entry.dot.replica == *replica);
    own.filter_map(|entry| codec::decode(&entry.payload).ok())
}

#[cfg(test)]
mod tests;
