//! How migrations are applied, and the names of the two tables that record it.

use std::time::Duration;

use tokio_postgres::Client;

use super::error::{MigrateError, Reason};
use crate::pg::{ConnInfo, quote_ident};

/// How migrations are applied.
#[derive(Debug, Clone)]
pub struct Options {
    /// The schema of the version table; `None`: where the search path finds it, else the current schema.
    pub schema: Option<String>,
    /// The version table's name; Alembic's default.
    pub version_table: String,
    /// How long a statement may wait for a lock, and all who come after it for the statement; zero: for ever.
    pub lock_timeout: Duration,
    /// How often a migration that waited in vain is tried again.
    pub lock_retries: u32,
    /// How long a statement may take; zero: any time.
    pub statement_timeout: Duration,
    /// How long to wait for another who migrates this database.
    pub lock_wait: Duration,
    /// The run that this belongs to, for the history.
    pub run: Option<String>,
    /// Where a second session may look for those that a waiting statement waits for. Opened only when a
    /// statement takes long. Without it blockers are found afterwards, from the locks on the tables named.
    pub observer: Option<ConnInfo>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schema: None,
            version_table: "alembic_version".to_string(),
            lock_timeout: Duration::from_secs(2),
            lock_retries: 10,
            statement_timeout: Duration::ZERO,
            lock_wait: Duration::from_secs(60),
            run: None,
            observer: None,
        }
    }
}

/// The history table's name; it stands in the version table's schema.
pub const HISTORY_TABLE: &str = "backstay_history";

/// The two tables by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    schema: Option<String>,
    version: String,
}

impl Tables {
    /// The names without asking a database, for a script that is written offline.
    ///
    /// # Errors
    /// If a name is empty or longer than PostgreSQL keeps.
    pub fn offline(options: &Options) -> Result<Self, MigrateError> {
        for name in options.schema.iter().chain([&options.version_table]) {
            // PostgreSQL would cut it to 63 bytes, and two names could become one.
            if name.is_empty() || name.len() > 63 || name.contains('\0') {
                return Err(Reason::BadName(name.clone()).into());
            }
        }
        Ok(Self { schema: options.schema.clone(), version: options.version_table.clone() })
    }

    /// The names as they are in this database, the schema always known.
    ///
    /// # Errors
    /// As [`Tables::offline`]; if the query fails; if there is no schema to use.
    pub async fn resolve(client: &Client, options: &Options) -> Result<Self, MigrateError> {
        let mut tables = Self::offline(options)?;
        if tables.schema.is_none() {
            let query = "SELECT coalesce((SELECT n.nspname FROM pg_catalog.pg_class c \
                JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                WHERE c.oid = pg_catalog.to_regclass($1)), pg_catalog.current_schema())::pg_catalog.text";
            let row = client.query_one(query, &[&quote_ident(&tables.version)]).await;
            let row = row.map_err(Reason::query("look for the version table"))?;
            tables.schema = Some(row.get::<_, Option<String>>(0).ok_or(Reason::NoSchema)?);
        }
        Ok(tables)
    }

    /// The version table, quoted, with its schema where that is known.
    pub fn version(&self) -> String {
        self.qualified(&self.version)
    }

    /// The history table, quoted, with its schema where that is known.
    pub fn history(&self) -> String {
        self.qualified(HISTORY_TABLE)
    }

    /// The version table's bare name: one history table serves several version tables.
    pub fn root(&self) -> &str {
        &self.version
    }

    /// For a person: `public.alembic_version`.
    pub fn show(&self) -> String {
        self.schema.iter().map(|s| format!("{s}.")).collect::<String>() + &self.version
    }

    /// Makes the version table as Alembic does, so that Alembic takes it for its own.
    pub fn create_version(&self) -> String {
        // PostgreSQL keeps 63 bytes: cut in the table's part, or constraint and table get one name.
        let stem = (0..=59.min(self.version.len())).rev().find(|&end| self.version.is_char_boundary(end));
        let constraint = format!("{}_pkc", &self.version[..stem.unwrap_or(0)]);
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\n    version_num VARCHAR(32) NOT NULL,\n    CONSTRAINT {} PRIMARY KEY \
             (version_num)\n);",
            self.version(),
            quote_ident(&constraint)
        )
    }

    /// Makes the history table. Two makers at once (two version tables in one schema) take turns.
    pub fn create_history(&self) -> String {
        format!(
            "SELECT pg_catalog.pg_advisory_xact_lock({});\nCREATE TABLE IF NOT EXISTS {} (\n    \
             id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n    \
             version_table TEXT NOT NULL,\n    revision TEXT NOT NULL,\n    \
             direction TEXT NOT NULL CHECK (direction IN ('upgrade', 'downgrade', 'stamp')),\n    \
             state TEXT NOT NULL CHECK (state IN ('started', 'failed', 'abandoned', 'done')),\n    \
             checksum TEXT,\n    statements INTEGER,\n    statements_done INTEGER,\n    done_checksum TEXT,\n    \
             started_at TIMESTAMPTZ NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n    \
             applied_at TIMESTAMPTZ,\n    applied_by TEXT NOT NULL DEFAULT SESSION_USER,\n    \
             duration_ms BIGINT,\n    run TEXT,\n    description TEXT,\n    error TEXT,\n    intent TEXT\n);",
            self.key("history", HISTORY_TABLE),
            self.history()
        )
    }

    /// The advisory lock of those who change this version table. Advisory locks are per database, so the
    /// database's name has no part in it: it changes during a release's window.
    pub fn lock_key(&self) -> i64 {
        self.key("migrate", &self.version)
    }

    fn key(&self, purpose: &str, table: &str) -> i64 {
        let schema = self.schema.as_deref().unwrap_or_default();
        let name = format!("backstay\0{purpose}\0{schema}\0{table}");
        xxhash_rust::xxh3::xxh3_64(name.as_bytes()).cast_signed()
    }

    fn qualified(&self, table: &str) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote_ident(schema), quote_ident(table)),
            None => quote_ident(table),
        }
    }
}
