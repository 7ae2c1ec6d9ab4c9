//! `backstay resume [RUN]`.

use clap::Args;
use serde_json::json;

use super::admission::{Charge, Timing};
use super::answers::Answering;
use super::run::{bring_what_waits, expect_answers};
use super::{Shell, Trouble, drive, stop, unread};
use crate::answers::Answers;
use crate::config::Config;
use crate::engine::begin;
use crate::engine::decide;
use crate::engine::decisions::{Told, WayOn};
use crate::engine::plan::Plan;
use crate::engine::standing;
use crate::engine::state::State;
use crate::event::Event;
use crate::failure::{Failure, Kind, Verdict};
use crate::journal::{self, History, Record};
use crate::runbook::{Runbook, RunbookError};
use crate::store::{Spool, Store};
use crate::time::now;

/// Continue an interrupted run, or put it back
#[derive(Debug, Args)]
pub struct Resume {
    /// The run: an id, a unique prefix of one, or latest; by default the one that is unfinished
    run: Option<String>,
    /// Answer the runbook's confirmations with yes
    #[arg(long)]
    yes: bool,
    /// Put back, wherever the run stands, and even if others wrote since the database was opened: their writes are
    /// kept, as files of the ledger and in the kept database. Before the window it ends the run
    #[arg(long)]
    put_back: bool,
    /// Keep the new version although a line failed after the database was opened: the flag clears once it is
    /// proven healthy (exit 7)
    #[arg(long, conflicts_with = "put_back")]
    keep_new: bool,
    /// The flag is down on the machine where it was raised, which can't be seen from here
    #[arg(long, conflicts_with_all = ["put_back", "keep_new"])]
    flag_is_down: bool,
    #[command(flatten)]
    answering: Answering,
    #[command(flatten)]
    timing: Timing,
}

pub(super) async fn run(shell: &Shell, command: &Resume) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    let spool = shell.spool(&config);
    let known = match read(shell, &config, &spool, command.run.as_deref()).await {
        Ok(known) => known,
        Err(failure) => return Err(unread::told(failure, shell, &config, &spool).await),
    };
    let Known { run, history, brought } = known;
    let state = State::of(&history.records);
    if let Some(verdict) = state.ended.filter(|_| brought > 0) {
        let ended = ended(&run, verdict);
        shell.tell(&format!("run {run}: {}", verdict.production()), json!(ended));
        return Ok(verdict);
    }
    standing::refuse_ended(&run, &history.records)?;
    let runbook = runbook_of(shell, &config, &history.records)?;
    let plan = standing::plan_of(&config, &runbook, &history.records);
    let asks = command.decision().is_none() && standing::is_to_ask(&plan, &state);
    expect_answers(shell, "resume", &runbook, asks, command.yes)?;
    let stop = stop::listen();
    let as_it_stands = |failure| not_taken_over(failure, standing::verdict(&plan, &state));
    let answers = command.answers(shell, &runbook, &plan, &state)?;
    let charge = Charge { runbook: &runbook, plan: &plan, state: &state };
    // What a person decided of a run that stands still begins no window.
    let admitted = match command.decision() {
        Some(_) => Ok(Told::default()),
        None => command.timing.admit(shell, &config, charge, &*spool, "resume it", stop.clone()).await,
    };
    let told =
        Told { yes: command.yes, answers, way_on: command.decision(), ..admitted.map_err(as_it_stands)? };
    let driven = drive::on_screen(shell, &config, &spool, (told, stop), "take the run up", async |means| {
        begin::resume(means, &runbook, &run).await
    });
    driven.await.map_err(as_it_stands)
}

/// What its driver would have said last, had he had the store.
fn ended(run: &str, verdict: Verdict) -> Event {
    Event::Ended {
        at: now(),
        verdict,
        exit: verdict.exit_code(),
        run: run.to_string(),
        production: verdict.production().to_string(),
        cause: None,
        put_back_cause: None,
        next: Vec::new(),
    }
}

/// The run that is meant, and its journal.
struct Known {
    run: String,
    history: History,
    /// How many objects of an earlier put-back were brought to the store first.
    brought: usize,
}

async fn read(shell: &Shell, config: &Config, spool: &Spool, wanted: Option<&str>) -> Result<Known, Failure> {
    let brought = bring_what_waits(shell, spool).await?;
    // What was brought may have been the end of the only run that there was to resume.
    let latest = (brought > 0).then_some("latest");
    let run = find(spool, config, wanted.or(latest)).await?;
    let history = journal::read(spool, &run).await?;
    Ok(Known { run, history, brought })
}

impl Resume {
    /// The answers to its checklist. One that is missing is asked for before anything starts; but the window may be open
    /// already.
    fn answers(
        &self,
        shell: &Shell,
        runbook: &Runbook,
        plan: &Plan,
        state: &State,
    ) -> Result<Answers, Trouble> {
        if self.decision().is_some() || state.putting_back {
            return Ok(Answers::default());
        }
        let answers = self.answering.read(shell, "resume", &runbook.name, plan, state);
        answers.map_err(|failure| match decide::in_window(plan, state) {
            true => Trouble::Verdict(failure, decide::interrupted(plan, state)),
            false => failure.into(),
        })
    }

    fn decision(&self) -> Option<WayOn> {
        match self {
            Resume { put_back: true, .. } => Some(WayOn::PutBack),
            Resume { keep_new: true, .. } => Some(WayOn::KeepNew),
            Resume { flag_is_down: true, .. } => Some(WayOn::FlagIsDown),
            _ => None,
        }
    }
}

/// A resume that could not take the run over leaves production as the driver before left it, and the exit code
/// says that.
fn not_taken_over(failure: Failure, standing: Verdict) -> Trouble {
    if failure.kind == Kind::Usage { Trouble::Failure(failure) } else { Trouble::Verdict(failure, standing) }
}

/// The run that is meant: the named one, or the only one of this environment that is unfinished.
async fn find(store: &dyn Store, config: &Config, wanted: Option<&str>) -> Result<String, Failure> {
    match wanted {
        Some(wanted) => standing::named(store, wanted).await,
        None => find_unfinished(store, config).await,
    }
}

async fn find_unfinished(store: &dyn Store, config: &Config) -> Result<String, Failure> {
    standing::unfinished(store, &config.environment).await?.ok_or_else(|| {
        Failure::usage("find a run to resume")
            .because_of(format!("no run of {} is unfinished", config.environment))
            .then("backstay runs lists them all")
    })
}

/// The runbook that was begun: the journal's copy, or the file if a secret had to be masked in the copy.
fn runbook_of(shell: &Shell, config: &Config, records: &[Record]) -> Result<Runbook, Trouble> {
    let copy = standing::runbook_of(records).ok_or_else(|| {
        Failure::refused("resume the run")
            .because_of("its first record is missing: nothing was done yet")
            .then("run the release again")
    })?;
    let variables = config.variables_with(&shell.variables);
    if journal::hash(copy.text.as_bytes()) == copy.hash {
        return Ok(Runbook::parse(&copy.text, &copy.origin, &variables).map_err(RunbookError::from)?);
    }
    let runbook = Runbook::load(&config.root, &copy.origin, &variables)?;
    if journal::hash(runbook.text.as_bytes()) == copy.hash {
        return Ok(runbook);
    }
    Err(Failure::refused("resume the run")
        .because_of(format!("{} is not the runbook that was begun", copy.origin))
        .then("bring the file back to what it was, then resume again")
        .into())
}
