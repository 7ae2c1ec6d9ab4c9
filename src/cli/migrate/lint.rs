//! `migrate lint`.

use clap::Args;
use serde_json::json;

use crate::cli::{Shell, Trouble};
use crate::config::Config;
use crate::failure::Verdict;
use crate::migrate::lint::{Finding, Level};
use crate::steps::direct;
use crate::steps::lint::{Judgement, Scope};
use crate::ui::github::command::{Spot, Weight, annotation_at};

/// What to judge, and by what.
#[derive(Debug, Args)]
pub(super) struct Lint {
    /// Up to where: head, heads, a revision or its beginning
    #[arg(default_value = "heads")]
    target: String,
    /// Applied ones too, as if they ran on the database as it is
    #[arg(long)]
    all: bool,
    /// Ask no database: only what the files tell; all of them, since nobody says which are applied
    #[arg(long)]
    offline: bool,
}

pub(super) async fn run(
    shell: &Shell,
    config: &Config,
    root: Option<&str>,
    order: &Lint,
) -> Result<Verdict, Trouble> {
    let scope = if order.all || order.offline { Scope::All } else { Scope::Pending };
    let session = match order.offline {
        true => None,
        false => Some(shell.connect(config, direct(config), "migrate lint").await?),
    };
    let targets = [(root.map(String::from), order.target.clone())];
    let judgement = Judgement::of_plan(config, &targets, scope, session.as_ref()).await?;
    let count = |level| judgement.findings.iter().filter(|finding| finding.level == level).count();
    shell.tell(
        &judgement.lines().join("\n"),
        json!({
            "environment": config.environment,
            "revisions": judgement.revisions,
            "errors": count(Level::Error),
            "warnings": count(Level::Warn),
            "findings": judgement.findings.iter().map(Finding::document).collect::<Vec<_>>(),
        }),
    );
    annotate(shell, config, &judgement.findings);
    Ok(if judgement.has_errors() { Verdict::Refused } else { Verdict::Done })
}

/// A job of GitHub Actions shows each finding beside its line in the pull request.
fn annotate(shell: &Shell, config: &Config, findings: &[Finding]) {
    let Some(actions) = shell.actions().filter(|_| !shell.json()) else { return };
    for finding in findings {
        let weight = if finding.level == Level::Error { Weight::Error } else { Weight::Warning };
        let file = actions.name_of(&config.root.join(&finding.file));
        let help: String = finding.help.iter().map(|help| format!("\n{help}")).collect();
        let message = format!("{}{help}", finding.what);
        shell.note(&annotation_at(weight, Spot { file: &file, line: finding.line }, finding.rule, &message));
    }
}
