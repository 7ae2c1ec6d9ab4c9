//! What a change by Alembic stands on: the lock of those who migrate, held on a session of ours beside Alembic's own.
//!
//! Were we to die, that session and its lock would be gone at once, and an Alembic that is under way would go on for
//! a while. Its sessions carry the number of the server process that held the lock: whoever comes next knows by it
//! that they are nobody's any more, and waits until they are over.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::error::Left;
use crate::event::Progress;
use crate::migrate::error::{MigrateError, Reason};
use crate::migrate::history;
use crate::migrate::lock;
use crate::migrate::migrator::{Database, connect};
use crate::migrate::options::{Options, Tables};
use crate::pg::Session;
use crate::time::show_duration;

/// How often it is looked for the sessions of an Alembic whose master died.
const POLL: Duration = Duration::from_millis(250);

/// What PostgreSQL keeps of an `application_name`, without what we set behind it.
const NAME_ROOM: usize = 40;

/// The database, and the lock of those who migrate it.
pub(super) struct Ground<'d> {
    pub database: &'d Database,
    pub session: Session,
    pub tables: Tables,
    /// What Alembic's sessions are called.
    pub application: String,
}

impl<'d> Ground<'d> {
    /// Takes the lock, waiting for whoever has it, and for what somebody who had it left running.
    pub async fn enter(
        database: &'d Database,
        options: &Options,
        progress: &Progress,
    ) -> Result<Self, MigrateError> {
        let session = connect(database).await?;
        let tables = Tables::resolve(&session, options).await?;
        let options = Options { lock_wait: database.lock_wait, ..options.clone() };
        lock::take(&session, &tables, &options, progress).await?;
        let name = &database.session.application_name;
        let end = (0..=NAME_ROOM.min(name.len())).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
        let application = format!("{} alembic {}", &name[..end], session.pid());
        let ground = Self { database, session, tables, application };
        ground.outlast_orphans(options.lock_wait, progress).await?;
        Ok(ground)
    }

    /// The rows of the version table.
    pub async fn rows(&self) -> Result<BTreeSet<String>, MigrateError> {
        history::rows(&self.session, &self.tables).await
    }

    /// What a call left, and that which it may have left in part.
    pub async fn left(&self, partly: Option<String>) -> Left {
        match self.rows().await {
            Ok(rows) => Left::At { rows, partly },
            Err(_) => Left::Unknown,
        }
    }

    /// Gives the lock back.
    pub async fn leave(self) {
        lock::release(&self.session, &self.tables).await;
        self.session.close().await;
    }

    async fn outlast_orphans(&self, wait: Duration, progress: &Progress) -> Result<(), MigrateError> {
        let query = "SELECT a.pid, a.application_name FROM pg_catalog.pg_stat_activity a \
             WHERE a.datname = pg_catalog.current_database() AND a.application_name ~ ' alembic [0-9]+$' \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity h \
             WHERE h.pid::text = pg_catalog.substring(a.application_name, '[0-9]+$')) LIMIT 1";
        let begun = Instant::now();
        let mut told = false;
        loop {
            let found = self.session.query_opt(query, &[]).await;
            let Some(row) = found.map_err(Reason::query("look for an Alembic that goes on"))? else {
                return Ok(());
            };
            let (pid, name): (i32, String) = (row.get(0), row.get(1));
            let holder = format!("pid {pid} ({name}), an Alembic whose master died");
            if begun.elapsed() >= wait {
                return Err(Reason::Locked { holder, waited: show_duration(wait) }.into());
            }
            if !told {
                progress.note(format!("another migrates this database; waiting for {holder}"));
                told = true;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
