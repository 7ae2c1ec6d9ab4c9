//! The session that holds a backup's snapshot and locks.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Client;

use super::Options;
use crate::backup::catalog::{self, ServerFacts};
use crate::backup::error::BackupError;
use crate::backup::manifest::{Snapshot, TableName};
use crate::backup::pinned;
use crate::pg::{ConnInfo, Session};

/// How often a backup begins anew when tables come and go under it.
pub(super) const TRIES: u32 = 10;

/// How long the sessions beside the first wait for a lock that the first holds already.
pub(super) const BRIEFLY: Duration = Duration::from_secs(1);

/// The session that holds the snapshot and the locks, until the backup is written.
pub(super) struct Source {
    /// Shared with the thread that copies what others must wait for.
    pub main: Arc<Session>,
    pub server: ServerFacts,
    /// The exported snapshot's name.
    pub exported: String,
    pub snapshot: Snapshot,
}

impl Source {
    /// `error`, or what ended the session that all others lean on: then theirs is but a consequence.
    ///
    /// The session is asked: it may not have noticed yet that it is over. One that does not answer is not waited
    /// for, and `error` is told.
    pub async fn first_cause(&self, error: BackupError) -> BackupError {
        match tokio::time::timeout(BRIEFLY, self.main.simple_query("")).await {
            Ok(Err(lost)) => {
                let said = self.main.ended_because();
                BackupError::SnapshotLost(said.unwrap_or_else(|| crate::pg::describe_error(&lost)))
            }
            Ok(Ok(_)) | Err(_) => error,
        }
    }

    /// Locks first, then takes the snapshot: so no `TRUNCATE` or rewrite, which snapshots do not see, can
    /// come between the two. pg_dump does it the other way round.
    pub async fn open(info: &ConnInfo, options: &Options) -> Result<Self, BackupError> {
        let main = pinned::open(info, &options.session).await?;
        let server = catalog::server(&main).await?;
        for _ in 0..TRIES {
            let before = catalog::table_names(&main).await?;
            let names: Vec<TableName> = before.iter().map(|(_, name)| name.clone()).collect();
            // Before any statement that takes the snapshot: all that committed by then is in it.
            let lsn = position(&main).await?;
            begin(&main, options.lock_timeout).await?;
            if lock(&main, &names).await? {
                let exported = pinned::export(&main).await?;
                if catalog::table_names(&main).await? == before {
                    let at = clock(&main).await?;
                    return Ok(Self {
                        main: Arc::new(main),
                        server,
                        exported,
                        snapshot: Snapshot { lsn, at },
                    });
                }
            }
            main.batch_execute("ROLLBACK").await.map_err(|e| BackupError::sql("look again", e))?;
        }
        Err(BackupError::Restless { tries: TRIES })
    }
}

async fn begin(client: &Client, lock_timeout: Duration) -> Result<(), BackupError> {
    let sql = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = {}",
        lock_timeout.as_millis().min(i32::MAX as u128)
    );
    client.batch_execute(&sql).await.map_err(|e| BackupError::sql("begin the snapshot's transaction", e))
}

/// Locks the tables; `false` if one of them is gone meanwhile. `LOCK TABLE` takes no snapshot.
async fn lock(client: &Client, tables: &[TableName]) -> Result<bool, BackupError> {
    for batch in tables.chunks(500) {
        let names: Vec<String> = batch.iter().map(|table| format!("ONLY {}", table.quoted())).collect();
        let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
        if let Err(error) = client.batch_execute(&sql).await {
            // 42P01 undefined_table, 3F000 invalid_schema_name, 42809 wrong_object_type
            let gone = matches!(error.code().map(|c| c.code()), Some("42P01" | "3F000" | "42809"));
            return if gone {
                Ok(false)
            } else {
                Err(BackupError::sql("lock the tables for reading", error))
            };
        }
    }
    Ok(true)
}

/// Where the write-ahead log stands.
async fn position(client: &Client) -> Result<String, BackupError> {
    let sql = "SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
               ELSE pg_catalog.pg_current_wal_lsn() END)::text";
    let row = client.query_one(sql, &[]).await.map_err(|e| BackupError::sql("ask the log's position", e))?;
    catalog::get(&row, 0)
}

async fn clock(client: &Client) -> Result<Timestamp, BackupError> {
    let sql = "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::pg_catalog.int8";
    let row = client.query_one(sql, &[]).await.map_err(|e| BackupError::sql("ask the server's clock", e))?;
    Timestamp::from_millisecond(catalog::get(&row, 0)?)
        .map_err(|e| BackupError::Strange { what: "the server's clock".into(), reason: e.to_string() })
}
