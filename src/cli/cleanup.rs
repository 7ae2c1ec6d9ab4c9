//! `backstay cleanup`: guards, failed databases and other leftovers.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{Shell, Trouble};
use crate::config::Config;
use crate::engine::begin;
use crate::failure::{Failure, Verdict};
use crate::journal;
use crate::pg::Session;
use crate::pg::catalog::Database;
use crate::steps::session_options;
use crate::store::Store;
use crate::time::{between, now, parse_duration, show_bytes, show_duration};
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
}

/// A database that a run left.
pub(super) struct Leftover {
    pub database: Database,
    pub trace: Trace,
    /// How old its run is, by the run's own id; unknown ids count as new.
    pub age: Duration,
    /// Its run can still be resumed, or this store does not know it.
    pub needed: Option<String>,
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
}

pub(super) async fn run(shell: &Shell, command: &Cleanup) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    let store = shell.store(&config);
    let name = config.database.url.database();
    let info = config.database.maintenance();
    // The run's lock: nothing is dropped beside a run.
    let options = session_options(&config, &format!("backstay cleanup of {}", config.environment));
    let admin = Admin::acquire(info, options, name, Duration::from_secs(3)).await?;
    let older = command.older_than.unwrap_or(config.window.keep);
    let (drop, keep): (Vec<Leftover>, Vec<Leftover>) =
        leftovers(admin.session(), &config, &*store).await?.into_iter().partition(|leftover| {
            leftover.needed.is_none() && (leftover.age >= older || leftover.database.is_invalid)
        });
    let mut lines: Vec<String> =
        keep.iter().map(|l| format!("kept     {}{}", l.describe(), why_kept(l, older))).collect();
    if !drop.is_empty() {
        for leftover in &drop {
            shell.note(&format!("to drop  {}", leftover.describe()));
        }
        if !shell.confirm(&format!("Drop these {} databases?", drop.len()), command.yes)? {
            return Err(Failure::refused("clean up")
                .because_of("the answer was no")
                .leaving("nothing was dropped")
                .into());
        }
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

/// What runs left on the server.
pub(super) async fn leftovers(
    session: &Session,
    config: &Config,
    store: &dyn Store,
) -> Result<Vec<Leftover>, Failure> {
    let mut found = Vec::new();
    for (database, trace) in companions(session, config.database.url.database()).await? {
        let needed = needed(&trace, store).await?;
        let age = crate::backup::time_of_id(&trace.run).map_or(Duration::ZERO, |at| between(at, now()));
        found.push(Leftover { database, trace, age, needed });
    }
    Ok(found)
}

/// Why a leftover must stay, if it must.
async fn needed(trace: &Trace, store: &dyn Store) -> Result<Option<String>, Failure> {
    // Nobody comes back for these: who died over one left it for nobody, and makes a new one.
    if matches!(trace.role, Role::Rehearsal | Role::Side | Role::Scratch) {
        return Ok(None);
    }
    if trace.role == Role::Window {
        return Ok(Some("it is production, fenced".into()));
    }
    match journal::read(store, &trace.run).await {
        Ok(history) if begin::ended(&history.records) => Ok(None),
        Ok(_) => Ok(Some("its run is not finished".into())),
        Err(journal::JournalError::NoRun { .. }) => Ok(Some("this store does not know its run".into())),
        Err(error) => Err(error.into()),
    }
}

fn why_kept(leftover: &Leftover, older: Duration) -> String {
    match &leftover.needed {
        Some(why) => format!(" ({why})"),
        None => format!(" (kept for {}; --older-than 0s drops it now)", show_duration(older)),
    }
}
