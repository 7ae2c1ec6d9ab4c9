//! The checklist as it stands on paper: **pure** text for the terminal screen. What is settled is
//! written once and stays; what is live is written anew at every look.

use std::time::Duration;

use jiff::Timestamp;

use super::checklist::{Checklist, Line, State, Window};
use super::layout::{cut, cut_middle, pad, pad_left, width_of, wrap_cut};
use super::look::{Ink, Look};
use super::rate::Gauge;
use crate::event::{Phase, Unit};
use crate::time::{between, show_bytes, show_duration};

/// Columns of a duration: `59 m 59 s`.
const TOOK: usize = 9;
/// From this width on the result stands beside its line; below, under it.
const WIDE: usize = 80;
/// From this width on a long bar leaves room for all of its words.
const ROOMY: usize = 100;
/// How much of a failed command's output is shown at once; all of it is in the run's log.
const OUTPUT_AFTER_FAILURE: usize = 8;
/// How much of a running command's output is shown.
const OUTPUT_WHILE_RUNNING: usize = 4;
/// Rows left to what is settled, however long the rest of the checklist is.
const ROWS_ABOVE: usize = 6;

/// What changes under the eye: the running line, its gauge, and all below.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Live {
    /// The running line, without the spinner before it.
    pub running: Option<String>,
    /// Its bar.
    pub gauge: Option<Bar>,
    /// Output, notes, the lines to come, the window's clock.
    pub below: Vec<String>,
}

/// A progress bar: indented, as long as given, with words after it.
#[derive(Debug, PartialEq)]
pub(super) struct Bar {
    pub indent: usize,
    pub length: usize,
    /// From 0 to 1.
    pub fraction: f64,
    pub words: String,
}

/// The head of the paper.
pub(super) fn opening(list: &Checklist, look: Look) -> Vec<String> {
    let Some(title) = &list.title else { return Vec::new() };
    let marks = look.marks();
    let name = format!("{} {} {}", title.runbook, marks.arrow, title.environment);
    let mut rows = vec![look.paint(Ink::Strong, &name)];
    let mut facts = vec![title.description.clone(), title.database.clone(), format!("run {}", title.run)];
    if title.epoch > 1 {
        facts.push(format!("taken up again, driver {}", title.epoch));
    }
    facts.retain(|f| !f.is_empty());
    let between = format!(" {} ", marks.dot);
    let mut row = String::new();
    for fact in facts.iter().flat_map(|fact| wrap_cut(fact, look.width, look)) {
        if !row.is_empty() && width_of(&row) + width_of(&between) + width_of(&fact) > look.width {
            rows.push(look.paint(Ink::Faint, &std::mem::take(&mut row)));
        }
        if !row.is_empty() {
            row.push_str(&between);
        }
        row.push_str(&fact);
    }
    rows.push(look.paint(Ink::Faint, &row));
    rows
}

/// The heading of a phase.
pub(super) fn heading(phase: Phase, look: Look) -> String {
    let (name, meaning) = phase_words(phase);
    let row = format!("{name}  {meaning}");
    if width_of(&row) > look.width {
        return look.paint(Ink::Strong, name);
    }
    format!("{}  {}", look.paint(Ink::Strong, name), look.paint(Ink::Faint, meaning))
}

/// A phase's name and what it means for production.
pub(super) fn phase_words(phase: Phase) -> (&'static str, &'static str) {
    match phase {
        Phase::Before => ("before", "production serves"),
        Phase::During => ("window", "maintenance page up, the database is ours alone"),
        Phase::Open => ("open", "maintenance page still up, the database is open again"),
        Phase::After => ("after", "production serves"),
        Phase::PutBack => ("put back", "production goes back to what it was"),
    }
}

