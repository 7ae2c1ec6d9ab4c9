//! A script with `-- transaction: off`: statement by statement.
//!
//! Its attempt is in the history before the first statement. A statement that may stand in a transaction commits
//! together with the count of those done; so after a death it is known whether it took effect. One that may not
//! (`CREATE INDEX CONCURRENTLY`, `VACUUM`) is counted right after it; after a death in between, an index is looked
//! for in the catalog, and what can be repeated is repeated. The version row comes last.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::super::error::{Effects, Reason, ScriptFailure, ServerError};
use super::super::history::Attempt;
use super::super::statement::{self, ConcurrentIndex, Nature};
use super::Job;
use super::session::{Conclusion, Refusal, Runner};
use crate::event::millis;
use crate::pg::quote_literal;

/// Runs what is not done yet of the script, and records it as applied.
pub(super) async fn run(runner: &mut Runner<'_>, job: &Job<'_>) -> Result<(), Reason> {
    let begun = Instant::now();
    let mut attempt = match job.unfinished {
        Some(attempt) => reopen(runner, job, attempt).await?,
        None => open(runner, job).await?,
    };
    let before = attempt.done;
    for i in before..job.statements.len() {
        if let Err(failed) = run_one(runner, job, &mut attempt, i).await {
            return Err(record_failure(runner, job, &attempt, before, i, *failed).await);
        }
    }
    finish(runner, job, &attempt, before, begun).await
}

/// Writes the intent, before anything has an effect.
async fn open(runner: &mut Runner<'_>, job: &Job<'_>) -> Result<Attempt, Reason> {
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
        let row = runner.client.query_one(&insert, &[]).await.map_err(Reason::query(what))?;
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
    })
}

/// Takes a broken-off attempt up, if it is certain what of it took effect.
async fn reopen(runner: &Runner<'_>, job: &Job<'_>, found: &Attempt) -> Result<Attempt, Reason> {
    let mut attempt = Attempt { statements: job.statements.len(), ..found.clone() };
    let refuse = |why: &str, next: Vec<String>| {
        Err(Reason::Unfinished { attempt: Box::new(found.clone()), why: why.to_string(), next })
    };
    let undone = "backstay migrate stamp CURRENT forgets the attempt, once its statements are undone by hand";
    if attempt.done > attempt.statements || attempt.done_checksum != prefix_checksum(job, attempt.done) {
        return refuse(
            "those statements were edited since",
            vec!["put them back as they were; the later ones may change".into(), undone.into()],
        );
    }
    let next = job.statements.get(attempt.done).filter(|_| !found.failed);
    match next.map(|s| (statement::nature(&s.text), statement::concurrent_index(&s.text))) {
        // It died while the statement may have been running: did it take effect?
        Some((Nature::OutsideOnly, Some(index))) => {
            let state = look_for(runner, &index, &job.statements[attempt.done].text).await?;
            let took_effect =
                if index.creates { state == IndexState::Valid } else { state == IndexState::Absent };
            attempt.done += usize::from(took_effect);
        }
        Some((Nature::MayCommit, _)) => {
            let next = attempt.done + 1;
            return refuse(
                &format!("statement {next} was running, and what it commits by itself is not known"),
                vec![undone.into()],
            );
        }
        _ => {}
    }
    runner.progress.note(format!("{} goes on: {}", attempt.revision, attempt.extent()));
    let update = format!("{}, state = 'started', error = NULL", count_done(job, &attempt));
    update_history(runner, &attempt, &update)
        .await
        .map_err(|r| Reason::Query { what: "record that the script goes on", source: Box::new(r.error) })?;
    Ok(attempt)
}

/// Why a statement stopped the script.
struct Stop {
    refusal: Refusal,
    tries: u32,
    invalid: Vec<String>,
}

impl From<Refusal> for Box<Stop> {
    fn from(refusal: Refusal) -> Self {
        Box::new(Stop { refusal, tries: 1, invalid: Vec::new() })
    }
}

