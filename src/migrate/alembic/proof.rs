//! The proof that `env.py` goes where its environment says. Without it a test on a scratch database could take
//! production down, and a release could change the database that the window has not fenced.
//!
//! A scratch database is given a version table with a revision that nobody has, made up here. `alembic current`
//! knows of it only if it reads that very database and that very table; then it must name it, if only to say that
//! no file has it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::AlembicMigrator;
use super::call::Target;
use super::error::AlembicError;
use crate::event::{Progress, Unit};
use crate::migrate::error::{MigrateError, Reason};
use crate::migrate::migrator::Database;
use crate::migrate::options::Tables;
use crate::migrate::scratch::{Scratch, ScratchError};
use crate::pg::{self, ConnInfo, quote_ident, quote_literal};

/// What was proven since this process began, by all that the proof depends on.
static PROVEN: Mutex<Vec<[u8; 32]>> = Mutex::new(Vec::new());

fn proven() -> MutexGuard<'static, Vec<[u8; 32]>> {
    PROVEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<ScratchError> for MigrateError {
    fn from(error: ScratchError) -> Self {
        Reason::Alembic(Box::new(error.into())).into()
    }
}

impl AlembicMigrator {
    /// Proves it, once in a process.
    ///
    /// # Errors
    /// [`AlembicError::Unheeded`], or why it can't be found out. Nothing was changed then.
    pub(super) async fn prove(&self, database: &Database, progress: &Progress) -> Result<(), MigrateError> {
        let key = self.depends_on();
        if proven().contains(&key) {
            return Ok(());
        }
        let env_py = self.project.env_py();
        let what = format!("proving on a scratch database that {} heeds the URL", env_py.display());
        progress.at(0, Some(1), Unit::Items, what);
        Scratch::within(&database.admin, &database.info, &database.session, async |scratch| {
            self.prove_on(scratch, database).await
        })
        .await?;
        proven().push(key);
        Ok(())
    }

    /// The settings and the files that decide where `env.py` goes.
    fn depends_on(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(format!("{:?}", self.settings));
        hash.update(format!("{:?} {}", self.options.schema, self.options.version_table));
        for path in [self.project.env_py(), self.settings.directory.join(&self.settings.ini)] {
            hash.update(std::fs::read(path).unwrap_or_default());
            hash.update([0]);
        }
        hash.finalize().into()
    }

    async fn prove_on(&self, scratch: &ConnInfo, database: &Database) -> Result<(), MigrateError> {
        let stamp = made_up();
        let tables = Tables::offline(&self.options)?;
        let session = pg::connect(scratch, &database.session).await?;
        let schema = self.options.schema.iter();
        let schema: String =
            schema.map(|name| format!("CREATE SCHEMA IF NOT EXISTS {};", quote_ident(name))).collect();
        let sql = format!(
            "{schema}{}INSERT INTO {} VALUES ({})",
            tables.create_version(),
            tables.version(),
            quote_literal(&stamp)
        );
        session.batch_execute(&sql).await.map_err(Reason::query("stamp the scratch database"))?;
        session.close().await;
        let target = Target { info: scratch, application: &database.session.application_name };
        let (heard, ended) = self.caller().run(&["current"], Some(&target), &[], &Progress::none()).await;
        if heard.says(&[&stamp]) {
            return Ok(());
        }
        match ended {
            // It did not come so far as to say anything of a revision.
            Err(error) if !heard.says(&["Can't locate revision"]) => {
                Err(self.failed("current", &heard, error, Default::default()))
            }
            _ => Err(Reason::Alembic(Box::new(AlembicError::Unheeded {
                env_py: self.project.env_py(),
                url_env: self.settings.url_env.clone(),
                said: match heard.says(&["FAILED:"]) {
                    true => heard.cause(),
                    false => heard.answers(),
                },
                table: tables.show(),
            }))
            .into()),
        }
    }
}

/// A revision that nobody has: twelve digits, as Alembic makes them.
fn made_up() -> String {
    let mut bytes = [0u8; 6];
    if getrandom::fill(&mut bytes).is_err() {
        // Without the system's randomness it still differs from what any file has.
        bytes.copy_from_slice(
            &xxhash_rust::xxh3::xxh3_64(crate::id::fresh(crate::time::now()).as_bytes()).to_le_bytes()[..6],
        );
    }
    hex::encode(bytes)
}
