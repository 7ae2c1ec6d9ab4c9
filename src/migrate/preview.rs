//! What a migration would do, as SQL for `psql -v ON_ERROR_STOP=1` or for the eyes: Alembic's `--sql`.
//!
//! Running the text leaves the same database as [`super::upgrade`] does, the history with it (only durations are
//! not in it). A script outside a transaction is written outside one. Pure: nothing is read but the files.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::error::{MigrateError, Reason};
use super::folder::Migrations;
use super::graph::{Direction, Step};
use super::history::{self, Record};
use super::options::{Options, Tables};
use super::script::{Script, Statement};
use super::statement;

/// The SQL from the version rows `from` up to `target`; makes the version table if `from` is empty.
///
/// # Errors
/// [`MigrateError`] if the target leads nowhere.
pub fn upgrade(
    migrations: &Migrations,
    from: &BTreeSet<String>,
    target: &str,
    options: &Options,
) -> Result<String, MigrateError> {
    let steps = migrations.graph().plan_upgrade(from, target)?;
    write_steps(migrations, &steps, from.is_empty(), &Tables::offline(options)?, options)
}

/// The SQL from the version rows `from` down to `target`.
///
/// # Errors
/// [`MigrateError`] if the target leads nowhere, or a revision is irreversible.
pub fn downgrade(
    migrations: &Migrations,
    from: &BTreeSet<String>,
    target: &str,
    options: &Options,
) -> Result<String, MigrateError> {
    let steps = migrations.graph().plan_downgrade(from, target)?;
    write_steps(migrations, &steps, false, &Tables::offline(options)?, options)
}

fn write_steps(
    migrations: &Migrations,
    steps: &[Step],
    mut make_tables: bool,
    tables: &Tables,
    options: &Options,
) -> Result<String, MigrateError> {
    let mut sql = String::new();
    for step in steps {
        let Some(script) = migrations.script(&step.revision) else { continue };
        if step.direction == Direction::Down && !script.reversible() {
            let (revision, file) = (step.revision.clone(), script.path.display().to_string());
            return Err(Reason::Irreversible { revision, file }.into());
        }
        write_step(&mut sql, step, script, make_tables, tables, options);
        make_tables = false;
    }
    Ok(sql)
}

fn write_step(
    sql: &mut String,
    step: &Step,
    script: &Script,
    make_tables: bool,
    tables: &Tables,
    options: &Options,
) {
    let mut paragraph = |text: &str| {
        // Writing to a String can't fail.
        let _ = write!(sql, "{text}\n\n");
    };
    if script.transactional {
        paragraph("BEGIN;");
    }
    let verb = step.direction.verb();
    paragraph(&format!("-- Running {verb} {} -> {}", step.from.join(", "), step.to.join(", ")));
    let statements = match step.direction {
        Direction::Up => &script.upgrade,
        Direction::Down => &script.downgrade,
    };
    let limit = format!("'{}ms'", options.lock_timeout.as_millis());
    if script.transactional {
        paragraph(&format!("SET LOCAL lock_timeout = {limit};"));
        statements.iter().for_each(|s| paragraph(&ended(s)));
    } else {
        statements.iter().for_each(|s| paragraph(&alone(s, &limit)));
        paragraph("RESET lock_timeout;");
    }
    if statements.iter().any(|s| statement::changes_session(&s.text)) {
        paragraph("RESET SESSION AUTHORIZATION;\nRESET ROLE;\nRESET ALL;");
    }
    if !script.transactional {
        paragraph("BEGIN;");
    }
    if make_tables {
        paragraph(&tables.create_version());
        paragraph(&tables.create_history());
    }
    step.changes.iter().for_each(|change| paragraph(&history::change_row(tables, change)));
    let record = Record {
        revision: &step.revision,
        direction: verb,
        checksum: Some(&script.checksum),
        description: &script.description,
        millis: None,
        run: options.run.as_deref(),
    };
    paragraph(&record.insert(tables));
    paragraph("COMMIT;");
}

/// A statement outside a transaction, with its own limit. What works concurrently waits for old transactions: a
/// short limit would only leave an INVALID index.
fn alone(statement: &Statement, limit: &str) -> String {
    let limit = if statement::is_concurrent(&statement.text) { "0" } else { limit };
    let batch =
        statement.batch.map(|batch| format!("-- backstay runs this in batches of {} rows\n", batch.rows));
    format!("SET lock_timeout = {limit};\n\n{}{}", batch.unwrap_or_default(), ended(statement))
}

/// A statement with its semicolon: a file's last one may lack it. A line comment at its end would swallow it.
fn ended(statement: &Statement) -> String {
    match statement.text.ends_with(';') {
        true => statement.text.clone(),
        false => format!("{}\n;", statement.text.trim_end()),
    }
}
