//! Read models: what an app makes of the change feed, in a database of its own.

use rejoin_core::feed::Cursor;

use crate::{Changed, Error, Feed, Result, Scope, Space, Step};

/// A read model of an app's own: tables in SQLite, a search index, totals in memory.
///
/// What makes it right whatever crashes: `apply` takes changes and cursor in **one transaction**. Then what the model holds
/// and the place that it names belong together at any moment, and no change is missed or taken twice.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> rejoin::Result<()> {
/// use std::collections::BTreeMap;
/// use rejoin::{Changed, Cursor, Error, Node, Projection, Result, Scope};
///
/// /// How many open tasks each person has.
/// #[derive(Default)]
/// struct Open(BTreeMap<String, i64>, Option<Cursor>);
///
/// impl Projection for Open {
///     type Error = Error;
///
///     fn cursor(&mut self) -> Result<Option<Cursor>> {
///         Ok(self.1)
///     }
///
///     fn clear(&mut self) -> Result<()> {
///         *self = Self::default();
///         Ok(())
///     }
///
///     fn apply(&mut self, changes: &[Changed], cursor: Option<Cursor>) -> Result<()> {
///         for change in changes {
///             if let Some(before) = &change.before {
///                 *self.0.entry(before.read()?).or_default() -= 1;
///             }
///             if let Some(after) = &change.after {
///                 *self.0.entry(after.read()?).or_default() += 1;
///             }
///         }
///         self.1 = cursor;
///         Ok(())
///     }
/// }
///
/// let node = Node::memory().await?;
/// let board = node.create("board").await?;
/// let owner = board.map::<String, String>("owner");
/// let mut open = Open::default();
/// owner.put("t1".into(), "ada".into()).await?;
/// board.project_now(Scope::Space, &mut open).await?;
/// owner.put("t1".into(), "bo".into()).await?;
/// owner.put("t2".into(), "bo".into()).await?;
/// board.project_now(Scope::Space, &mut open).await?;
/// assert_eq!(open.0.into_iter().filter(|(_, tasks)| *tasks != 0).collect::<Vec<_>>(), [("bo".into(), 2)]);
/// # Ok(())
/// # }
/// ```
pub trait Projection {
    /// What can go wrong with the model.
    type Error: From<Error>;

    /// The place that it has reached; `None` when it is empty, or was left while it began anew.
    fn cursor(&mut self) -> Result<Option<Cursor>, Self::Error>;

    /// Forgets everything, the place too, in one transaction. Rows come after it as if they were new.
    fn clear(&mut self) -> Result<(), Self::Error>;

    /// Takes changes, oldest first, and keeps the place behind them, in one transaction. `None` while it begins anew: what it
    /// holds is not all of anything, and it has no place yet.
    fn apply(&mut self, changes: &[Changed], cursor: Option<Cursor>) -> Result<(), Self::Error>;
}

impl Space {
    /// Keeps a read model level with this space, until the node is closed or something fails. Changes arrive in the order in
    /// which they became durable here; see [`Projection`].
    pub async fn project<P: Projection>(&self, scope: Scope, model: &mut P) -> Result<(), P::Error> {
        let mut feed = self.feed(scope, model.cursor()?).await?;
        while let Some(step) = feed.next().await? {
            take(model, step)?;
        }
        Ok(())
    }

    /// Brings a read model level with what is on this disk now.
    pub async fn project_now<P: Projection>(&self, scope: Scope, model: &mut P) -> Result<(), P::Error> {
        let mut feed: Feed = self.feed(scope, model.cursor()?).await?;
        while let Some(step) = feed.ready()? {
            take(model, step)?;
        }
        Ok(())
    }
}

fn take<P: Projection>(model: &mut P, step: Step) -> Result<(), P::Error> {
    match step {
        Step::Changes(page) => model.apply(&page.changes, Some(page.cursor)),
        Step::Anew(anew) => {
            model.clear()?;
            anew.visit(&mut |rows| model.apply(rows, None))?;
            model.apply(&[], Some(anew.cursor))
        }
    }
}
