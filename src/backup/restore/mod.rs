//! A backup to a side database: never into one that exists (invariant 5).
//!
//! A crash in mid-restore leaves the side database behind, incomplete, under the name that was given.
//!
//! | room | its job |
//! | --- | --- |
//! | `roles` | the roles that the backup names: there, missing, created |
//! | `pattern`, `selection` | which tables' rows are wanted |
//! | `sql` | pg_dump's text, statement by statement |
//! | `rows` | the rows, by several sessions at once |
//! | `statement`, `order` | what runs after the rows, in which order, what beside what (pure) |
//! | `post_data` | indexes, constraints and all that follows, by several sessions at once |
//! | `analyze` | statistics |

pub(super) mod analyze;
mod order;
mod pattern;
mod post_data;
mod roles;
mod rows;
mod selection;
mod sql;
mod statement;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

pub use pattern::TablePattern;
pub use roles::RoleRefused;
pub(super) use statement::without_comments;

use super::error::BackupError;
use super::manifest::{Manifest, Object, Table, TableName};
use super::meter::Meter;
use super::mismatch::Mismatch;
use super::name::{POST_DATA, PRE_DATA, Place, is_data, is_large_objects};
use super::pinned;
use crate::event::Progress;
use crate::pg::{ConnInfo, Session, SessionOptions, drop_database};
use crate::store::Store;

/// How a backup is restored.
#[derive(Debug, Clone)]
pub struct Options {
    /// What every session of it sets.
    pub session: SessionOptions,
    /// Connections at work at once; at least one.
    pub jobs: usize,
    /// Which rows.
    pub rows: Rows,
    /// Whether roles that the server lacks are created from the backup's own definitions, without passwords.
    /// Roles that exist are never altered.
    pub create_roles: bool,
}

/// Which rows of a backup are restored. The definitions are always restored whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rows {
    /// All of them.
    #[default]
    All,
    /// Those of the tables that one of the patterns names, a partitioned table with all its partitions.
    /// Large objects belong to no table and stay empty, materialized views are filled from what is there,
    /// and foreign keys that do not hold without the other rows are left out, and named.
    Only(Vec<TablePattern>),
    /// None, no sequence's state, and nothing in materialized views.
    None,
}

