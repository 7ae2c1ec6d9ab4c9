//! The checklist in a terminal. Settled lines are written once and scroll away as any text; the
//! running line, its bar, the lines to come and the window's clock are drawn anew below them.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use super::checklist::{Checklist, State};
use super::look::{Ink, Look};
use super::prompt::Prompt;
use super::said::Said;
use super::{foreign, layout, paper, plain, verdict};
use crate::event::{Event, LineId, Phase};
use crate::time::now;

/// How often the live part is drawn: a clock and a spinner need no more.
const FRAME: Duration = Duration::from_millis(100);
/// The bar's length in indicatif's own units; the real counts are in the words beside it.
const FINE: u64 = 10_000;
/// What is written again after a resize: more than a screen holds.
const REMEMBERED: usize = 300;

/// Reads `events` to their end and shows them on standard error.
pub(super) async fn show(look: Look, mut events: UnboundedReceiver<Event>) {
    let target = ProgressDrawTarget::term(Term::buffered_stderr(), 20);
    if target.is_hidden() {
        // No terminal, or one that cannot move its cursor (`TERM=dumb`).
        return plain::show(look, events).await;
    }
    let mut page = Page::new(look, 24, target);
    page.resize();
    let mut prompt: Option<(Prompt, oneshot::Sender<String>)> = None;
    // The reader of a question that was given up still waits for keys: a second would share them.
    let mut gave_up_asking = false;
    let mut frames = tokio::time::interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                if matches!(event, Event::Ended { .. }) && prompt.take().is_some() {
                    page.asking(false);
                }
                page.take(&event, now());
                if matches!(event, Event::LineStarted { .. } | Event::LineFinished { .. } | Event::LineFailed { .. }) {
                    // At once, or the line just ticked would spin on until the next frame.
                    page.draw(now());
                }
                if let Event::Question { expects, reply, .. } = event {
                    prompt = if gave_up_asking { None } else { Prompt::ask(&foreign::one_line(&expects), page.look) }
                        .map(|asked| (asked, reply));
                    if prompt.is_none() {
                        page.say(page.look.paint(Ink::Warn, "    nobody can answer here, so it does not go on"));
                    }
                    page.asking(prompt.is_some());
                }
            }
            outcome = outcome(&mut prompt) => {
                let reply = prompt.take().map(|(_, reply)| reply);
                match (outcome, reply) {
                    (Outcome::Typed(text), Some(reply)) => drop(reply.send(text)),
                    (Outcome::Unwanted, _) => gave_up_asking = true,
                    _ => page.say(page.look.paint(Ink::Warn, "    no answer, so it does not go on")),
                }
                page.asking(false);
            }
            _ = frames.tick() => {
                page.resize();
                page.draw(now());
            }
        }
    }
    drop(prompt);
    page.close();
}

enum Outcome {
    Typed(String),
    Nothing,
    /// The run waits for an answer no longer.
    Unwanted,
}

/// Waits for what comes of the question, for ever if there is none.
async fn outcome(prompt: &mut Option<(Prompt, oneshot::Sender<String>)>) -> Outcome {
    let Some((prompt, reply)) = prompt else { return std::future::pending().await };
    tokio::select! {
        typed = prompt.answered() => typed.map_or(Outcome::Nothing, Outcome::Typed),
        () = reply.closed() => Outcome::Unwanted,
    }
}

/// What is on the terminal: the checklist as text above, and what is live below it.
pub struct Page {
    look: Look,
    height: usize,
    list: Checklist,
    multi: MultiProgress,
    running: ProgressBar,
    gauge: ProgressBar,
    below: ProgressBar,
    /// Which of the live parts are in the drawing, so that each is added and removed once.
    drawn: Drawn,
    phase: Option<Phase>,
    window_told: bool,
    /// What waits to be written until a question is out of the way.
    held: Option<Vec<Said>>,
    /// What was written last, to write it again.
    said: VecDeque<Said>,
}

#[derive(Default)]
struct Drawn {
    running: bool,
    gauge: Option<(usize, usize)>,
    below: bool,
}

impl Page {
    /// An empty page, `height` rows high, drawn on `target`.
    pub fn new(look: Look, height: usize, target: ProgressDrawTarget) -> Self {
        let multi = MultiProgress::with_draw_target(target);
        let running = ProgressBar::hidden().with_style(running_style(look));
        let below = ProgressBar::hidden().with_style(text_style());
        Self {
            look,
            height,
            list: Checklist::default(),
            multi,
            running,
            gauge: ProgressBar::hidden(),
            below,
            drawn: Drawn::default(),
            phase: None,
            window_told: false,
            held: None,
            said: VecDeque::new(),
        }
    }

