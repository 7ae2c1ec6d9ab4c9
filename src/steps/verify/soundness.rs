//! What a scratch database tells: whether the schema is as migrated, and whether the migrations go both ways.

use crate::config::MigrationRoot;
use crate::failure::Failure;
use crate::migrate::trial::{Finding, Outcome};
use crate::runbook::VerifyStep;
use crate::steps::scratch::{every_root, look_for_drift, try_out, view};
use crate::steps::{Roots, Site};

/// How many objects of drift, and how many lines of a failed check, a step's failure shows.
const SHOWN: usize = 10;

pub(super) async fn wrong(expected: &VerifyStep, site: &Site<'_>) -> Result<Vec<String>, Failure> {
    if !expected.as_migrated && !expected.round_trip {
        return Ok(Vec::new());
    }
    let roots = every_root(site.config)?;
    let mut wrong = Vec::new();
    if expected.as_migrated {
        wrong.extend(drift(site, &roots).await?);
    }
    if expected.round_trip {
        wrong.extend(failed_trials(site, &roots).await?);
    }
    Ok(wrong)
}

async fn drift(site: &Site<'_>, roots: &Roots<'_>) -> Result<Vec<String>, Failure> {
    let found = look_for_drift(roots, &site.migrated().await?, &view(site.config)).await?;
    let told =
        found.drift.iter().map(|difference| format!("{}: {}", difference.object(), difference.meaning()));
    Ok(shortened(told.collect()))
}

async fn failed_trials(site: &Site<'_>, roots: &Roots<'_>) -> Result<Vec<String>, Failure> {
    let wanted: Vec<&MigrationRoot> = roots.iter().map(|(root, _)| *root).collect();
    let mut failed = Vec::new();
    let mut tell = |root: &str, finding: Finding| {
        if finding.outcome == Outcome::Failed {
            failed.push(format!("{root}: {}", finding.said));
            failed.extend(shortened(finding.details));
        }
    };
    try_out(roots, &wanted, &site.migrated().await?, &mut tell).await?;
    Ok(failed)
}

fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines
            .push(format!("and {more} more; backstay migrate check and backstay migrate test show them all"));
    }
    lines
}
