//! What to do next, for whoever reads the last screen at 3 a.m., or a run's report. **Pure.**

use super::decide;
use super::flag_lines::FlagLines;
use super::plan::Plan;
use super::state::State;
use crate::failure::{Failure, Verdict};
use crate::rollback::Order;
use crate::steps::{Action, Exchanged, Left};
use crate::words::shell_word;

/// What is to be known of a run's lines to say what comes after it: read off its plan, or off its journal by whoever has
/// no plan.
#[derive(Debug, Default)]
pub struct Course<'s> {
    /// The lines that move the flag.
    pub flag: FlagLines,
    /// What a rollback was told; none in every other run.
    pub order: Option<&'s Order>,
    /// A guard was to be taken.
    pub guarded: bool,
    /// What the swap of the way back left.
    pub swapped: Left,
    /// What a rollback left that put another database in production's place.
    pub exchanged: Option<Exchanged>,
}

/// What production is, in words.
pub fn production(is_rollback: bool, verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::PutBack if is_rollback => "as before the rollback, serving, verified",
        Verdict::ChangedButFailing if is_rollback => "rolled back, serving",
        verdict => verdict.production(),
    }
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
    let course = Course::of(plan, state);
    let mut next = course.left_by_swap(verdict);
    if let Some((_, failure)) = state.first_failure.as_ref().filter(|_| verdict != Verdict::Done) {
        next.extend(failure.next.iter().cloned());
    }
    next.extend(hindrance.iter().flat_map(|failure| failure.next.iter().cloned()));
    course.add_steps(&mut next, state, verdict, run, environment);
    let mut once: Vec<String> = Vec::new();
    for step in next {
        if !once.contains(&step) {
            once.push(step);
        }
    }
    once
}

/// How a failure's own advice ends that says what to run once its cause is mended.
const AGAIN: [&str; 3] = ["run the same command again", "run the release again", "run it again"];

/// When `cleanup` drops what a run left: said with it, for until then it only says that it is kept.
const WHEN_DUE: &str = "once [window] keep is over (--older-than 0s: at once)";

impl<'s> Course<'s> {
    /// As the plan has it.
    pub fn of(plan: &'s Plan, state: &State) -> Self {
        let back = decide::way_back(plan, state);
        let swap = back.iter().find(|line| matches!(line.action, Action::Swap { .. }));
        let exchange = plan.find(|action| matches!(action, Action::Exchange));
        let left = swap.and_then(|line| serde_json::from_value(state.line(line.id).facts).ok());
        Self {
            flag: FlagLines::of(plan),
            order: plan.rollback.as_ref(),
            guarded: plan.find(|action| matches!(action, Action::Guard(_))).is_some(),
            swapped: left.unwrap_or_default(),
            exchanged: exchange.and_then(|line| serde_json::from_value(state.line(line.id).facts).ok()),
        }
    }

    /// What a swap left to be done: the sessions on replicas that it could not end, and the writes that it took out of
    /// production.
    pub fn left_by_swap(&self, verdict: Verdict) -> Vec<String> {
        let Left { replicas, ledger } = &self.swapped;
        let mut next: Vec<String> = replicas.iter().map(|stranded| stranded.next.clone()).collect();
        // While production is closed there are lines that are more urgent.
        next.extend(ledger.as_ref().filter(|_| verdict == Verdict::PutBack).map(|place| {
            format!(
                "others wrote after the database was opened, and production has none of it: {place} on the store keeps \
                 it, as scripts that psql loads (docs/window.md, \"The ledger\")"
            )
        }));
        next
    }

    /// What a rollback left that put another database in production's place.
    fn left_by_exchange(&self) -> Vec<String> {
        let Some(Exchanged { left, kept_as, .. }) = &self.exchanged else { return Vec::new() };
        let mut next: Vec<String> = left.replicas.iter().map(|stranded| stranded.next.clone()).collect();
        next.extend(left.ledger.as_ref().map(|place| {
            format!(
                "production has none of what was written since the release: {place} on the store keeps it, as scripts \
                 that psql loads (docs/window.md, \"The ledger\")"
            )
        }));
        next.extend(kept_as.as_ref().map(|name| {
            format!("the database that the release left is kept as {name}: look before it is dropped")
        }));
        next
    }

