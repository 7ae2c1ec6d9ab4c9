//! `step = "verify"`: the schema and the data are as expected.

mod seen;
mod soundness;

use std::collections::{BTreeMap, BTreeSet};

use super::{Report, Site, migrator, roots};
use crate::failure::Failure;
use crate::pg::{self, ConnInfo, Session, SessionOptions};
use crate::runbook::VerifyStep;
use crate::words::count;
use seen::{Seen, look, rows};

pub(super) async fn perform(expected: &VerifyStep, site: &mut Site<'_>) -> Result<Report, Failure> {
    let session = pg::connect(&site.live().await?, &site.session("verify")).await?;
    let mut wrong = revisions_wrong(&session, site).await?;
    let seen = look(&session, &records(site)).await?;
    wrong.extend(compare(expected, &seen));
    wrong.extend(soundness::wrong(expected, site).await?);
    let before = site.recall.guard.as_ref().map(|facts| facts.rows.clone()).unwrap_or_default();
    if !before.is_empty() {
        wrong.extend(shrunk(&before, &rows(&session).await?, &expected.may_shrink, 0));
    }
    if wrong.is_empty() {
        let mut said = format!(
            "{}, {}, {}",
            count(seen.tables.len() as u64, "table", "tables"),
            count(seen.indexes.len() as u64, "index", "indexes"),
            count(seen.foreign_keys.len() as u64, "foreign key", "foreign keys")
        );
        if !before.is_empty() {
            said.push_str(", no table lost rows");
        }
        if expected.as_migrated {
            said.push_str(", the schema as migrated");
        }
        if expected.round_trip {
            said.push_str(", round trip");
        }
        return Ok(Report::saying(said));
    }
    Err(wrong.into_iter().fold(Failure::failed("find the database as expected"), Failure::because_of))
}

/// Rows of every user table of the live database, by name.
pub(super) async fn count_rows(site: &mut Site<'_>) -> Result<BTreeMap<String, i64>, Failure> {
    count_rows_at(&site.live().await?, &site.session("count")).await
}

/// Rows of every user table of one database, by name.
///
/// # Errors
/// The connection's; a table that can't be read.
pub(super) async fn count_rows_at(
    info: &ConnInfo,
    options: &SessionOptions,
) -> Result<BTreeMap<String, i64>, Failure> {
    let session = pg::connect(info, options).await?;
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

/// The version tables, by the names that a person would write.
fn records(site: &Site<'_>) -> BTreeSet<String> {
    let name = |schema: &str, table: &str| match schema {
        "public" => table.to_string(),
        schema => format!("{schema}.{table}"),
    };
    site.config.migrations.iter().map(|root| name(&root.version_schema, &root.version_table)).collect()
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
    if expected.only_these_tables {
        let listed = |table: &&String| expected.tables.contains(table) || seen.records.contains(*table);
        let others = seen.tables.keys().filter(|table| !listed(table));
        wrong.extend(others.map(|table| format!("there is a table {table}, which is not expected")));
    }
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
    for index in &expected.index_names {
        match seen.indexes.iter().find(|found| found.is_called(index)) {
            None => wrong.push(format!("there is no index {index}")),
            Some(found) if !found.valid => wrong.push(format!("index {index} is INVALID")),
            Some(_) => {}
        }
    }
    let lacking =
        expected.foreign_key_names.iter().filter(|key| !seen.foreign_keys.iter().any(|k| k.is(key)));
    wrong.extend(lacking.map(|key| format!("there is no foreign key {key}")));
    for (what, at_least, found) in [
        ("indexes", expected.indexes, seen.indexes.len() as u64),
        ("foreign keys", expected.foreign_keys, seen.foreign_keys.len() as u64),
    ] {
        if let Some(count) = at_least.filter(|count| *count > found) {
            wrong.push(format!("there are {found} {what}, fewer than {count}"));
        }
    }
    wrong
}

/// The tables that lost more than `fall` percent of their rows, or are gone, and may not. **Pure.**
pub(super) fn shrunk(
    before: &BTreeMap<String, i64>,
    after: &BTreeMap<String, i64>,
    may_shrink: &[String],
    fall: u64,
) -> Vec<String> {
    let least = |then: i64| then - then / 100 * fall.cast_signed() - then % 100 * fall.cast_signed() / 100;
    let may = |table: &str| may_shrink.iter().any(|name| name == "*" || name == table);
    before
        .iter()
        .filter(|(table, _)| !may(table))
        .filter_map(|(table, then)| match after.get(table) {
            None => Some(format!("{table} is gone; it had {then} rows")),
            Some(now) if *now < least(*then) => Some(format!("{table} has {now} rows; it had {then}")),
            Some(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::seen::{ForeignKey, Index};
    use super::*;

    fn seen() -> Seen {
        let columns = [("id".to_string(), "uuid".to_string())].into();
        Seen {
            tables: [("users".to_string(), "app".to_string())].into(),
            columns: [("users".to_string(), columns)].into(),
            indexes: vec![
                Index { schema: "public".into(), name: "users_pkey".into(), valid: true },
                Index { schema: "public".into(), name: "broken".into(), valid: false },
            ],
            foreign_keys: vec![ForeignKey {
                name: "users_team_fkey".into(),
                table: "users".into(),
                columns: vec!["team".into(), "country".into()],
                target: "hr.teams".into(),
                target_columns: vec!["id".into(), "country".into()],
            }],
            records: ["alembic_version".to_string()].into(),
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
            foreign_keys: Some(1),
            ..VerifyStep::default()
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
    fn exactly_these_tables_but_for_the_version_tables() {
        let mut seen = seen();
        seen.tables.extend(["alembic_version", "extra"].map(|table| (table.to_string(), "app".to_string())));
        let expected =
            VerifyStep { tables: vec!["users".into()], only_these_tables: true, ..VerifyStep::default() };
        assert_eq!(compare(&expected, &seen), ["there is a table extra, which is not expected"]);
        seen.tables.remove("extra");
        assert!(compare(&expected, &seen).is_empty());
    }

    #[test]
    fn indexes_and_foreign_keys_by_name_or_by_what_they_are() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let expected = VerifyStep {
            index_names: names(&["users_pkey", "public.users_pkey", "broken", "gone"]),
            foreign_key_names: names(&[
                "users_team_fkey",
                "users(team, country) -> hr.teams(id, country)",
                "users(team) -> hr.teams(id)",
            ]),
            ..VerifyStep::default()
        };
        assert_eq!(
            compare(&expected, &seen()),
            [
                "index broken is INVALID",
                "there is no index gone",
                "there is no foreign key users(team) -> hr.teams(id)",
            ]
        );
    }

    #[test]
    fn tables_may_shrink_only_if_told() {
        let before = [("a".to_string(), 5), ("b".to_string(), 5), ("c".to_string(), 5)].into();
        let after = [("a".to_string(), 4), ("c".to_string(), 9)].into();
        assert_eq!(shrunk(&before, &after, &[], 0), ["a has 4 rows; it had 5", "b is gone; it had 5 rows"]);
        assert!(shrunk(&before, &after, &["*".into()], 0).is_empty());
        assert_eq!(shrunk(&before, &after, &["a".into()], 0).len(), 1);
        assert_eq!(shrunk(&before, &after, &[], 19).len(), 2);
        assert_eq!(shrunk(&before, &after, &[], 20), ["b is gone; it had 5 rows"]);
    }
}
