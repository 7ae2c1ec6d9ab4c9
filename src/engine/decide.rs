//! What happens next. **Pure:** (plan, what the journal adds up to) → one decision.
//!
//! Every prefix of every journal has exactly one answer, so a driver that died at any record is
//! followed by one that goes on from there.

use super::flag_lines::FlagLines;
use super::plan::{Line, Plan};
use super::state::{State, Status};
use crate::config::OnWrites;
use crate::event::{LineId, Phase};
use crate::failure::{Kind, Verdict};
use crate::journal::{FoundBack, Onward};
use crate::steps::Action;

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Journal `Started`, perform the line, journal how it ended.
    Run(LineId),
    /// The line was started and nobody knows how it ended: look.
    Probe(LineId),
    /// Journal that the run goes backwards from here.
    PutBack,
    /// Others wrote since `open`: ask whether their writes may go to the ledger.
    AskAboutWrites(LineId),
    /// Nothing is left to do.
    End(Verdict),
}

/// Decides.
///
/// Going back: a failure, or an interruption, once the flag's line was started and before `Clearing`
/// (the start of the clear line). After that, only a person puts back.
pub fn decide(plan: &Plan, state: &State) -> Decision {
    if let Some(verdict) = state.ended {
        return Decision::End(verdict);
    }
    match (state.putting_back, state.put_back_found) {
        (true, _) => decide_back(plan, state),
        (false, Some(_)) => Decision::PutBack,
        // A person said so. Before the window that ends the run: nothing was changed.
        (false, None) if state.put_back_anyway && may_put_back(plan, state) => Decision::PutBack,
        (false, None) => decide_forward(plan, state),
    }
}

fn decide_forward(plan: &Plan, state: &State) -> Decision {
    for line in &plan.lines {
        match state.status(line.id) {
            Status::Finished => {}
            // Whoever resumes looks: what it finds may take long to act on.
            Status::Started if state.interrupted == Some(Onward::Leave) => {
                return Decision::End(interrupted(plan, state));
            }
            Status::Started => return Decision::Probe(line.id),
            Status::Failed | Status::FailedEarlier => match decide_failed(plan, state, line) {
                Some(decision) => return decision,
                None => continue,
            },
            Status::Waiting if state.interrupted.is_some() => return decide_interrupted(plan, state),
            Status::Waiting => return Decision::Run(line.id),
        }
    }
    // A line that failed at first and was mended, as the clearing of the flag can be, is no failure any more.
    let failed = plan.lines.iter().any(|line| state.status(line.id) != Status::Finished);
    Decision::End(if failed { Verdict::ChangedButFailing } else { Verdict::Done })
}

/// What follows a failed line; nothing special (`None`) for one of the `after` phase.
fn decide_failed(plan: &Plan, state: &State, line: &Line) -> Option<Decision> {
    if matches!(line.action, Action::ClearFlag) && state.ever_started(line.id) {
        // `Clearing` was journaled: users may be back. Only a later driver tries the flag again.
        return Some(match state.status(line.id) {
            Status::FailedEarlier => Decision::Run(line.id),
            _ => Decision::End(Verdict::NotPutBack),
        });
    }
    if line.phase == Phase::After {
        return None;
    }
    if plan.is_one_way() && entered_window(plan, state) {
        return Some(match state.status(line.id) {
            Status::FailedEarlier => Decision::Run(line.id),
            _ => Decision::End(Verdict::NotPutBack),
        });
    }
    Some(if way_back(plan, state).is_empty() { Decision::End(refusal(state)) } else { Decision::PutBack })
}

fn decide_interrupted(plan: &Plan, state: &State) -> Decision {
    match state.interrupted {
        Some(Onward::PutBack) if in_window(plan, state) && !plan.is_one_way() => Decision::PutBack,
        _ => Decision::End(interrupted(plan, state)),
    }
}

