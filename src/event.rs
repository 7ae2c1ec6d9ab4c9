//! The one vocabulary in which a run tells what it does.
//!
//! The engine and the steps emit [`Event`]s and never print; every screen (terminal, plain lines,
//! JSON) is a reader of the stream. A question to a person travels inside an event and carries the
//! way back for its answer.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::failure::{Failure, Verdict};

/// One thing that happened in a run. `--json` prints each as one object a line, named by `event`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A driver took the run up: at its beginning, or again by `resume`.
    RunBegan {
        /// When.
        at: Timestamp,
        /// The run's id.
        run: String,
        /// How many drivers this run has had, this one included.
        epoch: u32,
        /// The environment's name.
        environment: String,
        /// The database, as `name on host:port`.
        database: String,
        /// The runbook's name and description.
        runbook: String,
        /// What the runbook says of itself.
        description: String,
        /// The whole checklist.
        lines: Vec<LineCard>,
    },
    /// A line was journaled as started and acts now.
    LineStarted {
        /// When.
        at: Timestamp,
        /// Which line.
        line: LineId,
    },
    /// How far the running line is.
    Progress {
        /// Which line.
        line: LineId,
        /// Units done.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// What is counted.
        unit: Unit,
        /// What is at work just now: a table, a migration, a check.
        note: String,
    },
    /// A line of output of a command.
    Output {
        /// Which line.
        line: LineId,
        /// The text, without its line end.
        text: String,
    },
    /// Something worth knowing that stops nothing.
    Note {
        /// Which line, if any.
        line: Option<LineId>,
        /// The sentence.
        text: String,
    },
    /// A line finished, and its record is durable.
    LineFinished {
        /// When.
        at: Timestamp,
        /// Which line.
        line: LineId,
        /// Its result in a few words.
        summary: String,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A line failed, and its record is durable.
    LineFailed {
        /// When.
        at: Timestamp,
        /// Which line.
        line: LineId,
        /// Why.
        failure: Failure,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// The flag went up: from here users see the maintenance page.
    WindowBegan {
        /// When.
        at: Timestamp,
        /// How long the window may last, in milliseconds.
        max_millis: Option<u64>,
    },
    /// The flag is down again.
    WindowEnded {
        /// When.
        at: Timestamp,
    },
    /// The run turns back; these lines put production back.
    PutBackBegan {
        /// When.
        at: Timestamp,
        /// The lines of the way back, in order.
        lines: Vec<LineCard>,
    },
    /// A person is asked. No answer (the sender dropped) means no.
    Question {
        /// Which line asks.
        line: LineId,
        /// What is asked.
        text: String,
        /// What must be typed for yes.
        expects: String,
        /// The way back for what was typed.
        #[serde(skip)]
        reply: oneshot::Sender<String>,
    },
    /// The run's last event.
    Ended {
        /// When.
        at: Timestamp,
        /// How it ended.
        verdict: Verdict,
        /// The exit code.
        exit: u8,
        /// The run's id.
        run: String,
        /// What production is, in words.
        production: String,
        /// The first cause, if anything failed.
        cause: Option<Failure>,
        /// What failed on the way back, if anything did: beside the first cause, never in its place.
        put_back_cause: Option<Failure>,
        /// What to do next.
        next: Vec<String>,
    },
}

/// Which line: of the runbook (`7`), or of the way back (`back-2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum LineId {
    /// The n-th line of the checklist, from 1.
    Line(u32),
    /// The n-th line of the way back, from 1.
    Back(u32),
}

impl std::fmt::Display for LineId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LineId::Line(n) => write!(f, "{n}"),
            LineId::Back(n) => write!(f, "back-{n}"),
        }
    }
}

impl From<LineId> for String {
    fn from(id: LineId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for LineId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |t: &str| t.parse().map_err(|_| format!("{text:?} names no line"));
        match text.strip_prefix("back-") {
            Some(rest) => number(rest).map(LineId::Back),
            None => number(&text).map(LineId::Line),
        }
    }
}

/// One line of the checklist as it stands on the paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCard {
    /// Which line.
    pub id: LineId,
    /// The phase that it stands in.
    pub phase: Phase,
    /// Its name: `migrate to head`, `restart api`.
    pub name: String,
    /// Already done in an earlier epoch, with this summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
}

/// The phases of a checklist, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Production serves.
    Before,
    /// Flag up, database closed: it is ours alone.
    During,
    /// Database open again, flag still up.
    Open,
    /// Production serves again.
    After,
    /// The way back.
    PutBack,
}

/// What a progress counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things: tables, checks, migrations.
    Items,
    /// Milliseconds of a known wait.
    Millis,
}

/// The words of what people are notified of (`[notify]`), whatever tells them.
pub const NOTICES: [&str; 5] = [RUN_BEGAN, "window_overrun", "needs_a_person", "watch_breach", RUN_ENDED];
/// Those that are as they should be.
pub const ORDINARY: [&str; 2] = [RUN_BEGAN, RUN_ENDED];
/// A driver took a run up.
pub const RUN_BEGAN: &str = "run_began";
/// A run ended, and no person is needed at once.
pub const RUN_ENDED: &str = "run_ended";

/// Where events are sent. Cheap to clone; sending never blocks and never fails (no reader: no screen).
#[derive(Debug, Clone)]
pub struct Events(mpsc::UnboundedSender<Event>);

impl Events {
    /// A stream and its reader.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// A stream that nobody reads.
    pub fn unheard() -> Self {
        Self::channel().0
    }

    /// Sends one event.
    pub fn emit(&self, event: Event) {
        // A screen that is gone is no reason to stop a release.
        let _ = self.0.send(event);
    }

    /// Asks a person, for `line`. Gives whether `expects` was typed, or nothing if nobody could answer.
    pub async fn ask(&self, line: LineId, text: String, expects: &str) -> Option<bool> {
        let (reply, answer) = oneshot::channel();
        self.emit(Event::Question { line, text, expects: expects.to_string(), reply });
        answer.await.ok().map(|typed| typed.trim() == expects)
    }

    /// A handle that reports the progress of `line`.
    pub fn progress(&self, line: LineId) -> Progress {
        Progress { events: Some(self.clone()), line }
    }
}

/// Reports how far one line is; handed to whatever does the work, which knows no runbook.
#[derive(Debug, Clone)]
pub struct Progress {
    events: Option<Events>,
    line: LineId,
}

impl Progress {
    /// Nobody looks.
    pub fn none() -> Self {
        Self { events: None, line: LineId::Line(0) }
    }

    /// `done` of `total` units; `note` names what is at work.
    pub fn at(&self, done: u64, total: Option<u64>, unit: Unit, note: impl Into<String>) {
        self.send(|line| Event::Progress { line, done, total, unit, note: note.into() });
    }

    /// A sentence worth knowing.
    pub fn note(&self, text: impl Into<String>) {
        self.send(|line| Event::Note { line: Some(line), text: text.into() });
    }

    /// A line of a command's output.
    pub fn output(&self, text: impl Into<String>) {
        self.send(|line| Event::Output { line, text: text.into() });
    }

    fn send(&self, event: impl FnOnce(LineId) -> Event) {
        if let Some(events) = &self.events {
            events.emit(event(self.line));
        }
    }
}

/// A duration as events carry it.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
