//! Alembic as a [`Migrator`]: asked by us, changed by itself.
//!
//! Where the database stands is read from the version table, before and after. What is committed is what stands
//! there after: Alembic commits migration by migration with `transaction_per_migration`, and all at once without.

use std::collections::BTreeSet;
use std::time::Duration;

use super::call::{Caller, Target};
use super::error::{AlembicError, CallFailure, Left, rows_text};
use super::ground::Ground;
use super::heard::{Heard, title};
use super::project::{Project, ProjectError, Settings};
use crate::event::{Progress, Unit, millis};
use crate::migrate::apply::{self, Applied, AppliedRevision};
use crate::migrate::blockers::{self, Blocker};
use crate::migrate::chain::Chain;
use crate::migrate::error::{MigrateError, Reason};
use crate::migrate::graph::{Direction, RowChange, Step};
use crate::migrate::history;
use crate::migrate::lint::Rendered;
use crate::migrate::migrator::{Database, Migrator};
use crate::migrate::options::Options;
use crate::process::ProcessError;
use crate::time::show_duration;

/// An Alembic project and how it is run.
#[derive(Debug)]
pub struct AlembicMigrator {
    pub(super) settings: Settings,
    pub(super) project: Project,
    pub(super) options: Options,
}

/// What a verb of Alembic's own answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Whether it ended with exit code 0.
    pub success: bool,
    /// Its lines, standard output and error as they came, redacted; without what it logs about itself.
    pub lines: Vec<String>,
}

#[async_trait::async_trait]
impl Migrator for AlembicMigrator {
    fn chain(&self) -> &Chain {
        self.project.chain()
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn alembic(&self) -> Option<&AlembicMigrator> {
        Some(self)
    }

    async fn rendered(&self, from: &BTreeSet<String>, target: &str) -> Result<Vec<Rendered>, MigrateError> {
        self.to_be_judged(from, target).await
    }

    async fn sql(
        &self,
        direction: Direction,
        from: &BTreeSet<String>,
        target: &str,
    ) -> Result<String, MigrateError> {
        self.script(direction, from, target).await
    }

    async fn preview(&self, from: &BTreeSet<String>, target: &str) -> Result<String, MigrateError> {
        self.readable(from, target).await
    }

    async fn fixed(&self, from: &BTreeSet<String>, target: &str) -> Result<String, MigrateError> {
        self.files_of(from, target)
    }

    fn fingerprint(&self, revision: &str) -> String {
        self.file_of(revision)
    }

    async fn assure(&self, database: &Database, progress: &Progress) -> Result<(), MigrateError> {
        self.prove(database, progress).await
    }

    async fn migrate(
        &self,
        direction: Direction,
        database: &Database,
        target: &str,
        progress: &Progress,
    ) -> Result<Applied, MigrateError> {
        let ground = Ground::enter(database, &self.options, progress).await?;
        let current = history::read(&ground.session, self.chain(), &ground.tables).await?;
        let steps = apply::plan(self.chain(), &current, direction, target)?;
        if steps.is_empty() {
            ground.leave().await;
            return Ok(Applied::default());
        }
        self.prove(database, progress).await?;
        progress.at(0, Some(steps.len() as u64), Unit::Items, title(&steps[0], self.chain()));
        let heard = self.go(&ground, direction, target, &steps, &current.revisions, progress).await?;
        let mut expected = current.revisions;
        steps.iter().flat_map(|step| &step.changes).for_each(|change| move_row(&mut expected, change));
        self.expect_at(&ground, direction.verb(), &expected).await?;
        ground.leave().await;
        progress.at(steps.len() as u64, Some(steps.len() as u64), Unit::Items, "");
        Ok(self.applied(&steps, &heard))
    }

    async fn stamp(
        &self,
        database: &Database,
        target: &str,
        purge: bool,
        progress: &Progress,
    ) -> Result<Vec<RowChange>, MigrateError> {
        let ground = Ground::enter(database, &self.options, progress).await?;
        let rows = ground.rows().await?;
        let changes = self.chain().graph().plan_stamp(&rows, target, purge)?;
        if changes.is_empty() {
            return Ok(changes);
        }
        self.prove(database, progress).await?;
        let arguments: Vec<&str> =
            ["stamp"].into_iter().chain(purge.then_some("--purge")).chain([target]).collect();
        let (heard, ended, _) = self.call(&ground, &arguments, &[], progress).await;
        if let Err(error) = ended {
            let left = ground.left(None).await;
            return Err(self.failed("stamp", &heard, error, left));
        }
        let mut expected = rows;
        changes.iter().for_each(|change| move_row(&mut expected, change));
        self.expect_at(&ground, "stamp", &expected).await?;
        ground.leave().await;
        Ok(changes)
    }
}

impl AlembicMigrator {
    /// Reads the project; asks no database and starts no Python.
    ///
    /// # Errors
    /// [`ProjectError`].
    pub fn load(settings: Settings, options: Options) -> Result<Self, ProjectError> {
        let project = Project::read(&settings)?;
        Ok(Self { settings, project, options })
    }

