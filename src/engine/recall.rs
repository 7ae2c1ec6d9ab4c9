//! What lines need of the plan and of earlier lines, gathered from plan and journal. **Pure.**

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::plan::{Line, Plan};
use super::state::{State, Status};
use crate::config::OnWrites;
use crate::event::{LineId, Phase};
use crate::runbook::{GuardKind, Level, StepKind};
use crate::steps::{Action, BackupFacts, Outline, Recall};

/// What lines need to know of the plan as a whole.
pub fn outline(plan: &Plan, runbook: &str) -> Outline {
    let mut outline = Outline {
        runbook: runbook.to_string(),
        window: plan.find(|action| matches!(action, Action::Close)).is_some(),
        first_deploy: plan.first_deploy,
        rollback: plan.rollback.clone(),
        ..Outline::default()
    };
    let mut digest = Sha256::new();
    for line in &plan.lines {
        digest.update(format!("{:?}\n", line.action));
        match &line.action {
            Action::Step(StepKind::Migrate { to, root }) => {
                outline.migrations.push((root.clone(), to.clone()))
            }
            Action::RestoreAside { .. } => outline.restores = true,
            Action::Guard(GuardKind::Backup) => (outline.backs_up, outline.restores) = (true, true),
            Action::Step(StepKind::Backup { verify }) => {
                outline.backs_up = true;
                outline.restores |= *verify == Level::Restore;
            }
            Action::Step(StepKind::Checklist { .. }) => {
                outline.questions.insert(line.id, line.name.clone());
            }
            Action::Step(StepKind::Verify(verify)) => {
                outline.counts_rows |= line.phase <= Phase::Open;
                outline.may_shrink.extend(verify.may_shrink.iter().cloned());
            }
            Action::Step(StepKind::Watch(watch)) => {
                outline.counts_rows |= watch.rows.as_ref().is_some_and(|rows| rows.asked);
                let programs = watch.logs.iter().filter_map(|log| log.source.program());
                outline.logs.extend(programs.map(|argv| (line.id, argv.to_vec())));
            }
            Action::Step(kind @ (StepKind::Command(_) | StepKind::Services(_))) => {
                outline.commands.insert(line.id, kind.commands());
            }
            _ => {}
        }
    }
    outline.digest = hex::encode(digest.finalize());
    outline
}

/// What earlier lines left. Facts that another version wrote in another shape are left out: the line
/// that needs them says so.
pub fn recall(plan: &Plan, state: &State, back: &[Line]) -> Recall {
    let find = |wanted: fn(&Action) -> bool| plan.find(wanted).map(|line| state.line(line.id));
    let facts = |wanted: fn(&Action) -> bool| find(wanted).map(|standing| standing.facts).unwrap_or_default();
    let intent =
        |wanted: fn(&Action) -> bool| find(wanted).map(|standing| standing.intent).unwrap_or_default();
    Recall {
        closing: serde_json::from_value(intent(|a| matches!(a, Action::Close))).ok(),
        raising: serde_json::from_value(intent(|a| matches!(a, Action::RaiseFlag { .. }))).ok(),
        flag_is_down: state.flag_is_down,
        outside_schedule: state.outside_schedule,
        stopped_by: state.stopped_by.clone().filter(|_| state.interrupted.is_some()),
        guard: serde_json::from_value(facts(|a| matches!(a, Action::Guard(_)))).ok(),
        mark: serde_json::from_value(intent(|a| matches!(a, Action::Open))).ok(),
        preview: serde_json::from_value(facts(|a| matches!(a, Action::Step(StepKind::Preview)))).ok(),
        backup: serde_json::from_value(facts(|a| matches!(a, Action::Step(StepKind::Backup { .. })))).ok(),
        proven: backups(plan, state),
        aside: serde_json::from_value(facts(|a| matches!(a, Action::RestoreAside { .. }))).ok(),
        exchanged: serde_json::from_value(facts(|a| matches!(a, Action::Exchange))).ok(),
        swapped: back.iter().any(|line| {
            matches!(line.action, Action::Swap { .. }) && state.status(line.id) == Status::Finished
        }),
        put_back_anyway: state.put_back_anyway || plan.on_writes == OnWrites::PutBack,
        applied: applied(plan, state),
        watched: Duration::ZERO,
    }
}

/// The backups that stand before the window, each with the level that its line must prove.
fn backups(plan: &Plan, state: &State) -> Vec<(Level, Option<BackupFacts>)> {
    let before = plan.lines.iter().filter(|line| line.phase == Phase::Before);
    let level = |line: &Line| match line.action {
        Action::Step(StepKind::Backup { verify }) => Some((verify, line.id)),
        _ => None,
    };
    let facts = |id| serde_json::from_value(state.line(id).facts).ok();
    before.filter_map(level).map(|(level, id)| (level, facts(id))).collect()
}

fn applied(plan: &Plan, state: &State) -> Vec<String> {
    let migrates = |line: &&Line| matches!(line.action, Action::Step(StepKind::Migrate { .. }));
    plan.lines
        .iter()
        .filter(migrates)
        .filter_map(|line| state.line(line.id).facts.get("applied").cloned())
        .filter_map(|applied| serde_json::from_value::<Vec<String>>(applied).ok())
        .flatten()
        .collect()
}

/// The line with this id: of the plan, or of the way back.
pub fn line_of<'a>(plan: &'a Plan, back: &'a [Line], id: LineId) -> Option<&'a Line> {
    plan.line(id).or_else(|| back.iter().find(|line| line.id == id))
}
