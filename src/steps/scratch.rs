//! What is asked of a scratch database for a whole environment: whether the database has drifted from its
//! migrations, and whether the migrations themselves are sound.

use super::roots::migrator;
use super::site::{direct, session_options};
use crate::config::{Config, MigrationRoot};
use crate::event::Progress;
use crate::failure::Failure;
use crate::migrate::drift::{self, Conformity, View};
use crate::migrate::scratch::Scratch;
use crate::migrate::trial::{Finding, Made, Trial};
use crate::migrate::{Database, Migrator};
use crate::pg::ConnInfo;

/// Every root of an environment with who runs its migrations, in the config's order.
pub type Roots<'a> = [(&'a MigrationRoot, Box<dyn Migrator>)];

/// Reads the files of every root.
///
/// # Errors
/// If the files of one can't be read, or are no chain of revisions.
pub fn every_root(config: &Config) -> Result<Vec<(&MigrationRoot, Box<dyn Migrator>)>, Failure> {
    config.migrations.iter().map(|root| Ok((root, migrator(root, None)?))).collect()
}

/// Holds `database` against what all `roots` of the environment make of a scratch database.
///
/// # Errors
/// As [`drift::check`]; if there is no scratch database to be had.
pub async fn look_for_drift(
    config: &Config,
    roots: &Roots<'_>,
    database: &Database,
    view: &View,
) -> Result<Conformity, Failure> {
    let migrators: Vec<&dyn Migrator> = roots.iter().map(|(_, migrator)| &**migrator).collect();
    let admin = config.database.maintenance();
    let scratch = Scratch::create(&admin, &database.info, &database.session).await?;
    let place = Database { info: scratch.info().clone(), ..database.clone() };
    let way = admin.with_database(place.info.database());
    let found = drift::check(&migrators, database, &place, &way, view).await;
    let dropped = scratch.drop().await;
    // What went wrong first is what is told.
    let found = found?;
    dropped?;
    Ok(found)
}

/// Tries out the migrations of the roots called `wanted`, those before them only applied, on a scratch database
/// beside the real one, or on `server`. `tell` is told of each finding, with the name of its root. Gives what
/// tables each makes.
///
/// # Errors
/// If there is no scratch database to be had, or it can't be looked at.
pub async fn try_out(
    config: &Config,
    roots: &Roots<'_>,
    wanted: &[&MigrationRoot],
    server: Option<&ConnInfo>,
    tell: &mut (dyn FnMut(&str, Finding) + Send),
) -> Result<Vec<Made>, Failure> {
    let session = session_options(config, "backstay migrate test");
    let own = config.database.maintenance();
    let (admin, like) = match server {
        Some(server) => (server.clone(), server.with_database(config.database.url.database())),
        None => (own, direct(config).clone()),
    };
    let scratch = Scratch::create(&admin, &like, &session).await?;
    let place = Database::new(scratch.info().clone(), admin, session);
    let tried = try_each(roots, wanted, &place, tell).await;
    let dropped = scratch.drop().await;
    let tried = tried?;
    dropped?;
    Ok(tried)
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
