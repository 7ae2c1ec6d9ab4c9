//! The session that scripts run on: what it is set to for each, and what is put back after.

use std::time::Duration;

use futures_util::TryStreamExt;
use tokio_postgres::SimpleQueryMessage;

use super::super::blockers::{self, Blocker};
use super::super::error::{MigrateError, Reason, ServerError};
use super::super::graph::RowChange;
use super::super::history::{self, Current};
use super::super::options::{Options, Tables};
use super::super::script::Statement;
use super::super::statement;
use super::watch::{Place, Watch, Watched};
use crate::event::{Progress, Unit};
use crate::pg::{Session, quote_literal};
use crate::redact::redact;

/// What a script may leave behind in its session (a dump's `set_config('search_path', '')` does), and what
/// the next one must not find.
const SETTINGS: [&str; 5] =
    ["role", "search_path", "lock_timeout", "statement_timeout", "standard_conforming_strings"];

/// How many statements are sent ahead of their answers.
const AHEAD: usize = 64;

/// Runs statements, and knows how to bring the session back.
pub(super) struct Runner<'a> {
    pub session: &'a Session,
    pub options: &'a Options,
    pub tables: &'a Tables,
    pub progress: &'a Progress,
    watch: Watch<'a>,
    settings: Vec<String>,
    has_version_table: bool,
    has_history_table: bool,
    /// How many migrations are done, of how many.
    pub of: (u64, u64),
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
        let session: &'a Session = session;
        let names = SETTINGS.map(|name| format!("pg_catalog.current_setting('{name}')")).join(", ");
        let query = format!(
            "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('application_name'), {names}"
        );
        let row =
            session.query_one(&query, &[]).await.map_err(Reason::query("read the session's settings"))?;
        let watched = Watched { pid: row.get(0), application: row.get(1) };
        Ok(Self {
            session,
            options,
            tables,
            progress,
            watch: Watch::new(options.observer.as_ref(), watched, options.lock_timeout),
            settings: (2..SETTINGS.len() + 2).map(|i| row.get(i)).collect(),
            has_version_table: current.has_version_table,
            has_history_table: current.has_history_table,
            of: (0, 0),
        })
    }

    /// Runs one statement of a script, watching for whom it waits and how far it is; `name` is said of it.
    pub async fn execute(&mut self, sql: &str, name: &str) -> Result<(), Refusal> {
        let work = self.session.batch_execute(sql);
        let (result, seen) = self.watch.over(work, &Place { name, of: self.of }, self.progress).await;
        result.map_err(|error| self.refusal(&error, seen))
    }

    /// As [`Runner::execute`], with the number of rows that it changed.
    pub async fn execute_counting(&mut self, sql: &str, name: &str) -> Result<u64, Refusal> {
        let work = self.session.simple_query(sql);
        let (result, seen) = self.watch.over(work, &Place { name, of: self.of }, self.progress).await;
        let messages = result.map_err(|error| self.refusal(&error, seen))?;
        Ok(messages.iter().filter_map(completed).sum())
    }

    /// Runs the statements of a script and what concludes it (see [`Runner::concluding`]) in the transaction that is
    /// open, sent ahead: the next one is with the server before the answer to the one before. After one that fails
    /// the server refuses all others, so nothing runs that should not.
    ///
    /// # Errors
    /// The first statement that failed, by its index; [`Conclusion`] if the end did.
    pub async fn execute_all(
        &mut self,
        statements: &[Statement],
        named: impl Fn(usize) -> String,
        concluding: &str,
        changes: usize,
    ) -> Result<(), (Option<usize>, Box<Conclusion>)> {
        let all = statements.len() + 1;
        let mut counts = Vec::new();
        for first in (0..all).step_by(AHEAD) {
            let mut answers = Vec::new();
            for i in first..all.min(first + AHEAD) {
                let sql = statements.get(i).map_or(concluding, |s| s.text.as_str());
                let sent = self.session.simple_query_raw(sql).await;
                let which = (i < statements.len()).then_some(i);
                answers.push((which, sent.map_err(|error| (which, self.refused(&error, Vec::new())))?));
            }
            for (which, answer) in answers {
                let name = which.map_or_else(String::new, &named);
                if which.is_some() {
                    self.progress.at(self.of.0, Some(self.of.1), Unit::Items, name.clone());
                }
                counts.clear();
                let work = answer.try_for_each(|message| {
                    counts.extend(completed(&message));
                    std::future::ready(Ok(()))
                });
                let place = Place { name: &name, of: self.of };
                let (result, seen) = self.watch.over(work, &place, self.progress).await;
                result.map_err(|error| (which, self.refused(&error, seen)))?;
            }
        }
        if one_each(&counts, changes) { Ok(()) } else { Err((None, Box::new(Conclusion::RowsMoved))) }
    }

    /// The first row of something of our own, as text.
    pub async fn own_row(&self, sql: &str) -> Result<Option<Vec<String>>, Refusal> {
        let messages =
            self.session.simple_query(sql).await.map_err(|error| self.refusal(&error, Vec::new()))?;
        Ok(messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| row.get(i).unwrap_or_default().to_string()).collect())
            }
            _ => None,
        }))
    }

    /// Runs something of our own.
    pub async fn own(&self, sql: &str) -> Result<(), Refusal> {
        self.session.batch_execute(sql).await.map_err(|error| self.refusal(&error, Vec::new()))
    }

    /// Begins the transaction of a script. Read committed: a snapshot taken before a wait for a lock would
    /// not see what the holder committed.
    pub async fn begin(&self) -> Result<(), Refusal> {
        let limits = self.limits("SET LOCAL", self.options.lock_timeout);
        self.own(&format!("BEGIN ISOLATION LEVEL READ COMMITTED; {limits}")).await
    }

    /// Ends a transaction that failed; on a broken connection the server does it.
    pub async fn rollback(&self) {
        let _ = self.session.batch_execute("ROLLBACK").await;
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
        let sets =
            SETTINGS.iter().zip(&self.settings).take(settings).map(|(name, value)| {
                format!("pg_catalog.set_config('{name}', {}, false)", quote_literal(value))
            });
        format!("RESET SESSION AUTHORIZATION; SELECT {};", sets.collect::<Vec<_>>().join(", "))
    }

    /// As [`Runner::restoring`], done: at the end of everything. A broken session needs none.
    pub async fn restore(&self) {
        let _ = self.session.batch_execute(&self.restoring(SETTINGS.len())).await;
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
    pub fn concluding(&self, changes: &[RowChange], record: &str) -> String {
        // Role and search path: what the two tables are reached by. The limits hold until the commit.
        let mut sql = self.restoring(2) + &self.making_tables() + record;
        changes.iter().for_each(|change| sql.push_str(&history::change_row(self.tables, change)));
        sql
    }

    /// Runs [`Runner::concluding`], and sees that each change met its row.
    ///
    /// # Errors
    /// [`Conclusion::RowsMoved`] if a row was not there to be moved, or what the server said.
    pub async fn conclude(&self, changes: &[RowChange], record: &str) -> Result<(), Box<Conclusion>> {
        self.count_rows(&self.concluding(changes, record), changes.len()).await
    }

    /// Changes the version table alone.
    ///
    /// # Errors
    /// As [`Runner::conclude`].
    pub async fn move_rows(&self, changes: &[RowChange]) -> Result<(), Box<Conclusion>> {
        let sql: String = changes.iter().map(|change| history::change_row(self.tables, change)).collect();
        self.count_rows(&sql, changes.len()).await
    }

    async fn count_rows(&self, sql: &str, changes: usize) -> Result<(), Box<Conclusion>> {
        let messages = self.session.simple_query(sql).await;
        let messages =
            messages.map_err(|error| Box::new(Conclusion::Refused(self.refusal(&error, Vec::new()))))?;
        let counts: Vec<u64> = messages.iter().filter_map(completed).collect();
        if one_each(&counts, changes) { Ok(()) } else { Err(Box::new(Conclusion::RowsMoved)) }
    }

    fn refused(&self, error: &tokio_postgres::Error, seen: Vec<Blocker>) -> Box<Conclusion> {
        Box::new(Conclusion::Refused(self.refusal(error, seen)))
    }

    /// What the server said; where it said nothing more, why the session ended.
    pub fn refusal(&self, error: &tokio_postgres::Error, seen: Vec<Blocker>) -> Refusal {
        let mut error = ServerError::from(error);
        if let Some(why) = self.session.ended_because().filter(|_| error.code.is_empty()) {
            error.message = redact(&why).into_owned();
        }
        let blockers = if error.is_contention() { seen } else { Vec::new() };
        Refusal { error, blockers }
    }

    /// Names those in the way, if the watch did not see them.
    pub async fn find_blockers(&self, refusal: &mut Refusal, sql: &str) {
        if refusal.error.is_contention() && refusal.blockers.is_empty() {
            refusal.blockers = blockers::holders(self.session, &statement::names(sql)).await;
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

/// Whether each of the last `changes` statements met one row.
fn one_each(counts: &[u64], changes: usize) -> bool {
    counts[counts.len().saturating_sub(changes)..].iter().all(|&count| count == 1)
}

fn completed(message: &SimpleQueryMessage) -> Option<u64> {
    match message {
        SimpleQueryMessage::CommandComplete(count) => Some(*count),
        _ => None,
    }
}

/// Why the end of a script's transaction failed.
pub(super) enum Conclusion {
    Refused(Refusal),
    RowsMoved,
}