    /// Adds what the end asks for to what the failures said already.
    pub fn add_steps(
        &self,
        next: &mut Vec<String>,
        state: &State,
        verdict: Verdict,
        run: &str,
        environment: &str,
    ) {
        let environment = shell_word(environment);
        match verdict {
            Verdict::Done if self.order.is_some_and(Order::exchanges) => {
                next.extend(self.left_by_exchange());
                next.push(format!("backstay cleanup -e {environment} drops it {WHEN_DUE}"));
            }
            Verdict::Done if self.guarded => {
                next.push(format!("backstay cleanup -e {environment} drops the guard {WHEN_DUE}"));
            }
            Verdict::Done | Verdict::Usage => {}
            // Its journal has no end: the store or the lock was out of reach.
            Verdict::Refused if state.ended.is_none() => {
                next.push(format!("mend the cause, then backstay resume {run} -e {environment}"));
            }
            // A failure that says what to mend, and then to run it again, has said all of it.
            Verdict::Refused if next.iter().any(|line| AGAIN.iter().any(|again| line.ends_with(again))) => {}
            Verdict::Refused => next.push("mend the cause, then run the release again".into()),
            Verdict::PutBack => {
                next.push(format!(
                    "the failed database is kept for a look; backstay cleanup -e {environment} drops it {WHEN_DUE}"
                ));
            }
            Verdict::NotPutBack => {
                if state.keep_new {
                    next.push(format!(
                        "backstay resume {run} -e {environment} tries to keep the new version again, once it is healthy"
                    ));
                    next.push(format!(
                        "backstay resume {run} -e {environment} --put-back puts the old one back after all"
                    ));
                }
                let tries = match (state.putting_back, self.is_one_way() && !self.flag.cleared(state)) {
                    (true, _) => "put back",
                    (false, true) => "go on",
                    (false, false) => "clear the flag",
                };
                // A failure that knows better how to resume has said so.
                if !next.iter().any(|line| line.starts_with("backstay resume")) {
                    next.push(format!("backstay resume {run} -e {environment} tries to {tries} again"));
                }
                next.push(format!(
                    "backstay status -e {environment} shows database, flag and fence as they are"
                ));
            }
            Verdict::Interrupted | Verdict::InterruptedInWindow => {
                next.push(format!("backstay resume {run} -e {environment}"));
            }
            Verdict::ChangedButFailing => {
                next.extend(self.left_by_exchange());
                let which = if self.order.is_some() { "the old" } else { "the new" };
                next.push(format!(
                    "production serves {which} version; look at the failed check, then backstay runs {run}"
                ));
            }
            Verdict::Internal => next.push(format!("backstay status -e {environment}")),
        }
    }

    /// Whether there is nothing to go back to.
    fn is_one_way(&self) -> bool {
        self.order.is_some_and(|order| order.gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(failure: Option<&str>, verdict: Verdict) -> Vec<String> {
        let mut next: Vec<String> = failure.map(String::from).into_iter().collect();
        let mut state = State::default();
        state.ended = Some(verdict);
        let course = Course { guarded: true, ..Course::default() };
        course.add_steps(&mut next, &state, verdict, "20261121t00z-aaaaa", "production");
        next
    }

    #[test]
    fn what_cleanup_does_is_said_with_when() {
        for verdict in [Verdict::Done, Verdict::PutBack] {
            let told = next(None, verdict).join("; ");
            assert!(
                told.contains("backstay cleanup -e production drops") && told.contains("--older-than 0s"),
                "{told}"
            );
        }
    }

    #[test]
    fn what_to_run_again_is_said_once() {
        let full = "make room on the store's disk, then run the same command again";
        assert_eq!(next(Some(full), Verdict::Refused), [full]);
        let room = "make room: backstay cleanup drops old guards";
        assert_eq!(next(Some(room), Verdict::Refused), [room, "mend the cause, then run the release again"]);
    }
}
