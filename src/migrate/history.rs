//! What the database knows of its migrations: Alembic's version table and our history beside it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join4;
use tokio_postgres::Client;

use super::chain::Chain;
use super::error::{MigrateError, Reason};
use super::graph::RowChange;
use super::intent::Intent;
use super::options::{HISTORY_TABLE, Options, Tables};
use crate::pg::quote_literal;

/// Where a database stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The rows of the version table: the heads of what is applied.
    pub revisions: BTreeSet<String>,
    /// Those of them that no file has.
    pub unknown: Vec<String>,
    /// Applied revisions whose files are not what was applied.
    pub edited: Vec<String>,
    /// Scripts outside a transaction that were broken off.
    pub unfinished: Vec<Attempt>,
    /// What that means.
    pub state: State,
    /// What was last applied, taken back or stamped, where a history is kept.
    pub last: Option<Entry>,
    /// The version table, for messages.
    pub(super) table: String,
    pub(super) has_version_table: bool,
    pub(super) has_history_table: bool,
}

/// What the version table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// No version is recorded, and there is no user's table: a new database.
    Missing,
    /// No version is recorded, but there are tables: `stamp` may be what is missing.
    Unversioned,
    /// At these revisions.
    At(BTreeSet<String>),
}

/// One try of a script outside a transaction, as the history has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its row in the history.
    pub id: i64,
    /// The revision.
    pub revision: String,
    /// `upgrade` or `downgrade`.
    pub direction: String,
    /// It failed and said so; otherwise whoever ran it died, and the next statement may have been running.
    pub failed: bool,
    /// How many statements it has.
    pub statements: usize,
    /// How many took effect.
    pub done: usize,
    /// SHA-256 over those that took effect.
    pub done_checksum: Option<String>,
    /// What was about to run, where that can't commit together with its record; how far its batches came.
    pub intent: Option<Intent>,
}

impl Attempt {
    /// `statements 1–2 of 4 took effect`.
    pub fn extent(&self) -> String {
        let of = self.statements;
        let whole = match self.done {
            0 => format!("none of its {of} statements is known to have taken effect"),
            1 => format!("statement 1 of {of} took effect"),
            n => format!("statements 1–{n} of {of} took effect"),
        };
        match self.batched() {
            0 => whole,
            rows => format!("{whole}; batches of statement {} changed {rows} rows", self.done + 1),
        }
    }

    /// How many rows committed batches of the next statement have changed, if it runs in batches.
    pub fn batched(&self) -> u64 {
        let intent = self.intent.as_ref().filter(|intent| intent.statement == self.done + 1);
        intent.and_then(|intent| intent.batches.as_ref()).map_or(0, |cursor| cursor.changed)
    }
}

/// One line of the history, newest first in [`entries`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The revision.
    pub revision: String,
    /// `upgrade`, `downgrade` or `stamp`.
    pub direction: String,
    /// `done`, or `started`, `failed`, `abandoned` for a script that was broken off.
    pub state: String,
    /// When it was committed (RFC 3339, UTC).
    pub applied_at: Option<String>,
    /// By which role.
    pub applied_by: String,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// In which run.
    pub run: Option<String>,
}

/// Where the database stands, against these files.
///
/// # Errors
/// If a query fails (the connection, or no right to read the version table).
pub async fn current(client: &Client, chain: &Chain, options: &Options) -> Result<Current, MigrateError> {
    let tables = Tables::resolve(client, options).await?;
    read(client, chain, &tables).await
}

/// All that is recorded for this version table, newest first.
///
/// # Errors
/// If a query fails.
pub async fn entries(client: &Client, options: &Options) -> Result<Vec<Entry>, MigrateError> {
    let tables = Tables::resolve(client, options).await?;
    if !which_exist(client, &tables).await?.1 {
        return Ok(Vec::new());
    }
    recorded(client, &tables, "ORDER BY id DESC").await
}

