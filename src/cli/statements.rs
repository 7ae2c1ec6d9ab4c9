//! `-v`: every SQL statement on standard error, as it is sent.
//!
//! The driver tells what it sends through the `log` facade, statements and their parameters; that is heard
//! here and nowhere else, so that no part can send one that is not shown. `pg_dump`'s own are not among them.

use log::{LevelFilter, Log, Metadata, Record};

use super::output;

/// What the driver says before a statement's text.
const LEADS: [&str; 3] = ["executing simple query: ", "executing statement batch: ", "preparing query "];

struct Statements;

/// Shows statements from here on.
pub(super) fn show() {
    // An error means that somebody listens already: only a second call could.
    if log::set_logger(&Statements).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

impl Log for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tokio_postgres::")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata())
            && let Some(text) = statement(&record.args().to_string())
        {
            output::complain(&text);
        }
    }

    fn flush(&self) {}
}

/// `sql: SELECT 1`, or `sql: with parameters: ["x"]` for the statement before.
fn statement(said: &str) -> Option<String> {
    if let Some((_, parameters)) = said.split_once(" with parameters: ").filter(|_| !is_statement(said)) {
        return (parameters != "[]").then(|| format!("sql: with parameters: {parameters}"));
    }
    let lead = LEADS.iter().find(|lead| said.starts_with(**lead))?;
    let text = &said[lead.len()..];
    // `preparing query s3 with types [Oid]: SELECT …`: the driver's name for it says nothing.
    let text = match *lead == LEADS[2] {
        true => text.split_once(": ").map_or(text, |(_, text)| text),
        false => text,
    };
    // An empty one asks whether the session lives, or is what a server's version has no need of.
    (!text.trim().is_empty()).then(|| format!("sql: {}", text.trim()))
}

fn is_statement(said: &str) -> bool {
    LEADS.iter().any(|lead| said.starts_with(lead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_says_becomes_sql() {
        for (said, shown) in [
            ("executing simple query: SELECT 1", Some("sql: SELECT 1")),
            ("executing statement batch: BEGIN; SET x = 1", Some("sql: BEGIN; SET x = 1")),
            ("executing statement batch: ", None),
            ("preparing query s0: SELECT 'a: b'", Some("sql: SELECT 'a: b'")),
            ("preparing query s1 with types [Oid]: SELECT $1", Some("sql: SELECT $1")),
            ("executing statement s1 with parameters: [\"x\"]", Some("sql: with parameters: [\"x\"]")),
            ("executing statement s1 with parameters: []", None),
            ("executing simple query: SELECT ' with parameters: '", Some("sql: SELECT ' with parameters: '")),
            ("executing copy in statement s2", None),
        ] {
            assert_eq!(statement(said).as_deref(), shown, "{said}");
        }
    }
}
