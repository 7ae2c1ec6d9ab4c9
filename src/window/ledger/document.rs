//! `ledger.json`: what was kept of others' writes. Written last: without it there is no ledger.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backup::TableName;

/// The version of the format that this backstay writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// A ledger, as `ledger.json` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`FORMAT`] of whoever wrote it.
    pub format: u32,
    /// What wrote it.
    pub tool: String,
    /// The run that put back.
    pub run: String,
    /// Which driver of it wrote this ledger. Of several the one of the highest epoch counts.
    pub epoch: u32,
    /// When it was written, by the driver's clock.
    pub at: Timestamp,
    /// The database that the writes went to, which is kept.
    pub database: Database,
    /// The database that took its place: deletions are read against it.
    pub guard: Named,
    /// Since when others' writes count.
    pub since: Since,
    /// The server had lost its counters: everything was compared with the guard.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub statistics_lost: bool,
    /// What happened to tables.
    pub tables: Vec<Table>,
    /// Sequences that moved.
    pub sequences: Vec<Sequence>,
    /// Large objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_objects: Option<LargeObjects>,
    /// Schema objects that were changed.
    pub definitions: Vec<Changed>,
    /// Why the schema is in no file, although the old one does not hold all that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_not_kept: Option<String>,
    /// Every object beside this one, in the order in which they are loaded.
    pub files: Vec<File>,
}

/// The database that the writes went to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its name when they were written.
    pub name: String,
    /// Its id, which stays.
    pub oid: u32,
    /// Its name once the guard has taken its place.
    pub kept_as: String,
}

/// A database by name and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name before the swap.
    pub name: String,
    /// Its id.
    pub oid: u32,
}

/// The mark of `open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// A transaction id (64 bit): row versions of others are younger.
    pub xid: i64,
    /// When.
    pub at: Timestamp,
}

/// What happened to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The table, in the schema that the writes went to.
    pub table: TableName,
    /// In words, as a person was shown it.
    pub what: String,
    /// The same table in the old schema, into which the files load; none if that has no such table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loads_into: Option<TableName>,
    /// The columns by which its rows are told apart, in the old schema; empty if it has no key.
    pub key: Vec<String>,
    /// Rows that are new or changed, and in the files; null where they could not be read.
    pub rows: Option<u64>,
    /// Rows that are gone.
    pub deleted: u64,
    /// What `deleted` is worth.
    pub deletions: Deletions,
    /// Why something of it is in no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_kept: Option<String>,
}

/// How well it is known which rows others deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletions {
    /// Nothing was deleted.
    None,
    /// Others deleted exactly the rows whose keys are in the files.
    Certain,
    /// The keys are in the files, but some rows may have been deleted by the release's own migrations.
    Mixed,
    /// Only an upper bound of their number is known.
    Counted,
}

/// A sequence that moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Which.
    pub sequence: TableName,
    /// Its last value at the mark; null if it had none.
    pub at_open: Option<i64>,
    /// Its last value now.
    pub now: Option<i64>,
}

/// Large objects that others wrote or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LargeObjects {
    /// New, or with other bytes than in the guard.
    pub written: Vec<LargeObject>,
    /// In the guard, and here no more.
    pub removed: Vec<u32>,
    /// So many were given another owner or other rights.
    pub rights: u64,
}

/// One large object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LargeObject {
    /// Its id.
    pub oid: u32,
    /// Its size; null where our role may not read it: then it is in no file.
    pub bytes: Option<u64>,
}

/// Schema objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    /// In words.
    pub what: String,
    /// How many.
    pub count: u64,
    /// The first twenty by name.
    pub names: Vec<String>,
}

/// What a file carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// The schema that the writes went to, as `pg_dump` has it: to read, not to load.
    Schema,
    /// Keys of deleted rows.
    Deleted,
    /// New and changed rows.
    Rows,
    /// Values of sequences.
    Sequences,
    /// Bytes of large objects.
    LargeObjects,
}

/// One object of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name, beside `ledger.json`.
    pub name: String,
    /// What it carries.
    pub kind: FileKind,
    /// The table that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableName>,
    /// Rows, keys, sequences or pieces of large objects in it.
    pub rows: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes as they are stored.
    pub stored_bytes: u64,
    /// SHA-256 of the stored bytes.
    pub sha256: String,
}

/// Why a ledger can't be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A later backstay wrote it.
    #[error("read the ledger: it is of format {0}, and this backstay reads up to {FORMAT}")]
    Newer(u32),
    /// It is no ledger.
    #[error("read the ledger")]
    Syntax(#[from] serde_json::Error),
}

impl Document {
    /// Reads `ledger.json`.
    ///
    /// # Errors
    /// If it is none, or of a newer format.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        match serde_json::from_slice::<Format>(bytes)?.format {
            format if format > FORMAT => Err(DocumentError::Newer(format)),
            _ => Ok(serde_json::from_slice(bytes)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_refused_before_its_keys_are_read() {
        let error = Document::parse(br#"{"format": 2, "colour": "blue"}"#).unwrap_err();
        assert!(error.to_string().contains("format 2"), "{error}");
        assert!(matches!(Document::parse(b"{}"), Err(DocumentError::Syntax(_))));
    }
}
