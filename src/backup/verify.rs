//! How far a backup is proven.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::BackupError;
use super::fingerprint::{self, Content, Difference, TableContent};
use super::manifest::{Chunk, Manifest, ManifestError, Object, Table, TableName};
use super::meter::Meter;
use super::name::{LARGE_OBJECTS, MANIFEST, POST_DATA, PRE_DATA, Place};
use super::restore::{self, drop_database, restore};
use super::unpack::unpack;
use super::{pinned, schema};
use crate::event::Progress;
use crate::pg::ConnInfo;
use crate::store::{Created, Store, StoreError};

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

/// Something that is not as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The manifest itself.
    Manifest {
        /// Why it is refused.
        reason: String,
    },
    /// An object is not there.
    Missing {
        /// Which.
        object: String,
    },
    /// An object has another size.
    Size {
        /// Which.
        object: String,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// An object's bytes have another SHA-256.
    Hash {
        /// Which.
        object: String,
    },
    /// An object cannot be decompressed, though its bytes are those that were written.
    Undecodable {
        /// Which.
        object: String,
        /// Why.
        reason: String,
    },
    /// An object decompresses to another number of bytes.
    RawSize {
        /// Which.
        object: String,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A chunk has another number of rows.
    Rows {
        /// Which.
        object: String,
        /// Its table.
        table: TableName,
        /// Rows by the manifest.
        expected: u64,
        /// Rows found.
        found: u64,
    },
    /// A chunk has other rows.
    Fingerprint {
        /// Which.
        object: String,
        /// Its table.
        table: TableName,
    },
    /// A chunk's last row is cut.
    CutRow {
        /// Which.
        object: String,
        /// Its table.
        table: TableName,
    },
    /// The restored database has other content.
    Content(Box<Difference>),
    /// The restored database has another schema.
    Schema {
        /// The lines that differ, `-` in the backup, `+` in the restored database.
        lines: Vec<String>,
    },
    /// The server refused to take the backup back.
    NotRestored {
        /// What could not be done, and why.
        reason: String,
    },
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mismatch::Manifest { reason } => write!(f, "the manifest is refused: {reason}"),
            Mismatch::Missing { object } => write!(f, "{object} is missing"),
            Mismatch::Size { object, expected, found } => {
                write!(f, "{object} has {found} bytes, not {expected}")
            }
            Mismatch::Hash { object } => write!(f, "{object} has other bytes than were written"),
            Mismatch::Undecodable { object, reason } => {
                write!(f, "{object} cannot be decompressed: {reason}")
            }
            Mismatch::RawSize { object, expected, found } => {
                write!(f, "{object} decompresses to {found} bytes, not {expected}")
            }
            Mismatch::Rows { object, table, expected, found } => {
                write!(f, "{object} of table {table} has {found} rows, not {expected}")
            }
            Mismatch::Fingerprint { object, table } => {
                write!(f, "{object} of table {table} has other rows than were written")
            }
            Mismatch::CutRow { object, table } => write!(f, "{object} of table {table} ends in mid-row"),
            Mismatch::Content(difference) => write!(f, "backup and restored database differ in {difference}"),
            Mismatch::Schema { lines } => {
                write!(f, "the restored schema differs: {}", lines.join("\n"))
            }
            Mismatch::NotRestored { reason } => write!(f, "it does not restore: could not {reason}"),
        }
    }
}

impl Mismatch {
    /// Holds a chunk's rows against the manifest.
    pub(super) fn of_chunk(table: &Table, chunk: &Chunk, found: Option<TableContent>) -> Option<Self> {
        let (object, name) = (chunk.object.clone(), table.table.clone());
        match found {
            None => Some(Mismatch::CutRow { object, table: name }),
            Some(found) if found.rows != chunk.rows => {
                Some(Mismatch::Rows { object, table: name, expected: chunk.rows, found: found.rows })
            }
            Some(found) if found.fingerprint != chunk.fingerprint => {
                Some(Mismatch::Fingerprint { object, table: name })
            }
            Some(_) => None,
        }
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
}

impl Proof {
    /// Whether the backup is proven to this level.
    pub fn holds(&self) -> bool {
        self.mismatches.is_empty()
    }
}

/// What stands beside a manifest for each proof: `verified-<level>-<time>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// The record's format: 1.
    pub format: u32,
    /// The level that was proven.
    pub level: Level,
    /// When.
    pub at: Timestamp,
    /// The checksum of the manifest that it was held against.
    pub manifest: String,
    /// Who did it: `backstay 0.1.0`.
    pub tool: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// How long the restore alone took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_millis: Option<u64>,
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
/// What is wrong with the backup is in the proof, all of it where one look can tell; a proof that holds is
/// kept by [`record`].
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
    };
    let manifest = match load_manifest(store, place).await {
        Ok(manifest) => manifest,
        Err(BackupError::Manifest { source, .. }) => {
            proof.mismatches.push(Mismatch::Manifest { reason: source.to_string() });
            return Ok(proof);
        }
        Err(other) => return Err(other),
    };
    proof.objects = manifest.objects.len();
    proof.bytes = manifest.stored_bytes();
    proof.mismatches = check_sizes(store, place, &manifest).await?;
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
        let rest = |object: &&Object| {
            !object.name.starts_with("data/")
                && ![PRE_DATA, POST_DATA, LARGE_OBJECTS].contains(&object.name.as_str())
        };
        let rest: Vec<&Object> = manifest.objects.iter().filter(rest).collect();
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

