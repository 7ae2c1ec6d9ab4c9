//! `backstay run RUNBOOK`.

use std::sync::Arc;

use clap::Args;

use super::{Shell, Trouble, left_behind, stop};
use crate::engine::begin::{self, Means};
use crate::engine::decisions::WayOn;
use crate::engine::drive::Driving;
use crate::event::Events;
use crate::failure::{Failure, Verdict};
use crate::log;
use crate::runbook::{Runbook, StepKind};
use crate::store::{Spool, SpoolError, Store};
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
    let spool = shell.spool(&config);
    bring_what_waits(shell, &spool).await?;
    let store: Arc<dyn Store> = spool.clone();
    let (events, screen) = Screening::open(shell, &store);
    let stop = stop::listen();
    let means = Means { config: &config, store: &store, spool: &spool, events: &events, stop: stop.clone() };
    let begun = stop::unless_asked(stop, "begin the run", begin::begin(means, &runbook)).await;
    let verdict = drive(begun, shell, command.yes, None).await;
    drop(events);
    screen.close().await;
    left_behind::offer(shell, &config);
    verdict
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