    /// Takes the terminal's size as it is now: it may have been resized.
    fn resize(&mut self) {
        let Some((height, width)) = Term::stderr().size_checked() else { return };
        let reflowed = self.look.width != usize::from(width) && !self.said.is_empty();
        (self.height, self.look.width) = (height.into(), width.into());
        if reflowed && self.held.is_none() {
            self.repaint(now());
        }
    }

    /// Writes the page anew. A terminal that gets another width breaks all lines again, and what was
    /// live can no longer be found and erased.
    fn repaint(&mut self, now: Timestamp) {
        self.clear();
        let _ = Term::stderr().clear_screen();
        let live = paper::live(&self.list, now, self.look, self.height);
        let mut room = self.height.saturating_sub(live.below.len() + 3);
        // A row that is too long all the same takes several of the terminal's.
        let high = |row: &String| layout::width_of(row).div_ceil(self.look.width.max(1)).max(1);
        let rows: Vec<String> = self.said.iter().flat_map(|said| said.rows(&self.list, self.look)).collect();
        let fits = |row: &&String| {
            room = room.saturating_sub(high(row));
            room > 0
        };
        let shown = rows.iter().rev().take_while(fits).count();
        for row in &rows[rows.len() - shown..] {
            let _ = self.multi.println(self.look.last_pass(row.trim_end()));
        }
    }

    /// Takes one event in, read at `now`, and writes what it settles.
    pub fn take(&mut self, event: &Event, now: Timestamp) {
        self.list.fold(event, now);
        match event {
            Event::RunBegan { .. } => self.begin(),
            Event::LineStarted { line, .. } => self.enter(*line),
            Event::LineFinished { line, .. } | Event::LineFailed { line, .. } => self.settle(*line),
            Event::Note { line: None, text } => self.tell(Said::Note(foreign::clean(text))),
            // Told below the line that took the flag down, when that is ticked.
            Event::WindowEnded { .. } if self.list.running().is_none() => self.tell_window(),
            Event::PutBackBegan { .. } => self.leave_off(false),
            Event::Question { .. } => self.say_question(now),
            Event::Ended { .. } => self.end(),
            Event::WindowBegan { .. } => self.window_told = false,
            // Live only, drawn with the next frame; or told with the tick of the line that does it.
            Event::Progress { .. }
            | Event::Output { .. }
            | Event::Note { .. }
            | Event::WindowEnded { .. } => {}
        }
    }

    fn begin(&mut self) {
        self.phase = None;
        self.tell(Said::Opening);
        let done: Vec<LineId> =
            self.list.lines.iter().filter(|l| matches!(l.state, State::Done { .. })).map(|l| l.id).collect();
        for id in done {
            self.settle(id);
        }
    }

    /// Writes the heading of the line's phase, if it is the first of it.
    fn enter(&mut self, id: LineId) {
        let Some(phase) = self.list.line(id).map(|l| l.phase) else { return };
        if self.phase.replace(phase) != Some(phase) {
            self.tell(Said::Heading(phase));
        }
    }

    fn settle(&mut self, id: LineId) {
        self.enter(id);
        self.tell(Said::Line(id));
        self.tell_window();
    }

    /// Writes once that the flag is down.
    fn tell_window(&mut self) {
        let ended = self.list.window.is_some_and(|window| window.ended.is_some());
        if ended && !std::mem::replace(&mut self.window_told, true) {
            self.tell(Said::WindowClosed);
        }
    }

    /// Writes the lines that were given up: of the checklist, or of the way back.
    fn leave_off(&mut self, back: bool) {
        let way = if back { &self.list.back } else { &self.list.lines };
        let unfinished: Vec<LineId> =
            way.iter().filter(|l| l.state == State::Unfinished).map(|l| l.id).collect();
        unfinished.into_iter().for_each(|id| self.settle(id));
        self.tell(Said::Skipped { back });
    }

    fn say_question(&mut self, now: Timestamp) {
        let Some(asked) = self.list.asking.clone() else { return };
        self.tell(Said::Question(asked.text));
        if let Some(window) = self.list.window.filter(|w| w.ended.is_none()) {
            self.say(format!("  {}", paper::clock(&window, now, self.look)));
        }
    }

