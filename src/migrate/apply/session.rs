//! The session that scripts run on: what it is set to for each, and what is put back after.

use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use super::super::blockers::{self, Blocker, Watch};
use super::super::error::{MigrateError, Reason, ServerError};
use super::super::graph::RowChange;
use super::super::history::{self, Current};
use super::super::options::{Options, Tables};
use super::super::statement;
use crate::event::Progress;
use crate::pg::{Session, quote_literal};

/// What a script may leave behind in its session (a dump's `set_config('search_path', '')` does), and what
/// the next one must not find.
const SETTINGS: [&str; 5] =
    ["role", "search_path", "lock_timeout", "statement_timeout", "standard_conforming_strings"];

/// Runs statements, and knows how to bring the session back.
pub(super) struct Runner<'a> {
    pub client: &'a Client,
    pub options: &'a Options,
    pub tables: &'a Tables,
    pub progress: &'a Progress,
    watch: Watch<'a>,
    settings: Vec<String>,
    has_version_table: bool,
    has_history_table: bool,
}

/// A statement that did not succeed.
pub(super) struct Refusal {
    pub error: ServerError,
    pub blockers: Vec<Blocker>,
}

impl<'a> Runner<'a> {
    /// Notes how the session is set.
    pub async fn start(
        session: &'a mut Session,
        options: &'a Options,
        tables: &'a Tables,
        progress: &'a Progress,
        current: &Current,
    ) -> Result<Self, MigrateError> {
        let client: &'a Client = session;
        let names = SETTINGS.map(|name| format!("pg_catalog.current_setting('{name}')")).join(", ");
        let query = format!("SELECT pg_catalog.pg_backend_pid(), {names}");
        let row =
            client.query_one(&query, &[]).await.map_err(Reason::query("read the session's settings"))?;
        Ok(Self {
            client,
            options,
            tables,
            progress,
            watch: Watch::new(options.observer.as_ref(), row.get(0), options.lock_timeout),
            settings: (1..=SETTINGS.len()).map(|i| row.get(i)).collect(),
            has_version_table: current.has_version_table,
            has_history_table: current.has_history_table,
        })
    }

    /// Runs one statement of a script, watching for whom it waits.
    pub async fn execute(&mut self, sql: &str) -> Result<(), Refusal> {
        let (result, seen) = self.watch.over(self.client.batch_execute(sql), self.progress).await;
        result.map_err(|error| {
            let error = ServerError::from(&error);
            let blockers = if error.is_contention() { seen } else { Vec::new() };
            Refusal { error, blockers }
        })
    }

    /// Runs something of our own.
    pub async fn own(&self, sql: &str) -> Result<(), Refusal> {
        self.client
            .batch_execute(sql)
            .await
            .map_err(|error| Refusal { error: ServerError::from(&error), blockers: Vec::new() })
    }

    /// Begins the transaction of a script. Read committed: a snapshot taken before a wait for a lock would
    /// not see what the holder committed.
    pub async fn begin(&self) -> Result<(), Refusal> {
        let limits = self.limits("SET LOCAL", self.options.lock_timeout);
        self.own(&format!("BEGIN ISOLATION LEVEL READ COMMITTED; {limits}")).await
    }

    /// Ends a transaction that failed; on a broken connection the server does it.
    pub async fn rollback(&self) {
        let _ = self.client.batch_execute("ROLLBACK").await;
    }

    /// The settings under which a script's statements run.
    pub fn limits(&self, set: &str, lock_timeout: Duration) -> String {
        let statement = self.options.statement_timeout.as_millis();
        format!(
            "{set} lock_timeout = {}; {set} statement_timeout = {statement}; {set} standard_conforming_strings = on",
            lock_timeout.as_millis()
        )
    }

    /// Undoes what scripts set: role first, since the others may need it.
    pub fn restoring(&self, settings: usize) -> String {
        let sets = SETTINGS.iter().zip(&self.settings).take(settings).map(|(name, value)| {
            format!("SELECT pg_catalog.set_config('{name}', {}, false);", quote_literal(value))
        });
        format!("RESET SESSION AUTHORIZATION; {}", sets.collect::<String>())
    }

    /// As [`Runner::restoring`], done: at the end of everything. A broken session needs none.
    pub async fn restore(&self) {
        let _ = self.client.batch_execute(&self.restoring(SETTINGS.len())).await;
    }

    /// Makes those of the two tables that are missing.
    pub fn making_tables(&self) -> String {
        let mut sql = String::new();
        if !self.has_version_table {
            sql.push_str(&self.tables.create_version());
        }
        if !self.has_history_table {
            sql.push_str(&self.tables.create_history());
        }
        sql
    }

    /// To be called once a transaction with [`Runner::making_tables`] is committed.
    pub fn tables_are_made(&mut self) {
        (self.has_version_table, self.has_history_table) = (true, true);
    }

    /// The last statements of a script's transaction: settings back, tables made, `record`ed, rows moved.
    ///
    /// # Errors
    /// As [`Runner::move_rows`].
    pub async fn conclude(&self, changes: &[RowChange], record: &str) -> Result<(), Box<Conclusion>> {
        // Role and search path: what the two tables are reached by. The limits hold until the commit.
        self.count_rows(self.restoring(2) + &self.making_tables() + record, changes).await
    }

    /// Changes the version table, and sees that each change met its row.
    ///
    /// # Errors
    /// [`Conclusion::RowsMoved`] if a row was not there to be moved, or what the server said.
    pub async fn move_rows(&self, changes: &[RowChange]) -> Result<(), Box<Conclusion>> {
        self.count_rows(String::new(), changes).await
    }

    async fn count_rows(&self, mut sql: String, changes: &[RowChange]) -> Result<(), Box<Conclusion>> {
        for change in changes {
            sql.push_str(&history::change_row(self.tables, change));
        }
        let messages = self.client.simple_query(&sql).await.map_err(|error| {
            Box::new(Conclusion::Refused(Refusal { error: ServerError::from(&error), blockers: Vec::new() }))
        })?;
        let counts: Vec<u64> = messages
            .iter()
            .filter_map(|m| match m {
                SimpleQueryMessage::CommandComplete(count) => Some(*count),
                _ => None,
            })
            .collect();
        let ours = &counts[counts.len().saturating_sub(changes.len())..];
        if ours.iter().all(|&count| count == 1) { Ok(()) } else { Err(Box::new(Conclusion::RowsMoved)) }
    }

    /// Names those in the way, if the watch did not see them.
    pub async fn find_blockers(&self, refusal: &mut Refusal, sql: &str) {
        if refusal.error.is_contention() && refusal.blockers.is_empty() {
            refusal.blockers = blockers::holders(self.client, &statement::names(sql)).await;
        }
    }

    /// The pause before the n-th retry (from 1) of something that waited in vain for a lock.
    pub async fn pause(&self, retry: u32, what: &str, refusal: &Refusal) {
        let pause =
            (Duration::from_millis(100) * 2u32.saturating_pow(retry.min(10))).min(Duration::from_secs(5));
        let blockers: String = refusal.blockers.iter().map(|b| format!(" ({b})")).collect();
        let of = self.options.lock_retries;
        self.progress.note(format!(
            "{what} did not get its lock in time{blockers}; retry {retry} of {of} in {}",
            crate::time::show_duration(pause)
        ));
        tokio::time::sleep(pause).await;
    }
}

/// Why the end of a script's transaction failed.
pub(super) enum Conclusion {
    Refused(Refusal),
    RowsMoved,
}
