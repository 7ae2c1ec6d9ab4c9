//! How far a backup is proven.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::compare::compare;
pub use super::mismatch::Mismatch;

use super::error::BackupError;
use super::manifest::{Manifest, ManifestError, Object};
use super::meter::Meter;
use super::name::{MANIFEST, Place};
use super::pinned;
use super::restore::{self, drop_side, reads, restore};
use super::unpack::unpack;
use crate::event::Progress;
use crate::pg::ConnInfo;
use crate::store::{Entry, Store, StoreError};

/// How far a backup is proven, or is to be; each level includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The manifest is whole, and every object is there with its size.
    Manifest,
    /// Every object was read to its last byte: hashes, rows and fingerprints hold.
    Read,
    /// It was restored to a side database, which was compared table by table and dropped.
    Restore,
}

impl Level {
    /// As it stands in commands and object names.
    pub fn name(self) -> &'static str {
        match self {
            Level::Manifest => "manifest",
            Level::Read => "read",
            Level::Restore => "restore",
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Level::Manifest, Level::Read, Level::Restore];
        let wrong = || format!("{text:?} is no level; the levels are manifest, read, restore");
        all.into_iter().find(|level| level.name() == text).ok_or_else(wrong)
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// To which level it was tried.
    pub level: Level,
    /// When.
    pub at: Timestamp,
    /// What is not as the manifest says; empty if the level is proven.
    pub mismatches: Vec<Mismatch>,
    /// Objects looked at.
    pub objects: usize,
    /// Rows held against their fingerprints.
    pub rows: u64,
    /// Bytes as stored.
    pub bytes: u64,
    /// How long the verification took, in milliseconds.
    pub millis: u64,
    /// How long the restore alone took, in milliseconds: the honest recovery time.
    pub restore_millis: Option<u64>,
    /// The checksum of the manifest that it was held against; none if the manifest itself is refused.
    pub manifest: Option<String>,
}

impl Proof {
    /// Whether the backup is proven to this level.
    pub fn holds(&self) -> bool {
        self.mismatches.is_empty()
    }
}

/// Where a backup may be restored for a proof.
#[derive(Debug, Clone)]
pub struct Scratch {
    /// Any database of the server; the role must be allowed to create databases.
    pub admin: ConnInfo,
    /// The side database: created, compared, dropped.
    pub database: String,
}

/// Reads a backup's manifest.
///
/// # Errors
/// If there is none (then there is no backup), or it is refused.
pub async fn load_manifest(store: &dyn Store, place: &Place) -> Result<Manifest, BackupError> {
    let object = place.object(MANIFEST);
    let bytes = match store.read(&object).await {
        Ok(bytes) => bytes,
        Err(StoreError::Missing { .. }) => {
            return Err(BackupError::NotFound {
                wanted: place.id.clone(),
                environment: place.environment.clone(),
                reason: "it has no manifest, so it is no backup".to_string(),
            });
        }
        Err(error) => return Err(BackupError::store(store, error)),
    };
    let manifest = Manifest::parse(&bytes)
        .and_then(|manifest| {
            // One of another backup, put in this one's place.
            let own = manifest.id == place.id && manifest.environment == place.environment;
            if own { Ok(manifest) } else { Err(ManifestError::Elsewhere(manifest.id)) }
        })
        .map_err(|source| BackupError::Manifest { object, source })?;
    Ok(manifest)
}

/// Proves a backup to `level`; [`Level::Restore`] needs a `scratch`.
///
/// What is wrong with the backup is in the proof, all of it where one look can tell; it is kept by
/// [`super::proof::record`], whether it holds or not.
///
/// # Errors
/// If the proof could not be tried: the store or the server cannot be reached. A backup that is there and
/// wrong is no error.
pub async fn verify(
    store: &dyn Store,
    place: &Place,
    level: Level,
    scratch: Option<&Scratch>,
    options: &restore::Options,
    progress: &Progress,
) -> Result<Proof, BackupError> {
    let began = Instant::now();
    let mut proof = Proof {
        level,
        at: crate::time::now(),
        mismatches: Vec::new(),
        objects: 0,
        rows: 0,
        bytes: 0,
        millis: 0,
        restore_millis: None,
        manifest: None,
    };
    let manifest = match load_manifest(store, place).await {
        Ok(manifest) => manifest,
        Err(BackupError::Manifest { source, .. }) => {
            proof.mismatches.push(Mismatch::Manifest { reason: source.to_string() });
            return Ok(proof);
        }
        Err(other) => return Err(other),
    };
    proof.manifest = Some(manifest.checksum.clone());
    proof.objects = manifest.objects.len();
    proof.bytes = manifest.stored_bytes();
    proof.mismatches = check_sizes(&manifest, &listing(store, place).await?);
    if proof.holds() && level == Level::Read {
        let all: Vec<&Object> = manifest.objects.iter().collect();
        proof.mismatches = read_objects(store, place, &manifest, all, options.jobs, progress).await?;
        proof.rows = manifest.rows();
    }
    if proof.holds() && level == Level::Restore {
        let scratch = scratch.ok_or_else(|| BackupError::Strange {
            what: "where to restore for a proof".into(),
            reason: "no server was named".into(),
        })?;
        // The restore reads all the others to their last byte.
        let rest: Vec<&Object> = manifest.objects.iter().filter(|object| !reads(object)).collect();
        proof.mismatches = read_objects(store, place, &manifest, rest, 1, &Progress::none()).await?;
        let (mismatches, took) =
            restore_and_compare(store, place, &manifest, scratch, options, progress).await?;
        proof.mismatches.extend(mismatches);
        proof.rows = manifest.rows();
        proof.restore_millis = took;
    }
    proof.millis = crate::event::millis(began.elapsed());
    Ok(proof)
}

