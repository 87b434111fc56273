//! Secondary indexes of a map, and queries on them.

use std::marker::PhantomData;
use std::ops::{Bound, ControlFlow};

use rejoin_core::crdt::LwwMapView;
use rejoin_core::engine::Reader;
use rejoin_core::index::IndexSpec;
use rejoin_core::row::Kind;
use rejoin_core::value::{Span, decode_element, encode_element, to_value};
use rejoin_core::{Value, row::Entry};
use rejoin_net::replica::Storage;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{At, typed};
use crate::{Error, Map, Result, Watch};

/// A secondary index: the entries of a map in the order of fields of their values. See [`Map::index`].
#[derive(Debug)]
pub struct Index<K, V> {
    at: At<LwwMapView>,
    spec: IndexSpec,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for Index<K, V> {
    fn clone(&self) -> Self {
        Self { at: self.at.clone(), spec: self.spec.clone(), types: PhantomData }
    }
}

impl<K, V> Map<K, V>
where
    K: Serialize + DeserializeOwned + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    /// The entries of this map in the order of one or more fields of their values: names as serde writes them, those of
    /// nested values joined by `/`, or an empty text for the value itself. So the first fifty are found without reading the
    /// others, however many there are:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> rejoin::Result<()> {
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Debug, PartialEq, Serialize, Deserialize)]
    /// struct Task { owner: String, due: i64 }
    ///
    /// # let board = rejoin::Node::memory().await?.create("board").await?;
    /// let tasks = board.map::<String, Task>("tasks");
    /// let by_owner = tasks.index(&["owner", "due"]).await?;
    /// tasks.put("t1".into(), Task { owner: "ada".into(), due: 7 }).await?;
    /// tasks.put("t2".into(), Task { owner: "ada".into(), due: 3 }).await?;
    /// tasks.put("t3".into(), Task { owner: "bo".into(), due: 1 }).await?;
    /// let next: Vec<String> = by_owner.query().equal("ada").to(5).limit(50).keys()?;
    /// assert_eq!(next, ["t2"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// An index is kept by this device alone, in the transactions that change its map, wherever they were made; it shows own
    /// writes at once. It stays until it is [dropped](Index::drop). The first call reads the whole map, a few thousand
    /// entries a transaction, while everything goes on; later ones find it there. It costs each change of the map a look at
    /// its value, and two small rows where a field has changed.
    ///
    /// Values are ordered by kind (nothing, truth values, whole numbers, fractions, times, text, bytes), then by size; text byte
    /// by byte, by its first 256 bytes. A value without the field comes first. Where values were written at the same time,
    /// the one that [`Map::get`] shows counts.
    pub async fn index(&self, fields: &[&str]) -> Result<Index<K, V>> {
        let path = self.0.view()?.object();
        let path = path.row(&[])?.path().to_owned();
        let spec = IndexSpec::new(Kind::LWW_MAP, &path, fields)?;
        while !self.0.space.replica().build_index(&spec).await?? {}
        Ok(Index { at: self.0.clone(), spec, types: PhantomData })
    }
}

impl<K, V> Index<K, V>
where
    K: Serialize + DeserializeOwned + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    /// A query for all entries, to be narrowed.
    pub fn query(&self) -> Query<K, V> {
        Query {
            index: self.clone(),
            equal: Vec::new(),
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            starting: None,
            after: None,
            back: false,
            limit: usize::MAX,
            error: None,
        }
    }

    /// Drops the index: its space is free again, and changes of the map cost what they did.
    pub async fn drop(self) -> Result<()> {
        while !self.at.space.replica().drop_index(&self.spec).await?? {}
        Ok(())
    }
}

/// Which entries of an index are wanted. Nothing is read before [`Query::entries`] or [`Query::watch`].
#[derive(Debug)]
#[must_use = "a query reads nothing until it is asked for `entries`, `keys` or `watch`"]
pub struct Query<K, V> {
    index: Index<K, V>,
    equal: Vec<Value>,
    from: Bound<Value>,
    to: Bound<Value>,
    starting: Option<String>,
    after: Option<Vec<u8>>,
    back: bool,
    limit: usize,
    error: Option<Error>,
}

