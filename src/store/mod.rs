//! Where backups, journals and artifacts live: outside the database that can be put back (invariant 3).
//!
//! A store is a flat space of named objects (`runs/<run>/journal/000001.json`). Names are `/`-separated
//! parts of `[A-Za-z0-9._-]`, never `.` or `..`. Every backend passes the one contract test in
//! `tests/store`.

mod directory;
mod gcs;
mod patient;
mod spool;

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use tokio::io::AsyncRead;

use crate::failure::Failure;

pub use directory::Directory;
pub use gcs::{BadLocation, Gcs, Location, Options as GcsOptions, Patience, Refusal, Verb};
pub use spool::{Spool, SpoolError};

/// A place for objects. All methods are safe to retry.
#[async_trait::async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Creates the object with exactly these bytes, durably, or finds that it exists and changes nothing.
    ///
    /// Durable before it returns. A crash leaves the whole object or none under this name.
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, StoreError>;

    /// Writes the object with exactly these bytes, durably, in the place of one that may be there: for what
    /// grows or is written again, such as a run's log. A crash leaves the old bytes, the new ones, or none
    /// if there were none.
    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), StoreError>;

    /// Opens the object for reading.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none.
    async fn reader(&self, name: &str) -> Result<Pin<Box<dyn AsyncRead + Send>>, StoreError>;

    /// The whole object. For small objects: records, manifests.
    async fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let mut reader = self.reader(name).await?;
        tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut bytes)
            .await
            .map_err(|source| StoreError::io("read", name, source))?;
        Ok(bytes)
    }

    /// All objects whose names start with `prefix`, sorted by name; half-written ones are not seen.
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError>;

    /// Removes the object; no error if there is none.
    async fn delete(&self, name: &str) -> Result<(), StoreError>;

    /// The store's URL, for messages.
    fn url(&self) -> String;
}

/// What [`Store::create`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is ours, and durable.
    New,
    /// An object of that name was there; it is unchanged. Read it back to see whose it is.
    Exists,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its full name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Why a store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("there is no {name} in the store")]
    Missing {
        /// The object's name.
        name: String,
    },
    /// The name has parts that no store takes.
    #[error("{name:?} is no name for an object")]
    BadName {
        /// The name.
        name: String,
    },
    /// The system refused.
    #[error("{verb} {name} in the store")]
    Io {
        /// What was being done.
        verb: &'static str,
        /// To which object.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A bucket refused, or could not be reached. It was tried for as long as makes sense: no caller needs to
    /// try again.
    #[error("{}", .0.what())]
    Bucket(#[source] Box<Refusal>),
}

/// Whether every store takes `name`: parts of `[A-Za-z0-9._-]` between slashes, none empty, none hidden.
fn is_name(name: &str) -> bool {
    name.split('/').all(|part| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    })
}

fn checked(name: &str) -> Result<&str, StoreError> {
    if is_name(name) { Ok(name) } else { Err(StoreError::BadName { name: name.to_string() }) }
}

impl StoreError {
    pub(crate) fn io(verb: &'static str, name: &str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound if verb == "read" => StoreError::Missing { name: name.to_string() },
            _ => StoreError::Io { verb, name: name.to_string(), source },
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        if let StoreError::Bucket(refusal) = &error {
            let failure = Failure::failed(refusal.what()).caused_by(refusal.as_ref());
            return refusal.remedies().into_iter().fold(failure, Failure::then);
        }
        let hint = match &error {
            StoreError::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("make room on the store's disk, then run the same command again")
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Some(
                    "give this user write permission on the store's directory, or name another in [store] url",
                ),
                io::ErrorKind::StaleNetworkFileHandle => {
                    Some("bring the store's disk or mount back to its place, then run the same command again")
                }
                io::ErrorKind::NotADirectory => Some(
                    "a file stands where the store's directory should be: move it away, or name another place in \
                     [store] url",
                ),
                _ => None,
            },
            StoreError::Missing { .. } | StoreError::BadName { .. } | StoreError::Bucket(_) => None,
        };
        let failure = match &error {
            StoreError::Io { verb, name, source } => {
                Failure::failed(format!("{verb} {name} in the store")).caused_by(source)
            }
            other => Failure::failed("use the store").caused_by(other),
        };
        hint.into_iter().fold(failure, Failure::then)
    }
}
