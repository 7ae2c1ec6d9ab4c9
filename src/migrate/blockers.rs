//! Who stands in the way of a waiting statement.

use std::time::Duration;

use tokio_postgres::{Client, Row};

use super::error::Reason;
use crate::redact::redact;
use crate::time::show_duration;

/// How many blockers a message names.
const NAMED: i64 = 3;

/// A session that holds what another waits for. Fields that we may not see are `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocker {
    /// Its process id; 0 is a prepared transaction.
    pub pid: i32,
    /// Its role.
    pub user: Option<String>,
    /// Its `application_name`.
    pub application: Option<String>,
    /// `active`, `idle in transaction`, …
    pub state: Option<String>,
    /// Its last query, redacted and cut.
    pub query: Option<String>,
    /// How long its transaction has been open.
    pub age: Option<Duration>,
}

/// The columns that [`Blocker::read`] takes, of `pg_stat_activity` as `a`.
const COLUMNS: &str = "a.usename::pg_catalog.text, a.application_name, a.state, a.query, \
    extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(a.xact_start, a.query_start))::pg_catalog.float8";

impl Blocker {
    fn read(row: &Row) -> Self {
        let text = |i: usize| row.get::<_, Option<String>>(i).filter(|t| !t.is_empty());
        let query = text(4).filter(|q| q != "<insufficient privilege>").map(|q| {
            let line = redact(&q).split_whitespace().collect::<Vec<_>>().join(" ");
            if line.chars().count() > 80 { line.chars().take(79).chain(['…']).collect() } else { line }
        });
        let seconds = row.get::<_, Option<f64>>(5);
        Self {
            pid: row.get(0),
            user: text(1),
            application: text(2),
            state: text(3),
            query,
            age: seconds.and_then(|s| Duration::try_from_secs_f64(s.max(0.0)).ok()),
        }
    }
}

impl std::fmt::Display for Blocker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.pid == 0 {
            return write!(f, "a prepared transaction (see pg_prepared_xacts)");
        }
        let mut known = Vec::new();
        known.extend(self.user.as_ref().map(|u| format!("user {u}")));
        known.extend(self.application.as_ref().map(|a| format!("application {a}")));
        known.extend(self.state.clone());
        known.extend(self.age.map(|a| format!("for {}", show_duration(a))));
        write!(f, "pid {} ({})", self.pid, known.join(", "))?;
        self.query.as_ref().map_or(Ok(()), |query| write!(f, ": {query}"))
    }
}

/// Those for whom the session with this pid waits; from another session. Best effort: a look that fails is no
/// reason to stop a migration.
pub(super) async fn of(client: &Client, pid: i32) -> Vec<Blocker> {
    let query = format!(
        "SELECT b.pid, {COLUMNS} FROM (SELECT DISTINCT pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) \
         AS pid) b LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid \
         ORDER BY a.xact_start NULLS LAST LIMIT {NAMED}"
    );
    let rows = client.query(&query, &[&pid]).await.unwrap_or_default();
    rows.iter().map(Blocker::read).collect()
}

/// Other sessions that build an index on a table of this database. One whose table we may not see is taken for it.
///
/// # Errors
/// If the query fails.
pub(super) async fn builders(client: &Client, table: u32) -> Result<Vec<Blocker>, Reason> {
    let query = format!(
        "SELECT a.pid, {COLUMNS} FROM pg_catalog.pg_stat_progress_create_index p \
         JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid WHERE p.datname = pg_catalog.current_database() \
         AND coalesce(p.relid = $1, true) AND a.pid <> pg_catalog.pg_backend_pid()"
    );
    let rows = client.query(&query, &[&table]).await;
    let rows = rows.map_err(Reason::query("look for who builds an index"))?;
    Ok(rows.iter().map(Blocker::read).collect())
}

/// After a wait in vain: who holds locks on the tables that the statement names. A guess, the best there
/// is without a second session: whoever came and went in between is not seen.
pub(super) async fn holders(client: &Client, names: &[String]) -> Vec<Blocker> {
    let query = format!(
        "SELECT a.pid, {COLUMNS} FROM pg_catalog.pg_stat_activity a WHERE a.pid <> pg_catalog.pg_backend_pid() \
         AND EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation \
         WHERE l.pid = a.pid AND l.granted AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d \
         WHERE d.datname = pg_catalog.current_database()) AND c.relname::pg_catalog.text = ANY ($1)) \
         ORDER BY a.xact_start NULLS LAST LIMIT {NAMED}"
    );
    let rows = client.query(&query, &[&names]).await.unwrap_or_default();
    rows.iter().map(Blocker::read).collect()
}

/// For whom the sessions of this application wait, in this database.
pub(super) async fn of_application(client: &Client, application: &str) -> Vec<Blocker> {
    let query = format!(
        "SELECT b.pid, {COLUMNS} FROM (SELECT DISTINCT pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS pid \
         FROM pg_catalog.pg_stat_activity w WHERE w.application_name = $1 \
         AND w.datname = pg_catalog.current_database()) b LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid \
         ORDER BY a.xact_start NULLS LAST LIMIT {NAMED}"
    );
    let rows = client.query(&query, &[&application]).await.unwrap_or_default();
    rows.iter().map(Blocker::read).collect()
}

/// Who holds the advisory lock `key` of this database.
pub(super) async fn advisory_holders(client: &Client, key: i64) -> Vec<Blocker> {
    let query = format!(
        "SELECT a.pid, {COLUMNS} FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
         AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d \
         WHERE d.datname = pg_catalog.current_database()) \
         AND l.classid = (($1::pg_catalog.int8 >> 32) & 4294967295)::pg_catalog.oid \
         AND l.objid = ($1::pg_catalog.int8 & 4294967295)::pg_catalog.oid"
    );
    let rows = client.query(&query, &[&key]).await.unwrap_or_default();
    rows.iter().map(Blocker::read).collect()
}
