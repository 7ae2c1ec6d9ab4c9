//! The lines of the window itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::site::{Closing, GuardFacts, Raising, Site};
use super::{Probe, Report, health, pooler, to_json};
use crate::backup::attributes::DatabaseAttributes;
use crate::config::Flag;
use crate::event::Event;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::pg::{self, ConnInfo};
use crate::runbook::GuardKind;
use crate::time::{now, show_bytes};
use crate::window::flag::{self, Standing};
use crate::window::guard::{self, Guard, Sample};
use crate::window::ledger;
use crate::window::names::Role;
use crate::window::{fence, proof, survivors};
use crate::words::count;

pub(super) async fn prepare_raise(site: &mut Site<'_>) -> Result<Value, Failure> {
    super::backup::expect_proven(site).await?;
    super::schedule::expect_open(site)?;
    to_json(&Raising { machine: Machine::here() })
}

pub(super) async fn raise_flag(site: &mut Site<'_>, max: Duration) -> Result<Report, Failure> {
    let flag = flag_of(site)?;
    flag::raise(flag, &site.bearer(), site.config).await?;
    let max_millis = Some(crate::event::millis(max));
    site.events.emit(Event::WindowBegan { at: now(), max_millis });
    Ok(Report::saying(flag::describe(flag)))
}

pub(super) async fn clear_flag(site: &mut Site<'_>) -> Result<Report, Failure> {
    let flag = flag_of(site)?;
    if let Some(host) = out_of_sight(flag, site).await? {
        return Err(on_another_machine(flag, &host, site));
    }
    flag::lower(flag, &site.bearer(), site.config).await?;
    site.events.emit(Event::WindowEnded { at: now() });
    Ok(Report::saying(format!("{} is down", flag::describe(flag))))
}

pub(super) async fn probe_flag(site: &mut Site<'_>, wanted_up: bool) -> Result<Probe, Failure> {
    let flag = flag_of(site)?;
    if let Some(host) = out_of_sight(flag, site).await? {
        return Ok(Probe::Failed(on_another_machine(flag, &host, site)));
    }
    let up = match flag::look(flag, site.config).await? {
        Standing::Down => false,
        Standing::Up(Some(run)) => run == site.run,
        Standing::Up(None) => true,
    };
    let state = if up { "the flag is up" } else { "the flag is down" };
    Ok(if up == wanted_up { Probe::Done(Report::saying(state)) } else { Probe::NotDone(state.into()) })
}

/// The machine on which the flag may stand, if it can't be seen from here: a file that is not there, raised from
/// another machine.
async fn out_of_sight(flag: &Flag, site: &Site<'_>) -> Result<Option<String>, Failure> {
    let here = Machine::here();
    let Some(raising) = site.recall.raising.as_ref().filter(|raising| !raising.machine.shares_files(&here))
    else {
        return Ok(None);
    };
    let seen = !matches!(flag::look(flag, site.config).await?, Standing::Down);
    let told = site.recall.flag_is_down || seen || !matches!(flag, Flag::File(_));
    Ok((!told).then(|| match raising.machine.host == here.host {
        true => format!("another machine or container called {}", here.host),
        false => raising.machine.host.clone(),
    }))
}

fn on_another_machine(flag: &Flag, host: &str, site: &Site<'_>) -> Failure {
    let place = flag::describe(flag);
    let removal = flag::removal(Path::new(&place));
    Failure::failed(format!("take the flag {place} down"))
        .because_of(format!("it is a file on {host}, where this run raised it, and can't be seen from here"))
        .leaving("users may still see the maintenance page")
        .then(format!("on {host}: {removal}"))
        .then(format!("backstay resume {} -e {} --flag-is-down", site.run, site.config.environment))
}

pub(super) async fn prepare_close(site: &mut Site<'_>) -> Result<Value, Failure> {
    let attributes = DatabaseAttributes::read(site.admin.session(), &site.target.name).await?;
    to_json(&Closing { attributes })
}

pub(super) async fn close(site: &mut Site<'_>) -> Result<Report, Failure> {
    let window = site.window_name();
    let paused = pooler::pause(site).await?;
    fence::close(site.admin, site.target.oid, &window, site.config.database.close_timeout).await?;
    Ok(Report::saying(format!("now called {window}{paused}")))
}

