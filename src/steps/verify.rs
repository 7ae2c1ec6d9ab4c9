//! `step = "verify"`: the schema and the data are as expected.

use std::collections::{BTreeMap, BTreeSet};

use super::{Report, Site, migrator, roots};
use crate::failure::Failure;
use crate::pg::{self, Session, quote_ident};
use crate::runbook::VerifyStep;
use crate::words::count;

/// What `\dt` would show, and more.
struct Seen {
    /// By the name that a person would write: without `public.`.
    tables: BTreeMap<String, String>,
    columns: BTreeMap<String, BTreeMap<String, String>>,
    indexes: u64,
    foreign_keys: u64,
}

pub(super) async fn perform(expected: &VerifyStep, site: &mut Site<'_>) -> Result<Report, Failure> {
    let session = pg::connect(&site.live().await?, &site.session("verify")).await?;
    let mut wrong = revisions_wrong(&session, site).await?;
    let seen = look(&session).await?;
    wrong.extend(compare(expected, &seen));
    let before = site.recall.guard.as_ref().map(|facts| facts.rows.clone()).unwrap_or_default();
    if !before.is_empty() {
        wrong.extend(shrunk(&before, &rows(&session).await?, &expected.may_shrink));
    }
    if wrong.is_empty() {
        let mut said = format!(
            "{}, {}, {}",
            count(seen.tables.len() as u64, "table", "tables"),
            count(seen.indexes, "index", "indexes"),
            count(seen.foreign_keys, "foreign key", "foreign keys")
        );
        if !before.is_empty() {
            said.push_str(", no table lost rows");
        }
        return Ok(Report::saying(said));
    }
    Err(wrong.into_iter().fold(Failure::failed("find the database as expected"), Failure::because_of))
}

/// Rows of every user table of the live database, by name.
pub(super) async fn count_rows(site: &mut Site<'_>) -> Result<BTreeMap<String, i64>, Failure> {
    let session = pg::connect(&site.live().await?, &site.session("count")).await?;
    rows(&session).await
}

/// Every migration root that the run migrates must be at its head.
async fn revisions_wrong(session: &Session, site: &Site<'_>) -> Result<Vec<String>, Failure> {
    let mut wrong = Vec::new();
    for (name, target) in &site.outline.migrations {
        for root in roots(site.config, name.as_deref())? {
            let steps = migrator(root, Some(site.run))?.pending(session, target).await?;
            if !steps.is_empty() {
                let pending: Vec<String> = steps.into_iter().map(|step| step.revision).collect();
                wrong.push(format!(
                    "the database is not at {target} of {}: pending {}",
                    root.name,
                    pending.join(", ")
                ));
            }
        }
    }
    Ok(wrong)
}

/// What differs from what is expected. **Pure.**
fn compare(expected: &VerifyStep, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let names = || seen.tables.keys().cloned().collect::<Vec<_>>().join(", ");
    if let Some(count) = expected.table_count.filter(|count| *count != seen.tables.len() as u64) {
        wrong.push(format!("there are {} tables, not {count}: {}", seen.tables.len(), names()));
    }
    let missing: BTreeSet<&String> = expected
        .tables
        .iter()
        .chain(expected.columns.keys())
        .filter(|t| !seen.tables.contains_key(*t))
        .collect();
    wrong.extend(missing.into_iter().map(|table| format!("there is no table {table}")));
    for (table, columns) in &expected.columns {
        let Some(found) = seen.columns.get(table) else { continue };
        for (column, kind) in columns {
            match found.get(column) {
                None => wrong.push(format!("{table} has no column {column}")),
                Some(have) if !kind.is_empty() && have != kind => {
                    wrong.push(format!("{table}.{column} is {have}, not {kind}"));
                }
                Some(_) => {}
            }
        }
    }
    if let Some(owner) = &expected.owner {
        let others = seen.tables.iter().filter(|(_, o)| *o != owner);
        wrong.extend(others.map(|(table, other)| format!("{table} is owned by {other}, not {owner}")));
    }
    for (what, at_least, found) in [
        ("indexes", expected.indexes, seen.indexes),
        ("foreign keys", expected.foreign_keys, seen.foreign_keys),
    ] {
        if let Some(count) = at_least.filter(|count| *count > found) {
            wrong.push(format!("there are {found} {what}, fewer than {count}"));
        }
    }
    wrong
}

