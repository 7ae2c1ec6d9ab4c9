//! `backstay doctor`: preflight alone.

use clap::Args;
use serde_json::json;

use super::outlook::Outlook;
use super::{Shell, Trouble};
use crate::config::{Config, Tool};
use crate::engine::footing::in_the_way;
use crate::engine::plan::Plan;
use crate::engine::recall::outline;
use crate::event::Progress;
use crate::failure::Verdict;
use crate::steps::assure;
use crate::steps::preflight::{Check, Finding, Premises, examine};
use crate::ui::layout::hang;

/// Check every precondition of a release; changes nothing
#[derive(Debug, Args)]
pub struct Doctor {
    /// The runbook whose needs are checked
    #[arg(default_value = "release")]
    runbook: String,
}

pub(super) async fn run(shell: &Shell, command: &Doctor) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    let checks = checks(shell, &config, &command.runbook).await?;
    let blocked = is_blocked(&checks);
    let runbook = shell.runbook(&command.runbook, &config)?;
    let outlook = Outlook::of(shell, &config, &runbook, &Plan::compile(&runbook, &config)).await;
    let document = json!({
        "environment": config.environment, "ready": !blocked, "checks": checks, "schedule": outlook.schedule,
    });
    let when = outlook.when.map(|when| format!("\n{when}")).unwrap_or_default();
    shell.tell(&(text(shell, &checks, blocked) + &when), document);
    Ok(if blocked { Verdict::Refused } else { Verdict::Done })
}

/// Every precondition of a release by `runbook`.
pub(super) async fn checks(shell: &Shell, config: &Config, runbook: &str) -> Result<Vec<Check>, Trouble> {
    let runbook = shell.runbook(runbook, config)?;
    let store = shell.store(config);
    let outline = outline(&Plan::compile(&runbook, config), &runbook.name);
    let premises = Premises { config, store: &store, outline: &outline };
    let mut checks = examine(&premises, &Progress::none()).await;
    checks.extend(other_runs(shell, config).await);
    if !is_blocked(&checks) {
        checks.extend(env_py(config).await);
    }
    Ok(checks)
}

/// That Alembic goes where it is told, which takes it a second or two. A run proves it before its window.
async fn env_py(config: &Config) -> Option<Check> {
    let mut roots = config.migrations.iter().filter(|root| matches!(root.tool, Tool::Alembic(_))).peekable();
    roots.peek()?;
    let mut findings = Vec::new();
    for root in roots {
        findings.extend(assure(config, root).await.err().map(|failure| Finding::of(&failure)));
    }
    Some(Check { name: "env.py", said: "it goes where it is told, on a scratch database".into(), findings })
}

/// What would be refused before anything else once a run is to begin. A store or a server that can't be asked was told of
/// by other checks.
async fn other_runs(shell: &Shell, config: &Config) -> Option<Check> {
    let spool = shell.spool(config);
    let found = async {
        let session = shell.connect_admin(config, "doctor").await?;
        in_the_way(config, &*spool, &session).await
    };
    let findings = found.await.ok()?.iter().map(Finding::of).collect();
    Some(Check { name: "other runs", said: "none is unfinished, and the store knows all".into(), findings })
}

/// Whether anything stands in the way.
pub(super) fn is_blocked(checks: &[Check]) -> bool {
    checks.iter().flat_map(|check| &check.findings).any(|finding| finding.blocks)
}

/// What a person is told of them.
pub(super) fn text(shell: &Shell, checks: &[Check], blocked: bool) -> String {
    let (good, bad, odd) = if shell.look.unicode { ("✓", "✗", "!") } else { ("ok", "NO", "!!") };
    let mut lines = Vec::new();
    for check in checks {
        if check.findings.is_empty() {
            lines.push(format!("{good} {}: {}", check.name, check.said));
        }
        for finding in &check.findings {
            let mark = if finding.blocks { bad } else { odd };
            let what = format!("{}: {}", check.name, finding.what.replace('\n', "; "));
            lines.extend(hang(&format!("{mark} "), &what, shell.look.width));
            // They may be lines to type: those stay whole.
            lines.extend(finding.remedies.iter().map(|remedy| format!("    {remedy}")));
        }
    }
    let blocking = checks.iter().flat_map(|c| &c.findings).filter(|f| f.blocks).count();
    lines.push(String::new());
    lines.push(match (blocked, blocking) {
        (false, _) => "ready for a release. Nothing was changed.".to_string(),
        (true, 1) => "1 thing stands in the way of a release. Nothing was changed.".to_string(),
        (true, many) => format!("{many} things stand in the way of a release. Nothing was changed."),
    });
    lines.join("\n")
}
