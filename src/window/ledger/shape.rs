//! A table's columns and key, and how they pair with those of the same table in the guard.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use super::merge::Order;
use crate::backup::{TableName, encoding_clause};
use crate::failure::Failure;
use crate::pg::{Session, quote_ident, refused};

/// A table as its catalog describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub oid: u32,
    pub table: TableName,
    /// Those that hold values of their own: neither dropped nor generated.
    pub columns: Vec<Column>,
    /// Numbers of the columns of its primary key, else of a unique one that can't be null; empty if it has none.
    pub key: Vec<i16>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub number: i16,
    pub name: String,
    /// Its type, as SQL.
    pub of: String,
    /// `GENERATED ALWAYS AS IDENTITY`: it can be inserted, but not updated.
    pub is_identity: bool,
}

/// All tables of one database.
#[derive(Debug)]
pub(super) struct Shapes {
    tables: BTreeMap<u32, Shape>,
    /// The database's encoding, as a clause of `COPY`.
    pub encoding: String,
}

const SHAPES: &str = "SELECT c.oid, n.nspname::text, c.relname::text, a.numbers, a.names, a.types, a.identities, \
     coalesce((SELECT (i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1] FROM pg_catalog.pg_index i \
         WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate \
         AND i.indpred IS NULL AND i.indexprs IS NULL \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute k WHERE k.attrelid = c.oid \
             AND k.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1]) AND NOT k.attnotnull) \
         ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1), '{}'), \
     pg_catalog.getdatabaseencoding()::text \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.array_agg(t.attnum ORDER BY t.attnum), '{}') AS numbers, \
         coalesce(pg_catalog.array_agg(t.attname::text ORDER BY t.attnum), '{}') AS names, \
         coalesce(pg_catalog.array_agg(pg_catalog.format_type(t.atttypid, t.atttypmod) ORDER BY t.attnum), '{}') \
             AS types, \
         coalesce(pg_catalog.array_agg(t.attidentity = 'a' ORDER BY t.attnum), '{}') AS identities \
         FROM pg_catalog.pg_attribute t WHERE t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped \
         AND t.attgenerated = '') a \
     WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' \
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'";

impl Shapes {
    /// Reads the catalog.
    ///
    /// # Errors
    /// The query's.
    pub async fn read(session: &Session) -> Result<Self, Failure> {
        let rows = session.query(SHAPES, &[]).await;
        let rows = rows.map_err(|error| refused("read the columns of the tables", &error))?;
        let encoding = rows.first().map(|row| encoding_clause(&row.get::<_, String>(8))).unwrap_or_default();
        Ok(Self { tables: rows.iter().map(|row| (row.get(0), shape(row))).collect(), encoding })
    }

    /// The table with this id.
    pub fn get(&self, oid: u32) -> Option<&Shape> {
        self.tables.get(&oid)
    }

    /// The table that `table` of the live database was when the guard was taken: by id where ids are the same
    /// in both (a release may have renamed it), else by name.
    pub fn counterpart(&self, table: &Shape, same_ids: bool) -> Option<&Shape> {
        let by_id = self.get(table.oid).filter(|_| same_ids);
        by_id.or_else(|| self.tables.values().find(|old| old.table == table.table))
    }
}

fn shape(row: &Row) -> Shape {
    let (numbers, names): (Vec<i16>, Vec<String>) = (row.get(3), row.get(4));
    let (types, identities): (Vec<String>, Vec<bool>) = (row.get(5), row.get(6));
    let columns = numbers.into_iter().zip(names).zip(types.into_iter().zip(identities));
    Shape {
        oid: row.get(0),
        table: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
        columns: columns
            .map(|((number, name), (of, is_identity))| Column { number, name, of, is_identity })
            .collect(),
        key: row.get(7),
    }
}

impl Shape {
    /// The columns of its key, if it has one. A generated column in it leaves it without: its value can't be
    /// loaded.
    pub fn key_columns(&self) -> Option<Vec<&Column>> {
        let find = |number: &i16| self.columns.iter().find(|column| column.number == *number);
        let columns = self.key.iter().map(find).collect::<Option<Vec<_>>>()?;
        (!columns.is_empty()).then_some(columns)
    }

    /// The column of `old`, this table in the guard, that `column` was.
    pub fn old_column<'o>(&self, column: &Column, old: &'o Shape) -> Option<&'o Column> {
        let same = |number: i16| {
            (self.oid == old.oid).then(|| old.columns.iter().find(|c| c.number == number)).flatten()
        };
        let by_name = || {
            let named = old.columns.iter().find(|c| c.name == column.name)?;
            // A column that lives on under another name is not this one.
            let moved = self.oid == old.oid && self.columns.iter().any(|c| c.number == named.number);
            (!moved).then_some(named)
        };
        same(column.number).or_else(by_name)
    }
}

/// The key of a table here and there, to be walked side by side.
pub(super) struct Pairing {
    /// Each column of the old table's key, and how it is ordered.
    pub orders: Vec<Order>,
    /// Reads the keys of the live table, in order.
    pub here: String,
    /// Reads the keys of the guard's, in the same order.
    pub there: String,
}

