//! What is asked of a scratch database for a whole environment: whether the database has drifted from its
//! migrations, and whether the migrations themselves are sound.

use super::roots::migrator;
use super::site::{direct, session_options};
use crate::config::{Config, MigrationRoot};
use crate::event::Progress;
use crate::failure::Failure;
use crate::migrate::drift::{self, Conformity, View};
use crate::migrate::extensions;
use crate::migrate::scratch::Scratch;
use crate::migrate::trial::{Finding, Made, Trial};
use crate::migrate::{Database, Migrator};
use crate::pg;

/// A root of an environment, and who runs its migrations.
pub type Root<'a> = (&'a MigrationRoot, Box<dyn Migrator>);

/// All of them, in the config's order.
pub type Roots<'a> = [Root<'a>];

/// Reads the files of every root.
///
/// # Errors
/// If the files of one can't be read, or are no chain of revisions.
pub fn every_root(config: &Config) -> Result<Vec<Root<'_>>, Failure> {
    config.migrations.iter().map(|root| Ok((root, migrator(root, None)?))).collect()
}

/// What the config says of drift.
pub fn view(config: &Config) -> View {
    View {
        owners: config.drift.owners,
        privileges: config.drift.privileges,
        without_schemas: config.drift.ignore_schemas.clone(),
    }
}

/// The environment's database as it is called from outside, for `verb`.
pub fn own_database(config: &Config, verb: &str) -> Database {
    let session = session_options(config, &format!("backstay {verb}"));
    Database::new(direct(config).clone(), config.database.maintenance(), session)
}

/// Holds `database` against what all `roots` of the environment make of a scratch database.
///
/// # Errors
/// As [`drift::check`]; if there is no scratch database to be had.
pub async fn look_for_drift(
    roots: &Roots<'_>,
    database: &Database,
    view: &View,
) -> Result<Conformity, Failure> {
    let migrators: Vec<&dyn Migrator> = roots.iter().map(|(_, migrator)| &**migrator).collect();
    let scratch = Scratch::create(&database.admin, &database.info, &database.session).await?;
    let place = Database { info: scratch.info().clone(), ..database.clone() };
    let found = drift::check(&migrators, database, &place, view).await;
    let dropped = scratch.drop().await;
    // What went wrong first is what is told.
    let found = found?;
    dropped?;
    Ok(found)
}

/// Tries out the migrations of the roots called `wanted`, those before them only applied, on a scratch database
/// made like `database`, or at least on its server. `tell` is told of each finding, with the name of its root.
/// Gives what tables each makes.
///
/// # Errors
/// If there is no scratch database to be had, or it can't be looked at.
pub async fn try_out(
    roots: &Roots<'_>,
    wanted: &[&MigrationRoot],
    database: &Database,
    tell: &mut (dyn FnMut(&str, Finding) + Send),
) -> Result<Vec<Made>, Failure> {
    let scratch = Scratch::create(&database.admin, &database.info, &database.session).await?;
    let place = Database { info: scratch.info().clone(), ..database.clone() };
    let tried = async {
        install_extensions(database, &place).await?;
        try_each(roots, wanted, &place, tell).await
    };
    let tried = tried.await;
    let dropped = scratch.drop().await;
    let tried = tried?;
    dropped?;
    Ok(tried)
}

/// Installs what only an administrator can, where the real database has it.
async fn install_extensions(database: &Database, scratch: &Database) -> Result<(), Failure> {
    // There need be no real one.
    let Ok(session) = pg::connect(&database.info, &database.session).await else { return Ok(()) };
    let beyond = extensions::beyond(&session).await;
    session.close().await;
    extensions::install(&beyond?, scratch).await
}

async fn try_each(
    roots: &Roots<'_>,
    wanted: &[&MigrationRoot],
    scratch: &Database,
    tell: &mut (dyn FnMut(&str, Finding) + Send),
) -> Result<Vec<Made>, Failure> {
    let migrators: Vec<&dyn Migrator> = roots.iter().map(|(_, migrator)| &**migrator).collect();
    let view = View::default();
    let mut made = Vec::new();
    for (root, migrator) in roots {
        if wanted.iter().any(|wanted| wanted.name == root.name) {
            let mut of_this_root = |finding| tell(&root.name, finding);
            let trial = Trial { scratch, roots: &migrators, view: &view, tell: &mut of_this_root };
            made.push(trial.examine(&**migrator).await?);
        } else if made.len() < wanted.len() {
            // Those after it may stand on it.
            migrator.upgrade(scratch, "heads", &Progress::none()).await?;
        }
    }
    Ok(made)
}
