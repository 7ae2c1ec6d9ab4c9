//! The state of the database the moment before others may write.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use crate::backup::TableName;
use crate::failure::Failure;
use crate::pg::{Session, refused};

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
    /// Writes to large objects since statistics began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_objects: Option<i64>,
    /// Rows deleted from catalogs of definitions since statistics began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<i64>,
    /// When the server's statistics began: others by then, all counters are worth nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<String>,
}

impl Mark {
    /// The same without counters, as for a clone, which begins to count anew: every table is looked through.
    #[must_use]
    pub fn uncounted(self) -> Self {
        // One that no counter can have: the table counts as written.
        let uncounted = |mark: TableMark| TableMark { writes: -1, removed: None, ..mark };
        let tables = self.tables.into_iter().map(|(oid, mark)| (oid, uncounted(mark))).collect();
        let large_objects = self.large_objects.map(|_| -1);
        Self { tables, large_objects, dropped: None, statistics: None, ..self }
    }

    /// The same database, with all counted that is not older than the transaction `xid`, an earlier one: which deletions
    /// were whose is not known.
    #[must_use]
    pub fn back_to(self, xid: i64) -> Self {
        let mut mark = Self { xid, ..self.uncounted() };
        mark.tables.values_mut().for_each(|table| table.intact = false);
        mark
    }
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
    /// Of these, the deletions and those updates that can have changed a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<i64>,
    /// Between guard and mark nothing was removed from it: whatever the guard has more is then others' doing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub intact: bool,
}

/// What the counters say when the guard is taken. Held against the [`Mark`], they tell the release's own
/// deletions from those of others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// As [`Mark::statistics`].
    pub statistics: Option<String>,
    /// Every user table, by object id: its file, and as [`TableMark::removed`].
    pub tables: BTreeMap<u32, (u32, i64)>,
}

/// A table as it is now.
pub(super) struct Seen {
    pub oid: u32,
    pub name: TableName,
    pub now: TableMark,
    /// Bytes of its rows on disk.
    pub size: i64,
    /// A materialized view.
    pub is_view: bool,
    /// Our role may read it.
    pub readable: bool,
}

/// A sequence as it is now.
pub(super) struct SeenSequence {
    pub oid: u32,
    pub name: TableName,
    pub display: String,
    pub value: Option<i64>,
    pub increment: i64,
}

/// Tables and materialized views of users. A heap-only update (HOT) changes no indexed column, and so no key.
const TABLES: &str = "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), \
     pg_catalog.pg_relation_filenode(c.oid), \
     pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid) \
         + pg_catalog.pg_stat_get_tuples_deleted(c.oid), \
     pg_catalog.pg_stat_get_tuples_deleted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid) \
         - pg_catalog.pg_stat_get_tuples_hot_updated(c.oid), \
     pg_catalog.pg_relation_size(c.oid), n.nspname::text, c.relname::text, c.relkind = 'm', \
     pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' \
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%' ORDER BY 2";

const SEQUENCES: &str = "SELECT c.oid, n.nspname::text, c.relname::text, \
     pg_catalog.format('%I.%I', n.nspname, c.relname), \
     CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT') \
         THEN pg_catalog.pg_sequence_last_value(c.oid) END, q.seqincrement \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_sequence q ON q.seqrelid = c.oid \
     WHERE c.relkind = 'S' AND c.relpersistence <> 't' ORDER BY 4";

/// A crash of the server loses all counters, and the time since which they count says so.
const SUMS: &str = "SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_stat_get_bgwriter_stat_reset_time(), \
     pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)), \
     (SELECT pg_catalog.sum(pg_catalog.pg_stat_get_tuples_inserted(o) + pg_catalog.pg_stat_get_tuples_updated(o) \
         + pg_catalog.pg_stat_get_tuples_deleted(o))::pg_catalog.int8 \
         FROM (VALUES ('pg_catalog.pg_largeobject'::pg_catalog.regclass), \
             ('pg_catalog.pg_largeobject_metadata'::pg_catalog.regclass)) l(o)), \
     (SELECT pg_catalog.sum(pg_catalog.pg_stat_get_tuples_deleted(o))::pg_catalog.int8 \
         FROM (VALUES ('pg_catalog.pg_proc'::pg_catalog.regclass), ('pg_catalog.pg_trigger'::pg_catalog.regclass), \
             ('pg_catalog.pg_policy'::pg_catalog.regclass)) l(o)) \
     FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

