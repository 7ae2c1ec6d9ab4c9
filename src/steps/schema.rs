//! The schema before and after a release, kept beside its journal for whoever reads of it later.
//!
//! Nothing depends on it: what can't be taken or kept is noted, and the line goes on. Taken while production serves,
//! never inside the window.

use std::io::{Read, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::Site;
use crate::backup::schema::schema_of;
use crate::event::Event;
use crate::failure::Failure;
use crate::redact::redact;
use crate::store::{Store, StoreError};
use crate::time::show_duration;

/// A pg_dump that waits for a lock is waited for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a schema of any size stays below; more is not unpacked.
const LARGEST: u64 = 64 << 20;

/// Which schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// As it was when the migrations were previewed.
    Before,
    /// As it was when the release was recorded.
    After,
}

impl Moment {
    fn object(self, run: &str) -> String {
        let word = match self {
            Moment::Before => "before",
            Moment::After => "after",
        };
        format!("runs/{run}/schema-{word}.sql.gz")
    }
}

/// The live database's schema, within half a minute.
///
/// # Errors
/// pg_dump's; or it gave no answer.
pub(super) async fn of_live(site: &Site<'_>) -> Result<String, Failure> {
    let dump = async { Ok(schema_of(&site.live().await?, &site.session("schema")).await?) };
    tokio::time::timeout(PATIENCE, dump).await.unwrap_or_else(|_| {
        Err(Failure::failed("take the database's schema").because_of(format!(
            "pg_dump gave no answer within {}: it may wait for a lock",
            show_duration(PATIENCE)
        )))
    })
}

/// Takes the live database's schema and keeps it. A crash leaves the whole object or none.
pub(super) async fn take(moment: Moment, site: &Site<'_>) {
    match of_live(site).await {
        Ok(text) => keep(moment, &text, site).await,
        Err(failure) => note(site, &failure.to_string()),
    }
}

/// Keeps this schema.
pub(super) async fn keep(moment: Moment, text: &str, site: &Site<'_>) {
    let kept = match pack(&redact(text)) {
        Ok(bytes) => site.store.replace(&moment.object(site.run), bytes.into()).await.map_err(Failure::from),
        Err(error) => Err(Failure::failed("compress the schema").caused_by(&error)),
    };
    if let Err(failure) = kept {
        note(site, &failure.to_string());
    }
}

fn note(site: &Site<'_>, why: &str) {
    let text = format!("the run's report will not show how the schema changed: {why}");
    site.events.emit(Event::Note { line: Some(site.line), text });
}

fn pack(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// The schema that a run kept; nothing if it kept none.
///
/// # Errors
/// Why it can't be read, in a sentence.
pub async fn read(store: &dyn Store, run: &str, moment: Moment) -> Result<Option<String>, String> {
    let name = moment.object(run);
    let bytes = match store.read(&name).await {
        Err(StoreError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(Failure::from(error).to_string()),
        Ok(bytes) => bytes,
    };
    let mut text = Vec::new();
    let unpacked = GzDecoder::new(&bytes[..]).take(LARGEST).read_to_end(&mut text);
    unpacked.map_err(|error| format!("{name} can't be unpacked: {error}"))?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Directory;

    #[tokio::test]
    async fn what_was_kept_is_read_and_what_is_torn_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Directory::new(folder.path());
        let read = async || read(&store, "r", Moment::Before).await;
        assert_eq!(read().await, Ok(None));
        store.replace("runs/r/schema-before.sql.gz", pack("CREATE TABLE é;").unwrap().into()).await.unwrap();
        assert_eq!(read().await.unwrap().as_deref(), Some("CREATE TABLE é;"));
        store.replace("runs/r/schema-before.sql.gz", "torn".into()).await.unwrap();
        let why = read().await.unwrap_err();
        assert!(why.contains("schema-before.sql.gz can't be unpacked"), "{why}");
    }
}
