//! Runs as they are found on a store: how one is told, record by record.

mod broken;
mod releases;
mod stopped;

use backstay::event::{LineCard, LineId, Phase};
use backstay::failure::{Failure, Verdict};
use backstay::journal::{Driver, Entry, Record, RunbookCopy, Target};
use backstay::machine::Machine;
use backstay::report::Evidence;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub use broken::*;
pub use releases::*;
pub use stopped::*;

pub const RUN: &str = "20261121t020000z-b4kqn";

const RUNBOOK: &str = "name = \"release\"\ndescription = \"Backup-guarded production release\"\n\n[[before]]\nstep = \"preflight\"\n\n[window]\nguard = \"clone\"\nmax = \"15m\"\n\n[[during]]\nstep = \"migrate\"\nto = \"head\"\n";

/// A run that is being told.
pub struct Tale {
    pub evidence: Evidence,
    now: Timestamp,
    epoch: u32,
    log: String,
}

impl Tale {
    /// Begun, with this checklist.
    pub fn begin(lines: Vec<LineCard>) -> Self {
        let now: Timestamp = "2026-11-21T02:00:00.412Z".parse().expect("a time");
        let evidence = Evidence { run: RUN.into(), at: now, ..Evidence::default() };
        let mut tale = Self { evidence, now, epoch: 1, log: String::new() };
        tale.say(Entry::Began {
            environment: "production".into(),
            config_hash: String::new(),
            runbook: RunbookCopy {
                name: "release".into(),
                origin: "runbooks/release.toml".into(),
                text: RUNBOOK.into(),
                hash: String::new(),
            },
            target: Target { system: "1".into(), name: "shop".into(), oid: 16760 },
            driver: driver("maria", "runner-7"),
            lines,
            rollback: None,
        });
        tale
    }

    pub fn say(&mut self, entry: Entry) -> &mut Self {
        self.evidence.records.push(Record {
            format: 1,
            number: self.evidence.records.len() as u32 + 1,
            run: RUN.into(),
            epoch: self.epoch,
            nonce: "n".into(),
            at: self.now,
            previous: String::new(),
            entry,
        });
        self
    }

    pub fn wait(&mut self, millis: i64) -> &mut Self {
        self.now += SignedDuration::from_millis(millis);
        self.evidence.at = self.now;
        self
    }

    pub fn start(&mut self, line: LineId, name: &str) -> &mut Self {
        self.wait(6).say(Entry::Started { line, name: name.into(), intent: Value::Null })
    }

    /// A line that is begun and done.
    pub fn done(&mut self, line: LineId, name: &str, millis: i64, summary: &str, facts: Value) -> &mut Self {
        self.start(line, name).wait(millis);
        let (summary, millis) = (summary.into(), millis as u64);
        self.say(Entry::Finished { line, summary, facts, millis, probed: false })
    }

    pub fn fail(&mut self, line: LineId, millis: i64, failure: Failure) -> &mut Self {
        self.wait(millis).say(Entry::Failed { line, failure, millis: millis as u64 })
    }

    pub fn print(&mut self, line: LineId, text: &str) -> &mut Self {
        self.log.push_str(&format!("2026-11-21T02:00:01.000Z {line} | {text}\n"));
        self
    }

    pub fn note(&mut self, line: LineId, text: &str) -> &mut Self {
        self.log.push_str(&format!("2026-11-21T02:00:01.000Z {line} ! {text}\n"));
        self
    }

    pub fn end(&mut self, verdict: Verdict) -> &mut Self {
        self.wait(8).say(Entry::Ended { verdict })
    }

    pub fn take_over(&mut self) -> &mut Self {
        self.epoch += 1;
        self.say(Entry::TookOver { driver: driver("jonas", "laptop-3") })
    }

    pub fn told(self) -> Evidence {
        let mut evidence = self.evidence;
        evidence.log = Some(self.log);
        evidence
    }
}

pub fn driver(user: &str, host: &str) -> Box<Driver> {
    let machine = Machine { host: host.into(), ..Machine::default() };
    Box::new(Driver { user: user.into(), machine, pid: 4711, started: None, version: "0.1.0".into() })
}

pub fn cards(phase: Phase, names: &[&str], first: u32) -> Vec<LineCard> {
    let id = |n| if phase == Phase::PutBack { LineId::Back(n) } else { LineId::Line(n) };
    (first..)
        .zip(names)
        .map(|(n, name)| LineCard { id: id(n), phase, name: name.to_string(), done: None })
        .collect()
}

pub fn line(n: u32) -> LineId {
    LineId::Line(n)
}
