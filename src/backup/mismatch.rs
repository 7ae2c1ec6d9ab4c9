//! What is wrong with a backup, or with what was restored from it, said of one thing.

use super::fingerprint::{Difference, TableContent};
use super::manifest::{Chunk, Table, TableName};

/// Something that is not as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The manifest itself.
    Manifest {
        /// Why it is refused.
        reason: String,
    },
    /// An object is not there.
    Missing {
        /// Which.
        object: String,
    },
    /// An object has another size.
    Size {
        /// Which.
        object: String,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// An object's bytes have another SHA-256.
    Hash {
        /// Which.
        object: String,
    },
    /// An object cannot be decompressed, though its bytes are those that were written.
    Undecodable {
        /// Which.
        object: String,
        /// Why.
        reason: String,
    },
    /// An object decompresses to another number of bytes.
    RawSize {
        /// Which.
        object: String,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// An object decompresses to more bytes than the manifest says; how many more was not tried.
    TooLong {
        /// Which.
        object: String,
        /// Bytes by the manifest.
        expected: u64,
    },
    /// A chunk has another number of rows.
    Rows {
        /// Which.
        object: String,
        /// Its table.
        table: TableName,
        /// Rows by the manifest.
        expected: u64,
        /// Rows found.
        found: u64,
    },
    /// A chunk has other rows.
    Fingerprint {
        /// Which.
        object: String,
        /// Its table.
        table: TableName,
    },
    /// A chunk's last row is cut.
    CutRow {
        /// Which.
        object: String,
        /// Its table.
        table: TableName,
    },
    /// The restored database has other content.
    Content(Box<Difference>),
    /// The restored database has another schema.
    Schema {
        /// The lines that differ, `-` in the backup, `+` in the restored database.
        lines: Vec<String>,
    },
    /// The server refused to take the backup back.
    NotRestored {
        /// What could not be done, and why.
        reason: String,
    },
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mismatch::Manifest { reason } => write!(f, "the manifest is refused: {reason}"),
            Mismatch::Missing { object } => write!(f, "{object} is missing"),
            Mismatch::Size { object, expected, found } => {
                write!(f, "{object} has {found} bytes, not {expected}")
            }
            Mismatch::Hash { object } => write!(f, "{object} has other bytes than were written"),
            Mismatch::Undecodable { object, reason } => {
                write!(f, "{object} cannot be decompressed: {reason}")
            }
            Mismatch::RawSize { object, expected, found } => {
                write!(f, "{object} decompresses to {found} bytes, not {expected}")
            }
            Mismatch::TooLong { object, expected } => {
                write!(f, "{object} decompresses to more than {expected} bytes")
            }
            Mismatch::Rows { object, table, expected, found } => {
                write!(f, "{object} of table {table} has {found} rows, not {expected}")
            }
            Mismatch::Fingerprint { object, table } => {
                write!(f, "{object} of table {table} has other rows than were written")
            }
            Mismatch::CutRow { object, table } => write!(f, "{object} of table {table} ends in mid-row"),
            Mismatch::Content(difference) => write!(f, "backup and restored database differ in {difference}"),
            Mismatch::Schema { lines } => {
                write!(f, "the restored schema differs: {}", lines.join("\n"))
            }
            Mismatch::NotRestored { reason } => write!(f, "it does not restore: could not {reason}"),
        }
    }
}

impl Mismatch {
    /// Holds a chunk's rows against the manifest.
    pub(super) fn of_chunk(table: &Table, chunk: &Chunk, found: Option<TableContent>) -> Option<Self> {
        let (object, name) = (chunk.object.clone(), table.table.clone());
        match found {
            None => Some(Mismatch::CutRow { object, table: name }),
            Some(found) if found.rows != chunk.rows => {
                Some(Mismatch::Rows { object, table: name, expected: chunk.rows, found: found.rows })
            }
            Some(found) if found.fingerprint != chunk.fingerprint => {
                Some(Mismatch::Fingerprint { object, table: name })
            }
            Some(_) => None,
        }
    }
}
