//! `$GITHUB_STEP_SUMMARY`: a run, or a plan, as Markdown. **Pure.**

use crate::failure::{Failure, Verdict};
use crate::redact::redact;
use crate::time::{between, show_duration};
use crate::ui::checklist::{Checklist, End, Line, State};
use crate::ui::{paper, verdict};

/// How much SQL is shown: a step's summary may have a mebibyte.
const MOST_SQL: usize = 200_000;
/// How long one cell of a table may be, in characters.
const LONGEST_CELL: usize = 400;
/// How many lines of a checklist are shown.
const MOST_LINES: usize = 500;

/// The run as its events told it; nothing before it ended. `sql` is its preview.
pub fn run(list: &Checklist, sql: Option<&str>) -> Option<String> {
    let end = list.end.as_ref()?;
    let mut parts = vec![
        format!("### {} {}", mark_of(end.verdict), text(&verdict::headline_words(list, end))),
        facts(list, end).join("  \n"),
        table(&list.lines),
    ];
    if !list.back.is_empty() {
        parts.push(format!("#### The way back\n\n{}", table(&list.back)));
    }
    let causes = [("What failed", &end.cause), ("Putting back failed too", &end.put_back_cause)];
    parts.extend(causes.iter().filter_map(|(head, cause)| Some(failure(head, cause.as_ref()?))));
    parts.extend(next(&end.next));
    parts.extend(sql.map(|sql| folded("The SQL that was previewed", sql)));
    Some(finished(&parts))
}

/// A command that failed before there was a run.
pub fn refusal(failure_: &Failure, verdict: Verdict) -> String {
    let head = format!("### {} backstay: exit {}", mark_of(verdict), verdict.exit_code());
    let production = format!("**Production is** {}", text(verdict.production()));
    let mut parts = vec![head, production, failure("What failed", failure_)];
    parts.extend(next(&failure_.next));
    finished(&parts)
}

/// What `plan` found: the checklist as it would run, what is pending, what the lint says, and the SQL.
pub fn plan(
    runbook: &str,
    environment: &str,
    checklist: &str,
    pending: &[String],
    lint: &str,
    sql: &str,
) -> String {
    let mut parts = vec![format!("### Plan: {} on {}", text(runbook), text(environment))];
    match pending {
        [] => parts.push("Nothing is pending: the database is at its target.".into()),
        pending => {
            let list: Vec<String> = pending.iter().map(|revision| format!("`{}`", code(revision))).collect();
            parts.push(format!("**Pending:** {}  \n**Lint:** {}", list.join(", "), text(lint)));
            parts.push(folded("The SQL", sql));
        }
    }
    parts.push(details("The checklist", "text", checklist));
    finished(&parts)
}

fn finished(parts: &[String]) -> String {
    redact(&parts.join("\n\n")).into_owned() + "\n"
}

fn mark_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Done => "✅",
        Verdict::Interrupted | Verdict::ChangedButFailing => "⚠️",
        _ => "❌",
    }
}

fn facts(list: &Checklist, end: &End) -> Vec<String> {
    let mut facts = vec![format!("**Production is** {}", text(&end.production))];
    if let Some(window) = &list.window {
        let lasted = show_duration(window.open_for(end.at));
        facts.push(match window.ended {
            Some(_) => format!("**Maintenance page** for {lasted}"),
            None => format!("**Maintenance page** still up, for {lasted} so far"),
        });
    }
    if let Some(title) = &list.title {
        facts.push(format!("**Database** {}", text(&title.database)));
        let took = show_duration(between(title.at, end.at));
        facts.push(format!(
            "**Run** `{}`, driver {}, {took}, exit code {}",
            code(&end.run),
            title.epoch,
            end.exit
        ));
    }
    facts
}

fn table(lines: &[Line]) -> String {
    let mut rows = vec!["| | Step | Phase | Result | Time |".to_string(), "|---|---|---|---|---:|".into()];
    rows.extend(lines.iter().take(MOST_LINES).map(row));
    if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        rows.push(format!("| | … and {more} more | | | |"));
    }
    rows.join("\n")
}

fn row(line: &Line) -> String {
    let (mark, result, took) = match &line.state {
        State::Done { summary, took } => ("✅", summary.clone(), took.map(show_duration)),
        State::Failed { failure, took } => ("❌", failure.to_string(), Some(show_duration(*took))),
        State::Unfinished | State::Running { .. } => ("⚠️", "under way".into(), None),
        State::Skipped | State::Waiting => ("⬜", String::new(), None),
    };
    let (phase, name) = (paper::phase_words(line.phase).0, cell(&line.name));
    let result = cell(&result);
    format!("| {mark} | {} {name} | {phase} | {result} | {} |", line.id, took.unwrap_or_default())
}

fn failure(head: &str, failure: &Failure) -> String {
    let mut rows = vec![format!("**{head}:** could not {}", text(&failure.what))];
    rows.extend(failure.causes.iter().map(|cause| format!("- because: {}", cell(cause))));
    rows.extend(failure.state.iter().map(|state| format!("- now: {}", cell(state))));
    // A list needs an empty line before it.
    rows.insert(1, String::new());
    rows.join("\n")
}

fn next(next: &[String]) -> Option<String> {
    let rows: Vec<String> = next.iter().map(|step| format!("1. {}", text(step))).collect();
    (!rows.is_empty()).then(|| format!("**Do next:**\n\n{}", rows.join("\n")))
}

fn folded(head: &str, sql: &str) -> String {
    // Masked before it is cut: a half of a secret is none that is known.
    let sql = redact(sql);
    if sql.len() <= MOST_SQL {
        return details(head, "sql", &sql);
    }
    let end = sql.floor_char_boundary(MOST_SQL);
    details(head, "sql", &format!("{}\n-- … {} bytes more are on the store", &sql[..end], sql.len() - end))
}

fn details(head: &str, language: &str, body: &str) -> String {
    let body = redact(body);
    // A fence is ended by one as long: this one is longer than any that stands in the text.
    let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let body = body.trim_end();
    format!("<details><summary>{}</summary>\n\n{fence}{language}\n{body}\n{fence}\n\n</details>", text(head))
}

/// A text of some length: masked before it is cut, for a half of a secret is none that is known.
fn cell(raw: &str) -> String {
    let masked = redact(raw);
    match masked.char_indices().nth(LONGEST_CELL) {
        Some((end, _)) => text(&format!("{}…", &masked[..end])),
        None => text(&masked),
    }
}

/// Text in which nothing is markup, on one line.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in redact(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\n' => out.push_str("<br>"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// What stands between single backticks.
fn code(text: &str) -> String {
    text.chars().map(|c| if c == '`' || c == '|' || c.is_control() { ' ' } else { c }).collect()
}
