//! The run's append-only record on the store (invariants 2 and 8).
//!
//! One record is one numbered object, `runs/<run>/journal/000001.json`, that can only be created. Each
//! carries the hash of the one before and the nonce of the driver that wrote it. What is on disk, in
//! short: `Began`, then `Started` before and `Finished` or `Failed` after every line, `Ended` last.

mod bounds;
pub mod lease;
mod record;
mod salvage;

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Kind};
use crate::store::{Created, Store, StoreError};
use crate::time;

pub use bounds::{Bounds, bounds};
pub use record::{Driver, Entry, FORMAT, FoundBack, Onward, Record, RunbookCopy, Target};
pub use salvage::{Salvage, salvage};

/// Writes to one run's journal as one driver.
#[derive(Debug)]
pub struct Journal {
    store: Arc<dyn Store>,
    run: String,
    epoch: u32,
    nonce: String,
    next: u32,
    last_hash: String,
}

/// A record on its way to the store.
#[derive(Debug)]
pub struct Draft {
    record: Record,
    text: Bytes,
}

/// The place behind a journal's last record: it is its driver's as long as nobody else wrote there.
#[derive(Debug, Clone)]
pub struct Claim {
    store: Arc<dyn Store>,
    run: String,
    epoch: u32,
    nonce: String,
    next: u32,
}

/// What a journal holds: its records in order, and whether one of them was found torn.
#[derive(Debug, Clone)]
pub struct History {
    /// The readable records, in order.
    pub records: Vec<Record>,
    /// How many objects there are, torn ones included.
    objects: u32,
    /// The hash of the last object's bytes.
    last_hash: String,
}

/// Why the journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another driver wrote the record that was ours to write: it owns the run now.
    #[error("record {number} of run {run} was written by another driver")]
    Lost {
        /// The run.
        run: String,
        /// The record's number.
        number: u32,
    },
    /// There is no such run.
    #[error("there is no run {run} in the store")]
    NoRun {
        /// The run.
        run: String,
    },
    /// A record is gone, or its hash does not fit: somebody changed the evidence.
    #[error("the journal of run {run} is damaged at record {number}: {what}")]
    Damaged {
        /// The run.
        run: String,
        /// The record's number.
        number: u32,
        /// In which way.
        what: String,
    },
    /// Written by a newer backstay.
    #[error("run {run} was written in journal format {format}; this backstay reads up to {FORMAT}")]
    Newer {
        /// The run.
        run: String,
        /// Its format.
        format: u32,
    },
    /// The store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Failure {
        match error {
            JournalError::Store(error) => error.into(),
            JournalError::Lost { ref run, .. } => Failure::new(Kind::Fenced, "go on with this run")
                .caused_by(&error)
                .leaving("this driver stopped at once; the other one goes on")
                .then(format!("backstay runs {run} shows who drives it now, or how it ended")),
            JournalError::NoRun { .. } => {
                Failure::usage("find the run").caused_by(&error).then("backstay runs lists them")
            }
            JournalError::Damaged { .. } => Failure::refused("read the run's journal")
                .caused_by(&error)
                .then("look at the objects under runs/ in the store; backstay status shows what the database is"),
            JournalError::Newer { .. } => {
                Failure::refused("read the run's journal").caused_by(&error).then("use the newer backstay")
            }
        }
    }
}

impl Journal {
    /// A journal for a new run; its first record is yet to be appended.
    pub fn begin(store: Arc<dyn Store>, run: String) -> Self {
        Self { store, run, epoch: 1, nonce: fresh_nonce(), next: 1, last_hash: String::new() }
    }

    /// Goes on with a run as the next driver. Its first append must be [`Entry::TookOver`]: once that
    /// record stands, the earlier driver's next append fails as [`JournalError::Lost`].
    pub fn take_over(store: Arc<dyn Store>, run: String, history: &History) -> Self {
        let epoch = history.records.iter().map(|r| r.epoch).max().unwrap_or(0).saturating_add(1);
        Self {
            store,
            run,
            epoch,
            nonce: fresh_nonce(),
            next: history.objects.saturating_add(1),
            last_hash: history.last_hash.clone(),
        }
    }

    /// Which driver of the run this is, counted from 1.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The place of the next record, to be looked at while the journal is at rest.
    pub fn claim(&self) -> Claim {
        Claim {
            store: self.store.clone(),
            run: self.run.clone(),
            epoch: self.epoch,
            nonce: self.nonce.clone(),
            next: self.next,
        }
    }

    /// Appends one record; durable when this returns. Secrets are masked on the way.
    ///
    /// A crash leaves the whole record or none. A write that was retried and finds its own bytes there
    /// has succeeded.
    ///
    /// # Errors
    /// [`JournalError::Lost`] if another driver wrote this number; the store's error after three tries.
    pub async fn append(&mut self, entry: Entry) -> Result<Record, JournalError> {
        let draft = self.draft(entry)?;
        self.write(&draft).await?;
        Ok(self.settle(draft))
    }

    /// The next record, not yet written: for a driver who may have to write the same bytes twice, because nobody
    /// knows whether the store that was lost has them.
    ///
    /// # Errors
    /// A defect: an entry that is no JSON.
    pub fn draft(&self, entry: Entry) -> Result<Draft, JournalError> {
        let record = Record {
            format: FORMAT,
            number: self.next,
            run: self.run.clone(),
            epoch: self.epoch,
            nonce: self.nonce.clone(),
            at: time::now(),
            previous: self.last_hash.clone(),
            entry: entry.redacted(),
        };
        let text = serde_json::to_string_pretty(&record).map_err(|error| JournalError::Damaged {
            run: self.run.clone(),
            number: self.next,
            what: error.to_string(),
        })?;
        Ok(Draft { record, text: text.into() })
    }

