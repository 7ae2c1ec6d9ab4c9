//! The lines of the way back.

use serde_json::{Value, json};

use super::site::Site;
use super::{Left, Probe, Report, from_json, pooler, replicas, to_json, window};
use crate::backup::{TableName, open_pinned};
use crate::config::MigrationRoot;
use crate::event::Event;
use crate::failure::Failure;
use crate::migrate::HISTORY_TABLE;
use crate::pg::Session;
use crate::window::fence;
use crate::window::ledger::{self, Door, Found, Ground, Kept, Ledger, Mark, NotKept};
use crate::window::names::{self, Role};
use crate::window::survivors;
use crate::window::swap::{self, Swap};

/// What others wrote, as far as it can be seen while they may still write. The last word is
/// [`swap()`]'s, behind the fence.
pub(super) async fn read_ledger(site: &mut Site<'_>) -> Result<Report, Failure> {
    window::close_if_half_open(site).await?;
    let found = {
        let live = open_pinned(&site.live().await?, &site.session("ledger")).await?;
        read_beside(&live, site).await?
    };
    let ledger = found.ledger();
    Report::with(ledger.describe(), &json!({ "foreign": !ledger.is_empty(), "ledger": ledger }))
}

pub(super) async fn prepare_swap(site: &Site<'_>) -> Result<Value, Failure> {
    let guard = window::guard_of(site)?;
    // An earlier driver may have swapped: then it keeps the name that it was given.
    let present = site.admin.name_of(site.target.oid).await?;
    let failed_name = present.filter(|name| names::is(&site.target.name, name, Role::Failed));
    to_json(&Swap {
        name: site.target.name.clone(),
        failed: site.target.oid,
        failed_name: failed_name.unwrap_or_else(|| site.companion(Role::Failed)),
        guard: guard.oid,
    })
}

/// Closes the failed database and counts once more what others wrote, if it was open; keeps that in the ledger;
/// and swaps.
pub(super) async fn swap(opened: bool, intent: &Value, site: &mut Site<'_>) -> Result<Report, Failure> {
    let plan: Swap = from_json(intent)?;
    let timeout = site.config.database.close_timeout;
    // Before anybody is shut out: without a guard the new version is all that is left of production.
    swap::expect_guard(site.admin, &plan).await?;
    let mut kept = None;
    if opened && !swap::renamed(site.admin, &plan).await? {
        pooler::pause(site).await?;
        kept = match account_for_writes(&plan, site).await {
            Ok(kept) => kept,
            Err(failure) => return Err(reopened(failure, site).await),
        };
    }
    swap::swap(site.admin, &plan, timeout).await?;
    let (words, place) = match &kept {
        Some(kept) => (format!("; others' writes are {}", kept.words()), Some(kept.place.clone())),
        None => (String::new(), None),
    };
    swapped(&plan, &words, place, site).await
}

/// The old database serves again: its users are let in wherever they come from.
async fn swapped(
    plan: &Swap,
    writes: &str,
    ledger: Option<String>,
    site: &Site<'_>,
) -> Result<Report, Failure> {
    let resumed = pooler::resume(site).await?;
    let (cleared, left) = replicas::clear(plan.failed, site).await;
    let kept = format!("the failed one is kept as {}{writes}", plan.failed_name);
    Report::with(format!("the old database serves; {kept}{resumed}{cleared}"), &Left { ledger, ..left })
}

/// Behind the fence: nobody but us is in the database, and whoever was has reported. What was written is kept,
/// if it was agreed to put back all the same.
async fn account_for_writes(plan: &Swap, site: &mut Site<'_>) -> Result<Option<Kept>, Failure> {
    let timeout = site.config.database.close_timeout;
    fence::close(site.admin, site.target.oid, &site.window_name(), timeout).await?;
    survivors::expect_none(site.admin.session(), site.target.oid).await?;
    let (info, options) = (site.live().await?, site.session("ledger"));
    let live = open_pinned(&info, &options).await?;
    let found = read_beside(&live, site).await?;
    let ledger = found.ledger();
    if ledger.is_empty() {
        return Ok(None);
    }
    if !site.recall.put_back_anyway {
        return Err(would_drop_writes(&ledger, site.run));
    }
    let mark = mark_of(site)?;
    let guard = window::guard_of(site)?;
    let ground = Ground {
        store: site.store.as_ref(),
        run: site.run,
        epoch: site.epoch,
        database: ledger::KeptDatabase {
            name: plan.name.clone(),
            oid: plan.failed,
            kept_as: plan.failed_name.clone(),
        },
        live: &live,
        info,
        options: options.clone(),
    };
    let mut door = Door::new(site.admin, window::server(site), options, &guard, &site.target.name);
    let kept = match ledger::keep(&ground, &mut door, &found, &mark).await {
        // Nearly full, a store takes the small records and not these files. It is lost to this put-back all the same.
        Err(NotKept::Store(error)) if !site.spool.is_engaged() && site.admin.is_alive().await => {
            let text = site.spool.engage(error.into());
            site.events.emit(Event::Note { line: Some(site.line), text });
            let kept = ledger::keep(&ground, &mut door, &found, &mark).await;
            if kept.is_err() {
                site.spool.disengage();
            }
            kept
        }
        kept => kept,
    };
    door.shut(timeout).await?;
    live.close().await;
    Ok(Some(kept?))
}

