//! Declaring a revision applied without running its script.

use super::super::error::{MigrateError, Reason};
use super::super::folder::Migrations;
use super::super::graph::RowChange;
use super::super::history::{self, Record};
use super::super::lock;
use super::super::options::{Options, Tables};
use super::session::{Conclusion, Refusal, Runner};
use crate::event::Progress;
use crate::pg::{Session, quote_literal};

/// Sets the version rows to `target`, and forgets attempts that were broken off. With `purge` all rows go first,
/// those that no file has among them. Gives the changes; a stamp to where the database is changes no row, but
/// records that its file, as it is now, is what is applied.
///
/// # Errors
/// [`MigrateError`]; then nothing is changed.
pub async fn stamp(
    session: &mut Session,
    migrations: &Migrations,
    target: &str,
    purge: bool,
    options: &Options,
    progress: &Progress,
) -> Result<Vec<RowChange>, MigrateError> {
    let tables = Tables::resolve(session, options).await?;
    lock::take(session, &tables, options, progress).await?;
    let result = locked(session, migrations, target, purge, options, &tables, progress).await;
    lock::release(session, &tables).await;
    result
}

async fn locked(
    session: &mut Session,
    migrations: &Migrations,
    target: &str,
    purge: bool,
    options: &Options,
    tables: &Tables,
    progress: &Progress,
) -> Result<Vec<RowChange>, MigrateError> {
    let current = history::read(session, migrations.chain(), tables).await?;
    let changes = migrations.graph().plan_stamp(&current.revisions, target, purge)?;
    let mut records = format!(
        "UPDATE {} SET state = 'abandoned' WHERE version_table = {} AND state IN ('started', 'failed');",
        tables.history(),
        quote_literal(tables.root())
    );
    for revision in migrations.graph().resolve(target)? {
        let Some(script) = migrations.script(revision) else { continue };
        let record = Record {
            revision,
            direction: "stamp",
            checksum: Some(&script.checksum),
            description: &script.description,
            millis: None,
            run: options.run.as_deref(),
        };
        records.push_str(&record.insert(tables));
    }
    let runner = Runner::start(session, options, tables, progress, &current).await?;
    let result = write(&runner, &changes, &records).await;
    if result.is_err() {
        runner.rollback().await;
    }
    result.map(|()| changes)
}

async fn write(runner: &Runner<'_>, changes: &[RowChange], records: &str) -> Result<(), MigrateError> {
    let fail = |refusal: Refusal| Reason::Query { what: "stamp", source: Box::new(refusal.error) };
    runner.begin().await.map_err(fail)?;
    // The rows are counted, so what is recorded beside them comes first, once the tables are there.
    runner.own(&runner.making_tables()).await.map_err(fail)?;
    runner.own(records).await.map_err(fail)?;
    runner.move_rows(changes).await.map_err(|conclusion| match *conclusion {
        Conclusion::Refused(refusal) => fail(refusal),
        Conclusion::RowsMoved => Reason::RowsMoved(runner.tables.show()),
    })?;
    runner.own("COMMIT").await.map_err(fail)?;
    Ok(())
}
