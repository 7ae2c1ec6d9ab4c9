//! `step = "migrate"`: migrations, in the window, on the window's name.

use super::{Pending, Probe, Report, Site, direct, migrator, roots, session_options};
use crate::config::{Config, MigrationRoot};
use crate::event::Progress;
use crate::failure::Failure;
use crate::journal;
use crate::migrate::{Attempt, Database, MigrateError};
use crate::pg;

pub(super) async fn perform(to: &str, root: Option<&str>, site: &mut Site<'_>) -> Result<Report, Failure> {
    expect_what_was_approved(site).await?;
    let database = site.migrated().await?;
    let progress: Progress = site.progress();
    let mut applied = Vec::new();
    for root in roots(site.config, root)? {
        let migrator = migrator(root, Some(site.run))?;
        let next = "mend the migration, then run the release again";
        let done = migrator.upgrade(&database, to, &progress).await.map_err(|error| in_a_run(error, next))?;
        applied.extend(done.revisions.into_iter().map(|revision| revision.revision));
    }
    let summary = match applied.len() {
        0 => "nothing was pending".to_string(),
        _ => format!("applied {}", applied.join(", ")),
    };
    Report::with(summary, &serde_json::json!({ "applied": applied }))
}

/// Makes sure, before a window opens, of what the migrations of `root` would look at in it: that an `env.py` goes where it
/// is told. Changes nothing.
///
/// # Errors
/// What a migration would refuse.
pub async fn assure(config: &Config, root: &MigrationRoot) -> Result<(), Failure> {
    let live = direct(config).with_database(config.database.url.database());
    let options = session_options(config, &format!("backstay migrations of {}", config.environment));
    let database = Database::new(live, config.database.maintenance(), options);
    Ok(migrator(root, None)?.assure(&database, &Progress::none()).await?)
}

/// A run puts back: what a direct upgrade would leave, and its advice to go on from there, do not hold.
pub(super) fn in_a_run(error: MigrateError, next: &str) -> Failure {
    let mut failure = Failure::from(error);
    failure.causes.extend(failure.state.take());
    failure.next = vec![next.into()];
    failure
}

/// What is applied must be what was previewed, and so what was approved.
async fn expect_what_was_approved(site: &mut Site<'_>) -> Result<(), Failure> {
    let Some(preview) = site.recall.preview.clone() else { return Ok(()) };
    // A later migrate step, or this one again after a death: a part of what was approved is applied already.
    let pending = Pending::unwritten(site).await?;
    let begun = pending.revisions.len() < preview.revisions.len();
    let known = if begun {
        preview.revisions.ends_with(&pending.revisions) && preview.files.ends_with(&pending.files)
    } else {
        journal::hash(pending.fixed.as_bytes()) == preview.sql_hash
    };
    if known {
        return Ok(());
    }
    Err(Failure::refused("migrate what was approved")
        .because_of("the migrations or the database's revision changed since the preview")
        .then("run the release again and approve the new preview"))
}

/// What a look finds that was under way, outside of a transaction, when its driver died.
pub(super) fn broken_off(what: String, attempt: &Attempt) -> Failure {
    Failure::failed(what)
        .because_of("it runs outside a transaction and was under way when its driver died")
        .because_of(attempt.extent())
}

/// No "dirty" state exists: what is applied is applied, the rest is done by running the line again.
pub(super) async fn probe(to: &str, root: Option<&str>, site: &mut Site<'_>) -> Result<Probe, Failure> {
    let session = pg::connect(&site.live().await?, &site.session("probe")).await?;
    let mut pending = Vec::new();
    for root in roots(site.config, root)? {
        let migrator = migrator(root, Some(site.run))?;
        let current = migrator.current(&session).await?;
        if let Some(attempt) = current.unfinished.first() {
            return Ok(Probe::Failed(broken_off(
                format!("finish the migration {}", attempt.revision),
                attempt,
            )));
        }
        let steps = migrator.plan(&current, to)?;
        pending.extend(steps.into_iter().map(|step| step.revision));
    }
    Ok(if pending.is_empty() {
        Probe::Done(Report::saying(format!("the database is at {to}")))
    } else {
        Probe::NotDone(format!("still pending: {}", pending.join(", ")))
    })
}
