//! One line of a run, with every time that it was begun.

use jiff::Timestamp;
use serde::Serialize;

use crate::event::Phase;
use crate::failure::Failure;

/// One line of the checklist, or of the way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its id: `7`, `back-2`.
    pub id: String,
    /// Its phase; nothing if the record that tells it is lost.
    pub phase: Option<Phase>,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Its result in words.
    pub summary: String,
    /// Every time that it was begun.
    pub tries: Vec<Try>,
    /// What it had to note.
    pub notes: Vec<String>,
    /// How many further notes are in the log alone.
    pub notes_left_out: u64,
    /// What it printed.
    pub output: Vec<String>,
    /// How many further lines of output are in the log alone.
    pub output_left_out: u64,
    /// Before which row of `output` they are missing; nothing if none are.
    pub output_gap_at: Option<usize>,
}

/// How a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Not begun, or begun without effect.
    Waiting,
    /// At work, as far as anybody knows.
    Running,
    /// Begun, and its driver stopped: what became of it is looked up by whoever resumes.
    Unfinished,
    /// Done.
    Done,
    /// Failed.
    Failed,
}

/// One time that a line was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Try {
    /// Which driver of the run began it.
    pub epoch: u32,
    /// When, by its clock.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub end: End,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It has not, or nobody wrote it down.
    Open,
    /// Done.
    Done,
    /// Found done by a later driver.
    FoundDone,
    /// Failed.
    Failed(Failure),
    /// Found without effect.
    WithoutEffect(String),
}

impl Line {
    /// How long the line was at work, all tries together, in milliseconds; nothing if it was never begun.
    pub fn millis(&self, until: Timestamp) -> Option<u64> {
        let of = |t: &Try| crate::event::millis(crate::time::between(t.began, t.ended.unwrap_or(until)));
        (!self.tries.is_empty()).then(|| self.tries.iter().map(of).sum())
    }

    /// The failures of its tries, in order.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.tries.iter().filter_map(|t| match &t.end {
            End::Failed(failure) => Some(failure),
            _ => None,
        })
    }
}
