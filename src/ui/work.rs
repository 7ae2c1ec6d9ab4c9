//! The screen of one piece of work without a checklist: a direct migration, a backup, a restore.

use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;

use super::layout::cut;
use super::look::{Ink, Look};
use super::plain::{PROGRESS_EVERY, write};
use super::rate::Gauge;
use super::{foreign, paper};
use crate::event::Event;
use crate::time::{between, now};

/// How often the live line is drawn.
const FRAME: Duration = Duration::from_millis(100);
/// Columns of the bar: in a terminal of usual width, and in a narrow one.
const BARS: [usize; 2] = [20, 10];
/// From this width on a terminal is not narrow.
const WIDE: usize = 70;

/// Reads `events` to their end.
pub(super) async fn show(live: bool, look: Look, events: UnboundedReceiver<Event>) {
    let target = ProgressDrawTarget::term(Term::buffered_stderr(), 20);
    if live && !target.is_hidden() {
        draw(look, events, ProgressBar::with_draw_target(None, target)).await;
    } else {
        tell(look, events).await;
    }
}

async fn draw(look: Look, mut events: UnboundedReceiver<Event>, bar: ProgressBar) {
    // The template is ours and good; should it not be, indicatif's own is a line still.
    bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
    let mut work = Work::default();
    let mut frames = tokio::time::interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                let lines = work.take(&event, now());
                if !lines.is_empty() {
                    bar.suspend(|| write(look, &lines));
                }
            }
            _ = frames.tick() => {
                if let Some(line) = work.live(now(), look) {
                    bar.set_message(look.last_pass(&line));
                    bar.tick();
                }
            }
        }
    }
    bar.finish_and_clear();
}

async fn tell(look: Look, mut events: UnboundedReceiver<Event>) {
    let mut work = Work::default();
    while let Some(event) = events.recv().await {
        let mut lines = work.take(&event, now());
        lines.extend(work.now_and_then(now()));
        write(look, &lines);
    }
}

/// How far the work is: **pure**.
#[derive(Debug, Default)]
struct Work {
    gauge: Option<Gauge>,
    told: Option<Timestamp>,
}

impl Work {
    /// Takes one event in, read at `now`; gives the lines that it adds.
    fn take(&mut self, event: &Event, now: Timestamp) -> Vec<String> {
        match event {
            Event::Output { text, .. } => lines_of("", text),
            Event::Note { text, .. } => lines_of("note: ", text),
            Event::Progress { done, total, unit, note, .. } => {
                let note = foreign::one_line(note);
                match &mut self.gauge {
                    Some(gauge) => gauge.report(*done, *total, *unit, note, now),
                    gauge => *gauge = Some(Gauge::new(*done, *total, *unit, note, now)),
                }
                self.told.get_or_insert(now);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// The live rows: the bar with its figures, and what is at work.
    fn live(&self, now: Timestamp, look: Look) -> Option<String> {
        let gauge = self.gauge.as_ref()?;
        let length = BARS[usize::from(look.width < WIDE)];
        // The last column stays free.
        let columns = look.width.saturating_sub(1);
        let row = match gauge.fraction() {
            Some(part) => {
                let words = paper::fitted(gauge, now, columns.saturating_sub(length + 2), look);
                format!("{}  {words}", paper::draw_bar(part, length, look))
            }
            None => paper::fitted(gauge, now, columns, look),
        };
        let note = look.paint(Ink::Faint, &gauge.note);
        let rows = [row, note].map(|row| cut(row.trim_end(), columns, look));
        Some(rows.join("\n").trim_end().to_string())
    }

    /// How far it is, if that was not told for a while.
    fn now_and_then(&mut self, now: Timestamp) -> Option<String> {
        let gauge = self.gauge.as_ref()?;
        if self.told.is_some_and(|told| between(told, now) < PROGRESS_EVERY) {
            return None;
        }
        self.told = Some(now);
        let note = Some(gauge.note.clone()).filter(|note| !note.is_empty());
        Some(paper::amount(gauge, now).into_iter().chain(note).collect::<Vec<_>>().join(", "))
    }
}

/// Every line of a foreign text behind the same words.
fn lines_of(lead: &str, text: &str) -> Vec<String> {
    foreign::clean(text).trim_end().split('\n').map(|line| format!("{lead}{line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{LineId, Unit};

    const LINE: LineId = LineId::Line(1);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_763_679_912_000 + millis).expect("a time")
    }

    fn progress(done: u64, note: &str) -> Event {
        Event::Progress { line: LINE, done, total: Some(100_000), unit: Unit::Bytes, note: note.into() }
    }

    #[test]
    fn progress_is_told_now_and_then() {
        let mut work = Work::default();
        let mut told = Vec::new();
        for tenth in 0..210 {
            work.take(&progress(tenth * 500, "users"), at(tenth as i64 * 100));
            told.extend(work.now_and_then(at(tenth as i64 * 100)));
        }
        assert_eq!(
            told,
            ["50.0 kB of 100.0 kB, 5.0 kB/s, 10 s left, users", "100.0 kB of 100.0 kB, 5.0 kB/s, users"]
        );
    }

    #[test]
    fn the_live_line_fits_and_obeys_nobody() {
        let look = Look { colour: false, unicode: false, width: 60 };
        let mut work = Work::default();
        assert_eq!(work.live(at(0), look), None);
        work.take(&progress(50_000, "public.\u{1b}[2Jorders"), at(0));
        let line = work.live(at(0), look).expect("a line");
        assert_eq!(line, "#####.....   50 %   50.0 kB of 100.0 kB\npublic.orders");
        let narrow = Look { width: 30, ..look };
        let fits = |line: &str| line.chars().count() < 30;
        assert!(work.live(at(0), narrow).expect("rows").lines().all(fits));
        work.take(&progress(70_000, "public.orders"), at(2000));
        let wide = Look { width: 80, ..look };
        assert_eq!(
            work.live(at(2000), wide).expect("rows"),
            "##############......   70 %   70.0 kB of 100.0 kB   10.0 kB/s  3 s left\npublic.orders"
        );
        assert_eq!(
            work.live(at(2000), look).expect("rows"),
            "#######...   70.0 kB of 100.0 kB   10.0 kB/s  3 s left\npublic.orders"
        );
    }

    #[test]
    fn what_it_says_becomes_lines() {
        let mut work = Work::default();
        let output = Event::Output { line: LINE, text: "Running upgrade a -> b, B (0.1 s)".into() };
        assert_eq!(work.take(&output, at(0)), ["Running upgrade a -> b, B (0.1 s)"]);
        let note = Event::Note { line: Some(LINE), text: "one\ntwo\u{7}".into() };
        assert_eq!(work.take(&note, at(0)), ["note: one", "note: two\\u{7}"]);
    }
}
