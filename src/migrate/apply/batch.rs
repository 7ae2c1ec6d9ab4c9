//! An `UPDATE` or `DELETE` in batches along its table's primary key.
//!
//! Each batch commits together with the key that it ended at, so after a death it goes on behind the last batch
//! that is committed, and no row is changed twice. The last batch is open to the end: it takes what was
//! inserted behind the last key meanwhile. A row that is inserted before the last key is not seen, as a single
//! statement does not see what comes after it began.

use std::time::Instant;

use super::super::error::ServerError;
use super::super::history::Attempt;
use super::super::intent::{Cursor, Intent};
use super::super::statement::batch::{Batch, Batched};
use super::Job;
use super::attempt;
use super::session::{Refusal, Runner};
use crate::event::Unit;
use crate::pg::{quote_ident, quote_literal};
use crate::time::show_duration;

/// Runs what is left of the statement with this index; on success it is counted.
///
/// # Errors
/// With how often the failing batch was tried; those before it stay, and the attempt knows of them.
pub(super) async fn run(
    runner: &mut Runner<'_>,
    job: &Job<'_>,
    attempt: &mut Attempt,
    index: usize,
    batch: Batch,
) -> Result<(), (Refusal, u32)> {
    let text = &job.statements[index].text;
    let batched = Batched::read(text).map_err(|fault| (of_text(fault.to_string()), 1))?;
    let key = Key::find(runner, &batched).await.map_err(|refusal| (refusal, 1))?;
    let about = about(runner, &batched.table).await;
    let batches = Batches { job, index, batched, key, rows: batch.rows };
    let begun = Instant::now();
    let known = attempt.intent.as_ref().filter(|intent| intent.statement == index + 1);
    let mut cursor = known.and_then(|intent| intent.batches.clone()).unwrap_or_default();
    let mut tries = 1;
    loop {
        let result = batches.next(runner, attempt, &cursor).await;
        match result {
            Ok(Some(next)) => cursor = next,
            Ok(None) => return Ok(()),
            Err(mut refusal) => {
                runner.rollback().await;
                runner.find_blockers(&mut refusal, text).await;
                if !refusal.error.is_contention() || tries > runner.options.lock_retries {
                    return Err((refusal, tries));
                }
                runner.pause(tries, &attempt.revision, &refusal).await;
                tries += 1;
                continue;
            }
        }
        tries = 1;
        let note = format!(
            "{}: {} rows changed, {}",
            job.place_of(index),
            cursor.changed,
            show_duration(begun.elapsed())
        );
        runner.progress.at(cursor.passed, about, Unit::Items, note);
        tokio::time::sleep(batch.pause).await;
    }
}

/// One statement, cut.
struct Batches<'a> {
    job: &'a Job<'a>,
    index: usize,
    batched: Batched,
    key: Key,
    rows: u32,
}

impl Batches<'_> {
    /// One batch behind `cursor`, committed with its end; `None` after the last one, when the statement is counted.
    async fn next(
        &self,
        runner: &mut Runner<'_>,
        attempt: &mut Attempt,
        cursor: &Cursor,
    ) -> Result<Option<Cursor>, Refusal> {
        let end = self.key.end_of_batch(runner, &self.batched, &cursor.key, self.rows).await?;
        let sql = self.batched.within(&self.key.range(&cursor.key, end.as_deref()));
        runner.begin().await?;
        let changed = runner.execute_counting(&sql, &self.job.place_of(self.index)).await?;
        let next = end.map(|key| Cursor {
            key,
            passed: cursor.passed + u64::from(self.rows),
            changed: cursor.changed + changed,
        });
        let (record, after) = match &next {
            None => attempt::counting(runner, self.job, attempt),
            Some(next) => {
                let intent = Intent {
                    statement: self.index + 1,
                    checksum: attempt::checksum(&self.job.statements[self.index].text),
                    batches: Some(next.clone()),
                    ..Intent::default()
                };
                let set = format!("intent = {}", quote_literal(&intent.write()));
                let sql = attempt::statement(runner, attempt, &set);
                (sql, Attempt { intent: Some(intent), ..attempt.clone() })
            }
        };
        runner.own(&format!("{}{record}COMMIT", runner.restoring(2))).await?;
        *attempt = after;
        Ok(next)
    }
}