/// From this version on a session has reported when it has ended; before, the collector may be late.
const REPORTS_AT_ITS_END: u32 = 150_000;

/// What the counters say of the closed database, the moment that its guard is taken. The session must be in it.
///
/// # Errors
/// The query's.
pub async fn count(session: &Session) -> Result<Counters, Failure> {
    let failed =
        |error: tokio_postgres::Error| refused("note the write counters of the guarded database", &error);
    force_report(session).await;
    if session.server_version() < REPORTS_AT_ITS_END {
        return Ok(Counters::default());
    }
    let tables = tables(session).await.map_err(failed)?;
    let sums = sums(session).await.map_err(failed)?;
    let counted = |seen: Seen| Some((seen.oid, (seen.now.file, seen.now.removed?)));
    Ok(Counters { statistics: sums.statistics, tables: tables.into_iter().filter_map(counted).collect() })
}

/// Takes the mark. The session must be in the closed database; it gets a transaction id of its own.
///
/// # Errors
/// The query's.
pub async fn mark(session: &Session, at_guard: &Counters) -> Result<Mark, Failure> {
    let failed = |error: tokio_postgres::Error| refused("note the state before opening", &error);
    // Our own earlier sessions have ended and reported; this one reports before it reads.
    force_report(session).await;
    let xid = session.query_one("SELECT pg_catalog.txid_current()", &[]).await.map_err(failed)?.get(0);
    let sums = sums(session).await.map_err(failed)?;
    let counted = at_guard.statistics.is_some() && at_guard.statistics == sums.statistics;
    let intact = |seen: &Seen| {
        let then = at_guard.tables.get(&seen.oid);
        counted
            && then
                .is_some_and(|(file, removed)| (*file, Some(*removed)) == (seen.now.file, seen.now.removed))
    };
    let tables = tables(session).await.map_err(failed)?;
    let marked = |seen: Seen| (seen.oid, TableMark { intact: intact(&seen), ..seen.now });
    let sequences = sequences(session).await.map_err(failed)?;
    Ok(Mark {
        xid,
        at: crate::time::now(),
        tables: tables.into_iter().map(marked).collect(),
        sequences: sequences.into_iter().map(|sequence| (sequence.oid, sequence.value)).collect(),
        large_objects: sums.large_objects,
        dropped: sums.dropped,
        statistics: sums.statistics,
    })
}

/// Counters of the database as a whole.
pub(super) struct Sums {
    pub statistics: Option<String>,
    pub large_objects: Option<i64>,
    pub dropped: Option<i64>,
}

pub(super) async fn sums(session: &Session) -> Result<Sums, tokio_postgres::Error> {
    let row = session.query_one(SUMS, &[]).await?;
    Ok(Sums { statistics: row.get(0), large_objects: row.get(1), dropped: row.get(2) })
}

pub(super) async fn tables(session: &Session) -> Result<Vec<Seen>, tokio_postgres::Error> {
    Ok(session.query(TABLES, &[]).await?.iter().map(seen).collect())
}

fn seen(row: &Row) -> Seen {
    Seen {
        oid: row.get(0),
        name: TableName::new(row.get::<_, String>(6), row.get::<_, String>(7)),
        now: TableMark {
            name: row.get(1),
            file: row.get::<_, Option<u32>>(2).unwrap_or_default(),
            writes: row.get::<_, Option<i64>>(3).unwrap_or_default(),
            removed: row.get(4),
            intact: false,
        },
        size: row.get::<_, Option<i64>>(5).unwrap_or_default(),
        is_view: row.get(8),
        readable: row.get(9),
    }
}

pub(super) async fn sequences(session: &Session) -> Result<Vec<SeenSequence>, tokio_postgres::Error> {
    let rows = session.query(SEQUENCES, &[]).await?;
    let seen = |row: &Row| SeenSequence {
        oid: row.get(0),
        name: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
        display: row.get(3),
        value: row.get(4),
        increment: row.get(5),
    };
    Ok(rows.iter().map(seen).collect())
}

/// Makes this session's view of the statistics fresh (PostgreSQL 15 and newer keep a snapshot of them).
pub(super) async fn force_report(session: &Session) {
    let _ = session.simple_query("SELECT pg_catalog.pg_stat_clear_snapshot()").await;
}