pub(super) async fn probe_close(site: &mut Site<'_>) -> Result<Probe, Failure> {
    let name = site.present_name().await?;
    Ok(if name == site.window_name() {
        Probe::Done(Report::saying(format!("now called {name}")))
    } else {
        Probe::NotDone(format!("the database is called {name}"))
    })
}

pub(super) fn prepare_guard(site: &Site<'_>) -> Value {
    json!({ "name": site.companion(Role::Guard), "source": site.target.oid })
}

pub(super) async fn guard(kind: GuardKind, intent: &Value, site: &mut Site<'_>) -> Result<Report, Failure> {
    let name = intent["name"].as_str().map_or_else(|| site.companion(Role::Guard), String::from);
    let closing = site.recall.closing.clone().ok_or_else(|| Failure::internal("find what close noted"))?;
    survivors::expect_none(site.admin.session(), site.target.oid).await?;
    discard_earlier(Role::Guard, site).await?;
    let counters = {
        let session = pg::connect(&site.live().await?, &site.session("guard")).await?;
        let counters = ledger::count(&session).await?;
        session.close().await;
        counters
    };
    let (guard, summary) = match kind {
        GuardKind::Clone => clone_guard(&name, &closing.attributes, site).await?,
        GuardKind::Backup => restore_guard(&name, &closing.attributes, site).await?,
    };
    guard::shut(site.admin, guard.oid, site.config.database.close_timeout).await?;
    let rows =
        if site.outline.counts_rows { super::verify::count_rows(site).await? } else { BTreeMap::new() };
    Report::with(summary, &GuardFacts { guard, rows, counters })
}

/// Drops what drivers that died under the same line left of it: nobody proved those, and they hold the room
/// that this one needs.
pub(super) async fn discard_earlier(role: Role, site: &mut Site<'_>) -> Result<(), Failure> {
    for (database, trace) in site.admin.companions(&site.target.name).await? {
        if trace.role == role && trace.run == site.run && trace.epoch < site.epoch {
            site.admin.drop_database(database.oid).await?;
        }
    }
    Ok(())
}

async fn clone_guard(
    name: &str,
    attributes: &DatabaseAttributes,
    site: &mut Site<'_>,
) -> Result<(Guard, String), Failure> {
    let source = site.window_name();
    let began = Instant::now();
    let oid = guard::clone(site.admin, &source, name, attributes).await?;
    let copy_millis = crate::event::millis(began.elapsed());
    let server = server(site);
    let (relations, sampled) = guard::verify(
        &server.with_database(&source),
        &server.with_database(name),
        &site.session("guard"),
        Sample { bytes: site.config.window.sample_bytes },
        &site.progress(),
    )
    .await?;
    let bytes = site.admin.by_oid(oid).await?.and_then(|db| db.size_bytes).unwrap_or_default();
    let summary = format!(
        "{}, same schema, {}, {} compared",
        show_bytes(bytes),
        count(relations, "relation", "relations"),
        count(sampled, "table", "tables")
    );
    Ok((Guard { oid, name: name.to_string(), relations, sampled, copy_millis, backup: None }, summary))
}

async fn restore_guard(
    name: &str,
    attributes: &DatabaseAttributes,
    site: &mut Site<'_>,
) -> Result<(Guard, String), Failure> {
    let began = Instant::now();
    guard::discard(site.admin, name).await?;
    let source = server(site).with_database(&site.window_name());
    let (place, manifest) = super::backup::write_backup(&source, site).await?;
    let restored = super::backup::restore_as(&place, &manifest, name, site).await?;
    let oid = guard::dress(site.admin, name, attributes).await?;
    let summary = format!("backup {}, {restored}", manifest.id);
    let relations = manifest.tables.len() as u64;
    let copy_millis = crate::event::millis(began.elapsed());
    let backup = Some(manifest.id.clone());
    Ok((Guard { oid, name: name.to_string(), relations, sampled: relations, copy_millis, backup }, summary))
}

pub(super) async fn prepare_open(site: &mut Site<'_>) -> Result<Value, Failure> {
    // A session of an earlier line that is still ending would add what it wrote to the counters after the
    // mark, and a child that a command left behind could write on: neither is others' writing.
    let timeout = site.config.database.close_timeout;
    fence::end_sessions(site.admin.session(), site.live_oid(), timeout).await?;
    // Committed after the mark, what it wrote would be older than the mark.
    survivors::expect_none(site.admin.session(), site.live_oid()).await?;
    let live = site.live().await?;
    let session = pg::connect(&live, &site.session("open")).await?;
    let counters = site.recall.guard.as_ref().map(|facts| facts.counters.clone()).unwrap_or_default();
    to_json(&ledger::mark(&session, &counters).await?)
}

