//! The manifest: what a backup says of itself, written last.
//!
//! It is JSON, and it is strict on read: an unknown format, an unknown key or a byte changed by anyone is
//! refused. `checksum` is the SHA-256 of the file itself with the checksum's own 64 digits taken as zeros.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::attributes::DatabaseAttributes;
use super::fingerprint::{Fingerprint, TableContent};
use super::name;

/// The one format there is.
pub const FORMAT: u32 = 1;

const NO_CHECKSUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A whole backup, described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format's version: [`FORMAT`].
    pub format: u32,
    /// SHA-256 of this file, with these digits as zeros; filled by [`Manifest::to_bytes`].
    pub checksum: String,
    /// Who wrote it: `backstay 0.1.0`.
    pub tool: String,
    /// The backup's id.
    pub id: String,
    /// The environment's name.
    pub environment: String,
    /// The server that it was taken from.
    pub server: Server,
    /// What belongs to the database itself.
    pub database: DatabaseAttributes,
    /// The moment in the database's life that this is.
    pub snapshot: Snapshot,
    /// How the rows' objects are compressed; the others are gzip's, or text.
    pub codec: Codec,
    /// The roles that the database names: they must exist where it is restored.
    pub roles: Vec<String>,
    /// The extensions that it uses, with their versions.
    pub extensions: Vec<Extension>,
    /// Every object of the backup but this one, sorted by name.
    pub objects: Vec<Object>,
    /// Every table whose rows are carried, sorted by name.
    pub tables: Vec<Table>,
    /// Every sequence with its state.
    pub sequences: Vec<Sequence>,
    /// Large objects, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_objects: Option<TableContent>,
}

/// The server that a backup was taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// `server_version_num`: 150018.
    pub version: u32,
    /// What the server calls itself.
    pub name: String,
    /// What the `pg_dump` that wrote the DDL calls itself.
    pub pg_dump: String,
}

/// The moment that a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The position in the write-ahead log just before the snapshot was taken: all that committed
    /// before it is in the backup.
    pub lsn: String,
    /// The server's clock at the snapshot.
    pub at: Timestamp,
}

/// How objects are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Codec {
    /// RFC 1952; `gunzip` reads it.
    Gzip {
        /// 1 (fast) to 9 (small).
        level: u32,
    },
    /// RFC 8878; `zstd -d` reads it.
    Zstd {
        /// 1 (fast) to 19 (small).
        level: u32,
    },
}

impl Default for Codec {
    fn default() -> Self {
        Codec::Gzip { level: 4 }
    }
}

/// An extension that the database uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One object of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its name within the backup: `data/1.copy.gz`.
    pub name: String,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// SHA-256 of the stored bytes, in hex.
    pub sha256: String,
}

/// The name of a table or sequence. Shown quoted: `"public"."users"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableName {
    /// Its schema.
    pub schema: String,
    /// Its own name.
    pub name: String,
}

impl TableName {
    /// `schema` and `name`, unquoted.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }

    /// As SQL.
    pub fn quoted(&self) -> String {
        format!("{}.{}", crate::pg::quote_ident(&self.schema), crate::pg::quote_ident(&self.name))
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.quoted())
    }
}

/// One table whose rows are carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name.
    pub table: TableName,
    /// Its columns in the order in which they stand in the data; generated ones are not carried.
    pub columns: Vec<String>,
    /// For an extension's configuration table: the extension's own condition for which rows are the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The partitioned table through which the rows are loaded: they may belong into other partitions where they
    /// are restored, and only the content of all of them together can be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<TableName>,
    /// Rows are loaded once those of all tables of earlier waves are there. Only tables of extensions that refer
    /// to each other have a wave after the first; one whose rows share an object is in the first.
    #[serde(default, skip_serializing_if = "Table::is_first")]
    pub wave: u32,
    /// Its rows.
    pub rows: u64,
    /// The fingerprint of its rows.
    pub fingerprint: Fingerprint,
    /// The objects that carry its rows; an empty table has none.
    pub chunks: Vec<Chunk>,
}

impl Table {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_first(wave: &u32) -> bool {
        *wave == 0
    }

