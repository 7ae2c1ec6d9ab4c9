//! The environment's migrations: which are meant, and who runs them.

use crate::config::{Config, MigrationRoot, Tool};
use crate::failure::Failure;
use crate::migrate::{AlembicMigrator, Migrations, Migrator, Options, SqlMigrator};

/// The migration roots that are meant: the named one, or all.
///
/// # Errors
/// A name that the environment does not know.
pub fn roots<'a>(config: &'a Config, wanted: Option<&str>) -> Result<Vec<&'a MigrationRoot>, Failure> {
    let found: Vec<&MigrationRoot> =
        config.migrations.iter().filter(|root| wanted.is_none_or(|name| name == root.name)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let known: Vec<&str> = config.migrations.iter().map(|root| root.name.as_str()).collect();
    Err(Failure::usage(format!("find the migrations called {}", wanted.unwrap_or_default()))
        .because_of(format!("the environment {} has {}", config.environment, known.join(", "))))
}

/// Reads the files of `root`; gives who runs them, for `run` or by hand. Asks no database.
///
/// # Errors
/// If the files can't be read, or are no chain of revisions.
pub fn migrator(root: &MigrationRoot, run: Option<&str>) -> Result<Box<dyn Migrator>, Failure> {
    match &root.tool {
        Tool::Alembic(settings) => {
            let options = migrate_options(root, run);
            Ok(Box::new(AlembicMigrator::load((**settings).clone(), options)?))
        }
        Tool::Sql => {
            let migrations = Migrations::load(&root.directory)?;
            Ok(Box::new(SqlMigrator { migrations, options: migrate_options(root, run) }))
        }
    }
}

fn migrate_options(root: &MigrationRoot, run: Option<&str>) -> Options {
    Options {
        schema: Some(root.version_schema.clone()),
        version_table: root.version_table.clone(),
        lock_timeout: root.lock_timeout,
        lock_retries: root.lock_retries,
        statement_timeout: root.statement_timeout.unwrap_or_default(),
        run: run.map(String::from),
        ..Options::default()
    }
}