/// Records a proof that holds beside the manifest, create-only; each proof has a record of its own.
///
/// # Errors
/// If the store refuses, or the proof does not hold.
pub async fn record(store: &dyn Store, place: &Place, proof: &Proof) -> Result<Verified, BackupError> {
    if let Some(mismatch) = proof.mismatches.first() {
        return Err(BackupError::Mismatch(mismatch.clone()));
    }
    let manifest = load_manifest(store, place).await?;
    let record = Verified {
        format: 1,
        level: proof.level,
        at: proof.at,
        manifest: manifest.checksum,
        tool: format!("backstay {}", env!("CARGO_PKG_VERSION")),
        millis: proof.millis,
        restore_millis: proof.restore_millis,
    };
    let at = proof.at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y%m%dt%H%M%Sz").to_string();
    let name = place.object(&format!("verified-{}-{at}.json", proof.level));
    let bytes = serde_json::to_vec_pretty(&record)
        .map_err(|e| BackupError::Strange { what: "a proof".into(), reason: e.to_string() })?;
    match store.create(&name, bytes.into()).await.map_err(|e| BackupError::store(store, e))? {
        // Two proofs of one level in one second say the same.
        Created::New | Created::Exists => Ok(record),
    }
}

async fn check_sizes(
    store: &dyn Store,
    place: &Place,
    manifest: &Manifest,
) -> Result<Vec<Mismatch>, BackupError> {
    let prefix = place.prefix();
    let there: BTreeMap<String, u64> = store
        .list(&prefix)
        .await
        .map_err(|e| BackupError::store(store, e))?
        .into_iter()
        .filter_map(|entry| Some((entry.name.strip_prefix(&prefix)?.to_string(), entry.bytes)))
        .collect();
    let check = |object: &Object| match there.get(&object.name) {
        None => Some(Mismatch::Missing { object: object.name.clone() }),
        Some(bytes) if *bytes != object.stored_bytes => {
            Some(Mismatch::Size { object: object.name.clone(), expected: object.stored_bytes, found: *bytes })
        }
        Some(_) => None,
    };
    Ok(manifest.objects.iter().filter_map(check).collect())
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
    let chunks: BTreeMap<&str, (&Table, &Chunk)> = manifest
        .tables
        .iter()
        .flat_map(|table| table.chunks.iter().map(move |chunk| (chunk.object.as_str(), (table, chunk))))
        .collect();
    let read = async |object: &Object| {
        let chunk = chunks.get(object.name.as_str());
        match chunk {
            Some((table, _)) => meter.name(&table.table),
            None => meter.say(&object.name),
        }
        let content = match unpack(store, &place.object(&object.name), object, None).await {
            Err(BackupError::Mismatch(mismatch)) => return Ok(Some(mismatch)),
            content => content?,
        };
        meter.add(object.stored_bytes);
        Ok(chunk.and_then(|(table, chunk)| Mismatch::of_chunk(table, chunk, content)))
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
    let restored = match restore(store, manifest, &scratch.admin, &scratch.database, options, progress).await
    {
        Ok(restored) => restored,
        Err(BackupError::Mismatch(mismatch)) => return Ok((vec![mismatch], None)),
        Err(error @ BackupError::Sql { .. }) => {
            let failure = crate::failure::Failure::from(error);
            let reason = format!("{}{}", failure.what, failure.because());
            return Ok((vec![Mismatch::NotRestored { reason }], None));
        }
        Err(other) => return Err(other),
    };
    let compared = compare(store, place, manifest, scratch, options, progress).await;
    let admin = pinned::open(&scratch.admin, &options.session).await?;
    let dropped = drop_database(&admin, &scratch.database).await;
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

/// Holds a restored database against its manifest: the content of every table, and the schema against a fresh
/// dump of it. Gives what differs.
///
/// # Errors
/// If the database or the store can't be read.
pub async fn compare(
    store: &dyn Store,
    place: &Place,
    manifest: &Manifest,
    scratch: &Scratch,
    options: &restore::Options,
    progress: &Progress,
) -> Result<Vec<Mismatch>, BackupError> {
    let database = scratch.admin.with_database(&scratch.database);
    let reading =
        fingerprint::Options { session: options.session.clone(), jobs: options.jobs, largest_table: None };
    let content = fingerprint::database_as(&database, manifest, &reading, progress).await?;
    let mut mismatches: Vec<Mismatch> = Content::of_manifest(manifest)
        .differences(&content)
        .into_iter()
        .map(|difference| Mismatch::Content(Box::new(difference)))
        .collect();
    for (object, section) in [(PRE_DATA, "--section=pre-data"), (POST_DATA, "--section=post-data")] {
        let arguments = [section, "--no-subscriptions"].map(String::from);
        let there = schema::dump_text(&database, &options.session, &arguments).await?;
        let stored = read_text(store, place, manifest, object).await?;
        if let Some(lines) = schema::compare_restored(&schema::without_versions(&stored), &there) {
            mismatches.push(Mismatch::Schema { lines });
        }
    }
    Ok(mismatches)
}

/// A small compressed text of the backup, proven by then.
async fn read_text(
    store: &dyn Store,
    place: &Place,
    manifest: &Manifest,
    name: &str,
) -> Result<String, BackupError> {
    let missing = || BackupError::Mismatch(Mismatch::Missing { object: name.to_string() });
    let object = manifest.object(name).ok_or_else(missing)?;
    let (sender, mut pieces) = tokio::sync::mpsc::channel::<bytes::Bytes>(2);
    let collect = async {
        let mut text = Vec::new();
        while let Some(piece) = pieces.recv().await {
            text.extend_from_slice(&piece);
        }
        Ok(text)
    };
    let full_name = place.object(name);
    let (_, text) = tokio::try_join!(unpack(store, &full_name, object, Some(sender)), collect)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
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
