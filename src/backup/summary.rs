//! What a list of backups shows beyond their names: read from their manifests, and from the records of their
//! restores.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::error::BackupError;
use super::list::{BackupEntry, list};
use super::name::Place;
use super::proof::{self, Trial};
use super::verify::{Level, load_manifest};
use crate::store::Store;
use crate::time::between;

/// Manifests that are read at once: a few, because that of a schema of thousands of tables has megabytes.
const AT_ONCE: usize = 4;

/// One backup in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What the names tell.
    #[serde(flatten)]
    pub entry: BackupEntry,
    /// Why its manifest is refused, if it is: then nothing below is known, and it is no use.
    pub refused: Option<String>,
    /// The database that it is of.
    pub database: Option<String>,
    /// Its tables.
    pub tables: Option<u64>,
    /// Their rows.
    pub rows: Option<u64>,
    /// How long its last proven restore took, in milliseconds: the honest recovery time.
    pub restore_millis: Option<u64>,
}

impl Summary {
    /// Whether it is not to be relied on.
    pub fn is_damaged(&self) -> bool {
        self.refused.is_some() || self.entry.damaged_at.is_some()
    }
}

/// Reads what is to be known of these backups, in their order.
///
/// # Errors
/// If the store refuses. A manifest that is refused is no error.
pub async fn summarize(
    store: &dyn Store,
    environment: &str,
    entries: &[BackupEntry],
) -> Result<Vec<Summary>, BackupError> {
    let read = entries.iter().map(|entry| one(store, environment, entry));
    stream::iter(read).buffered(AT_ONCE).try_filter_map(async |found| Ok(found)).try_collect().await
}

/// One backup; `None` if it was removed meanwhile.
async fn one(
    store: &dyn Store,
    environment: &str,
    entry: &BackupEntry,
) -> Result<Option<Summary>, BackupError> {
    let place = Place { environment: environment.to_string(), id: entry.id.clone() };
    let unknown = Summary {
        entry: entry.clone(),
        refused: None,
        database: None,
        tables: None,
        rows: None,
        restore_millis: None,
    };
    match load_manifest(store, &place).await {
        Ok(manifest) => Ok(Some(Summary {
            database: Some(manifest.database.name.clone()),
            tables: Some(manifest.tables.len() as u64),
            rows: Some(manifest.rows()),
            restore_millis: recovery(store, &place, entry).await?,
            ..unknown
        })),
        Err(BackupError::NotFound { .. }) => Ok(None),
        Err(BackupError::Manifest { source, .. }) => {
            Ok(Some(Summary { refused: Some(source.to_string()), ..unknown }))
        }
        Err(error) => Err(error),
    }
}

/// How long the last proven restore took.
async fn recovery(store: &dyn Store, place: &Place, entry: &BackupEntry) -> Result<Option<u64>, BackupError> {
    let (Some(Level::Restore), Some(at)) = (entry.verified, entry.verified_at) else { return Ok(None) };
    let record = proof::read(store, place, Trial { held: true, level: Level::Restore, at }).await?;
    Ok(record.and_then(|record| record.restore_millis))
}

/// The newest backup of `database` that is younger than `than` and failed no proof.
///
/// One that the clock puts into the future is not young: it would count for ever.
///
/// # Errors
/// If the store refuses.
pub async fn newest_within(
    store: &dyn Store,
    environment: &str,
    database: &str,
    than: Duration,
    now: Timestamp,
) -> Result<Option<BackupEntry>, BackupError> {
    let mut entries = list(store, environment).await?.backups;
    entries.retain(|entry| entry.damaged_at.is_none());
    entries.retain(|entry| entry.at.is_some_and(|at| at <= now && between(at, now) < than));
    for entry in entries.into_iter().rev() {
        let summary = one(store, environment, &entry).await?;
        if summary.is_some_and(|summary| summary.database.as_deref() == Some(database)) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}
