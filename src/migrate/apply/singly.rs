//! A script with `-- transaction: off`: statement by statement.
//!
//! Its [`attempt`] is in the history before the first statement. A statement that may stand in a transaction commits
//! together with the count of those done; so after a death it is known whether it took effect. One that may not
//! (`CREATE INDEX CONCURRENTLY`, `VACUUM`) is written down as intended before it runs and counted right after it;
//! after a death in between it is [`probe`]d. One in batches commits each with the key it ended at ([`batch`]).
//! The version row comes last.

use std::time::{Duration, Instant};

use super::super::error::{Effects, Reason, ScriptFailure, ServerError};
use super::super::history::Attempt;
use super::super::intent::{Built, Intent};
use super::super::script::Statement;
use super::super::statement::batch::Batch;
use super::super::statement::{self, Effect, Nature};
use super::Job;
use super::attempt::{self, checksum};
use super::batch;
use super::index::{self, State};
use super::probe::{self, Finding};
use super::session::{Refusal, Runner};

/// Runs what is not done yet of the script, and records it as applied.
pub(super) async fn run(runner: &mut Runner<'_>, job: &Job<'_>) -> Result<(), Reason> {
    let begun = Instant::now();
    let mut attempt = match job.unfinished {
        Some(attempt) => reopen(runner, job, attempt).await?,
        None => attempt::open(runner, job).await?,
    };
    let before = attempt.done;
    for i in before..job.statements.len() {
        if let Err(failed) = run_one(runner, job, &mut attempt, i).await {
            return Err(record_failure(runner, job, &attempt, before, i, *failed).await);
        }
    }
    attempt::finish(runner, job, &attempt, before, begun).await
}

/// How a statement runs.
enum Way {
    /// In a transaction, with its count.
    Counted,
    /// Alone, between its intent and its count.
    Bare,
    /// In many transactions, each with how far it came.
    Batches(Batch),
}

impl Way {
    fn of(statement: &Statement) -> Self {
        match (statement.batch, statement::nature(&statement.text)) {
            (Some(batch), _) => Way::Batches(batch),
            (None, Nature::OutsideOnly | Nature::OutsideAtTimes | Nature::MayCommit) => Way::Bare,
            (None, _) => Way::Counted,
        }
    }
}

/// Takes a broken-off attempt up, if it is certain what of it took effect.
async fn reopen(runner: &mut Runner<'_>, job: &Job<'_>, found: &Attempt) -> Result<Attempt, Reason> {
    let mut attempt = Attempt { statements: job.statements.len(), ..found.clone() };
    let refuse = |why: String, next: Vec<String>| {
        Err(Reason::Unfinished { attempt: Box::new(found.clone()), why, next })
    };
    let undone = "backstay migrate stamp CURRENT forgets the attempt, once its statements are undone by hand";
    if attempt.done > attempt.statements
        || attempt.done_checksum != attempt::prefix_checksum(job, attempt.done)
    {
        let back = "put them back as they were; the later ones may change";
        return refuse("those statements were edited since".into(), vec![back.into(), undone.into()]);
    }
    let number = attempt.done + 1;
    let intent = attempt.intent.take().filter(|intent| intent.statement == number);
    let left = clear_what_it_left(runner, intent.as_ref()).await?;
    if let Some(next) = job.statements.get(attempt.done) {
        let edited = intent.as_ref().is_some_and(|intent| intent.checksum != checksum(&next.text));
        let batched = intent.as_ref().is_some_and(|intent| intent.batches.is_some());
        let in_doubt = !found.failed && left != Some(State::Absent);
        if edited && (batched || in_doubt) {
            let back = format!("put statement {number} back as it was; the later ones may change");
            let why = format!("statement {number} was running, and it was edited since");
            return refuse(why, vec![back, undone.into()]);
        }
        if !found.failed && !edited && matches!(Way::of(next), Way::Bare) {
            // It died while the statement may have been running: did it take effect?
            match probe::look(runner, next, number, intent.as_ref()).await? {
                Finding::NotDone => {}
                Finding::Done => attempt.done += 1,
                Finding::Half(rest) => {
                    finish_half(runner, &rest).await?;
                    attempt.done += 1;
                }
                Finding::Stuck { why, next } => return refuse(why, next),
            }
        }
        if attempt.done < number && batched {
            attempt.intent = intent;
        }
    }
    runner.progress.note(format!("{} goes on: {}", attempt.revision, attempt.extent()));
    attempt::go_on(runner, job, &attempt).await?;
    Ok(attempt)
}

/// Drops the index that the attempt was building, if it is invalid and provably the attempt's; gives its state.
/// Invalid ones of another kind are named: `REINDEX CONCURRENTLY` leaves `…_ccnew`, and who it was is not certain.
async fn clear_what_it_left(
    runner: &mut Runner<'_>,
    intent: Option<&Intent>,
) -> Result<Option<State>, Reason> {
    let Some(intent) = intent else { return Ok(None) };
    for name in index::invalid(runner).await {
        if index::is_of_reindex(&name) && !intent.invalid.contains(&name) {
            runner.progress.note(format!(
                "the INVALID index {name} may be left of this; if nobody rebuilds it now: DROP INDEX CONCURRENTLY {name};"
            ));
        }
    }
    let Some(built) = &intent.builds else { return Ok(None) };
    let (state, on_its_table) = index::look(runner, built).await?;
    if state == State::Invalid && index::is_ours(intent, built, on_its_table) {
        return index::clear(runner, built).await.map(Some);
    }
    Ok(Some(state))
}