    /// Where its `env.py` is, for messages.
    pub fn env_py(&self) -> std::path::PathBuf {
        self.project.env_py()
    }

    /// Whether `env.py` is run even for a `revision` that compares nothing.
    pub fn asks_for_revisions(&self) -> bool {
        self.project.revision_environment
    }

    /// Runs a verb of Alembic's own (`revision --autogenerate -m …`, `check`, `merge heads -m …`) with the URL of
    /// `database` in its environment, or with one that leads nowhere. Its lines are not shown meanwhile.
    ///
    /// A verb that ends with another exit code than 0 is an answer as well: `check` does so where it finds a
    /// difference. Which database it compares with is proven first.
    ///
    /// # Errors
    /// If it can't be started, or `env.py` does not heed the URL.
    pub async fn pass(
        &self,
        arguments: &[&str],
        database: Option<&Database>,
        progress: &Progress,
    ) -> Result<Output, MigrateError> {
        let mut target = None;
        if let Some(database) = database {
            self.prove(database, progress).await?;
            target = Some(Target { info: &database.info, application: &database.session.application_name });
        }
        let (heard, ended) = self.caller().run(arguments, target.as_ref(), &[], &Progress::none()).await;
        match ended {
            Ok(()) => Ok(Output { success: true, lines: heard.said() }),
            Err(ProcessError::Ended { .. }) => {
                let lines = [heard.said(), heard.cause()].concat();
                Ok(Output { success: false, lines })
            }
            Err(error) => Err(Reason::Alembic(Box::new(error.into())).into()),
        }
    }

    pub(super) fn caller(&self) -> Caller<'_> {
        Caller { settings: &self.settings, project: &self.project, options: &self.options }
    }

    /// A call that failed, with all that its reader needs.
    pub(super) fn failed(&self, verb: &str, heard: &Heard, error: ProcessError, left: Left) -> MigrateError {
        let cause = match &error {
            ProcessError::Start { .. } | ProcessError::NoDirectory { .. } => {
                return Reason::Alembic(Box::new(error.into())).into();
            }
            ProcessError::Flood { .. } => vec![error.to_string()],
            ProcessError::TimedOut { timeout, .. } => {
                vec![format!("it did not end within {}, and was ended", show_duration(*timeout))]
            }
            ProcessError::Ended { status, .. } => match heard.cause() {
                said if said.is_empty() => vec![status.to_string()],
                said => said,
            },
        };
        let failure = CallFailure {
            verb: verb.to_string(),
            at: self.place(heard),
            cause,
            tries: 1,
            left,
            ..CallFailure::default()
        };
        Reason::Alembic(Box::new(AlembicError::Call(Box::new(failure)))).into()
    }

    /// The migration in which it failed, and where.
    fn place(&self, heard: &Heard) -> Option<(String, String)> {
        let file = |revision: &str| self.chain().text(revision).map(|text| text.path.display().to_string());
        match heard.place(self.chain(), &self.settings.directory) {
            Some((revision, line)) => file(&revision).map(|file| (revision, format!("{file}:{line}"))),
            None => heard.at_work().and_then(|revision| Some((revision.to_string(), file(revision)?))),
        }
    }

    /// Runs it, again where it waited in vain for a lock and nothing is committed.
    async fn go(
        &self,
        ground: &Ground<'_>,
        direction: Direction,
        target: &str,
        steps: &[Step],
        before: &BTreeSet<String>,
        progress: &Progress,
    ) -> Result<Heard, MigrateError> {
        let verb = direction.verb();
        let mut tries = 1;
        loop {
            let (heard, ended, blockers) = self.call(ground, &[verb, target], steps, progress).await;
            let Err(error) = ended else { return Ok(heard) };
            let contention = heard.is_contention();
            let partly =
                self.place(&heard).map(|(revision, _)| revision).filter(|revision| self.commits(revision));
            let left = ground.left(partly).await;
            let untouched = matches!(&left, Left::At { rows, partly: None } if rows == before);
            if contention && untouched && tries <= self.options.lock_retries {
                self.pause(tries, verb, &blockers, progress).await;
                tries += 1;
                continue;
            }
            let committed = self.committed(direction, steps, before, &left);
            let mut failed = self.failed(verb, &heard, error, left);
            if let Reason::Alembic(error) = &mut *failed.reason
                && let AlembicError::Call(failure) = &mut **error
            {
                failure.tries = tries;
                failure.blockers = if contention { blockers } else { Vec::new() };
            }
            return Err(MigrateError { committed, ..failed });
        }
    }

