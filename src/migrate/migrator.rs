//! Who runs the migrations of one root: a runbook, a preview and every verb ask it alike, whichever tool it is.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use super::alembic::AlembicMigrator;
use super::apply::{self, Applied};
use super::chain::Chain;
use super::error::MigrateError;
use super::folder::Migrations;
use super::graph::{Direction, RowChange, Step};
use super::history::{self, Current, Entry};
use super::lint::Rendered;
use super::options::Options;
use super::preview;
use crate::event::Progress;
use crate::pg::{self, ConnInfo, Session, SessionOptions};

/// Where migrations are run: each verb opens the session, or starts the process, that it needs.
#[derive(Debug, Clone)]
pub struct Database {
    /// The way there, past any pooler: the lock of those who migrate belongs to a session.
    pub info: ConnInfo,
    /// Where scratch databases are made: a database that stays, as a role that may create others.
    pub admin: ConnInfo,
    /// What its sessions set.
    pub session: SessionOptions,
    /// How long to wait for another who migrates it.
    pub lock_wait: Duration,
}

impl Database {
    /// With the usual patience.
    pub fn new(info: ConnInfo, admin: ConnInfo, session: SessionOptions) -> Self {
        Self { info, admin, session, lock_wait: Options::default().lock_wait }
    }
}

/// One root's migrations and the tool that runs them.
#[async_trait::async_trait]
pub trait Migrator: Send + Sync + Debug {
    /// The revisions, as their files have them.
    fn chain(&self) -> &Chain;

    /// How they are applied.
    fn options(&self) -> &Options;

    /// The files as SQL, where they are SQL.
    fn scripts(&self) -> Option<&Migrations> {
        None
    }

    /// The migrations that lead from the version rows `from` up to `target`, as SQL to be judged; none of them where
    /// [`Migrator::scripts`] has them. Asks no database.
    ///
    /// # Errors
    /// [`MigrateError`] if the target leads nowhere. What can't be written as SQL says so itself.
    async fn rendered(&self, from: &BTreeSet<String>, target: &str) -> Result<Vec<Rendered>, MigrateError> {
        let _ = (from, target);
        Ok(Vec::new())
    }

    /// Where the database stands. Reads only.
    ///
    /// # Errors
    /// If a query fails.
    async fn current(&self, session: &Session) -> Result<Current, MigrateError> {
        history::current(session, self.chain(), self.options()).await
    }

    /// All that is recorded of what was applied, newest first. Reads only.
    ///
    /// # Errors
    /// If a query fails.
    async fn entries(&self, session: &Session) -> Result<Vec<Entry>, MigrateError> {
        history::entries(session, self.options()).await
    }

    /// The steps that [`Migrator::upgrade`] would do now. Reads only.
    ///
    /// # Errors
    /// As [`Migrator::upgrade`], for everything that is found before a script runs.
    async fn pending(&self, session: &Session, target: &str) -> Result<Vec<Step>, MigrateError> {
        self.plan(&self.current(session).await?, target)
    }

    /// [`Migrator::pending`] of a database that was looked at already. Asks nothing.
    ///
    /// # Errors
    /// As it.
    fn plan(&self, current: &Current, target: &str) -> Result<Vec<Step>, MigrateError> {
        apply::plan(self.chain(), current, Direction::Up, target)
    }

    /// The steps that [`Migrator::downgrade`] would do to a database that was looked at already. Asks nothing.
    ///
    /// # Errors
    /// As it, for everything that is found before a script runs.
    fn plan_back(&self, current: &Current, target: &str) -> Result<Vec<Step>, MigrateError> {
        apply::plan(self.chain(), current, Direction::Down, target)
    }

    /// The SQL that leads from the version rows `from` to `target`. Asks no database.
    ///
    /// # Errors
    /// [`MigrateError`] if the target leads nowhere, or the tool can't write it.
    async fn sql(
        &self,
        direction: Direction,
        from: &BTreeSet<String>,
        target: &str,
    ) -> Result<String, MigrateError>;

    /// What [`Migrator::upgrade`] would do from the version rows `from`, for a person to read: a part that can't be
    /// written as SQL stands there as a comment. Asks no database.
    ///
    /// # Errors
    /// If the target leads nowhere.
    async fn preview(&self, from: &BTreeSet<String>, target: &str) -> Result<String, MigrateError> {
        self.sql(Direction::Up, from, target).await
    }

