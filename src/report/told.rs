//! Evidence to what is told. **Pure.**

use serde_json::{Value, json};

use super::evidence::{Evidence, Kept};
use super::model::{Preview, Report, Schema};
use super::next::next;
use super::{fold, outcome, spoken};
use crate::backup::schema::compare_schemas;
use crate::backup::time_of_id;
use crate::engine::state::State;
use crate::failure::Verdict;
use crate::journal::Entry;

/// The version of the document that `--json` gives.
const FORMAT: u32 = 1;

impl Report {
    /// What is to be told of this evidence. **Pure.**
    pub fn of(evidence: &Evidence) -> Self {
        let state = State::of(&evidence.records);
        let mut folded = fold::fold(evidence, &state);
        if let Some(log) = &evidence.log {
            spoken::hand_out(log, &mut folded.lines);
        }
        let course = folded.course(&evidence.records);
        let stand = outcome::stand(evidence, &state, &course);
        let outcome = outcome::outcome(stand, evidence, &state, &course, folded.window.as_ref());
        let schema = Schema::of(evidence, state.ended, folded.preview.as_ref());
        let mut report = Self {
            format: FORMAT,
            run: evidence.run.clone(),
            at: evidence.at,
            environment: evidence.environment.clone(),
            database: String::new(),
            runbook: String::new(),
            origin: String::new(),
            runbook_text: String::new(),
            outcome,
            began: time_of_id(&evidence.run),
            until: folded.until,
            window: folded.window,
            first_cause: folded.first_cause,
            put_back_cause: folded.put_back_cause,
            next: Vec::new(),
            lines: folded.lines,
            happenings: folded.happenings,
            drivers: folded.drivers,
            preview: folded.preview,
            findings: folded.findings,
            answers: folded.answers,
            schema,
            backups: evidence.backups.clone(),
            health: folded.health,
            writes: folded.writes,
            damage: evidence.damage.clone(),
        };
        report.name(evidence);
        report.next = next(&report, &state, &course, evidence.refused);
        report
    }

    /// What the first record tells.
    fn name(&mut self, evidence: &Evidence) {
        for record in &evidence.records {
            let Entry::Began { environment, runbook, target, .. } = &record.entry else { continue };
            self.began = Some(record.at);
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
    fn of(evidence: &Evidence, ended: Option<Verdict>, preview: Option<&Preview>) -> Self {
        let nothing_pending = preview.is_some_and(|preview| preview.revisions.is_empty());
        let why = match (&evidence.schema_before, &evidence.schema_after) {
            (Kept::There(before), Kept::There(after)) => {
                return match compare_schemas(before, after) {
                    None => Schema::Same,
                    Some(lines) => Schema::Changed { lines: without_commas(&lines) },
                };
            }
            (Kept::Unreadable, _) | (_, Kept::Unreadable) => "a schema on the store can't be read",
            _ if nothing_pending => "no migrations were pending",
            (Kept::Nothing, Kept::Nothing) if preview.is_none() => "no step previewed migrations",
            (Kept::Nothing, _) => "the schema before the release was not taken: a note of preview says why",
            (Kept::There(_), Kept::Nothing) if ended == Some(Verdict::PutBack) => {
                "production was put back: it has the schema that it had before"
            }
            (Kept::There(_), Kept::Nothing) => {
                "the schema after the release was not taken: that is done by a step record"
            }
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
    fn why_a_schema_is_not_shown_is_what_was_there() {
        let there = || Kept::There(String::new());
        let pending = Preview { revisions: vec!["a".into()], sql: None, hash: String::new(), commit: None };
        let none = Preview { revisions: Vec::new(), ..pending.clone() };
        let why = |before, after, preview: Option<&Preview>| {
            let evidence = Evidence { schema_before: before, schema_after: after, ..Evidence::default() };
            match Schema::of(&evidence, Some(Verdict::Done), preview) {
                Schema::Unknown { why } => why,
                Schema::Same | Schema::Changed { .. } => "shown",
            }
        };
        // Earlier versions kept the schema after every release, whatever was pending.
        assert_eq!(why(Kept::Nothing, there(), Some(&none)), "no migrations were pending");
        assert_eq!(why(Kept::Nothing, Kept::Nothing, Some(&none)), "no migrations were pending");
        assert_eq!(why(Kept::Nothing, Kept::Nothing, None), "no step previewed migrations");
        for (before, after) in [(Kept::Unreadable, there()), (there(), Kept::Unreadable)] {
            assert_eq!(why(before, after, Some(&pending)), "a schema on the store can't be read");
        }
        assert!(why(Kept::Nothing, there(), Some(&pending)).starts_with("the schema before the release"));
        assert_eq!(why(there(), there(), Some(&pending)), "shown");
    }

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
