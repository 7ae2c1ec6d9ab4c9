//! Whether a run may begin now, by the schedule and by how long it is likely to take. **Pure.**

use std::time::Duration;

use jiff::Timestamp;

use super::decide;
use super::plan::Plan;
use super::state::State;
use crate::failure::Failure;
use crate::forecast::Forecast;
use crate::runbook::Runbook;
use crate::schedule::{Refusal, Schedule, Why};
use crate::steps::Action;
use crate::time::show_duration;

/// Why a run may not begin now.
#[derive(Debug, Clone)]
pub enum NotNow<'a> {
    /// The schedule says no.
    Schedule(&'a Schedule, Refusal),
    /// Users are likely to see the maintenance page for longer than the runbook's `max`.
    LongerThanMax(Duration),
}

/// Whether the schedule binds a run: it opens a window, not at any time, and has not yet; and nobody decided otherwise.
pub fn is_bound(runbook: &Runbook, plan: &Plan, state: &State) -> bool {
    let minds = runbook.window.as_ref().is_some_and(|window| !window.any_time);
    let flag = plan.find(|action| matches!(action, Action::RaiseFlag { .. }));
    let opens = flag.is_some_and(|flag| !state.ever_started(flag.id));
    let decided = state.outside_schedule || state.putting_back;
    minds && opens && !decided && !decide::entered_window(plan, state)
}

/// Whether a run that is bound may begin at `now`. What must fit into the schedule's window is all until the flag is down
/// again, each line taken for as long as it ever took; what must fit into `max`, what is likely.
///
/// # Errors
/// Why not.
pub fn admit<'a>(
    plan: &Plan,
    schedule: Option<&'a Schedule>,
    forecast: &Forecast,
    now: Timestamp,
) -> Result<(), NotNow<'a>> {
    let max = plan.lines.iter().find_map(|line| match line.action {
        Action::RaiseFlag { max, .. } => Some(max),
        _ => None,
    });
    if let Some(max) = max.filter(|max| forecast.window.likely > *max) {
        return Err(NotNow::LongerThanMax(max));
    }
    let Some(schedule) = schedule else { return Ok(()) };
    let admitted = schedule.admit(now, forecast.until_clear());
    admitted.map(drop).map_err(|refusal| NotNow::Schedule(schedule, refusal))
}

