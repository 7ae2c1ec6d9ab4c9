//! The lines of the way back.

use serde_json::{Value, json};

use super::site::Site;
use super::{Probe, Report, from_json, to_json, window};
use crate::failure::Failure;
use crate::pg;
use crate::window::fence;
use crate::window::ledger::{self, Ledger};
use crate::window::names::Role;
use crate::window::swap::{self, Swap};

/// What others wrote, as far as it can be seen while they may still write. The last word is
/// [`swap()`]'s, behind the fence.
pub(super) async fn read_ledger(site: &mut Site<'_>) -> Result<Report, Failure> {
    let ledger = ledger_now(site).await?;
    Report::with(ledger.describe(), &json!({ "foreign": !ledger.is_empty(), "ledger": ledger }))
}

pub(super) fn prepare_swap(site: &Site<'_>) -> Result<Value, Failure> {
    let guard = window::guard_of(site)?;
    to_json(&Swap {
        name: site.target.name.clone(),
        failed: site.target.oid,
        failed_name: site.companion(Role::Failed),
        guard: guard.oid,
    })
}

/// Shuts the failed database, counts once more what others wrote if it was open, and swaps.
pub(super) async fn swap(opened: bool, intent: &Value, site: &mut Site<'_>) -> Result<Report, Failure> {
    let plan: Swap = from_json(intent)?;
    let timeout = site.config.database.close_timeout;
    // Before anybody is shut out: without a guard the new version is all that is left of production.
    swap::expect_guard(site.admin, &plan).await?;
    let mut kept = String::new();
    if opened && !swap::done(site.admin, &plan).await? {
        let ledger = fenced_ledger(site).await?;
        if !ledger.is_empty() && !site.recall.put_back_anyway {
            fence::open(site.admin, site.target.oid, &site.target.name, timeout).await?;
            return Err(would_drop_writes(&ledger, site.run));
        }
        if !ledger.is_empty() {
            kept = format!("; kept there: {}", ledger.describe());
        }
    }
    swap::swap(site.admin, &plan, timeout).await?;
    Ok(Report::saying(format!(
        "the old database serves; the failed one is kept as {}{kept}",
        plan.failed_name
    )))
}

pub(super) async fn probe_swap(intent: &Value, site: &mut Site<'_>) -> Result<Probe, Failure> {
    let plan: Swap = from_json(intent)?;
    Ok(if swap::done(site.admin, &plan).await? {
        Probe::Done(Report::saying(format!(
            "the old database serves; the failed one is kept as {}",
            plan.failed_name
        )))
    } else {
        Probe::NotDone("the databases are not swapped".into())
    })
}

/// Nothing changed the database: it only gets its name and its users back, and the guard is not needed.
pub(super) async fn reopen(site: &mut Site<'_>) -> Result<Report, Failure> {
    fence::open(site.admin, site.target.oid, &site.target.name, site.config.database.close_timeout).await?;
    Ok(Report::saying(format!("{} lets sessions in, unchanged", site.target.name)))
}

async fn ledger_now(site: &mut Site<'_>) -> Result<Ledger, Failure> {
    let mark = site.recall.mark.clone().ok_or_else(|| Failure::internal("find the mark of open"))?;
    let session = pg::connect(&site.live().await?, &site.session("ledger")).await?;
    ledger::read(&session, &mark).await
}

/// The ledger's last word: nobody but us is in the database, and whoever was has reported.
async fn fenced_ledger(site: &mut Site<'_>) -> Result<Ledger, Failure> {
    let window = site.window_name();
    fence::close(site.admin, site.target.oid, &window, site.config.database.close_timeout).await?;
    ledger_now(site).await
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
            "backstay resume {run} --put-back puts back all the same; the failed database keeps these writes"
        ))
        .then(format!("backstay resume {run} --keep-new keeps the new version instead, once it is healthy"))
}
