//! What went wrong, in the parts that a tired person needs, and what that means for production.
//!
//! Modules have small typed errors of their own; each is turned into a [`Failure`] once, where it
//! leaves its module, and nothing is lost on the way: the first cause stays the first line.

use serde::{Deserialize, Serialize};

use crate::redact::redact;

/// One failure, worded for a person: what happened, to what, why, and what to do next.
///
/// `what` reads after "could not": `connect to shop on 127.0.0.1:5432`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("could not {what}{}", self.because())]
pub struct Failure {
    /// Who is at fault, and so which exit code follows while production is untouched.
    pub kind: Kind,
    /// What was being done, to what; reads after "could not".
    pub what: String,
    /// Why, in the words of whoever refused (the server, the system, a child process).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// In what state things are now, if the failure itself knows better than the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What to do next: whole sentences or lines to type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
}

/// The classes of failure that a program can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Wrong arguments, config or runbook: decidable from files and arguments alone (exit 2).
    Usage,
    /// The world is not as the step needs it (exit 3 while production is untouched).
    Refused,
    /// The step tried and failed.
    Failed,
    /// Another driver owns the run now: stop at once, touch nothing (invariant 8).
    Fenced,
    /// Stopped by a signal.
    Interrupted,
    /// A defect of backstay (exit 1).
    Internal,
}

impl Failure {
    /// A failure of `kind` while doing `what`.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), causes: Vec::new(), state: None, next: Vec::new() }
    }

    /// Wrong arguments, config or runbook.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    /// The world is not as it must be.
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(Kind::Refused, what)
    }

    /// Something was tried and did not work.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Kind::Failed, what)
    }

    /// A defect of backstay itself.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(Kind::Internal, what)
    }

    /// Adds the cause: an error and everything below it, outermost first.
    #[must_use]
    pub fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.push_cause(error.to_string());
            next = error.source();
        }
        self
    }

    /// Adds a cause in words.
    #[must_use]
    pub fn because_of(mut self, cause: impl Into<String>) -> Self {
        self.push_cause(cause.into());
        self
    }

    /// Says in what state things are now.
    #[must_use]
    pub fn leaving(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// Adds one thing to do next.
    #[must_use]
    pub fn then(mut self, next: impl Into<String>) -> Self {
        self.next.push(next.into());
        self
    }

    /// The same with every secret masked.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mask = |text: &String| redact(text).into_owned();
        Self {
            kind: self.kind,
            what: mask(&self.what),
            causes: self.causes.iter().map(mask).collect(),
            state: self.state.as_ref().map(mask),
            next: self.next.iter().map(mask).collect(),
        }
    }

    /// The causes as one line, or nothing.
    pub fn because(&self) -> String {
        if self.causes.is_empty() { String::new() } else { format!(": {}", self.causes.join(": ")) }
    }

    fn push_cause(&mut self, cause: String) {
        let cause = cause.trim().to_string();
        // Libraries repeat their source in their own text ("db error: ERROR: …"): say it once.
        if !cause.is_empty() && !self.causes.iter().any(|c| c.contains(&cause)) {
            self.causes.push(cause);
        }
    }
}

/// How a command ended: the exit code is the state of production (invariant 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// 0: production is as wished.
    Done,
    /// 1: a defect; `backstay status` tells the state.
    Internal,
    /// 2: refused from files and arguments alone; production is untouched.
    Usage,
    /// 3: refused or failed before the flag went up; production is untouched.
    Refused,
    /// 4: failed and put back: the old production serves, verified.
    PutBack,
    /// 5: failed and not put back: production is in maintenance, a person is needed.
    NotPutBack,
    /// 6: interrupted outside the window: production serves, `resume` goes on.
    Interrupted,
    /// 7: changed and serving, but a later check failed.
    ChangedButFailing,
    /// 8: interrupted inside the window: production is in maintenance, `resume` goes on.
    InterruptedInWindow,
}

impl Verdict {
    /// The exit code of the program.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Done => 0,
            Verdict::Internal => 1,
            Verdict::Usage => 2,
            Verdict::Refused => 3,
            Verdict::PutBack => 4,
            Verdict::NotPutBack => 5,
            Verdict::Interrupted => 6,
            Verdict::ChangedButFailing => 7,
            Verdict::InterruptedInWindow => 8,
        }
    }

    /// Its name in `--json` and in the journal.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Done => "done",
            Verdict::Internal => "internal",
            Verdict::Usage => "usage",
            Verdict::Refused => "refused",
            Verdict::PutBack => "put_back",
            Verdict::NotPutBack => "not_put_back",
            Verdict::Interrupted => "interrupted",
            Verdict::ChangedButFailing => "changed_but_failing",
            Verdict::InterruptedInWindow => "interrupted_in_window",
        }
    }

    /// What production is, in words; the `production` of a run's last `--json` object.
    pub fn production(self) -> &'static str {
        match self {
            Verdict::Done => "as wished",
            Verdict::Internal => "unknown; see `backstay status`",
            Verdict::Usage | Verdict::Refused => "untouched",
            Verdict::PutBack => "the old one, serving, verified",
            Verdict::NotPutBack => "in maintenance, flag up: a person is needed",
            Verdict::Interrupted => "serving; `backstay resume` goes on",
            Verdict::ChangedButFailing => "the new one, serving",
            Verdict::InterruptedInWindow => "in maintenance; `backstay resume` goes on or puts back",
        }
    }
}

impl From<Kind> for Verdict {
    /// The verdict of a failure that left production untouched.
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Usage => Verdict::Usage,
            Kind::Refused | Kind::Failed | Kind::Fenced => Verdict::Refused,
            Kind::Interrupted => Verdict::Interrupted,
            Kind::Internal => Verdict::Internal,
        }
    }
}
