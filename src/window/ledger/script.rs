//! The SQL around the rows of a ledger's files, so that `gunzip` and `psql` load them. **Pure.**
//!
//! Each file is a script of its own and one transaction: rows go to a temporary table of texts first, and from
//! there into the old table's columns as far as they live on. So a file loads into the old schema although it
//! was written under the new one, and loading it twice does no harm where the table has a key.

use super::shape::{Column, Shape};
use crate::backup::TableName;
use crate::pg::{quote_ident, quote_literal};

/// A file around its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    /// Before the first row.
    pub head: String,
    /// After the last.
    pub tail: String,
}

/// What the scripts of one ledger say of it.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub run: String,
    pub database: String,
    pub since: String,
}

/// Where rows stand before they are cast into their columns.
const STAGE: &str = "pg_temp.backstay_ledger";

/// As the rows were written, so they are read.
const SETTINGS: &str = "\\set ON_ERROR_STOP on\n\
     SET client_encoding = 'UTF8';\nSET datestyle = 'ISO, YMD';\nSET intervalstyle = 'postgres';\n\
     SET lc_monetary = 'C';\nSET standard_conforming_strings = on;\nSET xmloption = content;\nBEGIN;\n";

impl Origin {
    /// The comment and the settings that each script begins with.
    fn head(&self, what: &str, notes: &[&str]) -> String {
        let mut lines = vec![
            what.to_string(),
            format!(
                "Written by others to database {} since {}; kept by run {}.",
                self.database, self.since, self.run
            ),
            "To load it into the old schema: gunzip -c FILE | psql -X -d DATABASE".to_string(),
            "Order: deleted keys, rows, sequences, large objects; as ledger.json lists them. Triggers fire."
                .to_string(),
        ];
        lines.extend(notes.iter().map(|note| (*note).to_string()));
        let comment: String = lines.iter().map(|line| format!("-- {}\n", one_line(line))).collect();
        format!("{comment}{SETTINGS}")
    }

    /// Rows of `new` for `old`, the same table in the old schema; as they are, where that has none.
    pub fn rows(&self, new: &Shape, old: Option<&Shape>, encoding: &str) -> Script {
        let what = format!("New and changed rows of {}.", new.table);
        let pairs = old.map(|old| pairs(new, old)).unwrap_or_default();
        let Some(old) = old.filter(|_| !pairs.is_empty()) else {
            let note = "The old schema has no such table: make it first, from schema.sql.gz.";
            let copy = format!("COPY {}{} FROM stdin{encoding};\n", new.table.quoted(), list(&new.columns));
            return Script { head: self.head(&what, &[note]) + &copy, tail: "\\.\nCOMMIT;\n".into() };
        };
        let key = old.key_columns().filter(|key| key.iter().all(|k| pairs.iter().any(|(_, o)| o == k)));
        let mut notes = Vec::new();
        if key.is_none() {
            notes.push(
                "The table has no key: a row that was changed will be there twice, as it was and as it is.",
            );
        }
        if new.columns.len() > pairs.len() {
            notes.push("Columns that the old schema lacks are in the rows, and are left out.");
        }
        let loading = match key {
            Some(key) => update(old, &pairs, &key) + &insert(old, &pairs, Some(&key)),
            None => insert(old, &pairs, None),
        };
        Script {
            head: self.head(&what, &notes) + &stage(&new.columns.iter().collect::<Vec<_>>(), encoding),
            tail: format!("\\.\n{loading}COMMIT;\n"),
        }
    }