/// The newest entry that was carried through.
async fn last(client: &Client, tables: &Tables) -> Result<Option<Entry>, MigrateError> {
    let newest = recorded(client, tables, "AND state = 'done' ORDER BY id DESC LIMIT 1").await?;
    Ok(newest.into_iter().next())
}

async fn recorded(client: &Client, tables: &Tables, which: &str) -> Result<Vec<Entry>, MigrateError> {
    let query = format!(
        "SELECT revision, direction, state, pg_catalog.to_char(applied_at AT TIME ZONE 'UTC', \
         'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), applied_by, duration_ms, run FROM {} WHERE version_table = $1 {which}",
        tables.history()
    );
    let rows = client.query(&query, &[&tables.root()]).await.map_err(Reason::query("read the history"))?;
    Ok(rows
        .iter()
        .map(|row| Entry {
            revision: row.get(0),
            direction: row.get(1),
            state: row.get(2),
            applied_at: row.get(3),
            applied_by: row.get(4),
            duration_ms: row.get(5),
            run: row.get(6),
        })
        .collect())
}

pub(super) async fn read(client: &Client, chain: &Chain, tables: &Tables) -> Result<Current, MigrateError> {
    let (has_version_table, has_history_table) = which_exist(client, tables).await?;
    // Sent together: `migrate current` is typed often, and waits for nothing but round trips.
    let (revisions, checksums, unfinished, last) = try_join4(
        if_there(has_version_table, version_rows(client, tables)),
        if_there(has_history_table, checksums(client, tables)),
        if_there(has_history_table, unfinished(client, tables)),
        if_there(has_history_table, last(client, tables)),
    )
    .await?;
    let graph = chain.graph();
    let unknown = revisions.iter().filter(|r| graph.revision(r).is_none()).cloned().collect();
    let edited = graph.applied(&revisions).into_iter().filter(|id| {
        let file = chain.text(id).and_then(|text| text.checksum.as_ref());
        file.is_some_and(|file| checksums.get(*id).is_some_and(|applied| applied != file))
    });
    let state = if !revisions.is_empty() {
        State::At(revisions.clone())
    } else if has_user_tables(client, tables).await? {
        State::Unversioned
    } else {
        State::Missing
    };
    Ok(Current {
        edited: edited.map(String::from).collect(),
        revisions,
        unknown,
        unfinished,
        state,
        last,
        table: tables.show(),
        has_version_table,
        has_history_table,
    })
}

/// Whether the version table is there, and the history table.
async fn which_exist(client: &Client, tables: &Tables) -> Result<(bool, bool), MigrateError> {
    let query = "SELECT pg_catalog.to_regclass($1) IS NOT NULL, pg_catalog.to_regclass($2) IS NOT NULL";
    let row = client.query_one(query, &[&tables.version(), &tables.history()]).await;
    let row = row.map_err(Reason::query("look for the version table"))?;
    Ok((row.get(0), row.get(1)))
}

/// What `look` gives, or nothing where there is no table to look at.
async fn if_there<T: Default>(
    there: bool,
    look: impl Future<Output = Result<T, MigrateError>>,
) -> Result<T, MigrateError> {
    if there { look.await } else { Ok(T::default()) }
}

/// The rows of the version table; none where there is no such table.
pub(super) async fn rows(client: &Client, tables: &Tables) -> Result<BTreeSet<String>, MigrateError> {
    let there = which_exist(client, tables).await?.0;
    if_there(there, version_rows(client, tables)).await
}