impl NotNow<'_> {
    /// Whether it is how long the run takes that stands in its way.
    fn is_for_its_length(&self) -> bool {
        match self {
            NotNow::Schedule(_, refusal) => {
                matches!(refusal.why, Why::TooShort { .. }) || refusal.next.is_none()
            }
            NotNow::LongerThanMax(_) => true,
        }
    }

    /// Why, with the figures, in a line.
    pub fn words(&self, forecast: &Forecast, now: Timestamp) -> String {
        match self {
            NotNow::Schedule(schedule, refusal) => schedule.show_why(refusal, now, forecast.until_clear()),
            NotNow::LongerThanMax(max) => format!(
                "the window's max is {}, and users are likely to see the maintenance page for {}",
                show_duration(*max),
                forecast.window
            ),
        }
    }

    /// The refusal of `verb` (`run release`), with what to do next.
    pub fn failure(&self, verb: &str, forecast: &Forecast, now: Timestamp) -> Failure {
        let mut failure = Failure::refused(format!("{verb} now"))
            .because_of(self.words(forecast, now))
            .leaving("nothing was begun");
        if let Some(words) = forecast.words().filter(|_| self.is_for_its_length()) {
            failure = failure.because_of(format!("it takes {words}"));
        }
        match self {
            NotNow::Schedule(schedule, refusal) => {
                failure = failure.then(schedule.show_next(refusal.next, now));
                if refusal.next.is_some() {
                    failure = failure.then("--wait waits for it");
                }
            }
            NotNow::LongerThanMax(_) => {
                failure =
                    failure.then("give [window] in the runbook a longer max, which is what users are told");
            }
        }
        failure.then("--outside-schedule WHY goes ahead all the same; the reason is journaled")
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::Weekday;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::config::OnWrites;
    use crate::engine::plan::Line;
    use crate::event::{LineId, Phase};
    use crate::forecast::Figures;
    use crate::schedule::Weekly;

    /// A window whose flag may be up for a minute.
    fn plan() -> Plan {
        let action = Action::RaiseFlag { max: Duration::from_secs(60), put_back_after: None };
        let line = Line { id: LineId::Line(1), phase: Phase::During, name: "raise the flag".into(), action };
        Plan { lines: vec![line], first_deploy: false, on_writes: OnWrites::Ask, rollback: None }
    }

    /// Tuesdays from ten to eleven.
    fn schedule() -> Schedule {
        let weekly = Weekly { days: vec![Weekday::Tuesday], from: 22 * 60, to: 23 * 60 };
        Schedule { zone: TimeZone::UTC, windows: vec![weekly], freezes: Vec::new() }
    }

    /// A backup that took up to half an hour, and a window of some seconds.
    fn forecast(window: u64) -> Forecast {
        let figures = |low, likely, high| Figures {
            low: Duration::from_secs(low),
            likely: Duration::from_secs(likely),
            high: Duration::from_secs(high),
        };
        Forecast {
            runs: 3,
            lines: [(LineId::Line(1), Figures::default())].into(),
            before: figures(600, 900, 1800),
            window: figures(window, window, 2 * window),
            ..Forecast::default()
        }
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-11-24T{time}:00Z").parse().expect("a time")
    }

    #[test]
    fn all_until_the_flag_is_down_must_fit_as_long_as_it_ever_took() {
        let (plan, schedule, forecast) = (plan(), schedule(), forecast(30));
        let admit = |time| admit(&plan, Some(&schedule), &forecast, at(time));
        assert!(admit("22:29").is_ok());
        let refused = admit("22:30").expect_err("half an hour and a minute");
        assert!(
            matches!(&refused, NotNow::Schedule(_, refusal) if matches!(refusal.why, Why::TooShort { .. }))
        );
        let failure = refused.failure("run release", &forecast, at("22:30"));
        assert_eq!(
            failure.causes,
            [
                "the window closes Tue 24 Nov 2026 23:00 UTC, in 30 m 00 s, and this may take 31 m 00 s",
                "it takes about 15 m 30 s (10 m 30 s to 31 m 00 s), of which users see the maintenance page for 30 s \
                 (30 s to 1 m 00 s); by 3 earlier runs"
            ]
        );
        assert_eq!(
            failure.next,
            [
                "the next window that is long enough opens Tue 1 Dec 2026 22:00 UTC, in 167 h 30 m",
                "--wait waits for it",
                "--outside-schedule WHY goes ahead all the same; the reason is journaled"
            ]
        );
        assert_eq!(failure.kind, crate::failure::Kind::Refused);
        assert!(admit("21:59").is_err());
    }

    #[test]
    fn a_window_that_is_likely_to_outlast_its_max_is_refused_at_any_time() {
        let (plan, forecast) = (plan(), forecast(61));
        let refused = admit(&plan, None, &forecast, at("12:00")).expect_err("too long");
        assert!(matches!(refused, NotNow::LongerThanMax(max) if max == Duration::from_secs(60)));
        assert_eq!(
            refused.words(&forecast, at("12:00")),
            "the window's max is 1 m 00 s, and users are likely to see the maintenance page for 1 m 01 s (1 m 01 s to \
             2 m 02 s)"
        );
        assert!(admit(&plan, None, &self::forecast(60), at("12:00")).is_ok(), "as long as max");
    }

    #[test]
    fn a_runbook_without_a_window_is_not_bound() {
        let read = |text: &str| Runbook::parse(text, "x", &Default::default()).expect("a runbook");
        let of = |text: &str| is_bound(&read(text), &plan(), &State::default());
        const STEP: &str = "[[before]]\nstep = \"preflight\"\n";
        assert!(!of(STEP));
        assert!(of(&format!("{STEP}[window]\n")));
        assert!(!of(&format!("{STEP}[window]\nany_time = true\n")), "what puts production back");
        let mut state = State::default();
        assert!(is_bound(&read(&format!("{STEP}[window]\n")), &plan(), &state));
        state.putting_back = true;
        assert!(!is_bound(&read(&format!("{STEP}[window]\n")), &plan(), &state));
    }
}
