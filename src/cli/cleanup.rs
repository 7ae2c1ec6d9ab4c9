//! `backstay cleanup`: guards, failed databases and other leftovers.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{Shell, Trouble};
use crate::config::Config;
use crate::engine::standing;
use crate::failure::{Failure, Verdict};
use crate::id;
use crate::journal::{self, JournalError};
use crate::pg::Session;
use crate::pg::catalog::Database;
use crate::steps::session_options;
use crate::store::Store;
use crate::time::{between, now, parse_duration, show_bytes, show_duration};
use crate::ui::layout::hang;
use crate::window::admin::{Admin, companions};
use crate::window::names::{Role, Trace};

/// Drop guards, failed databases and other leftovers of runs that have ended
#[derive(Debug, Args)]
pub struct Cleanup {
    /// Drop without asking
    #[arg(long)]
    yes: bool,
    /// Drop what is older than this (default: keep in `[window]` of the config)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// Drop what this run left, whatever its age, also if the store does not know it (an id, or its beginning)
    #[arg(long, value_name = "RUN", conflicts_with = "older_than")]
    run: Option<String>,
}

/// A database that a run left.
pub(super) struct Leftover {
    pub database: Database,
    pub trace: Trace,
    /// How old its run is, by the run's own id; unknown ids count as new.
    pub age: Duration,
    /// Who may need it still.
    pub claim: Claim,
}

/// Why a leftover must stay, if it must.
pub(super) enum Claim {
    /// Nobody needs it.
    None,
    /// Its run can still be resumed.
    Unfinished,
    /// The store does not know its run: another store may.
    Stranger,
    /// It is production, fenced, or may be: whatever else has production's name now may be somebody's empty one.
    Production,
    /// The store can't be read.
    Unreadable(Failure),
}

impl Leftover {
    /// What it is, for a person.
    pub fn describe(&self) -> String {
        let what = match self.trace.role {
            Role::Window => "a fenced database",
            Role::Guard => "a guard",
            Role::Failed => "a failed database",
            Role::Rehearsal => "a rehearsal's database",
            Role::Side => "a backup restored to be compared",
            Role::Scratch => "a scratch database of migrations",
        };
        let invalid = if self.database.is_invalid { ", invalid: an interrupted clone" } else { "" };
        let size = self.database.size_bytes.map(|b| format!(", {}", show_bytes(b))).unwrap_or_default();
        format!(
            "{}: {what} of run {}{size}, {} old{invalid}",
            self.database.name,
            self.trace.run,
            show_duration(self.age)
        )
    }

    /// Whether it has been kept for long enough. An invalid one is good for nothing.
    pub fn is_due(&self, keep: Duration) -> bool {
        self.age >= keep || self.database.is_invalid
    }
}

pub(super) async fn run(shell: &Shell, command: &Cleanup) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    let store = shell.store(&config);
    let name = config.database.url.database();
    let info = config.database.maintenance();
    // The run's lock: nothing is dropped beside a run.
    let options = session_options(&config, &format!("backstay cleanup of {}", config.environment));
    let admin = Admin::acquire(info, options, name, Duration::from_secs(3)).await?;
    let found = leftovers(admin.session(), &config, &*store).await?;
    let older = command.older_than.unwrap_or(config.window.keep);
    let (drop, keep) = match &command.run {
        Some(run) => of_run(&config, found, run)?,
        None => due(found, older)?,
    };
    let kept = |l: &Leftover| {
        hang("kept     ", &format!("{}{}", l.describe(), why_kept(l, older)), shell.look.width)
    };
    let mut lines: Vec<String> = keep.iter().flat_map(kept).collect();
    if !drop.is_empty() {
        confirm(shell, command, &drop)?;
        for leftover in &drop {
            admin.drop_database(leftover.database.oid).await?;
            lines.push(format!("dropped  {}", leftover.database.name));
        }
    }
    if lines.is_empty() {
        lines.push("nothing is left over".to_string());
    }
    let names = |list: &[Leftover]| list.iter().map(|l| l.database.name.clone()).collect::<Vec<_>>();
    shell.tell(&lines.join("\n"), json!({ "dropped": names(&drop), "kept": names(&keep) }));
    Ok(Verdict::Done)
}

/// What nobody needs and is old enough, and the rest.
fn due(found: Vec<Leftover>, older: Duration) -> Result<(Vec<Leftover>, Vec<Leftover>), Failure> {
    if let Some(failure) = found.iter().find_map(Leftover::unreadable) {
        return Err(failure.clone().leaving("nothing was dropped"));
    }
    Ok(found
        .into_iter()
        .partition(|leftover| matches!(leftover.claim, Claim::None) && leftover.is_due(older)))
}

