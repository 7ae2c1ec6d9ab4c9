//! `backstay run RUNBOOK`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::admission::{Charge, Timing};
use super::answers::Answering;
use super::{Shell, Trouble, left_behind, plan_file, stop};
use crate::config::Config;
use crate::engine::begin::{self, Means};
use crate::engine::decisions::WayOn;
use crate::engine::drive::Driving;
use crate::engine::plan::Plan;
use crate::engine::proposal::Proposal;
use crate::engine::state::State;
use crate::event::Events;
use crate::failure::{Failure, Verdict};
use crate::log;
use crate::runbook::{Runbook, StepKind};
use crate::steps::direct;
use crate::store::{Spool, SpoolError, Store};
use crate::ui;
use crate::words::shell_path;

/// Run a runbook
#[derive(Debug, Args)]
pub struct Run {
    /// A path, or runbooks/NAME.toml, or a shipped one [with --plan: the plan's]
    #[arg(required_unless_present = "plan")]
    runbook: Option<String>,
    /// Run what this file of `plan --out` holds, or nothing: refused if anything is not as it was planned. An approval in
    /// it counts for the approve step
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Answer the runbook's confirmations with yes
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    answering: Answering,
    #[command(flatten)]
    timing: Timing,
}

pub(super) async fn run(shell: &Shell, command: &Run) -> Result<Verdict, Trouble> {
    let proposal = command.plan.as_deref().map(plan_file::read).transpose()?;
    let config = shell.config_or(proposal.as_ref().map(|proposal| proposal.environment.as_str()))?;
    let name =
        command.runbook.as_deref().or(proposal.as_ref().map(|proposal| proposal.runbook.name.as_str()));
    let name = name.unwrap_or_default();
    let runbook = shell.runbook(name, &config)?;
    refuse_rollback(&runbook)?;
    let asks = runbook.before.iter().any(|step| matches!(step.kind, StepKind::Approve))
        && proposal.as_ref().is_none_or(|proposal| proposal.approval.is_none());
    expect_answers(shell, "run", &runbook, asks, command.yes)?;
    let (plan, anew) = (Plan::compile(&runbook, &config), State::default());
    let answers = command.answering.read(shell, "run", &runbook.name, &plan, &anew)?;
    let spool = shell.spool(&config);
    bring_what_waits(shell, &spool).await?;
    if let (Some(proposal), Some(file)) = (&proposal, &command.plan) {
        expect_as_planned(shell, &config, (&runbook, name), (proposal, file)).await?;
    }
    let store: Arc<dyn Store> = spool.clone();
    let stop = stop::listen();
    let verb = format!("run {}", runbook.name);
    let admitted = command.timing.admit(
        shell,
        &config,
        Charge { runbook: &runbook, plan: &plan, state: &anew },
        &store,
        &verb,
        stop.clone(),
    );
    let admitted = admitted.await?;
    let (events, screen) = Screening::open(shell, &store);
    let means = Means { config: &config, store: &store, spool: &spool, events: &events, stop: stop.clone() };
    let begun = stop::unless_asked(stop, "begin the run", begin::begin(means, &runbook)).await;
    let planned = proposal.as_ref().map(Proposal::planned);
    let begun = begun.map(|driving| {
        let mut driving = admitted.given_to(driving, answers);
        driving.planned = planned;
        driving
    });
    let verdict = drive(begun, shell, command.yes, None).await;
    drop(events);
    screen.close().await;
    left_behind::offer(shell, &config);
    verdict
}

/// Refuses to run anything but what the plan file holds.
async fn expect_as_planned(
    shell: &Shell,
    config: &Config,
    (runbook, name): (&Runbook, &str),
    (proposal, file): (&Proposal, &Path),
) -> Result<(), Failure> {
    let session = shell.connect(config, direct(config), "run").await?;
    let differences = proposal.differences(&Proposal::draw(config, runbook, name, &session).await?);
    if differences.is_empty() {
        return Ok(());
    }
    let refusal = Failure::refused(format!("run what {} holds", file.display()));
    let refusal = differences.into_iter().fold(refusal, Failure::because_of);
    Err(refusal.leaving("nothing was changed").then(format!(
        "backstay plan {name} -e {} --out {}, and have that approved",
        config.environment,
        shell_path(file)
    )))
}

