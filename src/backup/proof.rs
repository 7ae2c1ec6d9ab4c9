//! The records of proofs: one object beside the manifest for each time that a backup was put to the proof.
//!
//! `verified-<level>-<time>.json` says that it held, `failed-<level>-<time>.json` that it did not. Names alone
//! tell a listing how a backup stands; whoever stakes production on one reads the record, and holds it
//! against the manifest ([`expect_proven`]).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::error::BackupError;
use super::name::Place;
use super::verify::{Level, Mismatch, Proof, check_sizes, listing, load_manifest};
use crate::redact::redact;
use crate::store::{Created, Store, StoreError};

/// How many of a failed proof's findings its record keeps.
const KEPT: usize = 20;

/// What the name of a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Whether the proof held.
    pub held: bool,
    /// To which level it was tried.
    pub level: Level,
    /// When.
    pub at: Timestamp,
}

/// What stands in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofRecord {
    /// The record's format: 1.
    pub format: u32,
    /// The level to which it was tried.
    pub level: Level,
    /// When.
    pub at: Timestamp,
    /// The checksum of the manifest that it was held against; none if the manifest itself is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Who did it: `backstay 0.1.0`.
    pub tool: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// How long the restore alone took, in milliseconds: the honest recovery time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_millis: Option<u64>,
    /// What was not as the manifest says, the first of it; empty if the proof held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<String>,
}

impl Trial {
    /// The trial that an object of a backup is the record of, if it is one.
    pub(super) fn of_object(name: &str) -> Option<Self> {
        let rest = name.strip_suffix(".json")?;
        let (held, rest) = match rest.strip_prefix("verified-") {
            Some(rest) => (true, rest),
            None => (false, rest.strip_prefix("failed-")?),
        };
        let (level, at) = rest.split_once('-')?;
        let at = jiff::civil::DateTime::strptime("%Y%m%dt%H%M%S%.fz", at).ok()?;
        Some(Self { held, level: level.parse().ok()?, at: at.to_zoned(TimeZone::UTC).ok()?.timestamp() })
    }

    /// The name of its record within the backup.
    fn object(self) -> String {
        let at = self.at.to_zoned(TimeZone::UTC).strftime("%Y%m%dt%H%M%S%.fz").to_string();
        format!("{}-{}-{at}.json", if self.held { "verified" } else { "failed" }, self.level)
    }
}

/// The best proof that held: of the highest level, the newest.
pub fn best(trials: &[Trial]) -> Option<Trial> {
    trials.iter().filter(|trial| trial.held).max_by_key(|trial| (trial.level, trial.at)).copied()
}

/// The newest proof that failed, unless one of the same level or a higher one held after it: the backup is
/// damaged, as far as anybody knows.
pub fn damage(trials: &[Trial]) -> Option<Trial> {
    let refuted = |failed: &Trial| {
        trials.iter().any(|later| later.held && later.level >= failed.level && later.at > failed.at)
    };
    trials.iter().filter(|trial| !trial.held && !refuted(trial)).max_by_key(|trial| trial.at).copied()
}

/// Records a proof beside the manifest, create-only: one that held, or one that failed.
///
/// # Errors
/// If the store refuses. Nothing is recorded then.
pub async fn record(store: &dyn Store, place: &Place, proof: &Proof) -> Result<ProofRecord, BackupError> {
    let record = ProofRecord {
        format: 1,
        level: proof.level,
        at: proof.at,
        manifest: proof.manifest.clone(),
        tool: format!("backstay {}", env!("CARGO_PKG_VERSION")),
        millis: proof.millis,
        restore_millis: proof.restore_millis,
        // What a server said of a row can hold anything.
        mismatches: proof
            .mismatches
            .iter()
            .take(KEPT)
            .map(|mismatch| redact(&mismatch.to_string()).into_owned())
            .collect(),
    };
    let trial = Trial { held: proof.holds(), level: proof.level, at: proof.at };
    let bytes = serde_json::to_vec_pretty(&record)
        .map_err(|e| BackupError::Strange { what: "a proof".into(), reason: e.to_string() })?;
    match store.create(&place.object(&trial.object()), bytes.into()).await {
        // Two proofs of one level with one end in one millisecond say the same.
        Ok(Created::New | Created::Exists) => Ok(record),
        Err(error) => Err(BackupError::store(store, error)),
    }
}

/// The proofs that the backup was put to, oldest first.
///
/// # Errors
/// If the store refuses.
pub async fn trials(store: &dyn Store, place: &Place) -> Result<Vec<Trial>, BackupError> {
    Ok(trials_among(listing(store, place).await?.keys()))
}

fn trials_among<'a>(names: impl Iterator<Item = &'a String>) -> Vec<Trial> {
    let mut trials: Vec<Trial> = names.filter_map(|name| Trial::of_object(name)).collect();
    trials.sort_by_key(|trial| trial.at);
    trials
}

