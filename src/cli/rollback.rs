//! `backstay rollback [RUN]`: a release that has ended is taken back.

mod show;

use clap::Args;

use super::answers::Answering;
use super::run::bring_what_waits;
use super::{Shell, Trouble, drive, stop};
use crate::config::Config;
use crate::engine::begin;
use crate::engine::decisions::Told;
use crate::engine::plan::Plan;
use crate::engine::rollback::{Advice, Survey, Wanted, survey};
use crate::engine::state::State;
use crate::failure::{Failure, Verdict};
use crate::rollback::{By, Order};
use crate::runbook::{Runbook, StepKind};
use crate::steps::assure_back;
use crate::ui::layout::fold;

/// The runbook that is run: the project's own of this name, or the shipped one.
const RUNBOOK: &str = "emergency-rollback";

/// Take a release back that has ended: by downgrade, by its guard, or from a backup
#[derive(Debug, Args)]
pub struct Rollback {
    /// The release: its run's id, a unique prefix of one, or latest; by default the last that put a new version into
    /// production
    run: Option<String>,
    /// The way back: downgrade, guard or backup; by default the one that is recommended
    #[arg(long, value_name = "WAY")]
    by: Option<By>,
    /// Where to: a run (as production was before it), a backup, or a revision
    #[arg(long, value_name = "RUN|BACKUP|REVISION")]
    to: Option<String>,
    /// Go that way without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    answering: Answering,
}

pub(super) async fn run(shell: &Shell, command: &Rollback) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    // Held back if it can't be read: what there is to take back is shown all the same.
    let runbook = shell.runbook(RUNBOOK, &config);
    let by_runbook = runbook.as_ref().map_or(Ok(None), way_of)?;
    let spool = shell.spool(&config);
    bring_what_waits(shell, &spool).await?;
    let wanted = Wanted { run: command.run.clone(), by: command.by, to: command.to.clone() };
    let (survey, by) = survey(&config, &*spool, &wanted).await?;
    let order = choose(shell, &config, &survey, by.or(by_runbook))?;
    let runbook = runbook?;
    let plan = Plan::of(&runbook, &config, Some(&order));
    let answers = command.answering.read(shell, "run", &runbook.name, &plan, &State::default())?;
    shell.note(&commands(&plan));
    confirm(shell, &config, &order, command.yes).await?;
    // While production serves: inside the window users would wait for it.
    assure_back(&config, &order.targets).await?;
    let told = Told { yes: command.yes, answers, ..Told::default() };
    let listening = (told, stop::listen());
    let driven = drive::on_screen(shell, &config, &spool, listening, "begin the rollback", async |means| {
        begin::begin(means, &runbook, Some(&order)).await
    });
    Ok(driven.await?)
}

/// What it will run of the operator's own.
fn commands(plan: &Plan) -> String {
    let mut text = "\nits commands:".to_string();
    for line in plan.lines.iter().filter(|line| !line.commands().is_empty()) {
        text.push_str(&format!("\n  {}", line.name));
        line.told_commands().iter().for_each(|told| text.push_str(&format!("\n    {told}")));
    }
    text + "\n"
}

/// The way that the runbook names, if it takes a release back at all.
fn way_of(runbook: &Runbook) -> Result<Option<By>, Failure> {
    match runbook.rollback().map(|step| &step.kind) {
        Some(StepKind::Rollback { by }) => Ok(*by),
        _ => Err(Failure::usage(format!("roll back by the runbook {}", runbook.origin))
            .because_of("it has no step = \"rollback\" in [[during]]")
            .leaving("nothing was changed")
            .then("add one, or rename the file: the shipped emergency-rollback takes its place")),
    }
}

/// Shows what there is; gives what a run is to be told.
fn choose(shell: &Shell, config: &Config, survey: &Survey, by: Option<By>) -> Result<Order, Failure> {
    let advice = Advice::of(survey);
    let chosen = by.or(advice.as_ref().map(|advice| advice.by));
    let text = show::text(survey, advice.as_ref(), chosen, shell.look.width);
    match shell.json() {
        true => shell.tell(&text, show::document(survey, advice.as_ref(), chosen, &config.environment)),
        false => shell.note(&text),
    }
    let Some(chosen) = chosen else {
        let failure = Failure::refused(format!("roll back {}", config.environment));
        let failure =
            failure.because_of(survey.release.as_ref().err().map_or("no way back is left", |why| why));
        return Err(others(survey).fold(failure.leaving("nothing was changed"), Failure::then));
    };
    match survey.way(chosen).map(|way| way.order.clone()) {
        Some(Ok(order)) => Ok(order),
        Some(Err(why)) => Err(barred(survey, chosen, why)),
        None => Err(Failure::internal(format!("find the way by {chosen}"))),
    }
}

fn barred(survey: &Survey, chosen: By, why: String) -> Failure {
    let failure = Failure::refused(format!("roll back by {chosen}")).because_of(why);
    let failure = match &survey.release {
        Ok(_) => failure,
        Err(why) => failure.because_of(why.as_str()),
    };
    others(survey).fold(failure.leaving("nothing was changed"), Failure::then)
}

/// The ways that are open, each with the line that goes it.
fn others(survey: &Survey) -> impl Iterator<Item = String> {
    let open = survey.ways.iter().filter(|way| way.order.is_ok());
    open.map(|way| format!("backstay rollback --by {}: {}", way.by, way.cost))
}

async fn confirm(shell: &Shell, config: &Config, order: &Order, yes: bool) -> Result<(), Failure> {
    let environment = &config.environment;
    let question = format!(
        "{} of {environment}: users see the maintenance page meanwhile. Type {environment} to go that way",
        order.words()
    );
    let question = fold(&question, shell.look.width).join("\n");
    if shell.confirm_by_name(&question, environment, yes).await? {
        return Ok(());
    }
    Err(Failure::refused(format!("roll back {environment}"))
        .because_of("it was not agreed to")
        .leaving("nothing was changed"))
}
