//! The facts, read from the catalogs in one snapshot.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Row;

use super::{Dependent, DependentKind, Facts, Index, Queries, Query, Relation, Routine};
use crate::pg::{Session, describe_error, quote_ident};

/// The catalogs could not be read.
#[derive(Debug, thiserror::Error)]
#[error("read {what} for the lint: {why}")]
pub struct FactsError {
    what: &'static str,
    why: String,
}

impl From<FactsError> for crate::failure::Failure {
    fn from(error: FactsError) -> Self {
        crate::failure::Failure::refused(format!("read {} for the lint", error.what)).because_of(error.why)
    }
}

/// Schemas of users, for a WHERE: not the server's, not a session's.
const OF_USERS: &str = "n.nspname <> 'information_schema' \
    AND n.nspname !~ '^pg_'";

/// Looks at the database, in read-only transactions that end before this returns. What a role may not see is left
/// out; where that takes evidence away, the facts say so.
///
/// # Errors
/// If the connection breaks, or somebody holds a table locked for so long that its size can't be asked.
pub async fn read(session: &Session) -> Result<Facts, FactsError> {
    let failed = |error| FactsError { what: "the search path", why: describe_error(&error) };
    let path = "SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(false))::pg_catalog.text";
    let path: String = session.query_one(path, &[]).await.map_err(failed)?.get(0);
    let mut facts = in_snapshot(session, look(session)).await??;
    facts.version = session.server_version();
    facts.search_path = serde_json::from_str(&path).unwrap_or_default();
    // By itself: an extension that is not loaded answers with an error, which ends a transaction.
    facts.queries = match in_snapshot(session, seen(session)).await? {
        Ok(Some(queries)) => queries,
        Ok(None) => Queries::Unknown("pg_stat_statements is not installed in this database".into()),
        Err(error) => {
            Queries::Unknown(format!("pg_stat_statements can't be read: {}", describe_error(&error)))
        }
    };
    Ok(facts)
}

/// All looks see one state, and no function or operator that a user made.
async fn in_snapshot<T>(session: &Session, look: impl Future<Output = T>) -> Result<T, FactsError> {
    let failed = |error| FactsError { what: "a snapshot", why: describe_error(&error) };
    let begin = "START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog; \
        SET LOCAL lock_timeout = '5s'";
    session.batch_execute(begin).await.map_err(failed)?;
    let found = look.await;
    session.batch_execute("ROLLBACK").await.map_err(failed)?;
    Ok(found)
}

async fn look(session: &Session) -> Result<Facts, FactsError> {
    let mut facts = Facts::default();
    let mut by_oid: HashMap<u32, Relation> = HashMap::new();
    let mut names: Vec<(u32, (String, String))> = Vec::new();
    for row in rows(session, "tables and their sizes", &relations()).await? {
        let (oid, rows, bytes): (u32, f64, i64) = (row.get(0), row.get(3), row.get(4));
        // -1: never counted.
        let rows = (rows >= 0.0).then_some(rows as u64);
        by_oid
            .insert(oid, Relation { oid, rows, bytes: bytes.max(0).cast_unsigned(), ..Relation::default() });
        names.push((oid, (row.get(1), row.get(2))));
    }
    for row in rows(session, "columns", &columns()).await? {
        if let Some(relation) = by_oid.get_mut(&row.get(0)) {
            relation.columns.push((row.get(1), row.get(2)));
        }
    }
    for row in rows(session, "indexes", &indexes()).await? {
        if let Some(relation) = by_oid.get_mut(&row.get(0)) {
            relation.indexes.push(Index { schema: row.get(1), name: row.get(2), columns: row.get(3) });
        }
    }
    for row in rows(session, "constraints", &checks()).await? {
        if let Some(relation) = by_oid.get_mut(&row.get(0)) {
            relation.checks.push(row.get(1));
        }
    }
    for row in rows(session, "partition keys", &partition_keys()).await? {
        if let Some(relation) = by_oid.get_mut(&row.get(0)) {
            relation.partitioned_by = row.get(1);
        }
    }
    for row in rows(session, "enums", &enums()).await? {
        facts.enums.insert((row.get(0), row.get(1)), row.get(2));
    }
    facts.dependents =
        rows(session, "dependencies", &dependents()).await?.iter().filter_map(dependent).collect();
    facts.routines = routines(session).await?;
    facts.relations =
        names.into_iter().filter_map(|(oid, name)| Some((name, by_oid.remove(&oid)?))).collect();
    Ok(facts)
}

async fn rows(session: &Session, what: &'static str, query: &str) -> Result<Vec<Row>, FactsError> {
    session.query(query, &[]).await.map_err(|error| FactsError { what, why: describe_error(&error) })
}

