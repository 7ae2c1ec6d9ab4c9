//! The page's parts below the timeline. **Pure.**

use super::checklist::checklist;
use super::escape::Page;
use super::evidence::BackupSeen;
use super::html::more;
use super::model::{Report, Schema, Since};
use super::people;
use super::size::{MOST_CHANGES, MOST_ENTRIES, MOST_FINDINGS};
use super::sql::highlight;
use super::words::{moment, took};
use crate::time::show_bytes;

pub(super) fn all(report: &Report, page: &mut Page) {
    checklist(report, page);
    sql(report, page);
    schema(report, page);
    backups(report, page);
    health(report, page);
    people::people(report, page);
    writes(report, page);
    runbook(report, page);
}

fn sql(report: &Report, page: &mut Page) {
    let Some(preview) = &report.preview else { return };
    page.raw("<section id=\"sql\">\n<h2>Migrations as SQL</h2>\n<p class=\"quiet\">");
    match preview.revisions.len() {
        0 => page.raw("Nothing was pending."),
        n => {
            let named = &preview.revisions[..n.min(MOST_ENTRIES)];
            page.count(n as u64).raw(" pending: ").text(&named.join(", "));
            page.raw(if n > MOST_ENTRIES { ", …" } else { "." })
        }
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
            page.raw("<p class=\"quiet\">The script is not on the store any more, or can't be read.</p>\n");
        }
    }
    page.raw("</section>\n");
}

fn findings(report: &Report, page: &mut Page) {
    if report.findings.is_empty() {
        return;
    }
    page.raw("<ul class=\"findings\">\n");
    for finding in report.findings.iter().take(MOST_FINDINGS) {
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
    more(report.findings.len(), MOST_FINDINGS, page);
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
    for backup in report.backups.iter().take(MOST_ENTRIES) {
        page.raw("<dl class=\"facts card\">\n<div><dt>Id</dt><dd>").text(&backup.id).raw("</dd></div>\n");
        match &backup.missing {
            Some(missing) => page.element("<div><dt>Not readable</dt><dd>", missing, "</dd></div>\n"),
            None => backup_facts(backup, page),
        };
        page.raw("</dl>\n");
    }
    page.raw("</section>\n");
}

fn backup_facts<'p>(backup: &BackupSeen, page: &'p mut Page) -> &'p mut Page {
    page.element("<div><dt>Size</dt><dd>", &show_bytes(backup.stored_bytes), " stored");
    page.raw(", of ").text(&show_bytes(backup.raw_bytes)).raw("</dd></div>\n<div><dt>Holds</dt><dd>");
    page.count(backup.rows).raw(if backup.rows == 1 { " row in " } else { " rows in " }).count(backup.tables);
    page.raw(if backup.tables == 1 { " table" } else { " tables" })
        .raw("</dd></div>\n<div><dt>Verified</dt><dd>");
    match (&backup.proven, &backup.unread) {
        (None, None) => page.raw("not yet"),
        (None, Some(_)) => page.raw("not known: its proofs can't be read"),
        (Some((trial, millis)), _) => {
            page.raw("to level ").text(trial.level.name()).raw(", ").text(&moment(trial.at));
            match millis {
                Some(millis) => page.raw(", in ").text(&took(*millis)),
                None => &mut *page,
            }
        }
    };
    page.raw("</dd></div>\n<div><dt>Proven restore time</dt><dd>");
    match (backup.restore_millis, &backup.unread) {
        (Some(millis), _) => page.text(&took(millis)),
        (None, None) => page.raw("not measured: it was not restored to prove it"),
        (None, Some(_)) => page.raw("not known: its proofs can't be read"),
    };
    page.raw("</dd></div>\n");
    if let Some(at) = backup.damaged_at {
        page.raw("<div class=\"fault\"><dt>Damaged</dt><dd>it failed a proof at ")
            .text(&moment(at))
            .raw("</dd></div>\n");
    }
    page
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
    for check in report.health.iter().take(MOST_ENTRIES) {
        page.element("<tr><td><code>", &check.check, "</code>").element("<td>", &check.line, "");
        page.element("<td>", &check.answer, "<td class=\"r\">").text(&took(check.latency_millis));
        page.raw(" <svg class=\"meter\" width=\"64\" height=\"8\" aria-hidden=\"true\"><rect height=\"8\" rx=\"2\" width=\"");
        page.figure((check.latency_millis as f64 / slowest * 64.0).max(1.5))
            .raw("\"/></svg><td class=\"r\">");
        page.count(check.tries).raw("<td class=\"r\">").text(&took(check.good_after_millis)).raw("</tr>\n");
    }
    page.raw("</tbody></table></div>\n");
    if report.health.len() > MOST_ENTRIES {
        page.raw("<p class=\"quiet\">and ")
            .count((report.health.len() - MOST_ENTRIES) as u64)
            .raw(" more</p>\n");
    }
    page.raw("</section>\n");
}

fn writes(report: &Report, page: &mut Page) {
    let Some(writes) = &report.writes else { return };
    page.raw("<section id=\"writes\">\n<h2>What others wrote</h2>\n<p class=\"quiet\">");
    match (&writes.kept, writes.since) {
        (Some(kept), since) => {
            page.raw(match since {
                Since::Opening => "Production was put back without it",
                Since::Release => "Production has none of what was written since the release",
            });
            page.raw("; it is kept on the store as <code>").text(kept).raw("</code>.")
        }
        (None, _) => page.raw("Between the opening of the database and the look at it."),
    };
    page.raw("</p>\n");
    if let Some(ledger) = &writes.ledger {
        page.raw("<ul>\n");
        for entry in ledger.entries.iter().take(MOST_ENTRIES) {
            page.element("<li><code>", &entry.name, "</code> ").element("", &entry.what, "</li>\n");
        }
        more(ledger.entries.len(), MOST_ENTRIES, page);
        page.raw("</ul>\n");
    }
    page.raw("</section>\n");
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