/// The objects at a place, by their names within the backup, and their sizes in bytes.
pub(super) async fn listing(store: &dyn Store, place: &Place) -> Result<BTreeMap<String, u64>, BackupError> {
    let prefix = place.prefix();
    let entries = store.list(&prefix).await.map_err(|e| BackupError::store(store, e))?;
    let within = |entry: Entry| Some((entry.name.strip_prefix(&prefix)?.to_string(), entry.bytes));
    Ok(entries.into_iter().filter_map(within).collect())
}

/// The manifest's objects that are not among those that are there, or of another size.
pub(super) fn check_sizes(manifest: &Manifest, there: &BTreeMap<String, u64>) -> Vec<Mismatch> {
    let check = |object: &Object| match there.get(&object.name) {
        None => Some(Mismatch::Missing { object: object.name.clone() }),
        Some(bytes) if *bytes != object.stored_bytes => {
            Some(Mismatch::Size { object: object.name.clone(), expected: object.stored_bytes, found: *bytes })
        }
        Some(_) => None,
    };
    manifest.objects.iter().filter_map(check).collect()
}

/// Reads the objects to their last byte.
async fn read_objects(
    store: &dyn Store,
    place: &Place,
    manifest: &Manifest,
    objects: Vec<&Object>,
    jobs: usize,
    progress: &Progress,
) -> Result<Vec<Mismatch>, BackupError> {
    let meter = Meter::new(progress, objects.iter().map(|object| object.stored_bytes).sum());
    let chunks = manifest.chunks_by_object();
    let read = async |object: &Object| -> Result<Option<Mismatch>, BackupError> {
        let chunks = chunks.get(object.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        match chunks {
            [(table, _)] => meter.name(&table.table),
            _ => meter.say(&object.name),
        }
        match unpack(store, &place.object(&object.name), object, chunks, None).await {
            Err(BackupError::Mismatch(mismatch)) => return Ok(Some(mismatch)),
            read => read?,
        }
        meter.add(object.stored_bytes);
        Ok(None)
    };
    let found: Vec<Option<Mismatch>> =
        stream::iter(objects).map(read).buffered(jobs.max(1)).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Restores to the scratch database, compares, drops it; gives the mismatches and the restore's milliseconds.
async fn restore_and_compare(
    store: &dyn Store,
    place: &Place,
    manifest: &Manifest,
    scratch: &Scratch,
    options: &restore::Options,
    progress: &Progress,
) -> Result<(Vec<Mismatch>, Option<u64>), BackupError> {
    // Half of a backup proves half of it.
    let options = &restore::Options { rows: restore::Rows::All, ..options.clone() };
    let restored = match restore(store, manifest, &scratch.admin, &scratch.database, options, progress).await
    {
        Ok(restored) => restored,
        Err(BackupError::Mismatch(mismatch)) => return Ok((vec![mismatch], None)),
        Err(error @ BackupError::Sql { .. }) if !error.blames_the_server() => {
            let failure = crate::failure::Failure::from(error);
            let reason = format!("{}{}", failure.what, failure.because());
            return Ok((vec![Mismatch::NotRestored { reason }], None));
        }
        Err(other) => return Err(other),
    };
    let compared = compare(store, place, manifest, scratch, &restored.extent, options, progress).await;
    let admin = pinned::open(&scratch.admin, &options.session).await?;
    let dropped = drop_side(&admin, &scratch.admin, &scratch.database, options).await;
    // What the comparison says comes first; a database that stays is named either way.
    let mismatches = match (compared, dropped) {
        (Ok(mismatches), Ok(())) => mismatches,
        (Err(first), Ok(())) => return Err(first),
        (Ok(_), Err(drop)) => return Err(drop),
        (Err(first), Err(drop)) => {
            return Err(BackupError::LeftBehind {
                first: Box::new(first),
                database: scratch.database.clone(),
                drop: drop.to_string(),
            });
        }
    };
    Ok((mismatches, Some(crate::event::millis(restored.took))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_include_the_ones_before() {
        assert!(Level::Restore > Level::Read && Level::Read > Level::Manifest);
        assert_eq!("read".parse(), Ok(Level::Read));
        assert!("Read".parse::<Level>().is_err());
    }
}
