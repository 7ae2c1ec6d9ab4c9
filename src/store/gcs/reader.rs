//! An object as a stream: piece by piece, each tried again on its own, the whole checked at its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

use super::home::Home;
use super::setback::{Kind, Setback};
use super::transfer::{Version, changed};
use super::{Bucket, Verb};
use crate::store::StoreError;

/// A piece on its way.
type Coming = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

/// The bytes of one version of an object. Its last piece is handed on only after the sum of all was checked.
pub(super) struct Reader {
    bucket: Arc<Bucket>,
    home: Arc<Home>,
    name: String,
    version: Version,
    piece: Bytes,
    /// How much was fetched, and its CRC32C.
    fetched: u64,
    crc32c: u32,
    coming: Option<Coming>,
}

impl Reader {
    /// Begins with a first piece that was fetched already.
    pub fn new(bucket: Arc<Bucket>, home: Arc<Home>, name: String, first: Bytes, version: Version) -> Self {
        let (fetched, crc32c) = (first.len() as u64, crc32c::crc32c(&first));
        Self { bucket, home, name, version, piece: first, fetched, crc32c, coming: None }
    }

    fn fetch(&self) -> Coming {
        let (bucket, home, name) = (self.bucket.clone(), self.home.clone(), self.name.clone());
        let seen = (self.fetched, self.version);
        Box::pin(async move {
            let work = {
                let (bucket, name) = (bucket.clone(), name.clone());
                async move { bucket.fetch(&name, Some(seen)).await }
            };
            let fetched = home.run(work).await?;
            fetched.map(|(piece, _)| piece).map_err(|error| match error {
                StoreError::Missing { .. } => gone(&bucket, &name),
                error => io::Error::other(error),
            })
        })
    }

    /// Counts a piece in; the last one proves them all.
    fn take(&mut self, piece: Bytes) -> io::Result<()> {
        self.fetched += piece.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &piece);
        if self.fetched == self.version.size && self.crc32c != self.version.crc32c {
            return Err(io::Error::other(self.bucket.refusal(Verb::Read, &self.name, changed())));
        }
        self.piece = piece;
        Ok(())
    }
}

fn gone(bucket: &Bucket, name: &str) -> io::Error {
    let said = "it was replaced or deleted while it was being read";
    io::Error::other(bucket.refusal(Verb::Read, name, Setback::new(Kind::NoObject, said)))
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.piece.is_empty() && this.fetched < this.version.size {
            let mut coming = this.coming.take().unwrap_or_else(|| this.fetch());
            let Poll::Ready(piece) = coming.as_mut().poll(context) else {
                this.coming = Some(coming);
                return Poll::Pending;
            };
            this.take(piece?)?;
        }
        let length = this.piece.len().min(buffer.remaining());
        buffer.put_slice(&this.piece[..length]);
        this.piece.advance(length);
        Poll::Ready(Ok(()))
    }
}
