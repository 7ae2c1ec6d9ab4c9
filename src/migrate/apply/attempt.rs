//! The history's row of one script outside a transaction: opened, counted, taken up again, closed.

use std::time::Instant;

use sha2::{Digest, Sha256};

use super::super::error::{Effects, Reason};
use super::super::history::Attempt;
use super::super::intent::Intent;
use super::Job;
use super::session::{Conclusion, Refusal, Runner};
use crate::event::millis;
use crate::pg::quote_literal;

/// Writes that the script begins, before anything has an effect. A crash here leaves an attempt of which nothing
/// was done, or none.
pub(super) async fn open(runner: &mut Runner<'_>, job: &Job<'_>) -> Result<Attempt, Reason> {
    let text = |t: Option<&str>| t.map_or("NULL".to_string(), quote_literal);
    let insert = format!(
        "INSERT INTO {} (version_table, revision, direction, state, checksum, statements, statements_done, run, \
         description) VALUES ({}, {}, {}, 'started', {}, {}, 0, {}, {}) RETURNING id",
        runner.tables.history(),
        quote_literal(runner.tables.root()),
        quote_literal(&job.step.revision),
        quote_literal(job.step.direction.verb()),
        quote_literal(&job.script.checksum),
        job.statements.len(),
        text(job.run),
        quote_literal(&job.script.description),
    );
    let what = "record that the script begins";
    let fail = |refusal: Refusal| Reason::Query { what, source: Box::new(refusal.error) };
    runner.begin().await.map_err(fail)?;
    let id = async {
        runner.own(&runner.making_tables()).await.map_err(fail)?;
        make_room(runner).await?;
        let row = runner.session.query_one(&insert, &[]).await.map_err(Reason::query(what))?;
        runner.own("COMMIT").await.map_err(fail)?;
        Ok(row.get(0))
    };
    let id = match id.await {
        Ok(id) => id,
        Err(reason) => {
            runner.rollback().await;
            return Err(reason);
        }
    };
    runner.tables_are_made();
    Ok(Attempt {
        id,
        revision: job.step.revision.clone(),
        direction: job.step.direction.verb().to_string(),
        failed: false,
        statements: job.statements.len(),
        done: 0,
        done_checksum: None,
        intent: None,
    })
}

/// A history table that an older version made has no room for intents.
async fn make_room(runner: &Runner<'_>) -> Result<(), Reason> {
    let query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass($1) \
                 AND attname = 'intent' AND NOT attisdropped)";
    let row = runner.session.query_one(query, &[&runner.tables.history()]).await;
    let what = "look at the history table";
    if row.map_err(Reason::query(what))?.get(0) {
        return Ok(());
    }
    let add = format!("ALTER TABLE {} ADD COLUMN intent TEXT", runner.tables.history());
    let what = "add a column to the history table";
    runner.own(&add).await.map_err(|refusal| Reason::Query { what, source: Box::new(refusal.error) })
}

/// Writes what is about to run, before it runs.
pub(super) async fn intend(
    runner: &Runner<'_>,
    attempt: &mut Attempt,
    intent: Intent,
) -> Result<(), Refusal> {
    let set = format!("intent = {}", quote_literal(&intent.write()));
    update(runner, attempt, &set).await?;
    attempt.intent = Some(intent);
    Ok(())
}

/// The statement that `update` sets for one more statement done, and the attempt as it is then.
pub(super) fn counting(runner: &Runner<'_>, job: &Job<'_>, attempt: &Attempt) -> (String, Attempt) {
    let done = Attempt { done: attempt.done + 1, intent: None, ..attempt.clone() };
    let sql = statement(runner, &done, &format!("{}, intent = NULL", count(job, &done)));
    (sql, done)
}

/// Writes that one more statement took effect.
pub(super) async fn count_one(
    runner: &Runner<'_>,
    job: &Job<'_>,
    attempt: &mut Attempt,
) -> Result<(), Refusal> {
    let (sql, done) = counting(runner, job, attempt);
    runner.own(&sql).await?;
    *attempt = done;
    Ok(())
}

