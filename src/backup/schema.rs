//! The schema of a database as text: what pg_dump says, without what differs between two runs.

use std::collections::BTreeMap;

use super::catalog;
use super::dump::PgDump;
use super::error::BackupError;
use super::pinned;
use crate::pg::{ConnInfo, SessionOptions};

/// The schema of the database: `pg_dump --schema-only`, without versions and random keys. Two databases that
/// are copies of each other give the same.
///
/// # Errors
/// If the server or pg_dump refuses.
pub async fn schema_of(info: &ConnInfo, session: &SessionOptions) -> Result<String, BackupError> {
    schema_with(info, session, &[]).await
}

/// As [`schema_of`], with further arguments for pg_dump: what to leave out.
///
/// # Errors
/// If the server or pg_dump refuses.
pub async fn schema_with(
    info: &ConnInfo,
    session: &SessionOptions,
    further: &[String],
) -> Result<String, BackupError> {
    let always = ["--schema-only", "--no-subscriptions"].map(String::from);
    dump_text(info, session, &[&always, further].concat()).await
}

/// pg_dump's text as [`schema_of`] gives it, with these arguments.
pub(super) async fn dump_text(
    info: &ConnInfo,
    session: &SessionOptions,
    arguments: &[String],
) -> Result<String, BackupError> {
    let server = catalog::server(&*pinned::open(info, session).await?).await?;
    let mut dumping = PgDump::find(server.version).await?.start(info, &server.client_encoding, arguments)?;
    let mut text = Vec::new();
    let mut line = Vec::new();
    while dumping.line(&mut line).await?.is_some() {
        text.extend_from_slice(&line);
    }
    Ok(without_versions(&String::from_utf8_lossy(&text)))
}

/// Takes out the heading's two lines that name versions.
pub(super) fn without_versions(text: &str) -> String {
    let heading = text.find("\nSET ").unwrap_or(text.len());
    let (head, rest) = text.split_at(heading);
    let kept: Vec<&str> = head.split('\n').filter(|line| !line.starts_with("-- Dumped ")).collect();
    kept.join("\n") + rest
}

/// What differs between two schemas as [`schema_of`] gives them, as lines that begin with `-` (only in the
/// first) or `+` (only in the second), each entry under its heading; `None` if nothing does.
///
/// Entries are compared whole, whatever their order: pg_dump orders what depends on each other by numbers
/// that a restored database does not share.
pub fn compare_schemas(first: &str, second: &str) -> Option<Vec<String>> {
    let lines = differences(first, second, |entry| entry.to_string());
    (!lines.is_empty()).then_some(lines)
}

/// As [`compare_schemas`], but blind to the two things that PostgreSQL itself changes when its own text is
/// read back: where casts and parentheses stand in an expression
/// (`(ARRAY['a'::character varying])::text[]` becomes `ARRAY[('a'::character varying)::text]`), and the order
/// of a child table's columns (the inherited ones come first).
pub(super) fn compare_restored(first: &str, second: &str) -> Option<Vec<String>> {
    let lines = differences(first, second, plain);
    (!lines.is_empty()).then_some(lines)
}

fn differences(first: &str, second: &str, form: impl Fn(&str) -> String) -> Vec<String> {
    let (first, second) = (entries(first), entries(second));
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for entry in &first {
        *counts.entry(form(entry)).or_default() += 1;
    }
    let mut only_second = Vec::new();
    for entry in &second {
        let count = counts.entry(form(entry)).or_default();
        if *count > 0 { *count -= 1 } else { only_second.push(*entry) }
    }
    let mut only_first = Vec::new();
    for entry in &first {
        if let Some(count) = counts.get_mut(&form(entry)).filter(|count| **count > 0) {
            *count -= 1;
            only_first.push(*entry);
        }
    }
    let mut lines = Vec::new();
    for entry in only_first {
        let twin = only_second.iter().position(|other| heading(other) == heading(entry));
        let twin = twin.map(|at| only_second.remove(at)).unwrap_or_default();
        lines.extend(line_differences(entry, twin));
    }
    lines.extend(only_second.into_iter().flat_map(|entry| line_differences("", entry)));
    lines
}

/// The entries of pg_dump's text, each with its heading (`-- Name: …`).
pub(super) fn entries(text: &str) -> Vec<&str> {
    let mut entries: Vec<&str> = text.split("\n--\n-- Name: ").collect();
    // Only the last one has the text's end.
    if let Some(last) = entries.last_mut() {
        *last = last.trim_end().trim_end_matches("--\n-- PostgreSQL database dump complete\n--");
    }
    entries.iter().map(|entry| entry.trim()).collect()
}

