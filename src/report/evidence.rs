//! What a run left on the store, gathered for a report. Reads only.

use jiff::Timestamp;

use crate::backup::verify::load_manifest;
use crate::backup::{BackupError, Place, proof};
use crate::engine::standing;
use crate::failure::Failure;
use crate::journal::lease::{self, Lease};
use crate::journal::{self, Entry, JournalError, Record, Salvage};
use crate::steps::schema::{self, Moment};
use crate::store::{Store, StoreError};

/// Longer texts are not read whole into a page: a log is cut at 16 MB where it is written.
const LONGEST: u64 = 32 << 20;

/// Something that a run may have left on the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Kept<T> {
    /// It is not there.
    #[default]
    Nothing,
    /// Whether it is there, or what it says, can't be read; [`Evidence::damage`] says why.
    Unreadable,
    /// It is there.
    There(T),
}

/// What is known of a run. Nothing in it is masked or escaped yet.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The run's id.
    pub run: String,
    /// The environment that was asked; the run's own is in its first record.
    pub environment: String,
    /// The records of its journal that can be read.
    pub records: Vec<Record>,
    /// It is so damaged that nobody can resume the run by it.
    pub refused: bool,
    /// What could not be read, a sentence each.
    pub damage: Vec<String>,
    /// Its driver's last sign of life, if the run has not ended.
    pub lease: Kept<Lease>,
    /// Its driver is known to be no more.
    pub driver_gone: bool,
    /// What was said, and what commands printed.
    pub log: Option<String>,
    /// The SQL that was shown and approved.
    pub preview: Option<String>,
    /// The schema before the release.
    pub schema_before: Kept<String>,
    /// The schema after it.
    pub schema_after: Kept<String>,
    /// The backups that the run made.
    pub backups: Vec<BackupSeen>,
    /// When all this was looked at.
    pub at: Timestamp,
}

/// A backup that a run made, as the store has it now.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
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
    /// Why not all of its proofs are known.
    pub unread: Option<String>,
    /// The level to which it is proven, and when.
    pub proven: Option<(proof::Trial, Option<u64>)>,
    /// How long its restore took, in milliseconds, if it was restored to prove it.
    pub restore_millis: Option<u64>,
    /// When it failed a proof that no later one refutes.
    pub damaged_at: Option<Timestamp>,
}

/// Reads what `run` left. `environment` is the one that was asked: it stands in where the record that tells the run's own
/// is lost.
///
/// # Errors
/// [`JournalError::NoRun`]; the store's, if not even the journal can be listed. What else can't be read is told in
/// [`Evidence::damage`].
pub async fn gather(
    store: &dyn Store,
    run: &str,
    environment: &str,
    at: Timestamp,
) -> Result<Evidence, JournalError> {
    let Salvage { records, damage, refused } = journal::salvage(store, run).await?;
    let (run, environment) = (run.to_string(), environment.to_string());
    let mut evidence = Evidence { run, environment, refused, damage, at, ..Evidence::default() };
    if !records.iter().any(|record| matches!(record.entry, Entry::Ended { .. })) {
        evidence.lease = evidence.lease(store).await;
    }
    evidence.driver_gone = journal::last_driver(&records).is_some_and(|driver| driver.is_gone());
    evidence.log = evidence.text(store, "run.log").await;
    evidence.preview = evidence.text(store, "preview.sql").await;
    evidence.schema_before = evidence.schema(store, Moment::Before).await;
    evidence.schema_after = evidence.schema(store, Moment::After).await;
    let own = standing::environment_of(&records);
    for id in backups_of(&records) {
        let environment = own.unwrap_or(&evidence.environment).to_string();
        let mut seen = look(store, &Place { environment, id }).await;
        if let (None, Some(missing)) = (own, &mut seen.missing) {
            missing.push_str("; in which environment it was made is not known");
        }
        let unread =
            seen.unread.iter().map(|why| format!("proofs of backup {} can't be read: {why}", seen.id));
        evidence.damage.extend(unread);
        evidence.backups.push(seen);
    }
    evidence.records = records;
    Ok(evidence)
}

impl Evidence {
    async fn lease(&mut self, store: &dyn Store) -> Kept<Lease> {
        let read = lease::read(store, &self.run).await;
        self.kept(read.map_err(|error| format!("lease.json can't be read: {}", Failure::from(error))))
    }

    async fn schema(&mut self, store: &dyn Store, moment: Moment) -> Kept<String> {
        let read = schema::read(store, &self.run, moment).await;
        self.kept(read)
    }

    fn kept<T>(&mut self, read: Result<Option<T>, String>) -> Kept<T> {
        match read {
            Ok(Some(there)) => Kept::There(there),
            Ok(None) => Kept::Nothing,
            Err(why) => {
                self.damage.push(why);
                Kept::Unreadable
            }
        }
    }

    /// An object of the run as text; what is not there is nothing, what can't be read is damage.
    async fn text(&mut self, store: &dyn Store, name: &str) -> Option<String> {
        match read(store, &format!("runs/{}/{name}", self.run)).await {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(StoreError::Missing { .. }) => None,
            Err(error) => {
                self.damage.push(format!("{name} can't be read: {}", Failure::from(error)));
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
    let unknown = BackupSeen { id: place.id.clone(), ..BackupSeen::default() };
    match load_manifest(store, place).await {
        Err(BackupError::NotFound { .. }) => {
            BackupSeen { missing: Some("it is not on the store any more".into()), ..unknown }
        }
        Err(error) => {
            let why = Failure::from(error).to_string();
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

/// What its proofs say. What of them can't be read is not taken for not there.
async fn proofs(store: &dyn Store, place: &Place, seen: BackupSeen) -> BackupSeen {
    let trials = match proof::trials(store, place).await {
        Ok(trials) => trials,
        Err(error) => return BackupSeen { unread: Some(Failure::from(error).to_string()), ..seen },
    };
    let damaged_at = proof::damage(&trials).map(|trial| trial.at);
    let Some(best) = proof::best(&trials) else { return BackupSeen { damaged_at, ..seen } };
    let (record, unread) = match proof::read(store, place, best).await {
        Ok(Some(record)) => (Some(record), None),
        Ok(None) => (None, Some("its record says something else than its name, or nothing".to_string())),
        Err(error) => (None, Some(Failure::from(error).to_string())),
    };
    BackupSeen {
        damaged_at,
        unread,
        proven: Some((best, record.as_ref().map(|record| record.millis))),
        restore_millis: record.and_then(|record| record.restore_millis),
        ..seen
    }
}
