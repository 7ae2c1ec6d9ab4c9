//! Changing a database: `upgrade`, `downgrade`, `stamp`.
//!
//! A script and its version row are committed in one transaction ([`whole`]), so a crash leaves all of a
//! revision or nothing. A script with `-- transaction: off` runs statement by statement ([`singly`]); what took
//! effect is recorded as it goes. Dropping one of these futures (Ctrl-C) leaves the session inside a
//! transaction: drop the session too, and the server rolls back.

mod attempt;
mod batch;
mod index;
mod probe;
mod session;
mod singly;
mod stamp;
mod watch;
mod whole;

use std::time::Instant;

use super::chain::Chain;
use super::error::{Effects, FailedStatement, MigrateError, Reason, ScriptFailure, ServerError};
use super::folder::Migrations;
use super::graph::{Direction, Step};
use super::history::{self, Attempt, Current, Record};
use super::lock;
use super::options::{Options, Tables};
use super::script::{Script, Statement};
use super::statement::{self, ProbeKind};
use crate::event::{Progress, Unit, millis};
use crate::pg::Session;
use crate::time::show_duration;

use session::Runner;
pub use stamp::stamp;

/// What was done, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// One for each revision.
    pub revisions: Vec<AppliedRevision>,
}

/// One revision that was applied or taken back, committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedRevision {
    /// Its id.
    pub revision: String,
    /// The first line of its description.
    pub description: String,
    /// How long it took, in milliseconds, waits and retries included.
    pub millis: u64,
}

/// The steps that [`upgrade`] would do now. Reads only.
///
/// # Errors
/// As [`upgrade`], for everything that is found before a script runs.
pub async fn pending(
    session: &Session,
    chain: &Chain,
    target: &str,
    options: &Options,
) -> Result<Vec<Step>, MigrateError> {
    let current = history::current(session, chain, options).await?;
    plan(chain, &current, Direction::Up, target)
}

/// Applies what is missing up to `target` (see [`super::graph`]); nothing if it is all there.
///
/// Two at once: the second waits for the first and finds the work done. A crash leaves the revisions that were
/// committed; of a script outside a transaction, what the history table says.
///
/// # Errors
/// [`MigrateError`]; its `committed` are the revisions that stay. Nothing runs if the target leads nowhere,
/// the database is at an unknown revision, an applied file was edited, or a broken-off script is in the way.
pub async fn upgrade(
    session: &mut Session,
    migrations: &Migrations,
    target: &str,
    options: &Options,
    progress: &Progress,
) -> Result<Applied, MigrateError> {
    migrate(session, migrations, Direction::Up, target, options, progress).await
}

/// Takes back what stands above `target`.
///
/// # Errors
/// As [`upgrade`]; and [`Reason::Irreversible`], before anything runs.
pub async fn downgrade(
    session: &mut Session,
    migrations: &Migrations,
    target: &str,
    options: &Options,
    progress: &Progress,
) -> Result<Applied, MigrateError> {
    migrate(session, migrations, Direction::Down, target, options, progress).await
}

pub(super) async fn migrate(
    session: &mut Session,
    migrations: &Migrations,
    direction: Direction,
    target: &str,
    options: &Options,
    progress: &Progress,
) -> Result<Applied, MigrateError> {
    let tables = Tables::resolve(session, options).await?;
    lock::take(session, &tables, options, progress).await?;
    let result = run(session, migrations, direction, target, options, &tables, progress).await;
    lock::release(session, &tables).await;
    result
}

async fn run(
    session: &mut Session,
    migrations: &Migrations,
    direction: Direction,
    target: &str,
    options: &Options,
    tables: &Tables,
    progress: &Progress,
) -> Result<Applied, MigrateError> {
    let current = history::read(session, migrations.chain(), tables).await?;
    let steps = plan(migrations.chain(), &current, direction, target)?;
    let mut applied = Applied::default();
    if steps.is_empty() {
        return Ok(applied);
    }
    refuse_unprovable(migrations, &steps)?;
    let mut runner = Runner::start(session, options, tables, progress, &current).await?;
    for (done, step) in (0u64..).zip(&steps) {
        let Some(script) = migrations.script(&step.revision) else { continue };
        let unfinished = current.unfinished.iter().find(|a| fits(a, step));
        let job = Job::new(step, script, options, unfinished, (done, steps.len() as u64));
        runner.of = job.place;
        progress.at(done, Some(job.place.1), Unit::Items, job.name());
        let begun = Instant::now();
        let result = match script.transactional {
            true => whole::run(&mut runner, &job).await,
            false => singly::run(&mut runner, &job).await,
        };
        if let Err(reason) = result {
            runner.restore().await;
            let committed = applied.revisions.into_iter().map(|r| r.revision).collect();
            return Err(MigrateError { reason: Box::new(reason), committed });
        }
        let took = begun.elapsed();
        progress.output(format!("{} ({})", running(step, script), show_duration(took)));
        applied.revisions.push(AppliedRevision {
            revision: step.revision.clone(),
            description: script.description.clone(),
            millis: millis(took),
        });
    }
    runner.restore().await;
    progress.at(steps.len() as u64, Some(steps.len() as u64), Unit::Items, "");
    Ok(applied)
}