pub(super) async fn open(site: &mut Site<'_>) -> Result<Report, Failure> {
    fence::open(site.admin, site.live_oid(), &site.target.name, site.config.database.close_timeout).await?;
    let resumed = pooler::resume(site).await?;
    Ok(Report::saying(format!("{} is called so again and lets sessions in{resumed}", site.target.name)))
}

/// A line that opens and was cut off may leave the database without its users and without us: nobody was in, so it
/// is ours alone again.
pub(super) async fn close_if_half_open(site: &mut Site<'_>) -> Result<(), Failure> {
    let Some(database) = site.admin.by_oid(site.live_oid()).await? else { return Ok(()) };
    // What was swapped out is closed as well, and must stay as it is.
    site.refuse_swapped_out(&database.name)?;
    if database.allow_connections {
        return Ok(());
    }
    let timeout = site.config.database.close_timeout;
    fence::close(site.admin, database.oid, &site.window_name(), timeout).await
}

pub(super) async fn probe_open(site: &mut Site<'_>) -> Result<Probe, Failure> {
    let database = site.admin.by_oid(site.live_oid()).await?;
    database.as_ref().map_or(Ok(()), |db| site.refuse_swapped_out(&db.name))?;
    match database {
        Some(db) if db.name == site.target.name && db.allow_connections => {
            let resumed = pooler::resume(site).await?;
            Ok(Probe::Done(Report::saying(format!("the database is open{resumed}"))))
        }
        Some(db) => {
            // Half open, nobody is in yet: closed again, so that the line can note its mark anew.
            let timeout = site.config.database.close_timeout;
            fence::close(site.admin, db.oid, &site.window_name(), timeout).await?;
            Ok(Probe::NotDone(format!("the database was called {} and let nobody in", db.name)))
        }
        None => Ok(Probe::NotDone("the database is gone".into())),
    }
}

/// The flag clears only on this (invariant 7).
pub(super) async fn prove(with_health: bool, site: &mut Site<'_>) -> Result<Report, Failure> {
    if let Err(failure) = can_write(site).await {
        // A pooler that is still paused takes every session and answers none.
        if !pooler::resume_again(site).await? {
            return Err(failure);
        }
        can_write(site).await?;
    }
    if !with_health {
        let why =
            if site.outline.first_deploy { "; no earlier application to ask (first_deploy)" } else { "" };
        return Ok(Report::saying(format!("a new session can write{why}")));
    }
    let checks = health::check(&site.config.health.http, &site.config.health.sql, site).await?;
    Report::with(format!("a new session can write; {}", checks.said()), &checks)
}

async fn can_write(site: &Site<'_>) -> Result<(), Failure> {
    let database = &site.config.database;
    let options = site.front_session("proof");
    proof::can_write(&database.url, &options, site.live_oid(), database.restart_timeout).await
}

/// The server past any pooler, as our own role.
pub(super) fn server(site: &Site<'_>) -> ConnInfo {
    site.config.database.admin_url.clone()
}

fn flag_of<'a>(site: &Site<'a>) -> Result<&'a Flag, Failure> {
    site.config.flag.as_ref().ok_or_else(|| {
        Failure::usage("find the flag")
            .because_of(format!("{} has no [maintenance] flag", site.config.path.display()))
            .then("add one, like flag = { file = \"/opt/app/maintenance\" }")
    })
}

/// The guard that an earlier line finished.
pub(super) fn guard_of(site: &Site<'_>) -> Result<Guard, Failure> {
    // What a rollback goes back to is the database that it took out of production's place.
    if let Some(exchanged) = site.recall.exchanged.as_ref().filter(|_| site.outline.exchanges()) {
        let name = exchanged.kept_as.clone().unwrap_or_default();
        let (relations, sampled, copy_millis) = (0, 0, 0);
        let backup = exchanged.backup.clone();
        return Ok(Guard { oid: site.target.oid, name, relations, sampled, copy_millis, backup });
    }
    let facts = site.recall.guard.as_ref();
    facts
        .map(|facts| facts.guard.clone())
        .ok_or_else(|| Failure::refused("find the guard").because_of("no guard was finished"))
}