/// Partitions count to their parents, which have no rows of their own.
fn relations() -> String {
    format!(
        "SELECT c.oid, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, \
           CASE WHEN c.relkind = 'p' THEN coalesce((SELECT pg_catalog.sum(greatest(l.reltuples, 0)) \
             FROM pg_catalog.pg_partition_tree(c.oid) p JOIN pg_catalog.pg_class l ON l.oid = p.relid \
             WHERE p.isleaf), 0) ELSE c.reltuples END::pg_catalog.float8, \
           CASE c.relkind WHEN 'p' THEN coalesce((SELECT pg_catalog.sum(pg_catalog.pg_table_size(p.relid)) \
             FROM pg_catalog.pg_partition_tree(c.oid) p WHERE p.isleaf), 0) \
             WHEN 'r' THEN pg_catalog.pg_table_size(c.oid) WHEN 'm' THEN pg_catalog.pg_table_size(c.oid) ELSE 0 \
           END::pg_catalog.int8 \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {OF_USERS}"
    )
}

fn columns() -> String {
    format!(
        "SELECT a.attrelid, a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod) \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
         AND {OF_USERS} ORDER BY a.attrelid, a.attnum"
    )
}

/// Of a partial index nothing is told but that it is there.
fn indexes() -> String {
    format!(
        "SELECT i.indrelid, n.nspname::pg_catalog.text, x.relname::pg_catalog.text, ARRAY(\
           SELECT a.attname::pg_catalog.text FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) k \
           JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid \
             AND a.attnum = i.indkey[k] \
           WHERE i.indpred IS NULL AND i.indisvalid AND a.attnum > 0 ORDER BY k) \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace WHERE {OF_USERS}"
    )
}

fn checks() -> String {
    format!(
        "SELECT k.conrelid, ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a \
           WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) \
         FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace \
         WHERE k.contype = 'c' AND k.convalidated \
         AND k.conrelid <> 0::pg_catalog.oid AND {OF_USERS}"
    )
}

fn partition_keys() -> String {
    format!(
        "SELECT p.partrelid, ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a \
           WHERE a.attrelid = p.partrelid AND a.attnum > 0 \
           AND a.attnum = ANY (p.partattrs::pg_catalog.int2[])) \
         FROM pg_catalog.pg_partitioned_table p JOIN pg_catalog.pg_class c ON c.oid = p.partrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {OF_USERS}"
    )
}

fn enums() -> String {
    format!(
        "SELECT n.nspname::pg_catalog.text, t.typname::pg_catalog.text, \
           ARRAY(SELECT e.enumlabel::pg_catalog.text FROM pg_catalog.pg_enum e \
             WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) \
         FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
         WHERE t.typtype = 'e' AND {OF_USERS}"
    )
}

