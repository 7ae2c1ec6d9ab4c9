//! What of a database is carried, asked of its catalog by the rules of pg_dump (`pg_dump.c`, `getTables`,
//! `makeTableDataInfo`).

use std::collections::BTreeMap;

use tokio_postgres::{Client, Row, types::FromSql};

use super::error::BackupError;
use super::manifest::{Extension, Sequence, Table, TableName};
use crate::pg::quote_ident;

/// A table whose rows are carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceTable {
    pub table: TableName,
    /// In the order in which they lie; without generated ones, which the server computes again.
    pub columns: Vec<String>,
    /// An extension's condition for the rows of its configuration table.
    pub condition: Option<String>,
    /// Heap, TOAST and maps: an estimate of what is to be read.
    pub bytes: u64,
    /// Pages of the heap, where a range of them can be read by itself (a TID range scan); else none.
    pub pages: Option<u64>,
    /// The partitioned table through which its rows are loaded ([`Table::through`](super::manifest::Table)).
    pub through: Option<TableName>,
    /// When its rows are loaded ([`Table::wave`](super::manifest::Table)).
    pub wave: u32,
    /// The database's encoding, in which its rows are written.
    pub encoding: String,
}

/// A part of a heap: from this page, to before that one; open where it has no neighbour, so that nothing
/// falls between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages {
    pub from: Option<u64>,
    pub to: Option<u64>,
}

impl SourceTable {
    /// Where its content counts ([`Table::counted_as`](super::manifest::Table)).
    pub fn counted_as(&self) -> &TableName {
        self.through.as_ref().unwrap_or(&self.table)
    }

    /// The statement that gives its rows, or those of a part.
    pub fn copy_to(&self, pages: Option<Pages>) -> String {
        let mut conditions = Vec::new();
        if let Some(Pages { from, to }) = pages {
            conditions.extend(from.map(|page| format!("ctid >= '({page},0)'::pg_catalog.tid")));
            conditions.extend(to.map(|page| format!("ctid < '({page},0)'::pg_catalog.tid")));
        }
        // pg_dump too takes the extension's condition as it is written, with its leading WHERE.
        let condition = match (&self.condition, conditions.is_empty()) {
            (Some(condition), _) => condition.clone(),
            (None, true) => String::new(),
            (None, false) => format!("WHERE {}", conditions.join(" AND ")),
        };
        format!(
            "COPY (SELECT {} FROM ONLY {} {condition}) TO STDOUT{}",
            quoted_list(&self.columns),
            self.table.quoted(),
            encoded(&self.encoding)
        )
    }

    /// The parts in which it is read: one, or several of about `bytes` each.
    pub fn parts(&self, bytes: u64) -> Vec<(Option<Pages>, u64)> {
        let pages = match self.pages {
            Some(pages) if self.condition.is_none() => pages,
            _ => return vec![(None, self.bytes)],
        };
        let parts = self.bytes.div_ceil(bytes.max(1)).clamp(1, pages.max(1));
        if parts == 1 {
            return vec![(None, self.bytes)];
        }
        let edge = |n: u64| (n > 0 && n < parts).then(|| n * pages / parts);
        (0..parts).map(|n| (Some(Pages { from: edge(n), to: edge(n + 1) }), self.bytes / parts)).collect()
    }
}

/// The statement that takes the rows of a table back, into a database of that encoding.
pub(super) fn copy_from(table: &Table, encoding: &str) -> String {
    // An empty list is no syntax; without a list a table without columns takes its empty lines.
    let list = match &table.columns[..] {
        [] => String::new(),
        columns => format!(" ({})", quoted_list(columns)),
    };
    format!("COPY {}{list} FROM STDIN{}", table.counted_as().quoted(), encoded(encoding))
}

/// Rows are written in the database's own encoding, byte for byte: some bytes of others have no counterpart in
/// UTF-8, or come back from it as other ones. All of a server's encodings keep ASCII as it is, and so COPY's text.
pub(crate) fn encoded(encoding: &str) -> String {
    match encoding {
        "UTF8" => String::new(),
        other => format!(" WITH (ENCODING {})", crate::pg::quote_literal(other)),
    }
}