fn heading(entry: &str) -> &str {
    entry.lines().next().unwrap_or_default()
}

fn line_differences(first: &str, second: &str) -> Vec<String> {
    let lines = |text: &str| -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        text.lines().for_each(|line| *counts.entry(line.to_string()).or_default() += 1);
        counts
    };
    let (in_first, in_second) = (lines(first), lines(second));
    let title = if first.is_empty() { heading(second) } else { heading(first) };
    let mut out = vec![format!("  {title}")];
    let missing =
        |line: &str, there: &BTreeMap<String, i64>| !line.trim().is_empty() && !there.contains_key(line);
    out.extend(first.lines().filter(|line| missing(line, &in_second)).map(|line| format!("- {line}")));
    out.extend(second.lines().filter(|line| missing(line, &in_first)).map(|line| format!("+ {line}")));
    if out.len() == 1 {
        out.push("- the same lines in another order".to_string());
    }
    out
}

/// An entry without parentheses, spaces and casts, its lines in order.
fn plain(entry: &str) -> String {
    sorted_lines(&without_casts(entry))
}

/// A statement without parentheses, spaces and casts: PostgreSQL moves them when it reads back its own text.
pub(super) fn without_casts(statement: &str) -> String {
    const CASTS: [&str; 6] =
        ["::text[]", "::text", "::character varying[]", "::character varying", "::bpchar[]", "::bpchar"];
    let mut text = statement.to_string();
    for cast in CASTS {
        text = text.replace(cast, "");
    }
    text.retain(|character| !matches!(character, '(' | ')' | ' '));
    text
}

/// The lines of a statement whatever their order: of a table's columns, say.
pub(super) fn sorted_lines(statement: &str) -> String {
    let mut lines: Vec<&str> = statement.lines().map(|line| line.trim_end_matches(',')).collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.18\n\
        -- Dumped by pg_dump version 15.18\n\nSET x = 0;\n\n--\n-- Name: a; Type: TABLE\n--\n\nCREATE TABLE a (\n    x integer,\n    y text\n);\n\n\n\
        --\n-- Name: b; Type: VIEW\n--\n\nCREATE VIEW b AS\n SELECT 1;\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n";

    #[test]
    fn versions_are_taken_out_of_the_heading_only() {
        let text = without_versions(A);
        assert!(!text.contains("Dumped"), "{text}");
        let body = "--\n\nSET x;\nCOMMENT IS '\n-- Dumped from nowhere\n';\n";
        assert_eq!(without_versions(body), body);
    }

    #[test]
    fn the_same_in_another_order_is_the_same() {
        let (head, rest) = A.split_once("\n--\n-- Name: a").unwrap();
        let (a, b) = rest.split_once("\n--\n-- Name: b").unwrap();
        let (b, end) = b.split_once("\n--\n-- PostgreSQL").unwrap();
        let swapped = format!("{head}\n--\n-- Name: b{b}\n--\n-- Name: a{a}\n--\n-- PostgreSQL{end}");
        assert_ne!(swapped, A);
        assert_eq!(compare_schemas(A, &swapped), None);
        assert_eq!(compare_schemas(A, A), None);
    }

    #[test]
    fn differences_are_shown_under_their_heading() {
        let other = A.replace("y text", "y integer");
        assert_eq!(
            compare_schemas(A, &other).unwrap(),
            ["  a; Type: TABLE", "-     y text", "+     y integer"]
        );
        let swapped = A.replace("    x integer,\n    y text\n", "    y text\n    x integer,\n");
        assert!(compare_schemas(A, &swapped).unwrap()[1].contains("another order"));
        let without = A.replace("\n--\n-- Name: b; Type: VIEW\n--\n\nCREATE VIEW b AS\n SELECT 1;\n\n", "");
        assert_eq!(compare_schemas(&without, A).unwrap()[0], "  b; Type: VIEW");
    }

    #[test]
    fn what_postgresql_rewrites_is_no_difference_of_a_restore() {
        let one =
            "CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))";
        let two = "CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))";
        assert!(compare_schemas(one, two).is_some());
        assert_eq!(compare_restored(one, two), None);
        assert!(compare_restored(one, &two.replace("'b'", "'c'")).is_some());
    }
}
