//! Records to what a report tells beside its lines: the window, causes, decisions, and what lines left. **Pure.**

use jiff::Timestamp;
use serde_json::Value;

use super::evidence::Evidence;
use super::lines::Lines;
use super::model::{
    Answer, Cause, Drive, End, Finding, Happening, Health, Line, Preview, Standing, Window, Writes,
};
use super::outcome;
use crate::engine::state::State;
use crate::event::{LineId, Phase};
use crate::failure::{Failure, Kind, Verdict};
use crate::journal::{Entry, Record};
use crate::steps::would_drop_writes;
use crate::window::ledger::Ledger;

/// As the plan names the line that raises the flag.
const RAISE: &str = "raise the flag";
/// As the plan names the lines that take it down.
const CLEAR: &str = "clear the flag";

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
}

pub(super) fn fold(evidence: &Evidence, state: &State) -> Folded {
    let records = &evidence.records;
    let lines = Lines::of(records).settle(outcome::is_running(evidence, state));
    let mut folded = Folded { until: until(evidence), ..Folded::default() };
    for record in records {
        folded.add(record, &lines, evidence);
    }
    folded.window = window(&lines, records);
    folded.causes(state, &lines, &evidence.run);
    folded.lines = lines;
    folded
}

/// The last moment that is known of the run.
fn until(evidence: &Evidence) -> Option<Timestamp> {
    let record = evidence.records.last().map(|record| record.at);
    record.max(evidence.lease.as_ref().map(|lease| lease.at))
}

impl Folded {
    fn add(&mut self, record: &Record, lines: &[Line], evidence: &Evidence) {
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
            Entry::PutBackAnyway { who } => {
                self.decided(at, who, "put production back, although others wrote since it was opened");
            }
            Entry::KeepNew { who } => self.decided(at, who, "keep the new version, although a line failed"),
            Entry::FlagIsDown { who } => self.decided(at, who, "the flag is down on the other machine"),
            Entry::Ended { verdict } => {
                happened(
                    "ended",
                    format!("exit {}: production is {}", verdict.exit_code(), verdict.production()),
                );
            }
            Entry::Finished { line, facts, summary, .. } => {
                self.left(at, *line, facts, summary, lines, evidence);
            }
            _ => {}
        }
    }

    fn decided(&mut self, at: Timestamp, who: &str, said: &str) {
        let to = "the way back".to_string();
        self.answers.push(Answer { at, to, said: said.into(), who: who.into(), asked: None });
        self.happenings.push(Happening { at, what: "decided", text: format!("{who}: {said}") });
    }

    /// What a line left for later ones, as far as it is worth telling.
    fn left(
        &mut self,
        at: Timestamp,
        id: LineId,
        facts: &Value,
        summary: &str,
        lines: &[Line],
        evidence: &Evidence,
    ) {
        let id = id.to_string();
        let name = lines.iter().find(|line| line.id == id).map_or(id.clone(), |line| line.name.clone());
        if let (Some(hash), Some(_)) = (facts["hash"].as_str(), facts["sql_hash"].as_str()) {
            self.preview = Some(Preview {
                sql: evidence.preview.clone(),
                revisions: of(&facts["revisions"]).unwrap_or_default(),
                hash: hash.to_string(),
                commit: facts["commit"].as_str().map(String::from),
            });
        }
        if let Some(findings) = of::<Vec<Finding>>(&facts["findings"]) {
            self.findings.extend(findings);
        }
        if let Some(checks) = of::<Vec<Health>>(&facts["checks"]) {
            self.health.extend(checks.into_iter().map(|check| Health { line: name.clone(), ..check }));
        }
        if let Some(ledger) = of::<Ledger>(&facts["ledger"]).filter(|ledger| !ledger.is_empty()) {
            self.writes = Some(Writes { ledger, kept: None });
        }
        if let (Some(kept), Some(writes)) = (facts["ledger"].as_str(), &mut self.writes) {
            writes.kept = Some(kept.to_string());
        }
        if let Some(by) = facts["by"].as_str() {
            let host = facts["host"].as_str().map(|host| format!(" on {host}")).unwrap_or_default();
            let (who, asked) = (format!("{by}{host}"), facts["asked"].as_bool());
            // A manual line's question says more than its name.
            let to = facts["ask"].as_str().map_or(name, String::from);
            self.answers.push(Answer { at, to, said: summary.to_string(), who, asked });
        }
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
        let unagreed = self.writes.as_ref().filter(|writes| writes.kept.is_none() && !state.put_back_anyway);
        if let (None, Some(writes), Some(Verdict::NotPutBack)) = (&self.put_back_cause, unagreed, state.ended)
        {
            let failure = would_drop_writes(&writes.ledger, run);
            self.put_back_cause = Some(Cause { line: None, failure });
        }
    }
}

fn of<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

/// When the flag was up: from the line that raised it to the one that took it down, there or on the way back.
fn window(lines: &[Line], records: &[Record]) -> Option<Window> {
    let raise = lines.iter().find(|line| line.phase == Some(Phase::During) && line.name == RAISE)?;
    let began = raise.tries.iter().find(|t| !matches!(t.end, End::WithoutEffect(_)))?;
    let in_window = |line: &&Line| matches!(line.phase, Some(Phase::Open | Phase::PutBack));
    let clears = lines.iter().filter(in_window).filter(|line| line.name == CLEAR);
    let ended =
        clears.filter(|line| line.standing == Standing::Done).filter_map(|line| line.tries.last()?.ended);
    let max_millis = records.iter().find_map(|record| match &record.entry {
        Entry::Began { runbook, .. } => max_of(&runbook.text),
        _ => None,
    });
    Some(Window { began: began.ended.unwrap_or(began.began), ended: ended.max(), max_millis })
}

/// How long the window may last, as the runbook's text has it.
fn max_of(text: &str) -> Option<u64> {
    let table: toml::Table = text.parse().ok()?;
    let max = table.get("window")?.get("max")?.as_str()?;
    crate::time::parse_duration(max).ok().map(crate::event::millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_s_length_is_read_from_the_runbook() {
        assert_eq!(max_of("[window]\nmax = \"15m\"\n"), Some(900_000));
        assert_eq!((max_of("[window]\n"), max_of("= no TOML")), (None, None));
    }

    #[test]
    fn the_flag_s_lines_are_named_as_the_plan_names_them() {
        let plan = include_str!("../engine/plan.rs");
        let back = include_str!("../engine/decide.rs");
        assert!(plan.contains(&format!("{RAISE:?}")) && plan.contains(&format!("{CLEAR:?}")));
        assert!(back.contains(&format!("{CLEAR:?}")));
    }
}