async fn run_one(
    runner: &mut Runner<'_>,
    job: &Job<'_>,
    attempt: &mut Attempt,
    i: usize,
) -> Result<(), Box<Stop>> {
    let text = &job.statements[i].text;
    job.begin_statement(i, runner.progress);
    let mut tries = 1;
    loop {
        let result = match statement::nature(text) {
            Nature::OutsideOnly | Nature::MayCommit => run_bare(runner, job, attempt, text).await,
            _ => run_counted(runner, job, attempt, text).await,
        };
        let Err(mut stop) = result else { return Ok(()) };
        runner.find_blockers(&mut stop.refusal, text).await;
        let again = stop.refusal.error.is_contention() && stop.invalid.is_empty();
        if !again || tries > runner.options.lock_retries {
            stop.tries = tries;
            return Err(stop);
        }
        runner.pause(tries, &attempt.revision, &stop.refusal).await;
        tries += 1;
    }
}

/// The statement and the count of it in one transaction.
async fn run_counted(
    runner: &mut Runner<'_>,
    job: &Job<'_>,
    attempt: &mut Attempt,
    text: &str,
) -> Result<(), Box<Stop>> {
    let done = Attempt { done: attempt.done + 1, ..attempt.clone() };
    let result = async {
        runner.begin().await?;
        runner.execute(text).await?;
        runner.own(&runner.restoring(2)).await?;
        update_history(runner, &done, &count_done(job, &done)).await?;
        runner.own("COMMIT").await
    };
    match result.await {
        Ok(()) => {
            *attempt = done;
            Ok(())
        }
        Err(refusal) => {
            runner.rollback().await;
            Err(refusal.into())
        }
    }
}

/// The statement alone, then the count of it.
async fn run_bare(
    runner: &mut Runner<'_>,
    job: &Job<'_>,
    attempt: &mut Attempt,
    text: &str,
) -> Result<(), Box<Stop>> {
    let index = statement::concurrent_index(text).filter(|index| index.creates);
    if let Some(index) = &index
        && let Ok(IndexState::Invalid(name)) = look_for(runner, index, text).await
    {
        // IF NOT EXISTS would take the broken one for a good one.
        let message = format!("an INVALID index {name} of an earlier try is in the way");
        let error = ServerError { message, ..ServerError::default() };
        return Err(Box::new(Stop {
            refusal: Refusal { error, blockers: Vec::new() },
            tries: 1,
            invalid: vec![name],
        }));
    }
    // What works concurrently waits for old transactions; a short limit would only leave an INVALID index.
    let lock_timeout = match statement::is_concurrent(text) {
        true => Duration::ZERO,
        false => runner.options.lock_timeout,
    };
    let invalid_before = invalid_indexes(runner).await;
    runner.own(&runner.limits("SET", lock_timeout)).await?;
    let result = runner.execute(text).await;
    runner.restore().await;
    if let Err(refusal) = result {
        let mut invalid = invalid_indexes(runner).await;
        invalid.retain(|name| !invalid_before.contains(name));
        return Err(Box::new(Stop { refusal, tries: 1, invalid }));
    }
    attempt.done += 1;
    let set = count_done(job, attempt);
    update_history(runner, attempt, &set).await?;
    Ok(())
}

