//! A store that is not waited for for ever: a file system that hangs gives no error.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use super::{Created, Entry, Store, StoreError};
use crate::time::show_duration;

/// A store, and for how long one call may be without an answer.
#[derive(Debug)]
pub(super) struct Patient {
    store: Arc<dyn Store>,
    patience: Duration,
}

impl Patient {
    /// `store`, whose every call is given up after `patience`: what it was to do may still be done later.
    pub fn over(store: Arc<dyn Store>, patience: Duration) -> Self {
        Self { store, patience }
    }

    async fn bound<T>(
        &self,
        verb: &'static str,
        name: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let answered = timeout(self.patience, call).await;
        answered.unwrap_or_else(|_| Err(StoreError::io(verb, name, self.late())))
    }

    fn late(&self) -> io::Error {
        late(self.patience, &self.store.url())
    }
}

/// Nothing came within `patience`.
pub(super) fn late(patience: Duration, url: &str) -> io::Error {
    let why = format!("no answer within {}; the store is {url}", show_duration(patience));
    io::Error::new(io::ErrorKind::TimedOut, why)
}

#[async_trait::async_trait]
impl Store for Patient {
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, StoreError> {
        self.bound("write", name, self.store.create(name, bytes)).await
    }

    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.bound("write", name, self.store.replace(name, bytes)).await
    }

    async fn reader(&self, name: &str) -> Result<Pin<Box<dyn AsyncRead + Send>>, StoreError> {
        let reader = self.bound("read", name, self.store.reader(name)).await?;
        let (url, patience) = (self.store.url(), self.patience);
        Ok(Box::pin(Reader { reader, patience, url, since: None }))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.bound("list", prefix, self.store.list(prefix)).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.bound("delete", name, self.store.delete(name)).await
    }

    fn url(&self) -> String {
        self.store.url()
    }
}

/// An object that is read: between two pieces of it no more time may pass than between call and answer.
struct Reader {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    patience: Duration,
    url: String,
    since: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(read) = this.reader.as_mut().poll_read(cx, buffer) {
            this.since = None;
            return Poll::Ready(read);
        }
        let patience = this.patience;
        let over = this.since.get_or_insert_with(|| Box::pin(sleep(patience)));
        over.as_mut().poll(cx).map(|()| Err(late(patience, &this.url)))
    }
}
