//! How a run ended, in the words that one wants at three in the morning: **pure**. First what
//! production is, then what failed and why, then what to type.
//!
//! A failure of the put-back stands beside the first cause, never in its place (invariant 11).

use super::checklist::{Checklist, End, Line, State};
use super::layout::{fold, pad, width_of};
use super::look::{Ink, Look};
use crate::failure::{Failure, Kind, Verdict};
use crate::time::{between, show_duration};

/// Prose wider than this is hard to read.
const READABLE: usize = 100;
/// Columns of the words in the margin, and before them.
const MARGIN: usize = 14;

/// The end of the run as a text of several lines. Empty while the run goes on.
pub fn tell(list: &Checklist, look: Look) -> String {
    let Some(end) = &list.end else { return String::new() };
    let mut entries = vec![production(list, end)];
    entries.extend(first_cause(list, end));
    entries.extend(second_cause(list, end));
    entries.extend(under_way(list, end));
    entries.extend(next(list, end));
    entries.push(record(end));

    let mut rows = headline(list, end, look);
    for entry in &entries {
        rows.push(String::new());
        rows.extend(entry.render(look));
    }
    rows.join("\n")
}

/// Said when the events stop without an end: a defect, or a driver that was killed.
pub fn no_verdict(look: Look) -> String {
    let text = "the run stopped without a verdict; `backstay status` tells what production is";
    look.paint(Ink::Bad, &format!("{} {text}", look.marks().failed))
}

/// A word in the margin and what is said to it.
struct Entry {
    margin: &'static str,
    said: Vec<Said>,
}

/// One sentence; `lead` stands before it, and its further rows are indented by as much.
struct Said {
    lead: String,
    text: String,
    strong: bool,
}

fn say(lead: impl Into<String>, text: impl Into<String>) -> Said {
    Said { lead: lead.into(), text: text.into(), strong: false }
}

impl Said {
    fn strong(self) -> Self {
        Self { strong: true, ..self }
    }
}

impl Entry {
    fn render(&self, look: Look) -> Vec<String> {
        let mut rows = Vec::new();
        for said in &self.said {
            let indent = width_of(&said.lead);
            let text = fold(&said.text, look.width.min(READABLE).saturating_sub(MARGIN + indent));
            for (i, text) in text.iter().enumerate() {
                let margin = if rows.is_empty() { self.margin } else { "" };
                let margin = look.paint(Ink::Faint, &pad(&format!("  {margin}"), MARGIN));
                let lead = if i == 0 { said.lead.clone() } else { " ".repeat(indent) };
                let text = if said.strong { look.paint(Ink::Strong, text) } else { text.clone() };
                rows.push(format!("{margin}{lead}{text}").trim_end().to_string());
            }
        }
        rows
    }
}

fn headline(list: &Checklist, end: &End, look: Look) -> Vec<String> {
    let marks = look.marks();
    let (mark, ink) = match end.verdict {
        Verdict::Done => (marks.done, Ink::Good),
        Verdict::Interrupted => (marks.unfinished, Ink::Warn),
        Verdict::ChangedButFailing => (marks.failed, Ink::Warn),
        Verdict::InterruptedInWindow => (marks.unfinished, Ink::Bad),
        _ => (marks.failed, Ink::Bad),
    };
    let width = look.width.min(READABLE).saturating_sub(width_of(mark) + 1);
    let rows = fold(&headline_words(list, end), width);
    let lead = |i| if i == 0 { pad(mark, width_of(mark) + 1) } else { " ".repeat(width_of(mark) + 1) };
    rows.iter().enumerate().map(|(i, row)| look.paint(ink, &format!("{}{row}", lead(i)))).collect()
}

/// How it ended, in a sentence: `release on production: done.`
pub(super) fn headline_words(list: &Checklist, end: &End) -> String {
    let text = match end.verdict {
        Verdict::Done => "done.",
        Verdict::Internal => "backstay itself failed.",
        Verdict::Usage => "not begun; nothing was changed.",
        Verdict::Refused => "stopped before the window; nothing was changed.",
        Verdict::PutBack if was_stopped(end) => "stopped, and production was put back.",
        Verdict::PutBack => "failed, and production was put back.",
        Verdict::NotPutBack => "failed, and production was NOT put back. You are needed.",
        Verdict::Interrupted => "interrupted outside the window.",
        Verdict::ChangedButFailing => "the change is in production, but a later check failed.",
        Verdict::InterruptedInWindow => "interrupted inside the window.",
    };
    match &list.title {
        Some(title) => format!("{} on {}: {text}", title.runbook, title.environment),
        None => format!("the run: {text}"),
    }
}

/// What production is, how long it took, and how long users could not work.
fn production(list: &Checklist, end: &End) -> Entry {
    let mut said = vec![say("", &end.production).strong()];
    if let Some(window) = &list.window {
        let took = show_duration(window.open_for(end.at));
        said.push(match window.ended {
            Some(_) => say("", format!("Users saw the maintenance page for {took}.")),
            None => {
                let since = window.began.strftime("%H:%M:%S");
                say("", format!("Users have seen the maintenance page since {since} UTC, for {took} so far."))
                    .strong()
            }
        });
    }
    if let (Some(title), Verdict::Done) = (&list.title, end.verdict) {
        let took = show_duration(between(title.at, end.at));
        let done = list.lines.iter().filter(|l| matches!(l.state, State::Done { .. })).count();
        said.push(say("", format!("{done} lines done; the run took {took}.")));
    }
    Entry { margin: "production", said }
}