    /// Keys of rows that are gone from `old`. If `certain` is false, the release itself may have deleted some.
    pub fn deleted(&self, old: &Shape, key: &[&Column], certain: bool, encoding: &str) -> Script {
        let what = format!("Keys of rows that were deleted from {}.", old.table);
        let delete = format!(
            "DELETE FROM ONLY {} t USING {STAGE} r WHERE {};\n",
            old.table.quoted(),
            same_key(&key.iter().map(|key| (*key, *key)).collect::<Vec<_>>(), key)
        );
        let (notes, loading): (&[&str], String) = if certain {
            (&[], delete)
        } else {
            (
                &[
                    "The release's own migrations may have deleted some of them: without -v delete=yes",
                    "psql only shows them.",
                ],
                format!("\\if :{{?delete}}\n{delete}\\else\nTABLE {STAGE};\n\\endif\n"),
            )
        };
        Script {
            head: self.head(&what, notes) + &stage(key, encoding),
            tail: format!("\\.\n{loading}COMMIT;\n"),
        }
    }

    /// Values of sequences. Those that the old schema lacks are passed over.
    pub fn sequences(&self) -> Script {
        Script { head: self.head("Sequences that were used.", &[]), tail: "COMMIT;\n".into() }
    }

    /// Bytes of large objects.
    pub fn large_objects(&self) -> Script {
        let notes = ["The parts are loaded in the order of their numbers."];
        Script { head: self.head("Large objects.", &notes), tail: "COMMIT;\n".into() }
    }
}

/// The statement that sets a sequence.
pub(super) fn set_sequence(sequence: &TableName, value: i64) -> String {
    let name = quote_literal(&sequence.quoted());
    format!("SELECT pg_catalog.setval(pg_catalog.to_regclass({name}), {value});\n")
}

/// The statement that takes a large object away, if it is there.
pub(super) fn unlink(oid: u32) -> String {
    format!("SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = {oid};\n")
}

/// The statement that makes an empty large object.
pub(super) fn create_large_object(oid: u32) -> String {
    format!("SELECT pg_catalog.lo_create({oid});\n")
}

/// The statement that writes a piece of a large object.
pub(super) fn put(oid: u32, offset: u64, bytes: &[u8]) -> String {
    format!("SELECT pg_catalog.lo_put({oid}, {offset}, '\\x{}');\n", hex::encode(bytes))
}

/// Each column of `new` that lives on in `old`, with what it was there.
fn pairs<'a>(new: &'a Shape, old: &'a Shape) -> Vec<(&'a Column, &'a Column)> {
    new.columns.iter().filter_map(|column| Some((column, new.old_column(column, old)?))).collect()
}

fn stage(columns: &[&Column], encoding: &str) -> String {
    let texts: Vec<String> = columns.iter().map(|c| format!("{} text", quote_ident(&c.name))).collect();
    let names: Vec<String> = columns.iter().map(|c| quote_ident(&c.name)).collect();
    format!(
        "CREATE TEMPORARY TABLE backstay_ledger ({}) ON COMMIT DROP;\nCOPY {STAGE} ({}) FROM stdin{encoding};\n",
        texts.join(", "),
        names.join(", ")
    )
}

fn list(columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|c| quote_ident(&c.name)).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

/// The staged value of a column, as its old type.
fn cast((new, old): &(&Column, &Column)) -> String {
    format!("CAST(r.{} AS {})", quote_ident(&new.name), old.of)
}

fn same_key(pairs: &[(&Column, &Column)], key: &[&Column]) -> String {
    let of_key = pairs.iter().filter(|(_, old)| key.contains(old));
    let same: Vec<String> =
        of_key.map(|pair| format!("t.{} = {}", quote_ident(&pair.1.name), cast(pair))).collect();
    same.join(" AND ")
}

fn update(old: &Shape, pairs: &[(&Column, &Column)], key: &[&Column]) -> String {
    let set: Vec<String> = pairs
        .iter()
        .filter(|(_, old)| !key.contains(old) && !old.is_identity)
        .map(|pair| format!("{} = {}", quote_ident(&pair.1.name), cast(pair)))
        .collect();
    if set.is_empty() {
        return String::new();
    }
    format!(
        "UPDATE ONLY {} t SET {} FROM {STAGE} r WHERE {};\n",
        old.table.quoted(),
        set.join(", "),
        same_key(pairs, key)
    )
}

