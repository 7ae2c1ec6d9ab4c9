//! How a run ended, or how it stands, in words. **Pure.**

use super::evidence::{Evidence, Kept};
use super::model::{Outcome, Stand, Tone, Window};
use crate::engine::advice::{self, Course};
use crate::engine::decide;
use crate::engine::state::State;
use crate::failure::Verdict;
use crate::time::{between, show_age};

/// A driver that was not heard for so many of its own heartbeats is not taken for one that lives.
const MISSED_BEATS: u64 = 15;

/// Whether its driver was heard of just now, as far as two clocks can tell. For the page alone: nothing is decided by it.
pub(super) fn is_running(evidence: &Evidence, state: &State) -> bool {
    let Kept::There(lease) = &evidence.lease else { return false };
    let silent = crate::event::millis(between(lease.at, evidence.at));
    may_run(evidence, state) && silent <= lease.every_millis.saturating_mul(MISSED_BEATS)
}

/// Whether nothing says that its driver is gone.
fn may_run(evidence: &Evidence, state: &State) -> bool {
    state.ended.is_none() && state.interrupted.is_none() && !evidence.driver_gone
}

/// How the run stands. Without an end it is what `resume` would find, by the very same decision.
pub(super) fn stand(evidence: &Evidence, state: &State, course: &Course<'_>) -> Stand {
    let left = decide::left_alone(course.flag, state);
    match state.ended {
        Some(ended) => Stand::Over(ended),
        None if is_running(evidence, state) => Stand::Running,
        None if evidence.records.is_empty() => Stand::Unknown,
        None if evidence.lease == Kept::Unreadable && may_run(evidence, state) => Stand::Unknown,
        // The record that tells of the flag may be among those that are lost.
        None if left == Verdict::Interrupted && evidence.refused => Stand::Unknown,
        None => Stand::Over(left),
    }
}

/// How the run ended or stands, in words.
pub(super) fn outcome(
    stand: Stand,
    evidence: &Evidence,
    state: &State,
    course: &Course<'_>,
    window: Option<&Window>,
) -> Outcome {
    match stand {
        Stand::Over(verdict) => told(verdict, state, course),
        Stand::Running => {
            let inside = course.flag.in_window(state) && window.is_some_and(|window| window.ended.is_none());
            running(evidence, state, inside)
        }
        Stand::Unknown => unknown(evidence),
    }
}

fn told(verdict: Verdict, state: &State, course: &Course<'_>) -> Outcome {
    let stopped = state.first_failure.is_none() && state.stopped_by.is_some();
    let is_rollback = course.order.is_some();
    let production = advice::production(is_rollback, verdict).replace('`', "");
    Outcome {
        verdict: Stand::Over(verdict),
        exit: Some(verdict.exit_code()),
        headline: headline(verdict, stopped, is_rollback).into(),
        production: format!("Production is {production}."),
        tone: tone(verdict),
    }
}

/// `stopped`: by a person or a deadline, and not by a failure.
fn headline(verdict: Verdict, stopped: bool, is_rollback: bool) -> &'static str {
    match verdict {
        Verdict::Done => "Done.",
        Verdict::Internal => "backstay itself failed.",
        Verdict::Usage => "Not begun.",
        Verdict::Refused => "Stopped before anything was changed.",
        Verdict::PutBack if stopped => "Stopped, and production was put back.",
        Verdict::PutBack => "Failed, and production was put back.",
        Verdict::NotPutBack => "Failed, and production was not put back. You are needed.",
        Verdict::Interrupted => "Interrupted outside the window.",
        Verdict::ChangedButFailing if is_rollback => "Rolled back, but a later check failed.",
        Verdict::ChangedButFailing => "In production, but a later check failed.",
        Verdict::InterruptedInWindow => "Interrupted inside the window.",
    }
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Done => Tone::Good,
        Verdict::Usage
        | Verdict::Refused
        | Verdict::PutBack
        | Verdict::Interrupted
        | Verdict::ChangedButFailing => Tone::Mixed,
        Verdict::Internal | Verdict::NotPutBack | Verdict::InterruptedInWindow => Tone::Bad,
    }
}

fn running(evidence: &Evidence, state: &State, inside: bool) -> Outcome {
    let way = if state.putting_back { "Production is being put back." } else { "The run goes on." };
    let production = if inside { "in maintenance" } else { "serving" };
    let heard = match &evidence.lease {
        // A number and its unit stay on one row.
        Kept::There(lease) => {
            let age = show_age(between(lease.at, evidence.at)).replace(' ', "\u{a0}");
            format!(" Its driver was last heard {age} before.")
        }
        Kept::Nothing | Kept::Unreadable => String::new(),
    };
    Outcome {
        verdict: Stand::Running,
        exit: None,
        headline: way.into(),
        production: format!("Production is {production} as this page is made.{heard}"),
        tone: Tone::Open,
    }
}

fn unknown(evidence: &Evidence) -> Outcome {
    let why = match (evidence.records.is_empty(), evidence.refused) {
        (true, _) => "No record of its journal can be read",
        (false, true) => "Records of its journal are lost, and the others do not tell",
        (false, false) => "Its driver's last sign of life can't be read",
    };
    Outcome {
        verdict: Stand::Unknown,
        exit: None,
        headline: "Nobody can say how this run stands.".into(),
        production: format!("{why}; backstay status tells what production is."),
        tone: Tone::Bad,
    }
}