/// Who depends on relations of users, and would notice that they or a column of them change.
fn dependents() -> String {
    format!(
        "SELECT d.refobjid, a.attname::pg_catalog.text, d.classid::pg_catalog.regclass::pg_catalog.text, i.type, i.identity, \
           coalesce(vn.nspname, pn.nspname, n.nspname)::pg_catalog.text, \
           coalesce(CASE WHEN r.rulename = '_RETURN' THEN v.relname ELSE r.rulename END, \
             p.proname, k.polname, t.tgname, f.conname, '')::pg_catalog.text, \
           coalesce(r.ev_class, k.polrelid, t.tgrelid, f.conrelid, g.adrelid), \
           v.relkind::pg_catalog.text, r.rulename = '_RETURN', \
           g.adrelid = d.refobjid AND g.adnum = d.refobjsubid \
         FROM pg_catalog.pg_depend d \
         JOIN pg_catalog.pg_class c ON c.oid = d.refobjid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) i \
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid \
           AND a.attnum = d.refobjsubid AND d.refobjsubid > 0 \
         LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
           AND r.oid = d.objid \
         LEFT JOIN pg_catalog.pg_class v ON v.oid = r.ev_class \
         LEFT JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace \
         LEFT JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
           AND p.oid = d.objid \
         LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace \
         LEFT JOIN pg_catalog.pg_policy k ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass \
           AND k.oid = d.objid \
         LEFT JOIN pg_catalog.pg_trigger t ON d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass \
           AND t.oid = d.objid AND NOT t.tgisinternal \
         LEFT JOIN pg_catalog.pg_constraint f ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass \
           AND f.oid = d.objid AND f.contype = 'f' \
         LEFT JOIN pg_catalog.pg_attrdef g ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass \
           AND g.oid = d.objid \
         WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
         AND d.deptype IN ('n', 'a') AND d.classid = ANY (ARRAY['pg_catalog.pg_rewrite', 'pg_catalog.pg_policy', \
           'pg_catalog.pg_trigger', 'pg_catalog.pg_constraint', 'pg_catalog.pg_attrdef', 'pg_catalog.pg_publication_rel', \
           'pg_catalog.pg_proc']::pg_catalog.regclass[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {OF_USERS}"
    )
}

fn dependent(row: &Row) -> Option<Dependent> {
    let (relation, column): (u32, Option<String>) = (row.get(0), row.get(1));
    let (class, identity): (&str, &str) = (row.get(2), row.get(4));
    let owner: Option<u32> = row.get(7);
    let is_view: bool = row.get::<_, Option<bool>>(9).unwrap_or(false);
    let class = class.rsplit('.').next().unwrap_or(class);
    let (kind, words) = match class {
        "pg_rewrite" if is_view => {
            let kind = if row.get::<_, Option<&str>>(8) == Some("m") { "materialized view" } else { "view" };
            (DependentKind::View, format!("{kind} {}.{}", row.get::<_, &str>(5), row.get::<_, &str>(6)))
        }
        "pg_rewrite" => (DependentKind::Rule, format!("rule {identity}")),
        "pg_policy" => (DependentKind::Policy, format!("policy {identity}")),
        "pg_trigger" if owner.is_some() => (DependentKind::Trigger, format!("trigger {identity}")),
        "pg_constraint" if owner.is_some() => (DependentKind::ForeignKey, format!("foreign key {identity}")),
        // A column's own default depends on it too.
        "pg_attrdef" if column.is_some() && row.get::<_, Option<bool>>(10) == Some(false) => {
            (DependentKind::Generated, format!("generated column {}", identity.trim_start_matches("for ")))
        }
        "pg_publication_rel" if column.is_some() => {
            (DependentKind::Publication, format!("publication {identity}"))
        }
        "pg_proc" => (DependentKind::Routine, format!("{} {identity}", row.get::<_, &str>(3))),
        _ => return None,
    };
    let (schema, name) = (row.get(5), row.get(6));
    Some(Dependent { relation, column, kind, words, schema, name, owner })
}

/// Bodies in words: those of `BEGIN ATOMIC` are followed by the catalog itself.
async fn routines(session: &Session) -> Result<Vec<Routine>, FactsError> {
    let atomic = if session.server_version() >= 140_000 { "AND p.prosqlbody IS NULL" } else { "" };
    let query = format!(
        "SELECT p.oid, n.nspname::pg_catalog.text, p.proname::pg_catalog.text, p.oid::pg_catalog.regprocedure::pg_catalog.text, \
           l.lanname = 'plpgsql', p.prosrc \
         FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
         WHERE l.lanname IN ('sql', 'plpgsql') {atomic} AND {OF_USERS} AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
           WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
           AND d.objid = p.oid AND d.deptype = 'e')"
    );
    let triggers = "SELECT t.tgfoid, t.tgrelid FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal";
    let mut of: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for row in rows(session, "triggers", triggers).await? {
        of.entry(row.get(0)).or_default().push(row.get(1));
    }
    let found = rows(session, "functions", &query).await?;
    let routine = |row: &Row| Routine {
        schema: row.get(1),
        name: row.get(2),
        words: row.get(3),
        procedural: row.get(4),
        body: row.get(5),
        triggers_of: of.get(&row.get(0)).cloned().unwrap_or_default(),
    };
    Ok(found.iter().map(routine).collect())
}

/// What `pg_stat_statements` saw of this database; nothing, if it is not there.
async fn seen(session: &Session) -> Result<Option<Queries>, tokio_postgres::Error> {
    let home = "SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_extension e \
        JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace \
        WHERE e.extname = 'pg_stat_statements'";
    let Some(row) = session.query_opt(home, &[]).await? else { return Ok(None) };
    let schema = quote_ident(row.get(0));
    let query = format!(
        "SELECT s.query, pg_catalog.sum(s.calls)::pg_catalog.int8, \
           pg_catalog.min(pg_catalog.pg_get_userbyid(s.userid)::pg_catalog.text) FROM {schema}.pg_stat_statements s \
         WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d \
           WHERE d.datname = pg_catalog.current_database()) AND s.query IS NOT NULL \
         GROUP BY s.query ORDER BY 2 DESC, 1"
    );
    let (mut queries, mut hidden) = (Vec::new(), 0);
    for row in session.query(&query, &[]).await? {
        let (text, calls): (String, i64) = (row.get(0), row.get(1));
        match text.as_str() {
            "<insufficient privilege>" => hidden += 1,
            _ => queries.push(Query { text, calls: calls.max(0).cast_unsigned(), role: row.get(2) }),
        }
    }
    Ok(Some(Queries::Seen { queries, since: since(session, &schema).await, hidden }))
}

/// When the counting began; older versions do not tell.
async fn since(session: &Session, schema: &str) -> Option<String> {
    if session.server_version() < 140_000 {
        return None;
    }
    let query = format!(
        "SELECT pg_catalog.to_char(i.stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM {schema}.pg_stat_statements_info i"
    );
    session.query_opt(&query, &[]).await.ok()??.get(0)
}
