//! A journal's first and last record: whose a run is and whether it has ended, without reading all between.

use jiff::Timestamp;

use super::{Entry, FORMAT, JournalError, Record, read};
use crate::failure::Verdict;
use crate::store::Store;

/// A run on the store, with the names of the first and the last object of its journal.
///
/// A year of releases is hundreds of runs with dozens of records each; what is asked of all of them is asked of these
/// two. Damage between them is found by whoever [`read`]s the journal, because he needs what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The run.
    pub run: String,
    first: String,
    last: String,
}

impl Bounds {
    /// The environment that the run belongs to; nothing if its driver died before the first record was whole.
    ///
    /// # Errors
    /// As [`read`], if the first object is no record.
    pub async fn environment(&self, store: &dyn Store) -> Result<Option<String>, JournalError> {
        self.began(store, |entry| match entry {
            Entry::Began { environment, .. } => Some(environment),
            _ => None,
        })
        .await
    }

    /// The name of the runbook that the run follows, likewise.
    ///
    /// # Errors
    /// As [`Bounds::environment`].
    pub async fn runbook(&self, store: &dyn Store) -> Result<Option<String>, JournalError> {
        self.began(store, |entry| match entry {
            Entry::Began { runbook, .. } => Some(runbook.name),
            _ => None,
        })
        .await
    }

    async fn began(
        &self,
        store: &dyn Store,
        told: impl Fn(Entry) -> Option<String>,
    ) -> Result<Option<String>, JournalError> {
        if let Some(found) = self.look(store, &self.first).await?.and_then(|record| told(record.entry)) {
            return Ok(Some(found));
        }
        Ok(read(store, &self.run).await?.records.into_iter().find_map(|record| told(record.entry)))
    }

    /// How the run ended, and when; nothing while it has not.
    ///
    /// # Errors
    /// As [`read`], if the last object is no record.
    pub async fn ended(&self, store: &dyn Store) -> Result<Option<(Verdict, Timestamp)>, JournalError> {
        let last = match self.look(store, &self.last).await? {
            Some(record) => Some(record),
            None => read(store, &self.run).await?.records.pop(),
        };
        Ok(last.and_then(|record| match record.entry {
            Entry::Ended { verdict } => Some((verdict, record.at)),
            _ => None,
        }))
    }

    async fn look(&self, store: &dyn Store, name: &str) -> Result<Option<Record>, JournalError> {
        let record = serde_json::from_slice::<Record>(&store.read(name).await?).ok();
        Ok(record.filter(|record| record.format <= FORMAT && record.run == self.run))
    }
}

/// All runs on the store, oldest first.
///
/// # Errors
/// The store's.
pub async fn bounds(store: &dyn Store) -> Result<Vec<Bounds>, JournalError> {
    let mut all: Vec<Bounds> = Vec::new();
    for entry in store.list("runs/").await? {
        let Some((run, rest)) = entry.name.strip_prefix("runs/").and_then(|name| name.split_once('/')) else {
            continue;
        };
        if !rest.starts_with("journal/") {
            continue;
        }
        match all.last_mut().filter(|bounds| bounds.run == run) {
            Some(bounds) => bounds.last = entry.name,
            None => all.push(Bounds { run: run.to_string(), first: entry.name.clone(), last: entry.name }),
        }
    }
    Ok(all)
}
