//! The page's part on people and drivers: who said what, who drove, and what came between. **Pure.**

use super::escape::Page;
use super::html::more;
use super::model::{Answer, Known, Report};
use super::size::MOST_ENTRIES;
use super::words::clock;

/// Whether there is anything to tell.
pub(super) fn are_told(report: &Report) -> bool {
    !(report.drivers.is_empty() && report.answers.is_empty() && report.happenings.is_empty())
}

/// Writes it.
pub(super) fn people(report: &Report, page: &mut Page) {
    if !are_told(report) {
        return;
    }
    page.raw("<section id=\"people\">\n<h2>People and drivers</h2>\n");
    answers(report, page);
    happenings(report, page);
    page.raw("</section>\n");
}

fn answers(report: &Report, page: &mut Page) {
    if report.answers.is_empty() {
        return;
    }
    page.raw("<h3>Answers and approvals</h3>\n<ul class=\"log\">\n");
    let earlier = report.answers.len().saturating_sub(MOST_ENTRIES);
    for answer in &report.answers[earlier..] {
        page.raw("<li><time>").text(&clock(answer.at)).raw("</time><div><b>").text(&answer.to).raw("</b> ");
        page.text(&answer.said).raw("<p class=\"quiet\">").text(&answer.who);
        known(answer, page);
        page.raw("</p></div></li>\n");
    }
    more(report.answers.len(), MOST_ENTRIES, page);
    page.raw("</ul>\n");
}

fn known(answer: &Answer, page: &mut Page) {
    match &answer.known {
        Known::Asked => page.raw(", asked at a terminal"),
        Known::Yes => page.raw(", by --yes: nobody was asked"),
        Known::Plan { typed: true, recorded_by } => {
            page.raw(", typed at a terminal, as ").text(recorded_by).raw(" wrote down in the plan")
        }
        Known::Plan { typed: false, recorded_by } => {
            page.raw(", as ").text(recorded_by).raw(" said by backstay approve --yes")
        }
        Known::File { file, given_by } => {
            page.raw(", from ").text(file).raw(", which ").text(given_by).raw(" gave")
        }
        Known::Untold => page,
    };
}

fn happenings(report: &Report, page: &mut Page) {
    let first = report.drivers.first().filter(|drive| drive.epoch == 1);
    if first.is_none() && report.happenings.is_empty() {
        return;
    }
    page.raw("<h3>Takeovers, interruptions, decisions</h3>\n<ul class=\"log\">\n");
    if let Some(drive) = first {
        page.raw("<li><time>").text(&clock(drive.at)).raw("</time><div><b>began</b> ").text(&drive.who);
        page.raw(", backstay ").text(&drive.version).raw("</div></li>\n");
    }
    let earlier = report.happenings.len().saturating_sub(MOST_ENTRIES);
    for happening in &report.happenings[earlier..] {
        page.raw("<li><time>").text(&clock(happening.at)).raw("</time><div><b>").raw(happening.what);
        page.raw("</b> ").text(&happening.text).raw("</div></li>\n");
    }
    more(report.happenings.len(), MOST_ENTRIES, page);
    page.raw("</ul>\n");
}
