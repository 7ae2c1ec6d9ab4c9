//! The declared replicas after a swap. None of them can hold production back: what is left is told.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::config::Replica;
use crate::failure::Failure;
use crate::pg::SessionOptions;
use crate::window::replica::{self, Cleared};
use crate::words::count;

/// What a swap leaves, for later readers of the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// One for each replica whose sessions may still be in the failed database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<Stranded>,
    /// Where on the store the ledger of others' writes is, with the last slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
}

/// A replica whose sessions may still read the failed database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranded {
    /// Its name.
    pub replica: String,
    /// Why it could not be cleared.
    pub why: String,
    /// What to do about it.
    pub next: String,
}

/// Ends the sessions that stayed in the failed database `oid` on every declared replica, on all at once. Gives what
/// belongs behind the line's summary, and what is left.
pub(super) async fn clear(oid: u32, site: &Site<'_>) -> (String, Left) {
    let replicas = &site.config.replicas;
    if replicas.is_empty() {
        return (String::new(), Left::default());
    }
    let outcomes: Vec<Result<Cleared, Failure>> = match replica::position(site.admin.session()).await {
        Ok(position) => join_all(replicas.iter().map(|one| clear_one(one, &position, oid, site))).await,
        Err(failure) => replicas.iter().map(|_| Err(failure.clone())).collect(),
    };
    let mut said = String::new();
    let mut left = Left::default();
    for (Replica { name, url }, outcome) in replicas.iter().zip(outcomes) {
        match outcome {
            Ok(Cleared::Ended(0)) => said.push_str(&format!("; replica {name}: nobody was left behind")),
            Ok(Cleared::Ended(ended)) => {
                let sessions = count(ended as u64, "session", "sessions");
                said.push_str(&format!("; replica {name}: {sessions} ended"));
            }
            Ok(Cleared::NoReplica) => said.push_str(&format!("; {name} is no replica now")),
            Err(failure) => {
                said.push_str(&format!("; replica {name}: its sessions may still read the failed database"));
                left.replicas.push(Stranded {
                    replica: name.clone(),
                    why: failure.redacted().to_string(),
                    next: format!(
                        "on the replica {name} ({}), once it has caught up: SELECT pg_terminate_backend(pid) FROM \
                         pg_stat_activity WHERE datid = {oid}; what is left there ends when backstay cleanup drops \
                         the failed database",
                        url.host()
                    ),
                });
            }
        }
    }
    for Stranded { replica, why, next } in &left.replicas {
        site.progress().note(format!("replica {replica}: {why}; {next}"));
    }
    (said, left)
}

async fn clear_one(replica: &Replica, position: &str, oid: u32, site: &Site<'_>) -> Result<Cleared, Failure> {
    let config = site.config;
    let info = replica.url.with_database(&config.database.maintenance_database);
    // Production waits meanwhile: a replica that is down is not waited for.
    let options = SessionOptions { patience: std::time::Duration::ZERO, ..site.session("replica") };
    replica::clear(&info, &options, position, oid, config.window.replica_timeout).await
}
