//! `backstay run RUNBOOK`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::admission::{Charge, Timing};
use super::answers::Answering;
use super::{Shell, Trouble, drive, plan_file, stop};
use crate::config::Config;
use crate::engine::begin;
use crate::engine::decisions::Told;
use crate::engine::plan::Plan;
use crate::engine::proposal::Proposal;
use crate::engine::state::State;
use crate::failure::{Failure, Verdict};
use crate::runbook::{Runbook, StepKind};
use crate::steps::direct;
use crate::store::{Spool, SpoolError};
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

impl Run {
    /// The environment that is meant: the plan file's, if none is named.
    pub fn environment(&self, shell: &Shell) -> Result<Config, Trouble> {
        environment(shell, self.proposal()?.as_ref())
    }

    fn proposal(&self) -> Result<Option<Proposal>, Failure> {
        self.plan.as_deref().map(plan_file::read).transpose()
    }
}

fn environment(shell: &Shell, proposal: Option<&Proposal>) -> Result<Config, Trouble> {
    shell.config_or(proposal.map(|proposal| proposal.environment.as_str()))
}

pub(super) async fn run(shell: &Shell, command: &Run) -> Result<Verdict, Trouble> {
    let proposal = command.proposal()?;
    let config = environment(shell, proposal.as_ref())?;
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
    let stop = stop::listen();
    let verb = format!("run {}", runbook.name);
    let charge = Charge { runbook: &runbook, plan: &plan, state: &anew };
    let admitted = command.timing.admit(shell, &config, charge, &*spool, &verb, stop.clone()).await?;
    let planned = proposal.as_ref().map(Proposal::planned);
    let told = Told { yes: command.yes, answers, planned, ..admitted };
    let driven = drive::on_screen(shell, &config, &spool, (told, stop), "begin the run", async |means| {
        begin::begin(means, &runbook, None).await
    });
    Ok(driven.await?)
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
