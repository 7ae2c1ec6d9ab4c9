//! What others wrote: read beside the database that is to take production's place, and kept before it does.

use super::{Site, window};
use crate::backup::{TableName, open_pinned};
use crate::config::{Config, MigrationRoot};
use crate::event::Event;
use crate::failure::Failure;
use crate::migrate::HISTORY_TABLE;
use crate::pg::Session;
use crate::window::guard::Guard;
use crate::window::ledger::{self, Door, Found, Ground, Kept, Ledger, Mark, NotKept};
use crate::window::survivors;
use crate::window::swap::Swap;

/// Since when others' writes count, and what they are read beside.
pub(super) struct Since {
    /// The state of the database before others could write.
    pub mark: Mark,
    /// The database of before that.
    pub guard: Guard,
    /// What was noted of migrations counts too. Where a release is taken back it does not: loaded again it would be a lie.
    pub with_bookkeeping: bool,
}

/// Behind the fence: nobody but us is in the database, and whoever was has reported. What was written is kept, or
/// refused to be dropped where nobody has `agreed` to that. Nothing, if nobody wrote.
pub(super) async fn keep(
    since: &Since,
    plan: &Swap,
    agreed: bool,
    site: &mut Site<'_>,
) -> Result<Option<Kept>, Failure> {
    survivors::expect_none(site.admin.session(), plan.failed).await?;
    let (info, options) = (site.live().await?, site.session("ledger"));
    let live = open_pinned(&info, &options).await?;
    let found = read(&live, since, site).await?;
    let ledger = found.ledger();
    if ledger.is_empty() {
        return Ok(None);
    }
    if !agreed {
        return Err(would_drop_writes(&ledger, site.run));
    }
    let ground = Ground {
        store: site.store.as_ref(),
        run: site.run,
        epoch: site.epoch,
        database: ledger::KeptDatabase {
            name: site.target.name.clone(),
            oid: plan.failed,
            kept_as: plan.failed_name.clone(),
        },
        live: &live,
        info,
        options: options.clone(),
    };
    let mut door = Door::new(site.admin, window::server(site), options, &since.guard, &site.target.name);
    let kept = match ledger::keep(&ground, &mut door, &found, &since.mark).await {
        // Nearly full, a store takes the small records and not these files. It is lost to this put-back all the same.
        Err(NotKept::Store(error)) if !site.spool.is_engaged() && site.admin.is_alive().await => {
            let text = site.spool.engage(error.into());
            site.events.emit(Event::Note { line: Some(site.line), text });
            let kept = ledger::keep(&ground, &mut door, &found, &since.mark).await;
            if kept.is_err() {
                site.spool.disengage();
            }
            kept
        }
        kept => kept,
    };
    door.shut(site.config.database.close_timeout).await?;
    live.close().await;
    Ok(Some(kept?))
}

/// Reads what others wrote. Changes nothing.
pub(super) async fn read(live: &Session, since: &Since, site: &Site<'_>) -> Result<Found, Failure> {
    let (server, options) = (window::server(site), site.session("ledger"));
    let mut door = Door::new(site.admin, server, options, &since.guard, &site.target.name);
    let found = ledger::read(live, &mut door, &since.mark, &bookkeeping(site.config)).await;
    door.shut(site.config.database.close_timeout).await?;
    let found = found?;
    Ok(if since.with_bookkeeping { found } else { found.without(&bookkeeping(site.config)) })
}

/// The tables in which migrations are noted: only releases write there.
pub fn bookkeeping(config: &Config) -> Vec<TableName> {
    let tables = |root: &MigrationRoot| {
        [root.version_table.as_str(), HISTORY_TABLE].map(|table| TableName::new(&*root.version_schema, table))
    };
    config.migrations.iter().flat_map(tables).collect()
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
