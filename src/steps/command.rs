//! `step = "command"` and `"services"`: programs of the operator's, and their undos.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use super::{Probe, Report, Site};
use crate::event::{LineId, Phase, Progress};
use crate::failure::{Failure, Kind};
use crate::process::{self, ProcessError, Program, orphans};
use crate::redact::redact;
use crate::runbook::{Service, Undo};
use crate::time::show_bytes;
use crate::words::shell_line;

/// How much of a command's line a failure has, in characters.
const LONGEST_LINE: usize = 100;

/// How many bytes of a command's output are shown and kept.
const MOST_SHOWN: usize = 8 << 20;

/// Runs them side by side. Where one fails the others are waited for: a deploy that is cut short is no better undone.
pub(super) async fn perform(services: &[Service], site: &mut Site<'_>) -> Result<Report, Failure> {
    let mut programs = Vec::new();
    for service in services {
        programs.push(Named::of(service, &service.command.run, site).await?);
    }
    let said = run(&programs, site).await?;
    let url = |service: &Service| service.command.url.clone().map(|url| (service.name.clone(), url));
    let urls: BTreeMap<String, String> = services.iter().filter_map(url).collect();
    let words = services.iter().zip(said).map(|(service, said)| match urls.get(&service.name) {
        Some(url) => format!("{}; {url}", told_by(&service.name, &said)),
        None => told_by(&service.name, &said),
    });
    let summary = words.collect::<Vec<_>>().join(", ");
    if urls.is_empty() {
        Ok(Report::saying(summary))
    } else {
        Report::with(summary, &json!({ "urls": urls }))
    }
}

/// Runs the undos of the commands on `line`; idempotent by contract.
pub(super) async fn undo(line: LineId, site: &mut Site<'_>) -> Result<Report, Failure> {
    let services = site.outline.commands.get(&line).map(Vec::as_slice).unwrap_or_default();
    let mut programs = Vec::new();
    for service in services {
        if let Undo::Run(argv) = &service.command.undo {
            programs.push(Named::of(service, argv, site).await?);
        }
    }
    let said = run(&programs, site).await?;
    let words = programs.iter().zip(said).map(|(one, said)| told_by(one.name, &said));
    Ok(Report::saying(words.collect::<Vec<_>>().join(", ")))
}

/// A program, and whose it is.
struct Named<'a> {
    name: &'a str,
    program: Program,
}

impl<'a> Named<'a> {
    async fn of(service: &'a Service, argv: &[String], site: &Site<'_>) -> Result<Self, Failure> {
        let command = &service.command;
        let program = Program {
            argv: argv.to_vec(),
            directory: command.directory.clone().unwrap_or_else(|| site.config.root.clone()),
            env: environment(site, &command.env).await?,
            timeout: command.timeout,
        };
        Ok(Self { name: &service.name, program })
    }
}

fn told_by(name: &str, text: &str) -> String {
    if name.is_empty() { text.to_string() } else { format!("{name}: {text}") }
}

/// What is known of a command that was under way when its driver died or was stopped: nothing. What was left
/// of it was ended, else it could have its effect after the undo. In the window it counts as failed; outside,
/// where production serves, it is run again when somebody goes on.
///
/// `left` is how many processes of it there were.
pub(super) fn probe(services: &[Service], left: usize, site: &Site<'_>) -> Probe {
    if matches!(site.phase, Phase::Before | Phase::After) {
        return Probe::NotDone("it was stopped, and is run again".into());
    }
    let why = site.recall.stopped_by.clone();
    let kind = if why.is_some() { Kind::Interrupted } else { Kind::Failed };
    let which: Vec<String> = services.iter().map(|s| told_by(&s.name, &shell_line(&s.command.run))).collect();
    let unknown = Failure::new(kind, format!("know how {} ended", which.join(", ")))
        .because_of(why.unwrap_or_else(|| "it was under way when its driver died".into()));
    Probe::Failed(match left {
        0 => unknown,
        1 => unknown.because_of("1 process of it was still alive and was ended"),
        n => unknown.because_of(format!("{n} processes of it were still alive and were ended")),
    })
}

/// Runs programs side by side, to the end of each; gives what is told of each.
async fn run(programs: &[Named<'_>], site: &Site<'_>) -> Result<Vec<String>, Failure> {
    let progress = site.progress();
    let ended = join_all(programs.iter().map(|one| hear(one, &progress))).await;
    if ended.iter().any(|ended| matches!(ended, Err(ProcessError::TimedOut { .. }))) {
        // Its group was stopped; what left the group would have its effect after the undo.
        orphans::end(&site.owner()).await;
    }
    let (mut said, mut failed) = (Vec::new(), Vec::new());
    for (one, ended) in programs.iter().zip(ended) {
        match ended {
            Ok(lines) => said.push(lines),
            Err(error) => failed.push((one.name, failure(error, &one.program.argv))),
        }
    }
    match told(failed) {
        None => Ok(said),
        Some(failure) => Err(failure),
    }
}

/// A failure that says what was run, and not by which program alone: that is a shell more often than not. **Pure.**
fn failure(error: ProcessError, argv: &[String]) -> Failure {
    let began = !matches!(error, ProcessError::Start { .. } | ProcessError::NoDirectory { .. });
    let failure = Failure::from(error);
    if !began {
        return failure;
    }
    // Masked before it is cut: a half of a secret is none that is known.
    let line = redact(&shell_line(argv)).replace(['\n', '\r'], " ");
    let what = match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("run {}…", &line[..end]),
        None => format!("run {line}"),
    };
    Failure { what, ..failure }
}

/// One failure of all that failed. **Pure.**
fn told(failed: Vec<(&str, Failure)>) -> Option<Failure> {
    let mut failed = failed.into_iter();
    let (name, first) = failed.next()?;
    let mut failure = Failure { what: told_by(name, &first.what), ..first };
    for (name, other) in failed {
        failure = failure.because_of(format!("{name}: could not {}{}", other.what, other.because()));
        failure.next.extend(other.next);
    }
    Some(failure)
}

/// Runs a program and passes on what it prints; gives what is told of it.
async fn hear(one: &Named<'_>, progress: &Progress) -> Result<String, ProcessError> {
    let (mut lines, mut shown) = (0u64, 0);
    process::run(&one.program, |line| {
        lines += 1;
        let before = shown;
        shown += line.len() + 1;
        // Whoever shows and keeps it may be slower than a program can print, and what waits for them is in memory.
        if shown <= MOST_SHOWN {
            progress.output(told_by(one.name, line));
        } else if before <= MOST_SHOWN {
            let most = show_bytes(MOST_SHOWN as u64);
            let rest = format!("it has printed {most}: the rest is neither shown nor kept");
            progress.note(told_by(one.name, &rest));
        }
    })
    .await?;
    Ok(match lines {
        0 => "exit 0".to_string(),
        1 => "exit 0, 1 line of output".to_string(),
        n => format!("exit 0, {n} lines of output"),
    })
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
