//! Schema objects that others changed: rows of the catalogs that are younger than the mark.

use super::mark::Mark;
use super::table::is_young;
use crate::failure::Failure;
use crate::pg::{Session, refused};

/// Objects of one kind that others changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definitions {
    /// In words: `a column was changed`.
    pub what: &'static str,
    /// How many.
    pub count: u64,
    /// The first of them by name.
    pub names: Vec<String>,
}

/// So many are named.
const NAMED: usize = 20;

/// What was changed, the catalog, how its row is named, and which rows count. `$1` are the tables whose own
/// entry says what happened: created, or rewritten. A client's temporary tables write into these catalogs too.
const CATALOGS: [(&str, &str, &str, &str); 11] = [
    (
        "a table, index, view or sequence was changed",
        "pg_class",
        "t.oid::pg_catalog.regclass::text",
        "t.relpersistence <> 't' AND t.relkind <> 't' AND t.oid <> ALL ($1) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indexrelid = t.oid \
             AND (i.indrelid = ANY ($1) OR EXISTS (SELECT FROM pg_catalog.pg_class h \
                 WHERE h.oid = i.indrelid AND (h.relkind = 't' OR h.relpersistence = 't'))))",
    ),
    (
        "a column was changed",
        "pg_attribute",
        "pg_catalog.format('%s.%I', t.attrelid::pg_catalog.regclass, t.attname)",
        "t.attnum > 0 AND t.attrelid <> ALL ($1) AND EXISTS (SELECT FROM pg_catalog.pg_class c \
             WHERE c.oid = t.attrelid AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c'))",
    ),
    (
        "a default was changed",
        "pg_attrdef",
        "t.adrelid::pg_catalog.regclass::text",
        "t.adrelid <> ALL ($1) AND EXISTS (SELECT FROM pg_catalog.pg_class c \
             WHERE c.oid = t.adrelid AND c.relpersistence <> 't')",
    ),
    (
        "a constraint was changed",
        "pg_constraint",
        "pg_catalog.format('%I on %s', t.conname, t.conrelid::pg_catalog.regclass)",
        "t.conrelid <> ALL ($1) AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c \
             WHERE c.oid = t.conrelid AND c.relpersistence = 't')",
    ),
    (
        "a trigger was changed",
        "pg_trigger",
        "pg_catalog.format('%I on %s', t.tgname, t.tgrelid::pg_catalog.regclass)",
        "NOT t.tgisinternal AND t.tgrelid <> ALL ($1) AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c \
             WHERE c.oid = t.tgrelid AND c.relpersistence = 't')",
    ),
    (
        "a view was changed",
        "pg_rewrite",
        "t.ev_class::pg_catalog.regclass::text",
        "t.ev_class <> ALL ($1) AND EXISTS (SELECT FROM pg_catalog.pg_class c \
             WHERE c.oid = t.ev_class AND c.relpersistence <> 't')",
    ),
    (
        "a row-security policy was changed",
        "pg_policy",
        "pg_catalog.format('%I on %s', t.polname, t.polrelid::pg_catalog.regclass)",
        "t.polrelid <> ALL ($1)",
    ),
    ("a function was changed", "pg_proc", "t.oid::pg_catalog.regprocedure::text", "$1::oid[] IS NOT NULL"),
    (
        "a type was changed",
        "pg_type",
        "t.oid::pg_catalog.regtype::text",
        "t.typtype IN ('e', 'd', 'r') AND $1::oid[] IS NOT NULL",
    ),
    (
        "a schema was changed",
        "pg_namespace",
        "pg_catalog.quote_ident(t.nspname)",
        "t.nspname !~ '^pg_(toast_)?temp_' AND $1::oid[] IS NOT NULL",
    ),
    (
        "an extension was changed",
        "pg_extension",
        "pg_catalog.quote_ident(t.extname)",
        "$1::oid[] IS NOT NULL",
    ),
];

/// What others changed; `explained` are tables that have a finding of their own.
///
/// # Errors
/// The query's.
pub(super) async fn look(
    session: &Session,
    mark: &Mark,
    explained: &[u32],
) -> Result<Vec<Definitions>, Failure> {
    let explained = explained.to_vec();
    let mut found = Vec::new();
    for (what, catalog, name, which) in CATALOGS {
        let young = is_young(mark.xid);
        let query =
            format!("SELECT {name} FROM pg_catalog.{catalog} t WHERE {young} AND ({which}) ORDER BY 1");
        let rows = session.query(&query, &[&explained]).await;
        let rows = rows.map_err(|error| refused(&format!("look for young rows in {catalog}"), &error))?;
        if !rows.is_empty() {
            let names = rows.iter().take(NAMED).map(|row| row.get(0)).collect();
            found.push(Definitions { what, count: rows.len() as u64, names });
        }
    }
    Ok(found)
}
