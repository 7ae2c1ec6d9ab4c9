//! A script in one transaction, together with its version row and its line in the history.

use std::time::Instant;

use super::super::error::{Effects, Reason, ScriptFailure};
use super::Job;
use super::session::{Conclusion, Refusal, Runner};
use crate::event::millis;

/// Runs it, again from its beginning when it waited in vain for a lock.
pub(super) async fn run(runner: &mut Runner<'_>, job: &Job<'_>) -> Result<(), Reason> {
    let begun = Instant::now();
    let mut tries = 1;
    loop {
        let mut stop = match attempt(runner, job, begun).await {
            Ok(()) => return Ok(()),
            Err(stop) => stop,
        };
        if !stop.at_commit {
            runner.rollback().await;
        }
        let Some(refusal) = &mut stop.refusal else {
            return Err(Reason::RowsMoved(runner.tables.show()));
        };
        if let Some(statement) = stop.statement.and_then(|i| job.statements.get(i)) {
            runner.find_blockers(refusal, &statement.text).await;
        }
        if refusal.error.is_contention() && tries <= runner.options.lock_retries {
            runner.pause(tries, &job.step.revision, refusal).await;
            tries += 1;
            continue;
        }
        return Err(Reason::Script(Box::new(failure(job, stop, tries))));
    }
}

/// Where an attempt stopped; without `refusal`, because the version table was not as planned.
struct Stop {
    statement: Option<usize>,
    at_commit: bool,
    refusal: Option<Refusal>,
}

async fn attempt(runner: &mut Runner<'_>, job: &Job<'_>, begun: Instant) -> Result<(), Stop> {
    let at = |statement, at_commit| move |refusal| Stop { statement, at_commit, refusal: Some(refusal) };
    let changes = &job.step.changes;
    let record = job.record(millis(begun.elapsed())).insert(runner.tables);
    let end = runner.concluding(changes, &record);
    // An answer of its own: what is sent after a BEGIN that failed would commit by itself.
    runner.begin().await.map_err(at(None, false))?;
    let ran = runner.execute_all(job.statements, |i| job.place_of(i), &end, changes.len()).await;
    ran.map_err(|(statement, conclusion)| match *conclusion {
        Conclusion::Refused(refusal) => at(statement, false)(refusal),
        Conclusion::RowsMoved => Stop { statement: None, at_commit: false, refusal: None },
    })?;
    // Deferred constraints are checked here, so a commit can be refused; then all of it is rolled back.
    runner.own("COMMIT").await.map_err(at(None, true))?;
    runner.tables_are_made();
    Ok(())
}

fn failure(job: &Job<'_>, stop: Stop, tries: u32) -> ScriptFailure {
    let Refusal { error, blockers } =
        stop.refusal.unwrap_or_else(|| Refusal { error: Default::default(), blockers: Vec::new() });
    // FATAL may come after the commit too: a session that is ended while it waits for a standby.
    let effects = if stop.at_commit && error.broken { Effects::InDoubt } else { Effects::None };
    ScriptFailure { blockers, tries, ..job.failure(stop.statement, error, effects) }
}
