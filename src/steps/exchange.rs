//! A rollback that puts another database in production's place: the guard of a release, or a restored backup.
//!
//! Behind the fence, in one transaction: the present database is kept under another name, and the other is called as
//! the window's. To open it is the next line's. The present database is not written to, and so it is what a failure goes
//! back to.

use std::time::Instant;

use serde_json::Value;

use super::released::Released;
use super::site::{Exchanged, Site};
use super::writes::{self, Since};
use super::{Left, Probe, Report, from_json, replicas, to_json, window};
use crate::backup::attributes::apply_attributes;
use crate::backup::verify::load_manifest;
use crate::backup::{DatabaseAttributes, Place};
use crate::failure::Failure;
use crate::journal;
use crate::rollback::{By, Order};
use crate::window::guard::{self, Guard};
use crate::window::ledger;
use crate::window::names::{self, Role};
use crate::window::swap::{self, Swap};
use crate::window::{fence, survivors};

/// Restores a backup beside production, compared with its manifest, in production's attributes, and closes it.
///
/// A crash leaves a database that the next driver drops.
pub(super) async fn restore_aside(backup: &str, site: &mut Site<'_>) -> Result<Report, Failure> {
    let place = Place { environment: site.config.environment.clone(), id: backup.to_string() };
    let manifest = load_manifest(&**site.store, &place).await?;
    let name = site.companion(Role::Side);
    window::discard_earlier(Role::Side, site).await?;
    guard::discard(site.admin, &name).await?;
    let began = Instant::now();
    let restored = super::backup::restore_as(&place, &manifest, &name, site).await?;
    let oid = dress(&name, &manifest.database, site).await?;
    guard::shut(site.admin, oid, site.config.database.close_timeout).await?;
    let relations = manifest.tables.len() as u64;
    let copy_millis = crate::event::millis(began.elapsed());
    let aside = Guard { oid, name, relations, sampled: relations, copy_millis, backup: Some(place.id) };
    Report::with(format!("backup {backup}, {restored}"), &aside)
}

/// Production's own attributes; those of the backup where there is no production, as far as this server allows.
async fn dress(name: &str, kept: &DatabaseAttributes, site: &mut Site<'_>) -> Result<u32, Failure> {
    if let Some(closing) = site.recall.closing.clone() {
        return guard::dress(site.admin, name, &closing.attributes).await;
    }
    for denied in apply_attributes(site.admin.session(), name, kept).await? {
        site.progress().note(format!("not set: {} ({})", denied.statement, denied.reason));
    }
    let found = site.admin.by_name(name).await?;
    found.map(|database| database.oid).ok_or_else(|| {
        Failure::failed(format!("find database {name}")).because_of("it was just restored, and is gone")
    })
}

pub(super) async fn prepare(site: &mut Site<'_>) -> Result<Value, Failure> {
    let substitute = found(substitute(site).await?, site).await?;
    let kept_as = if site.outline.is_one_way() { String::new() } else { site.companion(Role::Failed) };
    to_json(&Swap {
        name: site.window_name(),
        failed: site.target.oid,
        failed_name: kept_as,
        guard: substitute.oid,
    })
}

/// Keeps what was written since, and exchanges.
pub(super) async fn perform(intent: &Value, site: &mut Site<'_>) -> Result<Report, Failure> {
    let plan: Swap = from_json(intent)?;
    let released = released(site).await?;
    let substitute = found(named(released.as_ref(), site)?, site).await?;
    swap::expect_guard(site.admin, &plan).await?;
    let timeout = site.config.database.close_timeout;
    if site.outline.is_one_way() {
        fence::close(site.admin, plan.guard, &plan.name, timeout).await?;
        return exchanged(&plan, &substitute, Left::default(), String::new());
    }
    expect_fenced(site).await?;
    let (ledger, words) = keep_writes(&plan, &substitute, mark(released, site)?, site).await?;
    if let Err(failure) = swap::swap(site.admin, &plan, timeout).await
        && !swap::done(site.admin, &plan).await.unwrap_or(false)
    {
        return Err(failure);
    }
    let (cleared, left) = replicas::clear(plan.failed, site).await;
    exchanged(&plan, &substitute, Left { ledger, ..left }, words + &cleared)
}

/// What is the release's to know of the writes since it opened the database: kept, as files of the ledger.
async fn keep_writes(
    plan: &Swap,
    substitute: &Guard,
    mark: Option<ledger::Mark>,
    site: &mut Site<'_>,
) -> Result<(Option<String>, String), Failure> {
    let Some(mark) = mark else {
        survivors::expect_none(site.admin.session(), plan.failed).await?;
        let why =
            "; what was written since is in the kept database alone, for no release's mark tells it apart";
        return Ok((None, why.to_string()));
    };
    let since = Since { mark, guard: substitute.clone(), with_bookkeeping: false };
    Ok(match writes::keep(&since, plan, true, site).await? {
        Some(kept) => (Some(kept.place.clone()), format!("; what was written since is {}", kept.words())),
        None => (None, "; nothing was written since".to_string()),
    })
}