/// A line that is done or failed, with its notes, as it stays on the paper.
pub(super) fn settled(list: &Checklist, line: &Line, look: Look) -> Vec<String> {
    let marks = look.marks();
    let (mark, ink, took, words, words_ink) = match &line.state {
        State::Done { summary, took } => {
            let took = took.map_or_else(|| "earlier".to_string(), show_duration);
            (marks.done, Ink::Good, took, summary.clone(), Ink::Faint)
        }
        State::Failed { failure, took } => {
            let first = failure.causes.first().and_then(|c| c.lines().next());
            let because = first.map(|c| format!(": {c}")).unwrap_or_default();
            let words = format!("could not {}{because}", failure.what);
            (marks.failed, Ink::Bad, show_duration(*took), words, Ink::Bad)
        }
        State::Unfinished => (marks.unfinished, Ink::Warn, String::new(), "did not finish".into(), Ink::Warn),
        State::Waiting | State::Running { .. } | State::Skipped => return Vec::new(),
    };
    let columns = Columns::of(list, look);
    let start = format!("  {} {}  ", look.paint(ink, mark), columns.number(list, line));
    let mut rows = columns.row(&start, &line.name, &took, &words, words_ink);
    rows.extend(columns.notes(line));
    if matches!(line.state, State::Failed { .. } | State::Unfinished) {
        rows.extend(columns.output(line, OUTPUT_AFTER_FAILURE));
    }
    rows
}

