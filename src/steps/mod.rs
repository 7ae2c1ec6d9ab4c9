//! The kinds of lines, one file a kind: prepare (what it is going to do), perform, probe.
//!
//! A step knows no other step. What it needs of earlier lines it is given as [`Recall`].

mod approve;
mod backup;
mod checklist;
pub mod command;
mod downgrade;
mod exchange;
pub mod health;
pub mod lint;
mod migrate;
mod pooler;
pub mod preflight;
mod preview;
mod put_back;
mod record;
mod released;
mod replicas;
mod roots;
mod schedule;
pub mod schema;
mod scratch;
mod site;
mod verify;
mod watch;
mod window;
mod writes;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::event::LineId;
use crate::failure::Failure;
use crate::process::orphans;
use crate::runbook::{GuardKind, StepKind};

pub use approve::{Approval, How, Planned};
pub(crate) use backup::{restore_options, write_options};
pub use downgrade::{assure_back, steps_back};
pub use migrate::assure;
pub use preview::Pending;
pub use released::Released;
pub use replicas::{Left, Stranded};
pub use roots::{migrator, roots};
pub use scratch::{Root, Roots, every_root, look_for_drift, own_database, try_out, view};
pub use site::{BackupFacts, Exchanged, Outline, Recall, Site, direct, session_options};
pub use writes::{bookkeeping, would_drop_writes};

/// What a line does: a step of the runbook, a line of the window, or a line of the way back.
#[derive(Debug, Clone)]
pub enum Action {
    /// A step that the runbook names.
    Step(StepKind),
    /// Flag up.
    RaiseFlag {
        /// How long the window may last before people are told.
        max: Duration,
        /// How long it may last before production is put back.
        put_back_after: Option<Duration>,
    },
    /// Nobody but us can reach the database.
    Close,
    /// A guard that is proven equal.
    Guard(GuardKind),
    /// A rollback takes migrations back.
    Downgrade {
        /// Where to, by migration root.
        targets: BTreeMap<String, String>,
    },
    /// A rollback restores a backup beside production.
    RestoreAside {
        /// Which.
        backup: String,
    },
    /// A rollback puts another database in production's place, behind the fence.
    Exchange,
    /// Everybody can reach it again.
    Open,
    /// The database is the one it should be, a new session can write, and, if asked, health checks pass.
    Prove {
        /// Whether the environment's health checks belong to the proof.
        health: bool,
    },
    /// Flag down. Its start is `Clearing`.
    ClearFlag,
    /// What others wrote since `open`.
    ReadLedger,
    /// The undos of a line's commands.
    Undo {
        /// The line.
        line: LineId,
    },
    /// The guard becomes production, in one transaction.
    Swap {
        /// Others may have written: they are counted behind the fence once more.
        opened: bool,
    },
    /// The unchanged database gets its name and its users back.
    Reopen,
}

/// What a line that did its work says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// In a few words, for the checklist.
    pub summary: String,
    /// For later lines; journaled.
    pub facts: Value,
}

/// What a look at a line that was under way found.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// It took effect wholly.
    Done(Report),
    /// It had no effect, or can simply be done again; why we know.
    NotDone(String),
    /// It cannot be known or was done in part: it counts as failed.
    Failed(Failure),
}

impl Action {
    /// Whether this line may change the database's content or schema while it is ours alone.
    pub fn may_change_database(&self) -> bool {
        matches!(
            self,
            Action::Step(StepKind::Migrate { .. } | StepKind::Command(_) | StepKind::Services(_))
                | Action::Downgrade { .. }
                | Action::Exchange
        )
    }
}

impl Report {
    /// A report without facts.
    pub fn saying(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), facts: Value::Null }
    }

    /// A report with facts for later lines.
    ///
    /// # Errors
    /// If the facts are no JSON: a defect.
    pub fn with(summary: impl Into<String>, facts: &impl serde::Serialize) -> Result<Self, Failure> {
        Ok(Self { summary: summary.into(), facts: to_json(facts)? })
    }
}

/// What the line is going to do, by id and name; journaled before it acts. Changes nothing.
///
/// # Errors
/// Whatever makes it impossible to say; then the line failed before it acted.
pub async fn prepare(action: &Action, site: &mut Site<'_>) -> Result<Value, Failure> {
    match action {
        Action::RaiseFlag { .. } => window::prepare_raise(site).await,
        Action::Close => window::prepare_close(site).await,
        Action::Guard(_) => Ok(window::prepare_guard(site)),
        Action::Open => window::prepare_open(site).await,
        Action::Exchange => exchange::prepare(site).await,
        Action::Swap { opened } => put_back::prepare_swap(*opened, site).await,
        _ => Ok(Value::Null),
    }
}

