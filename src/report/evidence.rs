//! What a run left on the store, gathered for a report. Reads only.

use jiff::Timestamp;

use crate::backup::verify::load_manifest;
use crate::backup::{BackupError, Place, proof};
use crate::engine::standing;
use crate::journal::lease::{self, Lease};
use crate::journal::{self, Entry, JournalError, Record, Salvage};
use crate::steps::schema::{self, Moment};
use crate::store::{Store, StoreError};

/// Longer texts are not read whole into a page: a log is cut at 16 MB where it is written.
const LONGEST: u64 = 32 << 20;

/// What is known of a run. Nothing in it is masked or escaped yet.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The run's id.
    pub run: String,
    /// The records of its journal that can be read.
    pub records: Vec<Record>,
    /// What could not be read, a sentence each.
    pub damage: Vec<String>,
    /// Its driver's last sign of life, if the run has not ended.
    pub lease: Option<Lease>,
    /// Its driver is known to be no more.
    pub driver_gone: bool,
    /// What was said, and what commands printed.
    pub log: Option<String>,
    /// The SQL that was shown and approved.
    pub preview: Option<String>,
    /// The schema before the release.
    pub schema_before: Option<String>,
    /// The schema after it.
    pub schema_after: Option<String>,
    /// The backups that the run made.
    pub backups: Vec<BackupSeen>,
    /// When all this was looked at.
    pub at: Timestamp,
}

/// A backup that a run made, as the store has it now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BackupSeen {
    /// Its id.
    pub id: String,
    /// Why nothing below is known: it was pruned, or its manifest is refused.
    pub missing: Option<String>,
    /// Its tables.
    pub tables: u64,
    /// Their rows.
    pub rows: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes on the store.
    pub stored_bytes: u64,
    /// The level to which it is proven, and when.
    pub proven: Option<(proof::Trial, Option<u64>)>,
    /// How long its restore took, in milliseconds, if it was restored to prove it.
    pub restore_millis: Option<u64>,
    /// When it failed a proof that no later one refutes.
    pub damaged_at: Option<Timestamp>,
}

/// Reads what `run` left.
///
/// # Errors
/// [`JournalError::NoRun`]; the store's, if not even the journal can be listed. What else can't be read is told in
/// [`Evidence::damage`].
pub async fn gather(store: &dyn Store, run: &str, at: Timestamp) -> Result<Evidence, JournalError> {
    let Salvage { records, damage } = journal::salvage(store, run).await?;
    let mut evidence = Evidence { run: run.to_string(), damage, at, ..Evidence::default() };
    if !records.iter().any(|record| matches!(record.entry, Entry::Ended { .. })) {
        evidence.lease = lease::read(store, run).await.unwrap_or_default();
    }
    evidence.driver_gone = journal::last_driver(&records).is_some_and(|driver| driver.is_gone());
    evidence.log = evidence.text(store, "run.log").await;
    evidence.preview = evidence.text(store, "preview.sql").await;
    for (moment, kept) in [(Moment::Before, 0), (Moment::After, 1)] {
        let text = schema::read(store, run, moment).await.unwrap_or_else(|why| {
            evidence.damage.push(why);
            None
        });
        *[&mut evidence.schema_before, &mut evidence.schema_after][kept] = text;
    }
    if let Some(environment) = standing::environment_of(&records) {
        for id in backups_of(&records) {
            let place = Place { environment: environment.to_string(), id };
            evidence.backups.push(look(store, &place).await);
        }
    }
    evidence.records = records;
    Ok(evidence)
}

impl Evidence {
    /// An object of the run as text; what is not there is nothing, what can't be read is damage.
    async fn text(&mut self, store: &dyn Store, name: &str) -> Option<String> {
        match read(store, &format!("runs/{}/{name}", self.run)).await {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(StoreError::Missing { .. }) => None,
            Err(error) => {
                self.damage.push(format!("{name} can't be read: {}", crate::failure::Failure::from(error)));
                None
            }
        }
    }
}

async fn read(store: &dyn Store, name: &str) -> Result<Vec<u8>, StoreError> {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    let reader = store.reader(name).await?;
    let read = reader.take(LONGEST).read_to_end(&mut bytes).await;
    read.map_err(|source| StoreError::io("read", name, source))?;
    Ok(bytes)
}

/// The backups that lines of the run made, each once, in order.
fn backups_of(records: &[Record]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for record in records {
        let Entry::Finished { facts, .. } = &record.entry else { continue };
        let own = facts["backup"].as_str().or(facts["guard"]["backup"].as_str());
        if let Some(id) = own.filter(|id| !ids.iter().any(|known| known == id)) {
            ids.push(id.to_string());
        }
    }
    ids
}

async fn look(store: &dyn Store, place: &Place) -> BackupSeen {
    let unknown = BackupSeen {
        id: place.id.clone(),
        missing: None,
        tables: 0,
        rows: 0,
        raw_bytes: 0,
        stored_bytes: 0,
        proven: None,
        restore_millis: None,
        damaged_at: None,
    };
    match load_manifest(store, place).await {
        Err(BackupError::NotFound { .. }) => {
            BackupSeen { missing: Some("it is not on the store any more".into()), ..unknown }
        }
        Err(error) => {
            let why = crate::failure::Failure::from(error).to_string();
            BackupSeen { missing: Some(why), ..unknown }
        }
        Ok(manifest) => {
            let seen = BackupSeen {
                tables: manifest.tables.len() as u64,
                rows: manifest.rows(),
                raw_bytes: manifest.raw_bytes(),
                stored_bytes: manifest.stored_bytes(),
                ..unknown
            };
            proofs(store, place, seen).await
        }
    }
}

async fn proofs(store: &dyn Store, place: &Place, seen: BackupSeen) -> BackupSeen {
    let trials = proof::trials(store, place).await.unwrap_or_default();
    let damaged_at = proof::damage(&trials).map(|trial| trial.at);
    let Some(best) = proof::best(&trials) else { return BackupSeen { damaged_at, ..seen } };
    let record = proof::read(store, place, best).await.ok().flatten();
    BackupSeen {
        damaged_at,
        proven: Some((best, record.as_ref().map(|record| record.millis))),
        restore_millis: record.and_then(|record| record.restore_millis),
        ..seen
    }
}
