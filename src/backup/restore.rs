//! A backup to a side database: never into one that exists (invariant 5).
//!
//! A crash in mid-restore leaves the side database behind, incomplete, under the name that was given.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;
use tokio_postgres::Client;

use super::catalog::{copy_from, get, set_sequence};
use super::error::BackupError;
use super::fingerprint::take;
use super::manifest::{Chunk, Manifest, Object, Table};
use super::meter::Meter;
use super::name::{LARGE_OBJECTS, POST_DATA, PRE_DATA, Place};
use super::pinned;
use super::split::Splitter;
use super::unpack::unpack;
use super::verify::Mismatch;
use crate::event::Progress;
use crate::pg::{ConnInfo, Session, SessionOptions, quote_ident};
use crate::store::Store;

/// How a backup is restored.
#[derive(Debug, Clone)]
pub struct Options {
    /// What every session of it sets.
    pub session: SessionOptions,
    /// Connections that load rows at once; at least one.
    pub jobs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { session: SessionOptions::default(), jobs: 2 }
    }
}

/// A restored database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its name.
    pub database: String,
    /// Rows loaded.
    pub rows: u64,
    /// Bytes loaded, before compression.
    pub bytes: u64,
    /// How long it took: the honest recovery time.
    pub took: Duration,
}

/// Restores the backup into a new database `as_database`, on the server of `admin` (any database there that
/// the role may connect to; it must be allowed to create databases).
///
/// The database has the encoding, locale, tablespace and owner of the original; its settings, privileges,
/// comment and connection limit are set by [`apply_attributes`](super::attributes::apply_attributes), so that
/// whoever puts it in another's place can do so at the right moment. Every object is held against the
/// manifest before a statement of it runs, or before its rows are committed.
///
/// # Errors
/// If the database exists, a role is missing, an object is not what the manifest says, or the server
/// refuses. The side database is dropped again then; [`BackupError::LeftBehind`] names it if that failed too.
pub async fn restore(
    store: &dyn Store,
    manifest: &Manifest,
    admin: &ConnInfo,
    as_database: &str,
    options: &Options,
    progress: &Progress,
) -> Result<Restored, BackupError> {
    let began = Instant::now();
    let admin_session = pinned::open(admin, &options.session).await?;
    refuse_existing(&admin_session, as_database).await?;
    refuse_missing_roles(&admin_session, manifest).await?;
    admin_session
        .batch_execute(&manifest.database.create_statement(as_database))
        .await
        .map_err(|e| BackupError::sql(format!("create database {as_database:?}"), e))?;
    let filling = Filling {
        store,
        manifest,
        place: Place { environment: manifest.environment.clone(), id: manifest.id.clone() },
        target: admin.with_database(as_database),
        options,
        meter: Meter::new(progress, loaded_bytes(manifest)),
    };
    match filling.fill().await {
        Ok(rows) => Ok(Restored {
            database: as_database.to_string(),
            rows,
            bytes: loaded_bytes(manifest),
            took: began.elapsed(),
        }),
        Err(first) => match drop_database(&admin_session, as_database).await {
            Ok(()) => Err(first),
            Err(drop) => Err(BackupError::LeftBehind {
                first: Box::new(first),
                database: as_database.to_string(),
                drop: drop.to_string(),
            }),
        },
    }
}

/// Drops a side database of ours and ends whatever sessions are still in it.
pub(super) async fn drop_database(client: &Client, name: &str) -> Result<(), BackupError> {
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote_ident(name));
    client.batch_execute(&sql).await.map_err(|e| BackupError::sql(format!("drop database {name:?}"), e))
}

async fn refuse_existing(client: &Client, name: &str) -> Result<(), BackupError> {
    let sql = "SELECT FROM pg_catalog.pg_database WHERE datname = $1";
    match client.query_opt(sql, &[&name]).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(BackupError::DatabaseExists(name.to_string())),
        Err(error) => Err(BackupError::sql(format!("look for database {name:?}"), error)),
    }
}

async fn refuse_missing_roles(client: &Client, manifest: &Manifest) -> Result<(), BackupError> {
    let sql = "SELECT w.name FROM pg_catalog.unnest($1::pg_catalog.text[]) w(name) \
               WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = w.name) ORDER BY 1";
    let rows = client
        .query(sql, &[&manifest.roles])
        .await
        .map_err(|e| BackupError::sql("look for the backup's roles", e))?;
    let missing: Vec<String> = rows.iter().map(|row| get(row, 0)).collect::<Result<_, _>>()?;
    if missing.is_empty() { Ok(()) } else { Err(BackupError::RolesMissing(missing)) }
}

/// What [`Filling`] loads: definitions, rows, large objects.
fn loaded_bytes(manifest: &Manifest) -> u64 {
    let loaded = |object: &&Object| {
        object.name.starts_with("data/")
            || [PRE_DATA, POST_DATA, LARGE_OBJECTS].contains(&object.name.as_str())
    };
    manifest.objects.iter().filter(loaded).map(|object| object.raw_bytes).sum()
}

/// One side database on its way.
struct Filling<'a> {
    store: &'a dyn Store,
    manifest: &'a Manifest,
    place: Place,
    target: ConnInfo,
    options: &'a Options,
    meter: Meter,
}

