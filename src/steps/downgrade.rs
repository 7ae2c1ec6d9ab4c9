//! A rollback that takes migrations back by their own downgrades, in the window, under a guard.

use std::collections::BTreeMap;

use super::migrate::{assure, broken_off, in_a_run};
use super::{Probe, Report, Site, migrator};
use crate::config::{Config, MigrationRoot};
use crate::failure::Failure;
use crate::migrate::{Current, Step};
use crate::pg::{self, Session};

/// The roots that are taken back, the last that was migrated first, each with its target.
fn roots<'a>(
    config: &'a Config,
    targets: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (&'a MigrationRoot, &'a str)> {
    config.migrations.iter().rev().filter_map(|root| Some((root, targets.get(&root.name)?.as_str())))
}

pub(super) async fn perform(
    targets: &BTreeMap<String, String>,
    site: &mut Site<'_>,
) -> Result<Report, Failure> {
    let database = site.migrated().await?;
    let progress = site.progress();
    let mut taken = Vec::new();
    for (root, target) in roots(site.config, targets) {
        let migrator = migrator(root, Some(site.run))?;
        let next = "mend the downgrade, or go another way: backstay rollback --by guard";
        let done = migrator.downgrade(&database, target, &progress).await;
        let done = done.map_err(|error| in_a_run(error, next))?;
        taken.extend(done.revisions.into_iter().map(|revision| revision.revision));
    }
    let summary = match taken.len() {
        0 => "nothing was left to be taken back".to_string(),
        _ => format!("took back {}", taken.join(", ")),
    };
    Report::with(summary, &serde_json::json!({ "taken_back": taken }))
}

/// The revisions that a downgrade to `targets` takes back, in order. Reads only.
///
/// # Errors
/// Files that can't be read; a target that leads nowhere; a revision that has no downgrade.
pub async fn steps_back(
    config: &Config,
    targets: &BTreeMap<String, String>,
    session: &Session,
) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for (root, target) in roots(config, targets) {
        let migrator = migrator(root, None)?;
        let current = migrator.current(session).await?;
        all.extend(migrator.plan_back(&current, target)?.into_iter().map(|step: Step| step.revision));
    }
    Ok(all)
}

/// Makes sure, before a window opens, of what a downgrade to `targets` would look at in it. Changes nothing.
///
/// # Errors
/// What the downgrade would refuse.
pub async fn assure_back(config: &Config, targets: &BTreeMap<String, String>) -> Result<(), Failure> {
    for (root, _) in roots(config, targets) {
        assure(config, root).await?;
    }
    Ok(())
}

/// Each revision is taken back whole, or its history says how far: the rest is done by running the line again.
pub(super) async fn probe(targets: &BTreeMap<String, String>, site: &mut Site<'_>) -> Result<Probe, Failure> {
    let session = pg::connect(&site.live().await?, &site.session("probe")).await?;
    let mut left = Vec::new();
    for (root, target) in roots(site.config, targets) {
        let migrator = migrator(root, Some(site.run))?;
        let current: Current = migrator.current(&session).await?;
        if let Some(attempt) = current.unfinished.first() {
            let what = format!("take the migration {} back", attempt.revision);
            return Ok(Probe::Failed(broken_off(what, attempt)));
        }
        left.extend(migrator.plan_back(&current, target)?.into_iter().map(|step| step.revision));
    }
    Ok(match left.is_empty() {
        true => Probe::Done(Report::saying("all of it is taken back")),
        false => Probe::NotDone(format!("still to be taken back: {}", left.join(", "))),
    })
}

/// A `rollback` step in a run that no rollback began.
pub(super) fn untold() -> Failure {
    Failure::usage("take a release back")
        .because_of("this run was not told which, nor how")
        .then("backstay rollback runs this runbook")
}
