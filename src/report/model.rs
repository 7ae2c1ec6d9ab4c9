//! What a report tells; the document of `--json`.

use jiff::Timestamp;
use serde::Serialize;

use super::evidence::BackupSeen;
use crate::event::Phase;
use crate::failure::Failure;
use crate::journal::Driver;
use crate::window::ledger::Ledger;

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
    /// What others wrote before production was put back.
    pub writes: Option<Writes>,
    /// What of the run could not be read.
    pub damage: Vec<String>,
}

/// How a run ended or stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The verdict as `runs` has it; `running`, or `unknown` where the journal does not tell.
    pub verdict: String,
    /// The exit code that goes with it, once there is one.
    pub exit: Option<u8>,
    /// In a sentence.
    pub headline: String,
    /// What production is.
    pub production: String,
    /// How it is to be taken.
    pub tone: Tone,
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
    /// What it printed.
    pub output: Vec<String>,
    /// How many further lines of output are in the log alone.
    pub output_left_out: u64,
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

/// What a person, or whoever spoke for one, said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// When.
    pub at: Timestamp,
    /// To what: the line's name, or the decision.
    pub to: String,
    /// What was answered.
    pub said: String,
    /// Who.
    pub who: String,
    /// Whether a person was asked; nothing where that is not told.
    pub asked: Option<bool>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
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

/// What others wrote between the opening of the database and its being put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Writes {
    /// By object.
    pub ledger: Ledger,
    /// Where they are kept on the store, once they are.
    pub kept: Option<String>,
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

impl Drive {
    pub(super) fn of(epoch: u32, at: Timestamp, driver: &Driver) -> Self {
        Self { epoch, at, who: driver.to_string(), version: driver.version.clone() }
    }
}