fn quoted_list(names: &[String]) -> String {
    names.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

/// One column of a row, without a panic where the bytes are no such value.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, BackupError> {
    row.try_get(column).map_err(|source| BackupError::sql("read the catalog", source))
}

/// Relations that are the user's: not the system's, not temporary, and an extension's own only where the
/// extension says that their content is the user's (`pg_extension_config_dump`).
const USERS: &str = "c.relpersistence IN ('p', 'u') \
     AND (x.extname IS NOT NULL OR n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
             WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid \
             AND d.objsubid = 0 AND d.deptype = 'e'))";

const FROM: &str = "pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_catalog.pg_extension x ON c.oid = ANY (x.extconfig)";

/// The names of all tables that are carried, with their oids; takes no locks.
pub(super) async fn table_names(client: &Client) -> Result<Vec<(u32, TableName)>, BackupError> {
    let sql = format!(
        "SELECT c.oid, n.nspname, c.relname FROM {FROM} WHERE c.relkind = 'r' AND {USERS} ORDER BY 2, 3"
    );
    let rows = client.query(&sql, &[]).await.map_err(|e| BackupError::sql("list the tables", e))?;
    rows.iter()
        .map(|row| Ok((get(row, 0)?, TableName::new(get::<String>(row, 1)?, get::<String>(row, 2)?))))
        .collect()
}

/// The root of a partition whose rows may belong into another one after a restore: below a hash of an enum's
/// value, which is a hash of its oid (pg_dump's `unsafe_partitions`).
const ROOT: &str = "LEFT JOIN LATERAL (\
     SELECT r.oid, rn.nspname, r.relname FROM pg_catalog.pg_class r \
     JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace \
     WHERE c.relispartition AND r.oid = pg_catalog.pg_partition_root(c.oid) \
     AND EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a(oid) \
         JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.oid \
         WHERE (SELECT o.oid FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod \
             WHERE o.opcname = 'enum_ops' AND m.amname = 'hash' \
             AND o.opcnamespace = 'pg_catalog'::pg_catalog.regnamespace) = ANY (p.partclass))) root ON true";

/// All tables that are carried, in the transaction's snapshot.
pub(super) async fn tables(client: &Client) -> Result<Vec<SourceTable>, BackupError> {
    // TID range scans came with PostgreSQL 14; before, each part would read the whole table. An extension's
    // table may refer to itself, and such a constraint is there before the rows: they are loaded at once.
    let sql = format!(
        "SELECT n.nspname, c.relname, \
         ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = coalesce(root.oid, c.oid) \
             AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum), \
         nullif(x.extcondition[pg_catalog.array_position(x.extconfig, c.oid)], ''), \
         coalesce(pg_catalog.pg_table_size(c.oid), 0)::pg_catalog.int8, \
         CASE WHEN am.amname = 'heap' AND x.extname IS NULL \
                 AND pg_catalog.current_setting('server_version_num')::int >= 140000 \
             THEN pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8 \
         END, root.nspname, root.relname, pg_catalog.getdatabaseencoding() \
         FROM {FROM} LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam {ROOT} \
         WHERE c.relkind = 'r' AND {USERS} ORDER BY 1, 2"
    );
    let rows = client.query(&sql, &[]).await.map_err(|e| BackupError::sql("list the tables", e))?;
    let waves = waves(&references(client).await?);
    rows.iter()
        .map(|row| {
            let table = TableName::new(get::<String>(row, 0)?, get::<String>(row, 1)?);
            let root = get::<Option<String>>(row, 6)?.zip(get::<Option<String>>(row, 7)?);
            Ok(SourceTable {
                columns: get(row, 2)?,
                condition: get(row, 3)?,
                bytes: unsigned(get(row, 4)?),
                pages: get::<Option<i64>>(row, 5)?.map(unsigned),
                through: root.map(|(schema, name)| TableName::new(schema, name)),
                wave: waves.get(&table).copied().unwrap_or_default(),
                encoding: get(row, 8)?,
                table,
            })
        })
        .collect()
}

