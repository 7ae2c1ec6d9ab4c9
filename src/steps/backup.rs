//! `step = "backup"`: a backup on the store, proven as far as the runbook asks.

use super::site::{BackupFacts, direct};
use super::{Report, Site, window};
use crate::backup::manifest::Codec;
use crate::backup::verify::{Proof, Scratch};
use crate::backup::{self, Level, Manifest, Place, proof, restore, verify, write};
use crate::config::{Compression, Config};
use crate::failure::Failure;
use crate::pg::{self, ConnInfo, SessionOptions};
use crate::time::{show_bytes, show_duration};
use crate::window::guard;
use crate::window::names::Role;
use crate::words::count;

pub(super) async fn perform(level: Level, site: &mut Site<'_>) -> Result<Report, Failure> {
    let source = direct(site.config).clone();
    let xid = oldest_xid(&source, site).await?;
    let (place, manifest) = write_backup(&source, site).await?;
    let proof = prove(&place, level, site).await?;
    let summary = format!(
        "{}: {}, {}, {} stored, {}",
        manifest.id,
        count(manifest.tables.len() as u64, "table", "tables"),
        count(manifest.rows(), "row", "rows"),
        show_bytes(manifest.stored_bytes()),
        proven(&proof)
    );
    Report::with(summary, &BackupFacts { backup: manifest.id.clone(), xid: Some(xid) })
}

/// The oldest transaction that may still be under way: whatever a snapshot of later has not is no older.
async fn oldest_xid(source: &ConnInfo, site: &Site<'_>) -> Result<i64, Failure> {
    let session = pg::connect(source, &site.session("backup")).await?;
    let query = "SELECT pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot())";
    let row = session.query_one(query, &[]).await;
    let xid = row.map_err(|error| pg::refused("note the transactions under way", &error))?.get(0);
    session.close().await;
    Ok(xid)
}

/// Writes a backup of `source`.
pub(super) async fn write_backup(
    source: &ConnInfo,
    site: &mut Site<'_>,
) -> Result<(Place, Manifest), Failure> {
    let place = Place::fresh(&site.config.environment);
    let options = write_options(site.config, site.session("backup"));
    let manifest = backup::write(source, &**site.store, &place, &options, &site.progress()).await?;
    Ok((place, manifest))
}

/// How backups of the environment are written.
pub(crate) fn write_options(config: &Config, session: SessionOptions) -> write::Options {
    let codec = match config.backup.compression {
        Compression::Gzip { level } => Codec::Gzip { level },
        Compression::Zstd { level } => Codec::Zstd { level },
    };
    write::Options { session, codec, jobs: config.backup.jobs, ..write::Options::default() }
}

/// How side databases of the environment are filled.
pub(crate) fn restore_options(config: &Config, session: SessionOptions) -> restore::Options {
    restore::Options { session, jobs: config.backup.jobs, ..restore::Options::default() }
}

/// Restores the backup as database `name`, holds it against the manifest, and keeps it.
pub(super) async fn restore_as(
    place: &Place,
    manifest: &Manifest,
    name: &str,
    site: &mut Site<'_>,
) -> Result<String, Failure> {
    let scratch = Scratch { admin: maintenance(site), database: name.to_string() };
    // An empty server has none of them.
    let create_roles = site.outline.is_one_way();
    let options = restore_options(site.config, site.session("restore"));
    let options = restore::Options { create_roles, ..options };
    let (store, progress) = (&**site.store, site.progress());
    let restored = backup::restore(store, manifest, &scratch.admin, name, &options, &progress).await?;
    let mismatches =
        verify::compare(store, place, manifest, &scratch, &restored.extent, &options, &progress).await?;
    if let Some(mismatch) = mismatches.into_iter().next() {
        return Err(backup::BackupError::Mismatch(mismatch).into());
    }
    Ok(format!("{} rows restored and compared in {}", restored.rows, show_duration(restored.took)))
}

/// Proves the backup to `level` and records the proof beside the manifest.
async fn prove(place: &Place, level: Level, site: &mut Site<'_>) -> Result<Proof, Failure> {
    let database = site.companion(Role::Side);
    guard::discard(site.admin, &database).await?;
    window::discard_earlier(Role::Side, site).await?;
    let scratch = Scratch { admin: maintenance(site), database };
    let (options, progress) = (restore_options(site.config, site.session("restore")), site.progress());
    let store = &**site.store;
    let proof = verify::verify(store, place, level, Some(&scratch), &options, &progress).await?;
    let recorded = proof::record(store, place, &proof).await;
    proof::expect_holds(&proof)?;
    recorded?;
    Ok(proof)
}

/// The window opens on no backup that is not proven as far as its line asks. Whoever took this run up may
/// look at another store, and what the line proved may be gone or damaged since.
pub(super) async fn expect_proven(site: &Site<'_>) -> Result<(), Failure> {
    let lacking = |failure: Failure| {
        failure
            .leaving("the flag is down and nothing of production was changed")
            .then("run the release again: it takes another backup and proves it")
    };
    for (level, facts) in &site.recall.proven {
        let facts = facts.as_ref().ok_or_else(|| {
            lacking(Failure::refused("find the backup before the window").because_of("its line left no id"))
        })?;
        let place = Place { environment: site.config.environment.clone(), id: facts.backup.clone() };
        let proven = proof::expect_proven(&**site.store, &place, *level).await;
        proven.map_err(|error| lacking(error.into()))?;
    }
    Ok(())
}

fn maintenance(site: &Site<'_>) -> ConnInfo {
    window::server(site).with_database(&site.config.database.maintenance_database)
}

fn proven(proof: &Proof) -> String {
    match (proof.level, proof.restore_millis) {
        (Level::Manifest, _) => "every object there".into(),
        (Level::Read, _) => "read back to the last byte".into(),
        (Level::Restore, took) => {
            let took = std::time::Duration::from_millis(took.unwrap_or_default());
            format!("restored in {} and compared", show_duration(took))
        }
    }
}