async fn version_rows(client: &Client, tables: &Tables) -> Result<BTreeSet<String>, MigrateError> {
    let query = format!("SELECT version_num FROM {}", tables.version());
    let rows = client.query(&query, &[]).await.map_err(Reason::query("read the version table"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What was last applied, or declared applied, of each revision.
async fn checksums(client: &Client, tables: &Tables) -> Result<BTreeMap<String, String>, MigrateError> {
    let query = format!(
        "SELECT DISTINCT ON (revision) revision, checksum FROM {} WHERE version_table = $1 AND state = 'done' \
         AND direction <> 'downgrade' AND checksum IS NOT NULL ORDER BY revision, id DESC",
        tables.history()
    );
    let rows = client.query(&query, &[&tables.root()]).await.map_err(Reason::query("read the history"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn unfinished(client: &Client, tables: &Tables) -> Result<Vec<Attempt>, MigrateError> {
    let query = format!(
        "SELECT id, revision, direction, state = 'failed', statements, statements_done, done_checksum, \
         pg_catalog.to_jsonb(h) OPERATOR(pg_catalog.->>) 'intent' FROM {} h WHERE version_table = $1 AND state IN ('started', 'failed') ORDER BY id",
        tables.history()
    );
    let rows = client.query(&query, &[&tables.root()]).await.map_err(Reason::query("read the history"))?;
    let count = |n: Option<i32>| usize::try_from(n.unwrap_or(0)).unwrap_or(0);
    Ok(rows
        .iter()
        .map(|row| Attempt {
            id: row.get(0),
            revision: row.get(1),
            direction: row.get(2),
            failed: row.get(3),
            statements: count(row.get(4)),
            done: count(row.get(5)),
            done_checksum: row.get(6),
            intent: row.get::<_, Option<&str>>(7).and_then(Intent::read),
        })
        .collect())
}

/// Tables that someone made: not the server's, not an extension's, not ours.
async fn has_user_tables(client: &Client, tables: &Tables) -> Result<bool, MigrateError> {
    let query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
        ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' \
        AND n.nspname !~ '^pg_' AND c.relname <> ALL ($1) AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'))";
    let ours = [tables.root(), HISTORY_TABLE, "alembic_version"];
    let row = client.query_one(query, &[&ours.as_slice()]).await;
    Ok(row.map_err(Reason::query("look for tables"))?.get(0))
}

/// What the history keeps of something done.
pub(super) struct Record<'a> {
    pub revision: &'a str,
    /// `upgrade`, `downgrade` or `stamp`.
    pub direction: &'a str,
    pub checksum: Option<&'a str>,
    pub description: &'a str,
    /// How long it took before the transaction that writes this; with it, how long that took is recorded.
    pub millis: Option<u64>,
    pub run: Option<&'a str>,
}

impl Record<'_> {
    /// The row as a statement.
    pub fn insert(&self, tables: &Tables) -> String {
        let text = |t: Option<&str>| t.map_or("NULL".to_string(), quote_literal);
        format!(
            "INSERT INTO {} (version_table, revision, direction, state, checksum, applied_at, duration_ms, run, \
             description) VALUES ({}, {}, {}, 'done', {}, pg_catalog.clock_timestamp(), {}, {}, {});",
            tables.history(),
            quote_literal(tables.root()),
            quote_literal(self.revision),
            quote_literal(self.direction),
            text(self.checksum),
            self.millis.map_or("NULL".to_string(), |before| format!(
                "{before} + (extract(epoch FROM pg_catalog.clock_timestamp() - \
                 pg_catalog.transaction_timestamp()) * 1000)::pg_catalog.int8"
            )),
            text(self.run),
            quote_literal(self.description),
        )
    }
}

/// A change of the version table as a statement, in Alembic's form.
pub(super) fn change_row(tables: &Tables, change: &RowChange) -> String {
    let table = tables.version();
    match change {
        RowChange::Insert(id) => {
            format!("INSERT INTO {table} (version_num) VALUES ({});", quote_literal(id))
        }
        RowChange::Delete(id) => {
            format!("DELETE FROM {table} WHERE {table}.version_num = {};", quote_literal(id))
        }
        RowChange::Update { from, to } => format!(
            "UPDATE {table} SET version_num={} WHERE {table}.version_num = {};",
            quote_literal(to),
            quote_literal(from)
        ),
    }
}
