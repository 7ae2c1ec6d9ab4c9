//! The page's checklist: every line with its tries, notes and output. **Pure.**

use super::escape::Page;
use super::html::failure;
use super::model::{End, Line, Report, Standing};
use super::words::{clock, took};
use crate::event::Phase;

/// Writes the checklist, phase by phase.
pub(super) fn checklist(report: &Report, page: &mut Page) {
    if report.lines.is_empty() {
        return;
    }
    page.raw("<section id=\"checklist\">\n<h2>Checklist</h2>\n");
    let mut phase = None;
    for line in &report.lines {
        let before = phase.replace(line.phase);
        if before != Some(line.phase) {
            page.raw(if before.is_some() { "</ol>\n" } else { "" });
            let (name, what) = words(line.phase);
            page.raw("<h3>").raw(name).raw(" <small>").raw(what).raw("</small></h3>\n<ol class=\"lines\">\n");
        }
        item(line, report, page);
    }
    page.raw("</ol>\n</section>\n");
}

fn words(phase: Option<Phase>) -> (&'static str, &'static str) {
    match phase {
        Some(Phase::Before) => ("Before", "production serves"),
        Some(Phase::During) => ("During", "flag up, the database is closed to all others"),
        Some(Phase::Open) => ("Open", "the database is open again, the flag still up"),
        Some(Phase::After) => ("After", "production serves"),
        Some(Phase::PutBack) => ("The way back", "production is put back"),
        None => ("Lines", "the record that tells their phase is lost"),
    }
}

fn item(line: &Line, report: &Report, page: &mut Page) {
    let (class, mark, word) = match line.standing {
        Standing::Waiting => ("waiting", "○", "not done"),
        Standing::Running => ("running", "▸", "at work"),
        Standing::Unfinished => ("unfinished", "?", "begun; what became of it is not known"),
        Standing::Done => ("done", "✓", "done"),
        Standing::Failed => ("failed", "✗", "failed"),
    };
    page.raw("<li class=\"").raw(class).raw("\"");
    // A second way back names its lines as the first did.
    let again = |other: &&Line| other.phase == line.phase && other.id == line.id;
    let twin = report.lines.iter().filter(|_| line.phase == Some(Phase::PutBack)).rfind(again);
    if twin.is_none_or(|last| std::ptr::eq(last, line)) {
        page.raw(" id=\"l").text(&line.id).raw("\"");
    }
    page.raw("><span class=\"mark\" title=\"")
        .raw(word)
        .raw("\">")
        .raw(mark)
        .raw("</span><span class=\"no\">")
        .text(&line.id);
    page.raw("</span><div><b>").text(&line.name).raw("</b>");
    if !line.summary.is_empty() {
        page.element("<p>", &line.summary, "</p>");
    }
    tries(line, page);
    for note in &line.notes {
        page.element("<p class=\"note\">", note, "</p>");
    }
    if line.notes_left_out > 0 {
        page.raw("<p class=\"note\">").count(line.notes_left_out);
        page.raw(if line.notes_left_out == 1 { " further note stands" } else { " further notes stand" });
        page.raw(" in the run's log alone</p>");
    }
    output(line, page);
    page.raw("</div><span class=\"took\">");
    if let Some(millis) = report.until.and_then(|until| line.millis(until)) {
        page.text(&took(millis));
    }
    page.raw("</span></li>\n");
}

/// What is to be said of the times that a line was begun: nothing, if it was once and went well.
fn tries(line: &Line, page: &mut Page) {
    for (n, t) in line.tries.iter().enumerate() {
        match &t.end {
            End::Failed(why) => {
                if line.tries.len() > 1 {
                    page.raw("<p class=\"note\">try ").count(n as u64 + 1).raw(", at ").text(&clock(t.began));
                    page.raw(" UTC, failed:</p>");
                }
                failure(why, page);
            }
            End::WithoutEffect(why) => {
                page.raw("<p class=\"note\">begun at ")
                    .text(&clock(t.began))
                    .raw(" UTC, found without effect: ");
                page.text(why).raw("</p>");
            }
            End::FoundDone => {
                page.raw("<p class=\"note\">its driver did not see it end; a later driver found it done</p>");
            }
            End::Open | End::Done => {}
        }
    }
}

fn output(line: &Line, page: &mut Page) {
    if line.output.is_empty() && line.output_left_out == 0 {
        return;
    }
    let many = line.output.len() as u64 + line.output_left_out;
    page.raw("<details><summary>").count(many).raw(if many == 1 { " line" } else { " lines" });
    page.raw(" of output</summary><pre>");
    for (n, row) in line.output.iter().enumerate() {
        if line.output_gap_at == Some(n) {
            gap(line, page);
        }
        page.text(row).raw("\n");
    }
    if line.output_gap_at == Some(line.output.len()) {
        gap(line, page);
    }
    page.raw("</pre></details>");
}

fn gap(line: &Line, page: &mut Page) {
    page.raw("<i>… ").count(line.output_left_out);
    page.raw(if line.output_left_out == 1 { " line stands" } else { " lines stand" });
    page.raw(" in the run's log alone …</i>\n");
}
