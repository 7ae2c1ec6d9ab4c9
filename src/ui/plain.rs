//! The run as plain lines with times, for logs and pipes: ASCII, nothing redrawn, nothing asked.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;

use super::checklist::{Checklist, State};
use super::look::Look;
use super::{foreign, paper, verdict};
use crate::event::{Event, LineId};
use crate::time::{between, now, show_duration};

/// A line that works reports no more often than this.
pub(super) const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Reads `events` to their end and writes them to standard error. A question is not asked: its reply
/// is dropped, which the run takes for a no.
pub(super) async fn show(look: Look, mut events: UnboundedReceiver<Event>) {
    let mut log = Log::default();
    while let Some(event) = events.recv().await {
        write(look, &log.take(&event, now()));
        if matches!(event, Event::Ended { .. }) {
            write(look, &[String::new(), verdict::tell(&log.list, look)]);
        }
    }
    if log.list.broke_off() {
        write(look, &[verdict::no_verdict(look)]);
    }
}

/// Writes rows to standard error.
pub(super) fn write(look: Look, rows: &[String]) {
    for row in rows {
        // Standard error that is gone is no reason to stop a release.
        let _ = writeln!(std::io::stderr(), "{}", look.last_pass(row));
    }
}

/// The rows of a log, one event after another: **pure**.
#[derive(Debug, Default)]
pub struct Log {
    pub(super) list: Checklist,
    told: HashMap<LineId, Timestamp>,
}

impl Log {
    /// The rows that an event adds, each with its time (UTC): the event's own, or `now`, when it was
    /// read. The verdict is not among them, for it has no time (see [`verdict::tell`]).
    pub fn take(&mut self, event: &Event, now: Timestamp) -> Vec<String> {
        self.list.fold(event, now);
        let (at, texts) = match event {
            Event::RunBegan { at, .. } => (*at, self.opening()),
            Event::LineStarted { at, line } => {
                self.told.insert(*line, *at);
                (*at, self.about(*line, "started"))
            }
            Event::Progress { line, .. } => (now, self.progress(*line, now)),
            Event::Output { line, text } => (now, self.quote(*line, "|", text)),
            Event::Note { line: Some(line), text } => (now, self.quote(*line, "note:", text)),
            Event::Note { line: None, text } => (now, lines_of("note: ", text)),
            Event::LineFinished { at, line, .. } | Event::LineFailed { at, line, .. } => {
                (*at, self.settled(*line))
            }
            Event::WindowBegan { at, max_millis } => {
                let max =
                    max_millis.map(|m| format!(", for {} at most", show_duration(Duration::from_millis(m))));
                (
                    *at,
                    vec![format!(
                        "window: flag up, users see the maintenance page{}",
                        max.unwrap_or_default()
                    )],
                )
            }
            Event::WindowEnded { at } => (*at, self.window_ended()),
            Event::PutBackBegan { at, .. } => {
                let lines = self.list.back.len();
                (*at, vec![format!("put back: the run turns back; production goes back in {lines} lines")])
            }
            Event::Question { line, text, .. } => {
                let mut rows = self.quote(*line, "asks:", text);
                rows.extend(self.about(*line, "nobody can answer here: there is no terminal"));
                self.list.answered();
                (now, rows)
            }
            Event::Ended { .. } => (now, Vec::new()),
        };
        texts
            .into_iter()
            .map(|text| format!("{} {text}", at.strftime("%H:%M:%S")).trim_end().to_string())
            .collect()
    }

    fn opening(&self) -> Vec<String> {
        let Some(title) = &self.list.title else { return Vec::new() };
        let mut rows = vec![
            format!("{} on {}: {}", title.runbook, title.environment, title.description),
            format!("run {}, {}, {} lines; times are UTC", title.run, title.database, self.list.lines.len()),
        ];
        if title.epoch > 1 {
            let done = self.list.lines.iter().filter(|l| matches!(l.state, State::Done { .. })).count();
            rows.push(format!("taken up again, driver {}; {done} lines are done already", title.epoch));
        }
        rows
    }

    /// `before 3/14 backup: …`; nothing for a line that is not on the checklist.
    fn about(&self, id: LineId, text: &str) -> Vec<String> {
        self.name(id).map(|name| format!("{name}: {text}")).into_iter().collect()
    }

