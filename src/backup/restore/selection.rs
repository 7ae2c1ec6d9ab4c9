//! Which tables' rows are wanted.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::{Filling, Rows};
use crate::backup::catalog::get;
use crate::backup::error::BackupError;
use crate::backup::manifest::TableName;

impl Filling<'_> {
    /// The tables whose rows are loaded, if not all: those that a pattern names, or that are partitions of
    /// one that it names. Asks the side database, where the definitions are by now.
    ///
    /// # Errors
    /// If a pattern names nothing.
    pub(super) async fn select_tables(
        &self,
        session: &Client,
    ) -> Result<Option<BTreeSet<TableName>>, BackupError> {
        let patterns = match &self.options.rows {
            Rows::All => return Ok(None),
            Rows::None => return Ok(Some(BTreeSet::new())),
            Rows::Only(patterns) => patterns,
        };
        let known = tables_with_parents(session).await?;
        let mut wanted = BTreeSet::new();
        for pattern in patterns {
            let named = known.iter().filter(|(_, table)| pattern.matches(table)).map(|(of, _)| of);
            let named: BTreeSet<&TableName> = named.collect();
            let carried = self.manifest.tables.iter().map(|table| &table.table);
            let found: Vec<TableName> = carried.filter(|table| named.contains(table)).cloned().collect();
            if found.is_empty() {
                return Err(BackupError::NoTable(pattern.to_string()));
            }
            wanted.extend(found);
        }
        Ok(Some(wanted))
    }
}

/// Every table, with itself and each partitioned table that it is a part of.
async fn tables_with_parents(session: &Client) -> Result<Vec<(TableName, TableName)>, BackupError> {
    let sql = "SELECT n.nspname, c.relname, pn.nspname, p.relname \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN LATERAL (SELECT c.oid AS relid UNION \
             SELECT a.relid::pg_catalog.oid FROM pg_catalog.pg_partition_ancestors(c.oid) a) s ON true \
         JOIN pg_catalog.pg_class p ON p.oid = s.relid \
         JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE c.relkind = 'r'";
    let rows =
        session.query(sql, &[]).await.map_err(|e| BackupError::sql("look for the wanted tables", e))?;
    let name =
        |row, at| Ok::<_, BackupError>(TableName::new(get::<String>(row, at)?, get::<String>(row, at + 1)?));
    rows.iter().map(|row| Ok((name(row, 0)?, name(row, 2)?))).collect()
}
