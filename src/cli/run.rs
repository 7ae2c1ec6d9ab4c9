//! `backstay run RUNBOOK`.

use std::sync::Arc;

use clap::Args;

use super::{Shell, Trouble, stop};
use crate::engine::begin;
use crate::engine::drive::Driving;
use crate::event::Events;
use crate::failure::{Failure, Verdict};
use crate::log;
use crate::runbook::{Runbook, StepKind};
use crate::store::Store;
use crate::ui;

/// Run a runbook
#[derive(Debug, Args)]
pub struct Run {
    /// A path, or runbooks/NAME.toml, or a shipped one
    runbook: String,
    /// Answer the runbook's confirmations with yes
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(shell: &Shell, command: &Run) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    let runbook = shell.runbook(&command.runbook, &config)?;
    let asks = runbook.before.iter().any(|step| matches!(step.kind, StepKind::Approve));
    expect_answers(shell, "run", &runbook, asks, command.yes)?;
    let store = shell.store(&config);
    let (events, screen) = Screening::open(shell, &store);
    let begun = begin::begin(&config, &runbook, &store, &events, stop::listen()).await;
    let verdict = drive(begun, command.yes, None).await;
    drop(events);
    screen.close().await;
    verdict
}

/// What a person decided of a run that stopped on its way back.
#[derive(Debug, Clone, Copy)]
pub(super) enum WayOn {
    /// Put back although others wrote.
    PutBack,
    /// Keep the new version.
    KeepNew,
}

/// Drives a run that was begun or taken over.
pub(super) async fn drive(
    driving: Result<Driving<'_>, Failure>,
    yes: bool,
    way_on: Option<WayOn>,
) -> Result<Verdict, Trouble> {
    let mut driving = driving?;
    driving.yes = yes;
    match way_on {
        Some(WayOn::PutBack) => driving.put_back_anyway().await?,
        Some(WayOn::KeepNew) => driving.keep_new().await?,
        None => {}
    }
    Ok(driving.drive().await)
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
        .then("give --yes, or run it in a terminal"))
}

/// The readers of a run's events: the log on the store, and behind it the screen.
pub(super) struct Screening {
    log: tokio::task::JoinHandle<()>,
    screen: tokio::task::JoinHandle<()>,
}

impl Screening {
    /// Opens the stream and starts its readers.
    pub fn open(shell: &Shell, store: &Arc<dyn Store>) -> (Events, Self) {
        let (events, stream) = Events::channel();
        let (seen, log) = log::tee(store.clone(), stream);
        (events, Self { log, screen: tokio::spawn(ui::show(shell.screen(), seen)) })
    }

    /// Waits until all that was said is shown and kept; every [`Events`] must have been dropped.
    pub async fn close(self) {
        let _ = tokio::join!(self.log, self.screen);
    }
}
