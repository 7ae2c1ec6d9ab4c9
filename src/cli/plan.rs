//! `backstay plan RUNBOOK`: the checklist as it would run, and the SQL.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::outlook::Outlook;
use super::{Shell, Trouble, plan_file};
use crate::engine::plan::{Line, Plan};
use crate::engine::proposal::Proposal;
use crate::engine::recall::outline;
use crate::event::Phase;
use crate::failure::Verdict;
use crate::migrate::lint::Finding;
use crate::steps::lint::{Judgement, Scope};
use crate::steps::{Pending, direct};
use crate::ui::github::summary;

/// Show the checklist as it would run, and the SQL; changes nothing
#[derive(Debug, Args)]
pub struct Planning {
    /// A path, or runbooks/NAME.toml, or a shipped one
    runbook: String,
    /// Write what would run to this file too, for `approve` and `run --plan`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(shell: &Shell, command: &Planning) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    let runbook = shell.runbook(&command.runbook, &config)?;
    let plan = Plan::compile(&runbook, &config);
    let outline = outline(&plan, &runbook.name);
    let session = shell.connect(&config, direct(&config), "plan").await?;
    let read = Pending::read(&config, &outline.migrations, None, &session).await?;
    let judgement = Judgement::of_plan(&config, &outline.migrations, Scope::Pending, Some(&session)).await?;
    if let Some(file) = &command.out {
        let named = (&runbook, command.runbook.as_str());
        let proposal = Proposal::of(&config, named, (&plan, &outline), &read, &session).await?;
        plan_file::write(file, &proposal)?;
        shell.note(&format!("{} holds this plan: backstay run --plan {0}", file.display()));
    }
    let Pending { sql, revisions: pending, .. } = read;
    let preview = preview(&pending, &judgement);
    let outlook = Outlook::of(shell, &config, &runbook, &plan).await;
    let checklist = checklist(&runbook.description, &plan, &outlook);
    let annotated = judgement.annotate(&sql);
    if let Some(actions) = shell.actions() {
        let (name, lint) = (&runbook.name, judgement.summary());
        actions.summarize(&summary::plan(name, &config.environment, &checklist, &pending, &lint, &annotated));
        let file = command.out.as_ref().map(|file| file.display().to_string());
        actions.output(&[("pending", pending.len().to_string()), ("plan", file.unwrap_or_default())]);
    }
    let text = format!("{checklist}\n\n{}{preview}", outlook.text()) + &annotated;
    let lines: Vec<_> = plan
        .lines
        .iter()
        .map(|line| json!({ "line": line.id, "phase": line.phase, "name": line.name, "run": runs(line), "undo": line.undos(), "estimate": outlook.of_line(line) }))
        .collect();
    let findings: Vec<_> = judgement.findings.iter().map(Finding::document).collect();
    shell.tell(&text, json!({ "runbook": runbook.name, "environment": config.environment, "lines": lines, "pending": pending, "sql": sql, "findings": findings,
        "schedule": outlook.schedule, "estimate": outlook.estimate(), "out": command.out }));
    Ok(Verdict::Done)
}

fn checklist(description: &str, plan: &Plan, outlook: &Outlook) -> String {
    let mut text = description.to_string();
    let mut phase = None;
    for line in &plan.lines {
        if phase != Some(line.phase) {
            phase = Some(line.phase);
            text.push_str(&format!("\n\n{}", heading(line.phase)));
        }
        text.push_str(&format!("\n  [ ] {:>2} {}{}", line.id.to_string(), line.name, outlook.about(line)));
        line.told_commands().iter().for_each(|told| text.push_str(&format!("\n         {told}")));
    }
    text
}

fn heading(phase: Phase) -> &'static str {
    match phase {
        Phase::Before => "before: production serves; a failure here leaves it untouched (exit 3)",
        Phase::During => "during: flag up, database closed; a failure here puts production back (exit 4)",
        Phase::Open => {
            "open: database open, flag still up; a failure here puts production back unless others wrote (exit 4 or 5)"
        }
        Phase::After => "after: production serves; a failure here leaves the new version (exit 7)",
        Phase::PutBack => "the way back",
    }
}

/// The commands of a line of commands.
fn runs(line: &Line) -> Vec<Vec<String>> {
    line.commands().into_iter().map(|service| service.command.run).collect()
}

/// What stands above the SQL.
fn preview(pending: &[String], judgement: &Judgement) -> String {
    if pending.is_empty() {
        return "nothing is pending: the database is at its target".to_string();
    }
    format!("pending: {}\nlint: {}\n\n", pending.join(", "), judgement.summary())
}