/// Does the line's work. `intent` is what [`prepare`] said and the journal holds.
///
/// # Errors
/// Why it failed; what a failure may have left is the probe's and the way back's business.
pub async fn perform(action: &Action, intent: &Value, site: &mut Site<'_>) -> Result<Report, Failure> {
    match action {
        Action::Step(kind) => perform_step(kind, site).await,
        Action::RaiseFlag { max, .. } => window::raise_flag(site, *max).await,
        Action::Close => window::close(site).await,
        Action::Guard(kind) => window::guard(*kind, intent, site).await,
        Action::Downgrade { targets } => downgrade::perform(targets, site).await,
        Action::RestoreAside { backup } => exchange::restore_aside(backup, site).await,
        Action::Exchange => exchange::perform(intent, site).await,
        Action::Open => window::open(site).await,
        Action::Prove { health } => window::prove(*health, site).await,
        Action::ClearFlag => window::clear_flag(site).await,
        Action::ReadLedger => put_back::read_ledger(site).await,
        Action::Undo { line } => command::undo(*line, site).await,
        Action::Swap { opened } => put_back::swap(*opened, intent, site).await,
        Action::Reopen => put_back::reopen(site).await,
    }
}

async fn perform_step(kind: &StepKind, site: &mut Site<'_>) -> Result<Report, Failure> {
    match kind {
        StepKind::Preflight => preflight::perform(site).await,
        StepKind::Backup { verify } => backup::perform(*verify, site).await,
        StepKind::Lint => lint::perform(site).await,
        StepKind::Preview => preview::perform(site).await,
        StepKind::Approve => approve::perform(site).await,
        StepKind::Checklist { asks } => checklist::perform(asks, site).await,
        StepKind::Migrate { to, root } => migrate::perform(to, root.as_deref(), site).await,
        StepKind::Rollback { .. } => Err(downgrade::untold()),
        StepKind::Command(_) | StepKind::Services(_) => command::perform(&kind.commands(), site).await,
        StepKind::Health { http, sql } => health::perform(http, sql, site).await,
        StepKind::Verify(expected) => verify::perform(expected, site).await,
        StepKind::Watch(watch) => watch::perform(watch, site).await,
        StepKind::Record(step) => record::perform(step, site).await,
    }
}

/// Looks what a line that was started, and of which nobody wrote down the end, has done. What earlier drivers left
/// running of it on this machine is ended first: it could act behind the look.
///
/// # Errors
/// If it can't be looked at all (no connection): nothing is decided then, and the run can be resumed.
pub async fn probe(action: &Action, intent: &Value, site: &mut Site<'_>) -> Result<Probe, Failure> {
    let left = orphans::end(&site.owner()).await;
    match action {
        Action::RaiseFlag { .. } => window::probe_flag(site, true).await,
        Action::ClearFlag => window::probe_flag(site, false).await,
        Action::Close => window::probe_close(site).await,
        Action::Open => window::probe_open(site).await,
        Action::Exchange => exchange::probe(intent, site).await,
        Action::Downgrade { targets } => downgrade::probe(targets, site).await,
        Action::Swap { .. } => put_back::probe_swap(intent, site).await,
        Action::Step(StepKind::Migrate { to, root }) => migrate::probe(to, root.as_deref(), site).await,
        Action::Step(kind @ (StepKind::Command(_) | StepKind::Services(_))) => {
            Ok(command::probe(&kind.commands(), left, site))
        }
        Action::Step(_) | Action::Prove { .. } | Action::ReadLedger => {
            Ok(Probe::NotDone("it changes nothing and is done again".into()))
        }
        Action::Guard(_) => Ok(Probe::NotDone("the guard is made anew".into())),
        Action::RestoreAside { .. } => Ok(Probe::NotDone("the backup is restored anew".into())),
        Action::Reopen | Action::Undo { .. } => {
            Ok(Probe::NotDone("it is idempotent and is done again".into()))
        }
    }
}

/// Ends what a line that was cut short left running: processes, by their marks, also what left its process group; and
/// the statement of the session that holds the lock, which the next line needs. Bounded.
pub async fn silence(action: &Action, site: &Site<'_>) {
    orphans::end(&site.owner()).await;
    if matches!(action, Action::Guard(_)) {
        let cancelling = site.admin.session().canceller();
        let within = site.config.database.connect_timeout;
        if !matches!(tokio::time::timeout(within, cancelling.cancel()).await, Ok(Ok(()))) {
            tracing::debug!("the guard's statement goes on");
        }
    }
}

/// A value as JSON.
///
/// # Errors
/// A defect: a type that is no JSON.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::internal("write facts as JSON").caused_by(&error))
}

/// Facts as their type.
///
/// # Errors
/// A journal that another version wrote in another shape.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    serde_json::from_value(value.clone())
        .map_err(|error| Failure::refused("read the journal's facts").caused_by(&error))
}