/// Writes that it goes on.
pub(super) async fn go_on(runner: &Runner<'_>, job: &Job<'_>, attempt: &Attempt) -> Result<(), Reason> {
    make_room(runner).await?;
    let intent = attempt.intent.as_ref().map_or("NULL".to_string(), |i| quote_literal(&i.write()));
    let set = format!("{}, state = 'started', error = NULL, intent = {intent}", count(job, attempt));
    let written = update(runner, attempt, &set).await;
    let what = "record that the script goes on";
    written.map_err(|refusal| Reason::Query { what, source: Box::new(refusal.error) })
}

/// Leaves in the history that it failed; on a broken connection it stays 'started', which says as much.
pub(super) async fn fail(runner: &Runner<'_>, attempt: &Attempt, error: &str) {
    let set = format!("state = 'failed', error = {}", quote_literal(error));
    let _ = update(runner, attempt, &set).await;
}

/// Takes the row of an attempt away that left no trace.
pub(super) async fn forget(runner: &Runner<'_>, attempt: &Attempt) {
    let delete = format!("DELETE FROM {} WHERE id = {}", runner.tables.history(), attempt.id);
    let _ = runner.own(&delete).await;
}

/// The version row moves, and the attempt is done.
pub(super) async fn finish(
    runner: &mut Runner<'_>,
    job: &Job<'_>,
    attempt: &Attempt,
    before: usize,
    begun: Instant,
) -> Result<(), Reason> {
    let set = format!(
        "state = 'done', applied_at = pg_catalog.clock_timestamp(), error = NULL, checksum = {}, duration_ms = {}",
        quote_literal(&job.script.checksum),
        millis(begun.elapsed()),
    );
    let done = statement(runner, attempt, &set);
    let fail = |refusal: Refusal| {
        let effects = Effects::Partial {
            done_before: before,
            done: attempt.done,
            batched_before: 0,
            batched: 0,
            invalid: Vec::new(),
            open_ended: refusal.error.broken,
        };
        Reason::Script(Box::new(job.failure(None, refusal.error, effects)))
    };
    runner.begin().await.map_err(fail)?;
    if let Err(conclusion) = runner.conclude(&job.step.changes, &done).await {
        runner.rollback().await;
        return Err(match *conclusion {
            Conclusion::Refused(refusal) => fail(refusal),
            Conclusion::RowsMoved => Reason::RowsMoved(runner.tables.show()),
        });
    }
    runner.own("COMMIT").await.map_err(fail)
}

/// Changes the attempt's row.
pub(super) async fn update(runner: &Runner<'_>, attempt: &Attempt, set: &str) -> Result<(), Refusal> {
    runner.own(&statement(runner, attempt, set)).await
}

/// As [`update`], for a transaction that does more.
pub(super) fn statement(runner: &Runner<'_>, attempt: &Attempt, set: &str) -> String {
    format!("UPDATE {} SET {set} WHERE id = {};", runner.tables.history(), attempt.id)
}

fn count(job: &Job<'_>, attempt: &Attempt) -> String {
    let checksum = prefix_checksum(job, attempt.done).map_or("NULL".to_string(), |c| quote_literal(&c));
    format!(
        "statements = {}, statements_done = {}, done_checksum = {checksum}",
        attempt.statements, attempt.done
    )
}

/// SHA-256 over the first statements; `None` for none.
pub(super) fn prefix_checksum(job: &Job<'_>, count: usize) -> Option<String> {
    let mut hash = Sha256::new();
    job.statements.iter().take(count).for_each(|s| {
        hash.update(s.text.as_bytes());
        hash.update([0]);
    });
    (count > 0).then(|| hex::encode(hash.finalize()))
}

/// SHA-256 of one statement.
pub(super) fn checksum(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