/// Which release is taken back, and how, is asked by another command.
fn refuse_rollback(runbook: &Runbook) -> Result<(), Failure> {
    match runbook.rollback() {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!("run {}", runbook.name))
            .because_of("it takes a release back, and was not told which")
            .leaving("nothing was changed")
            .then("backstay rollback shows the ways back and runs emergency-rollback")),
    }
}

/// Drives a run that was begun or taken over.
pub(super) async fn drive(
    driving: Result<Driving<'_>, Failure>,
    shell: &Shell,
    yes: bool,
    way_on: Option<WayOn>,
) -> Result<Verdict, Trouble> {
    let mut driving = driving?;
    driving.yes = yes;
    driving.attended = shell.can_ask();
    driving.way_on = way_on;
    Ok(driving.drive().await)
}

/// Brings the records to the store that a put-back without it left on this machine; gives how many there were.
pub(super) async fn bring_what_waits(shell: &Shell, spool: &Spool) -> Result<usize, Failure> {
    if spool.waiting().await.is_ok_and(|waiting| waiting.is_empty()) {
        return Ok(0);
    }
    let brought = spool.flush().await.map_err(|error| match error {
        SpoolError::Store(error) => {
            let kept = format!("the last records of an earlier run wait in {}", spool.path().display());
            Failure::from(error).leaving(kept).then("the same command again, once the store is back")
        }
        taken @ SpoolError::Taken { .. } => Failure::refused(
            "bring the records of an earlier run to the store",
        )
        .caused_by(&taken)
        .leaving("the journal on the store is that driver's; nothing was done by this command")
        .then("backstay status shows the run; the same command again goes on by the journal on the store"),
    })?;
    shell.note(&format!("{brought} objects that waited in {} are on the store now", spool.path().display()));
    Ok(brought)
}

/// Without a terminal nothing asks: what would be asked is refused before anything starts.
pub(super) fn expect_answers(
    shell: &Shell,
    verb: &str,
    runbook: &Runbook,
    asks: bool,
    yes: bool,
) -> Result<(), Failure> {
    if yes || !asks || shell.can_ask() {
        return Ok(());
    }
    Err(Failure::usage(format!("{verb} {} without a person", runbook.name))
        .because_of("its approve step is still to come, and there is no terminal to ask on")
        .leaving("nothing was changed")
        .then("give --yes, or run it in a terminal, or have a plan file approved: backstay approve FILE"))
}

/// The readers of a run's events: the log on the store, and behind it the screen.
pub(super) struct Screening {
    log: tokio::task::JoinHandle<()>,
    actions: Option<tokio::task::JoinHandle<()>>,
    screen: tokio::task::JoinHandle<()>,
}

impl Screening {
    /// Opens the stream and starts its readers.
    pub fn open(shell: &Shell, store: &Arc<dyn Store>) -> (Events, Self) {
        let (events, stream) = Events::channel();
        let (mut seen, log) = log::tee(store.clone(), stream);
        let mut actions = None;
        if let Some(step) = shell.actions() {
            let (told, task) = step.clone().tee(store.clone(), seen);
            (seen, actions) = (told, Some(task));
        }
        (events, Self { log, actions, screen: tokio::spawn(ui::show(shell.screen(), seen)) })
    }

    /// Waits until all that was said is shown and kept; every [`Events`] must have been dropped.
    pub async fn close(self) {
        let _ = tokio::join!(self.log, self.screen);
        if let Some(actions) = self.actions {
            let _ = actions.await;
        }
    }
}
