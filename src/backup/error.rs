//! Why a backup, a restore or a verification did not happen.

use std::io;

use super::manifest::ManifestError;
use super::mismatch::Mismatch;
use super::survey::Finding;
use crate::failure::Failure;
use crate::pg::ConnectError;
use crate::pg::drop_database::DropError;
use crate::pg::tools::ToolError;
use crate::store::StoreError;

/// Each variant's text reads after "could not".
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// No session.
    #[error("connect to database {database:?}")]
    Connect {
        /// The database.
        database: String,
        /// Why.
        #[source]
        source: Box<ConnectError>,
    },
    /// The server refused.
    #[error("{what}")]
    Sql {
        /// What was being done, to what.
        what: String,
        /// What the server said.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The server gave something that we do not understand.
    #[error("understand {what}: {reason}")]
    Strange {
        /// What.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The schema changed each time between the look and the locks.
    #[error("lock the tables: tables came or went {tries} times in a row while they were being locked")]
    Restless {
        /// How often it was tried.
        tries: u32,
    },
    /// The session that holds the snapshot and the locks ended before its time.
    #[error("keep the snapshot: the session that holds it ended: {0}")]
    SnapshotLost(String),
    /// No `pg_dump` that is new enough.
    #[error(transparent)]
    Tool(ToolError),
    /// `pg_dump` failed.
    #[error("run pg_dump: {output}")]
    PgDump {
        /// What it printed, or how it ended.
        output: String,
    },
    /// A row of COPY text has no end.
    #[error("read {0}: its last row is cut")]
    CutRow(String),
    /// The store refused.
    #[error("use the store {url}")]
    Store {
        /// The store.
        url: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A stream to or from the store broke.
    #[error("{verb} {object}")]
    Stream {
        /// `read`, or `pack`: compress.
        verb: &'static str,
        /// Which object.
        object: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The manifest is refused.
    #[error("read the manifest {object}")]
    Manifest {
        /// Which.
        object: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// An object is not what the manifest says.
    #[error("trust the backup: {0}")]
    Mismatch(Mismatch),
    /// A backup of that id is there already.
    #[error("write backup {0}: a backup of that id is there already")]
    IdTaken(String),
    /// No backup answers to that name.
    #[error("find backup {wanted:?} of {environment}: {reason}")]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// In which environment.
        environment: String,
        /// Nothing, or too much, answers to it.
        reason: String,
    },
    /// Things that a backup cannot carry, or may not read.
    #[error("back up the database: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    InTheWay(Vec<Finding>),
    /// The newest backup is what `latest` means, and it failed a proof.
    #[error("rely on the latest backup of {environment}, {damaged}: it failed a proof")]
    Damaged {
        /// The backup.
        damaged: String,
        /// Whose.
        environment: String,
        /// The newest that failed none, if there is one.
        sound: Option<String>,
    },
    /// Nobody proved the backup as far as it must be.
    #[error("rely on backup {backup} as proven to level {level}: {reason}")]
    NotProven {
        /// Which.
        backup: String,
        /// How far it must be proven.
        level: super::verify::Level,
        /// What is missing.
        reason: String,
    },
    /// A restore never goes into a database that is there.
    #[error("restore into database {0:?}: it is there already")]
    DatabaseExists(String),
    /// Roles that the backup names are not on the server.
    #[error("restore: the server lacks the roles {}", .0.join(", "))]
    RolesMissing(Vec<String>),
    /// Roles that were to be created could not be.
    #[error("create the roles {}", .roles.join(", "))]
    RolesNotCreated {
        /// Which.
        roles: Vec<String>,
        /// What the server said, and what was done.
        reasons: Vec<String>,
    },
    /// A table pattern names none of the backup's tables.
    #[error("restore only {0}: the backup holds no such table")]
    NoTable(String),
    /// A restore failed and its database could not be dropped.
    #[error("{first}; and could not drop the half-restored database {database:?}: {drop}")]
    LeftBehind {
        /// The first cause.
        first: Box<BackupError>,
        /// What is left.
        database: String,
        /// Why it could not be dropped.
        drop: String,
    },
    /// Another part of the same work failed first, or nobody wants its result any more.
    #[error("finish: another part of the same work ended before")]
    GivenUp,
    /// A thread of ours ended early.
    #[error("finish {0}: a worker thread ended early")]
    Thread(String),
}

impl BackupError {
    /// The server refused `what`.
    pub(super) fn sql(what: impl Into<String>, source: tokio_postgres::Error) -> Self {
        BackupError::Sql { what: what.into(), source }
    }

    /// The store refused.
    pub(super) fn store(store: &dyn crate::store::Store, source: StoreError) -> Self {
        BackupError::Store { url: store.url(), source }
    }

    /// The codec's library refused.
    pub(super) fn pack(object: &str, source: io::Error) -> Self {
        BackupError::Stream { verb: "pack", object: object.to_string(), source }
    }

    /// Whether a lock was waited for in vain (55P03, lock_not_available).
    pub(super) fn is_lock_timeout(&self) -> bool {
        match self {
            BackupError::Sql { source, .. } => {
                source.code() == Some(&tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE)
            }
            _ => false,
        }
    }

    /// Whether the server or the way to it is why, and not what it was given: it went away, ran out of room,
    /// was told to stop, or does not let our role (PostgreSQL manual, "PostgreSQL Error Codes").
    pub(super) fn blames_the_server(&self) -> bool {
        match self {
            BackupError::Sql { source, .. } => match source.code().map(|code| code.code()) {
                Some("42501" | "55006" | "55P03") => true,
                Some(code) => ["08", "40", "53", "57", "58", "XX"].contains(&code.get(..2).unwrap_or(code)),
                None => true,
            },
            _ => false,
        }
    }

    /// What the server's text means, where that is known to help.
    fn hint(&self) -> Option<String> {
        let hint = match self {
            BackupError::Restless { .. } => "run it again when no one creates or drops tables",
            BackupError::DatabaseExists(_) => "name another database, or drop that one first",
            BackupError::RolesMissing(_) => {
                "create them first, or restore with --create-roles: the backup's globals.sql.gz holds their \
                 definitions, without passwords"
            }
            BackupError::RolesNotCreated { .. } => {
                "have a superuser create them: the backup's globals.sql.gz holds their definitions"
            }
            BackupError::NoTable(_) => "backstay backup show names the tables that it holds",
            BackupError::Damaged { sound: Some(sound), .. } => {
                return Some(format!(
                    "name the one that you mean: {sound} is the newest that failed no proof"
                ));
            }
            BackupError::NotFound { wanted, environment, .. } => return Some(not_found(wanted, environment)),
            BackupError::Damaged { .. } => "take another: backstay backup create",
            BackupError::LeftBehind { .. } => "drop it by hand when nobody is connected to it any more",
            BackupError::Mismatch(_) | BackupError::Manifest { .. } => {
                "do not rely on this backup: take another, and look after the store's disk"
            }
            BackupError::Sql { source, .. } => match source.code().map(|code| code.code()) {
                Some("42501") => {
                    "give the role the right that the server misses, or connect as the database's owner"
                }
                Some("55P03") => "find who holds the lock (pg_stat_activity, pg_locks) and run it again",
                Some("53100") => "make room on the server's disk, then run it again",
                _ => return None,
            },
            _ => return None,
        };
        Some(hint.to_string())
    }
}

/// Where there is a backup that answers, or how there comes to be one.
fn not_found(wanted: &str, environment: &str) -> String {
    match wanted {
        "latest" => format!("backstay backup create -e {environment}"),
        _ => format!("backstay backup list -e {environment} names those that there are"),
    }
}

impl From<DropError> for BackupError {
    fn from(error: DropError) -> Self {
        match error {
            DropError::Sql { what, source } => BackupError::Sql { what, source },
            DropError::Connect { database, source } => BackupError::Connect { database, source },
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Failure {
        let hint = error.hint();
        let failure = match error {
            // These know their own remedies.
            BackupError::Tool(source) => Failure::from(source),
            BackupError::Connect { source, .. } => Failure::from(*source),
            BackupError::Sql { what, source } => crate::pg::refused(&what, &source),
            BackupError::Store { source, url } => {
                let failure = Failure::from(source);
                // A directory's refusal has named it.
                let is_named =
                    url.strip_prefix("file://").is_some_and(|place| failure.because().contains(place));
                if is_named { failure } else { failure.because_of(format!("the store is {url}")) }
            }
            BackupError::LeftBehind { first, database, drop } => Failure::from(*first)
                .leaving(format!("the half-restored database {database:?} is left behind ({drop})")),
            BackupError::RolesNotCreated { ref reasons, .. } => reasons
                .iter()
                .fold(Failure::refused(error.to_string()), |failure, reason| failure.because_of(reason)),
            BackupError::NotFound { .. }
            | BackupError::RolesMissing(_)
            | BackupError::Damaged { .. }
            | BackupError::NotProven { .. }
            | BackupError::NoTable(_)
            | BackupError::DatabaseExists(_) => Failure::refused(error.to_string()),
            BackupError::InTheWay(findings) => in_the_way(&findings),
            error => {
                let failure = Failure::failed(error.to_string());
                match std::error::Error::source(&error) {
                    Some(source) => failure.caused_by(source),
                    None => failure,
                }
            }
        };
        hint.into_iter().fold(failure, Failure::then)
    }
}

/// Each thing as a cause, each remedy once.
fn in_the_way(findings: &[Finding]) -> Failure {
    let failure = findings.iter().fold(Failure::refused("back up the database"), |failure, finding| {
        failure.because_of(&*finding.what)
    });
    let mut remedies: Vec<&str> = findings.iter().map(|finding| finding.remedy).collect();
    remedies.dedup();
    remedies.into_iter().fold(failure, |failure, remedy| failure.then(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(said: &str) -> Failure {
        let source = io::Error::new(io::ErrorKind::StorageFull, said);
        let source = StoreError::Io { verb: "write", name: "backups/a/1.copy.gz".into(), source };
        Failure::from(BackupError::Store { url: "file:///mnt/store".into(), source })
    }

    #[test]
    fn a_full_store_says_once_which_it_is() {
        assert_eq!(full("no space at path \"/mnt/store/backups/.tmp-1\"").causes.len(), 1);
        assert_eq!(full("no space").causes, ["no space", "the store is file:///mnt/store"]);
    }

    #[test]
    fn a_backup_that_is_not_there_leads_to_those_that_are() {
        let not_found = |wanted: &str| {
            let (wanted, environment) = (wanted.to_string(), "production".to_string());
            Failure::from(BackupError::NotFound { wanted, environment, reason: "none".into() }).next
        };
        assert_eq!(not_found("nosuch"), ["backstay backup list -e production names those that there are"]);
        assert_eq!(not_found("latest"), ["backstay backup create -e production"]);
    }
}
