//! Ten bicycles, two shops, no connection: neither shop sells what the other may have sold. A bounded counter and a list of
//! wishes, without an engine, a network or a disk.
//!
//! Run it with `cargo run --example inventory`.

use rejoin::core::crdt::{BoundedCounter, LwwMap};
use rejoin::core::row::DataError;
use rejoin::core::{ReplicaId, Value};

/// What one shop holds of what all of them share.
struct Shop {
    name: &'static str,
    stock: BoundedCounter,
    /// Who would like how many more, by the id of the shop.
    wishes: LwwMap,
    sold: u64,
}

impl Shop {
    fn new(name: &'static str, id: u128) -> Self {
        let id = ReplicaId::from_u128(id);
        Self { name, stock: BoundedCounter::new(id), wishes: LwwMap::new(id), sold: 0 }
    }

    fn id(&self) -> ReplicaId {
        self.stock.replica()
    }

    /// Sells one after the other until all customers are served or no more may be sold here.
    fn sell(&mut self, customers: u64) -> Result<(), DataError> {
        for _ in 0..customers {
            match self.stock.decrement(1) {
                Ok(()) => self.sold += 1,
                Err(refused @ DataError::NoRights { .. }) => {
                    println!("{}: sold {}, then {refused}", self.name, self.sold);
                    return self.wishes.put(self.id().to_string(), 2);
                }
                Err(other) => return Err(other),
            }
        }
        println!("{}: sold {}, {} more may be sold here", self.name, self.sold, self.stock.rights());
        Ok(())
    }

    /// Gives what others wish for, as far as it goes.
    fn answer(&mut self) -> Result<(), DataError> {
        for (id, wish) in self.wishes.entries() {
            let (Value::Text(text), Value::Int(wish)) = (&id, wish) else { continue };
            let Ok(other) = text.parse() else { continue };
            let gift = wish.clamp(0, self.stock.rights().max(0));
            self.stock.transfer(&other, gift.unsigned_abs())?;
            self.wishes.remove(id)?;
            println!("{}: gives {gift}", self.name);
        }
        Ok(())
    }

    fn meet(&mut self, other: &mut Self) {
        self.stock.merge(&other.stock);
        self.wishes.merge(&other.wishes);
        other.stock.merge(&self.stock);
        other.wishes.merge(&self.wishes);
    }
}

fn main() -> Result<(), DataError> {
    let (mut north, mut south) = (Shop::new("north", 1), Shop::new("south", 2));
    // The delivery comes to the north, which lets the south sell four of the ten.
    north.stock.increment(10)?;
    north.stock.transfer(&south.id(), 4)?;
    north.meet(&mut south);

    // The line is cut, and it is a good day in the south.
    north.sell(3)?;
    south.sell(6)?;
    assert_eq!((north.stock.value(), south.stock.value()), (7, 6), "each sees its own sales");

    // They meet, the north gives, and the south goes on where it had to stop.
    north.meet(&mut south);
    north.answer()?;
    north.meet(&mut south);
    south.sell(2)?;
    // And once more without a line: whatever is asked for, no more than ten go.
    north.sell(5)?;
    south.sell(5)?;
    north.meet(&mut south);

    assert_eq!((north.sold + south.sold, north.stock.value()), (10, 0));
    assert!(north.stock == south.stock);
    println!("sold {} of 10, {} left", north.sold + south.sold, north.stock.value());
    Ok(())
}