/// The version row moves, and the attempt is done.
async fn finish(
    runner: &mut Runner<'_>,
    job: &Job<'_>,
    attempt: &Attempt,
    before: usize,
    begun: Instant,
) -> Result<(), Reason> {
    let done = format!(
        "UPDATE {} SET state = 'done', applied_at = pg_catalog.clock_timestamp(), error = NULL, checksum = {}, \
         duration_ms = {} WHERE id = {};",
        runner.tables.history(),
        quote_literal(&job.script.checksum),
        millis(begun.elapsed()),
        attempt.id
    );
    let fail = |refusal: Refusal| {
        let effects = Effects::Partial {
            done_before: before,
            done: attempt.done,
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

/// Leaves in the history what is known; nothing, if nothing took effect.
async fn record_failure(
    runner: &Runner<'_>,
    job: &Job<'_>,
    attempt: &Attempt,
    before: usize,
    index: usize,
    stop: Stop,
) -> Reason {
    let Stop { refusal, tries, invalid } = stop;
    let bare =
        matches!(statement::nature(&job.statements[index].text), Nature::OutsideOnly | Nature::MayCommit);
    let may_commit = statement::nature(&job.statements[index].text) == Nature::MayCommit;
    let open_ended = may_commit || (bare && refusal.error.broken);
    if attempt.done == 0 && !open_ended && invalid.is_empty() {
        let forget = format!("DELETE FROM {} WHERE id = {}", runner.tables.history(), attempt.id);
        let _ = runner.own(&forget).await;
    } else {
        let set = format!("state = 'failed', error = {}", quote_literal(&refusal.error.to_string()));
        // On a broken connection the attempt stays 'started', which says as much.
        let _ = update_history(runner, attempt, &set).await;
    }
    let effects = Effects::Partial { done_before: before, done: attempt.done, invalid, open_ended };
    let failure = job.failure(Some(index), refusal.error, effects);
    Reason::Script(Box::new(ScriptFailure { blockers: refusal.blockers, tries, ..failure }))
}

fn count_done(job: &Job<'_>, attempt: &Attempt) -> String {
    let checksum = prefix_checksum(job, attempt.done).map_or("NULL".to_string(), |c| quote_literal(&c));
    format!(
        "statements = {}, statements_done = {}, done_checksum = {checksum}",
        attempt.statements, attempt.done
    )
}

async fn update_history(runner: &Runner<'_>, attempt: &Attempt, set: &str) -> Result<(), Refusal> {
    runner.own(&format!("UPDATE {} SET {set} WHERE id = {}", runner.tables.history(), attempt.id)).await
}

/// SHA-256 over the first statements; `None` for none.
fn prefix_checksum(job: &Job<'_>, count: usize) -> Option<String> {
    let mut hash = Sha256::new();
    job.statements.iter().take(count).for_each(|s| {
        hash.update(s.text.as_bytes());
        hash.update([0]);
    });
    (count > 0).then(|| hex::encode(hash.finalize()))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum IndexState {
    Absent,
    Valid,
    /// With its quoted name.
    Invalid(String),
}

/// The state of an index that a statement names; an index without a schema is one of a table named there too.
async fn look_for(runner: &Runner<'_>, index: &ConcurrentIndex, sql: &str) -> Result<IndexState, Reason> {
    let query = "SELECT i.indisvalid, pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i \
        JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_class t ON t.oid = i.indrelid \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname::pg_catalog.text = $1 \
        AND coalesce(n.nspname::pg_catalog.text = $2, t.relname::pg_catalog.text = ANY ($3) OR NOT $4) \
        ORDER BY i.indisvalid LIMIT 1";
    let names = statement::names(sql);
    let row = runner.client.query_opt(query, &[&index.name, &index.schema, &names, &index.creates]).await;
    let row = row.map_err(Reason::query("look for the index"))?;
    Ok(match row.map(|row| (row.get(0), row.get(1))) {
        None => IndexState::Absent,
        Some((true, _)) => IndexState::Valid,
        Some((false, name)) => IndexState::Invalid(name),
    })
}

/// All invalid indexes of the database, by quoted name; none if that can't be asked now.
async fn invalid_indexes(runner: &Runner<'_>) -> Vec<String> {
    let query = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i \
        JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n \
        ON n.oid = c.relnamespace WHERE NOT i.indisvalid";
    let rows = runner.client.query(query, &[]).await.unwrap_or_default();
    rows.iter().map(|row| row.get(0)).collect()
}
