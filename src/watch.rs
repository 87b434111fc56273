//! The latest value, whenever it may have changed. A slow reader skips what lies between, and holds up nobody.

use futures::Stream;
use rejoin_core::row::RowKey;
use rejoin_net::replica::{News, Replica};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::Result;

type Read<T> = Box<dyn Fn() -> Result<T> + Send + Sync>;
type Wants = Box<dyn Fn(&News) -> bool + Send + Sync>;

/// See the module page. Only changes that are on this disk are told.
pub struct Watch<T> {
    news: broadcast::Receiver<News>,
    wants: Wants,
    read: Read<T>,
    /// The first value is told without anything having to happen.
    first: bool,
}

impl<T> Watch<T> {
    pub(crate) fn new(
        replica: &Replica,
        wants: impl Fn(&News) -> bool + Send + Sync + 'static,
        read: impl Fn() -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        Self { news: replica.news(), wants: Box::new(wants), read: Box::new(read), first: true }
    }

    pub(crate) fn on_rows(
        replica: &Replica,
        is_mine: impl Fn(&RowKey) -> bool + Send + Sync + 'static,
        read: impl Fn() -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        let wants = move |news: &News| matches!(news, News::Changed { rows, more } if *more || rows.iter().any(&is_mine));
        Self::new(replica, wants, read)
    }

    /// The value now.
    pub fn get(&self) -> Result<T> {
        (self.read)()
    }

    /// The value now the first time, then whenever it may have changed. `None` when the node is closed, or when the
    /// value cannot be read any more; [`Watch::get`] then says why.
    pub async fn next(&mut self) -> Option<T> {
        if !std::mem::take(&mut self.first) {
            self.changed().await?;
        }
        self.get().ok()
    }

    /// The same as a stream.
    pub fn stream(self) -> impl Stream<Item = T> {
        futures::stream::unfold(self, |mut watch| async move { Some((watch.next().await?, watch)) })
    }

    async fn changed(&mut self) -> Option<()> {
        loop {
            match self.news.recv().await {
                Ok(News::Closed) => return None,
                Ok(news) if (self.wants)(&news) => break,
                Ok(_) => {}
                // What was missed may have been about this.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return None,
            }
        }
        // What came meanwhile is in the value that is read next.
        loop {
            match self.news.try_recv() {
                Ok(News::Closed) => return None,
                Ok(_) | Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(()),
            }
        }
    }
}
