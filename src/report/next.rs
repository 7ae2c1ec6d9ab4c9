//! What to do next, most urgent first. **Pure.**

use super::model::{Cause, Report, Stand};
use crate::engine::advice::Course;
use crate::engine::state::State;
use crate::words::shell_word;

/// What the failures say, then what a run's end asks for, as its last screen does; each once.
///
/// `refused`: the journal is so damaged that nobody can resume the run by it.
pub(super) fn next(report: &Report, state: &State, course: &Course<'_>, refused: bool) -> Vec<String> {
    let of =
        |cause: &Option<Cause>| cause.as_ref().map(|cause| cause.failure.next.clone()).unwrap_or_default();
    let mut next = [of(&report.put_back_cause), of(&report.first_cause)].concat();
    let (run, environment) = (&report.run, shell_word(&report.environment));
    let status = format!("backstay status -e {environment}");
    match report.outcome.verdict {
        Stand::Over(_) if refused && state.ended.is_none() => {
            next.push(format!("{status} shows database, flag and fence as they are"));
            next.push(format!(
                "bring back the records below runs/{run}/journal/ of the store; then backstay resume {run} -e {environment}"
            ));
        }
        Stand::Over(verdict) => {
            next.extend(course.left_by_swap(verdict));
            course.add_steps(&mut next, state, verdict, run, &report.environment);
            if state.ended.is_none() {
                next.push(format!("{status} shows database, flag and fence as they are"));
            }
        }
        Stand::Running => next.push(format!("{status} tells who drives it")),
        Stand::Unknown => next.push(format!("{status} tells what production is, and who drives the run")),
    }
    let mut once: Vec<String> = Vec::new();
    for step in next {
        if !once.contains(&step) {
            once.push(step);
        }
    }
    once
}
