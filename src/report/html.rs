//! The page: one file, no script, nothing from elsewhere. **Pure.**

use super::escape::Page;
use super::model::{Cause, Report, Stand, Tone};
use super::people;
use super::sections;
use super::size::{self, MOST_DAMAGE};
use super::timeline;
use super::words::{moment, took};
use crate::failure::{Failure, Verdict};
use crate::time::show_duration;

const STYLE: &str = include_str!("page.css");

/// Even if a text of others came to mean something to a browser, it could load and run nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The report as one HTML file.
pub fn page(report: &Report) -> String {
    let report = &size::fit(report);
    let mut page = Page::default();
    page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"").raw(POLICY).raw("\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw(
        "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n",
    );
    page.raw("<meta name=\"referrer\" content=\"no-referrer\">\n<title>")
        .text(&report.outcome.headline)
        .raw(" ");
    page.text(&report.title()).raw(" · ").text(&report.run).raw("</title>\n<style>\n").raw(STYLE);
    page.raw("</style>\n</head>\n<body class=\"").raw(class(report.outcome.tone)).raw("\">\n");
    header(report, &mut page);
    page.raw("<main>\n");
    damage(report, &mut page);
    causes(report, &mut page);
    next(report, &mut page);
    if report.until.is_some() {
        page.raw("<section id=\"timeline\">\n<h2>Timeline</h2>\n");
        timeline::draw(report, &mut page);
        page.raw("</section>\n");
    }
    sections::all(report, &mut page);
    page.raw("</main>\n");
    footer(report, &mut page);
    page.raw("</body>\n</html>\n");
    page.finish()
}

impl Report {
    /// `release on production`, as far as that is known.
    fn title(&self) -> String {
        match (self.runbook.is_empty(), self.environment.is_empty()) {
            (true, _) => "a run".to_string(),
            (false, true) => self.runbook.clone(),
            (false, false) => format!("{} on {}", self.runbook, self.environment),
        }
    }
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Mixed => "mixed",
        Tone::Bad => "bad",
        Tone::Open => "open",
    }
}

fn header(report: &Report, page: &mut Page) {
    page.raw("<header>\n<p class=\"eyebrow\">").text(&report.title()).raw("</p>\n");
    page.element("<h1>", &report.outcome.headline, "</h1>\n");
    page.element("<p class=\"lead\">", &report.outcome.production, "</p>\n<dl class=\"facts\">\n");
    let mut fact = |name: &'static str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            page.raw("<div><dt>").raw(name).raw("</dt><dd>").text(&value).raw("</dd></div>\n");
        }
    };
    fact("Began", report.began.map(moment));
    fact(if report.outcome.exit.is_some() { "Took" } else { "So far" }, report.millis().map(took));
    fact("Maintenance", maintenance(report));
    fact("Exit code", report.outcome.exit.map(|exit| exit.to_string()));
    fact("Database", Some(report.database.clone()));
    fact("Proven restore", report.backups.iter().find_map(|backup| backup.restore_millis).map(took));
    fact("Driven by", report.drivers.last().map(|drive| drive.who.clone()));
    let commit = report.preview.as_ref().and_then(|preview| preview.commit.as_ref());
    fact("Commit", commit.map(|commit| commit.chars().take(12).collect()));
    fact("Run", Some(report.run.clone()));
    page.raw("</dl>\n</header>\n");
    navigation(report, page);
}

/// How long users saw the maintenance page.
fn maintenance(report: &Report) -> Option<String> {
    let (window, until) = (report.window.as_ref()?, report.until?);
    let open = match (window.ended, report.outcome.verdict) {
        (Some(_), _) => "",
        (None, Stand::Running | Stand::Over(Verdict::NotPutBack | Verdict::InterruptedInWindow)) => {
            ", not over"
        }
        (None, _) => ", its end not known",
    };
    Some(format!("{}{open}", took(window.millis(until))))
}