impl Pairing {
    /// How the keys of `old` are looked for in `new`; `None` if `old` has no key, or `new` lacks a column of it.
    pub fn of(new: &Shape, old: &Shape, encoding: &str) -> Option<Self> {
        let there = old.key_columns()?;
        let live = |wanted: &&Column| {
            new.columns
                .iter()
                .find(|column| new.old_column(column, old).is_some_and(|found| found == *wanted))
        };
        let here = there.iter().map(live).collect::<Option<Vec<_>>>()?;
        let order = |(a, b): (&&Column, &&Column)| {
            if is_number(&a.of) && is_number(&b.of) { Order::Number } else { Order::Bytes }
        };
        let orders: Vec<Order> = here.iter().zip(&there).map(order).collect();
        let copy = |table: &Shape, columns: &[&Column]| copy_keys(&table.table, columns, &orders, encoding);
        Some(Self { here: copy(new, &here), there: copy(old, &there), orders })
    }
}

fn is_number(of: &str) -> bool {
    matches!(of, "smallint" | "integer" | "bigint")
}

fn copy_keys(table: &TableName, columns: &[&Column], orders: &[Order], encoding: &str) -> String {
    // Without the alias ORDER BY would mean the text that is selected, not the column of that name.
    let text = |column: &&Column| format!("t.{}::pg_catalog.text", quote_ident(&column.name));
    let values: Vec<String> = columns.iter().map(text).collect();
    let ordered = |(column, order): (&&Column, &Order)| match order {
        Order::Number => format!("t.{}", quote_ident(&column.name)),
        Order::Bytes => format!("{} COLLATE pg_catalog.\"C\"", text(column)),
    };
    let order: Vec<String> = columns.iter().zip(orders).map(ordered).collect();
    format!(
        "COPY (SELECT {} FROM ONLY {} t ORDER BY {}) TO STDOUT{encoding}",
        values.join(", "),
        table.quoted(),
        order.join(", ")
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A table with these columns (number, name, type) and the columns of its key.
    pub fn table(oid: u32, name: &str, columns: &[(i16, &str, &str)], key: &[i16]) -> Shape {
        let column = |(number, name, of): &(i16, &str, &str)| Column {
            number: *number,
            name: name.to_string(),
            of: of.to_string(),
            is_identity: false,
        };
        Shape {
            oid,
            table: TableName::new("s", name),
            columns: columns.iter().map(column).collect(),
            key: key.to_vec(),
        }
    }

    #[test]
    fn a_renamed_column_is_found_by_its_number_in_a_clone() {
        let old = table(7, "t", &[(1, "id", "integer"), (2, "note", "text")], &[1]);
        let new = table(7, "t2", &[(1, "key", "integer"), (2, "note", "text"), (3, "more", "text")], &[1]);
        let was = |n: usize| new.old_column(&new.columns[n], &old).map(|c| c.name.as_str());
        assert_eq!([was(0), was(1), was(2)], [Some("id"), Some("note"), None]);
        let pairing = Pairing::of(&new, &old, "").unwrap();
        assert_eq!(pairing.orders, [Order::Number]);
        assert!(
            pairing.here.contains(r#"SELECT t."key"::pg_catalog.text FROM ONLY "s"."t2" t ORDER BY t."key""#)
        );
        assert!(pairing.there.contains(r#"FROM ONLY "s"."t" t ORDER BY t."id""#));
    }

    #[test]
    fn in_a_restored_backup_columns_are_found_by_name() {
        let old = table(9, "t", &[(2, "note", "text"), (5, "id", "uuid")], &[5]);
        let new = table(7, "t", &[(1, "id", "uuid"), (2, "other", "text")], &[]);
        assert_eq!(new.old_column(&new.columns[0], &old).unwrap().number, 5);
        assert_eq!(new.old_column(&new.columns[1], &old), None);
        let pairing = Pairing::of(&new, &old, " WITH (ENCODING 'LATIN1')").unwrap();
        assert_eq!(pairing.orders, [Order::Bytes]);
        assert!(pairing.there.ends_with(
            "ORDER BY t.\"id\"::pg_catalog.text COLLATE pg_catalog.\"C\") TO STDOUT WITH (ENCODING 'LATIN1')"
        ));
    }

    #[test]
    fn a_column_made_anew_under_an_old_name_is_that_column() {
        let old = table(7, "t", &[(1, "id", "integer"), (2, "total", "integer")], &[1]);
        let swapped = table(7, "t", &[(1, "id", "integer"), (3, "total", "bigint")], &[1]);
        assert_eq!(swapped.old_column(&swapped.columns[1], &old).unwrap().number, 2);
        let both =
            table(7, "t", &[(1, "id", "integer"), (2, "old", "integer"), (3, "total", "bigint")], &[1]);
        assert_eq!(both.old_column(&both.columns[2], &old), None, "the old one lives on as another");
    }

    #[test]
    fn without_a_key_there_is_nothing_to_walk() {
        let old = table(7, "t", &[(1, "id", "integer")], &[]);
        assert!(Pairing::of(&old, &old, "").is_none());
        let keyed = table(7, "t", &[(1, "id", "integer")], &[1]);
        let dropped = table(7, "t", &[(2, "note", "text")], &[]);
        assert!(Pairing::of(&dropped, &keyed, "").is_none());
    }
}
