//! Notes the state of a database, and says what differs from a state that was noted.
//!
//! A put-back is proven by two notes. The first is taken by a line of the demo's runbook behind the fence,
//! before the first migration: it is the state that the guard was cloned from, and nobody can change it. The
//! second is taken after the run, before any customer orders again. Both are whole: the schema dump, a
//! fingerprint over every row of every table, and every sequence.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::crowd::Acknowledged;
use crate::backup::{fingerprint, schema};
use crate::event::Progress;
use crate::failure::Failure;
use crate::pg::{self, ConnInfo, SessionOptions};

/// The whole of a database, in a form that can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// pg_dump's schema, without what differs between two dumps of one database.
    pub schema: String,
    /// Rows and fingerprint of every table.
    pub tables: BTreeMap<String, (u64, String)>,
    /// Every sequence: last value, and whether it was used.
    pub sequences: BTreeMap<String, (i64, bool)>,
}

impl State {
    /// Reads the database.
    ///
    /// # Errors
    /// The server's, or pg_dump's.
    pub async fn read(info: &ConnInfo) -> Result<Self, Failure> {
        let session = SessionOptions { application_name: "demo notary".into(), ..SessionOptions::default() };
        let options = fingerprint::Options { session: session.clone(), ..fingerprint::Options::default() };
        let nobody = Progress::none();
        let (schema, content) = tokio::try_join!(
            schema::schema_of(info, &session),
            fingerprint::database(info, &options, &nobody)
        )?;
        Ok(Self {
            schema,
            tables: content
                .tables
                .into_iter()
                .map(|(name, table)| (name.to_string(), (table.rows, table.fingerprint.to_string())))
                .collect(),
            sequences: content.sequences.into_iter().map(|(name, state)| (name.to_string(), state)).collect(),
        })
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = || Failure::failed(format!("write {}", path.display()));
        let text = serde_json::to_string(self).map_err(|error| failed().caused_by(&error))?;
        std::fs::write(path, text).map_err(|error| failed().caused_by(&error))
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// The system's; a file that is none of ours.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let failed = || Failure::failed(format!("read {}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| failed().caused_by(&error))?;
        serde_json::from_str(&text).map_err(|error| failed().caused_by(&error))
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|(rows, _)| rows).sum()
    }

    /// What differs, in words; empty if nothing does. **Pure.**
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.schema != other.schema {
            let first = self.schema.lines().zip(other.schema.lines()).find(|(a, b)| a != b);
            found.push(match first {
                Some((was, is)) => format!("the schema dump: {is:?}, not {was:?}"),
                None => "the schema dump: one has more lines".into(),
            });
        }
        differ(&self.tables, &other.tables, |name, was, is| {
            let rows =
                |table: Option<&(u64, String)>| table.map_or("none".into(), |t| format!("{} rows", t.0));
            found.push(format!("table {name}: {} now, {} then, other content", rows(is), rows(was)));
        });
        differ(&self.sequences, &other.sequences, |name, was, is| {
            let value = |s: Option<&(i64, bool)>| s.map_or("none".into(), |s| s.0.to_string());
            found.push(format!("sequence {name}: {} now, {} then", value(is), value(was)));
        });
        found
    }
}

fn differ<V: PartialEq>(
    was: &BTreeMap<String, V>,
    is: &BTreeMap<String, V>,
    mut differs: impl FnMut(&str, Option<&V>, Option<&V>),
) {
    let names: std::collections::BTreeSet<_> = was.keys().chain(is.keys()).collect();
    for name in names {
        let (a, b) = (was.get(name), is.get(name));
        if a != b {
            differs(name, a, b);
        }
    }
}

/// Looks each acknowledged order up; gives those that are not there as they were ordered.
///
/// # Errors
/// The server's.
pub async fn missing(info: &ConnInfo, acknowledged: &[Acknowledged]) -> Result<Vec<Acknowledged>, Failure> {
    let failed = |error: tokio_postgres::Error| {
        Failure::failed("look the acknowledged orders up").because_of(pg::describe_error(&error))
    };
    let session = pg::connect(info, &SessionOptions::default()).await?;
    let ids: Vec<i64> = acknowledged.iter().map(|a| a.id).collect();
    let rows = session
        .query(
            "SELECT o.id, o.customer_id, i.product_id, i.quantity \
             FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.id = ANY($1)",
            &[&ids],
        )
        .await
        .map_err(failed)?;
    let found: BTreeMap<i64, (i64, i64, i32)> =
        rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)))).collect();
    let as_ordered = |a: &&Acknowledged| {
        let order = a.order;
        let wanted = (i64::from(order.customer), i64::from(order.product), i64::from(order.quantity));
        found.get(&a.id).is_some_and(|(c, p, q)| (*c, *p, i64::from(*q)) == wanted)
    };
    Ok(acknowledged.iter().filter(|a| !as_ordered(a)).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            schema: "CREATE TABLE a ();\n".into(),
            tables: [("a".to_string(), (2, "ff".to_string()))].into(),
            sequences: [("s".to_string(), (5, true))].into(),
        }
    }

    #[test]
    fn equal_states_do_not_differ_and_each_part_counts() {
        assert_eq!(state().differences(&state()), Vec::<String>::new());
        let mut other = state();
        other.schema = "CREATE TABLE b ();\n".into();
        other.tables.insert("a".into(), (2, "fe".into()));
        other.sequences.clear();
        assert_eq!(
            state().differences(&other),
            [
                "the schema dump: \"CREATE TABLE b ();\", not \"CREATE TABLE a ();\"",
                "table a: 2 rows now, 2 rows then, other content",
                "sequence s: none now, 5 then",
            ]
        );
        let more = State { schema: "CREATE TABLE a ();\n-- more\n".into(), ..state() };
        assert_eq!(state().differences(&more).len(), 1);
    }

    #[test]
    fn a_note_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note.json");
        state().write(&path).unwrap();
        assert_eq!(State::load(&path).unwrap(), state());
        assert!(State::load(&folder.path().join("none")).is_err());
    }
}
