//! What the records of a journal add up to. **Pure.**

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::event::LineId;
use crate::failure::{Failure, Verdict};
use crate::journal::{Driver, Entry, FoundBack, Onward, Record};
use crate::time::between;

/// Where a run stands.
#[derive(Debug, Clone, Default)]
pub struct State {
    lines: BTreeMap<LineId, Standing>,
    /// The run turned back.
    pub putting_back: bool,
    /// An earlier driver put production back, and its records of that are missing.
    pub put_back_found: Option<FoundBack>,
    /// Somebody decided that others' writes go to the ledger.
    pub put_back_anyway: bool,
    /// Somebody decided to keep the new version.
    pub keep_new: bool,
    /// Somebody said that the flag on another machine is down.
    pub flag_is_down: bool,
    /// Somebody decided to run although the schedule said no.
    pub outside_schedule: bool,
    /// Stopped in this epoch, and what follows inside the window.
    pub interrupted: Option<Onward>,
    /// By what it was stopped last.
    pub stopped_by: Option<String>,
    /// The verdict, unless a later driver took the run up again.
    pub ended: Option<Verdict>,
    /// The first line that failed, and why: never replaced by what failed later (invariant 11).
    pub first_failure: Option<(LineId, Failure)>,
    /// The newest failure of the way back.
    pub back_failure: Option<(LineId, Failure)>,
}

/// How far one line is.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// What it is doing or did.
    pub status: Status,
    /// What its newest start was going to do.
    pub intent: Value,
    /// What it left for later lines.
    pub facts: Value,
    /// Its result in words.
    pub summary: Option<String>,
    /// It was started at least once, however that ended.
    pub ever_started: bool,
    /// When it was started first, by its driver's clock.
    pub began: Option<Timestamp>,
    /// How long it took, once that is known.
    pub took: Option<Duration>,
    /// How long it was worked at before stops, by its drivers' clocks. Of a driver that died nobody knows.
    pub worked: Duration,
    /// When it was started last.
    at_work: Option<Timestamp>,
}

/// The statuses of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Not started, or started without effect.
    #[default]
    Waiting,
    /// Started; how it ended nobody wrote down. Never assumed: probed.
    Started,
    /// Done.
    Finished,
    /// Failed under the present driver.
    Failed,
    /// Failed under an earlier driver: the present one may try again where that makes sense.
    FailedEarlier,
}

impl State {
    /// Folds the records of one run.
    pub fn of(records: &[Record]) -> Self {
        let mut state = State::default();
        for record in records {
            state.add(record);
        }
        state
    }

    /// Adds the next record.
    pub fn add(&mut self, record: &Record) {
        match &record.entry {
            Entry::Began { .. } => {}
            Entry::TookOver { .. } => {
                self.interrupted = None;
                self.ended = None;
                for standing in self.lines.values_mut() {
                    if standing.status == Status::Failed {
                        standing.status = Status::FailedEarlier;
                    }
                }
            }
            Entry::Started { line, intent, .. } => {
                let standing = self.lines.entry(*line).or_default();
                standing.status = Status::Started;
                standing.intent = intent.clone();
                standing.ever_started = true;
                standing.began = standing.began.or(Some(record.at));
                standing.at_work = Some(record.at);
            }
            Entry::Finished { line, facts, summary, millis, .. } => {
                let standing = self.lines.entry(*line).or_default();
                standing.status = Status::Finished;
                // Also where the record of its start is lost, as a reader of a damaged journal may find it.
                standing.ever_started = true;
                standing.facts = facts.clone();
                standing.summary = Some(summary.clone());
                standing.took = Some(Duration::from_millis(*millis));
            }
            Entry::Failed { line, failure, millis } => {
                let standing = self.lines.entry(*line).or_default();
                standing.status = Status::Failed;
                standing.took = Some(Duration::from_millis(*millis));
                match line {
                    LineId::Line(_) => {
                        self.first_failure.get_or_insert_with(|| (*line, failure.clone()));
                    }
                    LineId::Back(_) => self.back_failure = Some((*line, failure.clone())),
                }
            }
            Entry::Abandoned { line, .. } => self.lines.entry(*line).or_default().status = Status::Waiting,
            Entry::PutBackBegan { .. } => self.putting_back = true,
            Entry::PutBackFound { found, by } => self.add_found(*found, by),
            Entry::PutBackAnyway { who } => {
                (self.put_back_anyway, self.keep_new) = (true, false);
                if !self.putting_back {
                    self.stopped_by.get_or_insert_with(|| format!("put back, as {who} decided"));
                }
            }
            Entry::KeepNew { .. } => (self.keep_new, self.put_back_anyway) = (true, false),
            Entry::FlagIsDown { .. } => self.flag_is_down = true,
            Entry::OutsideSchedule { .. } => self.outside_schedule = true,
            Entry::Interrupted { how, onward } => {
                self.interrupted = Some(*onward);
                self.stopped_by = Some(how.clone());
                for standing in self.lines.values_mut().filter(|line| line.status == Status::Started) {
                    if let Some(began) = standing.at_work.take() {
                        standing.worked += between(began, record.at);
                    }
                }
            }
            Entry::Ended { verdict } => self.ended = Some(*verdict),
        }
    }

    /// What was under way was ended by the put-back that was found: nothing of it is left to be probed.
    fn add_found(&mut self, found: FoundBack, by: &Driver) {
        self.put_back_found = Some(found);
        self.stopped_by.get_or_insert_with(|| found.words(by));
        for standing in self.lines.values_mut().filter(|standing| standing.status == Status::Started) {
            standing.status = Status::Waiting;
        }
    }

    /// How far a line is.
    pub fn line(&self, id: LineId) -> Standing {
        self.lines.get(&id).cloned().unwrap_or_default()
    }

    /// A line's status.
    pub fn status(&self, id: LineId) -> Status {
        self.lines.get(&id).map_or(Status::Waiting, |standing| standing.status)
    }

    /// Whether a line was ever started: then it may have had an effect.
    pub fn ever_started(&self, id: LineId) -> bool {
        self.lines.get(&id).is_some_and(|standing| standing.ever_started)
    }
}
