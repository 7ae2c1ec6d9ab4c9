//! A database read for its content: all tables on one snapshot, by several sessions at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::catalog::{self, Pages, SourceTable};
use super::error::BackupError;
use super::fingerprint::{Content, RowHasher, TableContent, sequences};
use super::manifest::{Manifest, TableName};
use super::meter::Meter;
use super::pinned;
use super::queue::Queue;
use crate::event::Progress;
use crate::pg::{ConnInfo, SessionOptions};

/// How a database's content is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// What every session of it sets.
    pub session: SessionOptions,
    /// Connections at work at once; at least one.
    pub jobs: usize,
    /// Read these tables alone, as [`smallest`] chose them: a bounded sample, for a check that must be short.
    pub only: Option<BTreeSet<TableName>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { session: SessionOptions::default(), jobs: 2, only: None }
    }
}

/// The content of the whole database on one snapshot, tables in parallel.
///
/// # Errors
/// If the server refuses a read: a table that may not be read, or a row-security policy that would filter.
pub async fn database(
    info: &ConnInfo,
    options: &Options,
    progress: &Progress,
) -> Result<Content, BackupError> {
    content(info, None, options, progress).await
}

/// The content of a database that was restored from `manifest`: its tables read in the manifest's order of
/// columns, which may differ from the order in which they lie (a child table's, after a restore).
///
/// # Errors
/// As [`database`].
pub async fn database_as(
    info: &ConnInfo,
    manifest: &Manifest,
    options: &Options,
    progress: &Progress,
) -> Result<Content, BackupError> {
    content(info, Some(manifest), options, progress).await
}

/// The smallest tables of a database, as many as stay within `budget` bytes together. Two databases that are to be
/// compared are given the choice of one: sizes come and go with vacuum, in each for itself.
///
/// # Errors
/// If the catalog can't be read.
pub async fn smallest(
    info: &ConnInfo,
    session: &SessionOptions,
    budget: u64,
) -> Result<BTreeSet<TableName>, BackupError> {
    let main = pinned::open(info, session).await?;
    let tables = catalog::tables(&main).await?;
    Ok(within(tables.into_iter().map(|table| (table.bytes, table.table)).collect(), budget))
}

fn within(mut tables: Vec<(u64, TableName)>, budget: u64) -> BTreeSet<TableName> {
    tables.sort_unstable();
    let mut sum = 0u64;
    let fits = |(bytes, _): &(u64, TableName)| {
        sum = sum.saturating_add(*bytes);
        sum <= budget
    };
    tables.into_iter().take_while(fits).map(|(_, table)| table).collect()
}

async fn content(
    info: &ConnInfo,
    like: Option<&Manifest>,
    options: &Options,
    progress: &Progress,
) -> Result<Content, BackupError> {
    let main = pinned::open(info, &options.session).await?;
    let snapshot = pinned::begin_and_export(&main).await?;
    let mut tables = catalog::tables(&main).await?;
    if let Some(manifest) = like {
        reorder(&mut tables, manifest);
    }
    tables.retain(|table| options.only.as_ref().is_none_or(|only| only.contains(&table.table)));
    let meter = Meter::new(progress, tables.iter().map(|table| table.bytes).sum());
    let reading = Reading { info: info.clone(), session: options.session.clone(), snapshot };
    let rest = async { Ok((catalog::sequences(&main).await?, large_objects(&main).await?)) };
    let (tables, (found, large_objects)) =
        tokio::try_join!(read_tables(reading, tables, options.jobs, &meter), rest)?;
    Ok(Content { tables, sequences: sequences(&found), large_objects })
}

/// A part of a table, to be read.
struct Part {
    table: Arc<SourceTable>,
    pages: Option<Pages>,
    bytes: u64,
}

/// Large tables are read in parts of about this many bytes, by several sessions.
const PART: u64 = 32 << 20;

/// What every reading session is given.
#[derive(Clone)]
struct Reading {
    info: ConnInfo,
    session: SessionOptions,
    snapshot: String,
}

