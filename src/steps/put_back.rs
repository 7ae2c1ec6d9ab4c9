//! The lines of the way back.

use serde_json::{Value, json};

use super::site::Site;
use super::writes::{self, Since};
use super::{Left, Probe, Report, from_json, pooler, replicas, to_json, window};
use crate::backup::open_pinned;
use crate::failure::Failure;
use crate::window::fence;
use crate::window::ledger::{self, Kept};
use crate::window::names::{self, Role};
use crate::window::swap::{self, Swap};

/// What others wrote, as far as it can be seen while they may still write. The last word is
/// [`swap()`]'s, behind the fence.
pub(super) async fn read_ledger(site: &mut Site<'_>) -> Result<Report, Failure> {
    window::close_if_half_open(site).await?;
    let found = {
        let live = open_pinned(&site.live().await?, &site.session("ledger")).await?;
        writes::read(&live, &since(site)?, site).await?
    };
    let ledger = found.ledger();
    Report::with(ledger.describe(), &json!({ "foreign": !ledger.is_empty(), "ledger": ledger }))
}

pub(super) async fn prepare_swap(opened: bool, site: &Site<'_>) -> Result<Value, Failure> {
    if site.outline.exchanges() {
        return prepare_exchange_back(opened, site).await;
    }
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

/// After a rollback that failed the present database comes back, and the other is put away: as the guard that it was, if
/// nobody but us was in it. Where the exchange did not take place both are the same.
async fn prepare_exchange_back(opened: bool, site: &Site<'_>) -> Result<Value, Failure> {
    let present = site.admin.name_of(site.target.oid).await?;
    let is_out = present.is_some_and(|name| names::is(&site.target.name, &name, Role::Failed));
    let other = match (is_out, &site.recall.exchanged) {
        (true, Some(exchanged)) => Some(exchanged.database),
        (true, None) => site.admin.by_name(&site.window_name()).await?.map(|database| database.oid),
        (false, _) => None,
    };
    let before = site.recall.exchanged.as_ref().filter(|_| !opened).map(|exchanged| exchanged.name.clone());
    to_json(&Swap {
        name: site.target.name.clone(),
        failed: other.unwrap_or(site.target.oid),
        failed_name: before.unwrap_or_else(|| site.companion(Role::Guard)),
        guard: site.target.oid,
    })
}

/// Closes the failed database and counts once more what others wrote, if it was open; keeps that in the ledger;
/// and swaps.
pub(super) async fn swap(opened: bool, intent: &Value, site: &mut Site<'_>) -> Result<Report, Failure> {
    let plan: Swap = from_json(intent)?;
    let timeout = site.config.database.close_timeout;
    if plan.failed == plan.guard {
        return open_unchanged(plan.guard, site).await;
    }
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
    let which = if site.outline.exchanges() { "database of before the rollback" } else { "old database" };
    Report::with(format!("the {which} serves; {kept}{resumed}{cleared}"), &Left { ledger, ..left })
}

/// Closes the database, and keeps what others wrote if it was agreed to put back all the same.
async fn account_for_writes(plan: &Swap, site: &mut Site<'_>) -> Result<Option<Kept>, Failure> {
    let timeout = site.config.database.close_timeout;
    fence::close(site.admin, plan.failed, &site.window_name(), timeout).await?;
    let (since, agreed) = (since(site)?, site.recall.put_back_anyway);
    writes::keep(&since, plan, agreed, site).await
}

/// What must be read or kept before the swap was not: the database is opened again, as it was before this line.
async fn reopened(failure: Failure, site: &Site<'_>) -> Failure {
    let timeout = site.config.database.close_timeout;
    let opened = async {
        fence::open(site.admin, site.live_oid(), &site.target.name, timeout).await?;
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
    if plan.failed == plan.guard || !swap::done(site.admin, &plan).await? {
        return Ok(Probe::NotDone("the databases are not swapped".into()));
    }
    let ledger = ledger::newest(site.store.as_ref(), site.run).await?;
    let writes = ledger.as_ref().map(|place| format!("; others' writes as {place}")).unwrap_or_default();
    Ok(Probe::Done(swapped(&plan, &writes, ledger, site).await?))
}

/// Nothing changed the database: it only gets its name and its users back, and the guard is not needed.
pub(super) async fn reopen(site: &mut Site<'_>) -> Result<Report, Failure> {
    open_unchanged(site.live_oid(), site).await
}

async fn open_unchanged(oid: u32, site: &mut Site<'_>) -> Result<Report, Failure> {
    fence::open(site.admin, oid, &site.target.name, site.config.database.close_timeout).await?;
    let resumed = pooler::resume(site).await?;
    Ok(Report::saying(format!("{} lets sessions in, unchanged{resumed}", site.target.name)))
}

fn since(site: &Site<'_>) -> Result<Since, Failure> {
    let mark = site.recall.mark.clone().ok_or_else(|| Failure::internal("find the mark of open"))?;
    Ok(Since { mark, guard: window::guard_of(site)?, with_bookkeeping: true })
}
