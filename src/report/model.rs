//! What a report tells; the document of `--json`.

mod left;
mod line;

use jiff::Timestamp;
use serde::Serialize;

pub use left::{Answer, Finding, Health, Known, Preview, Schema, Since, Writes};
pub use line::{End, Line, Standing, Try};

use super::evidence::BackupSeen;
use crate::failure::{Failure, Verdict};
use crate::journal::Driver;

/// One run, ready to be told.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The document's version.
    pub format: u32,
    /// The run's id.
    pub run: String,
    /// When the report was made.
    pub at: Timestamp,
    /// The environment's name.
    pub environment: String,
    /// The database's name.
    pub database: String,
    /// The runbook's name.
    pub runbook: String,
    /// Where the runbook came from.
    pub origin: String,
    /// The runbook as it was.
    pub runbook_text: String,
    /// How the run ended or stands.
    pub outcome: Outcome,
    /// When the run began.
    pub began: Option<Timestamp>,
    /// The last moment that is known of it: its end, or its driver's last sign of life.
    pub until: Option<Timestamp>,
    /// When the flag was up.
    pub window: Option<Window>,
    /// What failed first; never what failed because of it.
    pub first_cause: Option<Cause>,
    /// What hindered the way back.
    pub put_back_cause: Option<Cause>,
    /// What to do next.
    pub next: Vec<String>,
    /// The lines of the way there, then those of the way back.
    pub lines: Vec<Line>,
    /// Takeovers, interruptions, decisions.
    pub happenings: Vec<Happening>,
    /// Who drove.
    pub drivers: Vec<Drive>,
    /// What was previewed.
    pub preview: Option<Preview>,
    /// What a lint step found.
    pub findings: Vec<Finding>,
    /// Answers and approvals.
    pub answers: Vec<Answer>,
    /// The schema before and after.
    pub schema: Schema,
    /// The backups that the run made.
    pub backups: Vec<BackupSeen>,
    /// What health checks saw.
    pub health: Vec<Health>,
    /// What others wrote before another database took production's place.
    pub writes: Option<Writes>,
    /// What of the run could not be read.
    pub damage: Vec<String>,
}

/// How a run ended or stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The verdict as `runs` has it; `running`, or `unknown` where nothing tells.
    pub verdict: Stand,
    /// The exit code that goes with it, once there is one.
    pub exit: Option<u8>,
    /// In a sentence.
    pub headline: String,
    /// What production is.
    pub production: String,
    /// How it is to be taken.
    pub tone: Tone,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// It ended so; or nobody drives it, and this is what `resume` finds.
    Over(Verdict),
    /// Its driver lives, as far as two clocks can tell.
    Running,
    /// What is left of it does not tell.
    Unknown,
}

/// How something is to be taken: what gives it its colour, beside its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// As wished.
    Good,
    /// Production is sound, but something is not as wished.
    Mixed,
    /// A person is needed.
    Bad,
    /// It goes on.
    Open,
}

/// When users saw the maintenance page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Window {
    /// When the flag went up.
    pub began: Timestamp,
    /// When it came down; nothing while it is up.
    pub ended: Option<Timestamp>,
    /// How long it may last, in milliseconds.
    pub max_millis: Option<u64>,
}

/// A failure and the line in which it came up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The line's id and name, if it was one.
    pub line: Option<(String, String)>,
    /// What happened.
    pub failure: Failure,
}

/// Something that happened to the run and belongs to no line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// In a word: `taken over`.
    pub what: &'static str,
    /// In a sentence.
    pub text: String,
}

/// One driver of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drive {
    /// Which one, from 1.
    pub epoch: u32,
    /// Since when.
    pub at: Timestamp,
    /// Who: user, host and process.
    pub who: String,
    /// The version of backstay.
    pub version: String,
}

impl Report {
    /// How long the run took, or has taken until it was last heard of, in milliseconds.
    pub fn millis(&self) -> Option<u64> {
        Some(crate::event::millis(crate::time::between(self.began?, self.until?)))
    }
}

impl Window {
    /// How long users saw the maintenance page, in milliseconds; `until` is the last moment that is known.
    pub fn millis(&self, until: Timestamp) -> u64 {
        crate::event::millis(crate::time::between(self.began, self.ended.unwrap_or(until)))
    }
}

impl Stand {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Stand::Over(verdict) => verdict.word(),
            Stand::Running => "running",
            Stand::Unknown => "unknown",
        }
    }
}

impl Serialize for Stand {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl Drive {
    pub(super) fn of(epoch: u32, at: Timestamp, driver: &Driver) -> Self {
        Self { epoch, at, who: driver.to_string(), version: driver.version.clone() }
    }
}
