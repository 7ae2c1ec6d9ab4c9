//! How a run ended, or how it stands, in words. **Pure.**

use super::evidence::Evidence;
use super::model::{Outcome, Report, Tone, Window};
use crate::engine::state::State;
use crate::failure::Verdict;
use crate::time::{between, show_age};

/// A driver that was not heard for so many of its own heartbeats is not taken for one that lives.
const MISSED_BEATS: u64 = 15;

/// Whether its driver was heard of just now, as far as two clocks can tell. For the page alone: nothing is decided by it.
pub(super) fn is_running(evidence: &Evidence, state: &State) -> bool {
    let Some(lease) = &evidence.lease else { return false };
    let silent = crate::event::millis(between(lease.at, evidence.at));
    state.ended.is_none()
        && state.interrupted.is_none()
        && !evidence.driver_gone
        && silent <= lease.every_millis.saturating_mul(MISSED_BEATS)
}

/// How the run ended or stands.
pub(super) fn outcome(evidence: &Evidence, state: &State, window: Option<&Window>) -> Outcome {
    match state.ended {
        Some(ended) => told(ended, state),
        None if evidence.records.is_empty() => unknown(),
        None if is_running(evidence, state) => running(evidence, state, window),
        None => {
            let inside = window.is_some_and(|window| window.ended.is_none());
            told(if inside { Verdict::InterruptedInWindow } else { Verdict::Interrupted }, state)
        }
    }
}

fn told(verdict: Verdict, state: &State) -> Outcome {
    let stopped = state.first_failure.is_none() && state.stopped_by.is_some();
    let word = serde_json::to_value(verdict).ok();
    Outcome {
        verdict: word.and_then(|word| word.as_str().map(String::from)).unwrap_or_default(),
        exit: Some(verdict.exit_code()),
        headline: headline(verdict, stopped).into(),
        production: format!("Production is {}.", verdict.production().replace('`', "")),
        tone: tone(verdict),
    }
}

/// `stopped`: by a person or a deadline, and not by a failure.
fn headline(verdict: Verdict, stopped: bool) -> &'static str {
    match verdict {
        Verdict::Done => "Done.",
        Verdict::Internal => "backstay itself failed.",
        Verdict::Usage => "Not begun.",
        Verdict::Refused => "Stopped before anything was changed.",
        Verdict::PutBack if stopped => "Stopped, and production was put back.",
        Verdict::PutBack => "Failed, and production was put back.",
        Verdict::NotPutBack => "Failed, and production was not put back. You are needed.",
        Verdict::Interrupted => "Interrupted outside the window.",
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

fn running(evidence: &Evidence, state: &State, window: Option<&Window>) -> Outcome {
    let way = if state.putting_back { "Production is being put back." } else { "The run goes on." };
    let production = match window {
        Some(window) if window.ended.is_none() => "in maintenance",
        _ => "serving",
    };
    let heard = evidence.lease.as_ref().map(|lease| show_age(between(lease.at, evidence.at)));
    // A number and its unit stay on one row.
    let heard = heard.map(|age| age.replace(' ', "\u{a0}"));
    let heard = heard.map(|age| format!(" Its driver was last heard {age} before.")).unwrap_or_default();
    Outcome {
        verdict: "running".into(),
        exit: None,
        headline: way.into(),
        production: format!("Production is {production} as this page is made.{heard}"),
        tone: Tone::Open,
    }
}

fn unknown() -> Outcome {
    Outcome {
        verdict: "unknown".into(),
        exit: None,
        headline: "Nobody can say how this run ended.".into(),
        production: "No record of its journal can be read; backstay status tells what production is.".into(),
        tone: Tone::Bad,
    }
}

/// What to do next, most urgent first: what the failures say, then what the verdict asks for.
pub(super) fn next(report: &Report, state: &State) -> Vec<String> {
    let (run, environment) = (&report.run, &report.environment);
    let of = |cause: &Option<super::model::Cause>| {
        cause.as_ref().map(|cause| cause.failure.next.clone()).unwrap_or_default()
    };
    let mut next = [of(&report.put_back_cause), of(&report.first_cause)].concat();
    let resume = format!("backstay resume {run} -e {environment}");
    let status = format!("backstay status -e {environment} shows database, flag and fence as they are");
    let resumed = next.iter().any(|line| line.starts_with("backstay resume"));
    match (state.ended, report.outcome.tone) {
        (None, Tone::Open) => next.push(format!("backstay status -e {environment} tells who drives it")),
        (Some(Verdict::NotPutBack), _) | (None, _) => {
            next.extend((!resumed).then_some(resume));
            next.push(status);
        }
        (Some(Verdict::Internal), _) => next.push(status),
        _ => {}
    }
    if let Some(kept) = report.writes.as_ref().and_then(|writes| writes.kept.as_ref()) {
        next.push(format!(
            "others' writes are not in production: {kept} on the store keeps them, as scripts for psql"
        ));
    }
    let mut once: Vec<String> = Vec::new();
    next.into_iter().for_each(|line| {
        if !once.contains(&line) {
            once.push(line)
        }
    });
    once
}