fn navigation(report: &Report, page: &mut Page) {
    page.raw("<nav aria-label=\"Parts of this page\">");
    let links: [(bool, &str); 9] = [
        (report.until.is_some(), "<a href=\"#timeline\">Timeline</a>"),
        (!report.lines.is_empty(), "<a href=\"#checklist\">Checklist</a>"),
        (report.preview.is_some(), "<a href=\"#sql\">SQL</a>"),
        (true, "<a href=\"#schema\">Schema</a>"),
        (!report.backups.is_empty(), "<a href=\"#backup\">Backup</a>"),
        (!report.health.is_empty(), "<a href=\"#health\">Health</a>"),
        (people::are_told(report), "<a href=\"#people\">People</a>"),
        (report.writes.is_some(), "<a href=\"#writes\">Writes</a>"),
        (!report.runbook_text.is_empty(), "<a href=\"#runbook\">Runbook</a>"),
    ];
    for (_, link) in links.into_iter().filter(|(there, _)| *there) {
        page.raw(link);
    }
    page.raw("</nav>\n");
}

fn damage(report: &Report, page: &mut Page) {
    if report.damage.is_empty() {
        return;
    }
    page.raw("<section class=\"panel damage\">\n<h2>Not all of this run could be read</h2>\n<ul>\n");
    for what in report.damage.iter().take(MOST_DAMAGE) {
        page.element("<li>", what, "</li>\n");
    }
    more(report.damage.len(), MOST_DAMAGE, page);
    page.raw("</ul>\n<p>What stands below is what is left. <code>backstay status</code> tells what production is.</p>\n");
    page.raw("</section>\n");
}

/// Says how many entries of a list are not shown.
pub(super) fn more(all: usize, shown: usize, page: &mut Page) {
    if all > shown {
        page.raw("<li class=\"quiet\">and ").count((all - shown) as u64).raw(" more</li>\n");
    }
}

/// The first cause, and beside it what hindered the way back: never in its place.
fn causes(report: &Report, page: &mut Page) {
    let Some(first) = &report.first_cause else { return };
    page.raw("<section class=\"panel cause\">\n<h2>");
    page.raw(if first.line.is_some() { "What failed" } else { "What stopped it" }).raw("</h2>\n");
    cause(first, page);
    if let Some(second) = &report.put_back_cause {
        page.raw("<h2>Putting production back failed too</h2>\n");
        cause(second, page);
    }
    page.raw("</section>\n");
}

fn cause(cause: &Cause, page: &mut Page) {
    if let Some((id, name)) = &cause.line {
        page.raw("<p class=\"place\"><a href=\"#l").text(id).raw("\">line ").text(id).raw("</a> ").text(name);
        page.raw("</p>\n");
    }
    failure(&cause.failure, page);
}

/// A failure in full: what, why, in what state things are.
pub(super) fn failure(failure: &Failure, page: &mut Page) {
    page.raw("<div class=\"failure\"><p class=\"what\">could not ").text(&failure.what).raw("</p>");
    if !failure.causes.is_empty() {
        page.raw("<ul>");
        for cause in &failure.causes {
            page.element("<li>", cause, "</li>");
        }
        page.raw("</ul>");
    }
    if let Some(state) = &failure.state {
        page.element("<p class=\"state\">", state, "</p>");
    }
    page.raw("</div>\n");
}

fn next(report: &Report, page: &mut Page) {
    if report.next.is_empty() {
        return;
    }
    page.raw("<section class=\"panel next\">\n<h2>What to do next</h2>\n<ol>\n");
    for step in &report.next {
        page.element("<li>", step, "</li>\n");
    }
    page.raw("</ol>\n</section>\n");
}

fn footer(report: &Report, page: &mut Page) {
    page.raw("<footer>\n<p>Made ").text(&moment(report.at)).raw(" by backstay ");
    page.raw(env!("CARGO_PKG_VERSION")).raw(" from <code>runs/").text(&report.run);
    page.raw("/</code> on the store. The journal there is the evidence; this page only shows it.");
    if let Some((from, at)) = report.until.zip(Some(report.at)).filter(|_| report.outcome.exit.is_none()) {
        page.raw(" The last that was heard of the run is ")
            .text(&show_duration(crate::time::between(from, at)));
        page.raw(" older than this page.");
    }
    page.raw("</p>\n</footer>\n");
}
