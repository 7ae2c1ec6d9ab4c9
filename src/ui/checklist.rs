//! The state of a checklist, folded from the events of a run: **pure**, and all that a screen knows.
//!
//! Texts are made safe as they come in (see [`super::foreign`]); events about lines that the
//! checklist does not have are ignored, for a screen is no reason to stop a release.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::foreign::{clean, clean_failure, one_line};
use super::rate::Gauge;
use crate::event::{Event, LineCard, LineId, Phase};
use crate::failure::{Failure, Verdict};
use crate::time::between;

/// How many of a command's last lines are remembered.
pub const KEPT_OUTPUT: usize = 12;

/// A run as a paper checklist.
#[derive(Debug, Default)]
pub struct Checklist {
    /// What is run, on what; absent until the run began.
    pub title: Option<Title>,
    /// The lines, in order.
    pub lines: Vec<Line>,
    /// The lines of the way back; empty while the run goes forward.
    pub back: Vec<Line>,
    /// The window, once the flag went up.
    pub window: Option<Window>,
    /// What is being asked just now.
    pub asking: Option<Asked>,
    /// How it ended.
    pub end: Option<End>,
}

/// The head of the paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title {
    /// When this driver began.
    pub at: Timestamp,
    /// The run's id.
    pub run: String,
    /// How many drivers the run has had.
    pub epoch: u32,
    /// The environment's name.
    pub environment: String,
    /// The database, as `name on host:port`.
    pub database: String,
    /// The runbook's name.
    pub runbook: String,
    /// What the runbook says of itself.
    pub description: String,
}

/// One line and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Which line.
    pub id: LineId,
    /// The phase that it stands in.
    pub phase: Phase,
    /// Its name.
    pub name: String,
    /// What became of it so far.
    pub state: State,
    /// What was worth knowing.
    pub notes: Vec<String>,
    /// The last lines that its command wrote, [`KEPT_OUTPUT`] at most.
    pub output: VecDeque<String>,
}

/// What became of a line so far.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Its turn has not come.
    Waiting,
    /// It acts.
    Running {
        /// Since when.
        since: Timestamp,
        /// How far, if it tells.
        gauge: Option<Gauge>,
    },
    /// Done.
    Done {
        /// Its result in a few words.
        summary: String,
        /// How long it took; absent for a line that an earlier driver did.
        took: Option<Duration>,
    },
    /// Failed.
    Failed {
        /// Why.
        failure: Failure,
        /// How long it took.
        took: Duration,
    },
    /// Its turn will not come: the run turned back or ended before.
    Skipped,
    /// The run ended while it acted; `resume` asks production what became of it.
    Unfinished,
}

/// The time in which users see the maintenance page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When the flag went up.
    pub began: Timestamp,
    /// How long it may stay up.
    pub max: Option<Duration>,
    /// When it came down.
    pub ended: Option<Timestamp>,
}

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which line asks.
    pub line: LineId,
    /// What is asked.
    pub text: String,
    /// What must be typed for yes.
    pub expects: String,
}

/// How a run ended: [`Event::Ended`] with its texts made safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// How.
    pub verdict: Verdict,
    /// The exit code.
    pub exit: u8,
    /// The run's id.
    pub run: String,
    /// What production is.
    pub production: String,
    /// The first cause.
    pub cause: Option<Failure>,
    /// What failed on the way back.
    pub put_back_cause: Option<Failure>,
    /// What to do next.
    pub next: Vec<String>,
}

impl Checklist {
    /// Whether the run began and its events stopped without an end. One that could not begin says why itself.
    pub fn broke_off(&self) -> bool {
        self.title.is_some() && self.end.is_none()
    }

