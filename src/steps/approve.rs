//! `step = "approve"`: a person agrees to what was previewed, now or before, over a plan file.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Pending, Report, Site, schedule};
use crate::failure::{Failure, Kind};
use crate::journal::{self, Driver};
use crate::words::{count, short};

/// An agreement that stands in a plan file.
///
/// Nothing proves it: whoever can write the file can write this. What is known is who wrote it down, and where; so
/// that is kept beside the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who agreed.
    pub by: String,
    /// How that is known.
    pub how: How,
    /// Who wrote it down: the account and the machine of `backstay approve`.
    pub recorded_by: String,
    /// When.
    pub at: Timestamp,
    /// What was agreed to: [`Planned::hash`].
    pub of: String,
}

/// How an agreement is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Somebody at a terminal saw the plan and typed the environment's name.
    Typed,
    /// Whoever called `backstay approve --yes` said so: a CI job whose reviewers agreed.
    Said,
}

/// The plan file that a run was given, and found to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// SHA-256 over the plan without its approval, in hex.
    pub hash: String,
    /// SHA-256 over [`Pending::fixed`], of no run: the script of one holds its id.
    pub sql_hash: String,
    /// The agreement in it.
    pub approval: Option<Approval>,
}

pub(super) async fn perform(site: &mut Site<'_>) -> Result<Report, Failure> {
    let what = what(site);
    let driver = Driver::this_process();
    let hash = site.recall.preview.as_ref().map(|p| p.hash.clone());
    let mut facts = serde_json::json!({ "by": driver.user, "host": driver.machine.host, "hash": hash, "asked": !site.yes });
    if let Some(planned) = site.planned {
        holds(planned, site).await?;
        facts["plan"] = serde_json::json!({ "hash": planned.hash, "approval": planned.approval });
    }
    if let Some(approval) = site.planned.and_then(|planned| planned.approval.as_ref()) {
        facts["by"] = approval.by.clone().into();
        facts["asked"] = false.into();
        return Report::with(format!("{what}, {}", told(approval)), &facts);
    }
    let outlook = schedule::outlook(site);
    if site.yes {
        outlook.into_iter().for_each(|text| site.progress().note(text));
        return Report::with(format!("{what}, by --yes of {}", driver.user), &facts);
    }
    let environment = &site.config.environment;
    let ahead: String = outlook.into_iter().map(|text| format!("{text}\n")).collect();
    let question = format!("{ahead}Release {what} to {environment}?");
    match site.events.ask(site.line, question, environment).await {
        Some(true) => Report::with(format!("{what}, by {}", driver.user), &facts),
        Some(false) => Err(Failure::refused("get the release approved")
            .because_of(format!("the answer was not {environment}"))
            .leaving("nothing was changed")),
        None => Err(Failure::new(Kind::Refused, "get the release approved")
            .because_of("nobody answered")
            .leaving("nothing was changed")
            .then("run it again and type the environment's name, or give --yes")),
    }
}

fn what(site: &Site<'_>) -> String {
    match &site.recall.preview {
        Some(preview) if preview.revisions.is_empty() => format!("no migrations ({})", short(&preview.hash)),
        Some(preview) => {
            let place = format!("{}/{}", site.store.url(), preview.object);
            format!(
                "{} ({}), {place}",
                count(preview.revisions.len() as u64, "migration", "migrations"),
                short(&preview.hash)
            )
        }
        None => "what stands above".to_string(),
    }
}

/// What the plan file was held against before the run began may have changed until here, where the lock is held.
async fn holds(planned: &Planned, site: &Site<'_>) -> Result<(), Failure> {
    if journal::hash(Pending::planned(site).await?.fixed.as_bytes()) == planned.sql_hash {
        return Ok(());
    }
    Err(Failure::refused("take the plan file for an approval")
        .because_of("the migrations that are pending now are not those of the plan")
        .leaving("nothing was changed")
        .then("plan again with --out, have that approved, and run it"))
}

/// Who agreed, and who says so: `by alice in plan 3f2a…, as runner on ci-7 wrote down 2026-11-21T…`.
fn told(approval: &Approval) -> String {
    let how = match approval.how {
        How::Typed => "typed there",
        How::Said => "so said there",
    };
    format!(
        "by {} in plan {}, {how} by {} at {}",
        approval.by,
        short(&approval.of),
        approval.recorded_by,
        approval.at
    )
}