/// The lines of `way` whose turn will not come, as one.
pub(super) fn skipped(list: &Checklist, way: &[Line], look: Look) -> Vec<String> {
    let of = |line: &&Line| line.state == State::Skipped;
    let names: Vec<&str> = way.iter().filter(of).map(|l| l.name.as_str()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let columns = Columns::of(list, look);
    let indent = columns.indent();
    let text = format!("not run: {}", names.join(", "));
    let mut rows = Vec::new();
    for (i, row) in wrap_cut(&text, look.width.saturating_sub(indent), look).iter().enumerate() {
        let mark = if i == 0 { format!("  {}", look.marks().skipped) } else { String::new() };
        rows.push(look.paint(Ink::Faint, &format!("{}{row}", pad(&mark, indent))));
    }
    rows
}

/// Written when the flag came down.
pub(super) fn window_closed(list: &Checklist, window: &Window, look: Look) -> String {
    let took = show_duration(window.open_for(window.began));
    Columns::of(list, look).faint(&format!("users saw the maintenance page for {took}"))
}

/// What is live, in at most `height` rows.
pub(super) fn live(list: &Checklist, now: Timestamp, look: Look, height: usize) -> Live {
    let columns = Columns::of(list, look);
    let mut live = Live::default();
    if let Some(line) = list.running() {
        let State::Running { since, gauge } = &line.state else { return live };
        let note = gauge.as_ref().map(|g| g.note.as_str()).unwrap_or_default();
        live.running = Some(columns.running(list, line, between(*since, now), note));
        if let Some(gauge) = gauge {
            match columns.bar(gauge, now) {
                Some(bar) => live.gauge = Some(bar),
                None => live.below.push(columns.faint(&amount(gauge, now).join("  "))),
            }
        }
        if !columns.wide && !note.is_empty() {
            live.below.push(columns.faint(note));
        }
        let notes = columns.notes(line);
        live.below.extend_from_slice(&notes[notes.len().saturating_sub(3)..]);
        let lines = if height < 16 { OUTPUT_WHILE_RUNNING / 2 } else { OUTPUT_WHILE_RUNNING };
        live.below.extend(columns.output(line, lines));
    }
    let clock = list.window.as_ref().filter(|w| w.ended.is_none()).map(|w| clock(w, now, look));
    let used = 2 + live.below.len() + clock.iter().len() * 2;
    live.below.extend(columns.to_come(list, height.saturating_sub(used + ROWS_ABOVE)));
    if let Some(clock) = clock {
        live.below.extend([String::new(), clock]);
    }
    for row in live.running.iter_mut().chain(&mut live.below) {
        *row = cut(row, look.width.saturating_sub(1), look);
    }
    live
}

/// `window open 00:42 of 15:00, 14:18 left`
pub(super) fn clock(window: &Window, now: Timestamp, look: Look) -> String {
    let open = window.open_for(now);
    let (words, ink) = match window.max {
        None => (String::new(), Ink::Strong),
        Some(max) if open > max => {
            (format!(" of {}, {} over", minutes(max), minutes(open.saturating_sub(max))), Ink::Bad)
        }
        Some(max) => {
            // Of whole seconds, so that both add up to the whole.
            let left = minutes(max.saturating_sub(Duration::from_secs(open.as_secs())));
            let ink = if open * 5 > max * 4 { Ink::Warn } else { Ink::Strong };
            (format!(" of {}, {left} left", minutes(max)), ink)
        }
    };
    look.paint(ink, &format!("  window open {}{words}", minutes(open)))
}

/// The bar itself, `length` columns long.
pub(super) fn draw_bar(fraction: f64, length: usize, look: Look) -> String {
    let [full, empty] = look.marks().gauge;
    let done = ((fraction.clamp(0.0, 1.0) * length as f64) as usize).min(length);
    let (done, left) = (full.repeat(done), empty.repeat(length - done));
    format!("{}{}", look.paint(Ink::Busy, &done), look.paint(Ink::Faint, &left))
}

fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds / 3600 {
        0 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

/// The words of a gauge: how much, how fast, how long still.
pub(super) fn amount(gauge: &Gauge, now: Timestamp) -> Vec<String> {
    let rate = speed(gauge, now);
    [Some(how_much(gauge)), rate, guess(gauge, now)].into_iter().flatten().collect()
}

fn how_much(gauge: &Gauge) -> String {
    let show = |n| match gauge.unit {
        Unit::Bytes => show_bytes(n),
        Unit::Items => n.to_string(),
        Unit::Millis => minutes(Duration::from_millis(n)),
    };
    match gauge.total {
        Some(total) => format!("{} of {}", show(gauge.done), show(total)),
        None => show(gauge.done),
    }
}

fn speed(gauge: &Gauge, now: Timestamp) -> Option<String> {
    let rate = gauge.per_second(now).filter(|_| gauge.unit == Unit::Bytes)?;
    Some(format!("{}/s", show_bytes(rate as u64)))
}

fn guess(gauge: &Gauge, now: Timestamp) -> Option<String> {
    let left = gauge.time_left(now).filter(|_| gauge.unit != Unit::Items)?;
    Some(format!("{} left", minutes_left(left)))
}

/// The words beside a bar, in at most `room` columns. Numbers keep their columns as they grow.
pub(super) fn fitted(gauge: &Gauge, now: Timestamp, room: usize, look: Look) -> String {
    let bytes = gauge.unit == Unit::Bytes;
    let part = gauge.fraction().filter(|_| bytes).map(|part| format!("{:>3} %", (part * 100.0) as u8));
    let total = gauge.total.map(|total| format!(" of {}", show_bytes(total))).unwrap_or_default();
    let wide = |text: String, width: usize| if bytes { pad_left(&text, width) } else { text };
    let mut words = [
        part,
        Some(wide(how_much(gauge), "000.0 MB".len() + width_of(&total))),
        speed(gauge, now).map(|rate| wide(rate, "000.0 MB/s".len())),
        guess(gauge, now),
    ];
    let join = |words: &[Option<String>]| words.iter().flatten().cloned().collect::<Vec<_>>().join("  ");
    // What the bar tells too goes first: the percentage, then the speed, then how much.
    for given_up in [0, 2, 1] {
        if width_of(&join(&words)) > room && words.iter().flatten().count() > 1 {
            words[given_up] = None;
        }
    }
    cut(&join(&words), room, look)
}

/// Time left is a guess: no tenths.
fn minutes_left(left: Duration) -> String {
    if left.as_secs() < 60 { format!("{} s", left.as_secs().max(1)) } else { show_duration(left) }
}

/// Where things stand on this paper.
struct Columns {
    look: Look,
    wide: bool,
    number: usize,
    name: usize,
}

impl Columns {
    fn of(list: &Checklist, look: Look) -> Self {
        let number = list.lines.len().max(list.back.len()).to_string().len();
        let wide = look.width >= WIDE;
        let mut columns = Self { look, wide, number, name: 0 };
        let longest = list.all().map(|l| width_of(&l.name)).max().unwrap_or(0);
        columns.name = if wide {
            longest.clamp(12, 32)
        } else {
            look.width.saturating_sub(columns.indent() + TOOK + 3).max(8)
        };
        columns
    }

    /// Where names begin.
    fn indent(&self) -> usize {
        2 + self.mark() + 1 + self.number + 2
    }

    fn mark(&self) -> usize {
        self.look.marks().done.chars().count()
    }

    fn number(&self, list: &Checklist, line: &Line) -> String {
        let number = list.place(line.id).map(|(n, _)| n.to_string()).unwrap_or_default();
        self.look.paint(Ink::Faint, &pad_left(&number, self.number))
    }

    /// A line with its result beside it, or under it where there is no room.
    fn row(&self, start: &str, name: &str, took: &str, words: &str, ink: Ink) -> Vec<String> {
        let paint = |row: &str| self.look.paint(ink, row);
        let took = self.look.paint(Ink::Faint, &pad_left(took, TOOK));
        // A name beside which nothing fits still leaves its time on the same row.
        let longest = self.look.width.saturating_sub(self.indent() + 2 + TOOK);
        let name = &cut_middle(name, longest, self.look);
        let head = format!("{start}{}  {took}", pad(name, self.name));
        if words.is_empty() {
            return vec![head.trim_end().to_string()];
        }
        let beside = self.indent() + self.name + 2 + TOOK + 2;
        let fits = width_of(name) <= self.name && self.wide;
        let at = if fits { beside } else { self.indent() };
        let text = wrap_cut(words, self.look.width.saturating_sub(at), self.look);
        let mut text = text.iter().map(|row| format!("{}{}", " ".repeat(at), paint(row)));
        match (fits, text.next()) {
            (true, Some(first)) => {
                let mut rows = vec![format!("{head}  {}", first.trim_start_matches(' '))];
                rows.extend(text);
                rows
            }
            (_, first) => [head.trim_end().to_string()].into_iter().chain(first).chain(text).collect(),
        }
    }

    fn running(&self, list: &Checklist, line: &Line, since: Duration, note: &str) -> String {
        let name = pad(&cut(&line.name, self.name, self.look), self.name);
        let took = self.look.paint(Ink::Faint, &pad_left(&show_duration(since), TOOK));
        let note = if self.wide { self.look.paint(Ink::Busy, note) } else { String::new() };
        let row =
            format!(" {}  {}  {took}  {note}", self.number(list, line), self.look.paint(Ink::Strong, &name));
        // The spinner before it takes two columns and its own width; the last column stays free.
        cut(row.trim_end(), self.look.width.saturating_sub(3 + self.mark()), self.look)
    }

    fn bar(&self, gauge: &Gauge, now: Timestamp) -> Option<Bar> {
        let fraction = gauge.fraction()?;
        let length = if self.look.width >= ROOMY { 28 } else { 16 };
        let room = self.look.width.saturating_sub(self.indent() + length + 3);
        let words = fitted(gauge, now, room, self.look);
        Some(Bar { indent: self.indent(), length, fraction, words })
    }

    fn notes(&self, line: &Line) -> Vec<String> {
        let mut rows = Vec::new();
        let at = self.indent() + 2;
        for note in &line.notes {
            let text =
                note.split('\n').flat_map(|l| wrap_cut(l, self.look.width.saturating_sub(at), self.look));
            for (i, row) in text.enumerate() {
                let mark = if i == 0 { self.look.marks().note } else { " " };
                rows.push(self.look.paint(Ink::Warn, &format!("{}{mark} {row}", " ".repeat(at - 2))));
            }
        }
        rows
    }

    fn output(&self, line: &Line, last: usize) -> Vec<String> {
        let skip = line.output.len().saturating_sub(last);
        let mark = self.look.marks().output;
        line.output.iter().skip(skip).map(|text| self.faint(&format!("{mark} {text}"))).collect()
    }

    fn faint(&self, text: &str) -> String {
        format!("{}{}", " ".repeat(self.indent()), self.look.paint(Ink::Faint, text))
    }

    /// The lines to come, with the headings of their phases, in at most `rows` rows.
    fn to_come(&self, list: &Checklist, rows: usize) -> Vec<String> {
        let coming = if list.back.is_empty() { &list.lines } else { &list.back };
        let mut phase = list.all().rfind(|l| !matches!(l.state, State::Waiting)).map(|l| l.phase);
        let mut text = Vec::new();
        for line in coming.iter().filter(|l| l.state == State::Waiting) {
            if phase.replace(line.phase) != Some(line.phase) {
                text.push(self.look.paint(Ink::Faint, phase_words(line.phase).0));
            }
            let number = list.place(line.id).map(|(n, _)| n.to_string()).unwrap_or_default();
            let row =
                format!("  {} {}  {}", self.look.marks().waiting, pad_left(&number, self.number), line.name);
            text.push(self.look.paint(Ink::Faint, &row));
        }
        if text.len() > rows {
            text.truncate(rows.saturating_sub(1));
            text.push(self.look.paint(Ink::Faint, &format!("  {}", self.look.marks().cut)));
        }
        text
    }
}
