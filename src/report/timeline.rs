//! The timeline as SVG: what took how long, in which phase, and when users saw the maintenance page. **Pure.**
//!
//! Bars are placed in percent, so that one drawing fits a phone, a desk and a sheet of paper; rows have a height in
//! pixels, which the style sheet shares with the labels beside them. Each part of the run has a scale of its own: a
//! window of seconds must be seen beside an approval that took an hour. The strip above them all has one.

use jiff::Timestamp;

use super::escape::Page;
use super::model::{End, Line, Report, Standing, Try, Window};
use super::words::{clock, took};
use crate::event::{Phase, millis};
use crate::time::between;

/// The height of a row, in pixels; `--row` of the style sheet.
const ROW: f64 = 26.0;
/// More rows than this are drawn as one picture without labels.
const MOST_ROWS: usize = 60;
/// The classes of bars, in the order in which one picture of many lines draws them.
const COLOURS: [&str; 5] = ["bar", "bar back", "bar none", "bar bad", "bar now"];
/// A shorter bar would not be seen, in percent.
const SHORTEST: f64 = 0.35;

/// A part of a run with a scale of its own.
struct Part<'r> {
    title: &'static str,
    class: &'static str,
    lines: Vec<&'r Line>,
    scale: Scale,
}

/// From when to when a drawing goes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scale {
    from: Timestamp,
    to: Timestamp,
}

impl Scale {
    fn of<'l>(lines: impl Iterator<Item = &'l Line>, until: Timestamp) -> Option<Self> {
        let tries = lines.flat_map(|line| &line.tries);
        let spans = tries.map(|t| (t.began, t.ended.unwrap_or(until).max(t.began)));
        spans
            .map(|(from, to)| Self { from, to })
            .reduce(|a, b| Self { from: a.from.min(b.from), to: a.to.max(b.to) })
    }

    fn millis(self) -> u64 {
        millis(between(self.from, self.to))
    }

    /// Where a moment is, in percent.
    fn at(self, moment: Timestamp) -> f64 {
        let whole = self.millis().max(1) as f64;
        (millis(between(self.from, moment)) as f64 / whole * 100.0).min(100.0)
    }

    /// Where a span begins, and how wide it is.
    fn span(self, from: Timestamp, to: Timestamp) -> (f64, f64) {
        let (left, right) = (self.at(from), self.at(to));
        let width = (right - left).max(SHORTEST);
        (left.min(100.0 - width), width)
    }
}

/// Draws the run.
pub(super) fn draw(report: &Report, page: &mut Page) {
    let Some(until) = report.until else { return };
    let parts = parts(report, until);
    let Some(whole) = Scale::of(report.lines.iter(), until) else { return };
    strip(report, &parts, whole, until, page);
    for part in &parts {
        draw_part(part, report.window.as_ref(), until, page);
    }
}

fn parts(report: &Report, until: Timestamp) -> Vec<Part<'_>> {
    type Wanted = fn(&Line) -> bool;
    let kinds: [(&str, &str, Wanted); 4] = [
        ("Before", "before", |line| line.phase == Some(Phase::Before)),
        ("The window", "window", |line| {
            matches!(line.phase, Some(Phase::During | Phase::Open | Phase::PutBack))
        }),
        ("After", "after", |line| line.phase == Some(Phase::After)),
        ("Of lines whose phase is not known", "before", |line| line.phase.is_none()),
    ];
    let part = |(title, class, wanted): (&'static str, &'static str, Wanted)| {
        let lines: Vec<&Line> = report.lines.iter().filter(|line| wanted(line)).collect();
        let scale = Scale::of(lines.iter().copied(), until)?;
        Some(Part { title, class, lines, scale })
    };
    kinds.into_iter().filter_map(part).collect()
}

