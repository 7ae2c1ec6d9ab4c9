//! `step = "command"`: a program of the operator's, and its undo.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{Probe, Report, Site};
use crate::event::{LineId, Phase};
use crate::failure::{Failure, Kind};
use crate::process::{self, ProcessError, Program, orphans};
use crate::runbook::CommandStep;
use crate::time::show_bytes;

/// How many bytes of a command's output are shown and kept.
const MOST_SHOWN: usize = 8 << 20;

/// A bound on an undo whose command gives none of its own.
const UNDO_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) async fn perform(command: &CommandStep, site: &mut Site<'_>) -> Result<Report, Failure> {
    let program = Program {
        argv: command.run.clone(),
        directory: directory(command, site),
        env: environment(site, &command.env).await?,
        timeout: command.timeout,
    };
    let report = run(&program, site).await?;
    match &command.url {
        Some(url) => Report::with(format!("{}; {url}", report.summary), &serde_json::json!({ "url": url })),
        None => Ok(report),
    }
}

/// Runs the undo of the command on `line`; idempotent by contract.
pub(super) async fn undo(line: LineId, argv: &[String], site: &mut Site<'_>) -> Result<Report, Failure> {
    let command = site.outline.commands.get(&line);
    let program = Program {
        argv: argv.to_vec(),
        directory: command.map_or_else(|| site.config.root.clone(), |c| directory(c, site)),
        env: environment(site, command.map_or(&BTreeMap::new(), |c| &c.env)).await?,
        timeout: command.map_or(UNDO_TIMEOUT, |c| c.timeout),
    };
    run(&program, site).await
}

/// What is known of a command that was under way when its driver died or was stopped: nothing. What was left
/// of it was ended, else it could have its effect after the undo. In the window it counts as failed; outside,
/// where production serves, it is run again when somebody goes on.
///
/// `left` is how many processes of it there were.
pub(super) fn probe(command: &CommandStep, left: usize, site: &Site<'_>) -> Probe {
    if matches!(site.phase, Phase::Before | Phase::After) {
        return Probe::NotDone("it was stopped, and is run again".into());
    }
    let why = site.recall.stopped_by.clone();
    let kind = if why.is_some() { Kind::Interrupted } else { Kind::Failed };
    let unknown = Failure::new(kind, format!("know how {} ended", command.run.join(" ")))
        .because_of(why.unwrap_or_else(|| "it was under way when its driver died".into()));
    Probe::Failed(match left {
        0 => unknown,
        1 => unknown.because_of("1 process of it was still alive and was ended"),
        n => unknown.because_of(format!("{n} processes of it were still alive and were ended")),
    })
}

async fn run(program: &Program, site: &mut Site<'_>) -> Result<Report, Failure> {
    let progress = site.progress();
    let (mut lines, mut shown) = (0u64, 0);
    let ended = process::run(program, |line| {
        lines += 1;
        let before = shown;
        shown += line.len() + 1;
        // Whoever shows and keeps it may be slower than a program can print, and what waits for them is in memory.
        if shown <= MOST_SHOWN {
            progress.output(line);
        } else if before <= MOST_SHOWN {
            let most = show_bytes(MOST_SHOWN as u64);
            progress.note(format!("it has printed {most}: the rest is neither shown nor kept"));
        }
    })
    .await;
    if matches!(ended, Err(ProcessError::TimedOut { .. })) {
        // Its group was stopped; what left the group would have its effect after the undo.
        orphans::end(&site.owner()).await;
    }
    ended?;
    Ok(Report::saying(match lines {
        0 => "exit 0".to_string(),
        1 => "exit 0, 1 line of output".to_string(),
        n => format!("exit 0, {n} lines of output"),
    }))
}

/// The environment's variables, the step's own, and what the contract promises. `DATABASE_URL` is the
/// window's while the database is fenced: its own name would lead nowhere. Then libpq's variables say the same, so that
/// `psql` needs no argument, in which others could read a password.
async fn environment(
    site: &Site<'_>,
    own: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut env = surroundings(site);
    // Before the backup is restored that becomes production there is none: then its own name leads nowhere either.
    let none = site.outline.is_one_way() && site.recall.exchanged.is_none();
    let fenced = !none && site.present_name().await? != site.target.name;
    let info = if fenced { site.live().await? } else { site.config.database.url.clone() };
    if fenced {
        env.extend(info.tool_env());
    }
    let url = info.to_url();
    crate::redact::register(&url);
    env.insert("DATABASE_URL".into(), url);
    env.extend(own.clone());
    env.extend(marks(site));
    Ok(env)
}

/// The environment of a program that has nothing to do with the database itself.
pub(super) fn surroundings(site: &Site<'_>) -> BTreeMap<String, String> {
    let mut env = site.config.variables.clone();
    env.extend(marks(site));
    env
}

/// What every program of a run is told: whose it is, by which what is left of it is found, and of which environment.
fn marks(site: &Site<'_>) -> impl Iterator<Item = (String, String)> {
    let environment = ("BACKSTAY_ENV".to_string(), site.config.environment.clone());
    site.owner().variables().into_iter().chain([environment])
}

fn directory(command: &CommandStep, site: &Site<'_>) -> PathBuf {
    command.directory.clone().unwrap_or_else(|| site.config.root.clone())
}
