//! What others wrote since the database was opened again.
//!
//! A [`Mark`] is journaled before `open`, while the database is still ours alone. [`read`] compares the
//! database with it: counters of every table say that something was written, row versions younger than
//! the mark say how many rows still show it. Counters of a session that is still connected lag behind (up
//! to ten seconds, PostgreSQL manual, "The Cumulative Statistics System"), so the reading that decides is
//! the one behind the fence, after every session was ended and has reported.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::pg::{Session, quote_ident, refused};
use crate::words::count;

/// Tables up to this size are always looked through for young rows, whatever the counters say.
const ALWAYS_READ: i64 = 32 * 1024 * 1024;

/// The state of the database the moment before others may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// A transaction id of ours (64 bit): row versions of others are younger.
    pub xid: i64,
    /// When.
    pub at: Timestamp,
    /// Every user table, by object id.
    pub tables: BTreeMap<u32, TableMark>,
    /// Every sequence's last value, by object id.
    pub sequences: BTreeMap<u32, Option<i64>>,
}

/// One table at the mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMark {
    /// Schema and name, quoted where needed.
    pub name: String,
    /// Its file: truncation and rewriting change it.
    pub file: u32,
    /// Rows inserted, updated and deleted since statistics began.
    pub writes: i64,
}

/// What others wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// By table, in words: `orders: 3 rows written`.
    pub entries: Vec<Entry>,
}

/// Writes to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The object.
    pub name: String,
    /// What was seen.
    pub what: String,
}

impl Ledger {
    /// Nobody else wrote.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One line for a person.
    pub fn describe(&self) -> String {
        match self.entries.len() {
            0 => "nobody else wrote".to_string(),
            _ => {
                self.entries.iter().map(|e| format!("{}: {}", e.name, e.what)).collect::<Vec<_>>().join("; ")
            }
        }
    }
}

const TABLES: &str = "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), \
     pg_catalog.pg_relation_filenode(c.oid), \
     pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid) \
         + pg_catalog.pg_stat_get_tuples_deleted(c.oid), \
     pg_catalog.pg_relation_size(c.oid), n.nspname::text, c.relname::text \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' \
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%' ORDER BY 2";

const SEQUENCES: &str = "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), \
     pg_catalog.pg_sequence_last_value(c.oid) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind = 'S' AND c.relpersistence <> 't' ORDER BY 2";

/// Takes the mark. The session must be in the closed database; it gets a transaction id of its own.
///
/// # Errors
/// The query's.
pub async fn mark(session: &Session) -> Result<Mark, Failure> {
    let failed = |error: tokio_postgres::Error| refused("note the state before opening", &error);
    // Our own earlier sessions have ended and reported; this one reports before it reads.
    force_report(session).await;
    let xid = session.query_one("SELECT pg_catalog.txid_current()", &[]).await.map_err(failed)?.get(0);
    let tables = session.query(TABLES, &[]).await.map_err(failed)?;
    let sequences = session.query(SEQUENCES, &[]).await.map_err(failed)?;
    Ok(Mark {
        xid,
        at: crate::time::now(),
        tables: tables.iter().map(|row| (row.get(0), table_mark(row))).collect(),
        sequences: sequences.iter().map(|row| (row.get(0), row.get(2))).collect(),
    })
}

/// What others wrote since `mark`. The session must be in that database.
///
/// # Errors
/// The query's.
pub async fn read(session: &Session, mark: &Mark) -> Result<Ledger, Failure> {
    let failed = |error: tokio_postgres::Error| refused("read what others wrote", &error);
    force_report(session).await;
    let mut ledger = Ledger::default();
    let tables = session.query(TABLES, &[]).await.map_err(failed)?;
    for row in &tables {
        if let Some(what) = table_writes(session, row, mark).await? {
            ledger.entries.push(Entry { name: row.get(1), what });
        }
    }
    for (oid, known) in &mark.tables {
        if !tables.iter().any(|row| row.get::<_, u32>(0) == *oid) {
            ledger.entries.push(Entry { name: known.name.clone(), what: "dropped".into() });
        }
    }
    for row in &session.query(SEQUENCES, &[]).await.map_err(failed)? {
        let now: Option<i64> = row.get(2);
        if mark.sequences.get(&row.get(0)).is_none_or(|then| *then != now) {
            let what = now.map_or("used".to_string(), |value| format!("advanced to {value}"));
            ledger.entries.push(Entry { name: row.get(1), what });
        }
    }
    for (catalog, what) in [
        ("pg_class", "a table, index or view was changed"),
        ("pg_attribute", "a column was changed"),
        ("pg_proc", "a function was changed"),
        ("pg_largeobject_metadata", "a large object was made"),
    ] {
        let young = young_rows(session, &format!("pg_catalog.{catalog}"), mark.xid).await?;
        if young > 0 {
            ledger.entries.push(Entry { name: catalog.into(), what: format!("{what} ({})", rows(young)) });
        }
    }
    Ok(ledger)
}

fn table_mark(row: &tokio_postgres::Row) -> TableMark {
    TableMark {
        name: row.get(1),
        file: row.get::<_, Option<u32>>(2).unwrap_or_default(),
        writes: row.get::<_, Option<i64>>(3).unwrap_or_default(),
    }
}

async fn table_writes(
    session: &Session,
    row: &tokio_postgres::Row,
    mark: &Mark,
) -> Result<Option<String>, Failure> {
    let now = table_mark(row);
    let Some(then) = mark.tables.get(&row.get(0)) else { return Ok(Some("created".into())) };
    if now.file != then.file {
        return Ok(Some("truncated or rewritten".into()));
    }
    // Counters that fell were reset, by a crash of the server or by hand: they say nothing then.
    let counted = now.writes - then.writes;
    if counted == 0 && row.get::<_, i64>(4) > ALWAYS_READ {
        return Ok(None);
    }
    let table = format!("ONLY {}.{}", quote_ident(row.get(5)), quote_ident(row.get(6)));
    let young = young_rows(session, &table, mark.xid).await?;
    Ok(match (counted, young) {
        (0, 0) => None,
        (counted, young) if counted > young && counted > 0 => Some(format!(
            "{}, {} new or changed",
            count(counted.unsigned_abs(), "write", "writes"),
            rows(young)
        )),
        (counted, 0) if counted < 0 => None,
        (_, young) => Some(format!("{} new or changed", rows(young))),
    })
}

fn rows(n: i64) -> String {
    count(n.unsigned_abs(), "row", "rows")
}

/// Rows whose version is younger than `xid`. `age` compares in the circle of 32-bit ids, so the mark's
/// is brought there; frozen rows are infinitely old.
async fn young_rows(session: &Session, table: &str, xid: i64) -> Result<i64, Failure> {
    let query = format!(
        "SELECT pg_catalog.count(*) FROM {table} \
         WHERE pg_catalog.age(xmin) < pg_catalog.age(($1::bigint & 4294967295)::text::xid)"
    );
    session
        .query_one(&query, &[&xid])
        .await
        .map(|row| row.get(0))
        .map_err(|error| refused(&format!("look for young rows in {table}"), &error))
}

/// Makes this session's view of the statistics fresh (PostgreSQL 15 and newer keep a snapshot of them).
async fn force_report(session: &Session) {
    let _ = session.simple_query("SELECT pg_catalog.pg_stat_clear_snapshot()").await;
}