/// What must be read or kept before the swap was not: the database is opened again, as it was before this line.
async fn reopened(failure: Failure, site: &Site<'_>) -> Failure {
    let timeout = site.config.database.close_timeout;
    let opened = async {
        fence::open(site.admin, site.target.oid, &site.target.name, timeout).await?;
        pooler::resume(site).await
    };
    match opened.await.map(drop) {
        Ok(()) if failure.state.is_some() => failure,
        Ok(()) => {
            failure.leaving("nothing was swapped; the database is open with the new schema, the flag is up")
        }
        Err(second) => failure
            .because_of(second.to_string())
            .leaving("nothing was swapped; the database is closed, the flag is up"),
    }
}

pub(super) async fn probe_swap(intent: &Value, site: &mut Site<'_>) -> Result<Probe, Failure> {
    let plan: Swap = from_json(intent)?;
    if !swap::done(site.admin, &plan).await? {
        return Ok(Probe::NotDone("the databases are not swapped".into()));
    }
    let ledger = ledger::newest(site.store.as_ref(), site.run).await?;
    let writes = ledger.as_ref().map(|place| format!("; others' writes as {place}")).unwrap_or_default();
    Ok(Probe::Done(swapped(&plan, &writes, ledger, site).await?))
}

/// Nothing changed the database: it only gets its name and its users back, and the guard is not needed.
pub(super) async fn reopen(site: &mut Site<'_>) -> Result<Report, Failure> {
    fence::open(site.admin, site.target.oid, &site.target.name, site.config.database.close_timeout).await?;
    let resumed = pooler::resume(site).await?;
    Ok(Report::saying(format!("{} lets sessions in, unchanged{resumed}", site.target.name)))
}

/// Reads what others wrote, beside the guard.
async fn read_beside(live: &Session, site: &Site<'_>) -> Result<Found, Failure> {
    let (mark, guard) = (mark_of(site)?, window::guard_of(site)?);
    let mut door =
        Door::new(site.admin, window::server(site), site.session("ledger"), &guard, &site.target.name);
    let found = ledger::read(live, &mut door, &mark, &bookkeeping(site)).await;
    door.shut(site.config.database.close_timeout).await?;
    found
}

/// The tables in which migrations are noted: only releases write there.
fn bookkeeping(site: &Site<'_>) -> Vec<TableName> {
    let tables = |root: &MigrationRoot| {
        [root.version_table.as_str(), HISTORY_TABLE].map(|table| TableName::new(&*root.version_schema, table))
    };
    site.config.migrations.iter().flat_map(tables).collect()
}

fn mark_of(site: &Site<'_>) -> Result<Mark, Failure> {
    site.recall.mark.clone().ok_or_else(|| Failure::internal("find the mark of open"))
}

/// Why nothing is put back: others' writes would be dropped, each named.
pub fn would_drop_writes(ledger: &Ledger, run: &str) -> Failure {
    ledger
        .entries
        .iter()
        .fold(Failure::refused("swap the guard in without dropping others' writes"), |failure, entry| {
            failure.because_of(format!("{}: {}", entry.name, entry.what))
        })
        .leaving("the database is open with the new schema, the flag is up")
        .then(format!(
            "backstay resume {run} --put-back puts back all the same: these writes are first kept as files, in \
             runs/{run}/ledger/ of the store, and stay in the failed database"
        ))
        .then(format!("backstay resume {run} --keep-new keeps the new version instead, once it is healthy"))
}