    /// A question stands below everything from here, or no longer.
    fn asking(&mut self, stands: bool) {
        if stands {
            self.clear();
            self.held.get_or_insert_default();
        } else {
            self.list.answered();
            let held = self.held.take().unwrap_or_default();
            held.into_iter().for_each(|said| self.tell(said));
        }
    }

    fn end(&mut self) {
        self.clear();
        self.leave_off(!self.list.back.is_empty());
        self.tell(Said::Verdict);
    }

    fn close(&mut self) {
        self.clear();
        if self.list.broke_off() {
            self.say(verdict::no_verdict(self.look));
        }
    }

    fn say(&mut self, row: String) {
        self.tell(Said::Row(row));
    }

    fn tell(&mut self, said: Said) {
        if let Some(held) = &mut self.held {
            held.push(said);
            return;
        }
        for row in said.rows(&self.list, self.look) {
            // A terminal that is gone is no reason to stop a release.
            let _ = self.multi.println(self.look.last_pass(row.trim_end()));
        }
        if self.said.len() == REMEMBERED {
            self.said.pop_front();
        }
        self.said.push_back(said);
    }

    /// Draws what is live, as it is at `now`. Nothing, while a question stands and after the end.
    pub fn draw(&mut self, now: Timestamp) {
        if self.held.is_some() || self.list.end.is_some() || self.list.title.is_none() {
            return;
        }
        let live = paper::live(&self.list, now, self.look, self.height);
        self.draw_running(live.running);
        self.draw_gauge(live.gauge);
        self.draw_below(&live.below);
    }

    fn draw_running(&mut self, text: Option<String>) {
        match text {
            Some(text) => {
                if !std::mem::replace(&mut self.drawn.running, true) {
                    self.running =
                        self.multi.insert(0, ProgressBar::new_spinner().with_style(running_style(self.look)));
                }
                self.running.set_message(self.look.last_pass(&text));
                self.running.tick();
            }
            None if std::mem::take(&mut self.drawn.running) => self.multi.remove(&self.running),
            None => {}
        }
    }

    fn draw_gauge(&mut self, bar: Option<paper::Bar>) {
        let shape = bar.as_ref().map(|b| (b.indent, b.length));
        if shape != self.drawn.gauge {
            if self.drawn.gauge.is_some() {
                self.multi.remove(&self.gauge);
            }
            if let Some((indent, length)) = shape {
                let style = gauge_style(self.look, indent, length);
                self.gauge = self.multi.insert(1, ProgressBar::new(FINE).with_style(style));
            }
            self.drawn.gauge = shape;
        }
        if let Some(bar) = bar {
            self.gauge.set_position((bar.fraction * FINE as f64) as u64);
            self.gauge.set_message(self.look.last_pass(&bar.words));
        }
    }

    fn draw_below(&mut self, rows: &[String]) {
        if !std::mem::replace(&mut self.drawn.below, true) {
            self.below = self.multi.add(ProgressBar::new_spinner().with_style(text_style()));
        }
        let rows: Vec<String> = rows.iter().map(|r| self.look.last_pass(r)).collect();
        self.below.set_message(rows.join("\n"));
        self.below.tick();
    }

    fn clear(&mut self) {
        for (bar, drawn) in [
            (&self.running, std::mem::take(&mut self.drawn.running)),
            (&self.gauge, self.drawn.gauge.take().is_some()),
            (&self.below, std::mem::take(&mut self.drawn.below)),
        ] {
            if drawn {
                self.multi.remove(bar);
            }
        }
        let _ = self.multi.clear();
    }
}

fn running_style(look: Look) -> ProgressStyle {
    let frames: Vec<String> = look.marks().spinner.iter().map(|f| look.paint(Ink::Busy, f)).collect();
    // indicatif shows the last frame only when a bar is finished, and these never are.
    let mut frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    frames.push(" ");
    style("  {spinner}{msg}").tick_strings(&frames)
}

fn gauge_style(look: Look, indent: usize, length: usize) -> ProgressStyle {
    let draw = move |state: &ProgressState, out: &mut dyn Write| {
        let _ =
            write!(out, "{}{}", " ".repeat(indent), paper::draw_bar(state.fraction().into(), length, look));
    };
    style("{gauge}  {msg}").with_key("gauge", draw)
}

fn text_style() -> ProgressStyle {
    style("{msg}")
}

fn style(template: &str) -> ProgressStyle {
    // The templates are ours and good; should one not be, indicatif's own is a screen still.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
