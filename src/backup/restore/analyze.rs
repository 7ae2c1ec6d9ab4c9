//! Statistics, so that the first queries after a restore are planned well.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Filling;
use crate::backup::catalog::get;
use crate::backup::error::BackupError;
use crate::backup::manifest::TableName;
use crate::backup::queue::Queue;
use crate::event::Unit;

/// Small tables that are analyzed by one statement.
const TOGETHER: usize = 32;

/// A table is small below this many bytes on disk.
const SMALL: i64 = 1 << 20;

/// Foreign tables, and what has one below it: to sample those the server would connect to the foreign one, which
/// may be gone, or be production's.
const REMOTE: &str = "WITH RECURSIVE remote(oid) AS (\
         SELECT f.oid FROM pg_catalog.pg_class f WHERE f.relkind = 'f' \
         UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN remote ON i.inhrelid = remote.oid)";

/// The tables that are analyzed; a partition with its whole tree, if that can be.
const TABLES: &str = "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' \
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
     AND pg_catalog.pg_has_role(c.relowner, 'USAGE') AND c.oid NOT IN (SELECT oid FROM remote) \
     AND (NOT c.relispartition OR pg_catalog.pg_partition_root(c.oid) IN (SELECT oid FROM remote))";

/// A query that gives one statement for each table, for a script.
pub(in crate::backup) fn statements() -> String {
    format!("{REMOTE} SELECT pg_catalog.format('ANALYZE %I.%I', n.nspname, c.relname) FROM {TABLES}")
}

impl Filling<'_> {
    /// `ANALYZE`, several tables at once. A partition's are gathered with those of its whole tree.
    pub(super) async fn analyze(&self) -> Result<(), BackupError> {
        let refused = |e| BackupError::sql("analyze the tables", e);
        let session = self.session().await?;
        // A tree's size is its partitions'.
        let sql = format!(
            "{REMOTE} SELECT n.nspname, c.relname, CASE c.relkind WHEN 'p' THEN coalesce((\
                 SELECT sum(pg_catalog.pg_relation_size(p.relid)) FROM pg_catalog.pg_partition_tree(c.oid) p), 0) \
             ELSE pg_catalog.pg_relation_size(c.oid) END::pg_catalog.int8 FROM {TABLES} ORDER BY 3, 1, 2"
        );
        let rows = session.query(&sql, &[]).await.map_err(refused)?;
        let mut tables = Vec::with_capacity(rows.len());
        for row in &rows {
            let name = TableName::new(get::<String>(row, 0)?, get::<String>(row, 1)?);
            tables.push((name, get::<i64>(row, 2)?));
        }
        let total = tables.len() as u64;
        let batches: Vec<Vec<String>> = tables
            .chunk_by(|(_, a), (_, b)| *a < SMALL && *b < SMALL)
            .flat_map(|run| run.chunks(TOGETHER))
            .map(|batch| batch.iter().map(|(table, _)| table.quoted()).collect())
            .collect();
        let workers = self.options.jobs.clamp(1, batches.len().max(1));
        let (queue, done) = (Queue::new(batches), std::sync::atomic::AtomicU64::new(0));
        let worker = async || -> Result<(), BackupError> {
            let session = self.session().await?;
            while let Some(batch) = queue.take() {
                let so_far = done.load(std::sync::atomic::Ordering::Relaxed);
                self.progress.at(so_far, Some(total), Unit::Items, format!("statistics of {}", batch[0]));
                session.batch_execute(&format!("ANALYZE {}", batch.join(", "))).await.map_err(refused)?;
                done.fetch_add(batch.len() as u64, std::sync::atomic::Ordering::Relaxed);
            }
            Ok(())
        };
        stream::iter(0..workers).map(|_| worker()).buffer_unordered(workers).try_collect().await
    }
}
