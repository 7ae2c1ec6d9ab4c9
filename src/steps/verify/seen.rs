//! What is in the database: what `\dt` would show, and more.

use std::collections::{BTreeMap, BTreeSet};

use crate::failure::Failure;
use crate::pg::{self, Session, quote_ident};

/// The user's tables and what hangs on them.
pub(super) struct Seen {
    /// Owners, by the name that a person would write: without `public.`.
    pub tables: BTreeMap<String, String>,
    /// Columns and their types, by table.
    pub columns: BTreeMap<String, BTreeMap<String, String>>,
    pub indexes: Vec<Index>,
    pub foreign_keys: Vec<ForeignKey>,
    /// The tables that record which revisions are applied.
    pub records: BTreeSet<String>,
}

pub(super) struct Index {
    pub schema: String,
    pub name: String,
    pub valid: bool,
}

impl Index {
    /// Whether `name` means it, with or without its schema.
    pub fn is_called(&self, name: &str) -> bool {
        name == self.name || name.strip_prefix(&format!("{}.", self.schema)) == Some(&self.name)
    }
}

pub(super) struct ForeignKey {
    pub name: String,
    /// Both tables by the name that a person would write.
    pub table: String,
    pub columns: Vec<String>,
    pub target: String,
    pub target_columns: Vec<String>,
}

impl ForeignKey {
    /// Whether `text` means it: its name, or `orders(customer_id) -> customers(id)`.
    pub fn is(&self, text: &str) -> bool {
        let end = |table: &str, columns: &[String]| format!("{table}({})", columns.join(", "));
        let (from, to) = (end(&self.table, &self.columns), end(&self.target, &self.target_columns));
        text == self.name || text == format!("{from} -> {to}")
    }
}

const USER_TABLES: &str = "c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition \
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid \
         AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'e') \
     AND NOT (c.relname = 'backstay_history')";

const NAME: &str =
    "CASE WHEN n.nspname = 'public' THEN c.relname::text ELSE n.nspname || '.' || c.relname END";

const TABLES: &str = "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";

fn failed(error: &tokio_postgres::Error) -> Failure {
    Failure::failed("look at the schema").because_of(pg::describe_error(error))
}

pub(super) async fn look(session: &Session, records: &BTreeSet<String>) -> Result<Seen, Failure> {
    let tables =
        format!("SELECT {NAME}, pg_catalog.pg_get_userbyid(c.relowner)::text {TABLES} WHERE {USER_TABLES}");
    let columns = format!(
        "SELECT {NAME}, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) {TABLES} \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE {USER_TABLES}"
    );
    let tables = session.query(&tables, &[]).await.map_err(|error| failed(&error))?;
    let columns = session.query(&columns, &[]).await.map_err(|error| failed(&error))?;
    let mut seen = Seen {
        tables: tables.iter().map(|row| (row.get(0), row.get(1))).collect(),
        columns: BTreeMap::new(),
        indexes: indexes(session).await?,
        foreign_keys: foreign_keys(session).await?,
        records: records.clone(),
    };
    for row in &columns {
        let table: String = row.get(0);
        seen.columns.entry(table).or_default().insert(row.get(1), row.get(2));
    }
    Ok(seen)
}

async fn indexes(session: &Session) -> Result<Vec<Index>, Failure> {
    let query = format!(
        "SELECT n.nspname::text, x.relname::text, i.indisvalid {TABLES} \
         JOIN pg_catalog.pg_index i ON i.indrelid = c.oid JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
         WHERE {USER_TABLES}"
    );
    let rows = session.query(&query, &[]).await.map_err(|error| failed(&error))?;
    Ok(rows.iter().map(|row| Index { schema: row.get(0), name: row.get(1), valid: row.get(2) }).collect())
}

async fn foreign_keys(session: &Session) -> Result<Vec<ForeignKey>, Failure> {
    let columns = |relation: &str, numbers: &str| {
        format!(
            "(SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.n) \
              FROM pg_catalog.unnest({numbers}) WITH ORDINALITY k(attnum, n) \
              JOIN pg_catalog.pg_attribute a ON a.attrelid = {relation} AND a.attnum = k.attnum)"
        )
    };
    let query = format!(
        "SELECT f.conname::text, {NAME}, {}, \
           (SELECT CASE WHEN n.nspname = 'public' THEN c.relname::text ELSE n.nspname || '.' || c.relname END \
            {TABLES} WHERE c.oid = f.confrelid), {} \
         {TABLES} JOIN pg_catalog.pg_constraint f ON f.conrelid = c.oid AND f.contype = 'f' WHERE {USER_TABLES}",
        columns("f.conrelid", "f.conkey"),
        columns("f.confrelid", "f.confkey"),
    );
    let rows = session.query(&query, &[]).await.map_err(|error| failed(&error))?;
    Ok(rows
        .iter()
        .map(|row| ForeignKey {
            name: row.get(0),
            table: row.get(1),
            columns: row.get(2),
            target: row.get(3),
            target_columns: row.get(4),
        })
        .collect())
}

/// Rows of every user table, by name.
pub(super) async fn rows(session: &Session) -> Result<BTreeMap<String, i64>, Failure> {
    let failed = |what: &str, error: &tokio_postgres::Error| {
        Failure::failed(format!("count the rows of {what}")).because_of(pg::describe_error(error))
    };
    let list = format!("SELECT {NAME}, n.nspname::text, c.relname::text {TABLES} WHERE {USER_TABLES}");
    let tables = session.query(&list, &[]).await.map_err(|error| failed("the tables", &error))?;
    let mut counts = BTreeMap::new();
    for row in &tables {
        let name: String = row.get(0);
        let table = format!("{}.{}", quote_ident(row.get(1)), quote_ident(row.get(2)));
        let count = session
            .query_one(&format!("SELECT pg_catalog.count(*) FROM {table}"), &[])
            .await
            .map_err(|error| failed(&name, &error))?;
        counts.insert(name, count.get(0));
    }
    Ok(counts)
}