/// The whole run on one scale: its parts, and the window shaded.
fn strip(report: &Report, parts: &[Part<'_>], whole: Scale, until: Timestamp, page: &mut Page) {
    page.raw(
        "<figure class=\"strip\"><svg role=\"img\" height=\"46\" aria-label=\"The whole run, on one scale\">",
    );
    if let Some(window) = &report.window {
        let (x, width) = whole.span(window.began, window.ended.unwrap_or(until));
        rect(page, "<rect class=\"shade\" y=\"0\" height=\"46\"", x, width)
            .raw("><title>The flag was up for ");
        page.text(&took(window.millis(until))).raw("</title></rect>");
    }
    for part in parts {
        let (x, width) = whole.span(part.scale.from, part.scale.to);
        page.raw("<g class=\"").raw(part.class).raw("\">");
        rect(page, "<rect class=\"part\" y=\"16\" height=\"14\" rx=\"3\"", x, width).raw("><title>");
        page.raw(part.title).raw(": ").text(&took(part.scale.millis())).raw("</title></rect></g>");
    }
    let failed = report.lines.iter().flat_map(|line| &line.tries).filter(|t| matches!(t.end, End::Failed(_)));
    for at in failed.filter_map(|t| t.ended) {
        page.raw("<line class=\"fell\" y1=\"9\" y2=\"37\" x1=\"").figure(whole.at(at)).raw("%\" x2=\"");
        page.figure(whole.at(at)).raw("%\"/>");
    }
    page.raw("</svg><figcaption><span>").text(&clock(whole.from)).raw("</span><span>");
    page.text(&took(whole.millis())).raw(" in all</span><span>").text(&clock(whole.to));
    page.raw(" UTC</span></figcaption></figure>");
}

fn draw_part(part: &Part<'_>, window: Option<&Window>, until: Timestamp, page: &mut Page) {
    page.raw("<figure class=\"chart ")
        .raw(part.class)
        .raw("\"><figcaption><b>")
        .raw(part.title)
        .raw("</b><span>");
    match window.filter(|_| part.class == "window") {
        Some(window) => {
            page.raw("flag up for ").text(&took(window.millis(until)));
            if let Some(max) = window.max_millis {
                page.raw(", at most ").text(&took(max));
            }
        }
        None => {
            page.text(&took(part.scale.millis()));
        }
    }
    page.raw("</span></figcaption>");
    let shade = window.filter(|_| part.class == "window");
    match part.lines.len() <= MOST_ROWS {
        true => rows(part, shade, until, page),
        false => dense(part, shade, until, page),
    }
    page.raw("</figure>");
}

/// A row a line: its name, its bars, how long it took.
fn rows(part: &Part<'_>, window: Option<&Window>, until: Timestamp, page: &mut Page) {
    page.raw("<div class=\"rows\"><ol class=\"names\">");
    for line in &part.lines {
        page.raw("<li")
            .raw(if line.tries.is_empty() { " class=\"idle\"" } else { "" })
            .raw("><i>")
            .text(&line.id);
        page.raw("</i> ").text(&line.name).raw("</li>");
    }
    page.raw("</ol><svg role=\"img\" height=\"")
        .figure(ROW * part.lines.len() as f64)
        .raw("\" aria-label=\"");
    page.raw(part.title).raw(", line by line\">");
    if let Some(window) = window {
        let (x, width) = part.scale.span(window.began, window.ended.unwrap_or(until));
        rect(page, "<rect class=\"shade\" y=\"0\" height=\"100%\"", x, width).raw("/>");
    }
    for quarter in [25.0, 50.0, 75.0] {
        page.raw("<line class=\"grid\" y1=\"0\" y2=\"100%\" x1=\"").figure(quarter).raw("%\" x2=\"");
        page.figure(quarter).raw("%\"/>");
    }
    for (n, line) in part.lines.iter().enumerate() {
        for (t, x, width) in bars(line, part.scale, until) {
            page.raw("<rect class=\"")
                .raw(class(t, line.phase, line.standing))
                .raw("\" y=\"")
                .figure(ROW * n as f64 + 7.0);
            rect(page, "\" height=\"12\" rx=\"2\"", x, width).raw("/>");
        }
    }
    page.raw("</svg><ol class=\"spans\">");
    for line in &part.lines {
        page.raw("<li>").text(&line.millis(until).map(took).unwrap_or_else(|| "–".into())).raw("</li>");
    }
    page.raw("</ol></div>");
}

/// All lines in one picture, the first on top; the slowest by name.
fn dense(part: &Part<'_>, window: Option<&Window>, until: Timestamp, page: &mut Page) {
    let many = part.lines.len() as f64;
    page.raw("<svg class=\"dense\" role=\"img\" height=\"220\" aria-label=\"").raw(part.title);
    page.raw(", all lines in order from top to bottom\">");
    if let Some(window) = window {
        let (x, width) = part.scale.span(window.began, window.ended.unwrap_or(until));
        rect(page, "<rect class=\"shade\" y=\"0\" height=\"100%\"", x, width).raw("/>");
    }
    // One shape a colour: two thousand would be felt.
    page.raw("<svg viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\" width=\"100%\" height=\"100%\">");
    for colour in COLOURS {
        page.raw("<path class=\"").raw(colour).raw("\" d=\"");
        for (n, line) in part.lines.iter().enumerate() {
            for (_, x, width) in
                bars(line, part.scale, until).filter(|(t, ..)| class(t, line.phase, line.standing) == colour)
            {
                page.raw("M")
                    .figure(x)
                    .raw(" ")
                    .figure(n as f64 / many * 99.0)
                    .raw("h")
                    .figure(width)
                    .raw("v");
                page.figure((100.0 / many).max(1.0)).raw("h-").figure(width).raw("z");
            }
        }
        page.raw("\"/>");
    }
    page.raw("</svg></svg><p class=\"quiet\">").count(part.lines.len() as u64);
    page.raw(" lines, the first on top. The slowest: ");
    let mut slow: Vec<(&Line, u64)> =
        part.lines.iter().filter_map(|line| Some((*line, line.millis(until)?))).collect();
    slow.sort_by_key(|(_, millis)| std::cmp::Reverse(*millis));
    for (n, (line, millis)) in slow.iter().take(5).enumerate() {
        page.raw(if n == 0 { "" } else { ", " }).text(&line.id).raw(" ").text(&line.name).raw(" (");
        page.text(&took(*millis)).raw(")");
    }
    page.raw(".</p>");
}

/// The tries of a line, each with its place.
fn bars(line: &Line, scale: Scale, until: Timestamp) -> impl Iterator<Item = (&Try, f64, f64)> {
    line.tries.iter().map(move |t| {
        let (x, width) = scale.span(t.began, t.ended.unwrap_or(until));
        (t, x, width)
    })
}

fn class(t: &Try, phase: Option<Phase>, standing: Standing) -> &'static str {
    match (&t.end, phase, standing) {
        (End::Failed(_), ..) => "bar bad",
        (End::WithoutEffect(_), ..) => "bar none",
        (End::Open, _, Standing::Running) => "bar now",
        (End::Open, ..) => "bar none",
        (_, Some(Phase::PutBack), _) => "bar back",
        _ => "bar",
    }
}