/// The record of a trial; `None` if it is gone, cannot be understood, or is not what its name says.
///
/// # Errors
/// If the store refuses.
pub async fn read(
    store: &dyn Store,
    place: &Place,
    trial: Trial,
) -> Result<Option<ProofRecord>, BackupError> {
    let bytes = match store.read(&place.object(&trial.object())).await {
        Ok(bytes) => bytes,
        Err(StoreError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(BackupError::store(store, error)),
    };
    let record = serde_json::from_slice::<ProofRecord>(&bytes).ok();
    Ok(record.filter(|record| record.format == 1 && record.says(trial)))
}

impl ProofRecord {
    fn says(&self, trial: Trial) -> bool {
        let same_second = self.at.as_second() == trial.at.as_second();
        self.level == trial.level && self.mismatches.is_empty() == trial.held && same_second
    }
}

/// Looks whether the backup is there, each object of its size, proven to `level` by a record that is about
/// this very manifest, and not found damaged since. Reads no more than the manifest and that record.
///
/// # Errors
/// [`BackupError::NotProven`], [`BackupError::Mismatch`], or what [`load_manifest`] says; else the store's.
pub async fn expect_proven(
    store: &dyn Store,
    place: &Place,
    level: Level,
) -> Result<ProofRecord, BackupError> {
    let manifest = load_manifest(store, place).await?;
    let there = listing(store, place).await?;
    if let Some(mismatch) = check_sizes(&manifest, &there).into_iter().next() {
        return Err(BackupError::Mismatch(mismatch));
    }
    let trials = trials_among(there.keys());
    let refuse = |reason: String| Err(BackupError::NotProven { backup: place.id.clone(), level, reason });
    if let Some(failed) = damage(&trials) {
        return refuse(format!("it failed its proof to level {} at {}", failed.level, failed.at));
    }
    let mut found = None;
    for trial in trials.iter().filter(|trial| trial.held && trial.level >= level) {
        let record = read(store, place, *trial).await?;
        found = record.filter(|record| record.manifest.as_ref() == Some(&manifest.checksum)).or(found);
    }
    match found {
        Some(record) => Ok(record),
        None => refuse("no record of such a proof stands beside its manifest".to_string()),
    }
}

/// Whether a proof held.
///
/// # Errors
/// [`BackupError::Mismatch`] with the first of what it found.
pub fn expect_holds(proof: &Proof) -> Result<(), BackupError> {
    let first: Option<&Mismatch> = proof.mismatches.first();
    first.map_or(Ok(()), |mismatch| Err(BackupError::Mismatch(mismatch.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(held: bool, level: Level, second: i64) -> Trial {
        Trial { held, level, at: Timestamp::from_millisecond(second * 1000 + 7).unwrap() }
    }

    #[test]
    fn a_name_tells_the_trial() {
        for held in [true, false] {
            let trial = trial(held, Level::Restore, 1_763_680_000);
            assert_eq!(Trial::of_object(&trial.object()), Some(trial));
        }
        assert_eq!(
            trial(false, Level::Read, 1_763_680_000).object(),
            "failed-read-20251120t230640.007z.json"
        );
        let whole = Trial::of_object("verified-read-20260101t000100z.json").unwrap();
        assert_eq!(whole.at.to_string(), "2026-01-01T00:01:00Z");
        assert_eq!(whole.object(), "verified-read-20260101t000100z.json");
        for name in ["manifest.json", "verified-read.json", "verified-hard-20260101t000100z.json", "failed-"]
        {
            assert_eq!(Trial::of_object(name), None, "{name}");
        }
    }

    #[test]
    fn only_a_later_proof_of_that_level_refutes_a_failure() {
        let failed = trial(false, Level::Read, 20);
        let damaged = |others: &[Trial]| damage(&[&[failed], others].concat()) == Some(failed);
        assert!(damaged(&[]));
        assert!(damaged(&[trial(true, Level::Restore, 10)]), "an earlier one");
        assert!(damaged(&[trial(true, Level::Read, 20)]), "one of the same moment");
        assert!(damaged(&[trial(true, Level::Manifest, 30)]), "a lesser one");
        assert!(!damaged(&[trial(true, Level::Read, 30)]));
        assert!(!damaged(&[trial(true, Level::Restore, 30)]));
        let later = trial(false, Level::Manifest, 40);
        assert_eq!(damage(&[failed, trial(true, Level::Read, 30), later]), Some(later));
    }

    #[test]
    fn the_best_proof_is_the_highest_then_the_newest() {
        let trials = [
            trial(true, Level::Restore, 10),
            trial(true, Level::Restore, 20),
            trial(false, Level::Restore, 30),
            trial(true, Level::Read, 40),
        ];
        assert_eq!(best(&trials), Some(trials[1]));
        assert_eq!(best(&trials[2..3]), None);
    }
}
