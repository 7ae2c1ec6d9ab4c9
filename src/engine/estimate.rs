//! How long the way back is likely to take, from what the journal knows. **Pure.**

use std::time::Duration;

use super::decide::way_back;
use super::plan::Plan;
use super::state::State;
use crate::steps::Action;

/// Closing the database, counting what others wrote, two renames: measured at well under a second.
const DATABASE: Duration = Duration::from_secs(1);
/// A new session, and health checks of an application that is well.
const PROOF: Duration = Duration::from_secs(2);

/// How long it would take to put production back. An undo is taken to last as long as its command did; one under way,
/// as long as it was `at_work`.
pub fn of_way_back(plan: &Plan, state: &State, at_work: Duration) -> Duration {
    let lasted = |id| {
        let standing = state.line(id);
        standing.took.or_else(|| standing.began.map(|_| at_work))
    };
    way_back(plan, state)
        .iter()
        .map(|line| match &line.action {
            Action::Undo { line } => lasted(*line).unwrap_or_default(),
            Action::Swap { .. } | Action::Reopen | Action::ReadLedger => DATABASE,
            Action::Prove { .. } => PROOF,
            _ => Duration::ZERO,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OnWrites;
    use crate::engine::plan::Line;
    use crate::event::{LineId, Phase};
    use crate::journal::{Entry, FORMAT, Record};
    use crate::runbook::{CommandStep, StepKind, Undo};

    fn plan() -> Plan {
        let command = CommandStep {
            run: vec!["deploy".into()],
            undo: Undo::Run(vec!["undeploy".into()]),
            timeout: Duration::from_secs(600),
            directory: None,
            env: Default::default(),
            url: None,
        };
        let raise = Action::RaiseFlag { max: Duration::from_secs(60), put_back_after: None };
        let actions = [raise, Action::Close, Action::Step(StepKind::Command(command))];
        let line =
            |(n, action)| Line { id: LineId::Line(n), phase: Phase::During, name: String::new(), action };
        let lines = (1..).zip(actions).map(line).collect();
        Plan { lines, first_deploy: false, on_writes: OnWrites::Ask, rollback: None }
    }

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(second).unwrap()
    }

    fn state(started: u32, finished: Option<u64>) -> State {
        let record = |entry, at| Record {
            format: FORMAT,
            number: 1,
            run: "r".into(),
            epoch: 1,
            nonce: "n".into(),
            at,
            previous: String::new(),
            entry,
        };
        let line = LineId::Line;
        let mut records: Vec<Record> = (1..=started)
            .map(|n| Entry::Started { line: line(n), name: String::new(), intent: Default::default() })
            .map(|entry| record(entry, at(100)))
            .collect();
        if let Some(millis) = finished {
            let (line, summary, facts) = (line(started), String::new(), Default::default());
            records.push(record(Entry::Finished { line, summary, facts, millis, probed: false }, at(101)));
        }
        State::of(&records)
    }

    #[test]
    fn an_undo_is_taken_to_last_as_its_command_did() {
        let (regular, long) = (DATABASE + PROOF, Duration::from_secs(40));
        assert_eq!(of_way_back(&plan(), &state(0, None), long), Duration::ZERO, "nothing was begun");
        assert_eq!(of_way_back(&plan(), &state(2, None), long), regular);
        assert_eq!(of_way_back(&plan(), &state(3, Some(90_000)), long), regular + Duration::from_secs(90));
        assert_eq!(
            of_way_back(&plan(), &state(3, None), long),
            regular + long,
            "for as long as it is under way"
        );
    }
}