    /// Writes a draft; durable when this returns. May be called again after a failure.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub async fn write(&self, draft: &Draft) -> Result<(), JournalError> {
        self.create(&object_name(&self.run, self.next), draft.text.clone()).await
    }

    /// A draft that was written is the journal's last record from here on.
    pub fn settle(&mut self, draft: Draft) -> Record {
        self.next += 1;
        self.last_hash = hash(&draft.text);
        draft.record
    }

    async fn create(&self, name: &str, bytes: Bytes) -> Result<(), JournalError> {
        const TRIES: u32 = 3;
        let mut tries = 1;
        loop {
            match self.store.create(name, bytes.clone()).await {
                Ok(Created::New) => return Ok(()),
                // Our own bytes carry our nonce: an earlier try of ours got through after all.
                Ok(Created::Exists) if self.store.read(name).await? == bytes => return Ok(()),
                Ok(Created::Exists) => {
                    return Err(JournalError::Lost { run: self.run.clone(), number: self.next });
                }
                // Whoever kept us waiting for long is not asked again.
                Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::TimedOut => {
                    return Err(StoreError::io("write", name, source).into());
                }
                Err(error @ StoreError::Io { .. }) if tries < TRIES => {
                    tracing::debug!(%error, tries, "journal write failed, trying again");
                    tokio::time::sleep(std::time::Duration::from_millis(100 << tries)).await;
                    tries += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Claim {
    /// The run, and which driver of it claims.
    pub fn driver(&self) -> (&str, u32) {
        (&self.run, self.epoch)
    }

    /// Makes sure that no other driver owns the run.
    ///
    /// # Errors
    /// [`JournalError::Lost`] if one wrote the next record; the store's, and then nothing is known.
    pub async fn expect_ours(&self) -> Result<(), JournalError> {
        let bytes = match self.store.read(&object_name(&self.run, self.next)).await {
            Err(StoreError::Missing { .. }) => return Ok(()),
            bytes => bytes?,
        };
        // Our own, where the answer to its writing was lost.
        match serde_json::from_slice::<Record>(&bytes) {
            Ok(record) if record.nonce == self.nonce => Ok(()),
            _ => Err(JournalError::Lost { run: self.run.clone(), number: self.next }),
        }
    }
}

/// Reads a run's journal and checks its chain.
///
/// An object that is no record (torn by a crash on a disk that does not keep its promises) is passed
/// over if it is the last, or if the record after it was written by a driver that had seen it: whoever
/// wrote it died before acting on it.
///
/// # Errors
/// [`JournalError::NoRun`], or [`JournalError::Damaged`] with the first bad record.
pub async fn read(store: &dyn Store, run: &str) -> Result<History, JournalError> {
    let prefix = format!("runs/{run}/journal/");
    let mut objects = Vec::new();
    for entry in store.list(&prefix).await? {
        objects.push((entry.name.clone(), store.read(&entry.name).await?));
    }
    if objects.is_empty() {
        return Err(JournalError::NoRun { run: run.to_string() });
    }
    check_chain(run, &objects)
}

/// Who drove last, as the records have it.
pub fn last_driver(records: &[Record]) -> Option<Driver> {
    records.iter().rev().find_map(|record| match &record.entry {
        Entry::Began { driver, .. } | Entry::TookOver { driver } => Some(Driver::clone(driver)),
        _ => None,
    })
}

/// The ids of all runs on the store, oldest first.
///
/// # Errors
/// The store's.
pub async fn runs(store: &dyn Store) -> Result<Vec<String>, JournalError> {
    Ok(bounds(store).await?.into_iter().map(|bounds| bounds.run).collect())
}

fn check_chain(run: &str, objects: &[(String, Vec<u8>)]) -> Result<History, JournalError> {
    let mut records = Vec::new();
    let mut last_hash = String::new();
    for (number, (name, bytes)) in (1u32..).zip(objects) {
        let damaged =
            |what: &str| JournalError::Damaged { run: run.to_string(), number, what: what.to_string() };
        if *name != object_name(run, number) {
            return Err(damaged("it is missing"));
        }
        if let Some(format) = format_of(bytes).filter(|format| *format > FORMAT) {
            return Err(JournalError::Newer { run: run.to_string(), format });
        }
        match serde_json::from_slice::<Record>(bytes) {
            Ok(record) if record.previous != last_hash => {
                return Err(damaged("the record before it was changed"));
            }
            Ok(record) if record.number != number || record.run != run => {
                return Err(damaged("it belongs elsewhere"));
            }
            Ok(record) => records.push(record),
            // Torn. If it was not the last, the next record's hash shows that its writer had seen it so.
            Err(_) => {}
        }
        last_hash = hash(bytes);
    }
    Ok(History { records, objects: u32::try_from(objects.len()).unwrap_or(u32::MAX), last_hash })
}

fn format_of(bytes: &[u8]) -> Option<u32> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    u32::try_from(value.get("format")?.as_u64()?).ok()
}

fn object_name(run: &str, number: u32) -> String {
    format!("runs/{run}/journal/{number:06}.json")
}

/// SHA-256 in hex.
pub fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn fresh_nonce() -> String {
    let mut random = [0u8; 16];
    match getrandom::fill(&mut random) {
        Ok(()) => hex::encode(random),
        Err(_) => format!("{}-{}", std::process::id(), jiff::Timestamp::now().as_nanosecond()),
    }
}

#[cfg(test)]
mod tests;