    /// What an approval of [`Migrator::preview`] holds for: it is the same as long as the upgrade is.
    ///
    /// # Errors
    /// As [`Migrator::preview`].
    async fn fixed(&self, from: &BTreeSet<String>, target: &str) -> Result<String, MigrateError> {
        self.preview(from, target).await
    }

    /// SHA-256, in hex, of all that the upgrade to this revision is made of: for a run that was approved, and died between
    /// two of them. Empty if there is no such revision.
    fn fingerprint(&self, revision: &str) -> String {
        self.chain().text(revision).and_then(|text| text.checksum.clone()).unwrap_or_default()
    }

    /// Makes sure, before a window opens, of what [`Migrator::upgrade`] would refuse in it. Changes nothing.
    ///
    /// # Errors
    /// What it would refuse.
    async fn assure(&self, _database: &Database, _progress: &Progress) -> Result<(), MigrateError> {
        Ok(())
    }

    /// The Alembic project, where it is one: it has verbs of its own.
    fn alembic(&self) -> Option<&AlembicMigrator> {
        None
    }

    /// Upwards applies what is missing up to `target`; downwards takes back what stands above it. A crash leaves
    /// whole revisions, or what the history table says.
    ///
    /// # Errors
    /// [`MigrateError`]; its `committed` are the revisions that stay.
    async fn migrate(
        &self,
        direction: Direction,
        database: &Database,
        target: &str,
        progress: &Progress,
    ) -> Result<Applied, MigrateError>;

    /// [`Migrator::migrate`] upwards.
    ///
    /// # Errors
    /// As it.
    async fn upgrade(
        &self,
        database: &Database,
        target: &str,
        progress: &Progress,
    ) -> Result<Applied, MigrateError> {
        self.migrate(Direction::Up, database, target, progress).await
    }

    /// [`Migrator::migrate`] downwards.
    ///
    /// # Errors
    /// As it.
    async fn downgrade(
        &self,
        database: &Database,
        target: &str,
        progress: &Progress,
    ) -> Result<Applied, MigrateError> {
        self.migrate(Direction::Down, database, target, progress).await
    }

    /// Declares `target` applied without running anything; with `purge` all rows go first.
    ///
    /// # Errors
    /// [`MigrateError`]; then nothing is changed.
    async fn stamp(
        &self,
        database: &Database,
        target: &str,
        purge: bool,
        progress: &Progress,
    ) -> Result<Vec<RowChange>, MigrateError>;
}

/// Plain SQL files.
#[derive(Debug)]
pub struct SqlMigrator {
    /// The files.
    pub migrations: Migrations,
    /// How they are applied.
    pub options: Options,
}

#[async_trait::async_trait]
impl Migrator for SqlMigrator {
    fn chain(&self) -> &Chain {
        self.migrations.chain()
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn scripts(&self) -> Option<&Migrations> {
        Some(&self.migrations)
    }

    async fn sql(
        &self,
        direction: Direction,
        from: &BTreeSet<String>,
        target: &str,
    ) -> Result<String, MigrateError> {
        match direction {
            Direction::Up => preview::upgrade(&self.migrations, from, target, &self.options),
            Direction::Down => preview::downgrade(&self.migrations, from, target, &self.options),
        }
    }

    async fn migrate(
        &self,
        direction: Direction,
        database: &Database,
        target: &str,
        progress: &Progress,
    ) -> Result<Applied, MigrateError> {
        let mut session = connect(database).await?;
        let options = self.watched(database);
        apply::migrate(&mut session, &self.migrations, direction, target, &options, progress).await
    }

    async fn stamp(
        &self,
        database: &Database,
        target: &str,
        purge: bool,
        progress: &Progress,
    ) -> Result<Vec<RowChange>, MigrateError> {
        let mut session = connect(database).await?;
        apply::stamp(&mut session, &self.migrations, target, purge, &self.watched(database), progress).await
    }
}

impl SqlMigrator {
    /// Who waits for a lock is watched over a second session.
    fn watched(&self, database: &Database) -> Options {
        let (observer, lock_wait) = (Some(database.info.clone()), database.lock_wait);
        Options { observer, lock_wait, ..self.options.clone() }
    }
}

pub(super) async fn connect(database: &Database) -> Result<Session, MigrateError> {
    Ok(pg::connect(&database.info, &database.session).await?)
}