impl Default for Options {
    fn default() -> Self {
        Self { session: SessionOptions::default(), jobs: 2, rows: Rows::All, create_roles: false }
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
    /// What it holds of the backup.
    pub extent: Extent,
    /// Roles that were created on the server.
    pub roles: Vec<String>,
    /// What of those roles the server refused.
    pub roles_refused: Vec<RoleRefused>,
}

/// What a restored database holds of its backup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extent {
    /// The tables whose rows it holds, if not all.
    pub tables: Option<BTreeSet<TableName>>,
    /// Whether it holds the sequences' state.
    pub sequences: bool,
    /// Whether it holds the large objects' bytes.
    pub large_objects: bool,
    /// Statements that were left out, as pg_dump wrote them: foreign keys whose other rows are not there, and
    /// the filling of materialized views where no rows were wanted.
    pub left_out: Vec<String>,
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
/// If the database exists, a role is missing, a table pattern names nothing, an object is not what the
/// manifest says, or the server refuses. The side database is dropped again then; [`BackupError::LeftBehind`]
/// names it if that failed too. Roles that were created stay.
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
    let mut filling = Filling {
        store,
        manifest,
        place: Place { environment: manifest.environment.clone(), id: manifest.id.clone() },
        target: admin.with_database(as_database),
        options,
        progress,
        meter: Meter::new(progress, bytes_of(manifest, &Extent { large_objects: true, ..Extent::default() })),
    };
    let roles = filling.provide_roles(&admin_session).await?;
    admin_session
        .batch_execute(&manifest.database.create_statement(as_database))
        .await
        .map_err(|e| BackupError::sql(format!("create database {as_database:?}"), e))?;
    match filling.fill().await {
        Ok(Filled { rows, bytes, extent }) => Ok(Restored {
            database: as_database.to_string(),
            rows,
            bytes,
            took: began.elapsed(),
            extent,
            roles: roles.created,
            roles_refused: roles.refused,
        }),
        Err(first) => match drop_side(&admin_session, admin, as_database, options).await {
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
pub(super) async fn drop_side(
    session: &Session,
    admin: &ConnInfo,
    name: &str,
    options: &Options,
) -> Result<(), BackupError> {
    drop_database::drop_with_force(session, admin, &options.session, name).await.map_err(BackupError::from)
}

async fn refuse_existing(client: &Client, name: &str) -> Result<(), BackupError> {
    let sql = "SELECT FROM pg_catalog.pg_database WHERE datname = $1";
    match client.query_opt(sql, &[&name]).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(BackupError::DatabaseExists(name.to_string())),
        Err(error) => Err(BackupError::sql(format!("look for database {name:?}"), error)),
    }
}

/// Whether a whole restore reads this object to its last byte.
pub(super) fn reads(object: &Object) -> bool {
    is_data(&object.name)
        || is_large_objects(&object.name)
        || [PRE_DATA, POST_DATA].contains(&object.name.as_str())
}

/// Memory for making indexes and checking constraints, over all sessions: enough that the sorts of tables of
/// some hundred MB need no temporary files, and little beside what a database server has.
const MEMORY: usize = 512 << 20;

/// One side database on its way.
struct Filling<'a> {
    store: &'a dyn Store,
    manifest: &'a Manifest,
    place: Place,
    target: ConnInfo,
    options: &'a Options,
    progress: &'a Progress,
    meter: Meter,
}

/// What went into a side database.
struct Filled {
    rows: u64,
    bytes: u64,
    extent: Extent,
}

impl Filling<'_> {
    async fn fill(&mut self) -> Result<Filled, BackupError> {
        let session = self.session().await?;
        let definitions = self.statements(PRE_DATA).await?;
        // Before the rows are chosen: which partitions a table has is not known earlier.
        self.run_in_order(&session, &definitions, "definitions").await?;
        let tables = self.select_tables(&session).await?;
        let all = self.options.rows == Rows::All;
        let mut extent = Extent { tables, sequences: true, large_objects: all, left_out: Vec::new() };
        let bytes = bytes_of(self.manifest, &extent);
        self.meter = Meter::new(self.progress, bytes);
        let rows = self.load_rows(&extent).await?;
        if all {
            self.load_large_objects(&session).await?;
        }
        extent.sequences = self.options.rows != Rows::None;
        if extent.sequences {
            self.set_sequences(&session).await?;
        }
        drop(session);
        extent.left_out = self.run_post_data().await?;
        if extent.sequences {
            self.analyze().await?;
        }
        Ok(Filled { rows, bytes, extent })
    }

    /// A session on the side database. That it may lose its last commits in a server crash does not matter:
    /// a restore that was cut short is worth nothing anyway.
    async fn session(&self) -> Result<Session, BackupError> {
        let session = pinned::open(&self.target, &self.options.session).await?;
        let memory = MEMORY / self.options.jobs.max(1) / 1024;
        let sql = format!(
            "SET synchronous_commit = off; \
             SELECT pg_catalog.set_config('maintenance_work_mem', greatest(setting::pg_catalog.int8, {memory})::text, false) \
             FROM pg_catalog.pg_settings WHERE name = 'maintenance_work_mem'"
        );
        session.batch_execute(&sql).await.map_err(|e| BackupError::sql("prepare the session", e))?;
        Ok(session)
    }

    /// As many sessions as there are jobs, or things to do.
    async fn sessions(&self, most: usize) -> Result<Vec<Session>, BackupError> {
        let number = self.options.jobs.min(most).max(1);
        let mut sessions = Vec::with_capacity(number);
        for _ in 0..number {
            sessions.push(self.session().await?);
        }
        Ok(sessions)
    }

    fn object(&self, name: &str) -> Result<&Object, BackupError> {
        let missing = || BackupError::Mismatch(Mismatch::Missing { object: name.to_string() });
        self.manifest.object(name).ok_or_else(missing)
    }
}

/// The bytes of rows and large objects.
fn bytes_of(manifest: &Manifest, extent: &Extent) -> u64 {
    let wanted = |table: &&Table| extent.holds(&table.table);
    let chunks = manifest.tables.iter().filter(wanted).flat_map(|table| &table.chunks);
    let parts = manifest.large_object_parts();
    let parts = parts.iter().filter(|_| extent.large_objects).map(|object| object.raw_bytes);
    chunks.map(|chunk| chunk.bytes).chain(parts).sum()
}

impl Extent {
    /// Whether the table's rows are there.
    pub fn holds(&self, table: &TableName) -> bool {
        self.tables.as_ref().is_none_or(|tables| tables.contains(table))
    }
}
