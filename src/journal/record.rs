//! What one record says.

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::event::{LineCard, LineId};
use crate::failure::{Failure, Verdict};
use crate::machine::{self, Machine};
use crate::redact::redact;
use crate::rollback::Order;

/// The journal's format; a newer one is refused, an older one stays readable.
pub const FORMAT: u32 = 1;

/// One numbered object of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`] when it was written.
    pub format: u32,
    /// From 1, without gaps.
    pub number: u32,
    /// The run that it belongs to.
    pub run: String,
    /// Which driver of the run wrote it.
    pub epoch: u32,
    /// The driver's own mark: how it knows its bytes from another's.
    pub nonce: String,
    /// When, in UTC, by the driver's clock.
    pub at: Timestamp,
    /// SHA-256 of the object before, in hex; empty in the first.
    pub previous: String,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// The run began.
    Began {
        /// The environment's name.
        environment: String,
        /// SHA-256 of the environment's file.
        config_hash: String,
        /// The runbook, whole: a resume follows this one, whatever the file says by then.
        runbook: RunbookCopy,
        /// The database that the run is about.
        target: Target,
        /// Who drives.
        driver: Box<Driver>,
        /// The checklist.
        lines: Vec<LineCard>,
        /// What a rollback was told; none in every other run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollback: Option<Box<Order>>,
    },
    /// Another driver took the run over; the earlier one is fenced from here on.
    TookOver {
        /// Who drives now.
        driver: Box<Driver>,
    },
    /// A line is about to act. Durable before it does.
    Started {
        /// Which line.
        line: LineId,
        /// Its name, which must match the plan's at a resume.
        name: String,
        /// What it is going to do, by object id and name: what a probe compares the world with.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        intent: serde_json::Value,
    },
    /// The line did what it should.
    Finished {
        /// Which line.
        line: LineId,
        /// Its result in a few words.
        summary: String,
        /// What later lines need of it.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        facts: serde_json::Value,
        /// How long it took.
        millis: u64,
        /// Not seen to finish by its driver, but found finished by a probe.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        probed: bool,
    },
    /// The line failed.
    Failed {
        /// Which line.
        line: LineId,
        /// Why.
        failure: Failure,
        /// How long it took.
        millis: u64,
    },
    /// The line had been started, and a probe found that it had no effect: it may be started again.
    Abandoned {
        /// Which line.
        line: LineId,
        /// What the probe saw.
        why: String,
    },
    /// From here the run goes backwards.
    PutBackBegan {
        /// The way back.
        lines: Vec<LineCard>,
    },
    /// An earlier driver put production back, of which it left no record here: its own wait on its machine.
    PutBackFound {
        /// What was found of it.
        found: FoundBack,
        /// The last driver that the journal knows.
        by: Box<Driver>,
    },
    /// A person (or a flag that speaks for one) decided to put back although others' writes go to the ledger.
    PutBackAnyway {
        /// Who: user and host.
        who: String,
    },
    /// A person decided to keep the new version although a line failed: the override of the put-back.
    KeepNew {
        /// Who: user and host.
        who: String,
    },
    /// A person says that the flag, which stands on another machine, is down.
    FlagIsDown {
        /// Who: user and host.
        who: String,
    },
    /// A person decided to run although the schedule said no.
    OutsideSchedule {
        /// Who: user and host.
        who: String,
        /// The reason that was given.
        why: String,
        /// What the schedule said.
        was: String,
    },
    /// The run was stopped, by a person or by its own clock.
    Interrupted {
        /// By what.
        how: String,
        /// What follows where the flag is up; before and after the window a run just stops.
        #[serde(default)]
        onward: Onward,
    },
    /// The run ended so. After [`Verdict::NotPutBack`] a resume may try again.
    Ended {
        /// How.
        verdict: Verdict,
    },
}

impl Entry {
    /// The entry with every secret masked in the texts that people write and read.
    ///
    /// What a program compares (ids, names of databases, facts) stays: a password that happens to be the
    /// database's name must not break a resume.
    pub(super) fn redacted(mut self) -> Self {
        let mask = |text: &mut String| *text = redact(text).into_owned();
        match &mut self {
            Entry::Began { runbook, lines, .. } => {
                mask(&mut runbook.text);
                lines.iter_mut().for_each(|line| mask(&mut line.name));
            }
            Entry::PutBackBegan { lines } => lines.iter_mut().for_each(|line| mask(&mut line.name)),
            Entry::Started { name, .. } => mask(name),
            Entry::Finished { summary, .. } => mask(summary),
            Entry::Failed { failure, .. } => *failure = failure.redacted(),
            Entry::Abandoned { why: text, .. }
            | Entry::OutsideSchedule { why: text, .. }
            | Entry::Interrupted { how: text, .. } => mask(text),
            Entry::TookOver { .. }
            | Entry::PutBackFound { .. }
            | Entry::PutBackAnyway { .. }
            | Entry::KeepNew { .. }
            | Entry::FlagIsDown { .. }
            | Entry::Ended { .. } => {}
        }
        self
    }
}

/// What follows an interruption inside the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Onward {
    /// Production is put back.
    #[default]
    PutBack,
    /// The run stops where it is, for `resume` to go on or put back.
    Leave,
}

/// How a put-back shows of which no record is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundBack {
    /// The guard bears production's name.
    Swapped,
    /// The database that nothing had changed is open under its own name.
    Reopened,
}

impl FoundBack {
    /// In words: what `by`, who drove last, must have done.
    pub fn words(self, by: &Driver) -> String {
        let sign = match self {
            FoundBack::Swapped => "the guard is production already",
            FoundBack::Reopened => "the unchanged database is open already",
        };
        format!("{by} put production back without the store ({sign}); the records of that are not here")
    }
}

/// The runbook as it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunbookCopy {
    /// Its name.
    pub name: String,
    /// Where it came from.
    pub origin: String,
    /// Its text, before any `${NAME}` was filled in; secrets that stand in it are masked.
    pub text: String,
    /// SHA-256 of the text as it was read: tells whether the copy is whole.
    pub hash: String,
}

/// The database that a run is about, as it was found at the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The server's system identifier: the same name on another server is another database.
    pub system: String,
    /// The database's name.
    pub name: String,
    /// Its object id: names change in a window, ids do not.
    pub oid: u32,
}

/// Who drives a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Driver {
    /// The user's name.
    pub user: String,
    /// Where it runs.
    #[serde(flatten)]
    pub machine: Machine,
    /// The process id there.
    pub pid: u32,
    /// When that process started, in ticks after the machine's start: another one has its number later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// The version of backstay.
    pub version: String,
}

impl Driver {
    /// This process.
    pub fn this_process() -> Self {
        Self {
            user: Account::of_this_process().name.unwrap_or_else(|| "nobody we know".to_string()),
            machine: Machine::here(),
            pid: std::process::id(),
            started: machine::start_of(std::process::id()),
            version: env!("CARGO_PKG_VERSION").to_string(),
        }
    }

    /// Whether this process is known to be no more: it ran where we can see it. Elsewhere nothing is known.
    pub fn is_gone(&self) -> bool {
        if !self.machine.shares_processes(&Machine::here()) {
            return false;
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let another = machine::start_of(self.pid).zip(self.started).is_some_and(|(now, then)| now != then);
        another || pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
    }
}

impl std::fmt::Display for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {} (pid {})", self.user, self.machine.host, self.pid)
    }
}
