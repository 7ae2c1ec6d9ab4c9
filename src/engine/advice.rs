//! What to do next, for whoever reads the last screen at 3 a.m. **Pure.**

use super::decide;
use super::plan::Plan;
use super::state::State;
use crate::failure::{Failure, Verdict};
use crate::steps::{Action, Exchanged, Left};

/// What a swap left to be done: the sessions on replicas that it could not end, and the writes that it took out of
/// production.
fn left_by_swap(plan: &Plan, state: &State, verdict: Verdict) -> Vec<String> {
    let back = decide::way_back(plan, state);
    let swap = back.iter().find(|line| matches!(line.action, Action::Swap { .. }));
    let left = swap.and_then(|line| serde_json::from_value::<Left>(state.line(line.id).facts).ok());
    let left = left.unwrap_or_default();
    let mut next: Vec<String> = left.replicas.into_iter().map(|stranded| stranded.next).collect();
    // While production is closed there are lines that are more urgent.
    next.extend(left.ledger.filter(|_| verdict == Verdict::PutBack).map(|place| {
        format!(
            "others wrote after the database was opened, and production has none of it: {place} on the store keeps it, \
             as scripts that psql loads (docs/window.md, \"The ledger\")"
        )
    }));
    next
}

/// What a rollback left that put another database in production's place.
fn left_by_exchange(plan: &Plan, state: &State) -> Vec<String> {
    let line = plan.find(|action| matches!(action, Action::Exchange));
    let facts = line.and_then(|line| serde_json::from_value::<Exchanged>(state.line(line.id).facts).ok());
    let Some(Exchanged { left, kept_as, .. }) = facts else { return Vec::new() };
    let mut next: Vec<String> = left.replicas.into_iter().map(|stranded| stranded.next).collect();
    next.extend(left.ledger.map(|place| {
        format!(
            "production has none of what was written since the release: {place} on the store keeps it, as scripts that \
             psql loads (docs/window.md, \"The ledger\")"
        )
    }));
    next.extend(kept_as.map(|name| {
        format!("the database that the release left is kept as {name}: look before it is dropped")
    }));
    next
}

/// Lines to read and type, most urgent first.
///
/// `hindrance` is what stopped the way back, if anything did.
pub fn next_steps(
    plan: &Plan,
    state: &State,
    hindrance: Option<&Failure>,
    verdict: Verdict,
    run: &str,
    environment: &str,
) -> Vec<String> {
    let mut next = left_by_swap(plan, state, verdict);
    if let Some((_, failure)) = state.first_failure.as_ref().filter(|_| verdict != Verdict::Done) {
        next.extend(failure.next.iter().cloned());
    }
    next.extend(hindrance.iter().flat_map(|failure| failure.next.iter().cloned()));
    match verdict {
        Verdict::Done if plan.exchanges() => {
            next.extend(left_by_exchange(plan, state));
            next.push(format!("backstay cleanup -e {environment} drops it in the end"));
        }
        Verdict::Done if plan.find(|a| matches!(a, Action::Guard(_))).is_some() => {
            next.push(format!(
                "backstay cleanup -e {environment} drops the guard once you no longer need it"
            ));
        }
        Verdict::Done | Verdict::Usage => {}
        // Its journal has no end: the store or the lock was out of reach.
        Verdict::Refused if state.ended.is_none() => {
            next.push(format!("mend the cause, then backstay resume {run} -e {environment}"));
        }
        Verdict::Refused => next.push("mend the cause, then run the release again".into()),
        Verdict::PutBack => {
            next.push(format!(
                "the failed database is kept for a look; backstay cleanup -e {environment} drops it"
            ));
        }
        Verdict::NotPutBack => {
            let resume = format!("backstay resume {run} -e {environment}");
            let tries = match (state.putting_back, plan.is_one_way() && !decide::cleared(plan, state)) {
                (true, _) => "put back",
                (false, true) => "go on",
                (false, false) => "clear the flag",
            };
            // A failure that knows better how to resume has said so.
            if !next.iter().any(|line| line.starts_with("backstay resume")) {
                next.push(format!("{resume} tries to {tries} again"));
            }
            next.push(format!("backstay status -e {environment} shows database, flag and fence as they are"));
        }
        Verdict::Interrupted | Verdict::InterruptedInWindow => {
            next.push(format!("backstay resume {run} -e {environment}"));
        }
        Verdict::ChangedButFailing => {
            next.extend(left_by_exchange(plan, state));
            let which = if plan.rollback.is_some() { "the old" } else { "the new" };
            next.push(format!(
                "production serves {which} version; look at the failed check, then backstay runs {run}"
            ));
        }
        Verdict::Internal => next.push(format!("backstay status -e {environment}")),
    }
    next.dedup();
    next
}