    /// Takes one event in. `now` is when it was read: it times what carries no time of its own.
    pub fn fold(&mut self, event: &Event, now: Timestamp) {
        match event {
            Event::RunBegan { at, run, epoch, environment, database, runbook, description, lines } => {
                let title = Title {
                    at: *at,
                    run: one_line(run),
                    epoch: *epoch,
                    environment: one_line(environment),
                    database: one_line(database),
                    runbook: one_line(runbook),
                    description: one_line(description),
                };
                let lines = lines.iter().map(Line::new).collect();
                *self = Self { title: Some(title), lines, ..Self::default() };
            }
            Event::LineStarted { at, line } => {
                self.change(*line, |l| l.state = State::Running { since: *at, gauge: None });
            }
            Event::Progress { line, done, total, unit, note } => self.change(*line, |l| {
                if let State::Running { gauge, .. } = &mut l.state {
                    let note = one_line(note);
                    match gauge {
                        Some(gauge) => gauge.report(*done, *total, *unit, note, now),
                        None => *gauge = Some(Gauge::new(*done, *total, *unit, note, now)),
                    }
                }
            }),
            Event::Output { line, text } => self.change(*line, |l| l.hear(text)),
            Event::Note { line: Some(line), text } => self.change(*line, |l| l.notes.push(clean(text))),
            Event::Note { line: None, .. } => {}
            Event::LineFinished { line, summary, millis, .. } => {
                let took = Some(Duration::from_millis(*millis));
                self.settle(*line, State::Done { summary: one_line(summary), took });
            }
            Event::LineFailed { line, failure, millis, .. } => {
                let took = Duration::from_millis(*millis);
                self.settle(*line, State::Failed { failure: clean_failure(failure), took });
            }
            Event::WindowBegan { at, max_millis } => {
                let max = max_millis.map(Duration::from_millis);
                self.window = Some(Window { began: *at, max, ended: None });
            }
            Event::WindowEnded { at } => {
                if let Some(window) = &mut self.window {
                    window.ended = Some(*at);
                }
            }
            Event::PutBackBegan { lines, .. } => {
                self.give_up();
                self.back = lines.iter().map(Line::new).collect();
            }
            Event::Question { line, text, expects, .. } => {
                self.asking = Some(Asked { line: *line, text: clean(text), expects: one_line(expects) });
            }
            Event::Ended { at, verdict, exit, run, production, cause, put_back_cause, next } => {
                self.give_up();
                self.end = Some(End {
                    at: *at,
                    verdict: *verdict,
                    exit: *exit,
                    run: one_line(run),
                    production: one_line(production),
                    cause: cause.as_ref().map(clean_failure),
                    put_back_cause: put_back_cause.as_ref().map(clean_failure),
                    next: next.iter().map(|n| clean(n)).collect(),
                });
            }
        }
    }

    /// The question was answered, or never will be.
    pub fn answered(&mut self) {
        self.asking = None;
    }

    /// All lines: the checklist, then the way back.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Line> {
        self.lines.iter().chain(&self.back)
    }

    /// The line of that id.
    pub fn line(&self, id: LineId) -> Option<&Line> {
        self.all().find(|l| l.id == id)
    }

    /// The line that acts now.
    pub fn running(&self) -> Option<&Line> {
        self.all().rfind(|l| matches!(l.state, State::Running { .. }))
    }

    /// The first line that failed: its failure is the first cause.
    pub fn failed(&self) -> Option<&Line> {
        self.all().find(|l| matches!(l.state, State::Failed { .. }))
    }

    /// Where a line stands among its kind: `(3, 14)` for the third of fourteen.
    pub fn place(&self, id: LineId) -> Option<(usize, usize)> {
        let list = match id {
            LineId::Line(_) => &self.lines,
            LineId::Back(_) => &self.back,
        };
        list.iter().position(|l| l.id == id).map(|at| (at + 1, list.len()))
    }

    fn change(&mut self, id: LineId, change: impl FnOnce(&mut Line)) {
        if let Some(line) = self.lines.iter_mut().chain(&mut self.back).find(|l| l.id == id) {
            change(line);
        }
    }

    fn settle(&mut self, id: LineId, state: State) {
        self.change(id, |l| l.state = state);
        self.asking = self.asking.take().filter(|asked| asked.line != id);
    }

    /// What waits will not be done, and what runs will not be seen to finish.
    fn give_up(&mut self) {
        for line in self.lines.iter_mut().chain(&mut self.back) {
            match line.state {
                State::Waiting => line.state = State::Skipped,
                State::Running { .. } => line.state = State::Unfinished,
                _ => {}
            }
        }
        self.asking = None;
    }
}

impl Line {
    fn new(card: &LineCard) -> Self {
        let state = match &card.done {
            Some(summary) => State::Done { summary: one_line(summary), took: None },
            None => State::Waiting,
        };
        let name = one_line(&card.name);
        Self { id: card.id, phase: card.phase, name, state, notes: Vec::new(), output: VecDeque::new() }
    }

    fn hear(&mut self, text: &str) {
        for line in clean(text).split('\n').map(str::trim_end).filter(|l| !l.is_empty()) {
            if self.output.len() == KEPT_OUTPUT {
                self.output.pop_front();
            }
            self.output.push_back(line.to_string());
        }
    }
}

impl Window {
    /// How long the flag is up, or was.
    pub fn open_for(&self, now: Timestamp) -> Duration {
        between(self.began, self.ended.unwrap_or(now))
    }
}

#[cfg(test)]
#[path = "checklist_tests.rs"]
mod tests;