/// The tables that lost rows, or are gone, and may not. **Pure.**
fn shrunk(
    before: &BTreeMap<String, i64>,
    after: &BTreeMap<String, i64>,
    may_shrink: &[String],
) -> Vec<String> {
    let may = |table: &str| may_shrink.iter().any(|name| name == "*" || name == table);
    before
        .iter()
        .filter(|(table, _)| !may(table))
        .filter_map(|(table, then)| match after.get(table) {
            None => Some(format!("{table} is gone; it had {then} rows")),
            Some(now) if now < then => Some(format!("{table} has {now} rows; it had {then}")),
            Some(_) => None,
        })
        .collect()
}

const USER_TABLES: &str = "c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition \
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid \
         AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'e') \
     AND NOT (c.relname = 'backstay_history')";

const NAME: &str =
    "CASE WHEN n.nspname = 'public' THEN c.relname::text ELSE n.nspname || '.' || c.relname END";

async fn look(session: &Session) -> Result<Seen, Failure> {
    let failed = |error: tokio_postgres::Error| {
        Failure::failed("look at the schema").because_of(pg::describe_error(&error))
    };
    let from = "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
    let tables = session
        .query(
            &format!(
                "SELECT {NAME}, pg_catalog.pg_get_userbyid(c.relowner)::text {from} WHERE {USER_TABLES}"
            ),
            &[],
        )
        .await
        .map_err(failed)?;
    let columns = session
        .query(
            &format!(
                "SELECT {NAME}, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) {from} \
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                 WHERE {USER_TABLES}"
            ),
            &[],
        )
        .await
        .map_err(failed)?;
    let count = format!(
        "SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {USER_TABLES}), \
                (SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'f' AND {USER_TABLES})"
    );
    let counts = session.query_one(&count, &[]).await.map_err(failed)?;
    let mut seen = Seen {
        tables: tables.iter().map(|row| (row.get(0), row.get(1))).collect(),
        columns: BTreeMap::new(),
        indexes: u64::try_from(counts.get::<_, i64>(0)).unwrap_or_default(),
        foreign_keys: u64::try_from(counts.get::<_, i64>(1)).unwrap_or_default(),
    };
    for row in &columns {
        let table: String = row.get(0);
        seen.columns.entry(table).or_default().insert(row.get(1), row.get(2));
    }
    Ok(seen)
}

async fn rows(session: &Session) -> Result<BTreeMap<String, i64>, Failure> {
    let failed = |what: &str, error: &tokio_postgres::Error| {
        Failure::failed(format!("count the rows of {what}")).because_of(pg::describe_error(error))
    };
    let list = format!(
        "SELECT {NAME}, n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {USER_TABLES}"
    );
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

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        let columns = [("id".to_string(), "uuid".to_string())].into();
        Seen {
            tables: [("users".to_string(), "app".to_string())].into(),
            columns: [("users".to_string(), columns)].into(),
            indexes: 2,
            foreign_keys: 0,
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let columns = [("id".to_string(), "bigint".to_string()), ("email".to_string(), String::new())].into();
        let expected = VerifyStep {
            table_count: Some(11),
            tables: vec!["users".into(), "orders".into()],
            columns: [("users".to_string(), columns)].into(),
            owner: Some("shop".into()),
            indexes: Some(20),
            foreign_keys: Some(0),
            may_shrink: vec![],
        };
        assert_eq!(
            compare(&expected, &seen()),
            [
                "there are 1 tables, not 11: users",
                "there is no table orders",
                "users has no column email",
                "users.id is uuid, not bigint",
                "users is owned by app, not shop",
                "there are 2 indexes, fewer than 20",
            ]
        );
        assert!(compare(&VerifyStep::default(), &seen()).is_empty());
    }

    #[test]
    fn tables_may_shrink_only_if_told() {
        let before = [("a".to_string(), 5), ("b".to_string(), 5), ("c".to_string(), 5)].into();
        let after = [("a".to_string(), 4), ("c".to_string(), 9)].into();
        assert_eq!(shrunk(&before, &after, &[]), ["a has 4 rows; it had 5", "b is gone; it had 5 rows"]);
        assert!(shrunk(&before, &after, &["*".into()]).is_empty());
        assert_eq!(shrunk(&before, &after, &["a".into()]).len(), 1);
    }
}