    /// One call, watched for whom it waits.
    async fn call(
        &self,
        ground: &Ground<'_>,
        arguments: &[&str],
        steps: &[Step],
        progress: &Progress,
    ) -> (Heard, Result<(), ProcessError>, Vec<Blocker>) {
        let target = Target { info: &ground.database.info, application: &ground.application };
        let caller = self.caller();
        let work = caller.run(arguments, Some(&target), steps, progress);
        tokio::pin!(work);
        let every = match self.options.lock_timeout {
            Duration::ZERO => Duration::from_secs(1),
            short => (short / 2).clamp(Duration::from_millis(50), Duration::from_secs(1)),
        };
        let mut seen: Vec<Blocker> = Vec::new();
        loop {
            tokio::select! {
                (heard, ended) = &mut work => return (heard, ended, seen),
                () = tokio::time::sleep(every) => {}
            }
            let found = blockers::of_application(&ground.session, &ground.application).await;
            if let Some(first) = found.first()
                && seen.first().map(|blocker| blocker.pid) != Some(first.pid)
            {
                progress.note(format!("waiting for {first}"));
            }
            if !found.is_empty() {
                seen = found;
            }
        }
    }

    async fn pause(&self, tries: u32, verb: &str, blockers: &[Blocker], progress: &Progress) {
        let pause =
            (Duration::from_millis(100) * 2u32.saturating_pow(tries.min(10))).min(Duration::from_secs(5));
        let blockers: String = blockers.iter().map(|blocker| format!(" ({blocker})")).collect();
        let of = self.options.lock_retries;
        progress.note(format!(
            "{verb} did not get its lock in time{blockers}; retry {tries} of {of} in {}",
            show_duration(pause)
        ));
        tokio::time::sleep(pause).await;
    }

    /// Whether a migration commits parts of itself.
    fn commits(&self, revision: &str) -> bool {
        self.project.migrations.get(revision).is_some_and(|source| source.commits)
    }

    /// Which of the steps are committed, by the version rows that a failed call left.
    fn committed(
        &self,
        direction: Direction,
        steps: &[Step],
        before: &BTreeSet<String>,
        left: &Left,
    ) -> Vec<String> {
        let Left::At { rows, .. } = left else { return Vec::new() };
        let graph = self.chain().graph();
        let (before, after) = (graph.applied(before), graph.applied(rows));
        let done = |step: &&Step| match direction {
            Direction::Up => after.contains(step.revision.as_str()),
            Direction::Down => {
                before.contains(step.revision.as_str()) && !after.contains(step.revision.as_str())
            }
        };
        steps.iter().filter(done).map(|step| step.revision.clone()).collect()
    }

    async fn expect_at(
        &self,
        ground: &Ground<'_>,
        verb: &'static str,
        expected: &BTreeSet<String>,
    ) -> Result<(), MigrateError> {
        let found = ground.rows().await?;
        if found == *expected {
            return Ok(());
        }
        let (table, env_py) = (ground.tables.show(), self.project.env_py());
        let (found, expected) = (rows_text(&found), rows_text(expected));
        Err(Reason::Alembic(Box::new(AlembicError::NotCommitted { verb, table, found, expected, env_py }))
            .into())
    }

    fn applied(&self, steps: &[Step], heard: &Heard) -> Applied {
        let one = |step: &Step| AppliedRevision {
            revision: step.revision.clone(),
            description: self.chain().description(&step.revision).to_string(),
            millis: millis(heard.took(&step.revision).unwrap_or_default()),
        };
        Applied { revisions: steps.iter().map(one).collect() }
    }
}

fn move_row(rows: &mut BTreeSet<String>, change: &RowChange) {
    match change {
        RowChange::Insert(id) => drop(rows.insert(id.clone())),
        RowChange::Delete(id) => drop(rows.remove(id)),
        RowChange::Update { from, to } => {
            rows.remove(from);
            rows.insert(to.clone());
        }
    }
}