fn decide_back(plan: &Plan, state: &State) -> Decision {
    // A line of the way there that was under way when its driver died: first know what it did.
    if let Some(line) = plan.lines.iter().find(|line| state.status(line.id) == Status::Started) {
        return Decision::Probe(line.id);
    }
    for line in way_back(plan, state) {
        match state.status(line.id) {
            Status::Finished => {}
            Status::Started => return Decision::Probe(line.id),
            Status::Failed => return Decision::End(Verdict::NotPutBack),
            Status::Waiting | Status::FailedEarlier => return decide_back_line(plan, state, &line),
        }
    }
    Decision::End(match (entered_window(plan, state), state.interrupted.is_some()) {
        _ if state.keep_new => Verdict::ChangedButFailing,
        (true, _) => Verdict::PutBack,
        (false, true) => Verdict::Interrupted,
        (false, false) => refusal(state),
    })
}

/// A line of the way back may run, unless it would drop others' writes that nobody agreed to drop.
fn decide_back_line(plan: &Plan, state: &State, line: &Line) -> Decision {
    match unagreed_writes(plan, state) {
        Some(ledger) if ledger != line.id => Decision::AskAboutWrites(ledger),
        _ => Decision::Run(line.id),
    }
}

/// The ledger's line, if it found writes of others that nobody agreed to drop.
pub fn unagreed_writes(plan: &Plan, state: &State) -> Option<LineId> {
    let ledger = LineId::Back(1);
    let swapped = state.put_back_found == Some(FoundBack::Swapped);
    let asks = plan.on_writes == OnWrites::Ask && !state.put_back_anyway && !state.keep_new && !swapped;
    (asks && others_wrote(state, ledger)).then_some(ledger)
}

/// What the ledger line of the way back found.
fn others_wrote(state: &State, ledger: LineId) -> bool {
    state.line(ledger).facts.get("foreign").and_then(serde_json::Value::as_bool).unwrap_or(false)
}

/// The verdict of a run that changed nothing. A run that was begun is no bad usage any more, whatever a
/// line's failure says of the files that it read.
fn refusal(state: &State) -> Verdict {
    match &state.first_failure {
        Some((_, failure)) if failure.kind == Kind::Internal => Verdict::Internal,
        _ => Verdict::Refused,
    }
}

/// The lines that put production back, in order: undo of every started command in reverse, the
/// database, the old application's health, the flag. Empty if nothing has to be taken back. Once a person
/// decided to keep the new version, or a swap was found: only what proves what serves and takes the flag down.
///
/// The same for every prefix of the put-back's own records, because it depends only on lines of the way
/// there, and those stand still once the run goes backwards.
pub fn way_back(plan: &Plan, state: &State) -> Vec<Line> {
    let entered = entered_window(plan, state);
    let opened = started(plan, state, |action| matches!(action, Action::Open));
    let closed = started(plan, state, |action| matches!(action, Action::Close));
    let changed = changed_behind_fence(plan, state);
    let mut back = Vec::new();
    let mut push = |name: String, action: Action| {
        let id = LineId::Back(back.len() as u32 + 1);
        back.push(Line { id, phase: Phase::PutBack, name, action });
    };
    if opened && changed {
        push("look for writes of others".into(), Action::ReadLedger);
    }
    for line in plan.lines.iter().rev().filter(|line| state.ever_started(line.id)) {
        if !line.undos().is_empty() {
            push(format!("undo {}", line.name), Action::Undo { line: line.id });
        }
    }
    if changed {
        let name = if plan.exchanges() { "put the present database back" } else { "swap the guard in" };
        push(name.into(), Action::Swap { opened });
    } else if closed {
        push("open the unchanged database".into(), Action::Reopen);
    }
    if entered {
        push("prove that production serves".into(), Action::Prove { health: !plan.first_deploy });
        push("clear the flag".into(), Action::ClearFlag);
    }
    let others = other_way_back(plan, state);
    if !others.is_empty() {
        let regular = back.len();
        for (name, action) in others {
            let id = LineId::Back(back.len() as u32 + 1);
            back.push(Line { id, phase: Phase::PutBack, name: name.to_string(), action });
        }
        back.drain(..regular);
    }
    back
}