async fn finish_half(runner: &mut Runner<'_>, sql: &str) -> Result<(), Reason> {
    let fail = |refusal: Refusal| Reason::Query {
        what: "finish what the statement had begun",
        source: Box::new(refusal.error),
    };
    runner.own(&runner.limits("SET", runner.options.lock_timeout)).await.map_err(fail)?;
    let result = runner.execute(sql, sql).await;
    runner.restore().await;
    result.map_err(fail)
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

impl From<Reason> for Box<Stop> {
    fn from(reason: Reason) -> Self {
        let error = match reason {
            Reason::Query { source, .. } => *source,
            other => ServerError { message: other.to_string(), ..ServerError::default() },
        };
        Refusal { error, blockers: Vec::new() }.into()
    }
}

async fn run_one(
    runner: &mut Runner<'_>,
    job: &Job<'_>,
    attempt: &mut Attempt,
    i: usize,
) -> Result<(), Box<Stop>> {
    let statement = &job.statements[i];
    job.begin_statement(i, runner.progress);
    let way = Way::of(statement);
    if let Way::Batches(batch) = way {
        let ran = batch::run(runner, job, attempt, i, batch).await;
        return ran.map_err(|(refusal, tries)| Box::new(Stop { refusal, tries, invalid: Vec::new() }));
    }
    let mut tries = 1;
    loop {
        let result = match way {
            Way::Bare => run_bare(runner, job, attempt, i).await,
            _ => run_counted(runner, job, attempt, i).await,
        };
        let Err(mut stop) = result else { return Ok(()) };
        runner.find_blockers(&mut stop.refusal, &statement.text).await;
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
    i: usize,
) -> Result<(), Box<Stop>> {
    let (count, done) = attempt::counting(runner, job, attempt);
    let result = async {
        runner.begin().await?;
        runner.execute(&job.statements[i].text, &job.place_of(i)).await?;
        runner.own(&(runner.restoring(2) + &count)).await?;
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

/// The intent, the statement alone, then the count of it.
async fn run_bare(
    runner: &mut Runner<'_>,
    job: &Job<'_>,
    attempt: &mut Attempt,
    i: usize,
) -> Result<(), Box<Stop>> {
    let text = &job.statements[i].text;
    let builds = match statement::effect(text) {
        Some(Effect::Builds(build)) => index::resolve(runner, &build).await?,
        _ => None,
    };
    refuse_foreign(runner, builds.as_ref()).await?;
    let concurrent = statement::is_concurrent(text);
    let invalid = if concurrent { index::invalid(runner).await } else { Vec::new() };
    let intent = Intent { statement: i + 1, checksum: checksum(text), invalid, builds, batches: None };
    attempt::intend(runner, attempt, intent.clone()).await?;
    // What works concurrently waits for old transactions; a short limit would only leave an INVALID index.
    let lock_timeout = if concurrent { Duration::ZERO } else { runner.options.lock_timeout };
    runner.own(&runner.limits("SET", lock_timeout)).await?;
    let result = runner.execute(text, &job.place_of(i)).await;
    runner.restore().await;
    if let Err(refusal) = result {
        let invalid = clear_after_failure(runner, &intent, &refusal.error, concurrent).await;
        return Err(Box::new(Stop { refusal, tries: 1, invalid }));
    }
    // Another's may have come under the name meanwhile, and IF NOT EXISTS have passed it.
    refuse_foreign(runner, intent.builds.as_ref()).await?;
    attempt::count_one(runner, job, attempt).await?;
    Ok(())
}

/// Refuses an invalid index under the name: `IF NOT EXISTS` would take it for a good one. What our own attempt left
/// is gone by now.
async fn refuse_foreign(runner: &Runner<'_>, built: Option<&Built>) -> Result<(), Box<Stop>> {
    let Some(built) = built else { return Ok(()) };
    if index::look(runner, built).await?.0 != State::Invalid {
        return Ok(());
    }
    let message = format!("an INVALID index {} that is not of this attempt is in the way", built.index);
    let error = ServerError { message, ..ServerError::default() };
    let refusal = Refusal { error, blockers: Vec::new() };
    Err(Box::new(Stop { refusal, tries: 1, invalid: vec![built.index.clone()] }))
}

/// Drops the INVALID index that the failed statement left, and gives those that are left then.
async fn clear_after_failure(
    runner: &mut Runner<'_>,
    intent: &Intent,
    error: &ServerError,
    concurrent: bool,
) -> Vec<String> {
    if error.broken || !concurrent {
        return Vec::new();
    }
    let mut left = index::invalid(runner).await;
    // Others may be building theirs just now.
    let may_be_ours =
        |name: &str| index::is_of_reindex(name) || intent.builds.as_ref().is_some_and(|b| b.index == name);
    left.retain(|name| !intent.invalid.contains(name) && may_be_ours(name));
    // "Already exists": then it is another's.
    if let Some(built) = intent.builds.as_ref().filter(|_| error.code != "42P07")
        && left.contains(&built.index)
        && index::drop_index(runner, &built.index).await.is_ok()
    {
        left.retain(|name| *name != built.index);
    }
    left
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
    let text = &job.statements[index].text;
    let bare = matches!(Way::of(&job.statements[index]), Way::Bare);
    let open_ended = bare && (statement::nature(text) == Nature::MayCommit || refusal.error.broken);
    let batched = attempt.batched();
    let batched_before = job.unfinished.filter(|found| found.done == index).map_or(0, Attempt::batched);
    if attempt.done == 0 && !open_ended && invalid.is_empty() && batched == 0 {
        attempt::forget(runner, attempt).await;
    } else {
        attempt::fail(runner, attempt, &refusal.error.to_string()).await;
    }
    let done = attempt.done;
    let effects =
        Effects::Partial { done_before: before, done, batched_before, batched, invalid, open_ended };
    let failure = job.failure(Some(index), refusal.error, effects);
    Reason::Script(Box::new(ScriptFailure { blockers: refusal.blockers, tries, ..failure }))
}