impl<K, V> Query<K, V>
where
    K: Serialize + DeserializeOwned + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Value {
        to_value(value).unwrap_or_else(|error| {
            self.error = Some(Error::Data(error.into()));
            Value::Null
        })
    }

    /// Those whose next field is this. The first call is about the first field, a second one about the second.
    pub fn equal<T: Serialize>(mut self, value: T) -> Self {
        let value = self.value(&value);
        self.equal.push(value);
        self
    }

    /// Those whose next field is at least this.
    pub fn from<T: Serialize>(mut self, value: T) -> Self {
        self.from = Bound::Included(self.value(&value));
        self
    }

    /// Those whose next field is more than this.
    pub fn above<T: Serialize>(mut self, value: T) -> Self {
        self.from = Bound::Excluded(self.value(&value));
        self
    }

    /// Those whose next field is at most this.
    pub fn to<T: Serialize>(mut self, value: T) -> Self {
        self.to = Bound::Included(self.value(&value));
        self
    }

    /// Those whose next field is less than this.
    pub fn below<T: Serialize>(mut self, value: T) -> Self {
        self.to = Bound::Excluded(self.value(&value));
        self
    }

    /// Those whose next field is text that begins so. Bounds are not looked at then.
    pub fn starting(mut self, text: &str) -> Self {
        self.starting = Some(text.to_owned());
        self
    }

    /// The largest first.
    pub const fn backwards(mut self) -> Self {
        self.back = true;
        self
    }

    /// No more than so many.
    pub const fn limit(mut self, most: usize) -> Self {
        self.limit = most;
        self
    }

    /// Those behind an entry that a query gave before, in this order: the next page.
    pub fn after(mut self, key: &K, value: &V) -> Self {
        let (key, value) = (self.value(key), self.value(value));
        match encode_element(&key) {
            Ok(element) => self.after = Some(self.index.spec.place(&value, &element)),
            Err(error) => self.error = Some(Error::Data(error.into())),
        }
        self
    }

    fn span(&self) -> Span {
        let mut span = match &self.starting {
            Some(text) => Span::starting(&self.equal, text),
            None => Span::between(&self.equal, self.from.as_ref(), self.to.as_ref()),
        };
        match &self.after {
            // What lies behind a place begins with the shortest bytes above it.
            Some(place) if !self.back => span.first = span.first.max([place.as_slice(), &[0]].concat()),
            Some(place) if span.end.as_ref().is_none_or(|end| place < end) => span.end = Some(place.clone()),
            _ => {}
        }
        span
    }

    /// What it finds in a snapshot or now.
    pub(crate) fn find<T>(
        &self,
        reader: &Reader<'_, Storage>,
        mut take: impl FnMut(Value, &Entry) -> Result<T>,
    ) -> Result<Vec<T>> {
        if let Some(error) = &self.error {
            return Err(Error::Query(error.to_string()));
        }
        let (mut found, mut failed) = (Vec::new(), None);
        if self.limit == 0 {
            return Ok(found);
        }
        let is_there =
            reader.scan_index(&self.index.spec, &self.span(), self.back, &mut |row, entries| {
                let Some(newest) = entries.iter().max_by_key(|entry| entry.rank()) else {
                    return ControlFlow::Continue(());
                };
                match decode_element(row.element()).map_err(Error::from).and_then(|key| take(key, newest)) {
                    Ok(one) => found.push(one),
                    Err(error) => failed = Some(error),
                }
                let is_done = failed.is_some() || found.len() == self.limit;
                if is_done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        match failed {
            Some(error) => Err(error),
            None if !is_there => Err(Error::NoIndex),
            None => Ok(found),
        }
    }

    pub(crate) fn entries_in(&self, reader: &Reader<'_, Storage>) -> Result<Vec<(K, V)>> {
        self.find(reader, |key, entry| {
            let value = Value::decode(entry.payload.value())?;
            Ok((typed(key)?, typed(value)?))
        })
    }

    /// Keys and values that it finds, in order.
    pub fn entries(&self) -> Result<Vec<(K, V)>> {
        self.index.at.space.replica().read(|reader| self.entries_in(reader))
    }

    /// Keys alone.
    pub fn keys(&self) -> Result<Vec<K>> {
        self.index.at.space.replica().read(|reader| self.find(reader, |key, _| typed(key)))
    }

    /// What it finds, whenever that may have changed; first as it is. A live query: each time costs what the query does.
    pub fn watch(self) -> Watch<Vec<(K, V)>>
    where
        K: Send + Sync,
        V: Send + Sync,
    {
        let at = self.index.at.clone();
        at.watch(move |_| self.entries())
    }
}