/// The lines that take the place of the regular ones, under numbers of their own: where a person keeps the new version,
/// and where a swap was found. What comes before a swap (others' writes, undo) was done before it, and the databases
/// that it would look at are not what they were.
fn other_way_back(plan: &Plan, state: &State) -> Vec<(&'static str, Action)> {
    let serves = "prove that production serves";
    if state.put_back_found == Some(FoundBack::Swapped) {
        return vec![
            ("find the guard swapped in", Action::Swap { opened: false }),
            (serves, Action::Prove { health: !plan.first_deploy }),
            ("clear the flag", Action::ClearFlag),
        ];
    }
    if !state.keep_new {
        return Vec::new();
    }
    vec![
        ("open the new database", Action::Reopen),
        (serves, Action::Prove { health: true }),
        ("clear the flag", Action::ClearFlag),
    ]
}

/// Whether a person may keep the new version: the run turned back after users could have written, and the
/// guard is not production already, nor was it under way to be.
pub fn may_keep_new(plan: &Plan, state: &State) -> bool {
    let opened = started(plan, state, |action| matches!(action, Action::Open));
    let swap = way_back(plan, state).into_iter().find(|line| matches!(line.action, Action::Swap { .. }));
    let swapped =
        swap.is_some_and(|line| matches!(state.status(line.id), Status::Started | Status::Finished));
    state.putting_back && opened && !swapped && state.put_back_found.is_none()
}

/// Whether a person may have production put back: there is something to go back to, and users were not let in behind a
/// flag that came down.
pub fn may_put_back(plan: &Plan, state: &State) -> bool {
    let lets_in = |line: &Line| matches!(line.action, Action::ClearFlag) && state.ever_started(line.id);
    let kept = state.keep_new && way_back(plan, state).iter().any(lets_in);
    !plan.is_one_way() && !cleared(plan, state) && !kept
}

/// Whether the flag may be up ([`FlagLines::may_have_gone_up`]).
pub fn entered_window(plan: &Plan, state: &State) -> bool {
    FlagLines::of(plan).may_have_gone_up(state)
}

/// Whether production may be in maintenance now ([`FlagLines::in_window`]).
pub fn in_window(plan: &Plan, state: &State) -> bool {
    FlagLines::of(plan).in_window(state)
}

/// Whether, as the journal has it, the database is behind the fence, nothing was begun that may have changed it, and
/// nothing that opens it.
pub fn is_fenced_unchanged(plan: &Plan, state: &State) -> bool {
    let close = plan.find(|action| matches!(action, Action::Close));
    let closed = close.is_some_and(|line| state.status(line.id) == Status::Finished);
    let opened = started(plan, state, |action| matches!(action, Action::Open));
    closed && !opened && !changed_behind_fence(plan, state) && !state.putting_back
}

/// Whether something was begun that may have changed the database while it was ours alone. What came after `open` is
/// the ledger's.
///
/// Where another database takes its place, that alone can be taken back: nothing has a guard before it.
fn changed_behind_fence(plan: &Plan, state: &State) -> bool {
    let changes = |action: &Action| match plan.exchanges() {
        true => matches!(action, Action::Exchange),
        false => action.may_change_database(),
    };
    plan.lines
        .iter()
        .any(|line| line.phase == Phase::During && changes(&line.action) && state.ever_started(line.id))
}

/// The verdict of a run that nobody drives: it can be resumed.
pub fn interrupted(plan: &Plan, state: &State) -> Verdict {
    left_alone(FlagLines::of(plan), state)
}

/// As [`interrupted`], by the two lines alone that move the flag.
pub fn left_alone(flag: FlagLines, state: &State) -> Verdict {
    if flag.in_window(state) { Verdict::InterruptedInWindow } else { Verdict::Interrupted }
}

/// Whether `Clearing` stands in the journal: from here users may be back.
pub fn cleared(plan: &Plan, state: &State) -> bool {
    FlagLines::of(plan).cleared(state)
}

fn started(plan: &Plan, state: &State, wanted: impl Fn(&Action) -> bool) -> bool {
    plan.find(wanted).is_some_and(|line| state.ever_started(line.id))
}

#[cfg(test)]
mod tests;
