//! Evidence to what is told. **Pure.**

use serde_json::{Value, json};

use super::evidence::Evidence;
use super::model::{Report, Schema};
use super::{fold, outcome, spoken};
use crate::backup::schema::compare_schemas;
use crate::engine::state::State;
use crate::failure::Verdict;
use crate::journal::Entry;

/// The version of the document that `--json` gives.
const FORMAT: u32 = 1;

impl Report {
    /// What is to be told of this evidence. **Pure.**
    pub fn of(evidence: &Evidence) -> Self {
        let state = State::of(&evidence.records);
        let folded = fold::fold(evidence, &state);
        let mut lines = folded.lines;
        if let Some(log) = &evidence.log {
            spoken::hand_out(log, &mut lines);
        }
        let mut report = Self {
            format: FORMAT,
            run: evidence.run.clone(),
            at: evidence.at,
            environment: String::new(),
            database: String::new(),
            runbook: String::new(),
            origin: String::new(),
            runbook_text: String::new(),
            outcome: outcome::outcome(evidence, &state, folded.window.as_ref()),
            began: evidence.records.first().map(|record| record.at),
            until: folded.until,
            window: folded.window,
            first_cause: folded.first_cause,
            put_back_cause: folded.put_back_cause,
            next: Vec::new(),
            lines,
            happenings: folded.happenings,
            drivers: folded.drivers,
            preview: folded.preview,
            findings: folded.findings,
            answers: folded.answers,
            schema: Schema::of(evidence, state.ended),
            backups: evidence.backups.clone(),
            health: folded.health,
            writes: folded.writes,
            damage: evidence.damage.clone(),
        };
        report.name(evidence);
        report.next = outcome::next(&report, &state);
        report
    }

    fn name(&mut self, evidence: &Evidence) {
        for record in &evidence.records {
            let Entry::Began { environment, runbook, target, .. } = &record.entry else { continue };
            self.environment.clone_from(environment);
            self.database.clone_from(&target.name);
            self.runbook.clone_from(&runbook.name);
            self.origin.clone_from(&runbook.origin);
            self.runbook_text.clone_from(&runbook.text);
        }
    }

    /// For programs: `--json`.
    pub fn document(&self) -> Value {
        // Nothing in it that JSON can't hold.
        serde_json::to_value(self)
            .unwrap_or_else(|error| json!({ "run": self.run, "error": error.to_string() }))
    }
}

impl Schema {
    fn of(evidence: &Evidence, ended: Option<Verdict>) -> Self {
        let why = match (&evidence.schema_before, &evidence.schema_after) {
            (Some(before), Some(after)) => {
                return match compare_schemas(before, after) {
                    None => Schema::Same,
                    Some(lines) => Schema::Changed { lines: without_commas(&lines) },
                };
            }
            (None, None) => "no migrations were pending, or the run did not come so far",
            (Some(_), None) if ended == Some(Verdict::PutBack) => {
                "production was put back: it has the schema that it had before"
            }
            (Some(_), None) => "the schema after the release was not taken: that is done by a step record",
            (None, Some(_)) => "the schema before the release could not be taken",
        };
        Schema::Unknown { why }
    }
}

/// A difference without the lines that only lost or gained the comma at their end, because another column now stands
/// below them.
fn without_commas(lines: &[String]) -> Vec<String> {
    let is_heading = |line: &String| line.starts_with("  ");
    let mut kept = Vec::new();
    for entry in lines.chunk_by(|_, next| !is_heading(next)) {
        let bare = |line: &String| line.get(1..).map(|text| text.trim_end_matches(',').to_string());
        let of = |sign: char| -> std::collections::BTreeSet<Option<String>> {
            entry.iter().filter(|line| line.starts_with(sign)).map(bare).collect()
        };
        let (gone, new) = (of('-'), of('+'));
        let changed =
            |line: &&String| is_heading(line) || !(gone.contains(&bare(line)) && new.contains(&bare(line)));
        kept.extend(entry.iter().filter(changed).cloned());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_is_no_difference() {
        let lines = [
            "  orders; Type: TABLE",
            "-     id bigint",
            "+     id bigint,",
            "+     n int",
            "  b; Type: VIEW",
            "-  id bigint,",
        ];
        let lines = lines.map(String::from);
        assert_eq!(
            without_commas(&lines),
            ["  orders; Type: TABLE", "+     n int", "  b; Type: VIEW", "-  id bigint,"]
        );
    }
}
