//! The page's parts below the timeline. **Pure.**

use super::checklist::checklist;
use super::escape::Page;
use super::model::{Report, Schema};
use super::sql::highlight;
use super::words::{clock, moment, took};
use crate::time::show_bytes;

/// How many lines of a difference are shown; the store has both schemas.
const MOST_CHANGES: usize = 2_000;

pub(super) fn all(report: &Report, page: &mut Page) {
    checklist(report, page);
    sql(report, page);
    schema(report, page);
    backups(report, page);
    health(report, page);
    people(report, page);
    writes(report, page);
    runbook(report, page);
}

fn sql(report: &Report, page: &mut Page) {
    let Some(preview) = &report.preview else { return };
    page.raw("<section id=\"sql\">\n<h2>Migrations as SQL</h2>\n<p class=\"quiet\">");
    match preview.revisions.len() {
        0 => page.raw("Nothing was pending."),
        n => page.count(n as u64).raw(" pending: ").text(&preview.revisions.join(", ")).raw("."),
    };
    page.raw(" An approval holds for the hash <code>").text(preview.hash.get(..12).unwrap_or(&preview.hash));
    page.raw("</code>.</p>\n");
    findings(report, page);
    match &preview.sql {
        Some(sql) if !sql.trim().is_empty() => {
            let open = sql.lines().count() <= 400;
            page.raw(if open { "<details open>" } else { "<details>" });
            page.raw("<summary>The script</summary><pre class=\"sql\">");
            highlight(sql, page);
            page.raw("</pre></details>\n");
        }
        Some(_) => {}
        None => {
            page.raw("<p class=\"quiet\">The script is not on the store any more.</p>\n");
        }
    }
    page.raw("</section>\n");
}

fn findings(report: &Report, page: &mut Page) {
    if report.findings.is_empty() {
        return;
    }
    page.raw("<ul class=\"findings\">\n");
    for finding in &report.findings {
        page.raw(if finding.level == "error" { "<li class=\"error\">" } else { "<li>" }).raw("<p><b>");
        page.text(&finding.level).raw(" ").text(&finding.rule).raw("</b> <code>").text(&finding.file);
        if finding.line > 0 {
            page.raw(":").text(&finding.line.to_string());
        }
        page.raw("</code></p>").element("<p>", &finding.what, "</p>");
        for evidence in &finding.evidence {
            page.element("<p class=\"quiet\">", evidence, "</p>");
        }
        for help in &finding.help {
            page.element("<p class=\"help\">", help, "</p>");
        }
        page.raw("</li>\n");
    }
    page.raw("</ul>\n");
}

fn schema(report: &Report, page: &mut Page) {
    page.raw("<section id=\"schema\">\n<h2>Schema, before and after</h2>\n");
    let lines = match &report.schema {
        Schema::Unknown { why } => {
            page.raw("<p class=\"quiet\">Not shown: ").raw(why).raw(".</p>\n</section>\n");
            return;
        }
        Schema::Same => {
            page.raw("<p class=\"quiet\">The same.</p>\n</section>\n");
            return;
        }
        Schema::Changed { lines } => lines,
    };
    page.raw(if lines.len() <= 400 { "<details open>" } else { "<details>" });
    page.raw("<summary>The difference</summary><pre class=\"diff\">");
    for line in lines.iter().take(MOST_CHANGES) {
        let open = match line.as_bytes().first() {
            Some(b'+') => "<ins>",
            Some(b'-') => "<del>",
            _ => "<b>",
        };
        let close = match open {
            "<ins>" => "</ins>\n",
            "<del>" => "</del>\n",
            _ => "</b>\n",
        };
        page.element(open, line, close);
    }
    page.raw("</pre></details>\n");
    if lines.len() > MOST_CHANGES {
        page.raw("<p class=\"quiet\">").count((lines.len() - MOST_CHANGES) as u64);
        page.raw(" further lines: the two schemas are on the store.</p>\n");
    }
    page.raw("</section>\n");
}

