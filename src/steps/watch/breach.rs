//! Breaches on the store, as they are told: a driver that dies or is stopped must not take them along.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use crate::event::Progress;
use crate::failure::Failure;
use crate::redact::redact;
use crate::steps::Site;
use crate::store::Store;
use crate::time::now;

/// `runs/<run>/watch/<line>-<epoch>-<n>.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Breach {
    format: u32,
    run: String,
    line: String,
    epoch: u32,
    at: jiff::Timestamp,
    what: String,
}

/// Where the breaches of one line go.
pub(super) struct Breaches {
    store: Arc<dyn Store>,
    run: String,
    line: String,
    epoch: u32,
    next: AtomicU32,
}

impl Breaches {
    /// Those of the line at work.
    pub fn of(site: &Site<'_>) -> Self {
        Self {
            store: site.store.clone(),
            run: site.run.to_string(),
            line: site.line.to_string(),
            epoch: site.epoch,
            next: AtomicU32::new(1),
        }
    }

    fn prefix(&self) -> String {
        format!("runs/{}/watch/{}-", self.run, self.line)
    }

    /// What earlier drivers of this line told. What can't be read is noted: its watch goes on without.
    pub async fn earlier(&self, progress: &Progress) -> Vec<String> {
        match self.read().await {
            Ok(earlier) => earlier,
            Err(failure) => {
                progress.note(format!("what an earlier driver saw is not known: {failure}"));
                Vec::new()
            }
        }
    }

    async fn read(&self) -> Result<Vec<String>, Failure> {
        let mut earlier = Vec::new();
        for entry in self.store.list(&self.prefix()).await? {
            let bytes = self.store.read(&entry.name).await?;
            let breach: Breach = serde_json::from_slice(&bytes)
                .map_err(|error| Failure::refused(format!("read {}", entry.name)).caused_by(&error))?;
            earlier.push(breach);
        }
        earlier.sort_by_key(|breach: &Breach| breach.at);
        Ok(earlier.into_iter().map(|breach| breach.what).collect())
    }

    /// Writes `what` to the store; gives what went wrong, for a note. A crash leaves the whole object or none.
    pub fn keep(&self, what: String) -> impl Future<Output = Option<String>> + Send + use<> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{}-{number:03}.json", self.prefix(), self.epoch);
        let breach = Breach {
            format: 1,
            run: self.run.clone(),
            line: self.line.clone(),
            epoch: self.epoch,
            at: now(),
            what: redact(&what).into_owned(),
        };
        let store = self.store.clone();
        async move {
            let bytes = serde_json::to_vec_pretty(&breach).unwrap_or_default();
            let error = store.create(&name, bytes.into()).await.err()?;
            Some(format!("the breach is not on the store: {}", Failure::from(error)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_breach_is_one() {
        let document = include_str!("../../../docs/formats.md");
        let example = document.split("```json breach\n").nth(1).and_then(|rest| rest.split("```").next());
        let breach: Breach = serde_json::from_str(example.unwrap()).unwrap();
        assert_eq!((breach.format, breach.epoch), (1, 1));
    }
}
