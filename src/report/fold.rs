//! Records to what a report tells beside its lines: causes, decisions, drivers, and what lines left. **Pure.**

use jiff::Timestamp;

use super::evidence::{Evidence, Kept};
use super::facts::Finished;
use super::flag::{flag_lines, window};
use super::lines::Lines;
use super::model::{
    Answer, Cause, Drive, Finding, Happening, Health, Known, Line, Preview, Since, Window, Writes,
};
use super::outcome;
use crate::engine::advice::{self, Course};
use crate::engine::standing;
use crate::engine::state::State;
use crate::event::LineId;
use crate::failure::{Failure, Kind, Verdict};
use crate::journal::{Entry, Record};
use crate::steps::{Exchanged, Left, would_drop_writes};

/// What the records add up to.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub lines: Vec<Line>,
    pub window: Option<Window>,
    pub until: Option<Timestamp>,
    pub first_cause: Option<Cause>,
    pub put_back_cause: Option<Cause>,
    pub happenings: Vec<Happening>,
    pub drivers: Vec<Drive>,
    pub preview: Option<Preview>,
    pub findings: Vec<Finding>,
    pub answers: Vec<Answer>,
    pub health: Vec<Health>,
    pub writes: Option<Writes>,
    /// A guard was taken.
    pub guarded: bool,
    /// What the swap of the way back left.
    pub swapped: Left,
    /// What a rollback left that put another database in production's place.
    pub exchanged: Option<Exchanged>,
}

pub(super) fn fold(evidence: &Evidence, state: &State) -> Folded {
    let records = &evidence.records;
    let lines = Lines::of(records).settle(outcome::is_running(evidence, state));
    let is_rollback = standing::order_of(records).is_some();
    let mut folded = Folded { until: until(evidence), ..Folded::default() };
    for record in records {
        if let Entry::Finished { line, facts, summary, .. } = &record.entry {
            let (id, at) = (line.to_string(), record.at);
            let name = lines.iter().find(|line| line.id == id).map_or(&*id, |line| &*line.name);
            let finished = Finished { at, line: *line, name, summary, facts };
            finished.tell(evidence.preview.as_ref(), &mut folded);
        }
        folded.add(record, is_rollback);
    }
    // A rollback that was put back: production is the database that has those writes.
    let is_back = |writes: &Writes| writes.since == Since::Release && state.ended == Some(Verdict::PutBack);
    folded.writes = folded.writes.filter(|writes| !is_back(writes));
    folded.window = window(&lines, records, state);
    folded.causes(state, &lines, &evidence.run);
    folded.lines = lines;
    folded
}

/// The last moment that is known of the run.
fn until(evidence: &Evidence) -> Option<Timestamp> {
    let record = evidence.records.last().map(|record| record.at);
    let beat = match &evidence.lease {
        Kept::There(lease) => Some(lease.at),
        Kept::Nothing | Kept::Unreadable => None,
    };
    record.max(beat)
}

impl Folded {
    /// What is to be known of the lines to say what comes after them.
    pub fn course<'r>(&self, records: &'r [Record]) -> Course<'r> {
        Course {
            flag: flag_lines(&self.lines),
            order: standing::order_of(records),
            guarded: self.guarded,
            swapped: self.swapped.clone(),
            exchanged: self.exchanged.clone(),
        }
    }

    fn add(&mut self, record: &Record, is_rollback: bool) {
        let at = record.at;
        let mut happened = |what, text: String| self.happenings.push(Happening { at, what, text });
        match &record.entry {
            Entry::Began { driver, .. } => self.drivers.push(Drive::of(record.epoch, at, driver)),
            Entry::TookOver { driver } => {
                happened(
                    "taken over",
                    format!("{driver} goes on with the run, as its driver {}", record.epoch),
                );
                self.drivers.push(Drive::of(record.epoch, at, driver));
            }
            Entry::Abandoned { line, why } => {
                happened("found without effect", format!("line {line}: {why}"));
            }
            Entry::Interrupted { how, .. } => happened("interrupted", how.clone()),
            Entry::PutBackBegan { .. } => {
                happened("turned back", "from here the run puts production back".into());
            }
            Entry::PutBackFound { found, by } => happened("found put back", found.words(by)),
            Entry::Ended { verdict } => {
                let production = advice::production(is_rollback, *verdict);
                happened("ended", format!("exit {}: production is {production}", verdict.exit_code()));
            }
            entry => self.decided(at, entry),
        }
    }

    /// What a person decided.
    fn decided(&mut self, at: Timestamp, entry: &Entry) {
        const BACK: &str = "the way back";
        let (to, who, said) = match entry {
            Entry::PutBackAnyway { who } => {
                (BACK, who, "put production back, although others wrote since it was opened".into())
            }
            Entry::KeepNew { who } => (BACK, who, "keep the new version, although a line failed".into()),
            Entry::FlagIsDown { who } => (BACK, who, "the flag is down on the other machine".into()),
            Entry::OutsideSchedule { who, why, was } => {
                ("the schedule", who, format!("run outside of it ({was}): {why}"))
            }
            _ => return,
        };
        let text = format!("{who}: {said}");
        self.answers.push(Answer { at, to: to.into(), said, who: who.clone(), known: Known::Untold });
        self.happenings.push(Happening { at, what: "decided", text });
    }

    /// The two causes, as the end of a run tells them: the first is never replaced by what followed from it.
    fn causes(&mut self, state: &State, lines: &[Line], run: &str) {
        let named = |id: &LineId, failure: &Failure| {
            let id = id.to_string();
            let name = lines.iter().rev().find(|line| line.id == id).map(|line| line.name.clone());
            Cause { line: Some((id, name.unwrap_or_default())), failure: failure.clone() }
        };
        if state.ended == Some(Verdict::Done) {
            return;
        }
        self.first_cause = state.first_failure.as_ref().map(|(id, failure)| named(id, failure));
        if let (None, Some(how)) = (&self.first_cause, &state.stopped_by) {
            let failure = Failure::new(Kind::Interrupted, "finish the release").because_of(how.as_str());
            self.first_cause = Some(Cause { line: None, failure });
        }
        if state.ended == Some(Verdict::PutBack) {
            return;
        }
        self.put_back_cause = state.back_failure.as_ref().map(|(id, failure)| named(id, failure));
        if self.put_back_cause.is_none() && state.ended == Some(Verdict::NotPutBack) {
            let failure = self.unagreed(state, run);
            self.put_back_cause = failure.map(|failure| Cause { line: None, failure });
        }
    }

    /// Why the run stopped in the middle of its way back, where that was for others' writes.
    fn unagreed(&self, state: &State, run: &str) -> Option<Failure> {
        let writes = self.writes.as_ref().filter(|writes| writes.kept.is_none() && !state.put_back_anyway)?;
        Some(would_drop_writes(writes.ledger.as_ref()?, run))
    }
}