impl Filling<'_> {
    /// Gives the number of rows.
    async fn fill(&self) -> Result<u64, BackupError> {
        self.run_sql(PRE_DATA, "definitions").await?;
        let rows = self.load_rows().await?;
        if self.manifest.object(LARGE_OBJECTS).is_some() {
            self.run_sql(LARGE_OBJECTS, "large objects").await?;
        }
        self.set_sequences().await?;
        self.run_sql(POST_DATA, "indexes and constraints").await?;
        self.meter.say("statistics");
        let session = self.session().await?;
        session.batch_execute("ANALYZE").await.map_err(|e| BackupError::sql("analyze the tables", e))?;
        Ok(rows)
    }

    /// A session on the side database. That it may lose its last commits in a server crash does not matter:
    /// a restore that was cut short is worth nothing anyway.
    async fn session(&self) -> Result<Session, BackupError> {
        let session = pinned::open(&self.target, &self.options.session).await?;
        session
            .batch_execute("SET synchronous_commit = off")
            .await
            .map_err(|e| BackupError::sql("prepare the session", e))?;
        Ok(session)
    }

    fn object(&self, name: &str) -> Result<&Object, BackupError> {
        let missing = || BackupError::Mismatch(Mismatch::Missing { object: name.to_string() });
        self.manifest.object(name).ok_or_else(missing)
    }

    /// Runs one object of SQL, statement by statement, each in a transaction of its own.
    async fn run_sql(&self, name: &str, what: &str) -> Result<(), BackupError> {
        self.meter.say(what);
        let object = self.object(name)?;
        let full_name = self.place.object(name);
        // Read to the end first: not one statement runs of text that was tampered with.
        unpack(self.store, &full_name, object, None).await?;
        let session = self.session().await?;
        let (sender, mut pieces) = mpsc::channel::<Bytes>(2);
        let run = async {
            let mut splitter = Splitter::default();
            while let Some(piece) = pieces.recv().await {
                splitter.push(&piece);
                while let Some(statement) = splitter.next() {
                    execute(&session, &statement, what).await?;
                }
                self.meter.add(piece.len() as u64);
            }
            match splitter.finish() {
                Some(statement) => execute(&session, &statement, what).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(unpack(self.store, &full_name, object, Some(sender)), run)?;
        Ok(())
    }

    /// All rows, by several workers that pull chunks, the biggest first.
    async fn load_rows(&self) -> Result<u64, BackupError> {
        let mut jobs = Vec::new();
        for table in &self.manifest.tables {
            for chunk in &table.chunks {
                jobs.push((self.object(&chunk.object)?, table, chunk));
            }
        }
        jobs.sort_by_key(|(object, _, _)| object.raw_bytes);
        let workers = self.options.jobs.clamp(1, jobs.len().max(1));
        let queue = Mutex::new(jobs);
        let worker = async || -> Result<u64, BackupError> {
            let session = self.session().await?;
            let mut rows = 0;
            while let Some((object, table, chunk)) = take(&queue) {
                self.meter.name(&table.table);
                self.load_chunk(&session, object, table, chunk).await?;
                rows += chunk.rows;
            }
            Ok(rows)
        };
        let rows: Vec<u64> =
            stream::iter(0..workers).map(|_| worker()).buffer_unordered(workers).try_collect().await?;
        Ok(rows.iter().sum())
    }

    async fn load_chunk(
        &self,
        session: &Client,
        object: &Object,
        table: &Table,
        chunk: &Chunk,
    ) -> Result<(), BackupError> {
        let refused = |source| BackupError::sql(format!("load table {}", table.table), source);
        let sink =
            session.copy_in::<_, Bytes>(&copy_from(&table.table, &table.columns)).await.map_err(refused)?;
        let mut sink = std::pin::pin!(sink);
        let (sender, mut pieces) = mpsc::channel::<Bytes>(2);
        let feed = async {
            while let Some(piece) = pieces.recv().await {
                self.meter.add(piece.len() as u64);
                sink.feed(piece).await.map_err(refused)?;
            }
            Ok(())
        };
        let full_name = self.place.object(&object.name);
        let (content, ()) = tokio::try_join!(unpack(self.store, &full_name, object, Some(sender)), feed)?;
        Mismatch::of_chunk(table, chunk, content).map_or(Ok(()), |m| Err(BackupError::Mismatch(m)))?;
        // Only now: until here an error, or a crash, takes the chunk's rows back.
        let rows = sink.finish().await.map_err(refused)?;
        if rows != chunk.rows {
            return Err(BackupError::Mismatch(Mismatch::Rows {
                object: chunk.object.clone(),
                table: table.table.clone(),
                expected: chunk.rows,
                found: rows,
            }));
        }
        Ok(())
    }

    async fn set_sequences(&self) -> Result<(), BackupError> {
        let session = self.session().await?;
        for batch in self.manifest.sequences.chunks(200) {
            let sql: String = batch.iter().map(set_sequence).collect();
            session.batch_execute(&sql).await.map_err(|e| BackupError::sql("set the sequences", e))?;
        }
        Ok(())
    }
}

async fn execute(session: &Client, statement: &[u8], what: &str) -> Result<(), BackupError> {
    let text = std::str::from_utf8(statement).map_err(|e| BackupError::Strange {
        what: format!("the {what} (not UTF-8)"),
        reason: e.to_string(),
    })?;
    session.batch_execute(text).await.map_err(|source| {
        let line = text.lines().find(|line| !line.is_empty() && !line.starts_with("--")).unwrap_or_default();
        let shown: String = line.chars().take(200).collect();
        BackupError::sql(format!("restore the {what}, at `{shown}`"), source)
    })
}
