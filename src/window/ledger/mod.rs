//! What others wrote since the database was opened again: seen, and kept before a put-back drops it.
//!
//! A [`Mark`] is journaled before `open`, while the database is still ours alone. [`read`] compares the
//! database with it, and with the guard where rows may be gone. Counters of a session that is still connected
//! lag behind (up to ten seconds, PostgreSQL manual, "The Cumulative Statistics System"), so the reading that
//! decides is the one behind the fence, after every session was ended and has reported. [`keep()`] then writes
//! what was found to the store, as scripts that `gunzip` and `psql` load into the old schema.
//!
//! | room | its job |
//! | --- | --- |
//! | `mark` | the state of the database before others may write |
//! | `look` | what is there and was not: the findings |
//! | `table` | what one table gained and lost |
//! | `definitions` | schema objects that others changed |
//! | `large` | large objects that others wrote |
//! | `shape` | a table's columns and key, and how they pair with the guard's |
//! | `merge` | two ordered streams of keys, side by side |
//! | `door` | the way into the guard, which is closed to everybody |
//! | `keep`, `pen` | the findings to objects on the store |
//! | `script` | the SQL around the rows. **Pure** |
//! | `document`, `describe` | `ledger.json`, what the files are; written last |

mod definitions;
mod describe;
mod document;
mod door;
mod keep;
mod large;
mod look;
mod mark;
mod merge;
mod pen;
mod script;
mod shape;
mod table;

use serde::{Deserialize, Serialize};

pub use document::{Database as KeptDatabase, Deletions, Document, DocumentError, File, FileKind, Table};
pub use door::Door;
pub use keep::{Ground, Kept, NotKept, keep, newest};
pub use look::{Found, read};
pub use mark::{Counters, Mark, TableMark, count, mark};

/// What others wrote, in words: what a person is shown, and the journal keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// By object: `public.orders: 3 rows new or changed`.
    pub entries: Vec<Entry>,
}

/// Writes to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The object.
    pub name: String,
    /// What was seen.
    pub what: String,
}

impl Ledger {
    /// Nobody else wrote.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One line for a person.
    pub fn describe(&self) -> String {
        match self.entries.len() {
            0 => "nobody else wrote".to_string(),
            _ => {
                self.entries.iter().map(|e| format!("{}: {}", e.name, e.what)).collect::<Vec<_>>().join("; ")
            }
        }
    }
}