/// Since when writes count. A backup is older than its release's window: whatever is younger than the backup counts, and
/// every table is looked through.
fn mark(released: Option<Released>, site: &Site<'_>) -> Result<Option<ledger::Mark>, Failure> {
    let order = order(site)?;
    let Some(released) = released.filter(|_| order.marked) else { return Ok(None) };
    let Some(mark) = released.mark_for(site.target.oid) else { return Ok(None) };
    if order.by == By::Guard {
        return Ok(Some(mark));
    }
    let same = released.backup.is_some() && released.backup == order.backup;
    Ok(released.backup_xid.filter(|_| same).map(|xid| mark.back_to(xid)))
}

fn exchanged(plan: &Swap, substitute: &Guard, left: Left, words: String) -> Result<Report, Failure> {
    let kept_as = (!plan.failed_name.is_empty()).then(|| plan.failed_name.clone());
    let kept = kept_as.as_ref().map(|name| format!("; the present one is kept as {name}"));
    let summary = format!("{} takes production's place{}{words}", substitute.name, kept.unwrap_or_default());
    let facts = Exchanged {
        database: substitute.oid,
        name: substitute.name.clone(),
        backup: substitute.backup.clone(),
        kept_as,
        left,
    };
    Report::with(summary, &facts)
}

/// By object id: the other database has the window's name, whichever driver gave it.
pub(super) async fn probe(intent: &Value, site: &mut Site<'_>) -> Result<Probe, Failure> {
    let plan: Swap = from_json(intent)?;
    let name = site.admin.name_of(plan.guard).await?;
    if name.as_deref() != Some(&*site.window_name()) {
        return Ok(Probe::NotDone("the databases are not exchanged".into()));
    }
    let substitute = substitute(site).await?;
    let ledger = ledger::newest(site.store.as_ref(), site.run).await?;
    let words =
        ledger.as_ref().map(|place| format!("; what was written since as {place}")).unwrap_or_default();
    let left = Left { ledger, ..Left::default() };
    Ok(Probe::Done(exchanged(&plan, &substitute, left, words)?))
}

/// The same, found to be the one that it was.
async fn found(substitute: Guard, site: &Site<'_>) -> Result<Guard, Failure> {
    let present = site.admin.by_oid(substitute.oid).await?;
    match present {
        // A try that failed behind its rename has left it under the window's name.
        Some(database) if [&substitute.name, &site.window_name()].contains(&&database.name) => Ok(substitute),
        Some(database) => Err(Failure::refused(format!("find {}", substitute.name))
            .because_of(format!("the database with its id is called {} now", database.name))
            .then("look at both; backstay status names what is ours")),
        None => Err(Failure::refused(format!("find {}", substitute.name))
            .because_of("it does not exist any more")
            .then("backstay rollback --by backup restores a backup instead")),
    }
}

/// The database that takes production's place, as journals have it.
async fn substitute(site: &Site<'_>) -> Result<Guard, Failure> {
    match site.recall.aside {
        Some(_) => named(None, site),
        None => named(released(site).await?.as_ref(), site),
    }
}

/// The backup that was restored, else the guard of what was released.
fn named(released: Option<&Released>, site: &Site<'_>) -> Result<Guard, Failure> {
    let guard = site.recall.aside.as_ref().or(released.and_then(|released| released.guard.as_ref()));
    guard
        .cloned()
        .ok_or_else(|| Failure::refused("find the guard of the release").because_of("its journal names none"))
}

/// What the release left that is taken back; nothing, where a backup was named alone.
async fn released(site: &Site<'_>) -> Result<Option<Released>, Failure> {
    let Some(run) = &order(site)?.release else { return Ok(None) };
    let history = journal::read(&**site.store, run).await?;
    Ok(Some(Released::of(&history.records)))
}

fn order<'a>(site: &Site<'a>) -> Result<&'a Order, Failure> {
    site.outline.rollback.as_ref().ok_or_else(|| Failure::internal("find what the rollback was told"))
}

/// Whoever put production back without the store has opened it again: it must not be taken from its users.
async fn expect_fenced(site: &Site<'_>) -> Result<(), Failure> {
    let present = site.admin.name_of(site.target.oid).await?;
    match present {
        Some(name) if names::is(&site.target.name, &name, Role::Window) => Ok(()),
        present => Err(Failure::refused("put another database in production's place").because_of(format!(
            "the present one is not behind the fence: it is {}",
            present.map_or("gone".to_string(), |name| format!("called {name}"))
        ))),
    }
}