fn insert(old: &Shape, pairs: &[(&Column, &Column)], key: Option<&[&Column]>) -> String {
    let names: Vec<String> = pairs.iter().map(|(_, old)| quote_ident(&old.name)).collect();
    let values: Vec<String> = pairs.iter().map(cast).collect();
    let absent = key.map(|key| {
        format!(
            " WHERE NOT EXISTS (SELECT FROM ONLY {} t WHERE {})",
            old.table.quoted(),
            same_key(pairs, key)
        )
    });
    format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {STAGE} r{};\n",
        old.table.quoted(),
        names.join(", "),
        values.join(", "),
        absent.unwrap_or_default()
    )
}

/// A name in a comment must not end it: what follows would be read by psql.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::shape::tests::table;
    use super::*;

    fn shape(name: &str, columns: &[(i16, &str, &str)], key: &[i16]) -> Shape {
        Shape { table: TableName::new("public", name), ..table(7, name, columns, key) }
    }

    fn origin() -> Origin {
        Origin { run: "r".into(), database: "shop".into(), since: "2026-11-21T00:00:00Z".into() }
    }

    #[test]
    fn rows_load_into_the_columns_that_live_on() {
        let new = shape("t", &[(1, "id", "bigint"), (2, "label", "text"), (3, "more", "text")], &[1]);
        let old = shape("t", &[(1, "id", "integer"), (2, "name", "text"), (4, "gone", "text")], &[1]);
        let script = origin().rows(&new, Some(&old), "");
        assert!(script.head.ends_with(
            "CREATE TEMPORARY TABLE backstay_ledger (\"id\" text, \"label\" text, \"more\" text) ON COMMIT DROP;\n\
             COPY pg_temp.backstay_ledger (\"id\", \"label\", \"more\") FROM stdin;\n"
        ));
        assert!(script.head.contains("-- Columns that the old schema lacks"));
        assert_eq!(
            script.tail,
            "\\.\nUPDATE ONLY \"public\".\"t\" t SET \"name\" = CAST(r.\"label\" AS text) \
             FROM pg_temp.backstay_ledger r WHERE t.\"id\" = CAST(r.\"id\" AS integer);\n\
             INSERT INTO \"public\".\"t\" (\"id\", \"name\") OVERRIDING SYSTEM VALUE \
             SELECT CAST(r.\"id\" AS integer), CAST(r.\"label\" AS text) FROM pg_temp.backstay_ledger r \
             WHERE NOT EXISTS (SELECT FROM ONLY \"public\".\"t\" t WHERE t.\"id\" = CAST(r.\"id\" AS integer));\n\
             COMMIT;\n"
        );
    }

    #[test]
    fn a_hostile_name_stays_in_its_comment() {
        let table = shape("t\n\\! rm -rf /\n--", &[(1, "id", "integer")], &[]);
        let script = origin().rows(&table, None, "");
        let comments = script.head.lines().take_while(|line| line.starts_with("--")).count();
        assert_eq!(script.head.lines().nth(comments), Some("\\set ON_ERROR_STOP on"), "{}", script.head);
    }

    #[test]
    fn deletions_that_may_be_the_releases_own_are_shown_first() {
        let old = shape("t", &[(1, "id", "integer")], &[1]);
        let key = old.key_columns().unwrap();
        assert!(origin().deleted(&old, &key, true, "").tail.starts_with("\\.\nDELETE FROM ONLY"));
        assert!(origin().deleted(&old, &key, false, "").tail.starts_with("\\.\n\\if :{?delete}\nDELETE"));
    }

    #[test]
    fn pieces_of_large_objects_are_statements() {
        assert_eq!(put(4711, 0, b"\x00\xff"), "SELECT pg_catalog.lo_put(4711, 0, '\\x00ff');\n");
    }
}
