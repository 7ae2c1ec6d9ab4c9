//! Indexes that are built concurrently: what one left behind, whose it is, and whether it is what was wanted.
//!
//! `CREATE INDEX CONCURRENTLY` that fails or dies leaves an index that is INVALID: it costs every write, serves no
//! query, and `IF NOT EXISTS` passes it for a good one (manual, `CREATE INDEX`, "Building Indexes
//! Concurrently"). It is dropped only if it is provably ours: it was not there when our attempt wrote down that it
//! would build it, and it stands on the table that was meant.

use std::time::{Duration, Instant};

use super::super::blockers;
use super::super::error::{Reason, ServerError};
use super::super::intent::{Built, Intent};
use super::super::statement::IndexBuild;
use super::session::{Refusal, Runner};
use crate::pg::quote_literal;
use crate::time::show_duration;

/// How an index is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    Valid,
    Invalid,
}

/// The index that a statement builds, as the catalog would name it; `None` if its table is not there.
pub(super) async fn resolve(runner: &Runner<'_>, build: &IndexBuild) -> Result<Option<Built>, Reason> {
    let query = "SELECT pg_catalog.quote_ident(n.nspname), \
                 pg_catalog.format('%I.%I', n.nspname, $2::pg_catalog.text), c.oid FROM \
                 pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.oid = pg_catalog.to_regclass($1)";
    // The server cuts a long name, and so must who looks for it.
    let row = runner.session.query_opt(query, &[&build.table, &cut(&build.name)]).await;
    let row = row.map_err(Reason::query("look for the table of the index"))?;
    Ok(row.map(|row| Built { schema: row.get(0), index: row.get(1), table: row.get(2) }))
}

fn cut(name: &str) -> &str {
    let end = (0..=63.min(name.len())).rev().find(|&end| name.is_char_boundary(end));
    &name[..end.unwrap_or(0)]
}

/// Its state, and whether it stands on the table that was meant.
pub(super) async fn look(runner: &Runner<'_>, built: &Built) -> Result<(State, bool), Reason> {
    let query = "SELECT i.indisvalid AND i.indisready, i.indrelid = $2 FROM pg_catalog.pg_index i \
                 JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE pg_catalog.format('%I.%I', n.nspname, c.relname) = $1";
    let row = runner.session.query_opt(query, &[&built.index, &built.table]).await;
    let row = row.map_err(Reason::query("look for the index"))?;
    Ok(match row {
        None => (State::Absent, true),
        Some(row) => (if row.get(0) { State::Valid } else { State::Invalid }, row.get(1)),
    })
}

/// All invalid indexes of the database, by quoted name; none if that can't be asked now.
pub(super) async fn invalid(runner: &Runner<'_>) -> Vec<String> {
    let query = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i \
        JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n \
        ON n.oid = c.relnamespace WHERE NOT i.indisvalid AND c.relkind = 'i' ORDER BY 1";
    let rows = runner.session.query(query, &[]).await.unwrap_or_default();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Whether `REINDEX CONCURRENTLY` gave an index this name: the new one beside the old, or the old one on its way out.
pub(super) fn is_of_reindex(name: &str) -> bool {
    name.contains("_ccnew") || name.contains("_ccold")
}

/// Whether the invalid index is what the statement of `intent` left.
pub(super) fn is_ours(intent: &Intent, built: &Built, on_its_table: bool) -> bool {
    on_its_table && intent.builds.as_ref() == Some(built) && !intent.invalid.contains(&built.index)
}

/// Drops what our own attempt left. First waits for whoever may still be building it: a backend outlives its
/// client, and to drop beside it would mean to wait for it with a lock in hand. Gives the state it found at last:
/// the other may have finished the index.
///
/// # Errors
/// If somebody builds for longer than `lock_wait`, or the drop fails; then the index is still there.
pub(super) async fn clear(runner: &mut Runner<'_>, built: &Built) -> Result<State, Reason> {
    wait_for_builders(runner, built).await?;
    let (state, on_its_table) = look(runner, built).await?;
    if state != State::Invalid || !on_its_table {
        return Ok(state);
    }
    let index = &built.index;
    runner.progress.note(format!("dropping the INVALID index {index} that an earlier try left"));
    drop_index(runner, index).await.map_err(|refusal| Reason::Query {
        what: "drop the INVALID index of an earlier try",
        source: Box::new(refusal.error),
    })?;
    Ok(State::Absent)
}

/// `DROP INDEX CONCURRENTLY`; killed in between it leaves the index invalid, as it was.
pub(super) async fn drop_index(runner: &mut Runner<'_>, index: &str) -> Result<(), Refusal> {
    runner.own(&runner.limits("SET", Duration::ZERO)).await?;
    let result = runner.execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {index}"), "").await;
    runner.restore().await;
    result
}

async fn wait_for_builders(runner: &Runner<'_>, built: &Built) -> Result<(), Reason> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let Some(builder) = blockers::builders(runner.session, built.table).await?.into_iter().next() else {
            return Ok(());
        };
        let table_index = &built.index;
        if begun.elapsed() >= runner.options.lock_wait {
            let waited = show_duration(runner.options.lock_wait);
            let message = format!("{table_index} is still being built after {waited}, by {builder}");
            let source = Box::new(ServerError { message, ..ServerError::default() });
            return Err(Reason::Query { what: "wait for the build of an index", source });
        }
        if !std::mem::replace(&mut told, true) {
            runner.progress.note(format!("waiting for the build of {table_index} by {builder}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether the index that is there is what the statement would make. The server itself reads the statement: it
/// makes the index on an empty copy of the table, which is rolled back. `None`: it can't be said.
pub(super) async fn is_as_wanted(runner: &Runner<'_>, build: &IndexBuild, built: &Built) -> Option<bool> {
    let result = compare(runner, build, built).await;
    runner.rollback().await;
    result.ok()
}

async fn compare(runner: &Runner<'_>, build: &IndexBuild, built: &Built) -> Result<bool, Refusal> {
    let schema = &built.schema;
    let (copy, probe) = ("backstay_index_probe", "backstay_index_probe_i");
    let unique = if build.unique { "UNIQUE " } else { "" };
    runner.begin().await?;
    runner
        .own(&format!(
            "CREATE UNLOGGED TABLE {schema}.{copy} (LIKE {}); CREATE {unique}INDEX {probe} ON {schema}.{copy}{}",
            build.table, build.rest
        ))
        .await?;
    // What follows the table's name: method, columns, INCLUDE, options, predicate.
    let tail = |index: &str| {
        format!(
            "(SELECT pg_catalog.substr(d, pg_catalog.strpos(d, ' USING ')) || i.indisunique::pg_catalog.text FROM \
             pg_catalog.pg_index i, pg_catalog.pg_get_indexdef(i.indexrelid) d WHERE i.indexrelid = \
             pg_catalog.to_regclass({}))",
            quote_literal(index)
        )
    };
    let query = format!("SELECT {} = {}", tail(&built.index), tail(&format!("{schema}.{probe}")));
    let row = runner.session.query_one(&query, &[]).await;
    let row = row.map_err(|error| runner.refusal(&error, Vec::new()))?;
    Ok(row.get::<_, Option<bool>>(0).unwrap_or(false))
}
