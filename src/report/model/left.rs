//! What lines left for the reader: the SQL, findings, schemas, checks, answers, others' writes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::window::ledger::Ledger;

/// What a person, or whoever spoke for one, said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// When.
    pub at: Timestamp,
    /// To what: the line's name, or the decision.
    pub to: String,
    /// What was answered.
    pub said: String,
    /// Who; with the machine, if that is known.
    pub who: String,
    /// How that is known.
    pub known: Known,
}

/// How an answer is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Known {
    /// Who answered was asked at a terminal.
    Asked,
    /// By `--yes`: nobody was asked.
    Yes,
    /// It stands in the plan file that the run was given.
    Plan {
        /// Somebody at a terminal typed it; else whoever called `backstay approve --yes` said so.
        typed: bool,
        /// Who wrote it down there.
        recorded_by: String,
    },
    /// It stands in a file of answers.
    File {
        /// The file.
        file: String,
        /// Who gave it to the run.
        given_by: String,
    },
    /// It is not told.
    Untold,
}

/// What was previewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The SQL, with the lint's comments; nothing if the store has it no more.
    pub sql: Option<String>,
    /// The revisions that were pending.
    pub revisions: Vec<String>,
    /// What was approved: SHA-256 over commit, SQL and plan.
    pub hash: String,
    /// The project's commit.
    pub commit: Option<String>,
}

/// What a lint step found, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// `warn` or `error`.
    pub level: String,
    /// The migration's file.
    pub file: String,
    /// The line in it; 0 where the statement stands on none.
    pub line: u32,
    /// What is wrong.
    pub what: String,
    /// What shows it.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// What to do instead.
    #[serde(default)]
    pub help: Vec<String>,
}

/// The schema before and after the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "schema", rename_all = "snake_case")]
pub enum Schema {
    /// It is not known; why.
    Unknown {
        /// In a sentence.
        why: &'static str,
    },
    /// It is the same.
    Same,
    /// What differs: headings, and lines with `-` and `+`.
    Changed {
        /// The lines.
        lines: Vec<String>,
    },
}

/// What one health check saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The line that checked.
    #[serde(default)]
    pub line: String,
    /// What was asked: an address, or a query.
    pub check: String,
    /// What was answered.
    pub answer: String,
    /// How long the last answer took, in milliseconds.
    pub latency_millis: u64,
    /// How often it was asked.
    #[serde(default)]
    pub tries: u64,
    /// How long it took until it was good, in milliseconds.
    #[serde(default)]
    pub good_after_millis: u64,
}

/// What others wrote and production has no more, or may lose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Writes {
    /// Since when.
    pub since: Since,
    /// By object; nothing if no look at them was journaled.
    pub ledger: Option<Ledger>,
    /// Where they are kept on the store, once they are.
    pub kept: Option<String>,
}

/// Since when others' writes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// Since this run opened the database.
    Opening,
    /// Since the release that a rollback took back.
    Release,
}