fn backups(report: &Report, page: &mut Page) {
    if report.backups.is_empty() {
        return;
    }
    page.raw("<section id=\"backup\">\n<h2>Backup</h2>\n");
    for backup in &report.backups {
        page.raw("<dl class=\"facts card\">\n<div><dt>Id</dt><dd>").text(&backup.id).raw("</dd></div>\n");
        if let Some(missing) = &backup.missing {
            page.element("<div><dt>Not readable</dt><dd>", missing, "</dd></div>\n</dl>\n");
            continue;
        }
        page.element("<div><dt>Size</dt><dd>", &show_bytes(backup.stored_bytes), " stored");
        page.raw(", of ").text(&show_bytes(backup.raw_bytes)).raw("</dd></div>\n<div><dt>Holds</dt><dd>");
        page.count(backup.rows)
            .raw(if backup.rows == 1 { " row in " } else { " rows in " })
            .count(backup.tables);
        page.raw(if backup.tables == 1 { " table" } else { " tables" })
            .raw("</dd></div>\n<div><dt>Verified</dt><dd>");
        match &backup.proven {
            None => page.raw("not yet"),
            Some((trial, millis)) => {
                page.raw("to level ").text(trial.level.name()).raw(", ").text(&moment(trial.at));
                match millis {
                    Some(millis) => page.raw(", in ").text(&took(*millis)),
                    None => &mut *page,
                }
            }
        };
        page.raw("</dd></div>\n<div><dt>Proven restore time</dt><dd>");
        match backup.restore_millis {
            Some(millis) => page.text(&took(millis)),
            None => page.raw("not measured: it was not restored to prove it"),
        };
        page.raw("</dd></div>\n");
        if let Some(at) = backup.damaged_at {
            page.raw("<div class=\"fault\"><dt>Damaged</dt><dd>it failed a proof at ")
                .text(&moment(at))
                .raw("</dd></div>\n");
        }
        page.raw("</dl>\n");
    }
    page.raw("</section>\n");
}

fn health(report: &Report, page: &mut Page) {
    if report.health.is_empty() {
        return;
    }
    let slowest =
        report.health.iter().map(|check| check.latency_millis).max().unwrap_or_default().max(1) as f64;
    page.raw("<section id=\"health\">\n<h2>Health</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>Check<th>Line<th>Answer");
    page.raw(
        "<th class=\"r\">Latency<th class=\"r\">Tries<th class=\"r\">Good after</tr></thead>\n<tbody>\n",
    );
    for check in &report.health {
        page.element("<tr><td><code>", &check.check, "</code>").element("<td>", &check.line, "");
        page.element("<td>", &check.answer, "<td class=\"r\">").text(&took(check.latency_millis));
        page.raw(" <svg class=\"meter\" width=\"64\" height=\"8\" aria-hidden=\"true\"><rect height=\"8\" rx=\"2\" width=\"");
        page.figure((check.latency_millis as f64 / slowest * 64.0).max(1.5))
            .raw("\"/></svg><td class=\"r\">");
        page.count(check.tries).raw("<td class=\"r\">").text(&took(check.good_after_millis)).raw("</tr>\n");
    }
    page.raw("</tbody></table></div>\n</section>\n");
}

/// Who said what, who drove, and what came between.
fn people(report: &Report, page: &mut Page) {
    if report.drivers.is_empty() && report.answers.is_empty() && report.happenings.is_empty() {
        return;
    }
    page.raw("<section id=\"people\">\n<h2>People and drivers</h2>\n");
    if !report.answers.is_empty() {
        page.raw("<h3>Answers and approvals</h3>\n<ul class=\"log\">\n");
        for answer in &report.answers {
            page.raw("<li><time>")
                .text(&clock(answer.at))
                .raw("</time><div><b>")
                .text(&answer.to)
                .raw("</b> ");
            page.text(&answer.said).raw("<p class=\"quiet\">").text(&answer.who);
            page.raw(match answer.asked {
                Some(true) => ", asked at a terminal",
                Some(false) => ", by --yes: nobody was asked",
                None => "",
            });
            page.raw("</p></div></li>\n");
        }
        page.raw("</ul>\n");
    }
    page.raw("<h3>Takeovers, interruptions, decisions</h3>\n<ul class=\"log\">\n");
    for drive in report.drivers.iter().take(1) {
        page.raw("<li><time>").text(&clock(drive.at)).raw("</time><div><b>began</b> ").text(&drive.who);
        page.raw(", backstay ").text(&drive.version).raw("</div></li>\n");
    }
    for happening in &report.happenings {
        page.raw("<li><time>")
            .text(&clock(happening.at))
            .raw("</time><div><b>")
            .raw(happening.what)
            .raw("</b> ");
        page.text(&happening.text).raw("</div></li>\n");
    }
    page.raw("</ul>\n</section>\n");
}

fn writes(report: &Report, page: &mut Page) {
    let Some(writes) = &report.writes else { return };
    page.raw("<section id=\"writes\">\n<h2>What others wrote</h2>\n<p class=\"quiet\">");
    match &writes.kept {
        Some(kept) => page
            .raw("Production was put back without it; it is kept on the store as <code>")
            .text(kept)
            .raw("</code>."),
        None => page.raw("Between the opening of the database and the look at it."),
    };
    page.raw("</p>\n<ul>\n");
    for entry in &writes.ledger.entries {
        page.element("<li><code>", &entry.name, "</code> ").element("", &entry.what, "</li>\n");
    }
    page.raw("</ul>\n</section>\n");
}

fn runbook(report: &Report, page: &mut Page) {
    if report.runbook_text.is_empty() {
        return;
    }
    page.raw("<section id=\"runbook\">\n<h2>Runbook</h2>\n<details><summary>").text(&report.origin);
    page.element(
        ", as it was when the run began</summary><pre>",
        &report.runbook_text,
        "</pre></details>\n</section>\n",
    );
}
