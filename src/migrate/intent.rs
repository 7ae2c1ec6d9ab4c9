//! What the history keeps of a statement that is about to run and can't commit together with its record.

use serde::{Deserialize, Serialize};

/// Written before the statement; taken away with the record that it took effect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Intent {
    /// Its number, from 1.
    pub statement: usize,
    /// SHA-256 of its text.
    pub checksum: String,
    /// The indexes that were invalid before, by quoted name: those are not ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<String>,
    /// The index that it builds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builds: Option<Built>,
    /// How far its batches came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batches: Option<Cursor>,
}

/// An index under construction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// Its schema, quoted.
    pub schema: String,
    /// Its name, quoted and with its schema.
    pub index: String,
    /// Its table's object id.
    pub table: u32,
}

/// The end of the last batch that is committed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The primary key of its last row, as text.
    pub key: Vec<String>,
    /// How many rows of the table were passed.
    pub passed: u64,
    /// How many rows were changed.
    pub changed: u64,
}

impl Intent {
    /// From the history; `None` where there is none, or one that nobody can read.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// For the history.
    pub fn write(&self) -> String {
        // Text, numbers and lists only: it can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}
