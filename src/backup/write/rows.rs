//! The rows of all tables, by several workers on one snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures_util::StreamExt;
use tokio_postgres::Client;

use super::outbox::{self, Outbox};
use super::plan::{Job, Piece, plan};
use super::source::{BRIEFLY, Source};
use super::thread;
use super::{Options, Target};
use crate::backup::catalog::SourceTable;
use crate::backup::error::BackupError;
use crate::backup::manifest::{Chunk, Object};
use crate::backup::meter::Meter;
use crate::backup::name;
use crate::backup::pack::{FULL, Packer};
use crate::backup::pinned;
use crate::backup::queue::Queue;
use crate::pg::ConnInfo;

/// What was written.
#[derive(Default)]
pub(super) struct Written {
    pub objects: Vec<Object>,
    /// Each with its place among its table's.
    pub chunks: Vec<(Piece, Chunk)>,
}

/// What all workers share.
struct Shared {
    info: ConnInfo,
    options: Options,
    exported: String,
    tables: Arc<Vec<SourceTable>>,
    meter: Meter,
    jobs: Queue<Job>,
    /// Pieces whose table someone's DDL waits for: left to the session that has its lock already.
    held_up: Queue<Piece>,
    /// Objects so far: the next one's number.
    number: AtomicU64,
}

/// Copies all rows; the biggest pieces first.
///
/// # Errors
/// If the server refuses a read, or the store an object.
pub(super) async fn copy_tables(
    info: &ConnInfo,
    source: &Source,
    target: &Target<'_>,
    tables: &Arc<Vec<SourceTable>>,
    options: &Options,
    meter: Meter,
) -> Result<Written, BackupError> {
    let jobs = plan(tables, options.chunk_bytes);
    let workers = options.jobs.clamp(1, jobs.len().max(1));
    let shared = Arc::new(Shared {
        info: info.clone(),
        options: options.clone(),
        exported: source.exported.clone(),
        tables: Arc::clone(tables),
        meter,
        jobs: Queue::new(jobs),
        held_up: Queue::new(Vec::new()),
        number: AtomicU64::new(0),
    });
    let start = |(), outbox: Outbox| {
        let shared = Arc::clone(&shared);
        thread::spawn(outbox, |outbox| async move { work(&shared, outbox).await })
    };
    let mut written = outbox::run(target.store, target.place, vec![(); workers], start).await?;
    let held_up = shared.held_up.rest();
    if !held_up.is_empty() {
        let start = |pieces: Vec<Piece>, outbox: Outbox| {
            let (shared, main) = (Arc::clone(&shared), Arc::clone(&source.main));
            thread::spawn(outbox, |outbox| async move { finish(&shared, &main, outbox, pieces).await })
        };
        written.extend(outbox::run(target.store, target.place, vec![held_up], start).await?);
    }
    let mut all = Written::default();
    for one in written {
        all.objects.extend(one.objects);
        all.chunks.extend(one.chunks);
    }
    Ok(all)
}

/// One worker: a session on the snapshot, and an object in the making.
async fn work(shared: &Shared, outbox: Outbox) -> Result<Written, BackupError> {
    let client = pinned::join(&shared.info, &shared.options.session, &shared.exported).await?;
    let begin = format!("SET LOCAL lock_timeout = {}; SAVEPOINT piece", BRIEFLY.as_millis());
    client.batch_execute(&begin).await.map_err(|e| BackupError::sql("begin to read", e))?;
    let mut copier = Copier::new(shared, outbox);
    while let Some(job) = shared.jobs.take() {
        for piece in &job.pieces {
            match copier.copy(&client, piece, job.is_shared()).await {
                Err(error) if error.is_lock_timeout() => {
                    shared.held_up.push(*piece);
                    let back = "ROLLBACK TO piece";
                    client.batch_execute(back).await.map_err(|e| BackupError::sql("leave a table", e))?;
                }
                copied => copied?,
            }
        }
        copier.seal().await?;
    }
    copier.finish().await
}