    /// Where its content counts: in itself, or in the table that its rows are loaded through.
    pub fn counted_as(&self) -> &TableName {
        self.through.as_ref().unwrap_or(&self.table)
    }

    /// Rows and fingerprint as one.
    pub fn content(&self) -> TableContent {
        TableContent { rows: self.rows, fingerprint: self.fingerprint }
    }
}

/// Rows of one table that stand together in one object. A large table has many, each an object of its own;
/// of small tables, many share one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    /// The object's name within the backup.
    pub object: String,
    /// Where its rows begin in the object's text, in bytes before compression.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub from: u64,
    /// Bytes of text, before compression.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The fingerprint of its rows; the chunks' sum is the table's.
    pub fingerprint: Fingerprint,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A sequence's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Its name.
    pub sequence: TableName,
    /// `last_value`.
    pub last_value: i64,
    /// `is_called`: whether the next value is the one after it.
    pub is_called: bool,
}

/// The name of a data object, and its chunks in the order in which they stand there, each with its table.
pub type DataObject<'a> = (&'a Object, Vec<(&'a Table, &'a Chunk)>);

impl Manifest {
    /// The file's bytes, with the checksum filled.
    ///
    /// # Errors
    /// Never for a manifest of ours; what the serializer says otherwise.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        let blank = Manifest { checksum: NO_CHECKSUM.to_string(), ..self.clone() };
        let mut bytes = serde_json::to_vec_pretty(&blank).map_err(ManifestError::Json)?;
        bytes.push(b'\n');
        let checksum = hex::encode(Sha256::digest(&bytes));
        let at = checksum_at(&bytes, NO_CHECKSUM).ok_or(ManifestError::Checksum)?;
        bytes[at..at + NO_CHECKSUM.len()].copy_from_slice(checksum.as_bytes());
        Ok(bytes)
    }

    /// Reads a manifest's bytes.
    ///
    /// # Errors
    /// If the format is unknown, the text is no manifest, its checksum does not hold, or its parts
    /// contradict each other.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Header {
            format: u32,
        }
        let header: Header = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if header.format != FORMAT {
            return Err(ManifestError::Format(header.format));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        let mut blank = bytes.to_vec();
        let at = checksum_at(bytes, &manifest.checksum).ok_or(ManifestError::Checksum)?;
        blank[at..at + NO_CHECKSUM.len()].copy_from_slice(NO_CHECKSUM.as_bytes());
        if hex::encode(Sha256::digest(&blank)) != manifest.checksum {
            return Err(ManifestError::Checksum);
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// The object of this name.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.name == name)
    }

    /// The parts of the large objects, in the order in which they are to be run.
    pub fn large_object_parts(&self) -> Vec<&Object> {
        let number = |object: &&Object| name::large_object_number(&object.name);
        let mut parts: Vec<&Object> = self.objects.iter().filter(|o| number(o).is_some()).collect();
        parts.sort_by_key(number);
        parts
    }

    /// Bytes before compression, of all objects.
    pub fn raw_bytes(&self) -> u64 {
        total(self.objects.iter().map(|object| object.raw_bytes)).unwrap_or(u64::MAX)
    }

    /// Bytes as stored, of all objects.
    pub fn stored_bytes(&self) -> u64 {
        total(self.objects.iter().map(|object| object.stored_bytes)).unwrap_or(u64::MAX)
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        total(self.tables.iter().map(|table| table.rows)).unwrap_or(u64::MAX)
    }

    /// Whether the parts agree: every data object is made of chunks without a gap, and the chunks' rows and
    /// fingerprints add up to their table's.
    fn check(&self) -> Result<(), ManifestError> {
        let totals = [
            total(self.objects.iter().map(|object| object.raw_bytes)),
            total(self.objects.iter().map(|object| object.stored_bytes)),
            total(self.tables.iter().map(|table| table.rows)),
        ];
        if totals.contains(&None) {
            return Err(ManifestError::TooLarge);
        }
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for object in &self.objects {
            if !names.insert(&object.name) {
                return Err(ManifestError::Twice(object.name.clone()));
            }
        }
        for needed in [name::PRE_DATA, name::POST_DATA] {
            if !names.contains(needed) {
                return Err(ManifestError::NoObject(needed.to_string()));
            }
        }
        let mut seen = BTreeSet::new();
        for table in &self.tables {
            if !seen.insert(&table.table) {
                return Err(ManifestError::Twice(table.table.to_string()));
            }
            let mut sum = TableContent::default();
            for chunk in &table.chunks {
                sum += TableContent { rows: chunk.rows, fingerprint: chunk.fingerprint };
            }
            let rows = total(table.chunks.iter().map(|chunk| chunk.rows));
            if sum != table.content() || rows != Some(table.rows) {
                return Err(ManifestError::Sum(table.table.clone()));
            }
        }
        self.check_objects()
    }

    fn check_objects(&self) -> Result<(), ManifestError> {
        let mut chunks = self.chunks_by_object();
        for object in self.objects.iter().filter(|object| name::is_data(&object.name)) {
            let mut end = 0;
            for (_, chunk) in chunks.remove(object.name.as_str()).unwrap_or_default() {
                if chunk.from != end {
                    return Err(ManifestError::Gap(object.name.clone()));
                }
                end = chunk.from.saturating_add(chunk.bytes);
            }
            if end != object.raw_bytes {
                return Err(ManifestError::Gap(object.name.clone()));
            }
        }
        match chunks.into_keys().next() {
            Some(object) => Err(ManifestError::NoObject(object.to_string())),
            None => Ok(()),
        }
    }

    /// The data objects in the waves in which they are loaded, each with its chunks.
    pub fn waves(&self) -> BTreeMap<u32, Vec<DataObject<'_>>> {
        let mut chunks_of = self.chunks_by_object();
        let mut waves: BTreeMap<u32, Vec<DataObject<'_>>> = BTreeMap::new();
        for object in &self.objects {
            let Some(chunks) = chunks_of.remove(object.name.as_str()) else { continue };
            let wave = chunks.iter().map(|(table, _)| table.wave).max().unwrap_or_default();
            waves.entry(wave).or_default().push((object, chunks));
        }
        waves
    }

    /// The chunks of every data object, in the order in which they stand there, each with its table.
    pub fn chunks_by_object(&self) -> BTreeMap<&str, Vec<(&Table, &Chunk)>> {
        let mut chunks: BTreeMap<&str, Vec<(&Table, &Chunk)>> = BTreeMap::new();
        for table in &self.tables {
            for chunk in &table.chunks {
                chunks.entry(&chunk.object).or_default().push((table, chunk));
            }
        }
        for list in chunks.values_mut() {
            list.sort_by_key(|(_, chunk)| chunk.from);
        }
        chunks
    }
}

