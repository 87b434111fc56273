//! Wrong views and wrong joins, each a mistake that somebody could make or has made. The laws must reject every one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rejoin_core::codec::{decode, encode};
use rejoin_core::crdt::{
    BoundedCounterView, Draft, FlagView, GCounterView, LwwMapView, LwwRegisterView, MvRegisterView,
    OrSetView, PnCounterView,
};
use rejoin_core::laws::{
    BoundedUpdate, CASES, GCounterUpdate, Lawful, MapUpdate, PATH, PnCounterUpdate, Record, RegisterUpdate,
    SetUpdate, violation,
};
use rejoin_core::row::merge::Holder;
use rejoin_core::row::{DataError, Delta, Entry, Object, Payload, ReadRows, RowKey, Rows, WriteRows};
use rejoin_core::value::{decode_element, encode_element};
use rejoin_core::{Dot, ReplicaId, Timestamp, Value};

/// A mistake in one part of a lawful view.
trait Mistake {
    type In: Lawful;

    fn update<W: WriteRows>(rows: &mut W, update: &<Self::In as Lawful>::Update) -> Result<(), W::Error> {
        Self::In::update(rows, update)
    }

    fn read(rows: &Rows) -> <Self::In as Lawful>::Read {
        Self::In::read(rows)
    }

    fn transact(
        rows: &mut Rows,
        author: ReplicaId,
        timestamp: Timestamp,
        updates: &[<Self::In as Lawful>::Update],
    ) -> Result<Option<Delta>, DataError>
    where
        Self: Sized,
    {
        let next = Dot::new(author, rows.version_vector().seq(&author) + 1);
        let mut draft = Draft::new(rows, next, timestamp);
        updates.iter().try_for_each(|update| Self::update(&mut draft, update))?;
        let writes = draft.into_writes();
        if writes.rows.is_empty() { Ok(None) } else { Ok(Some(rows.commit(author, timestamp, writes)?)) }
    }

    fn merge(into: &mut Rows, from: &Rows) {
        into.merge(from);
    }
}

/// The view with the mistake in it. What it should mean is not changed.
struct Wrong<M>(M);

impl<M: Mistake> Lawful for Wrong<M> {
    type Update = <M::In as Lawful>::Update;
    type Read = <M::In as Lawful>::Read;

    fn update<W: WriteRows>(rows: &mut W, update: &Self::Update) -> Result<(), W::Error> {
        M::update(rows, update)
    }

    fn read(rows: &Rows) -> Self::Read {
        M::read(rows)
    }

    fn expected(record: &Record<'_, Self::Update>) -> Self::Read {
        M::In::expected(record)
    }

    fn about(update: &Self::Update) -> Value {
        M::In::about(update)
    }

    fn transact(
        rows: &mut Rows,
        author: ReplicaId,
        timestamp: Timestamp,
        updates: &[Self::Update],
    ) -> Result<Option<Delta>, DataError> {
        M::transact(rows, author, timestamp, updates)
    }

    fn merge(into: &mut Rows, from: &Rows) {
        M::merge(into, from);
    }
}