/// Copies what was left over. The first session has every table's lock since before the snapshot, and waits
/// for nobody.
async fn finish(
    shared: &Shared,
    main: &Client,
    outbox: Outbox,
    pieces: Vec<Piece>,
) -> Result<Written, BackupError> {
    let mut copier = Copier::new(shared, outbox);
    for piece in &pieces {
        copier.copy(main, piece, false).await?;
        copier.seal().await?;
    }
    copier.finish().await
}

/// Packs rows into objects.
struct Copier<'a> {
    shared: &'a Shared,
    outbox: Outbox,
    open: Option<Open>,
    written: Written,
}

/// The object in the making.
struct Open {
    name: String,
    packer: Packer,
    /// Where the chunk in the making begins.
    from: u64,
}

impl<'a> Copier<'a> {
    fn new(shared: &'a Shared, outbox: Outbox) -> Self {
        Self { shared, outbox, open: None, written: Written::default() }
    }

    /// Copies one piece of a table, into the open object and as many more as it fills.
    async fn copy(&mut self, client: &Client, piece: &Piece, is_shared: bool) -> Result<(), BackupError> {
        let table = &self.shared.tables[piece.table];
        let refused = |source| BackupError::sql(format!("read table {}", table.table), source);
        self.shared.meter.name(&table.table);
        let rows = client.copy_out(&table.copy_to(piece.pages)).await.map_err(refused)?;
        let mut rows = std::pin::pin!(rows);
        let mut share = self.shared.meter.share(piece.bytes);
        while let Some(row) = rows.next().await {
            let row = row.map_err(refused)?;
            share.add(row.len() as u64);
            let open = self.open()?;
            open.packer.put(&row).map_err(unpackable)?;
            // The server sends a row as a message; a newline within one would be escaped.
            if open.is_full(is_shared) && row.ends_with(b"\n") {
                self.end_chunk(piece)?;
                self.seal().await?;
            }
        }
        share.finish();
        self.end_chunk(piece)
    }

    fn open(&mut self) -> Result<&mut Open, BackupError> {
        Ok(match &mut self.open {
            Some(open) => open,
            none => {
                let number = self.shared.number.fetch_add(1, Relaxed) + 1;
                let codec = self.shared.options.codec;
                none.insert(Open {
                    name: name::data(number, codec),
                    packer: Packer::new(codec).map_err(unpackable)?,
                    from: 0,
                })
            }
        })
    }

    /// Notes the rows since the last chunk as one of `piece`; none, if there are none.
    fn end_chunk(&mut self, piece: &Piece) -> Result<(), BackupError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let table = &self.shared.tables[piece.table].table;
        let content = open.packer.end_chunk().map_err(unpackable)?;
        let content = content.ok_or_else(|| BackupError::CutRow(format!("table {table}")))?;
        let (from, end) = (open.from, open.packer.raw_bytes());
        if end > from {
            open.from = end;
            let (rows, fingerprint) = (content.rows, content.fingerprint);
            let chunk = Chunk { object: open.name.clone(), from, bytes: end - from, rows, fingerprint };
            self.written.chunks.push((*piece, chunk));
        }
        Ok(())
    }

    /// Hands the open object over.
    async fn seal(&mut self) -> Result<(), BackupError> {
        if let Some(Open { name, packer, .. }) = self.open.take() {
            let packed = packer.finish().map_err(unpackable)?;
            self.written.objects.push(self.outbox.send(name, packed).await?);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Written, BackupError> {
        self.outbox.settle().await?;
        Ok(self.written)
    }
}

impl Open {
    /// By its stored bytes; but one of several tables by its text, for it is held in memory when it is read.
    fn is_full(&self, is_shared: bool) -> bool {
        self.packer.stored_bytes() >= FULL || is_shared && self.packer.raw_bytes() >= FULL as u64
    }
}

fn unpackable(source: std::io::Error) -> BackupError {
    BackupError::Stream { verb: "pack", object: "rows".to_string(), source }
}