/// A primary key: its columns, quoted, and their types.
struct Key(Vec<(String, String)>);

impl Key {
    async fn find(runner: &Runner<'_>, batched: &Batched) -> Result<Self, Refusal> {
        let query = "SELECT a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod) \
            FROM pg_catalog.pg_constraint c \
            JOIN pg_catalog.unnest(c.conkey) WITH ORDINALITY k (attnum, place) ON true \
            JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum \
            WHERE c.contype = 'p' AND c.conrelid = pg_catalog.to_regclass($1) ORDER BY k.place";
        let rows = runner.session.query(query, &[&batched.table]).await;
        let rows = rows.map_err(|error| runner.refusal(&error, Vec::new()))?;
        let columns: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        if columns.is_empty() {
            let table = &batched.table;
            return Err(of_text(format!("{table} is no table with a primary key, and batches go along one")));
        }
        if let Some((name, _)) = columns.iter().find(|(name, _)| batched.sets.contains(name)) {
            let name = quote_ident(name);
            return Err(of_text(format!(
                "it changes {name} of the primary key, and batches that go along it would meet rows twice"
            )));
        }
        Ok(Self(columns.into_iter().map(|(name, kind)| (quote_ident(&name), kind)).collect()))
    }

    fn columns(&self) -> String {
        self.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The key of the last of the next rows; `None` when fewer are left.
    async fn end_of_batch(
        &self,
        runner: &Runner<'_>,
        batched: &Batched,
        after: &[String],
        rows: u32,
    ) -> Result<Option<Vec<String>>, Refusal> {
        let (columns, only) = (self.columns(), if batched.only { "ONLY " } else { "" });
        let texts: Vec<String> = self.0.iter().map(|(name, _)| format!("{name}::pg_catalog.text")).collect();
        // The text of a key must read the same in the next session.
        let query = format!(
            "BEGIN; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; \
             SET LOCAL extra_float_digits = 1; \
             SELECT {} FROM {only}{} WHERE {} ORDER BY {columns} OFFSET {} LIMIT 1; COMMIT",
            texts.join(", "),
            batched.table,
            self.range(after, None),
            rows - 1,
        );
        let found = runner.own_row(&query).await;
        if found.is_err() {
            runner.rollback().await;
        }
        found
    }

    /// The rows behind `after`, up to `end`; both ends are open where there is no key.
    fn range(&self, after: &[String], end: Option<&[String]>) -> String {
        let columns = self.columns();
        let row = |key: &[String]| {
            let values = key
                .iter()
                .zip(&self.0)
                .map(|(text, (_, kind))| format!("{}::{kind}", quote_literal(text).trim_start()));
            values.collect::<Vec<_>>().join(", ")
        };
        let mut parts = Vec::new();
        if !after.is_empty() {
            parts.push(format!("({columns}) > ({})", row(after)));
        }
        if let Some(end) = end {
            parts.push(format!("({columns}) <= ({})", row(end)));
        }
        if parts.is_empty() { "true".to_string() } else { parts.join(" AND ") }
    }
}

/// The server's estimate of the table's rows, its partitions' among them.
async fn about(runner: &Runner<'_>, table: &str) -> Option<u64> {
    let query = "SELECT pg_catalog.sum(c.reltuples)::pg_catalog.int8 FROM pg_catalog.pg_class c \
        WHERE c.reltuples > 0 AND (c.oid = pg_catalog.to_regclass($1) OR c.oid IN \
        (SELECT p.relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)) p WHERE p.isleaf))";
    let row = runner.session.query_one(query, &[&table]).await.ok()?;
    u64::try_from(row.get::<_, Option<i64>>(0)?).ok().filter(|rows| *rows > 0)
}

fn of_text(message: String) -> Refusal {
    Refusal { error: ServerError { message, ..ServerError::default() }, blockers: Vec::new() }
}