/// Which configuration table refers to which: their foreign keys come with their extension, before any rows.
async fn references(client: &Client) -> Result<Vec<(TableName, TableName)>, BackupError> {
    let sql = "SELECT n.nspname, c.relname, fn.nspname, f.relname FROM pg_catalog.pg_constraint k \
               JOIN pg_catalog.pg_extension x ON k.conrelid = ANY (x.extconfig) \
               JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               JOIN pg_catalog.pg_class f ON f.oid = k.confrelid \
               JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace \
               WHERE k.contype = 'f' AND k.conrelid <> k.confrelid";
    let rows =
        client.query(sql, &[]).await.map_err(|e| BackupError::sql("list the extensions' foreign keys", e))?;
    let name = |row, at| -> Result<TableName, BackupError> {
        Ok(TableName::new(get::<String>(row, at)?, get::<String>(row, at + 1)?))
    };
    rows.iter().map(|row| Ok((name(row, 0)?, name(row, 2)?))).collect()
}

/// The wave of each table that refers to another: one after that of every table that it refers to. Tables that
/// refer to each other in a circle have no right order; they are given some.
pub(crate) fn waves(references: &[(TableName, TableName)]) -> BTreeMap<TableName, u32> {
    let mut waves: BTreeMap<TableName, u32> = BTreeMap::new();
    for _ in references {
        for (from, to) in references {
            let after = waves.get(to).copied().unwrap_or_default() + 1;
            let wave = waves.entry(from.clone()).or_default();
            *wave = after.max(*wave).min(u32::try_from(references.len()).unwrap_or(u32::MAX));
        }
    }
    waves
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// All sequences with their state. A sequence knows no snapshots: its state is the one of this moment,
/// never older than the snapshot, as in a dump of pg_dump.
pub(super) async fn sequences(client: &Client) -> Result<Vec<Sequence>, BackupError> {
    let refused = |source| BackupError::sql("read the sequences", source);
    let sql =
        format!("SELECT n.nspname, c.relname FROM {FROM} WHERE c.relkind = 'S' AND {USERS} ORDER BY 1, 2");
    let rows = client.query(&sql, &[]).await.map_err(refused)?;
    let mut names = Vec::with_capacity(rows.len());
    for row in &rows {
        names.push(TableName::new(get::<String>(row, 0)?, get::<String>(row, 1)?));
    }
    let mut found = Vec::with_capacity(names.len());
    for batch in names.chunks(100) {
        let selects: Vec<String> = batch
            .iter()
            .enumerate()
            .map(|(n, name)| {
                format!("SELECT {n}::pg_catalog.int8, last_value, is_called FROM {}", name.quoted())
            })
            .collect();
        let sql = format!("{} ORDER BY 1", selects.join(" UNION ALL "));
        let rows = client.query(&sql, &[]).await.map_err(refused)?;
        for (sequence, row) in batch.iter().zip(&rows) {
            found.push(Sequence {
                sequence: sequence.clone(),
                last_value: get(row, 1)?,
                is_called: get(row, 2)?,
            });
        }
    }
    Ok(found)
}

/// The statement that gives a sequence its state again; as pg_dump writes it.
pub(super) fn set_sequence(sequence: &Sequence) -> String {
    format!(
        "SELECT pg_catalog.setval({}, {}, {});",
        crate::pg::quote_literal(&sequence.sequence.quoted()),
        sequence.last_value,
        sequence.is_called
    )
}

/// The extensions of the database.
pub(super) async fn extensions(client: &Client) -> Result<Vec<Extension>, BackupError> {
    let sql = "SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY 1";
    let rows = client.query(sql, &[]).await.map_err(|e| BackupError::sql("list the extensions", e))?;
    rows.iter().map(|row| Ok(Extension { name: get(row, 0)?, version: get(row, 1)? })).collect()
}

/// What a server says of itself, and of the database.
pub(super) struct ServerFacts {
    /// `server_version_num`.
    pub version: u32,
    /// What it calls itself.
    pub name: String,
    /// The encoding in which text leaves it, for us and for pg_dump: UTF8, but the bytes as they are where
    /// the database does not know what they mean.
    pub client_encoding: String,
}

/// Asks the server.
pub(super) async fn server(client: &Client) -> Result<ServerFacts, BackupError> {
    let sql = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
               pg_catalog.current_setting('server_version'), pg_catalog.current_setting('client_encoding')";
    let row =
        client.query_one(sql, &[]).await.map_err(|e| BackupError::sql("ask the server's version", e))?;
    Ok(ServerFacts {
        version: u32::try_from(get::<i32>(&row, 0)?).unwrap_or_default(),
        name: get(&row, 1)?,
        client_encoding: get(&row, 2)?,
    })
}

/// Whether the database holds large objects.
pub(super) async fn has_large_objects(client: &Client) -> Result<bool, BackupError> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)";
    let row = client.query_one(sql, &[]).await.map_err(|e| BackupError::sql("look for large objects", e))?;
    get(&row, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::fingerprint::Fingerprint;

    fn table(bytes: u64, pages: Option<u64>) -> SourceTable {
        SourceTable {
            table: TableName::new("s", "t\"x"),
            columns: vec!["a".into(), "b c".into()],
            condition: None,
            bytes,
            pages,
            through: None,
            wave: 0,
            encoding: "UTF8".into(),
        }
    }

    #[test]
    fn parts_cover_every_page_once() {
        for (bytes, pages, most) in
            [(1_000_000, 122, 100_000), (10, 1, 1), (90_000_000, 3, 8192), (8192 * 7, 7, 8192)]
        {
            let parts = table(bytes, Some(pages)).parts(most);
            if let [(None, _)] = parts[..] {
                continue;
            }
            let mut next = None;
            for (part, _) in &parts {
                let part = part.unwrap();
                assert_eq!(part.from, next);
                next = part.to;
                assert!(part.to.is_none() || part.to > part.from);
            }
            assert_eq!(next, None);
            assert!(parts.len() <= usize::try_from(pages).unwrap());
        }
    }

    #[test]
    fn a_table_that_cannot_be_cut_is_one_part() {
        assert_eq!(table(1 << 40, None).parts(1), [(None, 1 << 40)]);
        assert_eq!(table(0, Some(0)).parts(1), [(None, 0)]);
    }

    #[test]
    fn statements_are_quoted() {
        let part = Some(Pages { from: Some(3), to: None });
        assert_eq!(
            table(1, Some(9)).copy_to(part),
            r#"COPY (SELECT "a", "b c" FROM ONLY "s"."t""x" WHERE ctid >= '(3,0)'::pg_catalog.tid) TO STDOUT"#
        );
        let coded = SourceTable { encoding: "WIN1252".into(), ..table(1, None) };
        assert!(coded.copy_to(None).ends_with(" TO STDOUT WITH (ENCODING 'WIN1252')"));
        let mut restored = Table {
            table: TableName::new("s", "t"),
            columns: vec![],
            condition: None,
            through: None,
            wave: 0,
            rows: 0,
            fingerprint: Fingerprint::default(),
            chunks: vec![],
        };
        assert_eq!(copy_from(&restored, "UTF8"), r#"COPY "s"."t" FROM STDIN"#);
        restored.through = Some(TableName::new("s", "root"));
        restored.columns = vec!["a".into()];
        assert_eq!(
            copy_from(&restored, "SQL_ASCII"),
            r#"COPY "s"."root" ("a") FROM STDIN WITH (ENCODING 'SQL_ASCII')"#
        );
    }

    #[test]
    fn who_refers_to_another_is_loaded_after_it() {
        let name = |name: &str| TableName::new("s", name);
        let wave = |pairs: &[(&str, &str)], table: &str| {
            let pairs: Vec<_> = pairs.iter().map(|(a, b)| (name(a), name(b))).collect();
            waves(&pairs).get(&name(table)).copied().unwrap_or_default()
        };
        let chain = [("a", "b"), ("b", "c"), ("a", "c")];
        assert_eq!(["a", "b", "c"].map(|table| wave(&chain, table)), [2, 1, 0]);
        assert!(wave(&[("a", "b"), ("b", "a")], "a") <= 2);
    }
}