/// The sum, unless it is more than a backup can be.
fn total(mut sizes: impl Iterator<Item = u64>) -> Option<u64> {
    sizes.try_fold(0u64, u64::checked_add)
}

/// Where the checksum's digits stand.
fn checksum_at(bytes: &[u8], checksum: &str) -> Option<usize> {
    if checksum.len() != NO_CHECKSUM.len() {
        return None;
    }
    let wanted = format!("\"checksum\": \"{checksum}\"");
    let at = bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes())?;
    Some(at + wanted.len() - 1 - checksum.len())
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Written by a newer backstay.
    #[error("its format is {0}, and this backstay knows only format {FORMAT}")]
    Format(u32),
    /// No manifest at all, or a changed one.
    #[error("it is no manifest: {0}")]
    Json(#[source] serde_json::Error),
    /// A byte was changed since it was written.
    #[error("its checksum does not hold: it was changed after it was written")]
    Checksum,
    /// The same thing stands in it twice.
    #[error("it names {0} twice")]
    Twice(String),
    /// A chunk's object, or one that every backup has, is not among its objects.
    #[error("{0} is missing among its objects")]
    NoObject(String),
    /// A data object is not what its chunks make together.
    #[error("the rows that it names in object {0} leave a gap there")]
    Gap(String),
    /// Its sizes or rows add up to more than 64 bits hold.
    #[error("its sizes add up to more than any backup has")]
    TooLarge,
    /// It is another backup's.
    #[error("it is that of backup {0}, not of this one")]
    Elsewhere(String),
    /// A table's chunks do not add up.
    #[error("the chunks of table {0} do not add up to the table")]
    Sum(TableName),
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