fn first_cause(list: &Checklist, end: &End) -> Option<Entry> {
    let line = failed_in(&list.lines);
    let failure = end.cause.as_ref().or(line.map(|(_, failure)| failure))?;
    let margin = if failure.kind == Kind::Interrupted { "stopped" } else { "failed" };
    let mut said = Vec::new();
    said.extend(line.map(|(line, _)| say("", format!("{}:", place(list, line)))));
    said.extend(explain(failure));
    Some(Entry { margin, said })
}

fn second_cause(list: &Checklist, end: &End) -> Option<Entry> {
    let line = failed_in(&list.back);
    let failure = end.put_back_cause.as_ref().or(line.map(|(_, failure)| failure))?;
    let at = line.map(|(line, _)| format!(", at {}", place(list, line))).unwrap_or_default();
    let mut said = vec![say("", format!("Putting production back failed too{at}:"))];
    said.extend(explain(failure));
    Some(Entry { margin: "then", said })
}

/// Whether it was a person or a deadline that ended it, and no failure.
fn was_stopped(end: &End) -> bool {
    end.cause.as_ref().is_some_and(|failure| failure.kind == Kind::Interrupted)
}

/// The line that acted when the run ended, or turned back.
fn under_way(list: &Checklist, end: &End) -> Option<Entry> {
    let line = list.all().find(|l| l.state == State::Unfinished)?;
    let text = match end.verdict {
        Verdict::PutBack => format!("{}, when it was stopped", place(list, line)),
        _ => format!(
            "{}. What became of it is looked up when the run is resumed, not assumed.",
            place(list, line)
        ),
    };
    Some(Entry { margin: "under way", said: vec![say("", text)] })
}

fn next(list: &Checklist, end: &End) -> Option<Entry> {
    let steps = steps(list, end);
    let many = steps.len() > 1;
    let lead = |i| if many { format!("{}. ", i + 1) } else { String::new() };
    let said: Vec<Said> =
        steps.into_iter().enumerate().map(|(i, step)| say(lead(i), step).strong()).collect();
    (!said.is_empty()).then_some(Entry { margin: "do next", said })
}

/// What is to be done, each once. What hinders the way back goes first; the cure of the first cause
/// waits for production to serve again.
fn steps(list: &Checklist, end: &End) -> Vec<String> {
    let of = |cause: &Option<Failure>| cause.as_ref().map(|f| f.next.clone()).unwrap_or_default();
    let (hindrance, cure, run) = (of(&end.put_back_cause), of(&end.cause), end.next.clone());
    let serves = end.verdict != Verdict::NotPutBack;
    let all = if serves { [hindrance, cure, run] } else { [hindrance, run, cure] };
    let mut steps: Vec<String> = Vec::new();
    for step in all.into_iter().flatten() {
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    if steps.is_empty() {
        let environment = list.title.as_ref().map(|t| format!(" -e {}", t.environment)).unwrap_or_default();
        match end.verdict {
            Verdict::Done => {}
            Verdict::Usage | Verdict::Refused | Verdict::PutBack => {
                steps.push("Mend the cause, then run it again.".into());
            }
            Verdict::Interrupted | Verdict::InterruptedInWindow => {
                steps.push(format!("backstay resume {}", end.run))
            }
            Verdict::Internal | Verdict::NotPutBack | Verdict::ChangedButFailing => {
                steps.push(format!("backstay status{environment}"));
            }
        }
    }
    steps
}

fn record(end: &End) -> Entry {
    let run = &end.run;
    let said = if run.is_empty() {
        say("", format!("exit code {}", end.exit))
    } else {
        say(
            "",
            format!(
                "{run}, exit code {}. Its journal is runs/{run}/journal/ on the store: `backstay runs {run}`",
                end.exit
            ),
        )
    };
    Entry { margin: "run", said: vec![said] }
}

fn explain(failure: &Failure) -> Vec<Said> {
    let mut said = vec![say("", format!("could not {}", failure.what)).strong()];
    said.extend(failure.causes.iter().map(|cause| say("because: ", cause)));
    said.extend(failure.state.iter().map(|state| say("now: ", state)));
    said
}

fn failed_in(lines: &[Line]) -> Option<(&Line, &Failure)> {
    lines.iter().find_map(|line| match &line.state {
        State::Failed { failure, .. } => Some((line, failure)),
        _ => None,
    })
}

/// `line 9 of 14 (health), after 30 s`
fn place(list: &Checklist, line: &Line) -> String {
    let number = match list.place(line.id) {
        Some((n, of)) if list.back.iter().any(|l| l.id == line.id) => {
            format!("line {n} of {of} of the way back")
        }
        Some((n, of)) => format!("line {n} of {of}"),
        None => format!("line {}", line.id),
    };
    let took = match &line.state {
        State::Failed { took, .. } => format!(", after {}", show_duration(*took)),
        _ => String::new(),
    };
    format!("{number} ({}){took}", line.name)
}