/// What the run that was named left: of a store that is gone, or that is another's. Only a person knows that.
fn of_run(
    config: &Config,
    found: Vec<Leftover>,
    wanted: &str,
) -> Result<(Vec<Leftover>, Vec<Leftover>), Failure> {
    let mut runs: Vec<String> = found.iter().map(|leftover| leftover.trace.run.clone()).collect();
    runs.sort();
    runs.dedup();
    let run = id::pick(&runs, wanted).map_err(|_| {
        Failure::usage(format!("find what one run called {wanted} left"))
            .leaving("nothing was dropped")
            .then(format!("backstay status -e {} lists what is left over", config.environment))
    })?;
    let (drop, keep): (Vec<Leftover>, Vec<Leftover>) =
        found.into_iter().partition(|leftover| leftover.trace.run == run);
    let refuse = |why: &str, next: String| {
        Failure::refused(format!("drop what run {run} left"))
            .because_of(why)
            .leaving("nothing was dropped")
            .then(next)
    };
    for leftover in &drop {
        let environment = &config.environment;
        match &leftover.claim {
            Claim::None | Claim::Stranger => {}
            Claim::Unfinished => {
                let next = format!("backstay resume {run} -e {environment}");
                return Err(refuse("it is not finished", next));
            }
            Claim::Production => {
                let why = format!("{} is production, fenced, or may be", leftover.database.name);
                return Err(refuse(
                    &why,
                    format!("backstay status -e {environment} says what to do with it"),
                ));
            }
            Claim::Unreadable(failure) => return Err(failure.clone().leaving("nothing was dropped")),
        }
    }
    Ok((drop, keep))
}

fn confirm(shell: &Shell, command: &Cleanup, drop: &[Leftover]) -> Result<(), Failure> {
    for leftover in drop {
        shell.note(&hang("to drop  ", &leftover.describe(), shell.look.width).join("\n"));
    }
    let question = match drop.len() {
        1 => "Drop this database?".to_string(),
        many => format!("Drop these {many} databases?"),
    };
    if shell.confirm(&question, command.yes)? {
        return Ok(());
    }
    Err(Failure::refused("clean up").because_of("the answer was no").leaving("nothing was dropped"))
}

/// What runs left on the server.
pub(super) async fn leftovers(
    session: &Session,
    config: &Config,
    store: &dyn Store,
) -> Result<Vec<Leftover>, Failure> {
    let mut found = Vec::new();
    for (database, trace) in companions(session, config.database.url.database()).await? {
        let claim = claim(&trace, store).await;
        let age = crate::backup::time_of_id(&trace.run).map_or(Duration::ZERO, |at| between(at, now()));
        found.push(Leftover { database, trace, age, claim });
    }
    Ok(found)
}

/// Who may need it still.
async fn claim(trace: &Trace, store: &dyn Store) -> Claim {
    // Nobody comes back for these: who died over one left it for nobody, and makes a new one.
    if matches!(trace.role, Role::Rehearsal | Role::Side | Role::Scratch) {
        return Claim::None;
    }
    match journal::read(store, &trace.run).await {
        Ok(history) if trace.role == Role::Window && standing::ended(&history.records) => Claim::Production,
        Err(JournalError::NoRun { .. }) if trace.role == Role::Window => Claim::Production,
        Ok(history) if standing::ended(&history.records) => Claim::None,
        Ok(_) => Claim::Unfinished,
        Err(JournalError::NoRun { .. }) => Claim::Stranger,
        Err(error) => Claim::Unreadable(error.into()),
    }
}

impl Leftover {
    fn unreadable(&self) -> Option<&Failure> {
        match &self.claim {
            Claim::Unreadable(failure) => Some(failure),
            _ => None,
        }
    }
}

fn why_kept(leftover: &Leftover, older: Duration) -> String {
    match &leftover.claim {
        Claim::None => {
            let left = show_duration(older.saturating_sub(leftover.age));
            format!(" (kept for {left} more; --older-than 0s drops it now)")
        }
        Claim::Unfinished => " (its run is not finished)".into(),
        Claim::Stranger => {
            let run = &leftover.trace.run;
            format!(
                " (this store does not know its run, and another may: use that one; if it is gone, --run {run} drops it)"
            )
        }
        Claim::Production => " (it is production, fenced, or may be)".into(),
        Claim::Unreadable(failure) => format!(" (its run can't be looked up: {failure})"),
    }
}
