//! `step = "preflight"`, and `doctor`, which is it alone: everything that later lines need, checked, and
//! *all* that is wrong said at once, each with its remedy. Changes nothing that stays.

mod backup;
mod database;
mod disk;
mod migrations;
mod programs;
mod rehearsal;
mod replicas;
mod server;
mod surroundings;

use std::sync::Arc;

use serde::Serialize;

use super::{Outline, Report, Site};
use crate::config::Config;
use crate::event::{Progress, Unit};
use crate::failure::Failure;
use crate::store::Store;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A release cannot start over it; otherwise it is worth knowing.
    pub blocks: bool,
    /// It is only unknown: a person may take it on, where one is there to be asked.
    pub asks: bool,
    /// What is wrong.
    pub what: String,
    /// What mends it: sentences or lines to type.
    pub remedies: Vec<String>,
}

impl Finding {
    fn blocks(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { blocks: true, asks: false, what: what.into(), remedies: vec![remedy.into()] }
    }

    fn warns(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { blocks: false, asks: false, what: what.into(), remedies: vec![remedy.into()] }
    }

    fn asks(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { asks: true, ..Self::blocks(what, remedy) }
    }

    /// A failure met on the way, as a finding.
    pub fn of(failure: &Failure) -> Self {
        Self { remedies: failure.next.clone(), ..Self::blocks(failure.to_string(), "") }
    }
}

/// One check: its name, what was seen, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What was seen, if all is well.
    pub said: String,
    /// What is wrong; empty if nothing is.
    pub findings: Vec<Finding>,
}

impl Check {
    fn new(name: &'static str, said: impl Into<String>, findings: Vec<Finding>) -> Self {
        Self { name, said: said.into(), findings }
    }
}

/// What preflight needs: no run, no lock, nothing that a doctor would not have.
pub struct Premises<'a> {
    /// The environment.
    pub config: &'a Config,
    /// Its store.
    pub store: &'a Arc<dyn Store>,
    /// What the runbook is going to do, so that no more is asked than it needs.
    pub outline: &'a Outline,
}

/// Checks everything. Where a later check needs what an earlier one found missing, it is left out.
pub async fn examine(premises: &Premises<'_>, progress: &Progress) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut add = |found: Vec<Check>| {
        for check in found {
            progress.at(checks.len() as u64 + 1, None, Unit::Items, check.name);
            checks.push(check);
        }
    };
    add(surroundings::examine(premises).await);
    let (found, sessions) = server::examine(premises).await;
    add(found);
    if let Some(sessions) = sessions {
        add(database::examine(premises, &sessions).await);
        add(migrations::examine(premises, &sessions.app).await);
        add(vec![backup::examine(premises).await]);
        if premises.outline.window {
            add(vec![disk::examine(premises, &sessions).await]);
            add(vec![rehearsal::examine(premises, &sessions).await]);
        }
    }
    checks
}

pub(super) async fn perform(site: &mut Site<'_>) -> Result<Report, Failure> {
    let progress = site.progress();
    let premises = Premises { config: site.config, store: site.store, outline: site.outline };
    let mut checks = examine(&premises, &progress).await;
    ask_about_unknown(&mut checks, site).await;
    let findings: Vec<&Finding> = checks.iter().flat_map(|check| &check.findings).collect();
    for warning in findings.iter().filter(|finding| !finding.blocks) {
        progress.note(format!("{} ({})", warning.what, warning.remedies.join("; ")));
    }
    let blocking: Vec<&&Finding> = findings.iter().filter(|finding| finding.blocks).collect();
    if blocking.is_empty() {
        let warnings = findings.len();
        let said = if warnings == 0 { String::new() } else { format!(", {warnings} worth a look") };
        return Ok(Report::saying(format!("{} checks{said}", checks.len())));
    }
    let failure = Failure::refused("start the release").leaving("nothing was changed, production serves");
    Err(blocking.iter().fold(failure, |failure, finding| {
        finding.remedies.iter().fold(failure.because_of(&*finding.what), Failure::then)
    }))
}

/// What is only unknown a person may take on; `--yes` does not, for it cannot know what it takes on.
async fn ask_about_unknown(checks: &mut [Check], site: &Site<'_>) {
    let unknown = checks.iter_mut().flat_map(|check| &mut check.findings).filter(|finding| finding.asks);
    for finding in unknown.filter(|_| !site.yes) {
        let text = format!("{}. Go on all the same?", finding.what);
        finding.blocks = site.events.ask(site.line, text, "go on").await != Some(true);
    }
}
