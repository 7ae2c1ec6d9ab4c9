//! The rows, by several sessions that pull objects, the biggest first.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;
use tokio_postgres::{Client, CopyInSink};

use super::{Extent, Filling};
use crate::backup::catalog::copy_from;
use crate::backup::error::BackupError;
use crate::backup::manifest::{Chunk, DataObject, Object, Table};
use crate::backup::mismatch::Mismatch;
use crate::backup::pack::PIECE;
use crate::backup::queue::Queue;
use crate::backup::unpack::{Chunks, unpack, unpack_whole};

impl Filling<'_> {
    /// Loads the rows of the tables that are wanted, wave after wave; gives how many there were.
    pub(super) async fn load_rows(&self, extent: &Extent) -> Result<u64, BackupError> {
        let mut rows = 0;
        for wave in self.manifest.waves().into_values() {
            rows += self.load_wave(wave, extent).await?;
        }
        Ok(rows)
    }

    async fn load_wave(&self, wave: Vec<DataObject<'_>>, extent: &Extent) -> Result<u64, BackupError> {
        let wanted =
            |(_, chunks): &DataObject<'_>| chunks.iter().any(|(table, _)| extent.holds(&table.table));
        let mut jobs: Vec<DataObject<'_>> = wave.into_iter().filter(wanted).collect();
        jobs.sort_by_key(|(object, _)| object.raw_bytes);
        let workers = self.options.jobs.clamp(1, jobs.len().max(1));
        let queue = Queue::new(jobs);
        let worker = async || -> Result<u64, BackupError> {
            let session = self.session().await?;
            let mut rows = 0;
            while let Some((object, chunks)) = queue.take() {
                rows += match chunks[..] {
                    [(table, chunk)] => self.stream(&session, object, table, chunk).await?,
                    _ => self.load_shared(&session, object, &chunks, extent).await?,
                };
            }
            Ok(rows)
        };
        let rows: Vec<u64> =
            stream::iter(0..workers).map(|_| worker()).buffer_unordered(workers).try_collect().await?;
        Ok(rows.iter().sum())
    }

    /// An object that one table has for itself goes through in pieces, whatever its size.
    async fn stream(
        &self,
        session: &Client,
        object: &Object,
        table: &Table,
        chunk: &Chunk,
    ) -> Result<u64, BackupError> {
        self.meter.name(&table.table);
        let refused = |source| refused(table, source);
        let mut sink = std::pin::pin!(self.begin(session, table).await?);
        let (sender, mut pieces) = mpsc::channel::<Bytes>(2);
        let feed = async {
            while let Some(piece) = pieces.recv().await {
                self.meter.add(piece.len() as u64);
                sink.feed(piece).await.map_err(refused)?;
            }
            Ok(())
        };
        let (full_name, chunks) = (self.place.object(&object.name), [(table, chunk)]);
        tokio::try_join!(unpack(self.store, &full_name, object, &chunks, Some(sender)), feed)?;
        // Only now: until here an error, or a crash, takes the chunk's rows back.
        let rows = sink.finish().await.map_err(refused)?;
        expect_rows(table, chunk, rows)
    }

    /// An object that small tables share is small, too: it is proven whole, then each table takes its part.
    async fn load_shared(
        &self,
        session: &Client,
        object: &Object,
        chunks: &Chunks<'_>,
        extent: &Extent,
    ) -> Result<u64, BackupError> {
        let text = unpack_whole(self.store, &self.place.object(&object.name), object, chunks).await?;
        let mut rows = 0;
        for (table, chunk) in chunks.iter().filter(|(table, _)| extent.holds(&table.table)) {
            self.meter.name(&table.table);
            let refused = |source| refused(table, source);
            let mut part = slice(&text, chunk)?;
            let mut sink = std::pin::pin!(self.begin(session, table).await?);
            while !part.is_empty() {
                let piece = part.split_to(part.len().min(PIECE));
                self.meter.add(piece.len() as u64);
                sink.feed(piece).await.map_err(refused)?;
            }
            rows += expect_rows(table, chunk, sink.finish().await.map_err(refused)?)?;
        }
        Ok(rows)
    }

    async fn begin(&self, session: &Client, table: &Table) -> Result<CopyInSink<Bytes>, BackupError> {
        let statement = copy_from(table, &self.manifest.database.encoding);
        session.copy_in(&statement).await.map_err(|source| refused(table, source))
    }
}

fn refused(table: &Table, source: tokio_postgres::Error) -> BackupError {
    BackupError::sql(format!("load table {}", table.table), source)
}

/// The chunk's part of its object's text.
fn slice(text: &Bytes, chunk: &Chunk) -> Result<Bytes, BackupError> {
    let end = chunk.from.checked_add(chunk.bytes).and_then(|end| usize::try_from(end).ok());
    match (usize::try_from(chunk.from), end) {
        (Ok(from), Some(end)) if end <= text.len() => Ok(text.slice(from..end)),
        _ => Err(BackupError::Mismatch(Mismatch::RawSize {
            object: chunk.object.clone(),
            expected: chunk.from.saturating_add(chunk.bytes),
            found: text.len() as u64,
        })),
    }
}

fn expect_rows(table: &Table, chunk: &Chunk, found: u64) -> Result<u64, BackupError> {
    if found == chunk.rows {
        return Ok(found);
    }
    Err(BackupError::Mismatch(Mismatch::Rows {
        object: chunk.object.clone(),
        table: table.table.clone(),
        expected: chunk.rows,
        found,
    }))
}
