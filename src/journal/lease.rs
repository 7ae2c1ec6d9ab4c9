//! The lease: an object beside a run's journal that its driver writes anew again and again.
//!
//! It tells people who drives a run and whether that driver lives. It decides nothing by its time: whoever wants
//! to take a run over watches it stand still by his own clock.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::Driver;
use crate::store::{Store, StoreError};

/// The lease's format.
const FORMAT: u32 = 1;

/// What a driver shows of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// [`FORMAT`] when it was written.
    pub format: u32,
    /// The run.
    pub run: String,
    /// The driver's epoch.
    pub epoch: u32,
    /// Who drives.
    pub driver: Driver,
    /// When this was written, in UTC, by the driver's clock.
    pub at: Timestamp,
    /// How often it is written anew, in milliseconds.
    pub every_millis: u64,
    /// How often it was: moves while the driver lives.
    pub beat: u64,
}

impl Lease {
    /// The lease of this process as the driver `epoch` of `run`, not yet written.
    pub fn of_this_process(run: &str, epoch: u32, every: std::time::Duration) -> Self {
        Self {
            format: FORMAT,
            run: run.to_string(),
            epoch,
            driver: Driver::this_process(),
            at: crate::time::now(),
            every_millis: crate::event::millis(every),
            beat: 0,
        }
    }

    /// Writes it as it is now. A crash leaves the one before or this one.
    ///
    /// # Errors
    /// The store's.
    pub async fn renew(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        self.at = crate::time::now();
        self.beat += 1;
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::other);
        let text = text.map_err(|source| StoreError::Io { verb: "write", name: name(&self.run), source })?;
        store.replace(&name(&self.run), text.into()).await
    }
}

/// The lease of a run; nothing if it has none, or one that this version can't read.
///
/// # Errors
/// The store's.
pub async fn read(store: &dyn Store, run: &str) -> Result<Option<Lease>, StoreError> {
    match store.read(&name(run)).await {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(StoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the lease of a run that has ended.
///
/// # Errors
/// The store's.
pub async fn remove(store: &dyn Store, run: &str) -> Result<(), StoreError> {
    store.delete(&name(run)).await
}

fn name(run: &str) -> String {
    format!("runs/{run}/lease.json")
}