    /// `before 3/14 backup`; nothing for a line that is not on the checklist.
    pub(super) fn name(&self, id: LineId) -> Option<String> {
        let (line, (n, of)) = (self.list.line(id)?, self.list.place(id)?);
        Some(format!("{} {n}/{of} {}", paper::phase_words(line.phase).0, line.name))
    }

    fn quote(&self, id: LineId, mark: &str, text: &str) -> Vec<String> {
        self.name(id).map(|name| lines_of(&format!("{name} {mark} "), text)).unwrap_or_default()
    }

    fn progress(&mut self, id: LineId, now: Timestamp) -> Vec<String> {
        let Some(State::Running { since, gauge: Some(gauge) }) = self.list.line(id).map(|l| &l.state) else {
            return Vec::new();
        };
        let last = self.told.get(&id).copied().unwrap_or(*since);
        if between(last, now) < PROGRESS_EVERY {
            return Vec::new();
        }
        let mut words = paper::amount(gauge, now);
        words.extend(Some(gauge.note.clone()).filter(|note| !note.is_empty()));
        let rows = self.about(id, &words.join(", "));
        self.told.insert(id, now);
        rows
    }

    fn settled(&self, id: LineId) -> Vec<String> {
        match self.list.line(id).map(|l| &l.state) {
            Some(State::Done { summary, took }) => {
                let took = took.map(|t| format!(" in {}", show_duration(t))).unwrap_or_default();
                let result = if summary.is_empty() { String::new() } else { format!(": {summary}") };
                self.about(id, &format!("done{took}{result}"))
            }
            Some(State::Failed { failure, took }) => {
                let text = format!("FAILED after {}: {failure}", show_duration(*took));
                self.name(id).map(|name| lines_of(&format!("{name}: "), &text)).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    fn window_ended(&self) -> Vec<String> {
        let window = self.list.window.as_ref();
        let text = |w: &super::checklist::Window| {
            format!("window: flag down after {}", show_duration(w.open_for(w.began)))
        };
        window.map(text).into_iter().collect()
    }
}

/// Every line of a foreign text behind the same words, so that none can pass for one of ours.
fn lines_of(lead: &str, text: &str) -> Vec<String> {
    foreign::clean(text).trim_end().split('\n').map(|line| format!("{lead}{line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{LineCard, Phase, Unit};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_763_679_912_000 + millis).expect("a time")
    }

    const LINE: LineId = LineId::Line(1);

    fn running() -> Log {
        let mut log = Log::default();
        log.take(
            &Event::RunBegan {
                at: at(0),
                run: "r".into(),
                epoch: 1,
                environment: "production".into(),
                database: "d".into(),
                runbook: "release".into(),
                description: String::new(),
                lines: vec![LineCard { id: LINE, phase: Phase::Before, name: "backup".into(), done: None }],
            },
            at(0),
        );
        log.take(&Event::LineStarted { at: at(0), line: LINE }, at(0));
        log
    }

    #[test]
    fn progress_is_told_every_few_seconds() {
        let mut log = running();
        let mut rows = Vec::new();
        for tenth in 0..220 {
            let (done, total) = (tenth * 500, Some(120_000));
            let event = Event::Progress { line: LINE, done, total, unit: Unit::Bytes, note: "t".into() };
            rows.extend(log.take(&event, at(tenth as i64 * 100)));
        }
        assert_eq!(
            rows,
            [
                "23:05:22 before 1/1 backup: 50.0 kB of 120.0 kB, 5.0 kB/s, 14 s left, t",
                "23:05:32 before 1/1 backup: 100.0 kB of 120.0 kB, 5.0 kB/s, 4 s left, t"
            ]
        );
    }

    #[test]
    fn foreign_lines_cannot_pass_for_ours() {
        let mut log = running();
        let event = Event::Output { line: LINE, text: "ok\n23:05:12 window: flag down\u{1b}[2J".into() };
        assert_eq!(
            log.take(&event, at(1000)),
            ["23:05:13 before 1/1 backup | ok", "23:05:13 before 1/1 backup | 23:05:12 window: flag down"]
        );
    }
}
