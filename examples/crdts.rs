//! Three replicas edit apart and come together again: the data types alone, without an engine, a network or a disk.
//!
//! Run it with `cargo run --example crdts`.

use rejoin::core::ReplicaId;
use rejoin::core::crdt::{LwwMap, OrSet, PnCounter};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Every replica needs an id of its own: any number that no other replica has.
    let [phone, laptop, tablet] = [1, 2, 3].map(ReplicaId::from_u128);

    // A shopping list starts on the phone; the others fork it and lose touch.
    let mut on_phone = OrSet::new(phone);
    on_phone.insert("milk")?;
    on_phone.insert("bread")?;
    let (mut on_laptop, mut on_tablet) = (on_phone.fork(laptop), on_phone.fork(tablet));
    on_phone.remove("milk")?; // bought
    on_laptop.insert("milk")?; // needed all the same: add wins
    on_tablet.insert("eggs")?;
    on_tablet.remove("bread")?;

    // Deltas carry only what the other side lacks, in any order and as often as you like.
    let news = on_tablet.delta_since(on_laptop.version_vector());
    on_laptop.merge_delta(&news)?;
    on_laptop.merge_delta(&news)?;
    on_phone.merge(&on_laptop);
    on_tablet.merge(&on_phone);
    assert_eq!(on_tablet.elements(), ["eggs".into(), "milk".into()]);
    assert!(on_tablet == on_phone, "who has received the same holds the same");

    // Two people rename one thing at once. One name shows, the other waits for a decision.
    let (mut here, mut there) = (LwwMap::new(phone), LwwMap::new(laptop));
    here.put("title", "Groceries")?;
    there.put("title", "Shopping")?;
    here.merge(&there);
    assert_eq!(
        (here.get("title"), here.conflicts("title")),
        (Some("Shopping".into()), vec!["Groceries".into()])
    );

    // A count never loses an increment, and a reset takes away only what it saw.
    let mut visits = PnCounter::new(phone);
    visits.add(41)?;
    let mut elsewhere = visits.fork(tablet);
    visits.reset()?;
    elsewhere.add(1)?;
    visits.merge(&elsewhere);
    assert_eq!(visits.value(), 1);
    println!("the list: {:?}, visits: {}", on_tablet.elements(), visits.value());
    Ok(())
}