/// Reads all tables, the biggest parts first; each session is a task of its own, so that as many cores hash.
async fn read_tables(
    reading: Reading,
    tables: Vec<SourceTable>,
    jobs: usize,
    meter: &Meter,
) -> Result<BTreeMap<TableName, TableContent>, BackupError> {
    let mut parts = Vec::new();
    for table in tables.into_iter().map(Arc::new) {
        let part = |(pages, bytes)| Part { table: table.clone(), pages, bytes };
        parts.extend(table.parts(PART).into_iter().map(part));
    }
    parts.sort_by_key(|part| part.bytes);
    let workers = jobs.clamp(1, parts.len().max(1));
    let queue = Arc::new(Queue::new(parts));
    let (sender, mut done) = mpsc::unbounded_channel();
    // Dropped, it ends them all.
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let (reading, queue, sender) = (reading.clone(), queue.clone(), sender.clone());
        tasks.spawn(async move {
            if let Err(error) = read_parts(&reading, &queue, &sender).await {
                // Nobody listens when another has failed before.
                let _ = sender.send(Err(error));
            }
        });
    }
    drop(sender);
    let mut found: BTreeMap<TableName, TableContent> = BTreeMap::new();
    while let Some(read) = done.recv().await {
        let (part, content): (Part, TableContent) = read?;
        meter.name(&part.table.table);
        meter.add(part.bytes);
        *found.entry(part.table.counted_as().clone()).or_default() += content;
    }
    match tasks.join_all().await {
        // A part that nobody read would be missing in the sums.
        _ if !queue.rest().is_empty() => Err(BackupError::Thread("reading the tables".into())),
        _ => Ok(found),
    }
}

async fn read_parts(
    reading: &Reading,
    queue: &Queue<Part>,
    done: &mpsc::UnboundedSender<Result<(Part, TableContent), BackupError>>,
) -> Result<(), BackupError> {
    let client = pinned::join(&reading.info, &reading.session, &reading.snapshot).await?;
    while let Some(part) = queue.take() {
        let what = format!("table {}", part.table.table);
        let content = hash_copy(&client, &part.table.copy_to(part.pages), &what).await?;
        if done.send(Ok((part, content))).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn reorder(tables: &mut [SourceTable], manifest: &Manifest) {
    let known: BTreeMap<&TableName, &Vec<String>> =
        manifest.tables.iter().map(|table| (&table.table, &table.columns)).collect();
    let set = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
    for table in tables {
        // Columns that differ are left as they are: then the content differs, which is true.
        if let Some(columns) = known.get(&table.table).filter(|known| set(known) == set(&table.columns)) {
            table.columns.clone_from(columns);
        }
    }
}

/// The content of all large objects, cut into pieces of 1 MB each: object, number of the piece, bytes.
pub(super) async fn large_objects(client: &Client) -> Result<Option<TableContent>, BackupError> {
    const PIECES: &str = "COPY (SELECT m.oid, p.n, \
         pg_catalog.lo_get(m.oid, p.n * 1048576, 1048576) \
         FROM pg_catalog.pg_largeobject_metadata m \
         CROSS JOIN LATERAL (SELECT pg_catalog.lo_lseek64(o.fd, 0, 2) AS size FROM \
             (SELECT pg_catalog.lo_open(m.oid, 262144) AS fd OFFSET 0) o OFFSET 0) s \
         CROSS JOIN LATERAL pg_catalog.generate_series(0, greatest(s.size - 1, 0) / 1048576) p(n)) TO STDOUT";
    let content = hash_copy(client, PIECES, "large objects").await?;
    Ok((content.rows > 0).then_some(content))
}

async fn hash_copy(client: &Client, copy: &str, what: &str) -> Result<TableContent, BackupError> {
    let refused = |source| BackupError::sql(format!("read {what}"), source);
    let rows = client.copy_out(copy).await.map_err(refused)?;
    let mut rows = std::pin::pin!(rows);
    let mut hasher = RowHasher::default();
    while let Some(row) = rows.next().await {
        hasher.update(&row.map_err(refused)?);
    }
    hasher.finish().ok_or_else(|| BackupError::CutRow(what.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_stays_within_its_budget() {
        let sample = |sizes: &[(&str, u64)], budget| {
            let tables =
                sizes.iter().map(|(name, bytes)| (*bytes, TableName::new("public", *name))).collect();
            within(tables, budget).into_iter().map(|table| table.name).collect::<String>()
        };
        let tables = [("d", 100), ("c", 3), ("a", 1), ("b", 2)];
        assert_eq!(
            (sample(&tables, 10), sample(&tables, 5), sample(&tables, 106)),
            ("abc".into(), "ab".into(), "abcd".into())
        );
        assert_eq!(sample(&[("a", 5), ("b", 5), ("c", 5)], 10), "ab");
        assert_eq!(sample(&[("a", 0), ("b", 8192)], 10), "a");
        assert_eq!(sample(&[], 10), "");
    }
}