/// The end of a rectangle's tag: its place and width, in percent.
fn rect<'p>(page: &'p mut Page, begun: &'static str, x: f64, width: f64) -> &'p mut Page {
    page.raw(begun).raw(" x=\"").figure(x).raw("%\" width=\"").figure(width).raw("%\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_763_680_000_000 + millis).expect("a time")
    }

    #[test]
    fn every_try_is_drawn_among_many_lines_too() {
        let (began, ended) = (at(0), Some(at(9)));
        let failed = End::Failed(crate::failure::Failure::failed("x"));
        for end in [End::Open, End::Done, End::FoundDone, failed, End::WithoutEffect(String::new())] {
            let t = Try { epoch: 1, began, ended, end };
            for phase in [None, Some(Phase::During), Some(Phase::PutBack)] {
                for standing in [Standing::Running, Standing::Unfinished, Standing::Done] {
                    assert!(COLOURS.contains(&class(&t, phase, standing)), "{t:?} {phase:?} {standing:?}");
                }
            }
        }
    }

    #[test]
    fn a_span_is_seen_however_short_and_never_leaves_the_drawing() {
        let scale = Scale { from: at(0), to: at(10_000) };
        assert_eq!(scale.span(at(2_500), at(5_000)), (25.0, 25.0));
        assert_eq!(scale.span(at(10_000), at(10_000)), (100.0 - SHORTEST, SHORTEST));
        assert_eq!(scale.span(at(-5_000), at(20_000)), (0.0, 100.0));
        let nothing = Scale { from: at(0), to: at(0) };
        assert_eq!(nothing.span(at(0), at(0)), (0.0, SHORTEST));
    }
}