/// The steps, after everything that can be refused before a script runs.
pub(super) fn plan(
    chain: &Chain,
    current: &Current,
    direction: Direction,
    target: &str,
) -> Result<Vec<Step>, MigrateError> {
    if !current.unknown.is_empty() {
        let (revisions, folder) = (current.unknown.clone(), chain.folder().to_path_buf());
        return Err(Reason::UnknownRows { revisions, table: current.table.clone(), folder }.into());
    }
    if !current.edited.is_empty() {
        let file = |id: &String| chain.text(id).map(|s| format!("{} ({id})", s.path.display()));
        let files = current.edited.iter().filter_map(file).collect();
        return Err(Reason::Edited { revisions: current.edited.clone(), files }.into());
    }
    let steps = match direction {
        Direction::Up => chain.graph().plan_upgrade(&current.revisions, target)?,
        Direction::Down => chain.graph().plan_downgrade(&current.revisions, target)?,
    };
    for attempt in &current.unfinished {
        // With nothing to do, nothing stands in the way.
        if !steps.is_empty() && !steps.iter().any(|step| fits(attempt, step)) {
            return Err(stands_in_the_way(attempt).into());
        }
    }
    for step in steps.iter().filter(|s| s.direction == Direction::Down) {
        if let Some(text) = chain.text(&step.revision).filter(|text| !text.reversible) {
            let (revision, file) = (step.revision.clone(), text.path.display().to_string());
            return Err(Reason::Irreversible { revision, file }.into());
        }
    }
    Ok(steps)
}

/// After a death nobody could say whether such a statement took effect: better to refuse it before anything runs.
fn refuse_unprovable(migrations: &Migrations, steps: &[Step]) -> Result<(), MigrateError> {
    for step in steps {
        let Some(script) = migrations.script(&step.revision).filter(|s| !s.transactional) else { continue };
        let unprovable = |statement: &&Statement| {
            !statement.idempotent && statement::probe_kind(&statement.text) == ProbeKind::Unknown
        };
        if let Some(found) = statements(step, script).iter().find(unprovable) {
            let (file, line) = (script.path.clone(), found.line);
            return Err(Reason::Unprovable { file, line, statement: statement::title(&found.text) }.into());
        }
    }
    Ok(())
}

fn statements<'a>(step: &Step, script: &'a Script) -> &'a [Statement] {
    match step.direction {
        Direction::Up => &script.upgrade,
        Direction::Down => &script.downgrade,
    }
}

/// As Alembic has it: `Running upgrade 989ceebf408f -> c08085465bad, Add priority to questions`.
fn running(step: &Step, script: &Script) -> String {
    let (verb, from, to) = (step.direction.verb(), step.from.join(", "), step.to.join(", "));
    format!("Running {verb} {from} -> {to}, {}", script.description)
}

fn fits(attempt: &Attempt, step: &Step) -> bool {
    attempt.revision == step.revision && attempt.direction == step.direction.verb()
}

fn stands_in_the_way(attempt: &Attempt) -> Reason {
    let (verb, revision) = (&attempt.direction, &attempt.revision);
    Reason::Unfinished {
        attempt: Box::new(attempt.clone()),
        why: "finish it first, or undo its statements by hand".to_string(),
        next: vec![
            format!(
                "backstay migrate {verb} {revision} goes on with it; or, when its statements are undone by hand:"
            ),
            "backstay migrate stamp CURRENT forgets it".to_string(),
        ],
    }
}

/// One half of one script, to be run.
struct Job<'a> {
    step: &'a Step,
    script: &'a Script,
    statements: &'a [Statement],
    unfinished: Option<&'a Attempt>,
    run: Option<&'a str>,
    /// How many were done before it, of how many.
    place: (u64, u64),
}

impl<'a> Job<'a> {
    fn new(
        step: &'a Step,
        script: &'a Script,
        options: &'a Options,
        unfinished: Option<&'a Attempt>,
        place: (u64, u64),
    ) -> Self {
        Self {
            step,
            script,
            statements: statements(step, script),
            unfinished,
            run: options.run.as_deref(),
            place,
        }
    }

    fn name(&self) -> String {
        format!("{}, {}", self.step.revision, self.script.description)
    }

    /// Tells that the statement with this index begins.
    fn begin_statement(&self, index: usize, progress: &Progress) {
        progress.at(self.place.0, Some(self.place.1), Unit::Items, self.place_of(index));
    }

    /// What a person is told of the statement with this index.
    fn place_of(&self, index: usize) -> String {
        format!("{}: statement {} of {}", self.name(), index + 1, self.statements.len())
    }

    fn record(&self, millis: u64) -> Record<'a> {
        Record {
            revision: &self.step.revision,
            direction: self.step.direction.verb(),
            checksum: Some(&self.script.checksum),
            description: &self.script.description,
            millis: Some(millis),
            run: self.run,
        }
    }

    /// The failure of the statement with this index; `None`: of what comes after the last.
    fn failure(&self, index: Option<usize>, error: ServerError, effects: Effects) -> ScriptFailure {
        let of = self.statements.len();
        let statement = index.and_then(|i| {
            let line = self.statements.get(i)?.line;
            Some(FailedStatement { number: i + 1, of, line })
        });
        ScriptFailure {
            revision: self.step.revision.clone(),
            direction: self.step.direction,
            file: self.script.path.clone(),
            statement,
            error,
            blockers: Vec::new(),
            tries: 1,
            effects,
        }
    }
}