/// Declares a mistake and the test that the laws reject it, at the first law that is broken.
macro_rules! mistakes {
    ($($(#[$doc:meta])* $test:ident: $name:ident in $view:ty, breaks $law:literal { $($body:item)* })+) => {$(
        $(#[$doc])*
        struct $name;

        impl Mistake for $name {
            type In = $view;
            $($body)*
        }

        #[test]
        fn $test() {
            let report = violation::<Wrong<$name>>(0..CASES).expect_err("the laws let it pass");
            let broken = format!("the law '{}' is broken", $law);
            assert!(report.starts_with(&broken), "it dies, but of something else: {report}");
        }
    )+};
}

fn counter_row(counter: &Object, author: ReplicaId) -> RowKey {
    counter.row(author.as_bytes()).unwrap()
}

/// Every live entry of an object, by row.
fn entries(object: &Object, rows: &Rows) -> Vec<Vec<Entry>> {
    let mut all = Vec::new();
    rows.scan(object, &[], &mut |_, entries| {
        all.push(entries.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

fn value(entry: &Entry) -> Value {
    Value::decode(&entry.payload).unwrap()
}

fn map() -> LwwMapView {
    LwwMapView::at(PATH).unwrap()
}

fn set() -> OrSetView {
    OrSetView::at(PATH).unwrap()
}

/// The map as `choose` orders the live entries of a key, the shown one first.
fn map_by<K: Ord>(rows: &Rows, choose: impl Fn(&Entry) -> K) -> <LwwMapView as Lawful>::Read {
    let mut values = BTreeMap::new();
    let mut shown = Vec::new();
    rows.scan(map().object(), &[], &mut |key, entries| {
        let mut entries = entries.to_vec();
        entries.sort_by_key(|entry| Reverse(choose(entry)));
        let key = decode_element(key.element()).unwrap();
        shown.push((key.clone(), value(&entries[0])));
        values.insert(key, entries.iter().map(value).collect());
        ControlFlow::Continue(())
    })
    .unwrap();
    (values, shown)
}

mistakes! {
    /// Each addition starts at nothing.
    a_counter_that_forgets: ForgetfulCounter in GCounterView, breaks "meaning" {
        fn update<W: WriteRows>(rows: &mut W, update: &GCounterUpdate) -> Result<(), W::Error> {
            let GCounterUpdate::Add(n) = update else { return GCounterView::update(rows, update) };
            let view = GCounterView::at(PATH).unwrap();
            let key = counter_row(view.object(), rows.author());
            rows.put(key, Payload::new(encode(&u64::from(*n))).unwrap())
        }
    }

    /// Each addition starts at the value of the whole counter, so the parts of others count again.
    a_counter_that_counts_others_twice: GreedyCounter in GCounterView, breaks "meaning" {
        fn update<W: WriteRows>(rows: &mut W, update: &GCounterUpdate) -> Result<(), W::Error> {
            let GCounterUpdate::Add(n) = update else { return GCounterView::update(rows, update) };
            let view = GCounterView::at(PATH).unwrap();
            let total = view.value(rows)? + u64::from(*n);
            let key = counter_row(view.object(), rows.author());
            rows.put(key, Payload::new(encode(&total)).unwrap())
        }
    }

    /// The value is the largest part and not the sum.
    a_counter_that_reads_one_row: LargestCounter in GCounterView, breaks "meaning" {
        fn read(rows: &Rows) -> u64 {
            let view = GCounterView::at(PATH).unwrap();
            let all = entries(view.object(), rows);
            let totals = all.iter().flatten().map(|entry| decode(&entry.payload).unwrap());
            totals.max().unwrap_or(0)
        }
    }

    /// A reset adds the opposite of the value: two at once take the same changes away twice.
    a_reset_that_is_a_subtraction: SubtractingReset in PnCounterView, breaks "meaning" {
        fn update<W: WriteRows>(rows: &mut W, update: &PnCounterUpdate) -> Result<(), W::Error> {
            let view = PnCounterView::at(PATH).unwrap();
            match update {
                PnCounterUpdate::Add(n) => view.add(rows, (*n).into()),
                PnCounterUpdate::AddOnce(..) => PnCounterView::update(rows, update),
                PnCounterUpdate::Reset => {
                    let value = view.value(rows)?;
                    view.add(rows, -value)
                }
            }
        }
    }

    /// A reset removes the rows: a concurrent change brings back all that its writer ever added.
    a_reset_that_is_a_removal: ClearingReset in PnCounterView, breaks "meaning" {
        fn update<W: WriteRows>(rows: &mut W, update: &PnCounterUpdate) -> Result<(), W::Error> {
            match update {
                PnCounterUpdate::Reset => PnCounterView::at(PATH).unwrap().clear(rows),
                _ => PnCounterView::update(rows, update),
            }
        }
    }

    /// An addition under a key goes into the running total: each of two tries counts.
    a_key_that_is_not_kept: KeylessCounter in PnCounterView, breaks "meaning" {
        fn update<W: WriteRows>(rows: &mut W, update: &PnCounterUpdate) -> Result<(), W::Error> {
            match update {
                PnCounterUpdate::AddOnce(_, n) => PnCounterView::at(PATH).unwrap().add(rows, (*n).into()),
                _ => PnCounterView::update(rows, update),
            }
        }
    }

    /// A reset removes what was added under keys, without a trace: a try that it had not seen counts again.
    a_reset_that_forgets_keys: ForgetfulReset in PnCounterView, breaks "meaning" {
        fn update<W: WriteRows>(rows: &mut W, update: &PnCounterUpdate) -> Result<(), W::Error> {
            PnCounterView::update(rows, update)?;
            if *update == PnCounterUpdate::Reset {
                let (view, mut keyed) = (PnCounterView::at(PATH).unwrap(), Vec::new());
                rows.scan(view.object(), &[], &mut |key, _| {
                    keyed.extend((key.element().len() == 20).then(|| key.clone()));
                    ControlFlow::Continue(())
                })?;
                keyed.into_iter().try_for_each(|key| rows.remove(key))?;
            }
            Ok(())
        }
    }

    /// Of two tries that differ both count.
    a_row_of_a_key_that_is_a_sum: SummingKeys in PnCounterView, breaks "meaning" {
        fn read(rows: &Rows) -> i64 {
            let view = PnCounterView::at(PATH).unwrap();
            let mut more = 0;
            rows.scan(view.object(), &[], &mut |key, entries| {
                if key.element().len() == 20 {
                    let amounts = entries.iter().map(|entry| decode::<i64>(&entry.payload).unwrap());
                    let amounts: Vec<i64> = amounts.collect();
                    let all = if amounts.contains(&0) { 0 } else { amounts.iter().sum() };
                    let newest = entries.iter().zip(&amounts).max_by_key(|(entry, _)| entry.rank());
                    let shown = if amounts.contains(&0) { 0 } else { *newest.unwrap().1 };
                    more += all - shown;
                }
                ControlFlow::Continue(())
            })
            .unwrap();
            PnCounterView::read(rows) + more
        }
    }

    /// A decrement asks for the value of the whole counter: two that take the last one both get it.
    a_bounded_counter_that_trusts_the_value: ValueAsRights in BoundedCounterView, breaks "meaning" {
        fn update<W: WriteRows>(rows: &mut W, update: &BoundedUpdate) -> Result<(), W::Error> {
            let view = BoundedCounterView::at(PATH).unwrap();
            match update {
                BoundedUpdate::Decrement(n) if view.value(rows)? >= i64::from(*n) => view.recount(rows, 0, (*n).into()),
                _ => BoundedCounterView::update(rows, update),
            }
        }
    }

    /// A transfer is an addition at the receiver, and nothing is taken from the giver.
    a_transfer_that_costs_nothing: FreeTransfer in BoundedCounterView, breaks "meaning" {
        fn read(rows: &Rows) -> <BoundedCounterView as Lawful>::Read {
            let (value, mut rights, sound) = BoundedCounterView::read(rows);
            rows.scan(BoundedCounterView::at(PATH).unwrap().object(), &[], &mut |key, entries| {
                if let [giver @ .., _] = key.element() && giver.len() == 31 {
                    let giver = ReplicaId::from_bytes(giver[..16].try_into().unwrap());
                    let given: u64 = decode(&entries[0].payload).unwrap();
                    *rights.entry(giver).or_default() += i64::try_from(given).unwrap();
                }
                ControlFlow::Continue(())
            })
            .unwrap();
            rights.retain(|_, rights| *rights != 0);
            (value, rights, sound)
        }
    }

    /// A removal is an entry that beats concurrent insertions.
    a_set_where_remove_wins: RemoveWins in OrSetView, breaks "meaning" {
        fn update<W: WriteRows>(rows: &mut W, update: &SetUpdate) -> Result<(), W::Error> {
            let SetUpdate::Remove(element) = update else { return OrSetView::update(rows, update) };
            let element = encode_element(&Value::Int((*element).into())).unwrap();
            rows.put(set().object().row(&element).unwrap(), Payload::new(&[1][..]).unwrap())
        }

        fn read(rows: &Rows) -> <OrSetView as Lawful>::Read {
            let mut elements = Vec::new();
            rows.scan(set().object(), &[], &mut |key, entries| {
                if entries.iter().all(|entry| entry.payload.is_empty()) {
                    elements.push(decode_element(key.element()).unwrap());
                }
                ControlFlow::Continue(())
            })
            .unwrap();
            [elements.clone(), elements]
        }
    }

    /// Inserting what is there writes nothing, so a concurrent removal of the old entry takes the element away.
    a_set_that_does_not_refresh: LazyInsert in OrSetView, breaks "meaning" {
        fn update<W: WriteRows>(rows: &mut W, update: &SetUpdate) -> Result<(), W::Error> {
            if let SetUpdate::Insert(element) = update && set().contains(rows, i64::from(*element))? {
                return Ok(());
            }
            OrSetView::update(rows, update)
        }
    }

    /// The dot alone decides: the replica with the largest id wins every conflict.
    a_map_by_dot: MapByDot in LwwMapView, breaks "meaning" {
        fn read(rows: &Rows) -> <LwwMapView as Lawful>::Read {
            map_by(rows, |entry| entry.dot)
        }
    }

    /// The timestamp alone decides, and a tie goes to whoever comes first in the row.
    a_map_by_time_alone: MapByTime in LwwMapView, breaks "meaning" {
        fn read(rows: &Rows) -> <LwwMapView as Lawful>::Read {
            map_by(rows, Entry::timestamp)
        }
    }

    /// A removal does nothing where others will see it.
    a_map_that_cannot_remove: NoRemove in LwwMapView, breaks "meaning" {
        fn update<W: WriteRows>(rows: &mut W, update: &MapUpdate) -> Result<(), W::Error> {
            if matches!(update, MapUpdate::Remove(_)) { Ok(()) } else { LwwMapView::update(rows, update) }
        }
    }

    /// A removal kills the row and burns no dot (Yjs issue 374): equal vectors, different data.
    a_map_whose_removal_burns_nothing: SilentRemove in LwwMapView, breaks "convergence" {
        fn transact(
            rows: &mut Rows,
            author: ReplicaId,
            timestamp: Timestamp,
            updates: &[MapUpdate],
        ) -> Result<Option<Delta>, DataError> {
            let [MapUpdate::Remove(key)] = updates else {
                return LwwMapView::transact(rows, author, timestamp, updates);
            };
            let element = encode_element(&Value::Int((*key).into()))?;
            for entry in rows.entries(&map().object().row(&element)?)? {
                let Ok(()) = Holder::remove(rows, &entry.dot);
            }
            Ok(None)
        }
    }

    /// The oldest of the concurrent values is shown.
    a_register_that_keeps_the_smallest: SmallestRegister in LwwRegisterView, breaks "meaning" {
        fn read(rows: &Rows) -> <LwwRegisterView as Lawful>::Read {
            let view = LwwRegisterView::at(PATH).unwrap();
            let mut all = entries(view.object(), rows).concat();
            all.sort_by_key(Entry::rank);
            let mut values = all.iter().map(value);
            (values.next(), values.collect())
        }
    }

    /// A register that keeps what it has and never replaces it.
    a_register_that_keeps_the_first: FirstRegister in LwwRegisterView, breaks "meaning" {
        fn update<W: WriteRows>(rows: &mut W, update: &RegisterUpdate) -> Result<(), W::Error> {
            let there = LwwRegisterView::at(PATH).unwrap().get(rows)?.is_some();
            if there && matches!(update, RegisterUpdate::Put(_)) { Ok(()) } else { LwwRegisterView::update(rows, update) }
        }
    }

    /// Only one of the concurrent values shows.
    a_multi_value_register_with_one_value: OneValue in MvRegisterView, breaks "meaning" {
        fn read(rows: &Rows) -> Vec<Value> {
            MvRegisterView::read(rows).into_iter().take(1).collect()
        }
    }

    /// The flag is on only if every concurrent write says so.
    a_flag_where_disable_wins: DisableWins in FlagView, breaks "meaning" {
        fn read(rows: &Rows) -> bool {
            let all = entries(FlagView::at(PATH).unwrap().object(), rows).concat();
            !all.is_empty() && all.iter().all(|entry| value(entry) == Value::Bool(true))
        }
    }

    /// The newest of the concurrent writes decides.
    a_flag_by_time: NewestFlag in FlagView, breaks "meaning" {
        fn read(rows: &Rows) -> bool {
            let all = entries(FlagView::at(PATH).unwrap().object(), rows).concat();
            all.iter().max_by_key(|entry| entry.rank()).is_some_and(|entry| value(entry) == Value::Bool(true))
        }
    }

    /// The join takes over what is new and kills nothing: what was removed elsewhere comes back.
    a_join_without_removing: UnionJoin in OrSetView, breaks "delta = state" {
        fn merge(into: &mut Rows, from: &Rows) {
            let held = into.clone();
            into.merge(from);
            for (key, row) in held.iter().chain(from.iter()) {
                for entry in row {
                    let Ok(()) = into.insert(key, entry.clone());
                }
            }
        }
    }

    /// The join keeps only what both sides hold, as if each had seen all that the other has.
    a_join_that_removes_what_the_other_never_saw: CommonJoin in LwwMapView, breaks "convergence" {
        fn merge(into: &mut Rows, from: &Rows) {
            let held = into.clone();
            into.merge(from);
            for entry in held.iter().flat_map(|(_, row)| row) {
                if !from.iter().any(|(_, row)| row.contains(entry)) {
                    let Ok(()) = into.remove(&entry.dot);
                }
            }
        }
    }

    /// The whole vector comes with a part of the entries (delta_crdt_ex issue 65): the rest is lost for ever.
    a_join_of_a_whole_vector_and_a_part: PartJoin in OrSetView, breaks "associative" {
        fn merge(into: &mut Rows, from: &Rows) {
            let held = into.clone();
            into.merge(from);
            let new = into.clone();
            let mut new = new.iter().flat_map(|(_, row)| row).filter(|entry| !held.version_vector().contains(&entry.dot));
            if let Some(lost) = new.nth(1) {
                let Ok(()) = into.remove(&lost.dot);
            }
        }
    }

    /// The other side's state replaces this one's.
    a_join_that_is_a_copy: CopyJoin in MvRegisterView, breaks "meaning" {
        fn merge(into: &mut Rows, from: &Rows) {
            *into = from.clone();
        }
    }
}

/// The report names the law and shows a history that a person can follow.
#[test]
fn a_violation_is_reported_with_a_small_history() {
    let report = violation::<Wrong<UnionJoin>>(0..CASES).unwrap_err();
    assert_eq!(report.matches("Act {").count(), 2, "an insertion and its removal: {report}");
    assert_eq!(report.matches("Receive {").count(), 1, "a state from in between: {report}");
}
