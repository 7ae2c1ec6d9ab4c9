//! What a run stands on: the database that it is about, that no other run is in its way, and that what is there now is what
//! its journal is about.

use std::sync::Arc;

use super::plan::Plan;
use super::standing::unfinished;
use crate::config::Config;
use crate::failure::{Failure, Kind, Verdict};
use crate::journal::{self, Driver, Entry, Journal, Onward, Target};
use crate::pg::Session;
use crate::pg::catalog::Database;
use crate::redact;
use crate::store::Store;
use crate::window::admin::{self, Admin};
use crate::window::fence;
use crate::window::names::{Role, Trace};
use crate::words::shell_word;

/// The environment's database, as a run that begins finds it.
pub(super) async fn find_target(config: &Config, admin: &Admin) -> Result<Target, Failure> {
    let name = config.database.url.database().to_string();
    let system = admin::system(admin.session()).await?;
    if let Some(database) = admin.by_name(&name).await? {
        return Ok(Target { system, name, oid: database.oid });
    }
    fence::refuse_fenced(admin.session(), config, "begin a run").await?;
    Err(Failure::refused(format!("find database {name} on {}:{}", admin.info().host(), admin.info().port()))
        .because_of(format!("there is no database called {name}"))
        .leaving("nothing was changed")
        .then(format!("create it (createdb {}), or correct [database] url", shell_word(&name))))
}

/// The place that a restored database is to have: nobody may have taken it meanwhile.
pub(super) async fn expect_none(
    config: &Config,
    store: &Arc<dyn Store>,
    admin: &Admin,
) -> Result<Target, Failure> {
    let name = config.database.url.database().to_string();
    fence::refuse_fenced(admin.session(), config, "begin a run").await?;
    match admin.by_name(&name).await? {
        None => {
            let system = admin::system(admin.session()).await?;
            end_what_is_gone(config, store, admin, &system).await?;
            Ok(Target { system, name, oid: 0 })
        }
        Some(_) => Err(Failure::refused(format!("restore {name} where there is none"))
            .because_of("there is a database of that name now")
            .leaving("nothing was changed")),
    }
}

/// A run whose database is gone can't be gone on with: it is ended, or it would be in every later one's way.
async fn end_what_is_gone(
    config: &Config,
    store: &Arc<dyn Store>,
    admin: &Admin,
    system: &str,
) -> Result<(), Failure> {
    let Some(run) = unfinished(&**store, &config.environment).await? else { return Ok(()) };
    let history = journal::read(&**store, &run).await?;
    let target = target_of(&history.records)?;
    if target.system == system && admin.by_oid(target.oid).await?.is_some() {
        return Err(unfinished_run(&run, &config.environment));
    }
    let mut journal = Journal::take_over(store.clone(), run, &history);
    journal.append(Entry::TookOver { driver: Box::new(Driver::this_process()) }).await?;
    let how = "its database is gone: a backup is restored in its place".to_string();
    journal.append(Entry::Interrupted { how, onward: Onward::Leave }).await?;
    journal.append(Entry::Ended { verdict: Verdict::Interrupted }).await?;
    Ok(())
}

/// What other runs left for which [`begin`](super::begin::begin) would refuse; for whoever asks before. Reads only.
///
/// # Errors
/// If store or server can't be asked.
pub async fn in_the_way(
    config: &Config,
    store: &dyn Store,
    session: &Session,
) -> Result<Vec<Failure>, Failure> {
    let companions = admin::companions(session, config.database.url.database()).await?;
    let found = [refuse_unfinished(config, store).await, refuse_strangers(store, &companions).await];
    let (refusals, errors): (Vec<_>, Vec<_>) =
        found.into_iter().filter_map(Result::err).partition(|failure| failure.kind == Kind::Refused);
    errors.into_iter().next().map_or(Ok(refusals), Err)
}

/// A run that this store knows and that has not ended must be ended first.
pub(super) async fn refuse_unfinished(config: &Config, store: &dyn Store) -> Result<(), Failure> {
    match unfinished(store, &config.environment).await? {
        None => Ok(()),
        Some(run) => Err(unfinished_run(&run, &config.environment)),
    }
}

fn unfinished_run(run: &str, environment: &str) -> Failure {
    Failure::refused("begin a run")
        .because_of(format!("run {run} of {environment} is not finished"))
        .leaving("nothing was changed by this one")
        .then(format!("backstay resume {run} -e {environment}"))
        .then(format!("backstay status -e {environment} shows what it left"))
}

/// Traces of a run that the store does not know: somebody releases with another store (invariant 8).
pub(super) async fn refuse_strangers(
    store: &dyn Store,
    companions: &[(Database, Trace)],
) -> Result<(), Failure> {
    let known = journal::runs(store).await?;
    // These stand in nobody's way, and no run need have made them: a doctor rehearses, a drill restores a
    // backup to compare it, and either can have died.
    let harmless = |trace: &Trace| matches!(trace.role, Role::Rehearsal | Role::Side | Role::Scratch);
    let stranger = |trace: &Trace| !harmless(trace) && !known.contains(&trace.run);
    match companions.iter().find(|(_, trace)| stranger(trace)) {
        None => Ok(()),
        Some((database, trace)) => Err(Failure::refused("begin a run")
            .because_of(format!(
                "database {} belongs to run {}, which the store {} does not know",
                database.name,
                trace.run,
                store.url()
            ))
            .leaving("nothing was changed")
            .then("use the store that knows that run, or drop the database once you know what it is")),
    }
}

pub(super) fn target_of(records: &[journal::Record]) -> Result<Target, Failure> {
    let found = records.iter().find_map(|record| match &record.entry {
        Entry::Began { target, .. } => Some(target.clone()),
        _ => None,
    });
    found.ok_or_else(|| {
        Failure::refused("resume the run")
            .because_of("its first record is missing")
            .then("nothing was done yet: run the release again")
    })
}

/// The lines go by object ids, and those mean something on one server only: the config must still name the
/// server and the database that the run was begun on.
pub(super) async fn same_target(config: &Config, session: &Session, target: &Target) -> Result<(), Failure> {
    let system = admin::system(session).await?;
    let name = config.database.url.database();
    if system == target.system && name == target.name {
        return Ok(());
    }
    let found = if name == target.name {
        format!("{name} on {}, which is another server", config.database.admin_url.host())
    } else {
        name.to_string()
    };
    Err(Failure::refused("resume the run")
        .because_of(format!("it is about database {}, and the config names {found} now", target.name))
        .leaving("nothing was changed by this resume")
        .then("bring [database] url back to what it was when the run began, then resume again"))
}

/// The plan must be the one that was begun: line by line the same names.
pub(super) fn same_lines(plan: &Plan, records: &[journal::Record]) -> Result<(), Failure> {
    let began = records.iter().find_map(|record| match &record.entry {
        Entry::Began { lines, .. } => Some(lines),
        _ => None,
    });
    let same = began.is_some_and(|lines| {
        lines.len() == plan.lines.len()
            && lines
                .iter()
                .zip(&plan.lines)
                .all(|(card, line)| card.phase == line.phase && card.name == redact::redact(&line.name))
    });
    if same {
        return Ok(());
    }
    Err(Failure::refused("resume the run")
        .because_of("its lines are not those that were begun: variables that the runbook uses have changed")
        .then("give the variables the values that they had, then resume again"))
}
