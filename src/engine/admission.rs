//! Whether a run may begin now, by the schedule and by how long it is likely to take. **Pure.**

use std::time::Duration;

use jiff::Timestamp;

use super::decide;
use super::plan::Plan;
use super::state::State;
use crate::failure::Failure;
use crate::forecast::Forecast;
use crate::schedule::{Refusal, Schedule};
use crate::steps::Action;
use crate::time::show_duration;

/// Why a run may not begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotNow {
    /// The schedule says no.
    Schedule(Refusal),
    /// Users are likely to see the maintenance page for longer than the runbook's `max`.
    LongerThanMax(Duration),
}

/// Whether the schedule binds a run: it opens a window, and has not yet.
pub fn is_bound(plan: &Plan, state: &State) -> bool {
    let flag = plan.find(|action| matches!(action, Action::RaiseFlag { .. }));
    let opens = flag.is_some_and(|flag| !state.ever_started(flag.id));
    opens && !decide::entered_window(plan, state) && !state.putting_back
}

/// Whether a run that is bound may begin at `now`. What must fit into the schedule's window is all until the flag is down
/// again, each line taken for as long as it ever took; what must fit into `max`, what is likely.
///
/// # Errors
/// Why not.
pub fn admit(
    plan: &Plan,
    schedule: Option<&Schedule>,
    forecast: &Forecast,
    now: Timestamp,
) -> Result<(), NotNow> {
    let max = plan.lines.iter().find_map(|line| match line.action {
        Action::RaiseFlag { max, .. } => Some(max),
        _ => None,
    });
    if let Some(max) = max.filter(|max| forecast.window.likely > *max) {
        return Err(NotNow::LongerThanMax(max));
    }
    let admitted = schedule.map(|schedule| schedule.admit(now, forecast.until_clear())).transpose();
    admitted.map(drop).map_err(NotNow::Schedule)
}

impl NotNow {
    /// Why, with the figures, in a line.
    pub fn words(&self, schedule: Option<&Schedule>, forecast: &Forecast, now: Timestamp) -> String {
        match (self, schedule) {
            (NotNow::Schedule(refusal), Some(schedule)) => {
                schedule.show_why(refusal, now, forecast.until_clear())
            }
            (NotNow::Schedule(_), None) => "no window is open".to_string(),
            (NotNow::LongerThanMax(max), _) => format!(
                "the window's max is {}, and users are likely to see the maintenance page for {}",
                show_duration(*max),
                forecast.window
            ),
        }
    }

    /// The refusal of `verb` (`run release`), with what to do next.
    pub fn failure(
        &self,
        verb: &str,
        schedule: Option<&Schedule>,
        forecast: &Forecast,
        now: Timestamp,
    ) -> Failure {
        let mut failure = Failure::refused(format!("{verb} now"))
            .because_of(self.words(schedule, forecast, now))
            .leaving("nothing was begun");
        if let Some(words) = forecast.words() {
            failure = failure.because_of(format!("it takes {words}"));
        }
        match (self, schedule) {
            (NotNow::Schedule(refusal), Some(schedule)) => {
                failure = failure.then(schedule.show_next(refusal.next, now));
                if refusal.next.is_some() {
                    failure = failure.then("--wait waits for it");
                }
            }
            (NotNow::Schedule(_), None) => {}
            (NotNow::LongerThanMax(_), _) => {
                failure =
                    failure.then("give [window] in the runbook a longer max, which is what users are told");
            }
        }
        failure.then("--outside-schedule WHY goes ahead all the same; the reason is journaled")
    }
}
